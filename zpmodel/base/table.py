"""Tables that people write, as CSV."""

import csv
import io
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from zpmodel.base.errors import InputError
from zpmodel.base.files import read_text

if TYPE_CHECKING:
    import pandas as pd

LARGEST_BYTES = 64 << 20


def read_csv(path: Path, accepted: str) -> tuple[list[str], list[dict[str, str]]]:
    """Read a table whose cells are texts.

    Cells that a row lacks at its end are empty. A row with more than the header has is refused: nobody knows which
    column its cells belong to.

    :param accepted: what is expected, for the error.
    :return: the columns, and a row each by column; blank lines are left out.
    :raises InputError: where it is no regular file of text, too large, or no such table.
    """
    try:
        rows = csv.reader(io.StringIO(_no_nul(read_text(path, LARGEST_BYTES)), newline=""), strict=True)
        header = [name.strip() for name in next(rows, [])]
        if not header or len(set(header)) < len(header) or not all(header):
            raise InputError(str(path), "header", ",".join(header) or "none", f"different names; {accepted}")
        found = []
        for row in rows:
            if len(row) > len(header):
                raise InputError(
                    f"{path}, line {rows.line_num}",
                    "row",
                    ",".join(row),
                    f"at most {len(header)} cells, as the header has",
                )
            if row:
                found.append(dict(zip_longest(header, row, fillvalue="")))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(str(path), "table", str(error), accepted) from None
    return header, found


def read_columns(text: str, where: str, accepted: str, comment: str | None = None) -> "pd.DataFrame":
    """Read a table whose columns have types, as pandas finds them.

    :param text: the table's.
    :param accepted: what is expected, for the error.
    :param comment: what a comment starts with, if there may be any.
    :raises InputError: where it is no such table, or rows have more cells than the header.
    """
    import pandas as pd

    try:
        table = pd.read_csv(io.BytesIO(_no_nul(text).encode()), comment=comment)
    except ValueError as error:
        raise InputError(where, "table", str(error), accepted) from None
    if not isinstance(table.index, pd.RangeIndex):  # pandas would take the first cells of longer rows for names
        raise InputError(where, "rows", "more cells than the header", accepted)
    return table


def _no_nul(text: str) -> str:
    """The text; one with a NUL is no table: a hole would be a cell of any size, and no file has such a name.

    :raises ValueError: where there is one.
    """
    if "\0" in text:
        raise ValueError("a NUL character")
    return text
