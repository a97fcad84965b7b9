"""Zeroing a range of a block device under the recorder's eyes, and putting the counts beside the model's."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from zpmodel.base.errors import RefusedError
from zpmodel.base.units import MIB, SECTOR
from zpmodel.host import block
from zpmodel.host.running import kernel_config, running_zero_page
from zpmodel.host.scratch import scratch_device
from zpmodel.measure.zeroout import zero_range
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure import count
from zpmodel.tracing.compare import Line, agree, compare
from zpmodel.tracing.observed import Event, Observed, observe, operation_of
from zpmodel.tracing.tracefs import Recorder, recorder


@dataclass(frozen=True)
class Traced:
    """One range: what the kernel did and what the model says it should have done."""

    zero_page: ZeroPage
    limits: QueueLimits
    offset: int
    length: int
    observed: Observed
    lines: list[Line]

    @property
    def agrees(self) -> bool:
        """Whether every count is the model's."""
        return agree(self.lines)

    def record(self) -> dict[str, Any]:
        """One line of a trace data set: the kernel, the limits, the range and what was counted."""
        limits = {name: value for name, value in self.limits.to_sysfs().items() if name != "source"}
        return {
            "kernel": os.uname().release,
            "zero_page_bytes": self.zero_page.size_bytes,
            "limits": limits,
            "offset": self.offset,
            "length": self.length,
            "operation": self.observed.operation,
            "bios": self.observed.bios,
            "splits": self.observed.splits,
            "back_merges": self.observed.back_merges,
            "front_merges": self.observed.front_merges,
            "requests": self.observed.requests,
        }


def events_expected(limits: QueueLimits, length: int) -> int:
    """How many events zeroing a range may make at most, with room to spare: six for each request, and its bio."""
    pieces = [limits.max_bytes, limits.max_segments * 4096, MIB]
    if limits.chunk_sectors:
        pieces.append(limits.chunk_sectors * 512)
    return 1000 + 10 * (length // min(pieces) + 1)


def find_zero_page() -> tuple[ZeroPage, str]:
    """Say which zero page the running kernel uses, and how that is known: its configuration, or the size of its bios.

    Without a configuration some MiB of a scratch device are zeroed to see.

    :raises RefusedError: where that needs to be done and can't be.
    """
    if kernel_config() is not None:
        return running_zero_page()
    with scratch_device(8 * MIB) as device, recorder(os.fstat(device.fd).st_rdev) as made, made.record() as events:
        zero_range(device.fd, 0, device.size_bytes)
    return running_zero_page(max(row["bytes"] for row in observe(events).bios or []))


@contextmanager
def tracer(fd: int) -> Iterator[Callable[[ZeroPage, QueueLimits, int, int], Traced]]:
    """Give a function that zeroes a range of an open block device, traced, and compares it with the model.

    It takes the zero page, the queue limits as they are now, the offset and the length [byte], and destroys the range.

    :raises RefusedError: where tracing is impossible, events were lost, or somebody else wrote to the device meanwhile.
    """
    number = os.fstat(fd).st_rdev
    thread = threading.get_native_id()
    folder = block.folder_of(number)
    # The kernel cuts by sectors of the whole device: a partition's range lies further behind.
    start = block.extent(folder)[0] * SECTOR if folder is not None else 0
    with recorder(number, plugs_of=thread) as made:

        def trace(zero_page: ZeroPage, limits: QueueLimits, offset: int, length: int) -> Traced:
            observed = _zero(made, fd, thread, limits, offset, length)
            model = count(zero_page, limits, start + offset, length)
            return Traced(zero_page, limits, offset, length, observed, compare(observed, model.as_case()))

        yield trace


def _zero(made: Recorder, fd: int, thread: int, limits: QueueLimits, offset: int, length: int) -> Observed:
    made.resize(events_expected(limits, length))
    with made.record() as events:
        zero_range(fd, offset, length)
    _refuse_strangers(events, thread)
    return observe(events)


def _refuse_strangers(events: list[Event], thread: int) -> None:
    for event in events:
        if event.action == "Q" and event.pid != thread and operation_of(event.flags) not in (None, "read"):
            raise RefusedError(
                f"trace: {event.command} (process {event.pid}) wrote there meanwhile: counts can't be told apart"
            )
