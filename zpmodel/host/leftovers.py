"""Things made in the kernel must not outlive the process that made them.

Names carry their owner (process id and start time), so that a later run can tell what a killed one left behind from
what a living one still uses; signals are held back while something is half made.
"""

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_OWNED = re.compile(r"zpmodel-(?P<kind>[a-z]+)-(?P<pid>\d+)-(?P<start>\d+)(?:-|$)")


def _start_time(pid: int) -> str | None:
    """Return when a process started [clock ticks since boot], field 22 of /proc/PID/stat (proc(5)); None if gone."""
    try:
        # The command in parentheses may hold blanks and parentheses itself.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def owned_name(kind: str, pid: int) -> str:
    """Name something of this kind (lower-case letters) so that its owner can be told from it."""
    return f"zpmodel-{kind}-{pid}-{_start_time(pid)}"


def is_leftover(name: str, kind: str) -> bool:
    """Say whether a name is of this kind and its owner is no longer alive."""
    match = _OWNED.match(name)
    return match is not None and match["kind"] == kind and _start_time(int(match["pid"])) != match["start"]


@contextmanager
def signals_held() -> Iterator[None]:
    """Delay Ctrl-C, SIGTERM and SIGHUP until the block is done (main thread; elsewhere Python delivers none)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        arrived.append(number)

    # Handlers and not a signal mask: with a mask another thread of the process would take the signal.
    before = {number: signal.signal(number, remember) for number in _ENDING}
    try:
        yield
    finally:
        for ending, handler in before.items():
            signal.signal(ending, handler)
        for number in arrived:
            signal.raise_signal(number)


@contextmanager
def signals_end_orderly() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into SystemExit, as Ctrl-C is KeyboardInterrupt, so that ``finally`` blocks run."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    # Whoever ignores a signal (nohup) or handles it already keeps that.
    changed = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is signal.SIG_DFL]
    for number in changed:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)
