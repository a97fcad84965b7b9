"""Ctrl-C, SIGTERM and SIGHUP stop a measurement in an orderly way."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

asked_to_stop = threading.Event()
"""A KeyboardInterrupt that is raised in a callback, while Python forks, is printed and dropped; this remembers it."""


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """Let SIGTERM and SIGHUP stop a measurement as Ctrl-C does (signals can be handled in the main thread only).

    A signal that our parent has us ignore (nohup, a shell's background job) stays ignored.
    """
    asked_to_stop.clear()
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        asked_to_stop.set()
        raise KeyboardInterrupt

    handled = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    heeded = [number for number in handled if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
