"""CPU time that fio's own figures leave out: io_uring's workers, kernel threads, interrupts.

fio's ``usr_cpu`` and ``sys_cpu`` are one thread's. A bio that has to be split can't be submitted without waiting, so
io_uring passes it to a worker thread; a full device queue is drained by kblockd's worker; a loop device copies in its
own.
"""

import os
from contextlib import suppress
from pathlib import Path

_PF_KTHREAD = 0x00200000
_TICK = os.sysconf("SC_CLK_TCK")
_STATES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


def machine_seconds() -> dict[str, float]:
    """Return what all CPUs together have spent in each state since boot [s], in ticks of 10 ms (/proc/stat)."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    return {state: int(ticks) / _TICK for state, ticks in zip(_STATES, fields, strict=False)}


def kernel_threads() -> dict[int, tuple[str, int]]:
    """Return each kernel thread's name and the time it has run [ns] (/proc/PID/schedstat), by its id."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            text = (folder / "stat").read_text()
            fields = text[text.rindex(")") + 2 :].split()
            if int(fields[6]) & _PF_KTHREAD:
                name = text[text.index("(") + 1 : text.rindex(")")]
                found[int(folder.name)] = name, int((folder / "schedstat").read_text().split()[0])
    return found


def kernel_threads_spent(before: dict[int, tuple[str, int]], after: dict[int, tuple[str, int]]) -> dict[str, float]:
    """Return what kernel threads have run between two looks [s], by name (a worker's tells its work queue)."""
    spent: dict[str, float] = {}
    for thread, (name, now) in after.items():
        seconds = (now - before.get(thread, (name, 0))[1]) / 1e9
        if seconds >= 1e-5:
            spent[name] = round(spent.get(name, 0.0) + seconds, 6)
    return dict(sorted(spent.items(), key=lambda item: -item[1]))


class WorkerWatch:
    """Follows the io_uring workers of one process: they vanish with the ring, so it looks while they live."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}/task")
        self._others: set[str] = set()
        self._seen: dict[str, int] = {}

    def look(self) -> None:
        """Note how long each worker has run by now."""
        with suppress(OSError):
            for name in (task.name for task in self._folder.iterdir()):
                if name in self._others:
                    continue
                with suppress(OSError, ValueError, IndexError):
                    if name not in self._seen and not (self._folder / name / "comm").read_text().startswith("iou-"):
                        self._others.add(name)
                        continue
                    self._seen[name] = int((self._folder / name / "schedstat").read_text().split()[0])

    @property
    def seconds(self) -> float:
        """What all workers had run when last seen [s]."""
        return sum(self._seen.values()) / 1e9
