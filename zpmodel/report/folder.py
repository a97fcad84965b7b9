"""The folder of a report: only a new one, an empty one or a report's own, and one report at a time."""

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from zpmodel.base.errors import InputError, RefusedError
from zpmodel.base.files import check_folder, remove_half_written

MARKER = ".zpmodel-report"
"""The file that says a folder is a report; it is also what two reports lock each other out with."""

FOLDERS = ("notebooks", "charts", "data", "parts", "assets")
RUN_PREFIX = ".run-"


@contextmanager
def claimed(out: Path, folders: Sequence[str] = FOLDERS) -> Iterator[None]:
    """Make the folder where it is missing, and hold it until the block ends.

    :param folders: what is made in it.
    :raises InputError: where it can't be written, or holds something that is not a report.
    :raises RefusedError: while another report is being made into it.
    """
    check_folder(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(out / MARKER) and any(out.iterdir()):
            raise InputError(
                str(out), "folder", "it is not empty and not a report", "a new or empty folder, or a report's own"
            )
        lock = os.open(out / MARKER, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise InputError(str(out), "folder", str(error), "a folder that can be written") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RefusedError(f"{out}: another report is being made here; wait, or choose another") from None
        _tidy(out, folders)
        yield
    finally:
        os.close(lock)


def _tidy(out: Path, folders: Sequence[str]) -> None:
    """Remove what a killed report left, and make the folders; none may be a symlink to somewhere else."""
    try:
        for left in out.glob(f"{RUN_PREFIX}*"):
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
        for name in folders:
            if (out / name).is_symlink():
                raise InputError(str(out / name), "folder", "a symlink", "a folder of the report's own")
            (out / name).mkdir(exist_ok=True)
        for folder in (out, *(out / name for name in folders)):
            remove_half_written(folder)
    except OSError as error:
        raise InputError(str(out), "folder", str(error), "a folder that can be written") from None
