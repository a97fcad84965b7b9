"""What sets the on-demand folio's life and cost: who asks for it and how often, and the machine's memory."""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from zpmodel.base.errors import InputError
from zpmodel.base.estimate import Estimate
from zpmodel.memory.clearing.cpus import clear_folio_s
from zpmodel.memory.life.cases import failure_of
from zpmodel.memory.life.closed_form import Life, Users
from zpmodel.memory.life.getter import GetterTimes, getter_times
from zpmodel.memory.life.vmstat import failure_here, scans_since_boot

Getter = Literal["mm", "io", "cpu", "static-key"]
GETTERS: dict[Getter, str] = {
    "mm": "one reference per mm, a flag's test for each call after that",
    "io": "a reference got and put for each bio",
    "cpu": "a reference that each CPU keeps, counted on that CPU alone",
    "static-key": "no counting: a branch patched once the folio is there, which then stays",
}

DAY_S = 86_400.0

SCANS = Estimate(
    1 / 3600,
    0.0,
    1 / 60,
    "assumed: from none to one a minute; counters of most machines show one or two allocations since boot",
)
ALLOCATE = Estimate(5e-6, 1e-6, 1e-3, "assumed: from a free block at hand to a direct compaction")
FAIL = Estimate(50e-6, 1e-6, 1e-3, "assumed: from a compaction that is deferred to one that is tried")


@dataclass(frozen=True)
class OnDemand:
    """What sets an on-demand folio's life and cost. Numbers may be given for estimates.

    :ivar users_per_s: users that arrive [1/s]: processes with an mm of their own for ``mm``, else calls.
    :ivar hold_s: mean time for which one keeps its reference [s].
    :ivar scans_per_s: passes of the shrinker [1/s].
    :ivar failure: probability that an allocation fails [1].
    :ivar getter: how references are counted, one of :data:`GETTERS`.
    :ivar calls_per_user: calls that each user makes.
    :ivar cpus: CPUs that do so at the same time.
    :ivar clear_s: clearing the folio [s]; None: as ``kernel`` does it, on any CPU.
    :ivar allocate_s: further time of an allocation that succeeds [s].
    :ivar fail_s: time lost in one that fails [s].
    :ivar times: the getter's times; of any CPU by default.
    :ivar kernel: (major, minor); sets how the folio is cleared.
    :ivar lasts_s: time over which the mean is taken [s]: a day's mean differs from day to day.
    :ivar source: where users and rates come from.
    """

    users_per_s: float = 1 / 60
    hold_s: float = 1.0
    scans_per_s: Estimate = SCANS
    failure: Estimate = field(default_factory=lambda: failure_of("anywhere"))
    getter: Getter = "mm"
    calls_per_user: float = 1.0
    cpus: int = 1
    clear_s: Estimate | None = None
    allocate_s: Estimate = ALLOCATE
    fail_s: Estimate = FAIL
    times: GetterTimes = field(default_factory=getter_times)
    kernel: tuple[int, int] = (7, 3)
    lasts_s: float = DAY_S
    source: str = "assumed: a user a minute, who holds the folio for 1 s"

    def __post_init__(self) -> None:
        for name in ("scans_per_s", "failure", "clear_s", "allocate_s", "fail_s"):
            value = getattr(self, name)
            if isinstance(value, int | float):
                object.__setattr__(self, name, Estimate(value, value, value, "given"))
        if self.getter not in GETTERS:
            raise InputError("on-demand", "getter", self.getter, ", ".join(GETTERS))
        if not self.calls_per_user >= 1:
            raise InputError("on-demand", "calls_per_user", self.calls_per_user, "1 or more")
        if not self.lasts_s > 0:
            raise InputError("on-demand", "lasts_s", self.lasts_s, "a positive time [s]")
        if not isinstance(self.cpus, int) or self.cpus < 1:
            raise InputError("on-demand", "cpus", self.cpus, "a whole number of at least 1")
        if not 0 <= self.failure.low <= self.failure.high <= 1:
            raise InputError("on-demand", "failure", str(self.failure), "a probability, 0 to 1")
        for name in ("scans_per_s", "clear_s", "allocate_s", "fail_s"):
            value = getattr(self, name)
            if value is not None and not 0 <= value.low <= value.high < np.inf:
                raise InputError("on-demand", name, str(value), "0 or more")
        self.life()

    def life(self) -> Life:
        """The folio's life at the estimates' own values, as :mod:`zpmodel.memory.life` takes it.

        :raises InputError: on rates and times that can't be.
        """
        kept = self.getter in ("cpu", "static-key")
        users = Users(self.users_per_s, np.inf if kept else self.hold_s)
        times = (self.clearing.value, self.allocate_s.value, self.fail_s.value)
        clear, allocate, fail = (value * 1e9 for value in times)
        return Life(
            users,
            self.scans_per_s.value,
            self.failure.value,
            clear_ns=clear,
            allocate_ns=allocate,
            fail_ns=fail,
        )

    @property
    def clearing(self) -> Estimate:
        """Clearing the folio once [s]."""
        return _clearing(self.kernel) if self.clear_s is None else self.clear_s

    def rests_on(self) -> dict[str, str]:
        """Where each input comes from, in words."""
        return {
            "users": self.source,
            "scans": self.scans_per_s.source,
            "failure": self.failure.source,
            "clearing": self.clearing.source,
            "allocation": self.allocate_s.source,
            "getter": f"{GETTERS[self.getter]}; {self.times.transfer.source}",
        }


def on_machine(root: str | Path = "/proc", **inputs: Any) -> OnDemand:
    """The folio on a machine: failures and passes of the shrinker as its counters and free lists say.

    :param root: /proc of the machine at hand, or a folder with copies of its ``vmstat``, ``uptime`` and ``buddyinfo``
        (or ``pagetypeinfo``).
    :param inputs: :class:`OnDemand`'s other inputs.
    :raises InputError: on files of another kind.
    """
    return OnDemand(**{"failure": failure_here(root), "scans_per_s": scans_since_boot(root), **inputs})


@cache
def _clearing(kernel: tuple[int, int]) -> Estimate:
    return clear_folio_s(None, kernel=kernel)
