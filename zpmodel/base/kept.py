"""What is costly to make and always the same, kept in the user's cache folder, safe for many processes at once.

Each file appears whole (a temporary name, then a rename), under a name that says all it depends on, so that two who
write the same name write the same thing; it is sealed (:mod:`zpmodel.base.sealed`). The folder belongs to the user and
is closed to others, since what is in it is run.
"""

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from zpmodel.base.sealed import sealed

_KEPT_VERSIONS = 6


def kept_folder(version: str) -> Path | None:
    """The folder of what belongs to one version; None where there can be none, or ``ZPMODEL_CACHE=0``.

    The folders that were not used for longest go.
    """
    if os.environ.get("ZPMODEL_CACHE") == "0":
        return None
    try:
        top = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zpmodel"
        folder = top / version
        for path in (top, folder):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = path.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
                return None
        _forget_old(top, folder)
    except (OSError, RuntimeError):  # no home, or one that can't be written
        return None
    return folder if os.access(folder, os.R_OK | os.X_OK) else None


def _forget_old(top: Path, folder: Path) -> None:
    """Remove the folders that were not used for longest; whoever still runs what was in them has it in memory."""
    os.utime(folder)
    for old in unused_longest((path for path in top.iterdir() if path != folder), _KEPT_VERSIONS - 1):
        with suppress(OSError):
            for file in old.iterdir():
                file.unlink()
            old.rmdir()


def unused_longest(paths: Iterable[Path], most: int) -> list[Path]:
    """Of more than ``most`` paths those that were not used for longest.

    :raises OSError: where one is not there any more.
    """
    return sorted(paths, key=lambda path: path.lstat().st_mtime, reverse=True)[most:]


def keep(path: Path, content: bytes) -> None:
    """Write a file of such a folder.

    :raises OSError: on a full disk, or a folder that went away; nothing is left then.
    """
    temporary = path.with_name(f".{path.name}.{token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123
            file.write(sealed(content))
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
