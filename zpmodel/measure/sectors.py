"""Lowering a queue's ``max_sectors_kb`` for single runs, and putting it back even after a kill.

A bio, a vector and a request can only be told apart where their numbers do not go together; with this limit the same
bio of the same vectors makes more requests. What was found stands in the ledger before it is changed; whoever measures
next restores what a killed one left.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from zpmodel.base.errors import RefusedError
from zpmodel.base.units import KIB
from zpmodel.host.block import write_setting
from zpmodel.host.ledger import open_ledger
from zpmodel.host.signals import signals_held

_KIND = "sectors"
_NAME = re.compile(r"[\w!.-]+")


class SectorsKnob:
    """The limit of one queue: ``found`` is its value at the start [KiB], ``why_not`` why it can't be changed."""

    def __init__(self, file: Path | None, why_not: str) -> None:
        self._file, self.why_not = file, why_not
        self.found = self._now = _read(file) if file is not None else 0

    def allows(self, value: int | None) -> bool:
        """Say whether the limit can be lowered to this value [KiB]; None, leaving it alone, always can."""
        return value is None or (not self.why_not and os.sysconf("SC_PAGE_SIZE") // KIB <= value < self.found)

    def turn(self, value: int | None) -> None:
        """Lower the limit [KiB], or with None put back what was found.

        :raises RefusedError: where the kernel does not take it.
        """
        wanted = self.found if value is None else value
        if self._file is None or wanted == self._now:
            return
        _write(self._file, wanted)
        self._now = wanted


@contextmanager
def sectors_knob(device: Path | None) -> Iterator[SectorsKnob]:
    """Give out the limit of a device's queue; what was found is put back at the end.

    :param device: its folder under /sys, as `zpmodel.host.block.device_under` returns it.
    """
    why_not = _why_not(device) or _claim(device)
    if why_not or device is None:
        yield SectorsKnob(None, why_not)
        return
    knob = SectorsKnob(_file(device.name), "")
    try:
        yield knob
    finally:
        with signals_held():
            # The limit first: if the ledger fails then, what is put back twice does no harm.
            _put_back({"device": device.name, "found": knob.found})
            with suppress(RefusedError), open_ledger() as ledger:
                ledger.strike(_KIND, device.name)


def restore_leftovers() -> None:
    """Put back what killed measurements left changed, on all devices."""
    with signals_held(), suppress(RefusedError), open_ledger() as ledger:
        ledger.settle_dead(_KIND, _put_back)


def _claim(device: Path | None) -> str:
    """Record what a device's limit is, for this process alone to change; return why that can't be, else ""."""
    if device is None:
        return ""
    try:
        with signals_held(), open_ledger() as ledger:
            ledger.settle_dead(_KIND, _put_back)
            if any(debt.get("device") == device.name for debt in ledger.living(_KIND)):
                return "another measurement is changing it"
            ledger.write(_KIND, device.name, {"device": device.name, "found": _read(_file(device.name))})
    except RefusedError as error:
        return str(error)
    return ""


def _why_not(device: Path | None) -> str:
    if device is None:
        return "the target is not on a block device of this machine"
    if os.geteuid() != 0:
        return "only root may change it"
    return "" if os.access(_file(device.name), os.W_OK) else "this device's can't be changed"


def _put_back(debt: dict[str, Any]) -> bool:
    name, found = debt.get("device"), debt.get("found")
    if isinstance(name, str) and _NAME.fullmatch(name) and isinstance(found, int) and found > 0:
        with suppress(OSError, RefusedError):
            if _read(_file(name)) != found:
                _write(_file(name), found)
    return True


def _file(name: str) -> Path:
    return Path("/sys/block", name, "queue/max_sectors_kb")


def _read(file: Path) -> int:
    return int(file.read_text())


def _write(file: Path, value: int) -> None:
    try:
        write_setting(file, value)
    except OSError as error:
        raise RefusedError(f"{file} can't be set to {value}: {error.strerror}") from None
