"""A small open-addressing table of counts by key, for the kernels: rows of four integers, the last one the count."""

from zpmodel.base.accelerate import kernel

# mypy: disable-error-code="no-untyped-def"

COLUMNS = 4


@kernel
def add(table, a, b, c, count):
    """Add to the count of key (a, b, c); return 0, or 1 where the table is too full to take a new key.

    A row is empty where its count is 0.
    """
    rows = len(table)
    at = (a * 31 + b * 7919 + c * 104729) % rows
    for _ in range(rows // 2):
        if table[at, 3] == 0:
            table[at, 0], table[at, 1], table[at, 2], table[at, 3] = a, b, c, count
            return 0
        if table[at, 0] == a and table[at, 1] == b and table[at, 2] == c:
            table[at, 3] += count
            return 0
        at = at + 1 if at + 1 < rows else 0
    return 1
