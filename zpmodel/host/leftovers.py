"""Things made in the kernel must not outlive the process that made them.

Names carry their owner (process id and start time), so that a later run can tell what a killed one left behind from
what a living one still uses.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zpmodel.host.signals import signals_held

_OWNED = re.compile(r"zpmodel-(?P<kind>[a-z]+)-(?P<pid>\d+)-(?P<start>\d+)(?:-|$)")


def _start_time(pid: int) -> str | None:
    """Return when a process started [clock ticks since boot], field 22 of /proc/PID/stat (proc(5)); None if gone."""
    try:
        # The command in parentheses may hold blanks and parentheses itself.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def owned_name(kind: str, pid: int) -> str:
    """Name something of this kind (lower-case letters) so that its owner can be told from it."""
    return f"zpmodel-{kind}-{pid}-{_start_time(pid)}"


def is_leftover(name: str, kind: str) -> bool:
    """Say whether a name is of this kind and its owner is no longer alive."""
    match = _OWNED.match(name)
    return match is not None and match["kind"] == kind and _start_time(int(match["pid"])) != match["start"]


@contextmanager
def passing_folder(prefix: str, where: Path | None = None) -> Iterator[Path]:
    """A folder for the block, gone after it; a signal that arrives while it is made or removed waits so long.

    :param where: the folder to make it in; that of temporary files if left out.
    """
    made = None
    try:
        with signals_held():
            made = tempfile.mkdtemp(prefix=prefix, dir=where)
        yield Path(made)
    finally:
        if made is not None:
            with signals_held():
                shutil.rmtree(made)
