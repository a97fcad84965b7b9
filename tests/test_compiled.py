"""Compiled kernels on disk: there for the next process, safe for many, never trusted blindly."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import zpmodel
from zpmodel.base import compiled
from zpmodel.base.accelerate import compiles, kernel

PROGRAM = """
import sys
from zpmodel.base.accelerate import kernel
from zpmodel.base.compiled import cache_folder
from zpmodel.devices.overlap import mva_rate
value = mva_rate(10e-6, 20e-6, 50e-6, 8)
assert not mva_rate.stats.cache_hits or "numba.np.npyimpl" not in sys.modules, "made ready to compile, for nothing"
print(f"{value:.6f}", sum(mva_rate.stats.cache_hits.values()), cache_folder())
"""


def start(home, cwd=None, **more):
    environment = {k: v for k, v in os.environ.items() if k not in ("NUMBA_DISABLE_JIT", "ZPMODEL_CACHE")}
    environment |= {"XDG_CACHE_HOME": str(home), "HOME": str(home), **more}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True, env=environment, cwd=cwd
    )


def ended(process):
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    value, hits, folder = out.split()
    return float(value), int(hits), folder


def run(home, cwd=None, **more):
    return ended(start(home, cwd, **more))


@pytest.fixture
def home(tmp_path):
    path = tmp_path / "home"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """A home where the kernel was compiled once; its first answer."""
    path = tmp_path_factory.mktemp("once") / "home"
    path.mkdir(mode=0o700)
    return path, run(path)


@pytest.fixture
def used(once, home):
    """A copy of that home."""
    shutil.copytree(once[0], home, dirs_exist_ok=True)
    return home


def kept(home):
    return sorted(path for path in (home / "zpmodel").rglob("*") if path.is_file())


def test_the_next_process_compiles_nothing(once, used):
    first, second = once[1], run(used)
    assert first[0] == second[0]
    assert (first[1], second[1]) == (0, 1)
    assert all(path.stat().st_mode & 0o077 == 0 for path in kept(once[0]))


@pytest.mark.slow
@pytest.mark.skipif(not compiles(), reason="nothing is compiled")
def test_a_constant_makes_no_further_code(monkeypatch):
    monkeypatch.setattr(compiled, "cache_folder", lambda: None)  # or these come from the last run of this test

    @kernel
    def inner(value, share):
        return value * share

    @kernel
    def outer(value):
        return inner(value, 2) + inner(value, 3) + inner(value, value)

    assert outer(5) == 50
    assert len(inner.signatures) == 1


def test_eight_at_once_on_an_empty_cache(home):
    found = [ended(process) for process in [start(home) for _ in range(8)]]
    assert len({value for value, _, _ in found}) == 1
    assert [hits for _, hits, _ in found].count(0) == 1  # one compiles, the others wait for it
    assert not [path for path in kept(home) if path.name.startswith(".")]
    assert run(home)[1] == 1


@pytest.mark.parametrize("damage", [b"", b"x" * 100, None, "a FIFO", "a hole"])
def test_what_is_damaged_is_compiled_anew(once, used, damage):
    assert kept(used)
    for path in kept(used):
        if isinstance(damage, str):
            path.unlink()
            os.mkfifo(path) if damage == "a FIFO" else os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 8 << 30)
            continue
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if damage is None else damage)
    assert run(used)[:2] == (once[1][0], 0)
    assert run(used)[1] == 1


def test_a_folder_that_others_can_write_is_not_trusted(used):
    (used / "zpmodel").chmod(0o777)
    _, hits, folder = run(used)
    assert (hits, folder) == (0, "None")


def test_a_folder_behind_a_link_is_not_followed(home, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (home / "zpmodel").symlink_to(tmp_path / "elsewhere")
    assert run(home)[2] == "None"
    assert list((tmp_path / "elsewhere").iterdir()) == [] or not kept(tmp_path / "elsewhere")


def test_without_a_home_it_compiles(tmp_path):
    (tmp_path / "file").write_text("")
    folder = run(tmp_path / "file" / "none")[2]
    assert folder == "None"


def test_it_can_be_switched_off(home):
    assert run(home, ZPMODEL_CACHE="0")[2] == "None"
    assert not (home / "zpmodel").exists()


def test_another_source_has_another_folder(once, home, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(Path(zpmodel.__path__[0]), copy / "zpmodel", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(Path(zpmodel.__path__[0]).parent / "data", copy / "data", ignore=shutil.ignore_patterns("fio"))
    before = str(next((once[0] / "zpmodel").iterdir()))
    changed = copy / "zpmodel" / "devices" / "overlap.py"
    changed.write_text(changed.read_text() + "# changed\n")
    assert run(home, cwd=copy, PYTHONPATH=str(copy))[2].rpartition("/")[2] != before.rpartition("/")[2]


def test_what_draws_charts_is_made_once_and_anew_where_it_is_damaged(home):
    program = "from zpmodel.report.site import _vega; import sys; print(len(_vega()), 'vl_convert' in sys.modules)"

    def ran():
        environment = {**os.environ, "XDG_CACHE_HOME": str(home)}
        return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment).stdout

    first = ran()
    assert first.endswith("True\n")
    assert ran() == first.replace("True", "False")
    (path,) = kept(home)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert [ran(), ran()] == [first, first.replace("True", "False")]
