"""What a measurement can't tell: said before it begins, where that is known, and at its end."""

import hashlib
import json
import os
import resource
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from zpmodel.base.units import KIB, format_size
from zpmodel.datasets.others import without_disturbed
from zpmodel.datasets.point import Point
from zpmodel.datasets.points import Contrast, Measured
from zpmodel.host.safety import Target
from zpmodel.measure.plan import FULL, Matrix

ENOUGH_IOS = 50
_CAP_IPC_LOCK = 14
_FEW_PAIRS = 3


def about_limits(device: Path | None, target: Target) -> str:
    """Say before the start what stays unknown where the kernel tells no queue limits; nothing where it does.

    :param device: its folder under /sys, None where the target is on no block device of this machine.
    """
    if device is not None and (device / "queue/max_segments").exists():
        return ""
    return (
        f"{target.path} is on no block device whose queue limits this machine knows (memory, a network or a stacked"
        " file system): CPU and throughput by block size and depth are measured, but how many vectors and requests an"
        " I/O is made of, and so what each costs and what a larger zero page saves, can't be known from this set;"
        " to know that, name a directory on a local disk"
    )


def lockable_bytes() -> int | None:
    """How much memory fio may register as buffers [byte] (``ulimit -l``), None for as much as it likes."""
    capabilities = 0
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            capabilities = int(line.split()[1], 16)
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    return None if limit == resource.RLIM_INFINITY or capabilities >> _CAP_IPC_LOCK & 1 else limit


def buffers_bytes(point: Point) -> int:
    """What fio registers for a point [byte]; io_uring counts whole huge pages. Reads of /dev/zero register nothing."""
    if point.operation == "zero":
        return 0
    return point.huge_pages * 2048 * KIB if point.memory == "mmaphuge" else point.block_bytes * point.depth + 4 * KIB


def about_locked_memory(points: Iterable[Point], allowed: int | None) -> str:
    """Say before the start which points are left out because their buffers may not be locked."""
    if allowed is None:
        return ""
    pairs = sorted({point.pair[:3] for point in points if buffers_bytes(point) > allowed})
    if not pairs:
        return ""
    return (
        f"only {format_size(allowed)} of memory may be locked (ulimit -l): {len(pairs)} combinations of block size and"
        " depth that need more are left out, for which this set will say nothing"
    )


def about_huge_pages(had: int, wanted: int) -> str:
    """Say before the start what is lost where huge pages are missing; nothing where they are there."""
    if had >= wanted:
        return ""
    if had == 0:
        return (
            f"no huge pages of 2 MiB can be had (as root: sysctl vm.nr_hugepages={wanted}): only 4 KiB buffer pages are"
            " measured; what a vector costs, and so the gain of a larger zero page, can't be identified from this set"
        )
    return (
        f"only {had} of {wanted} huge pages can be had: the largest blocks and depths are measured with 4 KiB buffer"
        " pages alone; the contrast is not identifiable there"
    )


def about_sectors(matrix: Matrix, why_not: str) -> str:
    """Say before the start what is lost where ``max_sectors_kb`` can't be varied."""
    if not matrix.max_sectors_kb or not why_not:
        return ""
    return (
        f"max_sectors_kb is left alone ({why_not}): what a request costs by itself, apart from its bio, may not be"
        " identifiable from this set"
    )


def at_the_end(items: Iterable[Measured], contrasts: Iterable[Contrast], matrix: Matrix, *, quick: bool) -> list[str]:
    """Say how far the set may be trusted."""
    runs, notes = list(items), []
    slow = sorted({item.point.pair for item in runs if item.ios < ENOUGH_IOS})
    if slow:
        many = "1 combination" if len(slow) == 1 else f"{len(slow)} combinations"
        notes.append(f"{many} had fewer than {ENOUGH_IOS} I/Os a run: the device is slow, trust these less")
    others = without_disturbed(runs)[1]
    if others:
        notes.append(others)
    if not quick:
        return notes
    found = list(contrasts)
    focus = [c for c in found if c.block_bytes >= matrix.focus_block and c.depth >= matrix.focus_depth]
    widths = [c.cpu_high / c.cpu_ratio - 1 for c in focus if c.pairs >= _FEW_PAIRS]
    width = float(np.median(widths)) if widths else np.inf
    known = (
        f"known to about {width:.0%} (CPU, median)"
        if width < 0.5
        else "hardly known (too few pairs, or a busy machine)"
    )
    few = sum(c.pairs < _FEW_PAIRS for c in found)
    depths = ", ".join(str(depth) for depth in FULL.depths if depth not in matrix.depths)
    notes.append(
        f"--quick: ratios at blocks of {format_size(matrix.focus_block)} and more and depths of {matrix.focus_depth}"
        f" and more are {known}; it can't tell smaller effects, {few} of {len(found)} combinations have fewer than"
        f" {_FEW_PAIRS} pairs and no interval to rely on, depths {depths} and {len(FULL.blocks) - len(matrix.blocks)}"
        " block sizes are not measured, and what a request costs apart from its bio stays vague: for these run it"
        " without --quick into another folder (ten minutes)"
    )
    return notes


def machine_digest() -> str:
    """A name for this machine and kernel that tells nothing of them: 16 hex digits.

    Made of the machine id (machine-id(5), never shown itself), CPU, memory and kernel release.
    """
    parts = [os.uname().machine, os.uname().release, str(os.cpu_count())]
    for path, start in (("/etc/machine-id", ""), ("/proc/cpuinfo", "model name"), ("/proc/meminfo", "MemTotal")):
        try:
            lines = Path(path).read_text(errors="replace").splitlines()
        except OSError:
            lines = []
        parts.append(next((line for line in lines if line.startswith(start)), ""))
    return hashlib.sha256(json.dumps(["zpmodel", *parts]).encode()).hexdigest()[:16]
