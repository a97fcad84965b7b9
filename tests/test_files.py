"""Outputs: whole or absent, never through a planted name, never onto what is not a file."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from zpmodel.base import files
from zpmodel.base.errors import InputError
from zpmodel.base.files import check_new, check_output, new_file, publish, write_atomically

root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
COMMAND = [sys.executable, "-c", "from zpmodel.commands.main import main; main()"]


def test_a_new_file_is_whole_and_a_second_replaces_it(tmp_path):
    path = tmp_path / "a.json"
    write_atomically(path, "one\n")
    path.chmod(0o644)
    write_atomically(path, b"two\n")
    assert path.read_text() == "two\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def _made(tmp_path: Path, kind: str) -> Path:
    path = tmp_path / kind
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "symlink":
        (tmp_path / "precious").write_text("precious")
        path.symlink_to(tmp_path / "precious")
    elif kind == "dangling":
        path.symlink_to(tmp_path / "nothing")
    return path


@pytest.mark.parametrize("kind", ["fifo", "folder", "symlink", "dangling"])
def test_what_is_no_regular_file_is_refused_and_stays(tmp_path, kind):
    path = _made(tmp_path, kind)
    before = os.lstat(path)
    for write in (lambda: write_atomically(path, "x"), lambda: check_output(path, where="--out")):
        with pytest.raises(InputError, match="a regular file"):
            write()
    after = os.lstat(path)
    assert (after.st_ino, after.st_mode, after.st_size) == (before.st_ino, before.st_mode, before.st_size)
    assert not [entry for entry in tmp_path.iterdir() if entry.name.startswith(".")]
    temporary = tmp_path / "finished"
    temporary.write_text("x")
    with pytest.raises(InputError):
        publish(temporary, path)


@pytest.mark.root
@root
def test_a_device_node_is_refused_and_stays(tmp_path):
    node = tmp_path / "null"
    os.mknod(node, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    with pytest.raises(InputError, match="character device"):
        write_atomically(node, "x")
    assert stat.S_ISCHR(os.lstat(node).st_mode)


@pytest.mark.root
@root
def test_calibrate_leaves_a_device_node_alone(tmp_path):
    node = tmp_path / "null"
    os.mknod(node, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    done = subprocess.run([*COMMAND, "calibrate", str(tmp_path), "--out", str(node)], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "--out" in done.stderr
    assert stat.S_ISCHR(os.lstat(node).st_mode)


def test_a_planted_temporary_name_is_not_followed(tmp_path, monkeypatch):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    monkeypatch.setattr(files.secrets, "token_hex", lambda size: "known")
    (tmp_path / ".out.known").symlink_to(victim)
    with pytest.raises(OSError) as caught:
        write_atomically(tmp_path / "out", "x")
    assert caught.value.errno == errno.EEXIST
    assert victim.read_text() == "precious"
    assert not (tmp_path / "out").exists()


def test_a_finished_file_that_is_a_symlink_is_not_published(tmp_path):
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "printed").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError):
        publish(tmp_path / "printed", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")

    def broken():
        with new_file(path) as file:
            file.write(b"half")
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        broken()
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_a_missing_folder_is_one_clear_error(tmp_path):
    with pytest.raises(InputError, match="no folder"):
        write_atomically(tmp_path / "none" / "a", "x")


@pytest.fixture
def tiny(tmp_path):
    folder = tmp_path / "tiny"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.root
@root
def test_a_full_disk_is_one_error_and_leaves_nothing_half_done(tiny):
    (tiny / "old").write_text("old")
    for name in ("old", "new"):
        with pytest.raises(OSError) as caught:
            write_atomically(tiny / name, "x" * 200_000)
        assert caught.value.errno == errno.ENOSPC
        assert caught.value.filename == str(tiny / name)
    assert {entry.name: entry.read_text() for entry in tiny.iterdir()} == {"old": "old"}


def test_the_file_keeps_to_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_result_takes_a_new_name_alone(tmp_path):
    (tmp_path / "there.csv").write_text("kept")
    (tmp_path / "link.csv").symlink_to(tmp_path / "elsewhere.csv")
    for name in ("there.csv", "link.csv"):
        with pytest.raises(InputError, match=r"never overwritten|a symlink"):
            check_new(tmp_path / name)
    check_new(tmp_path / "new.csv")
    assert (tmp_path / "there.csv").read_text() == "kept"
