"""Taking turns: one at a time, nobody blocked by who is gone, and never needed."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from zpmodel.base import turn
from zpmodel.base.turn import Turn, wanted_until

HOLDER = """
import sys, time
from pathlib import Path
from zpmodel.base.turn import Turn
held = Turn(Path(sys.argv[1]), "work")
held.wait()
print("mine", flush=True)
time.sleep(float(sys.argv[2]))
held.end()
print("done", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Start a process that has the turn, for so many seconds."""
    started = []

    def start(seconds):
        started.append(
            subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path), str(seconds)], stdout=-1, text=True)
        )
        assert started[-1].stdout.readline() == "mine\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def waited(folder):
    mine, start = Turn(folder, "work"), time.monotonic()
    mine.wait()
    seconds = time.monotonic() - start
    mine.end()
    return seconds


def test_the_next_one_waits_until_the_work_is_done_and_nothing_is_left(tmp_path, holder):
    process = holder(1)
    assert waited(tmp_path) > 0.3
    assert process.stdout.readline() == "done\n"
    assert list(tmp_path.iterdir()) == []


def test_who_is_killed_blocks_nobody(tmp_path, holder):
    holder(600).kill()
    assert waited(tmp_path) < 30


def test_who_takes_long_is_waited_for_once(tmp_path, holder, monkeypatch):
    monkeypatch.setattr(turn, "_LONGEST_S", 0.5)
    monkeypatch.setattr(turn, "_patient", True)
    holder(600)
    assert waited(tmp_path) >= 0.5
    assert waited(tmp_path) < 0.3
    # It is still the other's.
    assert [path.name for path in tmp_path.iterdir()] == [".work.turn"]


def test_a_thread_whose_work_is_no_longer_wanted_waits_no_longer(tmp_path, holder):
    ended = threading.Event()

    def work(name):
        with wanted_until(ended):
            Turn(tmp_path, name).wait()

    holder(600)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(work, "work")
        time.sleep(0.3)
        assert not waiting.done()
        ended.set()
        assert isinstance(waiting.exception(timeout=30), InterruptedError)
        # Nor does it begin: compiling can't be stopped. Nobody else is kept from it.
        assert isinstance(pool.submit(work, "other").exception(timeout=30), InterruptedError)
        assert pool.submit(waited, tmp_path / "none").result() < 30
    assert [path.name for path in tmp_path.iterdir()] == [".work.turn"]


@pytest.mark.parametrize("place", ["missing", "a folder", "a link", "a FIFO"])
def test_where_there_can_be_no_turn_nobody_waits(tmp_path, place):
    path = tmp_path / ".work.turn"
    if place == "a folder":
        path.mkdir()
    elif place == "a link":
        path.symlink_to(tmp_path / "elsewhere")
    elif place == "a FIFO":
        os.mkfifo(path)
    assert waited(tmp_path / "none" if place == "missing" else tmp_path) < 30
    assert not (tmp_path / "elsewhere").exists()
