"""What `make test` leaves to `make thorough` is there, and a case of each kind is left in it."""

from pathlib import Path

import depth


def test_each_name_is_a_test_s():
    for name in depth.FIRST:
        file, _, test = name.partition("::")
        assert f"def {test}(" in (Path(__file__).parent / f"{file}.py").read_text(encoding="utf-8"), name


def test_both_together_are_all():
    makefile = (Path(__file__).parent.parent / "Makefile").read_text(encoding="utf-8")
    for chosen in ('"not thorough"', "thorough"):
        assert f"$(PYTEST) -m {chosen}\n" in makefile
