"""A question: who zeroes how much, from which page, on which machine. One frozen record, every input by name."""

from dataclasses import dataclass, fields, replace
from typing import Any, Self

from zpmodel.base.errors import InputError
from zpmodel.base.units import GIB
from zpmodel.callers.base import BEFORE, FINISHED
from zpmodel.callers.find import find_caller
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.study.on_demand import OnDemand
from zpmodel.timing.fio_write import predict_fio_write
from zpmodel.timing.machine import Machine
from zpmodel.timing.predict import Prediction, predict_structure, predict_zeroout

ZERO_OUT, FIO_WRITE = "blkdev_issue_zero_pages", "fio_write"


@dataclass(frozen=True)
class Scenario:
    """A question to a machine.

    :ivar machine: CPU, driver and device.
    :ivar length: bytes to zero; for fio's write, of one I/O [byte].
    :ivar zero_page: a policy (``page``, ``on-demand``, ``static``) or a size (``64KiB``); for fio's write, its buffers'
        pages.
    :ivar offset: where on the device [byte].
    :ivar caller: who zeroes: the kernel's name of it, or ``fio_write``; users other than the zero-out make their
        typical request, whatever ``length`` says.
    :ivar depth: operations in flight; a zero-out is one.
    :ivar limits: the queue's limits, where they are not the machine's.
    :ivar fallback_share: share of on-demand I/O that finds no huge zero folio [1]: a shortcut that takes the place of
        ``on_demand``; None: as that says.
    :ivar on_demand: the on-demand folio's life; None: the assumptions that :class:`zpmodel.study.on_demand.OnDemand`
        names.
    """

    machine: Machine
    length: int = GIB
    zero_page: str = "static"
    offset: int = 0
    caller: str = ZERO_OUT
    depth: int = 1
    limits: QueueLimits | None = None
    fallback_share: float | None = None
    on_demand: OnDemand | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "caller", find_caller(self.caller, "scenario").facts.name)
        if self.fallback_share is not None and not 0 <= self.fallback_share <= 1:
            raise InputError("scenario", "fallback_share", self.fallback_share, "a share from 0 to 1")
        if not isinstance(self.depth, int) or self.depth < 1:
            raise InputError("scenario", "depth", self.depth, "a whole number of at least 1")
        if self.depth != 1 and self.caller != FIO_WRITE:
            raise InputError("scenario", "depth", self.depth, f"1 (a zero-out is one operation), or caller {FIO_WRITE}")
        ZeroPage.named(self.zero_page)

    def but(self, **changes: Any) -> Self:
        """The same question with other inputs.

        :raises InputError: on a name that is no input.
        """
        known = [field.name for field in fields(self)]
        for name in changes:
            if name not in known:
                raise InputError("scenario", "input", name, ", ".join(known))
        return replace(self, **changes)


def predict(scenario: Scenario) -> Prediction:
    """Answer a question: CPU and elapsed time of one zero page.

    :raises InputError: on ranges that the kernel refuses.
    """
    machine, page = scenario.machine.with_limits(scenario.limits), ZeroPage.named(scenario.zero_page)
    if scenario.caller == FIO_WRITE:
        return predict_fio_write(machine, page, scenario.length, depth=scenario.depth, offset=scenario.offset)
    if scenario.caller == ZERO_OUT:
        return predict_zeroout(machine, page, scenario.length, offset=scenario.offset)
    caller = find_caller(scenario.caller)
    if caller.facts.kind != "dma":
        raise InputError("scenario", "caller", scenario.caller, "one whose zeroes a device reads; see zpmodel read")
    kernel = FINISHED if page.size_bytes > page.base_page_bytes else BEFORE
    structure = caller.structure(page, caller.typical(), kernel, machine.limits, scenario.offset)
    if structure is None:
        raise InputError("scenario", "caller", scenario.caller, "one that makes bios of its own")
    waits = caller.count(page, caller.typical(), kernel).waits
    return predict_structure(machine, page, structure, waits=waits)
