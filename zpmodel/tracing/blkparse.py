"""Reading `blkparse` text in its default format: what another machine's block layer did, traced with blktrace."""

import re
from collections.abc import Iterable
from pathlib import Path

from zpmodel.base.errors import InputError
from zpmodel.base.files import bounded_lines, open_regular
from zpmodel.tracing.observed import Event

# blkparse(1), default format: device, CPU, sequence, seconds, process, action, operation, then what the action has.
_LINE = re.compile(
    r"\s*(?P<device>\d+,\d+)\s+\d+\s+\d+\s+\d+\.\d+\s+(?P<pid>\d+)\s+(?P<action>[A-Z]{1,2})\s+(?P<flags>[A-Z]+)\s+(?P<rest>.*)"
)
_RANGE = re.compile(r"(?P<sector>\d+) [+/] (?P<sectors>\d+)(?: .*?)?(?:\[(?P<command>.*)\])?")
_UNPLUG = re.compile(r"\[(?P<command>.*)\] (?P<requests>\d+)")
_COUNTED = frozenset("QXMFIDCR")


def looks_like_blkparse(text: str) -> bool:
    """Say whether a text's first lines are blkparse's."""
    return any(_LINE.match(line) for line in text.splitlines()[:20])


def parse(lines: Iterable[str], source: str, device: str | None = None) -> list[Event]:
    """Read the events of one device.

    :param lines: blkparse's output; its summary at the end and messages are passed over.
    :param source: what to call it in messages.
    :param device: ``major,minor``; needed where the text has several.
    :raises InputError: where there are no events, or those of several devices and none is named.
    """
    by_device: dict[str, list[Event]] = {}
    for number, line in enumerate(lines, 1):
        match = _LINE.match(line)
        if match is None:
            continue
        event = _event(match, f"{source} line {number}")
        if event is not None:
            by_device.setdefault(match["device"], []).append(event)
    if not by_device:
        raise InputError(source, "text", "no events", "blkparse's output in its default format")
    if device is None and len(by_device) == 1:
        return next(iter(by_device.values()))
    if device not in by_device:
        raise InputError(
            source, "device", device or "(none named)", f"one of its devices: {' '.join(sorted(by_device))}"
        )
    return by_device[device]


def _event(match: re.Match[str], where: str) -> Event | None:
    action, rest, pid = match["action"], match["rest"], int(match["pid"])
    if action in ("U", "UT"):
        found = _UNPLUG.match(rest)
        return Event("U", "", 0, int(found["requests"]) if found else 0, pid, found["command"] if found else "")
    if action not in _COUNTED:
        return None
    found = _RANGE.match(rest)
    if found is None:
        # A flush has neither sector nor length; anything else with neither is not what was expected.
        if action == "X" or "W" in match["flags"].lstrip("F"):
            raise InputError(where, "range", rest, "a sector and a length: 2048 + 8")
        return None
    return Event(action, match["flags"], int(found["sector"]), int(found["sectors"]), pid, found["command"] or "")


def read(path: Path, device: str | None = None) -> list[Event]:
    """Read a file of blkparse text; as `parse`.

    :raises InputError: where it can't be read.
    """
    try:
        with open_regular(path) as file:
            return parse((line.decode(errors="replace") for line in bounded_lines(file)), str(path), device)
    except (OSError, ValueError) as error:
        raise InputError(str(path), "file", str(error), "a file that can be read") from None
