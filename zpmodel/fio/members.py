"""How many jobs ``group_reporting`` merged into an entry, and whether the options printed with it are theirs.

``__show_run_stats`` in fio's stat.c: without ``group_reporting`` each of the ``numjobs`` clones has an entry of its
own; with it all jobs of a group share one, under the first one's name and the last one's options. What fio prints, and
what can be known from it:

* A bare ``group_reporting`` isn't in fio 3's JSON, so the entries beside it have to tell.
* ``numjobs`` of the global section isn't printed from fio 2.3 to 3.3, and before 2.3 no option is.
* ``job_runtime`` (from 3.2) is summed over the jobs, ``runtime`` is the longest one's.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zpmodel.fio import options
from zpmodel.fio.dialect import NAN, Moved

_SHORTEST_S = 0.1
_SAME = 0.03
_FIRST_WITH_GLOBAL_NUMJOBS = (3, 4)


@dataclass(frozen=True)
class Siblings:
    """The entries around one: how many have its identity, and how many of its group stand before it.

    ``told_apart`` is false where entries of several servers can't be told apart.
    """

    same: int
    before: int
    told_apart: bool


@dataclass(frozen=True)
class Members:
    """``jobs`` merged into an entry and ``numjobs`` of its section; NaN where unknown.

    ``mixed``: sections that differ were merged, so the options are only one section's. ``inferred``: by the runtime.
    """

    jobs: float
    numjobs: float
    mixed: bool
    inferred: bool
    notes: tuple[str, ...]


def version(text: str) -> tuple[int, ...]:
    """``fio-3.28-12-gabc`` -> (3, 28); empty where it can't be read."""
    match = re.match(r"(?:fio-)?(\d{1,4})\.(\d{1,4})(?!\d)", text)
    return tuple(map(int, match.groups())) if match else ()


def in_phases(given: Mapping[str, str] | None, sides: Mapping[str, Moved]) -> bool:
    """Say whether directions may have run one after the other (write, then verify) and not side by side."""
    busy = [side.runtime_s for side in sides.values() if side.ios]
    if len(busy) < 2:
        return False
    if given is not None:
        return any(options.is_given(given, name) for name in options.READS_BACK)
    return max(busy) - min(busy) > 0.02 * max(busy)


def find(
    entry: Mapping[str, Any],
    given: Mapping[str, str] | None,
    sides: Mapping[str, Moved],
    siblings: Siblings,
    numjobs: float,
    summed_s: float,
) -> Members:
    """Count the jobs of an entry.

    :param given: its options; None where unknown.
    :param numjobs: as `asked` says.
    :param summed_s: ``job_runtime`` [s]; NaN where it isn't printed.
    """
    flag = None if given is None or "group_reporting" not in given else options.is_set(given["group_reporting"])
    clones = siblings.same > 1 and siblings.told_apart
    foreign = given is not None and _is_another_sections(entry, given, sides)
    # A section whose group already has an entry, and which has one of its own, doesn't report as a group.
    alone = clones or flag is False or (math.isnan(numjobs) and siblings.before > 0 and siblings.told_apart)
    expected = NAN if foreign else 1.0 if alone else numjobs
    notes = ["sections that differ were merged: the options are one section's"] if foreign else []
    longest = max((side.runtime_s for side in sides.values() if side.ios), default=0.0)
    jobs, mixed, inferred = expected, foreign, False
    if longest > _SHORTEST_S and summed_s > 0 and not in_phases(given, sides):
        ratio = summed_s / longest
        nearest = max(1, round(ratio))
        counted = float(nearest) if abs(ratio - nearest) <= _SAME * nearest else NAN
        if math.isnan(expected):
            jobs, inferred = counted, True
        elif ratio > expected + 0.3:
            jobs, mixed = counted, True
            notes.append(f"the summed runtime is that of {ratio:.3g} jobs, not {expected:.0f}: sections were merged")
        elif expected > 1 and ratio < 1 + _SAME:
            jobs = NAN
            notes.append(f"the summed runtime is that of one job, not {expected:.0f}")
    if math.isnan(jobs) and not notes:
        notes.append("fio didn't print numjobs: how many jobs this is can't be known")
    return Members(jobs, NAN if mixed else numjobs, mixed, inferred, tuple(notes))


def asked(document: Mapping[str, Any], given: Mapping[str, str] | None, fio: Sequence[int]) -> float:
    """``numjobs``; NaN where this fio may have kept it to itself.

    :param fio: its version.
    """
    if given is None:
        return NAN
    if "numjobs" in given or "global options" not in document or tuple(fio) >= _FIRST_WITH_GLOBAL_NUMJOBS:
        return options.whole(given, "numjobs", 1)
    return NAN


def _is_another_sections(entry: Mapping[str, Any], given: Mapping[str, str], sides: Mapping[str, Moved]) -> bool:
    """Say whether the options name another job, or a direction other than those in which data moved."""
    name = entry.get("jobname")
    if given.get("name") and name and given["name"] != name:
        return True
    wanted = options.directions(given.get("rw", "read"))
    if not wanted or any(options.is_given(given, each) for each in options.READS_BACK):
        return False
    return any(side.ios and direction != "mixed" and direction not in wanted for direction, side in sides.items())
