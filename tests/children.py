"""Programs that tests start and end by signals."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def default_signals() -> None:
    """For ``preexec_fn``: what the test run ignores (``nohup``, a background job) its children would ignore too."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def python(code: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Start Python code that obeys signals; its output is text, its errors are dropped unless asked for."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "preexec_fn": default_signals, **options}
    return subprocess.Popen([sys.executable, "-c", code, *arguments], text=True, **options)


def command(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Start the command line; as `python`."""
    return python("from zpmodel.commands.main import main; main()", *arguments, **options)


@contextmanager
def holder(code: str) -> Iterator[subprocess.Popen[bytes]]:
    """Another program that holds on to something."""
    program = f"import os\n{code}\nprint('ready', flush=True); input()"
    other = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        yield other
    finally:
        other.communicate(b"\n")
