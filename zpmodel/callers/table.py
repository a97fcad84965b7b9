"""The users of zero pages as tables: what a typical request of each makes, and what converting the user changes."""

from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from zpmodel.callers.base import BEFORE, FINISHED, TODAY, Caller, Counts, Kernel
from zpmodel.callers.find import all_callers
from zpmodel.queue.kernel import BIO_INLINE_VECS
from zpmodel.queue.zeropage import ZeroPage

Verdict = Literal["gains", "nothing to gain", "loses", "gone"]

PAGE, STATIC = ZeroPage.named("page"), ZeroPage.named("static")

STATES: dict[str, tuple[Kernel, ZeroPage]] = {
    "6.12": (BEFORE, PAGE),
    "7.3, option off": (TODAY, PAGE),
    "7.3, option on": (TODAY, STATIC),
    "finished": (FINISHED, STATIC),
}
"""The states that are set side by side: kernel, and the largest zero page that it has."""

COUNTED = ("bios", "vectors", "vectors_allocated", "calls", "waits", "cpu_bytes", "cpu_reads", "page_references")
"""Columns of counts; only ``cpu_bytes`` has a unit [byte]."""

CPU_READERS = {
    "pmem": "copies 4 KiB at a time whatever the vector",
    "nbd, drbd": "send and copy page by page",
    "null_blk with memory": "copies page by page",
    "dm-crypt, dm-integrity": "encrypt or sum up each 4 KiB into pages of their own",
    "raid5": "copies each 4 KiB into its stripe cache",
}
"""Devices whose driver reads the zeroes with the CPU: bios and vectors fall, copies don't, and they come from 2 MiB."""


def counts_of(found: Counts) -> dict[str, int]:
    """The columns :data:`COUNTED` of one request's counts."""
    return {
        "bios": found.bio_count,
        "vectors": found.vectors,
        "vectors_allocated": found.vectors_allocated,
        "calls": found.calls,
        "waits": found.waits,
        "cpu_bytes": found.bytes_read_by_cpu,
        "cpu_reads": sum(row.count for row in found.copies),
        "page_references": found.page_references,
    }


def _count(caller: Caller, state: str) -> dict[str, int] | None:
    """Counts of a caller's typical request in a state; None where the kernel has the caller no more."""
    kernel, page = STATES[state]
    gone = caller.facts.gone_since
    if gone is not None and kernel.version >= gone:
        return None
    return counts_of(caller.count(page, caller.typical(), kernel))


def counts_table() -> pd.DataFrame:
    """Counts of each user's typical request in each state.

    :return: one row a user and state: ``user``, ``kind``, ``state``, ``zero_page_bytes`` [byte], and :data:`COUNTED` as
        nullable integers, missing where the kernel has the user no more. Costs join on ``user`` and ``state``.
    """
    rows: list[dict[str, Any]] = []
    for caller in all_callers():
        for state, (_, page) in STATES.items():
            key = {
                "user": caller.facts.name,
                "kind": caller.facts.kind,
                "state": state,
                "zero_page_bytes": page.size_bytes,
            }
            rows.append({**key, **(_count(caller, state) or dict.fromkeys(COUNTED))})
    return pd.DataFrame(rows).astype({"zero_page_bytes": "int64", **dict.fromkeys(COUNTED, "Int64")})


@dataclass(frozen=True)
class Change:
    """What one step (from a state to another) does to a typical request.

    :ivar verdict: by the counts alone: ``gains`` if some fall and none grow, ``loses`` if any grows.
    :ivar changed: the counts that differ, as (before, after).
    """

    verdict: Verdict
    changed: dict[str, tuple[int, int]]

    def __str__(self) -> str:
        parts = (f"{name.replace('_', ' ')} {before:,} -> {after:,}" for name, (before, after) in self.changed.items())
        return "; ".join([str(self.verdict), *parts])


def change(caller: Caller, before: str, after: str) -> Change:
    """Compare two states of a user."""
    first, second = _count(caller, before), _count(caller, after)
    if first is None or second is None:
        return Change("gone", {})
    changed = {name: (first[name], second[name]) for name in COUNTED if first[name] != second[name]}
    if all(one["vectors_allocated"] <= BIO_INLINE_VECS * one["bios"] for one in (first, second)):
        changed.pop("vectors_allocated", None)  # they are part of the bio, asked for or not
    if any(new > old for old, new in changed.values()):
        return Change("loses", changed)
    return Change("gains" if changed else "nothing to gain", changed)


def overall(caller: Caller) -> str:
    """What a larger page, with the conversion finished, is worth to a user against 6.12; and who loses on the way."""
    whole = change(caller, "6.12", "finished").verdict
    worth = "nothing to gain" if whole == "gone" else str(whole)
    return (
        f"{worth}; loses with the option off" if change(caller, "6.12", "7.3, option off").verdict == "loses" else worth
    )


def describe(caller: Caller) -> dict[str, Any]:
    """Everything about a user for a program: facts, what it owes, counts, and the three changes."""
    facts = caller.facts
    owes = facts.owes(ZeroPage.named("on-demand"))
    return {
        "user": facts.name,
        "title": facts.title,
        "kind": facts.kind,
        "source": facts.source,
        "loop_6.12": facts.before,
        "loop_7.3": facts.today,
        "converted_since": None if not facts.converted_since else ".".join(map(str, facts.converted_since)),
        "gone_since": None if not facts.gone_since else ".".join(map(str, facts.gone_since)),
        "on_demand": vars(owes),
        "request": {name: getattr(caller.typical(), name) for name in caller.typical().__dataclass_fields__},
        "counts": {state: _count(caller, state) for state in STATES},
        "overall": overall(caller),
        "option_off_since_6.12": vars(change(caller, "6.12", "7.3, option off")),
        "option_on": vars(change(caller, "7.3, option off", "7.3, option on")),
        "finishing": vars(change(caller, "7.3, option on", "finished")),
        "limited_by": facts.limited_by,
        "why": facts.why,
        "loses": facts.loses,
    }
