"""Being stopped: Ctrl-C, SIGTERM and SIGHUP end a program at once, in order, and are never lost.

A signal becomes an exception, so that every ``finally`` runs. Python raises it wherever the program happens to be, and
there are places that swallow it: callbacks from C (numba's compiler has many), finalizers, look-ups that clear
errors, ``except:`` of a library. So a timer looks whether the exception is still on its way; if it is not, it is
raised again, until it arrives.
"""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOOK_AGAIN_S = 0.05


class Stopped(KeyboardInterrupt):
    """A signal asked the program to end; ``number`` is the signal's. Libraries treat it as they do Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def status_of(error: BaseException | None) -> int:
    """The exit status of a program that ends because of this: 128 + the signal's number, or SIGINT's."""
    return 128 + int(getattr(error, "number", signal.SIGINT))


_asked: Stopped | None = None  # what was raised and has not yet arrived


@contextmanager
def ends_orderly() -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and SIGHUP raise `Stopped` in the block, and not let it end as if nothing had happened.

    Blocks may be nested: the exception has arrived once it leaves the innermost; who catches it there decides what
    happens next. What is ignored (nohup) or handled by somebody else stays so. Outside the main thread it does nothing.

    :raises Stopped: in the block, or at its end.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = (signal.SIG_DFL, signal.default_int_handler)
    changed = {number: signal.getsignal(number) for number in _ENDING if signal.getsignal(number) in ours}
    for number in changed:
        signal.signal(number, _stop)
    try:
        yield
        if _asked is not None:
            raise _asked  # swallowed, and not yet raised again
    except BaseException as error:
        asked = _asked
        if asked is None:
            raise
        if _carries(error, asked):
            _arrived()
        # A library may make another error of it: an extension that was being imported, a compiler that was called back.
        if isinstance(error, Exception):
            raise asked from error
        raise
    finally:
        for number, handler in changed.items():
            signal.signal(number, handler)
        if changed:
            _arrived()


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
    held = (*_ENDING, signal.SIGALRM) if _asked is not None else _ENDING
    before = {number: signal.signal(number, remember) for number in held}
    try:
        yield
    finally:
        for ending, handler in before.items():
            signal.signal(ending, handler)
        for number in dict.fromkeys(arrived):
            if number != signal.SIGALRM or _asked is not None:
                signal.raise_signal(number)


@contextmanager
def kept_from_children() -> Iterator[None]:
    """Let programs started in the block never get Ctrl-C, SIGTERM or SIGHUP, which a terminal sends to all of a group.

    Who starts them ends them. Here such a signal waits until the block is done.
    """
    # The mask is what they inherit. It alone would not do: another thread of this process takes the signal, and the
    # exception comes here, half-way through a start.
    with signals_held():
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _stop(number: int, frame: FrameType | None) -> None:
    global _asked
    if _asked is not None and _on_its_way(_asked):
        return  # asked twice: what cleans up goes on
    if _asked is None:
        signal.signal(signal.SIGALRM, _look_again)
        signal.setitimer(signal.ITIMER_REAL, _LOOK_AGAIN_S, _LOOK_AGAIN_S)
    _asked = Stopped(number)
    raise _asked


def _look_again(number: int, frame: FrameType | None) -> None:
    global _asked
    if _asked is not None and not _on_its_way(_asked):
        # A new one: the old one may be kept by who swallowed it, with a traceback that grows.
        _asked = Stopped(_asked.number)
        raise _asked


def _on_its_way(raised: Stopped) -> bool:
    """Say whether what runs now runs because of this exception: a ``finally``, ``except`` or ``__exit__``."""
    return _carries(sys.exception(), raised)


def _carries(error: BaseException | None, raised: Stopped) -> bool:
    """Say whether an exception is this one or was raised because of it or while it was handled."""
    chain, seen = [error], set()
    while chain:
        here = chain.pop()
        if here is raised:
            return True
        if here is not None and id(here) not in seen:
            seen.add(id(here))
            chain += [here.__context__, here.__cause__]
    return False


def _arrived() -> None:
    global _asked
    if _asked is not None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        _asked = None
