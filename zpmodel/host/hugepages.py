"""Borrowing huge pages from the system, and giving back what was borrowed, even after a kill.

Several programs borrow at once: each takes what the pool lacks for it beside the others' needs, and returns its own
share. What is owed stands in the ledger, not in a folder of the user's.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zpmodel.base.errors import RefusedError
from zpmodel.host.ledger import Ledger, open_ledger
from zpmodel.host.meminfo import read_meminfo
from zpmodel.host.signals import signals_held

_POOL = Path("/proc/sys/vm/nr_hugepages")
_KIND = "hugepages"
_PMD_BYTES = 2 << 20


@dataclass(frozen=True)
class Loan:
    """Huge pages that this process may use: ``pages`` of 2 MiB are there for it. `give_back` ends it."""

    name: str
    pages: int


def free_pages() -> int:
    """Count huge pages of 2 MiB that nobody has or has reserved; 0 where the system's have another size, or none."""
    info = read_meminfo()
    if info.get("Hugepagesize") != _PMD_BYTES:
        return 0
    return max(0, info.get("HugePages_Free", 0) - info.get("HugePages_Rsvd", 0))


def borrow(pages: int) -> Loan:
    """See to it that so many huge pages are free for this process, as far as the system lets us.

    What is taken is recorded first, so that it is known even if this process is killed; what dead processes took is
    given back before.
    """
    name = os.urandom(4).hex()
    try:
        with signals_held():
            there = _borrow(name, pages)
    except BaseException:  # a signal that was held: nobody has the loan
        give_back(Loan(name, 0))
        raise
    return Loan(name, there)


def give_back(loan: Loan) -> None:
    """Return what was taken from the system for a loan; a second time does nothing."""
    with signals_held(), suppress(RefusedError), open_ledger() as ledger:
        _settle(ledger)
        _return(ledger, ledger.strike(_KIND, loan.name))


def settle() -> None:
    """Give back what processes that no longer live have borrowed."""
    with signals_held(), suppress(RefusedError), open_ledger() as ledger:
        _settle(ledger)


def _borrow(name: str, pages: int) -> int:
    try:
        with open_ledger() as ledger:
            _settle(ledger)
            # What others need counts as gone, whether they use it at this moment or not.
            others = sum(_number(debt, "needs") for debt in ledger.living(_KIND))
            missing = pages - max(0, free_pages() - others)
            before = _pool()
            if missing > 0 and os.access(_POOL, os.W_OK):
                ledger.write(_KIND, name, {"needs": pages, "before": before, "asked": before + missing})
                with suppress(OSError):
                    _POOL.write_text(str(before + missing))
            there = max(0, min(pages, free_pages() - others))
            ledger.write(_KIND, name, {"needs": there, "taken": max(0, _pool() - before)})
            return there
    except RefusedError:
        return min(pages, free_pages())  # without a record nothing is taken


def _settle(ledger: Ledger) -> None:
    ledger.settle_dead(_KIND, lambda debt: _return(ledger, debt))


def _return(ledger: Ledger, debt: dict[str, Any] | None) -> bool:
    if debt is None:
        return True
    now = _pool()
    # Killed before the outcome was known: what the pool has grown by, but no more than was asked for.
    grown = min(now, _number(debt, "asked")) - _number(debt, "before")
    taken = _number(debt, "taken") if "taken" in debt else grown
    # If somebody else has shrunk the pool meanwhile, what other living borrowers took is not ours to return.
    theirs = sum(_number(other, "taken") for other in ledger.living(_KIND) if other is not debt)
    if taken > 0 and now > theirs:
        with suppress(OSError):
            _POOL.write_text(str(max(theirs, now - taken)))
    return True


def _number(debt: dict[str, Any], field: str) -> int:
    value = debt.get(field)
    return value if isinstance(value, int) and value >= 0 else 0


def _pool() -> int:
    try:
        return int(_POOL.read_text())
    except (OSError, ValueError):
        return 0
