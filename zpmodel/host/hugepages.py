"""Borrowing huge pages from the system, and giving back what was borrowed, even after a kill."""

import json
from contextlib import suppress
from pathlib import Path

from zpmodel.base.files import write_atomically

_POOL = Path("/proc/sys/vm/nr_hugepages")
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def free_pages() -> int:
    """Count the free huge pages of 2 MiB; 0 where the system's huge page has another size, or none."""
    fields = {}
    with suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            name, _, rest = line.partition(":")
            fields[name] = int(rest.split()[0])
    return fields.get("HugePages_Free", 0) if fields.get("Hugepagesize") == 2048 else 0


def borrow(pages: int, record: Path) -> int:
    """Make sure that so many huge pages are free, as far as the system lets us.

    What is taken is written to ``record`` first, so that `give_back` knows it even if this process is killed.

    :return: how many are free now.
    """
    missing = pages - free_pages()
    if missing > 0:
        with suppress(OSError, ValueError):
            before = int(_POOL.read_text())
            write_atomically(record, json.dumps({"before": before, "asked": before + missing, "boot": _boot()}))
            _POOL.write_text(str(before + missing))
            write_atomically(record, json.dumps({"taken": int(_POOL.read_text()) - before, "boot": _boot()}))
    return free_pages()


def give_back(record: Path) -> None:
    """Give back what `borrow` took, by this process or by one that was killed; does nothing without a record."""
    try:
        taken = json.loads(record.read_text())
    except (OSError, ValueError):
        return
    if taken.get("boot") == _boot():  # after a reboot there is nothing to return
        with suppress(OSError, ValueError, KeyError):
            now = int(_POOL.read_text())
            # Killed before the outcome was known: what the pool has grown by, but no more than was asked for.
            ours = taken["taken"] if "taken" in taken else min(now, taken["asked"]) - taken["before"]
            if ours > 0:
                _POOL.write_text(str(max(0, now - ours)))
    with suppress(OSError):
        record.unlink()


def _boot() -> str:
    return _BOOT.read_text().strip() if _BOOT.exists() else ""
