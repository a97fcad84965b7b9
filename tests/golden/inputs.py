"""What the golden outputs are made from: the shipped set cut down, synthetic machines, and records written by hand."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from types import SimpleNamespace

import pytest
import synthetic

from zpmodel.base import shipped
from zpmodel.commands import zeroout as zeroout_command
from zpmodel.datasets.schema import DataSet
from zpmodel.devices.base import PathCosts
from zpmodel.host import running
from zpmodel.measure import zeroout
from zpmodel.queue.limits import UINT_MAX, QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure import count
from zpmodel.tracing import ranges
from zpmodel.tracing.compare import compare as compare_lines
from zpmodel.tracing.observed import Observed
from zpmodel.tracing.zero import Traced

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
RESAMPLES = 30
_POINT = re.compile(r"(reference-)?\w+-bs(\d+)-qd(\d+)-\w+-r(\d+)")
_BLOCKS = (4096, 16384, 65536, 262144, 1048576, 2097152, 4194304)
_DEPTHS = (1, 4, 16)

_BUDDYINFO = "Node 0, zone Normal 90 80 70 60 50 40 30 20 10 4 3\n"
_VMSTAT = {"thp_fault_alloc": 900, "thp_fault_fallback": 100, "compact_fail": 300, "compact_success": 100}


def small_set(folder: Path) -> Path:
    """Link a part of the shipped data set into a folder of its own: two or three replicates of 42 combinations."""
    source, made = shipped.data("fio", shipped.DEFAULT_DATA_SET), folder / "small"
    if made.exists():
        return made
    for kind in ("points", "usage"):
        (made / kind).mkdir(parents=True)
    (made / "machine.toml").write_text((source / "machine.toml").read_text())
    for path in sorted((source / "points").glob("*.json")):
        match = _POINT.fullmatch(path.stem)
        assert match, path
        reference, block, depth, replicate = match[1], *map(int, match.groups()[1:])
        if replicate <= 6 if reference else block in _BLOCKS and depth in _DEPTHS and replicate <= 3:
            for kind in ("points", "usage"):
                (made / kind / path.name).symlink_to(source / kind / path.name)
    return made


def one_memory(folder: Path) -> Path:
    """The small set without its 2 MiB pages, as measured where no huge page can be had."""
    made = folder / "one-memory"
    for kind in ("points", "usage"):
        (made / kind).mkdir(parents=True)
        for path in (small_set(folder) / kind).iterdir():
            if "mmaphuge" not in path.name:
                (made / kind / path.name).symlink_to(path.resolve())
    (made / "machine.toml").write_text((small_set(folder) / "machine.toml").read_text())
    return made


# SYNTHETIC machines, of which the verdict is known


@cache
def machines() -> dict[str, DataSet]:
    """Sets of known verdict, and one that lacks the 2 MiB pages."""
    wide = QueueLimits(8192, 256, UINT_MAX, nr_requests=256)
    likes_small = PathCosts(20e-6, 1e-3, 1e-6, 1e-12, 50e-6, 1e-9, 4.0, 0.2)
    busy = PathCosts(50e-6, 1e-7, 1e-9, 1e-12, 2e-3, 1e-9, 4.0, 0.5)
    stalls = synthetic.CPU.copy()
    stalls[4] = 80e-6
    made = {
        "gain": synthetic.data_set(1),
        "loss": synthetic.data_set(2, device=likes_small, limits=wide, ring=None),
        "no-gain": synthetic.data_set(1, device=busy._replace(mebibyte=4e-3), ring=None, noise=0.005),
        "unknown": synthetic.data_set(1, device=busy, ring=None, noise=0.03),
        "ring": synthetic.data_set(3, cpu=stalls),
    }
    both = made["gain"]
    few = both.writes[both.writes["memory"] == "malloc"].reset_index(drop=True)
    made["one-memory"] = replace(both, name="synthetic-one-memory", writes=few)
    return made


# Records for what prints a measurement, a trace or a timing


@contextmanager
def recorded_ranges() -> Iterator[None]:
    """``trace --ranges`` sees three ranges: two that agree with the model, one with a split too many."""
    page, limits = ZeroPage.named("page"), QueueLimits(1280, 128, UINT_MAX)
    found = []
    for offset, length in ((0, 65536), (4096, 8 << 20), (1 << 20, 3 << 20)):
        model = count(page, limits, offset, length).as_case()
        seen = _as_seen(model, more_splits=int(offset == 4096))
        found.append(Traced(page, limits, offset, length, seen, compare_lines(seen, model)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, "trace_random_ranges", lambda *arguments, **named: iter(found))
        yield


def _as_seen(model: dict, more_splits: int) -> Observed:
    bios, requests = (
        [{"bytes": size, "count": sum(r["count"] for r in model[name] if r["bytes"] == size)} for size in sizes]
        for name, sizes in ((name, sorted({r["bytes"] for r in model[name]})) for name in ("bios", "requests"))
    )
    return Observed(model["operation"], bios, model["splits"] + more_splits, model["back_merges"], 0, requests, 0, 0, 1)


@contextmanager
def recorded_zeroouts() -> Iterator[None]:
    """``zeroout`` gets eight timings written by hand, without a device."""
    rows = [
        SimpleNamespace(
            length_bytes=length,
            elapsed_ns=int(length * factor + 20_000),
            caller_cpu_ns=int(length * factor / 2 + 9_000),
            kernel_threads_ns=int(length * factor / 8),
        )
        for length in (65536, 1 << 20)
        for factor in (0.1, 0.11, 0.13, 0.2)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zeroout, "facts", lambda *arguments: {})
        patch.setattr(zeroout, "write", lambda *arguments: None)
        patch.setattr(zeroout, "measure", lambda *arguments, **named: iter(rows))
        patch.setattr(zeroout_command, "open_device", lambda *arguments: (Path("/dev/null"), -1, 1 << 20))
        patch.setattr(running, "running_zero_page", lambda: (ZeroPage.named("page"), "given"))
        yield


def memory_now(folder: Path) -> tuple[Path, Path]:
    """Files as ``/proc/buddyinfo`` and ``/proc/vmstat`` of some machine, so that pages don't tell of this one."""
    buddyinfo, vmstat = folder / "buddyinfo", folder / "vmstat"
    buddyinfo.write_text(_BUDDYINFO)
    vmstat.write_text("".join(f"{name} {number}\n" for name, number in _VMSTAT.items()))
    return buddyinfo, vmstat


@cache
def scratch() -> Path:
    """A folder for this process alone; its owner removes it."""
    return Path(mkdtemp(prefix="zpmodel-golden-"))
