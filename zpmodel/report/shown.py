"""What a notebook's cell shows of more than one piece."""

# mypy: disable-error-code="no-untyped-call"

from zpmodel.report import answer_words
from zpmodel.report.charts import answers as charts
from zpmodel.study.answers.base import Answer


def answer(found: Answer) -> None:
    """Show an answer: its words, its chart where it has one, its figures."""
    from IPython.display import Markdown, display

    display(Markdown(answer_words.section(found)))
    chart = charts.figures(found)
    if chart is not None:
        display(chart)
    display(answer_words.figures(found).style.hide(axis="index"))
