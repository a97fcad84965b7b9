"""Which other process has a file or device open or mapped, as far as this user may look."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from zpmodel.host.block import read_text

Same = Callable[[Path], bool]
"""Says whether a path, links of /proc included, leads to what is asked about."""


def opened_by(same: Same) -> str:
    """Name another process that has it open, "" where none is seen."""
    for process in _others():
        with suppress(OSError):
            for link in (process / "fd").iterdir():
                if same(link):
                    return _name(process)
    return ""


def mapped_by(same: Same) -> str:
    """Name another process that has it mapped, "" where none is seen: a mapping stays when the file is closed."""
    asked: dict[tuple[str, str], bool] = {}
    for process in _others():
        with suppress(OSError):
            for span, *what, name in _mappings(process):
                key = (what[0], what[1])
                if key not in asked:  # libraries are mapped everywhere: each file is looked at once
                    link = process / "map_files" / span
                    # Only root may follow the link; others have the name.
                    asked[key] = same(link) or (not _readable(link) and same(Path(name)))
                if asked[key]:
                    return _name(process)
    return ""


def _mappings(process: Path) -> Iterator[tuple[str, str, str, str]]:
    """Give address range, device, inode and name of each mapped file (proc(5), /proc/PID/maps)."""
    for line in (process / "maps").read_text(errors="surrogateescape").splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[4] != "0":
            # map_files' names have no leading zeroes.
            yield "-".join(f"{int(end, 16):x}" for end in fields[0].split("-")), fields[3], fields[4], fields[5]


def _readable(link: Path) -> bool:
    try:
        link.stat()
    except OSError:
        return False
    return True


def _others() -> Iterator[Path]:
    return (folder for folder in Path("/proc").glob("[0-9]*") if folder.name != str(os.getpid()))


def _name(process: Path) -> str:
    return f"process {process.name} ({read_text(process / 'comm')})"
