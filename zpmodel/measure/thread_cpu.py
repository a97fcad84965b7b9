"""CPU time of fio's submitting thread, in the scheduler's nanoseconds.

fio prints its thread's user and system time in whole milliseconds, each cut down. The scheduler knows nanoseconds
(``/proc/PID/task/TID/schedstat``), but only while the thread lives. fio's ``exec_prerun`` and ``exec_postrun`` run a
command from that very thread, right before and right after the span of its own getrusage(2), and let it wait: so the
readings are complete, and nothing has to be sampled while it works. They cost the thread about 0.1 ms, which is
measured beforehand on a job of one I/O.
"""

import os
import re
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from zpmodel.host.leftovers import is_leftover, owned_name, passing_folder

HOW = "difference of /proc/PID/task/TID/schedstat read by fio's exec_prerun and exec_postrun"

# The thread that waits for this shell has it among its children (CONFIG_PROC_CHILDREN).
_COMMAND = (
    "{ echo $$; grep -H . " + " ".join(f"/proc/$PPID/task/*/{f}" for f in ("comm", "schedstat", "children")) + "; }"
)
_LINE = re.compile(r"/proc/\d+/task/(\d+)/(comm|schedstat|children):(.*)")
_READINGS = 3


@dataclass(frozen=True)
class Reading:
    """What one command saw: the id of the thread that waited for it, and names and run times [ns] by thread."""

    waiting: str | None
    names: dict[str, str]
    ran_ns: dict[str, int]


def arguments() -> list[str]:
    """fio's options that make it take the readings, in the folder that it is started in."""
    return [f"--exec_prerun={_COMMAND}", f"--exec_postrun={_COMMAND}"]


def parse(text: str) -> Reading:
    """Read what the command printed."""
    first, _, rest = text.partition("\n")
    names: dict[str, str] = {}
    ran: dict[str, int] = {}
    waiting = None
    for match in map(_LINE.fullmatch, rest.splitlines()):
        if match is None:
            continue
        thread, what, value = match.groups()
        if what == "comm":
            names[thread] = value
        elif what == "children" and first in value.split():
            waiting = thread
        elif what == "schedstat" and re.match(r"\d{1,18}\b", value):
            ran[thread] = int(value.split()[0])
    return Reading(waiting, names, ran)


def spent(folder: Path, job: str) -> tuple[int | None, int]:
    """Return what fio's job thread ran between the readings and what io_uring's workers had run by the second [ns].

    :param folder: in which fio was started.
    :param job: its name.
    :return: None for the thread where a reading is missing or the kernel does not tell a thread's children.
    """
    texts = []
    for when in ("prerun", "postrun"):
        try:
            with (folder / f"{job}.{when}.txt").open(errors="replace") as file:
                texts.append(file.read(1 << 20))
        except OSError:
            return None, 0
    before, after = map(parse, texts)
    workers = sum(ran for thread, ran in after.ran_ns.items() if after.names.get(thread, "").startswith("iou-"))
    thread = after.waiting
    if thread is None or thread != before.waiting or thread not in before.ran_ns or thread not in after.ran_ns:
        return None, workers
    return max(0, after.ran_ns[thread] - before.ran_ns[thread]), workers


def overhead_ns(command: Sequence[str]) -> int | None:
    """Measure what the readings themselves cost fio's thread on this machine: the median of three jobs of one I/O each.

    :param command: the fio program.
    :return: [ns]; None where it can't be known, and the readings can't be used.
    """
    options = ["--thread=1", "--rw=write", "--ioengine=null", "--number_ios=1", "--size=1m", "--bs=4k", "--stonewall"]
    jobs = [f"nothing-{number}" for number in range(_READINGS)]
    _remove_leftovers()
    with passing_folder(f"{owned_name('fio', os.getpid())}-") as folder:
        try:
            subprocess.run(
                [*command, *options, *arguments(), *(f"--name={job}" for job in jobs)],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=20,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        found = [thread for thread, _ in (spent(folder, job) for job in jobs) if thread is not None]
    return round(statistics.median(found)) if len(found) == len(jobs) else None


def _remove_leftovers() -> None:
    """Remove the folders of runs of this user that were killed while they looked."""
    for folder in Path(tempfile.gettempdir()).glob("zpmodel-fio-*"):
        with suppress(OSError):
            if is_leftover(folder.name, "fio") and folder.lstat().st_uid == os.geteuid():
                shutil.rmtree(folder)
