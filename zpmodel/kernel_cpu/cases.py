"""Questions about instructions as JSON lines, checked against one schema."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal

import msgspec

from zpmodel.base.errors import InputError
from zpmodel.kernel_cpu.mapping import Answer, Question, answer
from zpmodel.kernel_cpu.nvme import Host, nvme_limits
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.zeropage import ZeroPage

Positive = Annotated[int, msgspec.Meta(ge=1)]


class Case(msgspec.Struct):
    """One line: a kernel, how it maps, a controller, a zero page and a range; other fields are passed over.

    :ivar mdts: largest transfer as the power of two of 4 KiB, from which follow the limits; or
    :ivar limits: these, under the names of /sys/block/DEV/queue.
    """

    kernel: str
    zero_page_bytes: Positive
    length_bytes: Positive
    iommu: Literal["none", "passthrough", "lazy", "strict"] = "none"
    sgl: bool | Literal[0, 1] = True
    mdts: Annotated[int, msgspec.Meta(ge=0, le=20)] | None = None
    limits: dict[str, Any] | None = None
    max_sectors_kb: Annotated[int, msgspec.Meta(ge=4)] | None = None

    def question(self, source: str) -> Question:
        """What is asked.

        :raises InputError: naming the field that can't be.
        """
        if (self.mdts is None) == (self.limits is None):
            raise InputError(
                source, "mdts", "given with limits" if self.mdts is not None else "(missing)", "one of mdts and limits"
            )
        if self.limits is not None:
            limits = self._own_limits(self.limits, source)
        else:
            limits = nvme_limits(self.kernel, self.mdts or 0, self.iommu, source=source)
            # The driver's own cap stands where sysfs is asked for more.
            wished = 2 * self.max_sectors_kb if self.max_sectors_kb else limits.max_sectors
            limits = replace(limits, max_sectors=min(wished, limits.max_hw_sectors or wished))
        page = ZeroPage("folio", self.zero_page_bytes)
        return Question(self.kernel, Host(self.iommu, bool(self.sgl)), limits, page, self.length_bytes)

    def _own_limits(self, limits: dict[str, Any], source: str) -> QueueLimits:
        given = dict(limits)
        if self.max_sectors_kb is not None:
            given["max_sectors_kb"] = self.max_sectors_kb
            given.pop("max_sectors", None)
        return QueueLimits.from_mapping(given, source=source)


def answer_cases(lines: Iterable[str], source: str = "cases") -> Iterator[dict[str, float]]:
    """Answer many questions, one JSON object a line, in their order; blank lines are passed over.

    :raises InputError: on the first line that can't be taken, naming its number and the field.
    """
    known: dict[str, dict[str, float]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{source} line {number}"
        if line not in known:
            known[line] = _answer_line(line, where)
        yield known[line]


def _answer_line(line: str, where: str) -> dict[str, float]:
    try:
        case = msgspec.json.decode(line, type=Case)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise _refused(error, where) from None
    try:
        return as_fields(answer(case.question(where), where))
    except InputError as error:
        if error.where == where:
            raise
        raise InputError(where, error.field, error.value, error.accepted) from None


def _refused(error: Exception, where: str) -> InputError:
    """msgspec's message with the field it is about in the place of one."""
    message, _, path = str(error).partition(" - at `$.")
    missing = message.partition("missing required field `")[2]
    field = (missing or path or "JSON").rstrip("`")
    return InputError(where, field, message, "an object with the fields of zpmodel instructions --help")


def as_fields(found: Answer) -> dict[str, float]:
    """An answer under the names of the counted tables, each with ``_low`` and ``_high``."""
    fields = {}
    for name, estimate in (
        ("prepare_instructions", found.prepare),
        ("unmap_instructions", found.unmap),
        ("instructions", found.block_layer),
    ):
        fields.update(estimate.columns(name))
    return fields
