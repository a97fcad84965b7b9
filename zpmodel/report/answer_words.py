"""The answers as people read them: the first screen, a section a question, and tables."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from IPython.display import Markdown

from zpmodel.base.estimate import Estimate, bold, digits
from zpmodel.report.charts import answers as charts
from zpmodel.report.escape import to_markdown
from zpmodel.study.answers.base import Answer, Asked, as_more, saves
from zpmodel.study.answers.gain import beside, beside_published, published_gain, ring_share, static_gain, throughput
from zpmodel.study.compare import Comparison, prior_in_words
from zpmodel.study.conversions import Gain


def first_screen(asked: Asked, answers: Sequence[Answer]) -> str:
    """The question, the answer with its interval, what it costs, when not and how sure, in Markdown."""
    static = static_gain(asked.machine)[1]
    saved = static.cpu_saved_s.scaled(1e3)
    lines = [
        "**What is it worth to write zeroes from one 2 MiB page instead of `ZERO_PAGE`, 4 KiB?**",
        f"On {to_markdown(asked.machine.name)}, {_made(asked)}: {_throughput(static)}, and "
        f"{bold(f'{saves(saved)} zeroed', saved)}.{_measured(asked)}",
    ]
    by_number = {each.number: each for each in answers}
    rows = [
        ("Published", _published(asked, static)),
        ("It costs", f"memory for good: {_first(by_number[5])}"),
        ("When not", to_markdown(by_number[7].sentence.rstrip("."))),
        ("To notice it", _first(by_number[2])),
        ("How sure", _sure(asked, by_number[1].missing)),
        ("Your drive", "move the sliders of [What if](sweep.html); what decides the answer stands there too"),
    ]
    return "\n\n".join([*lines, "\n".join(f"- **{name}:** {text}." for name, text in rows)])


def _published(asked: Asked, static: Comparison) -> str:
    """The one published gain beside what is predicted for it."""
    gain = f"{Estimate.exactly(published_gain()[0] - 1).percent()} more throughput"
    if not asked.machine.composed:
        return f"{gain}, which {beside_published(asked.machine, static.speedup)}"
    return (
        f"{gain}, measured by others on such a drive; predicted: {throughput(static)}, so the published gain "
        f"{beside_published(asked.machine, static.speedup)}"
    )


def _sure(asked: Asked, missing: str) -> str:
    """What the intervals rest on, where their misses stand, and what would make them narrower."""
    rests = "fitted to fio"
    if asked.machine.composed:
        rests = (
            "calculated from counted instructions, not timed on a drive: they span the CPUs that were timed, and what "
            "nobody has measured of the device, above all how much of submission its own work hides"
        )
        device = asked.machine.device
        rests += f" ({prior_in_words(device)})" if device.may_hide_all else ""
    if asked.machine.composed and asked.measured is not None:
        rests += "; the measured disk's are fitted to fio"
    return (
        f"90 % intervals, {rests}. [How far to trust it](validate.html) scores them against what was measured, misses "
        f"first. Missing: {to_markdown(missing)}"
    )


def _first(answer: Answer) -> str:
    """An answer's first sentence."""
    return to_markdown(answer.sentence.split(". ")[0].rstrip("."))


def _made(asked: Asked) -> str:
    return "composed and not measured" if asked.machine.composed else "fitted to fio"


def _measured(asked: Asked) -> str:
    if asked.measured is None:
        return ""
    page, static = static_gain(asked.measured)
    ring, saved = ring_share(page, static), static.cpu_saved_s.scaled(1e3)
    says = f"{_throughput(static)} and {bold(saves(saved), saved)}"
    if static.tells_no_saving:
        says = to_markdown(beside(static))
    text = f" On the measured disk, {to_markdown(asked.measured.name)}: {says}."
    if ring is None or ring.value < 0.5:
        return text
    return (
        f"{text} They differ by the virtual disk's ring: each 4 KiB vector takes a descriptor of it, and "
        f"{ring.percent()} of the CPU time saved there is what a full ring costs. NVMe has none."
    )


def _throughput(static: Comparison) -> str:
    """What is gained in throughput, in bold where it is a gain or a loss of which the interval says how much."""
    text = to_markdown(throughput(static))
    return bold(text, as_more(static.speedup)) if static.verdict in ("gain", "loss") else text


def overview(answers: Sequence[Answer]) -> str:
    """The answers as a table of Markdown, each question linked to its section."""
    rows = ["| question | answer | value [90 %] |", "|---|---|---|"]
    for each in answers:
        link = f"[{each.number}. {to_markdown(each.question)}](answers.html#question-{each.number})"
        value = "" if each.first is None else f"{to_markdown(each.first.shown)}<br>{to_markdown(each.first.what)}"
        rows.append(f"| {link} | {_first(each)}. | {value or 'to be measured'} |")
    return "\n".join(rows)


def section(answer: Answer) -> str:
    """One question's section in Markdown, without its figures."""
    lines = [
        f'<h2 id="question-{answer.number}">{answer.number}. {to_markdown(answer.question)}</h2>',
        to_markdown(answer.sentence),
        f"- *Fails when* {to_markdown(answer.fails_when)}.",
        f"- *Rests on* {to_markdown(answer.basis)}.",
        f"- *Again:* {to_markdown(answer.command)}",
    ]
    if answer.missing:
        lines.insert(3, f"- *Would have to be measured:* {to_markdown(answer.missing)}.")
    return "\n\n".join([*lines[:2], "\n".join(lines[2:])])


def parts(answer: Answer) -> list[Any]:
    """What a notebook displays of one question: its words, its chart where it has one, and its figures."""
    shown = [Markdown(section(answer)), charts.figures(answer), figures(answer).style.hide(axis="index")]  # type: ignore[no-untyped-call]
    return [part for part in shown if part is not None]


def figures(answer: Answer) -> pd.DataFrame:
    """An answer's figures for reading."""
    return pd.DataFrame([{"figure": each.what, "value [90 %]": each.shown} for each in answer.figures])


def conversions(found: Sequence[Gain]) -> pd.DataFrame:
    """Gains by conversion for reading, in the order in which they come."""
    return pd.DataFrame(
        [
            {
                "rank": number,
                "user": item.user,
                "CPU saved [ms/GiB]": "-" if item.cpu_saved_s is None else str(item.cpu_saved_s.scaled(1e3)),
                "times as fast": "-" if item.speedup is None else item.speedup.as_ratio(),
                "calls for each GiB": f"{item.calls[0]:,.0f} to {item.calls[1]:,.0f}",
                "worth it": item.worth,
            }
            for number, item in enumerate(found, 1)
        ]
    )


def conversion_rows(found: Sequence[Gain]) -> pd.DataFrame:
    """Gains by conversion whose cost is known, for a chart: ``name value low high`` [ms/GiB]."""
    rows = [(item.user, item.cpu_saved_s.scaled(1e3)) for item in found if item.cpu_saved_s is not None]
    return pd.DataFrame([{"name": name, **saved.as_dict()} for name, saved in rows])


def conversion_headline(found: Sequence[Gain], machine: str) -> str:
    """What to patch first, in Markdown."""
    named = [
        f"`{item.user}` ({(item.cpu_saved_s or Estimate.exactly(0)).scaled(1e3)} ms for each GiB)"
        for item in found
        if item.worth.startswith("yes")
    ]
    first = (
        f"**Worth a patch: {', then '.join(named)}.**" if named else "**Nothing is left that is surely worth a patch.**"
    )
    text = f"{first} CPU time saved through {to_markdown(machine)}."
    for word, says in (
        ("perhaps", "Perhaps worth one"),
        ("hardly", "Hardly worth one"),
        ("no:", "Not"),
        ("not", "Not to be said"),
    ):
        users = [f"`{item.user}`" for item in found if item.worth.startswith(word)]
        text += f" {says}: {', '.join(users)}." if users else ""
    return text


def grid(rows: pd.DataFrame) -> pd.DataFrame:
    """Gains by bandwidth and IOMMU for reading."""

    def ends(row: pd.Series, name: str) -> Estimate:
        return Estimate(row[name], row[f"{name}_low"], row[f"{name}_high"])

    return pd.DataFrame(
        [
            {
                "IOMMU": row["iommu"],
                "device writes": row["speed"],
                "times as fast": ends(row, "speedup").as_ratio(),
                "CPU saved [ms/GiB]": str(ends(row, "saved")),
            }
            for _, row in rows.iterrows()
        ]
    )


def terms(rows: pd.DataFrame) -> pd.DataFrame:
    """What the CPU time is made of, for reading."""
    return pd.DataFrame(
        [
            {
                "work": row["work"],
                "zero page": row["zero_page"],
                "number": f"{row['number']:,.0f}",
                "each [ns]": digits(row["each_ns"]),
                "CPU [ms/GiB]": str(Estimate(row["value"], row["low"], row["high"])),
            }
            for _, row in rows.iterrows()
        ]
    )
