"""Results that are kept: the same as those that are worked out, never trusted blindly, and not for ever."""

import os
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import synthetic

from zpmodel.base import results
from zpmodel.base.errors import InputError
from zpmodel.base.results import kept_result
from zpmodel.calibration import held_out
from zpmodel.calibration.calibrate import calibrate, fit_machine
from zpmodel.calibration.held_out import held_out_points, predict_blind
from zpmodel.calibration.kept import digest_of
from zpmodel.devices import Flat
from zpmodel.queue.limits import UINT_MAX


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of results of its own."""
    monkeypatch.setattr(results, "_folder", lambda: tmp_path)
    return tmp_path


def answers(*values):
    """What `make` returns, and how often it was asked."""
    given = list(values)
    return lambda: given.pop(0)


def test_the_next_one_gets_what_was_kept(folder):
    make = answers(1, 2, 3)
    assert [kept_result("a", make), kept_result("a", make), kept_result("b", make), kept_result("a", make)] == [
        1,
        1,
        2,
        1,
    ]
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())


@pytest.mark.parametrize("damage", [b"", b"x" * 100, None, "a FIFO"])
def test_what_is_damaged_is_worked_out_anew(folder, damage):
    assert kept_result("a", lambda: 1) == 1
    (path,) = folder.iterdir()
    content = path.read_bytes()
    if damage == "a FIFO":
        path.unlink()
        os.mkfifo(path)
    else:
        path.write_bytes(content[:-1] + b"?" if damage is None else damage)
    assert kept_result("a", lambda: 2) == 2
    assert kept_result("a", lambda: 3) == 2


def test_nothing_is_kept_of_what_fails(folder):
    with pytest.raises(ZeroDivisionError):
        kept_result("a", lambda: 1 // 0)
    assert list(folder.iterdir()) == []


def test_no_folder_no_keeping(monkeypatch):
    monkeypatch.setattr(results, "_folder", lambda: None)
    make = answers(1, 2)
    assert [kept_result("a", make), kept_result("a", make)] == [1, 2]


def test_those_that_nobody_asks_for_go(folder, monkeypatch):
    monkeypatch.setattr(results, "_KEPT_RESULTS", 2)
    for number, name in enumerate("ab"):
        kept_result(name, lambda: 1)
        for path in folder.iterdir():
            os.utime(path, (number, number))
    kept_result("a", lambda: 2)  # asked for again
    kept_result("c", lambda: 1)
    assert [kept_result(name, lambda: 2) for name in "ac"] == [1, 1]
    assert kept_result("b", lambda: 2) == 2


@pytest.fixture(scope="module")
def data():
    return synthetic.data_set(3)


def test_every_part_of_a_data_set_is_in_its_digest(data):
    more = data.writes.assign(replicate=data.writes["replicate"] + 1)
    others = [
        replace(data, machine={**data.machine, "cpu": {"model": "another"}}),
        replace(data, limits=replace(data.limits, max_segments=7)),
        replace(data, limits=replace(data.limits, max_segment_size=UINT_MAX - 511, source="elsewhere")),
        replace(data, device=Flat()),
        replace(data, copies=not data.copies),
        replace(data, limits_known=not data.limits_known),
        replace(data, writes=more),
        replace(data, writes=data.writes.iloc[:-1]),
        *(replace(data, writes=changed(data.writes, name)) for name in ("cpu_s", "rate", "path_s", "rounding_s")),
        replace(data, writes=data.writes.assign(memory="malloc")),
    ]
    found = [digest_of(one) for one in (data, *others)]
    assert len(set(found)) == len(found)
    assert digest_of(replace(data, writes=data.writes.copy())) == found[0]
    assert digest_of(moved(data)) == found[0]


def moved(data):
    """The same set under another name, in another place."""
    return replace(data, name="another", limits=replace(data.limits, source="/another/machine.toml"))


def test_a_set_that_was_moved_gets_what_was_kept_under_its_own_name(folder, data):
    calibrate(data, resamples=20)
    found, fresh = calibrate(moved(data), resamples=20), fit_machine(moved(data), 20)
    assert len(list(folder.iterdir())) == 1
    assert repr(found) == repr(fresh)
    assert found.driver.limits.source == "/another/machine.toml"


def changed(writes, name):
    """The table with a small change of its last row."""
    last = writes.index[-1]
    return writes.assign(**{name: writes[name].where(writes.index != last, writes[name] + 1e-12)})


def test_what_is_kept_is_what_was_worked_out(folder, data, monkeypatch):
    monkeypatch.setattr(held_out, "_RESAMPLES", 7)  # too few to walk, which takes a second for each part left out
    first, second = calibrate(data, resamples=20, seed=4), calibrate(data, resamples=20, seed=4)
    fresh = fit_machine(data, 20, 4)
    assert len(list(folder.iterdir())) == 1
    assert first is not second
    for one in (first, second):
        assert repr(one) == repr(fresh)
        assert np.array_equal(one.cpu.total_draws, fresh.cpu.total_draws)
        assert np.array_equal(one.device.paths(20), fresh.device.paths(20))
    assert not np.array_equal(calibrate(data, resamples=20, seed=5).cpu.total_draws, fresh.cpu.total_draws)
    some = data.writes["replicate"].isin((1, 2)) & data.writes["block_bytes"].isin((4096, 65536, 1 << 20, 4 << 20))
    few = replace(data, writes=data.writes[some])
    points = [held_out_points.__wrapped__(few) for _ in range(2)]
    assert len(points[1]) > 20
    pd.testing.assert_frame_equal(points[1], predict_blind(few), check_exact=True)
    assert len(list(folder.iterdir())) == 3


def test_nothing_is_kept_of_a_device_whose_source_is_not_ours(folder, data):
    class Own(Flat):
        pass

    calibrate(replace(data, device=Own()), resamples=20)
    assert list(folder.iterdir()) == []


def test_a_set_without_writes_is_refused_as_ever(folder, data):
    with pytest.raises(InputError):
        calibrate(replace(data, writes=data.writes.iloc[:0]))
