"""How often an order-9 allocation fails, by a name: as people reported it of one machine, or as published of many."""

import tomllib
from functools import cache
from typing import Any

import pandas as pd

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.base.estimate import Estimate
from zpmodel.memory.life.vmstat import ENOUGH, failure_probability

_CASES = ("memory", "cases.toml")


@cache
def _cases() -> dict[str, dict[str, Any]]:
    return tomllib.loads(shipped.data(*_CASES).read_text(encoding="utf-8"))


@cache
def _published() -> dict[str, tuple[float, str]]:
    table = pd.read_csv(shipped.data("published", "order9-failure.csv"))
    said = "published of " + table["failed"] + ": " + table["condition"] + "; " + table["source"]
    rates = zip(table["share_percent"].astype(float) / 100, said, strict=True)
    return dict(zip(table["name"], rates, strict=True))


def failure_names() -> list[str]:
    """Names that :func:`failure_of` knows: reported machines, published rates, and ``anywhere``."""
    return [*_cases(), *_published(), "anywhere"]


def failure_of(name: str) -> Estimate:
    """Probability that allocating a PMD folio fails, with its source.

    ``anywhere``: on a machine of which nothing is known; from none, as most machines counted, to the highest published.

    :raises InputError: on other names, listing those there are.
    """
    if name in _cases():
        return _of_case(name)
    if name in _published():
        value, source = _published()[name]
        return Estimate(value, value, value, source)
    if name != "anywhere":
        raise InputError("order-9 failure", "name", name, ", ".join(failure_names()))
    fleet, source = _published()["fleet"]
    worst = max(value for value, _ in _published().values())
    return Estimate(fleet, 0.0, worst, f"{source}; from none (most machines counted none) to the highest published")


def _of_case(name: str) -> Estimate:
    case = _cases()[name]
    blocks = case.get("free_blocks", [0] * 11)
    frame = pd.DataFrame(
        {"node": 0, "zone": "Normal", "order": range(len(blocks)), "free_blocks": blocks},
    )
    counters = case.get("counters", {})
    good, bad = counters.get("thp_zero_page_alloc", 0), counters.get("thp_zero_page_alloc_failed", 0)
    if "free_blocks" not in case and good + bad < ENOUGH:
        # Too few to count with, and no free lists beside them: their own posterior is all there is.
        padded = {"thp_zero_page_alloc": good, "thp_zero_page_alloc_failed": bad}
        found = failure_probability(frame, padded, least=0)
    else:
        found = failure_probability(frame, counters)
    return Estimate(found.value, found.low, found.high, f"{case['source']}: {found.source}")
