"""What is mounted where, as this process sees it (/proc/self/mountinfo, proc(5))."""

import re
from dataclasses import dataclass
from pathlib import Path

_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """One mount.

    :ivar id: as in /proc/self/fdinfo.
    :ivar device: ``major:minor`` of its files' st_dev (an anonymous number for btrfs, overlay, network ...).
    :ivar root: what of the file system is mounted, ``/`` for all of it.
    :ivar point: where.
    :ivar file_system: its type.
    :ivar source: what was mounted: a device's path, or whatever the file system uses for a name.
    :ivar options: of the mount and of the file system, in this order.
    """

    id: int
    device: str
    root: str
    point: Path
    file_system: str
    source: str
    options: tuple[str, ...]


def mounts() -> list[Mount]:
    """Return all mounts of this process' namespace, in the order in which they were made."""
    # Names may be of any bytes; they must stay what they are.
    text = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
    return [found for line in text.split("\n") if (found := _parse(line)) is not None]


def mount_of(fd: int) -> Mount | None:
    """Return the mount that an open file was opened through, None where the kernel doesn't say."""
    try:
        lines = Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines()
    except OSError:
        return None
    number = dict(line.split(":\t", 1) for line in lines if ":\t" in line).get("mnt_id", "").strip()
    return next((mount for mount in mounts() if str(mount.id) == number), None)


def unescape(name: str) -> str:
    """Undo the kernel's octal escapes of blanks and backslashes (`mangle()` in fs/seq_file.c)."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), name)


def _parse(line: str) -> Mount | None:
    fields = line.split(" ")
    if "-" not in fields[6:]:
        return None
    # Optional fields stand between the sixth and the dash.
    after = fields.index("-", 6)
    kind, source, options = (*fields[after + 1 : after + 4], "", "", "")[:3]
    return Mount(
        int(fields[0]),
        fields[2],
        unescape(fields[3]),
        Path(unescape(fields[4])),
        kind,
        unescape(source),
        (*fields[5].split(","), *options.split(",")),
    )
