"""Being asked to end: at once, in order, and never lost, whatever swallows exceptions on the way."""

import os
import signal
import subprocess
import threading
import time
from contextlib import suppress

import children
import pytest

from zpmodel.host.signals import Stopped, ends_orderly, kept_from_children, signals_held

ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]

# Each swallows the exception of a signal that arrives while it runs, as callbacks and libraries do.
SWALLOW = {
    "finalizer": "class A:\n    def __del__(self): busy()\nwhile True: A()",
    "bare except": "while True:\n    try: busy()\n    except: pass",
    "callback of C": "import ctypes\ncall = ctypes.CFUNCTYPE(None)(lambda: busy())\nwhile True: call()",
    "weak reference": (
        "import weakref\nclass A: pass\nwhile True:\n    a = A(); r = weakref.ref(a, lambda r: busy()); del a"
    ),
    "look-up that clears errors": (
        "class K:\n    def __getattr__(self, name): busy(); raise AttributeError(name)\n"
        "while True:\n    try: hasattr(K(), 'x')\n    except KeyboardInterrupt as error:\n"
        "        if calls[0] < 20: continue\n        raise"
    ),
}  # fmt: skip
CHILD = """
import time
from zpmodel.host.signals import ends_orderly
calls = [0]
def busy():
    calls[0] += 1
    end = time.monotonic() + (0.3 if calls[0] < 3 else 0)
    while time.monotonic() < end: pass
with ends_orderly():
    print("ready", flush=True)
    exec({body!r})
"""


@pytest.mark.parametrize("place", SWALLOW)
@pytest.mark.parametrize("ending", ENDING)
def test_a_signal_that_is_swallowed_arrives_all_the_same(place: str, ending: signal.Signals) -> None:
    child = children.python(CHILD.format(body=SWALLOW[place]))
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(0.1)
        child.send_signal(ending)
        try:
            child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            child.kill()
            raise
    assert child.returncode != 0


@pytest.fixture(autouse=True)
def default_handlers():
    """A run under nohup ignores some; here they must do what they do elsewhere."""
    before = {number: signal.getsignal(number) for number in ENDING}
    for number in ENDING:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL


@pytest.mark.parametrize("ending", ENDING)
def test_it_is_raised_where_the_program_is(ending: signal.Signals) -> None:
    before = signal.getsignal(ending)
    passed = False
    with pytest.raises(Stopped, match=ending.name) as caught, ends_orderly(), ends_orderly():  # noqa: PT012
        signal.raise_signal(ending)
        passed = True
    assert not passed
    assert caught.value.number == ending
    assert signal.getsignal(ending) == before


def test_a_block_does_not_end_as_if_nothing_had_happened() -> None:
    def swallow() -> None:
        with suppress(BaseException):
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Stopped), ends_orderly():
        swallow()


@pytest.mark.parametrize("known", [True, False])
def test_another_error_that_a_library_makes_of_it_is_not_the_end(known: bool) -> None:
    """As an extension module does that is imported at that moment: ImportError("initialization failed")."""

    def made_into_another() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException as error:
            made = ImportError("initialization failed")
            made.__context__ = error if known else None
        raise made

    with pytest.raises(Stopped, match="SIGTERM"), ends_orderly():
        made_into_another()


def test_children_do_not_get_what_a_terminal_sends_to_all() -> None:
    with kept_from_children():
        child = children.python("import time; print('ready', flush=True); time.sleep(60)")
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        for ending in ENDING:
            child.send_signal(ending)
        time.sleep(0.2)
        assert child.poll() is None
        child.kill()
    with pytest.raises(Stopped), ends_orderly():  # noqa: PT012
        with kept_from_children():
            os.kill(os.getpid(), signal.SIGINT)
            waited = True
        assert waited


def test_a_signal_that_another_thread_takes_waits_too() -> None:
    end, started = threading.Event(), []

    def start() -> None:
        with kept_from_children():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
            started.append(True)

    other = threading.Thread(target=end.wait)  # which blocks no signal
    other.start()
    with pytest.raises(Stopped), ends_orderly():
        start()
    end.set()
    other.join()
    assert started


def test_cleaning_up_is_not_interrupted_by_asking_again() -> None:
    cleaned = []
    with pytest.raises(Stopped), ends_orderly():  # noqa: PT012
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            time.sleep(0.2)  # the timer looks meanwhile
            signal.raise_signal(signal.SIGTERM)
            try:
                raise OSError
            except OSError:
                time.sleep(0.2)
            cleaned.append(True)
    assert cleaned


def test_who_catches_it_decides() -> None:
    with ends_orderly():
        try:
            with ends_orderly():
                signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            pass
        time.sleep(0.2)  # it has arrived: it does not come again


def test_what_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with ends_orderly():
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGINT)
        with signals_held():
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_held_until_the_block_is_done() -> None:
    done = []

    def work() -> None:
        with signals_held():
            signal.raise_signal(signal.SIGTERM)
            done.append(True)

    with pytest.raises(Stopped), ends_orderly():
        work()
    assert done
