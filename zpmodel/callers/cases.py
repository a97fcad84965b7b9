"""Cases, one JSON object a line: a range of a device with its limits, or a request of one user of zero pages."""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any

import msgspec

from zpmodel.base.errors import InputError
from zpmodel.base.units import MIB
from zpmodel.callers.base import Counts, Kernel
from zpmodel.callers.find import find_caller
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure.count import Structure, count

_KERNEL = "7.3"
"""The kernel of a user's line that names none."""

# What a case says besides its request, so that none of these is taken for a misspelt field.
_BESIDE = {"user", "kernel", "zero_page_bytes", "persistent_huge_zero_folio", "bios", "source"}


class _Range(msgspec.Struct):
    """The fields of a line without a user; others are ignored."""

    limits: dict[str, Any]
    offset: int
    length: int


def case_zero_page(case: Mapping[str, Any], source: str) -> ZeroPage:
    """The zero page of a case: ``zero_page_bytes``, or ``persistent_huge_zero_folio`` of an x86-64 kernel."""
    size, persistent = case.get("zero_page_bytes"), case.get("persistent_huge_zero_folio")
    if size is not None and persistent is not None:
        raise InputError(source, "zero_page_bytes", size, "either it or persistent_huge_zero_folio, not both")
    if size is not None:
        if isinstance(size, bool) or not isinstance(size, int):
            raise InputError(source, "zero_page_bytes", size, "a whole number of bytes")
        return ZeroPage("folio", size)
    if not isinstance(persistent, bool):
        raise InputError(source, "persistent_huge_zero_folio", persistent, "true or false, or zero_page_bytes instead")
    return ZeroPage("static", 2 * MIB) if persistent else ZeroPage("page", 4096)


def count_cases(lines: Iterable[str], source: str = "cases") -> Iterator[Structure]:
    """Count many ranges, one JSON object a line, in their order; blank lines are passed over.

    :param lines: objects with ``limits`` (names of sysfs), ``offset`` [byte], ``length`` [byte], and
        ``zero_page_bytes`` or ``persistent_huge_zero_folio``; other fields are ignored.
    :param source: what to call the file in messages.
    :raises InputError: on the first line that can't be taken, naming its number.
    """
    for found in count_lines(lines, source, users=False):
        assert isinstance(found, Structure)
        yield found


def count_lines(lines: Iterable[str], source: str = "cases", *, users: bool = True) -> Iterator[Structure | Counts]:
    """Count many cases, as :func:`count_cases`; a line that names a ``user`` is a request of that user.

    :param lines: besides those of :func:`count_cases`: ``user``, ``kernel``, the zero page, and the user's own fields.
    :param users: whether such lines are taken.
    :return: a :class:`Structure` for a range, :class:`Counts` for a user's request.
    :raises InputError: on the first line that can't be taken, naming its number.
    """
    known: dict[str, QueueLimits] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{source} line {number}"
        case = _parse(line, where)
        try:
            if users and "user" in case:
                yield _count_request(case, where)
            else:
                yield _count_range(case, where, known)
        except InputError as error:
            if error.where == where:
                raise
            raise InputError(where, error.field, error.value, error.accepted) from None


def _parse(line: str, where: str) -> dict[str, Any]:
    try:
        case = msgspec.json.decode(line)
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError) as error:
        raise InputError(where, "JSON", str(error), "one JSON object a line") from None
    if not isinstance(case, dict):
        raise InputError(where, "JSON", line.strip(), "an object")
    return case


def _convert(case: Mapping[str, Any], kind: type, where: str) -> Any:
    """Check a case against a schema; what it says of fields is made the package's own message."""
    try:
        return msgspec.convert(case, kind)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$.")
        field = path.rstrip("`").split(".")[0].split("[")[0]
        if not field:
            field = text.partition("missing required field `")[2].rstrip("`") or "fields"
        value = case.get(field, "(missing)")
        said = text.removeprefix("Expected ")
        raise InputError(where, field, value, said[:1].lower() + said[1:]) from None


def _count_range(case: dict[str, Any], where: str, known: dict[str, QueueLimits]) -> Structure:
    for name in ("limits", "offset", "length"):
        if name not in case:
            raise InputError(where, name, "(missing)", "the fields limits, offset, length")
    asked: _Range = _convert(case, _Range, where)
    try:
        key = json.dumps(asked.limits, sort_keys=True)
    except RecursionError:
        raise InputError(where, "limits", "(too deep)", "names as under /sys/block/DEV/queue") from None
    if key not in known:
        known[key] = QueueLimits.from_mapping(asked.limits, source=where)
    return count(case_zero_page(case, where), known[key], asked.offset, asked.length)


def _count_request(case: dict[str, Any], where: str) -> Counts:
    user, kernel = case["user"], case.get("kernel", _KERNEL)
    for name, value in (("user", user), ("kernel", kernel)):
        if not isinstance(value, str):
            raise InputError(where, name, value, "a string")
    caller = find_caller(user, where)
    accepted = {item.name for item in fields(caller.request_type)}
    for name in case:
        near = difflib.get_close_matches(name, accepted - set(case), n=1, cutoff=0.85)
        if name not in accepted | _BESIDE and near:
            raise InputError(where, "field", name, near[0])
    request = _convert(case, caller.request_type, where)
    return caller.count(case_zero_page(case, where), request, Kernel.parse(kernel, where))
