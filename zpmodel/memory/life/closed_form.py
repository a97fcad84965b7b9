"""The life of an on-demand huge zero folio: its inputs and, where the process allows it, the closed form.

Users arrive at random (Poisson), each takes a reference and holds it for some time. A user who finds no folio allocates
and clears one; that fails with a probability that fragmentation sets, and then this user falls back to ZERO_PAGE.
Under memory pressure the shrinker comes at random (Poisson); it frees the folio when nobody but itself holds it
(the counter is 1).
"""

import math
from dataclasses import dataclass
from typing import Literal

from zpmodel.base.errors import InputError
from zpmodel.base.units import MIB

HoldShape = Literal["exponential", "fixed", "lognormal"]
QUANTILES = (0.5, 0.99, 0.999)


@dataclass(frozen=True)
class Users:
    """Who takes references.

    :ivar per_s: users that arrive per second [1/s].
    :ivar hold_s: mean time for which one holds its reference [s]; infinite for one that is never given back.
    :ivar shape: how hold times spread around the mean: ``exponential``, ``fixed`` or ``lognormal``.
    :ivar variation: for ``lognormal``: standard deviation over mean [1].
    """

    per_s: float
    hold_s: float
    shape: HoldShape = "exponential"
    variation: float = 1.0

    def __post_init__(self) -> None:
        _check("users", "per_s", self.per_s, self.per_s > 0 and math.isfinite(self.per_s), "a positive rate [1/s]")
        _check("users", "hold_s", self.hold_s, self.hold_s > 0, "a positive time [s], inf for one that is kept")
        shapes = ("exponential", "fixed", "lognormal")
        _check("users", "shape", self.shape, self.shape in shapes, ", ".join(shapes))
        ok = self.variation > 0 and math.isfinite(self.variation)
        _check("users", "variation", self.variation, ok, "a positive number")

    @classmethod
    def per_io(cls, ios_per_s: float, io_s: float) -> "Users":
        """Each I/O gets and puts a reference (in the bio's destructor).

        :param ios_per_s: I/Os that write zeroes [1/s].
        :param io_s: time from building the bio to its completion [s].
        """
        return cls(ios_per_s, io_s)

    @classmethod
    def per_mm(cls, processes_per_s: float, lifetime_s: float, variation: float = 3.0) -> "Users":
        """Each mm takes one reference at its first use and gives it back when it dies: what the kernel does.

        All I/O of an mm counts with its first get. (After a failure the next get of that mm tries again, so the
        true share served at 2 MiB is a little higher.) Process lifetimes spread widely: lognormal.

        :param processes_per_s: new processes that use the zero folio [1/s].
        :param lifetime_s: their mean life [s].
        :param variation: standard deviation over mean of their life [1].
        """
        return cls(processes_per_s, lifetime_s, "lognormal", variation)

    @classmethod
    def per_cpu(cls, ios_per_s: float) -> "Users":
        """Each CPU keeps the reference of its first use: after one success the folio stays.

        :param ios_per_s: I/Os that write zeroes, on all CPUs [1/s].
        """
        return cls(ios_per_s, math.inf)


@dataclass(frozen=True)
class Life:
    """Everything that sets an on-demand folio's life.

    :ivar users: who takes references.
    :ivar scans_per_s: passes of the shrinker that memory pressure causes [1/s].
    :ivar failure: probability that an allocation fails [1].
    :ivar folio_bytes: the folio [byte].
    :ivar clear_ns: time to clear it [ns].
    :ivar allocate_ns: mean further time of an allocation that succeeds, direct compaction included [ns].
    :ivar fail_ns: mean time lost in an allocation that fails [ns].
    """

    users: Users
    scans_per_s: float
    failure: float
    folio_bytes: int = 2 * MIB
    clear_ns: float = 100_000.0
    allocate_ns: float = 5_000.0
    fail_ns: float = 50_000.0

    def __post_init__(self) -> None:
        ok = self.scans_per_s >= 0 and math.isfinite(self.scans_per_s)
        _check("life", "scans_per_s", self.scans_per_s, ok, "a rate of 0 or more [1/s]")
        _check("life", "failure", self.failure, 0 <= self.failure <= 1, "a probability, 0 to 1")
        _check("life", "folio_bytes", self.folio_bytes, self.folio_bytes > 0, "a positive number of bytes")
        for field in ("clear_ns", "allocate_ns", "fail_ns"):
            value = getattr(self, field)
            _check("life", field, value, value >= 0 and math.isfinite(value), "a time of 0 or more [ns]")


@dataclass(frozen=True)
class Outcome:
    """What an on-demand folio's life comes to; the long run's mean, or a simulated time's.

    :ivar huge_share: share of users served with the huge folio [1].
    :ivar fallback_share: share that fell back to ZERO_PAGE [1].
    :ivar allocations_per_hour: allocations that succeeded [1/h].
    :ivar failures_per_hour: allocations that failed [1/h].
    :ivar cleared_bytes_per_hour: bytes cleared for it [byte/h].
    :ivar racing_per_hour: users that arrive while an allocation is under way; each allocates and clears a folio of its
        own and gives it back [1/h].
    :ivar held_share: share of the time that the folio exists [1].
    :ivar held_bytes: mean memory held [byte].
    :ivar mean_delay_ns: mean delay that getting the folio adds for a user [ns].
    :ivar delay_ns: its quantiles 0.5, 0.99 and 0.999 [ns].
    """

    huge_share: float
    fallback_share: float
    allocations_per_hour: float
    failures_per_hour: float
    cleared_bytes_per_hour: float
    racing_per_hour: float
    held_share: float
    held_bytes: float
    mean_delay_ns: float
    delay_ns: tuple[float, float, float]


def absent_share(life: Life) -> float:
    """Share of the time without a folio, in the long run [1].

    One cycle: absent for a mean 1/(u(1-p)); then present. Present is a sequence of busy periods of M/G/infinity,
    mean (exp(u h) - 1)/u, each followed by an idle time of mean 1/(u + s) that ends in a pass of the shrinker with
    probability s/(u + s). With u users/s, hold h, passes s, failure p::

        present/absent = (1-p) (u/s) [1 + (1 + s/u) (exp(u h) - 1)]

    The busy period's mean does not depend on the shape of hold times (Takács 1962), so neither does this.
    """
    if life.failure == 1:
        return 1.0
    if life.scans_per_s == 0:
        return 0.0
    u, s = life.users.per_s, life.scans_per_s
    load = u * life.users.hold_s
    if load > 700:
        return 0.0
    present = (1 - life.failure) * (u / s) * (1 + (1 + s / u) * math.expm1(load))
    return 1 / (1 + present)


def closed_form(life: Life) -> Outcome:
    """Long-run outcome without simulation, exact for Poisson users and a Poisson shrinker with any hold times."""
    absent = absent_share(life)
    tries = life.users.per_s * absent * 3600
    allocated, failed = (1 - life.failure) * absent, life.failure * absent
    allocations = tries * (1 - life.failure)
    busy_s = (life.clear_ns + life.allocate_ns) * 1e-9
    mean = allocated * (life.clear_ns + life.allocate_ns) + failed * life.fail_ns
    p50, p99, p999 = (delay_quantile(life, allocated, failed, q) for q in QUANTILES)
    return Outcome(
        huge_share=1 - failed,
        fallback_share=failed,
        allocations_per_hour=allocations,
        failures_per_hour=tries * life.failure,
        cleared_bytes_per_hour=allocations * life.folio_bytes,
        racing_per_hour=allocations * life.users.per_s * busy_s,
        held_share=1 - absent,
        held_bytes=(1 - absent) * life.folio_bytes,
        mean_delay_ns=mean,
        delay_ns=(p50, p99, p999),
    )


def delay_quantile(life: Life, allocated: float, failed: float, quantile: float) -> float:
    """Quantile of the delay that getting the folio adds [ns].

    No delay for who finds it; clearing plus an exponential time for who allocates; an exponential time for who fails.

    :param allocated: share of users that allocate [1].
    :param failed: share that fail [1].
    :param quantile: 0 ... 1.
    """
    from scipy.optimize import brentq  # half a second to import

    _check("delay", "quantile", quantile, 0 <= quantile < 1, "0 or more, below 1")
    tail = 1 - quantile

    def beyond(delay: float) -> float:
        late = 1.0 if delay < life.clear_ns else _exceeds(delay - life.clear_ns, life.allocate_ns)
        return allocated * late + failed * _exceeds(delay, life.fail_ns)

    if allocated + failed <= tail:
        return 0.0
    top = life.clear_ns + 50 * (life.allocate_ns + life.fail_ns) + 1
    while beyond(top) > tail:
        top *= 2
    return float(brentq(lambda delay: beyond(delay) - tail, 0.0, top, xtol=1e-6, rtol=1e-12))


def _exceeds(delay: float, mean: float) -> float:
    if mean == 0:
        return 0.0
    return math.exp(-delay / mean)


def _check(where: str, field: str, value: object, fine: bool, accepted: str) -> None:
    if not fine:
        raise InputError(where, field, value, accepted)
