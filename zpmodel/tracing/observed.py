"""Counts of what the block layer did, in the fields of `zpmodel.structure`, as far as events show them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from zpmodel.base.units import SECTOR


class Event(NamedTuple):
    """One event of the block layer, in blktrace's letters whatever it was read from.

    ``action`` is Q (bio queued), X (split), M and F (bio merged at the back, at the front), I (request inserted), D
    (issued to the
    driver), C (completed), R (requeued) or U (plug flushed); ``sectors`` counts 512 bytes, for X it is the sector of
    the split and for U the number of requests.
    """

    action: str
    flags: str
    sector: int
    sectors: int
    pid: int = 0
    command: str = ""


@dataclass(frozen=True)
class Observed:
    """What was seen. None stands for what the source does not tell.

    ``bios`` and ``requests`` are lists of ``{"bytes": ..., "count": ...}``, smallest first; a bio as it was
    submitted, before
    any split, a request as the driver got it. ``reissued`` counts requests that the driver handed back once (its
    queue was full) and
    got again: they are counted once. ``plug_flushes`` says how often a plug handed its requests on.
    Sizes above ``lumped_above_bytes`` [byte] are not told apart: they stand under that size and one sector.
    """

    operation: str | None
    bios: list[dict[str, int]] | None
    splits: int | None
    back_merges: int | None
    front_merges: int | None
    requests: list[dict[str, int]] | None
    request_merges: int | None = None
    reissued: int | None = None
    plug_flushes: int | None = None
    lumped_above_bytes: int | None = None


def sizes(counts: Counter[int]) -> list[dict[str, int]]:
    """List how many there are of each size [byte], smallest first."""
    return [{"bytes": size, "count": count} for size, count in sorted(counts.items()) if count]


def operation_of(flags: str) -> str | None:
    """Translate the kernel's letters for an operation (`blk_fill_rwbs()` in kernel/trace/blktrace.c); None: no data."""
    letters = flags.lstrip("F")
    if letters.startswith("WZ") or letters.startswith("N"):
        # Kernels up to 6.17 have no letter for WRITE_ZEROES; "N" is what they print for it.
        return "write_zeroes"
    return {"W": "write", "R": "read", "D": "discard"}.get(letters[:1])


def observe(events: Iterable[Event], *, operations: frozenset[str] = frozenset({"write", "write_zeroes"})) -> Observed:
    """Count events, which must be those of one device, in the order in which they happened.

    :param operations: what to count; everything else on the device (reads, flushes without data) is left out.
    """
    bios: Counter[int] = Counter()
    requests: Counter[int] = Counter()
    single: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    with_driver: set[int] = set()
    reissued = 0
    for event in events:
        if event.action == "U":
            single["U"] += 1
            continue
        operation = operation_of(event.flags)
        if operation not in operations or (event.sectors == 0 and event.action != "X"):
            continue
        if event.action == "Q":
            bios[event.sectors * SECTOR] += 1
            seen[operation] += 1
        elif event.action == "D":
            if event.sector in with_driver:
                reissued += 1
                continue
            with_driver.add(event.sector)
            requests[event.sectors * SECTOR] += 1
        elif event.action == "C":
            with_driver.discard(event.sector)
        else:
            single[event.action] += 1
    return Observed(
        operation="+".join(sorted(seen)) or None,
        bios=sizes(bios),
        splits=single["X"],
        back_merges=single["M"],
        front_merges=single["F"],
        requests=sizes(requests),
        request_merges=single["RM"],
        reissued=reissued,
        plug_flushes=single["U"],
    )
