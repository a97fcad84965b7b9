"""Every truth the project ships, predicted and scored: what the model gets right, and what it does not."""

import importlib
from dataclasses import asdict

import pandas as pd

from zpmodel.base.estimate import Estimate, digits
from zpmodel.datasets.schema import DataSet

FAMILIES = (
    "structure",
    "fio",
    "instructions",
    "native",
    "published",
    "zero_out",
    "one_page",
    "composed",
)
"""Every family of truths: a file here with a ``TITLE`` and ``scores(data)``, which yields a Score a truth."""


def titles() -> dict[str, str]:
    """What the families are called."""
    return {name: importlib.import_module(f"zpmodel.validation.{name}").TITLE for name in FAMILIES}


def validate(data: DataSet) -> pd.DataFrame:
    """Score every shipped truth, and the points of ``data`` left out of the fit to it.

    :return: a row a truth, with the fields of :class:`zpmodel.validation.score.Score`.
    """
    modules = [importlib.import_module(f"zpmodel.validation.{name}") for name in FAMILIES]
    return pd.DataFrame([asdict(score) for module in modules for score in module.scores(data)])


def summary(scores: pd.DataFrame) -> str:
    """``N of M truths within their bar``."""
    return f"{int(scores['inside'].sum())} of {len(scores)} truths within their bar"


def trust(scores: pd.DataFrame, data: DataSet) -> str:
    """How far the model can be trusted, in words (Markdown): a line a family, the failures named; and what other
    programs did to the runs that it was fitted to."""
    lines = [f"**{summary(scores)}.**", ""]
    for family, title in titles().items():
        group = scores[scores["family"] == family]
        if group.empty:
            continue
        errors = group["error"].dropna().abs()
        line = f"- **{title}**: {int(group['inside'].sum())} of {len(group)} within"
        if family != "structure":
            line += f"; typically off by {errors.median():.1%}, at worst {errors.max():.0%}"
        outside = group[~group["inside"]].sort_values("error", key=abs, ascending=False)
        if len(outside):
            worst = outside.iloc[0]
            more = f", and {len(outside) - 1} more" if len(outside) > 1 else ""
            line += f". *Outside:* {worst['truth']} ({worst['error']:+.0%}){more}"
        lines.append(line + ".")
    if data.disturbed:
        lines.append(f"- **The set's runs**: {data.disturbed}.")
    return "\n".join(lines)


def score_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Scores as people read them, a row a truth, those outside their bar first."""
    ordered = scores.sort_values("inside", kind="stable")
    table = pd.DataFrame(
        {
            "verdict": ["within" if inside else "OUTSIDE" for inside in ordered["inside"]],
            "measured": [_number(value) for value in ordered["measured"]],
            "predicted [90 % interval]": [
                _number(value) if low != low or low is None else str(Estimate(value, low, high))
                for value, low, high in ordered[["predicted", "low", "high"]].itertuples(index=False)
            ],
            "unit": list(ordered["unit"]),
            "error": ["-" if value != value else f"{value:+.1%}" for value in ordered["error"].astype(float)],
            "bar": list(ordered["bar"]),
            "source": list(ordered["source"]),
        },
        index=list(ordered["truth"]),
    )
    empty = [name for name in table if table[name].isin(["-", ""]).all()]
    return table.drop(columns=empty)


def _number(value: float | None) -> str:
    return "-" if value is None or value != value else digits(value, 4)
