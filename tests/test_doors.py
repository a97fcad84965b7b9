"""Every door of the command line: spoilt input is one line and exit status 2, or an answer; and at once."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest
import synthetic

from zpmodel.base import files
from zpmodel.calibration.calibrate import calibrate
from zpmodel.calibration.store import save
from zpmodel.datasets.any_fio import read_any
from zpmodel.datasets.imported import Said, write_set

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tools"))
spec = importlib.util.spec_from_file_location("fuzz_doors", ROOT / "tools/fuzz_doors.py")
fuzz_doors = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fuzz_doors)
fuzz_inputs = fuzz_doors.fuzz_inputs
sys.path.remove(str(ROOT / "tools"))

NAMES = [door.name for door in fuzz_inputs.doors(Path()) if door.files]
KEPT = [name for name, *_ in fuzz_doors.fuzz_folders.doors(Path()) if not name.startswith(("fleets", "batches"))]


@pytest.fixture(scope="module")
def doors(tmp_path_factory):
    made = tmp_path_factory.mktemp("made")
    save(calibrate(synthetic.data_set(1), resamples=20), made / "calibration.json")
    runs = [str(fuzz_inputs.FIXTURES / "fio/real")]
    write_set(made / "imported", read_any(runs), Said("nvme-mdts5", "nvme", None, None, None), runs)
    fuzz_inputs.measured(made / "set")
    fuzz_doors.fuzz_folders.prepare(made)
    found = list(fuzz_inputs.doors(made))
    fuzz_doors.open_all(found)
    return found


def fifo(path):
    path.unlink()
    os.mkfifo(path)


def endless(path):
    path.unlink()
    path.symlink_to("/dev/zero")


def folder(path):
    path.unlink()
    path.mkdir()


def hole(path):
    with path.open("r+b") as file:
        file.truncate(1 << 32)


def empty(path):
    path.write_bytes(b"")


def deep(path):
    path.write_bytes(b'{"a":' * 100_000)


@pytest.mark.parametrize("spoil", [fifo, endless, folder, hole, empty, deep], ids=lambda spoil: spoil.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_such_file_is_one_line_at_once(doors, name, spoil, tmp_path):
    door = next(door for door in doors if door.name == name)
    with fuzz_doors.harmless(tmp_path):
        arguments = door.make(tmp_path, fuzz_doors.random.Random(1))
        path = next(path for path in sorted(tmp_path.glob(door.files)) if path.is_file())
        spoil(path)
        outcome, said = fuzz_doors.attempt(arguments)
    # A set is read without the point that is damaged, a folder of runs without what is none, and what a command kept
    # for itself is made anew; no questions have no answers.
    taken = "sets" in name or name.startswith("folders") or name in KEPT or (spoil is empty and "--cases" in name)
    assert outcome == "refused" or (taken and outcome == "answered"), said


WRITTEN = [
    name
    for name in NAMES
    if not {"buddyinfo", "blkparse", "Parquet", "answers"} & set(name.split()) and name not in KEPT
]
"""Doors for what people may have had in an editor."""


@pytest.mark.parametrize("name", WRITTEN)
def test_a_byte_order_mark_is_passed_over(doors, name, tmp_path):
    door = next(door for door in doors if door.name == name)
    with fuzz_doors.harmless(tmp_path):
        arguments = door.make(tmp_path, fuzz_doors.random.Random(1))
        path = next(path for path in sorted(tmp_path.glob(door.files)) if path.is_file())
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        outcome, said = fuzz_doors.attempt(arguments)
    assert outcome == "answered", said


@pytest.mark.parametrize("part", range(3))
def test_spoilt_input(doors, part):
    """A part of what tools/fuzz_doors.py does, the same each time: it must not fail where nothing changed."""
    for number in range(100 * part, 100 * part + 100):
        name, arguments, outcome, said = fuzz_doors.one(doors, 14, number)
        assert outcome in ("answered", "refused"), (number, name, arguments, said)


def test_the_fuzzer_sees_what_is_wrong(doors, monkeypatch):
    """Each kind of misbehaviour, put into a command, has its name."""
    import time

    from zpmodel.queue import presets

    ask = ["structure", "--limits", "loop", "--length", "1MiB"]

    def outcome(does, arguments=ask, **limits):
        monkeypatch.setattr(presets, "find_limits", does)
        return fuzz_doors.attempt(arguments, **limits)[0]

    def spin(name):
        while True:
            pass

    assert outcome(lambda name: 1 / 0) == "traceback"
    assert outcome(spin, cpu_s=0.2) == "too long"
    assert outcome(lambda name: time.sleep(60), wait_s=0.2) == "too long"

    def talkative(name):
        print("a line before", file=sys.stderr)
        raise files.InputError("a", "b", "c", "d")

    assert outcome(talkative) == "not one line"
