"""CPU costs that were fitted to fio's writes: a time for each of a handful of events."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zpmodel.base.units import MIB
from zpmodel.timing.cpu import Asked, CpuTimes, Reach, Term
from zpmodel.timing.events import EVENTS, as_row, cold_share, events_of
from zpmodel.timing.pipeline import Submission

Floats = npt.NDArray[np.float64]

_BIO_SHARE = 0.1
"""CPU of a further bio, as a share of a request's. fio's I/O has one bio each, so it can't tell; instructions
counted in Linux 7.2 say 2 % to 15 %. The interval takes it from nothing to a quarter."""


@dataclass(frozen=True)
class FittedCpu:
    """CPU time of each of :data:`zpmodel.timing.events.EVENTS`.

    :ivar source: what it was fitted to.
    :ivar total: all threads [s], shape (events,), zeros where no CPU time was measured; ``path``: the part on the
        submitting thread [s].
    :ivar total_draws: draws of ``total``, shape (draws, events); ``path_draws`` of ``path``.
    :ivar cache_mib: what the CPUs that touch the data keep in cache [MiB].
    :ivar scatter: log standard deviation of held-out points around their prediction [1].
    :ivar reach: the calibrated range.
    """

    source: str
    total: Floats
    path: Floats
    total_draws: Floats
    path_draws: Floats
    cache_mib: float
    scatter: float
    reach: Reach

    @property
    def draws(self) -> int:
        """How many draws there are."""
        return len(self.total_draws)

    @property
    def known(self) -> bool:
        """Whether CPU time was measured."""
        return bool(self.total.any())

    def terms(self, events: Mapping[str, float]) -> list[Term]:
        """CPU time of all threads for so many of each of ``EVENTS``; NaN where none was measured."""
        says, unknown = f"fitted to {self.source}", 1.0 if self.known else np.nan
        return [
            Term(name, events[name], unknown * self.total[i], unknown * self.total_draws[:, i], says)
            for i, name in enumerate(EVENTS)
        ]

    def times(self, asked: Asked) -> CpuTimes:
        """What one call takes, with the caller's waits; what is in flight are its own requests."""
        cold = cold_share(min(asked.zero_page.size_bytes, asked.structure.length) / MIB, self.cache_mib)
        events = events_of(asked.structure, asked.limits, asked.device, 1, cold) | {"wait": float(asked.waits)}
        # Where these CPUs fill tables, they do so whatever the device is that another question puts behind them.
        fills = asked.structure.operation == "write" and bool(self.total_draws[:, EVENTS.index("table")].any())
        events["table"] = float(asked.structure.requests) if fills else 0.0
        request, further = EVENTS.index("request"), asked.structure.bios - 1
        shares = np.random.default_rng(1).uniform(0, 0.25, self.draws)
        terms = self.terms(events)
        one = terms[request]
        each, draws = _BIO_SHARE * one.each_s, shares * one.each_draws
        terms.append(Term("further bio", float(further), each, draws, f"a share of a request's, {one.says}"))
        row = np.array(as_row(events))
        path = self._submission(asked, row, self.path, _BIO_SHARE * further)
        return CpuTimes(tuple(terms), path, self._submission(asked, row, self.path_draws, shares * further))

    def _submission(self, asked: Asked, row: Floats, costs: Floats, bios: Floats | float) -> Submission:
        """The submitting thread's time by call, request, segment and MiB; costs of shape (..., events)."""
        by = {name: row[i] * costs[..., i] for i, name in enumerate(EVENTS)}
        requests, segments, size = asked.structure.requests, asked.structure.segments, asked.structure.length / MIB
        return Submission(
            call=by["operation"] + by["wait"],
            request=(by["request"] + by["table"] + by["stall"] + bios * costs[..., EVENTS.index("request")]) / requests,
            segment=(by["vector"] + by["cold vector"]) / max(segments, 1),
            mebibyte=by["MiB"] / size,
        )
