"""Who owes what to this machine: things borrowed or made whose record must outlive the process and its folders.

One small JSON file for each debt, under /run/zpmodel-ledger (root) or /var/tmp/zpmodel-ledger-UID, named by its owner's
process id and start time. Whoever comes next can settle what dead owners left. Everything is done under one lock; the
folder is gone when nothing is owed.
"""

import fcntl
import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from zpmodel.base.errors import RefusedError
from zpmodel.base.files import read_text, write_atomically
from zpmodel.host.leftovers import is_leftover, owned_name

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Ledger:
    """The open ledger, while its lock is held."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, kind: str, name: str, debt: dict[str, Any]) -> None:
        """Record a debt of this process, or change it.

        :param kind: lower-case letters.
        :param name: tells the debts of one process and kind apart.
        :raises RefusedError: where it can't be recorded: then nothing must be borrowed.
        """
        about = {**debt, "boot": _boot(), "pid_namespace": _pid_namespace()}
        try:
            write_atomically(self._path(kind, name), json.dumps(about) + "\n")
        except OSError as error:
            raise RefusedError(f"{self._folder}: no record can be kept there: {error.strerror}") from None

    def strike(self, kind: str, name: str) -> dict[str, Any] | None:
        """Remove a debt of this process, and return it as it stood; None where there is none."""
        path = self._path(kind, name)
        debt = _read(path)
        path.unlink(missing_ok=True)
        return debt

    def living(self, kind: str) -> list[dict[str, Any]]:
        """Return the debts of owners that live, this process among them."""
        return [debt for path, debt in self._all(kind) if not _is_dead(path.name, kind, debt)]

    def settle_dead(self, kind: str, settle: Callable[[dict[str, Any]], bool]) -> None:
        """Call ``settle`` with each debt whose owner is dead, and strike it if that says that it is done with.

        Debts from before the machine's last start are struck without a word: nothing of them is left.
        """
        for path, debt in self._all(kind):
            if debt.get("boot") != _boot() or (_is_dead(path.name, kind, debt) and settle(debt)):
                path.unlink(missing_ok=True)

    def _path(self, kind: str, name: str) -> Path:
        return self._folder / f"{owned_name(kind, os.getpid())}-{name}"

    def _all(self, kind: str) -> list[tuple[Path, dict[str, Any]]]:
        paths = sorted(self._folder.glob(f"zpmodel-{kind}-*"))
        return [(path, debt) for path in paths if (debt := _read(path)) is not None]


@contextmanager
def open_ledger() -> Iterator[Ledger]:
    """Open the ledger and keep every other process of this user out of it meanwhile.

    :raises RefusedError: where no folder for it can be made, or it is somebody else's.
    """
    folder, lock = _locked_folder()
    try:
        for half_written in folder.glob(".*"):
            half_written.unlink(missing_ok=True)
        yield Ledger(folder)
    finally:
        with suppress(OSError):
            folder.rmdir()  # only where it is empty; whoever waits for the lock sees that it is gone
        os.close(lock)


def _locked_folder() -> tuple[Path, int]:
    reason = "no folder"
    for folder in _places():
        for _ in range(1000):
            try:
                with suppress(FileExistsError):
                    folder.mkdir(mode=0o700)
                lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError:
                if folder.parent.is_dir():
                    continue  # removed by the last owner just now
                break
            except OSError as error:
                reason = f"{folder}: {error.strerror}"
                break
            fcntl.flock(lock, fcntl.LOCK_EX)
            status = os.fstat(lock)
            if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o022:
                os.close(lock)
                reason = f"{folder} belongs to, or can be written by, somebody else"
                break
            with suppress(OSError):
                if os.path.samestat(folder.lstat(), status):
                    return folder, lock
            os.close(lock)
    raise RefusedError(f"no record of what is borrowed can be kept: {reason}")


def _places() -> list[Path]:
    fallback = Path(f"/var/tmp/zpmodel-ledger-{os.geteuid()}")
    return [Path("/run/zpmodel-ledger"), fallback] if os.geteuid() == 0 else [fallback]


def _read(path: Path) -> dict[str, Any] | None:
    try:
        debt = json.loads(read_text(path))
    except (OSError, ValueError, RecursionError):
        return None
    return debt if isinstance(debt, dict) else None


def _is_dead(name: str, kind: str, debt: dict[str, Any]) -> bool:
    # Another container's process ids say nothing here.
    return debt.get("pid_namespace") == _pid_namespace() and is_leftover(name, kind)


def _boot() -> str:
    return _BOOT.read_text().strip() if _BOOT.exists() else ""


def _pid_namespace() -> str:
    with suppress(OSError):
        return str(Path("/proc/self/ns/pid").readlink())
    return ""
