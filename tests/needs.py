"""What some tests need besides Python: by mark, whether it is here, and how to get it."""

import importlib.util
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Need(NamedTuple):
    """``here()`` says whether a need is met; ``how`` to meet it where it is not."""

    here: Callable[[], bool]
    what: str
    how: str


def _program(name: str) -> Callable[[], bool]:
    return lambda: shutil.which(name) is not None


def _browser() -> bool:
    programs = ("chromium", "chromium-browser", "google-chrome")
    return importlib.util.find_spec("playwright") is not None and any(map(shutil.which, programs))


MARKS = {
    "fio": Need(_program("fio"), "fio", "apt install fio (dnf install fio)"),
    "chromium": Need(_browser, "chromium and playwright", "apt install chromium; playwright comes with .[dev]"),
}
"""Tests with such a mark are skipped without it, by conftest."""

OTHERS = (
    Need(lambda: os.geteuid() == 0, "root, for loop devices, traces and huge pages", "run the tests as root"),
    Need(lambda: Path("/dev/loop-control").exists(), "loop devices", "modprobe loop, or a container with --privileged"),
    Need(_program("blkparse"), "blkparse", "apt install blktrace"),
    Need(_program("mke2fs"), "mke2fs", "apt install e2fsprogs"),
)
"""What tests look for by themselves."""


def report() -> list[str]:
    """What is missing, a line each; empty where everything is here."""
    return [
        f"will be skipped: tests that need {need.what} (get it: {need.how})"
        for need in (*MARKS.values(), *OTHERS)
        if not need.here()
    ]
