"""How counts, and what was compared, are shown and saved."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zpmodel.commands.output import emit_table, say

if TYPE_CHECKING:
    from zpmodel.tracing.compare import Line
    from zpmodel.tracing.observed import Observed


def save(path: Path | None, records: list[dict[str, Any]]) -> None:
    """Write JSON lines, where a file was named.

    :raises RefusedError: where it can't be written.
    """
    if path is None:
        return
    from zpmodel.base.errors import RefusedError
    from zpmodel.base.files import write_atomically

    try:
        write_atomically(path, "".join(json.dumps(record) + "\n" for record in records))
    except OSError as error:
        raise RefusedError(f"{path} can't be written: {error.strerror}") from None


def plain(lines: "Iterable[Line]") -> list[dict[str, Any]]:
    """Return lines as mappings, for JSON and tables."""
    return [{**vars(line)} for line in lines]


def show(seen: "Observed", lines: "list[Line] | None") -> None:
    """Print what was counted, beside the model where there is a comparison."""
    if lines is not None:
        words = {True: "yes", False: "NO", None: "not told"}
        rows = [{**row, "agrees": words[row["agrees"]]} for row in plain(lines)]
        emit_table([{key: "-" if value is None else str(value) for key, value in row.items()} for row in rows])
    else:
        emit_table(_counts(seen))
    notes = {
        "request_merges": "requests merged with each other",
        "reissued": "requests issued twice (the driver was full)",
    }
    for name, words_ in notes.items():
        if getattr(seen, name):
            say(f"{getattr(seen, name)} {words_}")


def _counts(seen: "Observed") -> list[dict[str, Any]]:
    from zpmodel.tracing.compare import format_exactly

    names = ("splits", "back_merges", "front_merges")
    rows: list[dict[str, Any]] = [{"what": name.replace("_", " "), "count": getattr(seen, name)} for name in names]
    largest = seen.lumped_above_bytes
    for name in ("bios", "requests"):
        for row in getattr(seen, name) or []:
            more = largest is not None and row["bytes"] > largest
            size = f"more than {format_exactly(largest or 0)}" if more else format_exactly(row["bytes"])
            rows.append({"what": f"{name} of {size}", "count": row["count"]})
    return rows
