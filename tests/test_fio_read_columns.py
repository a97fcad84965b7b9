"""The documented columns are those of the table, with the same units."""

import re
from pathlib import Path

from zpmodel.fio.columns import COLUMNS, NULLABLE_FLAGS

DOC = Path(__file__).parent.parent / "docs" / "fio-columns.md"


def test_the_documented_columns_are_those_of_the_table() -> None:
    documented = re.findall(r"^\| `(\w+)` \| (\S+) \| (.+) \|$", DOC.read_text(encoding="utf-8"), re.MULTILINE)
    assert {name: "" if unit == "-" else unit for name, unit, _ in documented} == COLUMNS
    assert [name for name, _, _ in documented] == list(COLUMNS)


def test_units_and_suffixes_agree() -> None:
    for name, unit in COLUMNS.items():
        for suffix, expected in {"_ns": "ns", "_s": "s", "_bytes": "byte", "_per_s": "byte/s"}.items():
            if name.endswith(suffix) and not (suffix == "_s" and name.endswith("_per_s")):
                assert unit == expected, name
    assert set(NULLABLE_FLAGS) <= set(COLUMNS)
