"""Run pages beside each other, each in a process group of its own that ends with us, whatever ends us."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from zpmodel.host.signals import ends_orderly
from zpmodel.report.folder import RUN_PREFIX

_LOOK_SECONDS = 0.05


@dataclass
class Order:
    """A page to be run: what its process reads (``out`` in it is its site), and how long it may take [s].

    :ivar module: what is run; a page's notebook by default.
    :ivar weight: how long it takes against others; the heaviest begin first.
    """

    name: str
    document: dict[str, Any]
    timeout_s: float
    module: str = "zpmodel.report.run_page"
    weight: float = 1.0


@dataclass
class _Running:
    order: Order
    process: subprocess.Popen[bytes]
    folder: Path
    said: BinaryIO
    started: float = field(default_factory=time.monotonic)


def run_all(orders: Sequence[Order], workers: int, done: Callable[[Order, str, float], None]) -> None:
    """Run all orders, ``workers`` at a time.

    :param done: told of each page that has ended: its order, an error that kept it from writing its fragment (or
        nothing), and the seconds that it took.
    """
    waiting, running = sorted(orders, key=lambda order: -order.weight), list[_Running]()
    with ends_orderly():
        try:
            while waiting or running:
                while waiting and len(running) < workers:
                    _start(waiting.pop(0), running)
                time.sleep(_LOOK_SECONDS)
                for page in list(running):
                    error = _ended(page)
                    if error is not None:
                        _end(page)
                        running.remove(page)
                        done(page.order, error, time.monotonic() - page.started)
        finally:
            for page in running:
                _end(page)


def _start(order: Order, running: list[_Running]) -> None:
    folder = Path(tempfile.mkdtemp(prefix=RUN_PREFIX, dir=order.document["out"]))
    said = tempfile.TemporaryFile()  # noqa: SIM115 - closed in _end
    # -P: nothing in the current folder shadows a module. A session of its own: Ctrl-C reaches only us.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", order.module, str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=said,
        stderr=said,
        cwd=folder,
        env=environment,
        start_new_session=True,
    )
    running.append(_Running(order, process, folder, said))
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.write(json.dumps(order.document).encode())
        process.stdin.close()


def _ended(page: _Running) -> str | None:
    """None while it runs; then what kept the page from being written, or an empty text."""
    status = page.process.poll()
    if status is None:
        late = time.monotonic() - page.started > page.order.timeout_s
        return f"stopped after {page.order.timeout_s:g} s, its time limit" if late else None
    if status == 0:
        return ""
    if status < 0:
        return f"its process was killed by {signal.Signals(-status).name}"
    page.said.seek(max(0, page.said.seek(0, os.SEEK_END) - 4096))
    lines = page.said.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"its process ended with status {status}"


def _end(page: _Running) -> None:
    """Kill what is left of a page's process; its kernel, in a group of its own, dies of its parent's death."""
    with suppress(ProcessLookupError):
        os.killpg(page.process.pid, signal.SIGKILL)
    page.process.wait()
    page.said.close()
    # The kernel may still be writing there for a moment.
    for _ in range(20):
        shutil.rmtree(page.folder, ignore_errors=True)
        if not page.folder.exists():
            break
        time.sleep(0.05)
