"""Files that are complete or absent, whatever happens to the program, the disk or the power; and reading no others.

An output is a regular file or a new name. A device node, a FIFO, a socket, a folder or a symlink is refused: a rename
would replace it, as root even /dev/null.
"""

import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from zpmodel.base.errors import InputError

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a symlink",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
}


LARGEST_BYTES = 4 << 20
"""Of what is read whole, where nothing else is said; what `measure` writes for a point has some KiB."""


def open_regular(path: Path | str) -> BufferedReader:
    """Open a regular file for reading; never waits for a FIFO.

    :raises ValueError: where it is something else.
    :raises OSError: where it can't be opened.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise ValueError("it is no regular file")
    return open(fd, "rb")  # noqa: PTH123 - a descriptor, not a path


def read_bounded(path: Path | str, largest_bytes: int = LARGEST_BYTES) -> bytes:
    """Read a regular file of at most so many bytes; never fills the memory.

    :raises ValueError: where it is something else, or larger.
    :raises OSError: where it can't be read.
    """
    with open_regular(path) as file:
        raw = file.read(largest_bytes + 1)
    if len(raw) > largest_bytes:
        raise ValueError(f"too large: more than {largest_bytes} bytes")
    return raw


def read_text(path: Path | str, largest_bytes: int = LARGEST_BYTES) -> str:
    """As `read_bounded`, as text; a byte order mark before it is passed over, as some editors write one.

    :raises ValueError: where it is no regular file, larger, or not UTF-8.
    :raises OSError: where it can't be read.
    """
    return read_bounded(path, largest_bytes).decode("utf-8-sig")


def bounded_lines(file: BinaryIO, largest_bytes: int = 1 << 20) -> Iterator[bytes]:
    """The lines of a file of any length, each of at most so many bytes.

    :raises ValueError: where one is longer.
    """
    while line := file.readline(largest_bytes + 1):
        if len(line) > largest_bytes:
            raise ValueError(f"a line of more than {largest_bytes} bytes")
        yield line


def check_output(path: Path, *, where: str = "output") -> None:
    """Refuse what can't be an output: anything but a regular file or a new name in a folder that can be written.

    :param where: what named the path, such as ``--out``; stands in the error.
    :raises InputError: with what the path is.
    """
    accepted = "a regular file, or a new name in a folder that can be written"
    # Not is_dir(), which is also false for a folder that may not be looked into.
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
        raise InputError(where, "file", f"no folder that can be written: {path}", accepted)
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise InputError(where, "file", f"{error}", accepted) from None
    if not stat.S_ISREG(mode):
        raise InputError(where, "file", f"{_KINDS.get(stat.S_IFMT(mode), 'not a file')}: {path}", accepted)


def check_new(path: Path, *, where: str = "output") -> None:
    """Refuse what is no new name in a folder that can be written: results are never overwritten.

    :raises InputError: as `check_output`, and where there is a file.
    """
    check_output(path, where=where)
    if os.path.lexists(path):
        raise InputError(str(path), "file", "exists", "a new name: results are never overwritten")


def check_folder(folder: Path) -> None:
    """Refuse a folder for outputs that somebody else put where everybody may make one, such as /tmp.

    Its owner could change under our hands what we write there. It is the kernel's rule for files in such places
    (``fs.protected_regular``), for folders; one that isn't there yet is not refused.

    :raises InputError: with its owner.
    """
    try:
        found, above = folder.lstat(), folder.parent.stat()
    except (OSError, ValueError):
        return
    shared = above.st_mode & stat.S_ISVTX and above.st_mode & 0o022
    if shared and found.st_uid not in (os.geteuid(), above.st_uid):
        accepted = f"you: in {folder.parent}, which others write to, name a new folder or one of your own"
        raise InputError(str(folder), "owner", f"user {found.st_uid}", accepted)


_TEMPORARY = re.compile(r"\..{1,60}\.[0-9a-f]{16}", re.DOTALL)


def remove_half_written(folder: Path) -> None:
    """Remove files that a killed program had not yet given their names; nobody else may be writing there now.

    :raises OSError: where they can't be removed.
    """
    for path in folder.iterdir():
        if _TEMPORARY.fullmatch(path.name) and (path.is_symlink() or not path.is_dir()):
            path.unlink(missing_ok=True)


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that gets the name ``path`` when the block ends, whole and durable; after an error nothing is left.

    Nor is after a kill, where the file system can hold a file without a name: almost all can.

    :raises InputError: where ``path`` is neither a regular file nor new.
    :raises OSError: where writing fails, naming ``path``; the old file, or none, is then still there.
    """
    check_output(path)
    # The name can't be guessed, and one that is taken, by a planted symlink too, is an error: neither O_EXCL nor
    # link(2) follows any.
    temporary = path.with_name(f".{path.name[:60]}.{secrets.token_hex(8)}")
    try:
        fd, named = _opened(temporary)
        with os.fdopen(fd, "wb") as file:
            yield file
            file.flush()
            if not named:
                # src_dir_fd is not looked at, but without one Python calls link(2), which links the link itself.
                os.link(f"/proc/self/fd/{fd}", temporary, src_dir_fd=fd, follow_symlinks=True)
        publish(temporary, path)
    except OSError as error:
        raise _named(error, path) from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def _opened(temporary: Path) -> tuple[int, bool]:
    """Open a file without a name in the folder of a temporary name, or under that name; and say whether it has it."""
    with suppress(OSError):
        return os.open(temporary.parent, os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, 0o666), False
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(temporary, flags, 0o666), True


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a whole file under a temporary name, make it durable, then give it its name.

    :raises InputError: where ``path`` is neither a regular file nor new.
    :raises OSError: where writing fails; the old file, or none, is then still there.
    """
    with new_file(path) as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)


def publish(temporary: Path, path: Path) -> None:
    """Make a finished temporary file durable and give it its name.

    :raises InputError: where ``path`` is neither a regular file nor new.
    :raises OSError: where that fails, or the temporary file is a symlink.
    """
    check_output(path)
    file = os.open(temporary, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        os.fsync(file)
    finally:
        os.close(file)
    temporary.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _named(error: OSError, path: Path) -> OSError:
    """The same error with the file's own name, which a failed write doesn't know."""
    return OSError(error.errno, error.strerror, str(path)) if error.errno is not None else error
