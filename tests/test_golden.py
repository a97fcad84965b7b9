"""What people read is as it was last reviewed. ``make golden`` writes it anew; ``git diff tests/golden`` shows it."""

import pytest
from golden.all import cases
from golden.case import EXPECTED
from golden.likeness import EXACT, FITTED, differences

CASES = cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_people_read_is_as_reviewed(case):
    off = case.off()
    assert not off, "\n".join([f"{case.name} (make golden, if it should be so):", *off[:10], f"{len(off)} in all"])


def test_every_file_belongs_to_a_case():
    assert set(EXPECTED.rglob("*.*")) == {case.path for case in CASES}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ("a gain of 2", "a loss of 2"),
        ("16 bios", "17 bios"),
        ("1.50 times", "1.55 times"),
        ("one\ntwo", "one"),
        ({"a": 1}, {"a": 1, "b": 2}),
        ([1, 2], [1]),
        ({"agrees": True}, {"agrees": 1}),
        ({"count": 1000}, {"count": 1001}),
        ({"low": None}, {"low": 1.0}),
        (1.0, 1.02),
    ],
)
def test_what_is_not_alike_is_seen(found, expected):
    assert differences(found, expected, FITTED)


def test_what_is_alike_passes():
    assert not differences("wait   2.50e+04 ns", "wait 2.51e+04  ns", FITTED)
    assert differences("wait   2.50e+04 ns", "wait 2.51e+04  ns", EXACT)
    assert differences("1,024 bios", "1,025 bios", EXACT)
    assert not differences({"a": [1, 1.005]}, {"a": [1, 1.0]}, FITTED)
    assert not differences({"a": 0.0}, {"a": 1e-13}, EXACT)
