"""How far each input alone moves an answer: everything else at its best value, the input at both ends of its range."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from zpmodel.base.errors import InputError
from zpmodel.base.estimate import digits
from zpmodel.base.units import MIB, format_size
from zpmodel.study.inputs import SIZES, apply, best_only
from zpmodel.study.scenario import Scenario
from zpmodel.study.sensitivity import OUTPUTS, spans_of
from zpmodel.study.sweep import Plan, Span, answer

_TIMES = ("latency", "request", "segment", "cold_segment", "unit", "mend", "partial")
_MOVES = 0.1  # of the widest swing; what moves less is not named [1]
_NAMED = 4


@dataclass(frozen=True)
class Swings:
    """What a tornado chart shows.

    :ivar table: a row an input, the widest swing first: ``input``, its ends ``low`` and ``high``, and the output there,
        ``at_low`` and ``at_high``, in its own unit.
    :ivar best: the output with all inputs as they are.
    :ivar output: what was asked.
    """

    table: pd.DataFrame
    best: float
    output: str

    @property
    def words(self) -> str:
        """The answer in words."""
        what, rows = OUTPUTS[self.output], self.table.to_dict("records")
        wide = (self.table["at_high"] - self.table["at_low"]).abs()
        if wide[0] == 0:
            return f"Nothing that was varied moves {what}."
        scale, unit = self.unit
        told = [
            f"{row['input']} ({_both(row)}: {_at(row['at_low'] * scale)} to {_at(row['at_high'] * scale)}{unit})"
            for row in rows[: min(_NAMED, int((wide >= _MOVES * wide[0]).sum()))]
        ]
        text = f"{told[0]} moves {what} most"
        if len(told) > 1:
            text += f"; then {', '.join(told[1:])}"
        others = len(rows) - len(told)
        if others:
            text += f"; {'the other' if others == 1 else f'the {others} others'} less"
        return f"{text}. Know {rows[0]['input']} better first."

    @property
    def unit(self) -> tuple[float, str]:
        """What the output is multiplied with for reading, and its unit then, after a blank; a ratio has none."""
        if self.output == "speedup":
            return 1.0, ""
        most = self.table[["at_low", "at_high"]].abs().max().max()
        return (1.0, " s") if most >= 1 else (1e3, " ms")

    def labels(self) -> list[str]:
        """Each input with its ends, for a chart."""
        return [f"{row['input']}: {_both(row)}" for row in self.table.to_dict("records")]


def swings(base: Scenario, spans: Mapping[str, Span] | None = None, *, output: str = "speedup") -> Swings:
    """Move each input to both ends of its range, all others as they are.

    :param spans: ranges by input; the machine's own uncertainty where left out.
    :raises InputError: on names and ranges that make no sense, where there are none, and where an end is impossible.
    """
    spans = dict(spans or _as_bandwidth(spans_of(base.machine)))
    base = base.but(machine=best_only(base.machine))
    plan = Plan(base, {}, spans)
    if output not in OUTPUTS:
        raise InputError("sensitivity", "output", output, ", ".join(OUTPUTS))
    if not spans:
        raise InputError("sensitivity", "inputs", "none", "at least one input with a range")
    rows: list[dict[str, Any]] = []
    for name, span in spans.items():
        ends = [plan.rounded(name, end).item() for end in (span.low, span.high)]
        at = [_asked(apply(base, {name: end}), output, f"{name} = {end:.6g}") for end in ends]
        rows.append({"input": name, "low": ends[0], "high": ends[1], "at_low": at[0], "at_high": at[1]})
    rows.sort(key=lambda row: -abs(row["at_high"] - row["at_low"]))
    return Swings(pd.DataFrame(rows), _asked(base, output, "the question"), output)


def _as_bandwidth(spans: Mapping[str, Span]) -> dict[str, Span]:
    """The same ranges, the device's time for a MiB as the bandwidth that people know."""
    found = dict[str, Span]()
    for name, span in spans.items():
        if name == "device.mebibyte":
            found["device.bandwidth"] = Span(MIB / span.high, MIB / span.low)
        else:
            found[name] = span
    return found


def _asked(scenario: Scenario, output: str, what: str) -> float:
    found = answer(scenario)
    if found["why_not"]:
        raise InputError("sensitivity", "ranges", what, f"possible questions ({found['why_not']})")
    return float(found[output])


def _both(row: Mapping[Any, Any]) -> str:
    low, high = (_said(row["input"], row[end]) for end in ("low", "high"))
    return f"{low} to {high}"


def _at(value: float) -> str:
    """An output at an end; one digit more than elsewhere, for ratios near 1."""
    return digits(value, 4)


def _said(name: str, value: float) -> str:
    """An input's value for people."""
    part = name.removeprefix("device.") if name.startswith("device.") else ""
    if part == "bandwidth":
        return f"{digits(value / 1e9)} GB/s"
    if part in _TIMES:
        return f"{digits(value * 1e6)} us"
    if part in ("mebibyte", "stream", "cold"):
        return f"{digits(value * 1e6)} us/MiB"
    if part == "cache":
        return f"{digits(value)} MiB"
    return format_size(value) if name in SIZES else digits(value)
