"""Lowering a queue's ``max_sectors_kb`` for single runs, and putting it back even after a kill.

A bio, a vector and a request can only be told apart where their numbers do not go together; with this limit the same
bio of the same vectors makes more requests. What was found is written to a record outside of any data set before it
is changed, and held under a lock as long as the process lives; whoever measures next restores what a killed one left.
"""

import fcntl
import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from zpmodel.base.errors import RefusedError
from zpmodel.base.files import write_atomically
from zpmodel.base.units import KIB

RECORDS = Path("/run/zpmodel")
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAME = re.compile(r"max_sectors_kb-([\w!.-]+)\.json")


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
    why_not = _why_not(device)
    if why_not or device is None:
        yield SectorsKnob(None, why_not)
        return
    file = device / "queue/max_sectors_kb"
    record = RECORDS / f"max_sectors_kb-{device.name}.json"
    with _held(record) as ours:
        if not ours:
            yield SectorsKnob(None, "another measurement is changing it")
            return
        _restore(record)
        write_atomically(record, json.dumps({"device": device.name, "found": _read(file), "boot": _boot()}))
        try:
            yield SectorsKnob(file, "")
        finally:
            _restore(record)


def restore_leftovers() -> None:
    """Put back what killed measurements left changed, on all devices."""
    if not _ours(RECORDS):
        return
    for record in RECORDS.glob("max_sectors_kb-*.json"):
        with suppress(OSError), _held(record) as ours:
            if ours:  # else its owner lives
                _restore(record)


@contextmanager
def _held(record: Path) -> Iterator[bool]:
    """Hold a record's lock and remove it with the folder, where empty, at the end; False where another has it."""
    lock = record.with_suffix(".lock")
    while True:
        RECORDS.mkdir(mode=0o700, exist_ok=True)
        fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            yield False
            return
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(fd), lock.lstat()):
                break
        os.close(fd)  # whoever had it has just removed it
    try:
        yield True
    finally:
        lock.unlink(missing_ok=True)
        os.close(fd)
        with suppress(OSError):
            RECORDS.rmdir()


def _why_not(device: Path | None) -> str:
    if device is None:
        return "the target is not on a block device of this machine"
    if os.geteuid() != 0:
        return "only root may change it"
    if not os.access(device / "queue/max_sectors_kb", os.W_OK):
        return "this device's can't be changed"
    with suppress(OSError):
        RECORDS.mkdir(mode=0o700, exist_ok=True)
    return "" if _ours(RECORDS) else f"{RECORDS} can't be used to remember what it was"


def _ours(folder: Path) -> bool:
    """A folder that nobody but this user can have put anything into."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    others = stat.S_IWGRP | stat.S_IWOTH
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & others


def _restore(record: Path) -> None:
    """Put back what the record says, if it is of this boot, and remove it; without a record there is nothing to do."""
    match = _NAME.fullmatch(record.name)
    try:
        kept = json.loads(record.read_text())
        found, boot = int(kept["found"]), str(kept["boot"])
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError):
        found, boot = 0, ""  # it is written whole before anything is changed
    if match is not None and found > 0 and boot == _boot():
        file = Path("/sys/block", match[1], "queue/max_sectors_kb")
        with suppress(OSError, RefusedError):
            if _read(file) != found:
                _write(file, found)
    record.unlink(missing_ok=True)


def _read(file: Path) -> int:
    return int(file.read_text())


def _write(file: Path, value: int) -> None:
    try:
        # Unbuffered: the kernel's answer must be this write's own, not a later close's.
        with file.open("wb", buffering=0) as opened:
            opened.write(str(value).encode())
    except OSError as error:
        raise RefusedError(f"{file} can't be set to {value}: {error.strerror}") from None


def _boot() -> str:
    return _BOOT.read_text().strip() if _BOOT.exists() else ""
