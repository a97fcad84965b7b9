"""How commands show results: a table for people, JSON for programs."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from zpmodel.base.text import printable

if TYPE_CHECKING:
    from zpmodel.base.estimate import Estimate


def say(text: object, *, err: bool = False) -> None:
    """Print lines, with what a terminal would obey in them shown instead: names and paths may be anybody's."""
    click.echo("\n".join(map(printable, str(text).split("\n"))), err=err)


def _plain(value: Any) -> Any:
    """Turn numpy scalars and paths into what JSON knows; NaN and infinities become null."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def emit_json(value: Any) -> None:
    """Print one JSON document."""
    json.dump(_plain(value), sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")


def emit_table(rows: Sequence[Mapping[str, Any]], *, columns: Sequence[str] | None = None) -> None:
    """Print rows as an aligned table: numbers to the right, text to the left, a dash where there is nothing."""
    if not rows:
        return
    names = list(columns or rows[0])
    cells = [[_cell(row.get(name)) for name in names] for row in rows]
    numeric = [all(isinstance(_plain(row.get(name)), int | float | None) for row in rows) for name in names]
    widths = [max(len(name), *(len(line[i]) for line in cells)) for i, name in enumerate(names)]
    for line in [names, *cells]:
        parts = (
            text.rjust(w) if right else text.ljust(w) for text, w, right in zip(line, widths, numeric, strict=True)
        )
        say("  ".join(parts).rstrip())


def _cell(value: Any) -> str:
    value = _plain(value)
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else printable(str(value))


def time_unit(times_s: Sequence["Estimate"]) -> tuple[str, float]:
    """The unit in which a column of times reads best, and how many there are in a second: one for the whole column."""
    largest = max((abs(time.value) for time in times_s if time.known), default=0.0)
    for unit, each in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if largest * each >= 0.5:  # 0.5 s and more as s: 0.55, not 550
            return unit, each
    return ("ns", 1e9) if largest > 0 else ("s", 1.0)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
"""The ``--json`` flag that every command takes."""
