"""Taking turns among processes, where each would otherwise do the same work at the same time.

A turn saves time and is never needed: where there can be none (a folder that can only be read, a file system without
locks), or who has it takes long, the work is done beside the others.
"""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LONGEST_S = 60.0
_LOOK_S = 0.01

_patient = True
_thread = threading.local()


@contextmanager
def wanted_until(ended: threading.Event | None) -> Iterator[None]:
    """Inside, this thread's work is wanted until ``ended`` is set: then it waits for no turn, and gets none."""
    _thread.ended = ended
    try:
        yield
    finally:
        _thread.ended = None


def _wanted() -> bool:
    ended = getattr(_thread, "ended", None)
    return ended is None or not ended.is_set()


class Turn:
    """A place in the line for one name in a folder; the kernel gives it back when its process ends, however it does."""

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / f".{name}.turn"
        self._descriptor: int | None = None

    def wait(self) -> None:
        """Wait until it is our turn, or it takes too long, and then never again in this process.

        :raises InterruptedError: where what it is for is no longer wanted: whoever ends waits for all threads.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        start = time.monotonic()
        with suppress(OSError):
            descriptor = os.open(self._path, flags, 0o600)
            try:
                while not _locked(descriptor):
                    if not _wanted() or not _be_patient(time.monotonic() - start):
                        raise TimeoutError(f"{self._path} is held for long")
                    time.sleep(_LOOK_S)
            except BaseException:
                os.close(descriptor)
                raise
            self._descriptor = descriptor
        if not _wanted():
            self.end()
            raise InterruptedError("this work is no longer wanted")

    def end(self) -> None:
        """Let the next one go on. The file goes first: who comes now finds the work done and needs no turn."""
        if self._descriptor is None:
            return
        with suppress(OSError):
            self._path.unlink()
        # Said and not only closed: a child that was forked meanwhile may have it open for long.
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)
        self._descriptor = None


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _be_patient(waited_s: float) -> bool:
    """Whether to wait on; a holder that is stopped may have more that we would wait for."""
    global _patient
    _patient = _patient and waited_s < _LONGEST_S
    return _patient
