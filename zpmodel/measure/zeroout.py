"""The zero-out benchmark: what ``ioctl(BLKZEROOUT)`` costs by length, as the truth that predictions are scored against.

The model has no part in it: it times the running kernel with the zero page that this kernel has.
"""

import fcntl
import os
import random
import resource
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from zpmodel.base.errors import InputError, RefusedError
from zpmodel.base.files import check_folder, write_atomically
from zpmodel.base.units import GIB, KIB, MIB
from zpmodel.host.block import device_under
from zpmodel.host.cputime import kernel_threads, kernel_threads_spent, machine_seconds
from zpmodel.host.machine import background, changing_facts, describe, write_toml
from zpmodel.host.safety import Target
from zpmodel.host.signals import signals_held

LENGTHS = tuple(64 * KIB << step for step in range(15))
"""Lengths that are measured [byte]: 64 KiB, 128 KiB ... 1 GiB."""

_BLKZEROOUT = 0x127F  # linux/fs.h: _IO(0x12, 127); takes offset and length [byte] as two u64
_ROW_BYTES = 16 * MIB  # short lengths are called several times in a row, up to this much or 64 calls
_BUSY = ("user", "nice", "system", "irq", "softirq")


def zero_range(fd: int, offset: int, length: int) -> None:
    """Zero a range of an open block device with ``ioctl(BLKZEROOUT)``.

    :param offset, length: [byte], multiples of the logical block size.
    :raises RefusedError: where the kernel refuses (EINVAL: not aligned) or the device fails.
    """
    try:
        fcntl.ioctl(fd, _BLKZEROOUT, struct.pack("QQ", offset, length))
    except OSError as error:
        raise RefusedError(f"zero-out of {length} bytes at {offset}: {os.strerror(error.errno or 0)}") from None


@dataclass(frozen=True)
class Row:
    """One repeat: ``calls`` zero-outs of ``length_bytes`` each, back to back; times are per call [ns].

    :ivar repeat: 1, 2, 3 ...; the lengths of a repeat are measured in random order before the next begins.
    :ivar length_bytes: of one call [byte].
    :ivar calls: how many.
    :ivar elapsed_ns: by the monotonic clock.
    :ivar caller_cpu_ns: what the calling thread ran (its scheduler clock: precise).
    :ivar caller_system_ns: of that, in the kernel as getrusage splits it (by ticks where the kernel accounts by ticks).
    :ivar kernel_threads_ns: what all kernel threads ran meanwhile: workers (a loop device's copying, a full
        queue's draining), softirqs. Others' on a machine that is not quiet are in it too.
    :ivar machine_busy_ns: all CPUs, not idle and not waiting, in ticks of 10 ms (/proc/stat): only good for long rows.
    """

    repeat: int
    length_bytes: int
    calls: int
    elapsed_ns: float
    caller_cpu_ns: float
    caller_system_ns: float
    kernel_threads_ns: float
    machine_busy_ns: float


def measure_once(fd: int, size_bytes: int, length: int, repeat: int) -> Row:
    """Zero ranges of one length one after the other, wrapping around at the device's end, and say what each call took.

    :param size_bytes: how much of the device, from its start, may be zeroed [byte].
    :param length: [byte].
    """
    calls = max(1, min(64, _ROW_BYTES // length))
    offsets = [(call * length) % (size_bytes - length + 1) // length * length for call in range(calls)]
    threads, machine = kernel_threads(), machine_seconds()
    system = resource.getrusage(resource.RUSAGE_THREAD).ru_stime
    cpu, clock = time.thread_time_ns(), time.perf_counter_ns()
    for offset in offsets:
        zero_range(fd, offset, length)
    elapsed, cpu = time.perf_counter_ns() - clock, time.thread_time_ns() - cpu
    system = resource.getrusage(resource.RUSAGE_THREAD).ru_stime - system
    after = machine_seconds()
    busy = sum(after[state] - machine[state] for state in _BUSY)
    spent = sum(kernel_threads_spent(threads, kernel_threads()).values())
    per_call = [round(value / calls, 1) for value in (elapsed, cpu, system * 1e9, spent * 1e9, busy * 1e9)]
    return Row(repeat, length, calls, *per_call)


def measure(
    fd: int,
    size_bytes: int,
    *,
    seconds: float = 180.0,
    lengths: tuple[int, ...] = LENGTHS,
    seed: int = 1,
    progress: Callable[[float], None] = lambda share: None,
) -> Iterator[Row]:
    """Measure every length once in random order, again and again until the time is up; at least twice.

    The whole device is zeroed once before, so that no repeat finds memory or blocks that are not allocated yet.

    :param fd: an open block device whose content may be destroyed.
    :param size_bytes: how much of it is used, from its start [byte]; longer lengths are left out.
    :param seconds: when no further repeat is begun [s].
    :param progress: called with the share of the time that is up.
    :raises InputError: where no length fits.
    :raises RefusedError: where zeroing fails.
    """
    fitting = [length for length in lengths if length <= size_bytes]
    if not fitting:
        raise InputError("zero-out benchmark", "size", size_bytes, f"at least {min(lengths)} bytes")
    for start in range(0, size_bytes, GIB):
        zero_range(fd, start, min(GIB, size_bytes - start))
    rng = random.Random(seed)
    begun, repeat = time.monotonic(), 0
    while repeat < 2 or time.monotonic() - begun < seconds:
        repeat += 1
        for length in rng.sample(fitting, len(fitting)):
            yield measure_once(fd, size_bytes, length, repeat)
            progress(min(1.0, (time.monotonic() - begun) / seconds if seconds else 1.0))


def facts(fd: int, path: Path, size_bytes: int, zero_page: dict[str, Any]) -> dict[str, Any]:
    """Describe the machine, the device and the kernel's zero page.

    :param zero_page: what is known of it: ``bytes`` and ``source``.
    """
    return {
        **describe(Target("device", path, fd, size_bytes), "not used"),
        "zero_page": zero_page,
        "before": {**changing_facts(), **background()},
    }


def write(out: Path, rows: list[Row], about: dict[str, Any]) -> None:
    """Write ``zeroout.csv`` and, last, ``machine.toml``: a set with the second is complete.

    :raises RefusedError: where the folder already holds a set, or can't be written.
    """
    check_free(out)
    names = [field.name for field in fields(Row)]
    lines = [",".join(names), *(",".join(str(asdict(row)[name]) for name in names) for row in rows)]
    try:
        out.mkdir(parents=True, exist_ok=True)
        with signals_held():
            write_atomically(out / "zeroout.csv", "\n".join(lines) + "\n")
            write_atomically(out / "machine.toml", write_toml({**about, "after": changing_facts()}))
    except OSError as error:
        with suppress(OSError):  # half a set would be in the next one's way
            (out / "zeroout.csv").unlink(missing_ok=True)
            out.rmdir()
        raise RefusedError(f"{out} can't be written: {error.strerror}") from None


def check_free(out: Path) -> None:
    """Refuse a folder that already holds a set.

    :raises RefusedError: naming the file.
    """
    for name in ("zeroout.csv", "machine.toml"):
        if (out / name).exists():
            raise RefusedError(f"{out / name} exists; measured files are never overwritten, name another folder")


def make_folder(out: Path) -> None:
    """Make the folder of a set, before the measurement, which may take long.

    :raises InputError: where it is somebody else's, in a place that all share.
    :raises RefusedError: where it can't be made.
    """
    check_folder(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RefusedError(f"{out} can't be made: {error.strerror}; name another folder") from None


def queue_of(fd: int) -> Path:
    """Return where the queue limits of an open block device are under /sys; of a partition, those of its disk.

    :raises RefusedError: where it is no block device that the kernel lists.
    """
    folder = device_under(fd)
    if folder is None:
        raise RefusedError("the queue limits of this device are not under /sys")
    return folder / "queue"
