"""Recording the running kernel's block tracepoints in a trace instance of our own; nobody's tracing is disturbed.

A private instance has its own buffer, events, filters and clock. It is removed at the end whatever happens; what a
killed run
left is removed by the next. Where no tracefs is mounted, one is mounted where nobody sees it, and goes with the
descriptor that holds it.
"""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from zpmodel.base.errors import RefusedError
from zpmodel.base.units import KIB, MIB
from zpmodel.host import block
from zpmodel.host.leftovers import is_leftover, owned_name
from zpmodel.host.meminfo import available_bytes
from zpmodel.host.mounts import mounts
from zpmodel.host.programs import run_program
from zpmodel.host.signals import ends_orderly, signals_held
from zpmodel.tracing.observed import Event

_KIND = "trace"
_ACTIONS = {
    "block_bio_queue": "Q",
    "block_split": "X",
    "block_bio_backmerge": "M",
    "block_bio_frontmerge": "F",
    "block_rq_merge": "RM",
    "block_rq_issue": "D",
    "block_rq_complete": "C",
    "block_rq_requeue": "R",
}
# Without a device of its own: it is the task whose plug is flushed that counts.
_UNPLUG = "block_unplug"
_EVENT_BYTES = 96  # a block_rq_issue with its header in the ring buffer, rounded up

_HEAD = re.compile(r"\s*(?P<command>.*)-(?P<pid>\d+)\s+\[\d+\]\s+\S+\s+[\d.]+: (?P<event>\w+): (?P<rest>.*)")
_RANGE = re.compile(r"\d+,\d+ (?P<flags>\S*) (?:\d+ )?(?:\(.*?\) )?(?P<sector>\d+) [+/] (?P<sectors>\d+)")
_UNPLUGGED = re.compile(r"\[.*\] (?P<requests>\d+)")


def parse_line(line: str) -> Event | None:
    """Read a line of tracefs' ``trace`` file; None for comments and for events that are not counted.

    :raises RefusedError: on a line of a counted event that doesn't have the fields it should have.
    """
    head = _HEAD.match(line)
    if head is None:
        return None
    name, rest = head["event"], head["rest"]
    if name == _UNPLUG and (match := _UNPLUGGED.match(rest)):
        return Event("U", "", 0, int(match["requests"]), int(head["pid"]), head["command"])
    if name not in _ACTIONS:
        return None
    match = _RANGE.match(rest)
    if match is None:
        raise RefusedError(f"trace: this kernel writes {name} in a form that is not understood: {rest}")
    return Event(
        _ACTIONS[name], match["flags"], int(match["sector"]), int(match["sectors"]), int(head["pid"]), head["command"]
    )


def why_impossible() -> str | None:
    """Say in a few words why this machine can't be traced, None where it can."""
    if os.geteuid() != 0:
        return "needs root"
    if "\ttracefs\n" not in Path("/proc/filesystems").read_text():
        return "needs a kernel with tracefs"
    try:
        with _tracefs() as root:
            if not (root / "events/block").is_dir():
                return "needs a kernel with the block tracepoints (CONFIG_BLK_DEV_IO_TRACE or others that select them)"
    except RefusedError as error:
        return str(error)
    return None


@contextmanager
def _tracefs() -> Iterator[Path]:
    """Give a path to tracefs: where it is mounted, or a mount of our own that only our descriptor keeps alive."""
    for mount in mounts():
        if mount.file_system == "tracefs" and mount.root == "/" and os.access(mount.point / "instances", os.W_OK):
            yield mount.point
            return
    with signals_held():
        folder = Path(tempfile.mkdtemp(prefix=owned_name(_KIND, os.getpid()) + "-"))
        with ExitStack() as making:
            making.callback(folder.rmdir)
            run_program("trace", "mount", "-t", "tracefs", "zpmodel", folder)
            making.callback(run_program, "trace", "umount", "--lazy", folder)
            root = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{root}")
    finally:
        os.close(root)


def remove_leftovers() -> list[str]:
    """Remove the trace instances (and mounts) that killed runs left, and return their names."""
    for mount in mounts():
        if mount.file_system == "tracefs" and is_leftover(mount.point.name, _KIND):
            run_program("trace", "umount", "--lazy", mount.point)
            mount.point.rmdir()
    with _tracefs() as root:
        return _remove_leftovers(root)


def _remove_leftovers(root: Path) -> list[str]:
    removed = []
    for folder in (root / "instances").iterdir():
        if is_leftover(folder.name, _KIND):
            with contextlib.suppress(OSError):
                folder.rmdir()
                removed.append(folder.name)
    return removed


@dataclass(frozen=True)
class Recorder:
    """A trace instance that is set up for one device and switched off; `record` switches it on."""

    folder: Path

    def _write(self, name: str, value: object) -> None:
        try:
            with (self.folder / name).open("wb", buffering=0) as file:
                file.write(str(value).encode())
        except OSError as error:
            raise RefusedError(f"trace: {name} can't be set to {value}: {error.strerror}") from None

    def resize(self, events: int) -> None:
        """Make room for a number of events on each CPU.

        :raises RefusedError: where that takes more memory than is reasonable.
        """
        need = max(MIB, events * _EVENT_BYTES)
        cpus = os.cpu_count() or 1
        if need * cpus > available_bytes() // 4:
            raise RefusedError(
                f"trace: about {events} events would take {need * cpus // MIB} MiB of buffers; trace a shorter range"
            )
        have = (self.folder / "buffer_size_kb").read_text().split()[0]
        if not have.isdigit() or int(have) * KIB < need:
            self._write("buffer_size_kb", -(-need // KIB))

    @contextmanager
    def record(self) -> Iterator[list[Event]]:
        """Record what happens inside the block; the list is filled when the block ends.

        :raises RefusedError: if events were lost, as counts would then be too small.
        """
        events: list[Event] = []
        before = self._lost()
        self._write("trace", "")
        self._write("tracing_on", 1)
        try:
            yield events
        finally:
            self._write("tracing_on", 0)
        if (lost := self._lost() - before) > 0:
            raise RefusedError(
                f"trace: the kernel lost {lost} events, so nothing was counted; trace a shorter range or time"
            )
        with (self.folder / "trace").open(encoding="utf-8", errors="replace") as lines:
            events.extend(event for event in map(parse_line, lines) if event is not None)

    def _lost(self) -> int:
        """Add up overwritten and dropped events over all CPUs (Documentation/trace/ftrace.rst, per_cpu/cpu0/stats)."""
        total = 0
        for stats in (self.folder / "per_cpu").glob("cpu*/stats"):
            fields = dict(line.split(": ") for line in stats.read_text().splitlines() if ": " in line)
            total += sum(int(fields[name]) for name in ("overrun", "commit overrun", "dropped events"))
        return total


@contextmanager
def recorder(number: int, *, events: int = 10_000, plugs_of: int | None = None) -> Iterator[Recorder]:
    """Set up a private trace instance for one block device or partition and remove it at the end.

    :param number: the device's (`st_rdev`).
    :param events: how many events to make room for.
    :param plugs_of: thread id whose plug flushes are counted; None: nobody's.
    :raises RefusedError: where root or tracefs are missing, or too much memory would be needed.
    """
    if (reason := why_impossible()) is not None:
        raise RefusedError(f"trace: {reason}")
    with ends_orderly(), _tracefs() as root, ExitStack() as stack:
        with signals_held():
            _remove_leftovers(root)
            folder = root / "instances" / f"{owned_name(_KIND, os.getpid())}-{os.major(number)}-{os.minor(number)}"
            try:
                folder.mkdir()
            except OSError as error:
                raise RefusedError(f"trace: no trace instance to be had: {error.strerror}") from None
            stack.callback(_remove, folder)
        made = Recorder(folder)
        made._write("tracing_on", 0)
        # One counter for all CPUs: the order of events is exact, and no clock has to be trusted.
        made._write("trace_clock", "counter")
        made._write("buffer_size_kb", 64)
        made.resize(events)
        wanted: Iterable[tuple[str, str]] = [(name, _condition(number)) for name in _ACTIONS]
        if plugs_of is not None:
            wanted = [*wanted, (_UNPLUG, f"common_pid == {plugs_of}")]
        for name, condition in wanted:
            made._write(f"events/block/{name}/filter", condition)
            made._write(f"events/block/{name}/enable", 1)
        yield made


def _condition(number: int) -> str:
    """Write the event filter for a device.

    A partition's bios are its own or the disk's, depending on the kernel, and its requests are always the disk's;
    sectors are the disk's in all of them (`blk_partition_remap()` in block/blk-core.c comes first).
    """
    folder = block.folder_of(number)
    if folder is None or not block.is_partition(folder):
        return f"dev == {_kernel_number(number)}"
    disk = block.number_of(block.disk_of(folder))
    start, sectors = block.extent(folder)
    either = f"(dev == {_kernel_number(disk)} || dev == {_kernel_number(number)})"
    return f"{either} && sector >= {start} && sector < {start + sectors}"


def _kernel_number(number: int) -> int:
    """Return a device's number as events have it (`MKDEV()` in include/linux/kdev_t.h)."""
    return os.major(number) << 20 | os.minor(number)


def _remove(folder: Path) -> None:
    with signals_held():
        folder.rmdir()
