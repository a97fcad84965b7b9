"""Compiled code kept on disk: never wrong, never another user's, never in the way."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "zpmodel"
# The lightest kernel, so that compiling it eight times at once takes seconds; whether it was loaded or compiled.
PROGRAM = (
    "from zpmodel.devices.overlap import round_rate\n"
    "print(round_rate(1.0, 2.0, 3.0, 4), sum(round_rate.stats.cache_hits.values()))"
)
ANSWER = str(4 / 12)


def start(cache: Path | None, program: str = PROGRAM, **more: str) -> subprocess.Popen[str]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("NUMBA", "XDG", "ZPMODEL"))
    }
    environment["PYTHONPATH"] = str(PACKAGE.parent)
    if cache:
        environment["XDG_CACHE_HOME"] = str(cache)
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env={**environment, **more},
        # `-c` looks in the working folder first
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def hits(cache: Path | None, **more: str) -> int:
    process = start(cache, **more)
    out, errors = process.communicate()
    assert (process.returncode, errors) == (0, ""), errors
    answer, number = out.split()
    assert answer == ANSWER
    return int(number)


def entries(cache: Path) -> list[Path]:
    return [path for path in cache.glob("zpmodel/compiled-*/*") if path.name != "lock"]


def test_the_second_process_compiles_nothing(tmp_path):
    assert [hits(tmp_path), hits(tmp_path)] == [0, 1]
    (entry,) = entries(tmp_path)
    for path in (entry.parent, entry.parent.parent):
        assert path.stat().st_mode & 0o077 == 0
    assert hits(tmp_path, ZPMODEL_CACHE="0") == 0
    # what numba is told to do otherwise is another folder
    assert hits(tmp_path, NUMBA_OPT="1") == 0


@pytest.mark.parametrize("turn", range(3))
def test_eight_processes_at_once_on_an_empty_cache(tmp_path, turn):
    running = [start(tmp_path) for _ in range(8)]
    for process in running:
        out, errors = process.communicate()
        assert (process.returncode, errors) == (0, ""), errors
        assert out.split()[0] == ANSWER
    assert hits(tmp_path) == 1
    assert len(entries(tmp_path)) == 1


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "garbage", "folder"])
def test_a_damaged_file_is_compiled_and_written_again(tmp_path, damage):
    hits(tmp_path)
    (entry,) = entries(tmp_path)
    whole = entry.read_bytes()
    if damage == "folder":
        entry.unlink()
        entry.mkdir()
    else:
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        entry.write_bytes({"empty": b"", "cut": whole[:-1], "flipped": flipped, "garbage": b"x" * 999}[damage])
    assert hits(tmp_path) == 0
    if damage != "folder":
        assert hits(tmp_path) == 1


def test_what_holds_the_lock_delays_nobody(tmp_path):
    hits(tmp_path)
    (entry,) = entries(tmp_path)
    entry.unlink()
    hold = f"import fcntl, time; f = open({str(entry.parent / 'lock')!r}, 'w'); fcntl.flock(f, fcntl.LOCK_EX)\n"
    process = start(None, hold + "print('held', flush=True); time.sleep(60)")
    try:
        assert process.stdout is not None
        process.stdout.readline()
        started = time.perf_counter()
        assert hits(tmp_path) == 0
        assert time.perf_counter() - started < 50
        assert entries(tmp_path) == []
    finally:
        process.kill()
        process.communicate()


def test_changed_source_is_never_answered_from_the_cache(tmp_path):
    tree = tmp_path / "tree"
    shutil.copytree(PACKAGE, tree / "zpmodel", ignore=shutil.ignore_patterns("__pycache__"))
    cache = tmp_path / "cache"
    program = PROGRAM.replace("round_rate", "steady_rate").replace("4)", "4, 1.0)")

    def run() -> list[str]:
        process = start(cache, program, PYTHONPATH=str(tree), PYTHONDONTWRITEBYTECODE="1")
        out, errors = process.communicate()
        assert process.returncode == 0, errors
        return out.split()

    assert run() == [ANSWER, "0"]
    assert run() == [ANSWER, "1"]
    # a callee's file, not the kernel's own
    source = tree / "zpmodel" / "devices" / "overlap.py"
    text = source.read_text()
    assert "return depth / (latency" in text
    source.write_text(text.replace("return depth / (latency", "return 2 * depth / (latency"))
    assert run() == [str(8 / 12), "0"]


def test_links_and_open_folders_are_not_followed(tmp_path):
    real, cache = tmp_path / "real", tmp_path / "cache"
    hits(real)
    cache.mkdir()
    (cache / "zpmodel").symlink_to(real / "zpmodel")
    assert hits(cache) == 0
    (entry,) = entries(real)
    # an entry that is a link, to a file that would be accepted
    aside = entry.with_name("aside")
    entry.rename(aside)
    entry.symlink_to(aside)
    assert hits(real) == 0
    (real / "zpmodel").chmod(0o755)
    assert hits(real) == 0


def test_folders_that_others_may_change_are_not_used(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o777)
    shared.chmod(0o777)
    assert [hits(shared / "mine") for _ in range(2)] == [0, 0]
    assert entries(shared / "mine") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
def test_root_runs_no_code_of_another_user(tmp_path):
    hits(tmp_path)
    (entry,) = entries(tmp_path)
    os.chown(entry, 65534, 65534)
    assert hits(tmp_path) == 0
    os.chown(tmp_path / "zpmodel", 65534, 65534)
    assert hits(tmp_path) == 0
    os.chown(tmp_path / "zpmodel", 0, 0)
    os.chown(tmp_path, 65534, 65534)
    assert hits(tmp_path) == 0


def test_no_home_no_cache_and_no_word(tmp_path):
    missing = tmp_path / "nobody"
    assert hits(None, HOME=str(missing)) == 0
    assert not missing.exists()
    file = tmp_path / "file"
    file.write_text("")
    assert hits(None, HOME=str(file)) == 0
    assert hits(file / "below") == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_that_is_read_only(tmp_path):
    tmp_path.chmod(0o500)
    try:
        assert hits(None, HOME=str(tmp_path)) == 0
    finally:
        tmp_path.chmod(0o700)
