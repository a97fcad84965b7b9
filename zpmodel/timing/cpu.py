"""What CPUs spend on a zero-out, term by term: a count, a cost of each, and where that cost comes from."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from zpmodel.base.estimate import Estimate
from zpmodel.devices import DeviceKind
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure import Structure
from zpmodel.timing.pipeline import Submission

Floats = npt.NDArray[np.float64]


class Reach(NamedTuple):
    """What a calibration saw; beyond, a prediction is an extrapolation.

    ``request_bytes``: its smallest and its largest request [byte]; ``request_segments``: most segments of a request;
    ``in_flight``: most requests in flight; ``depths``: its queue depths, in order; ``memories``: its buffer memories;
    ``block_bytes``: its smallest and its largest I/O [byte].
    """

    request_bytes: tuple[int, int]
    request_segments: int
    in_flight: int
    depths: tuple[int, ...]
    memories: tuple[str, ...]
    block_bytes: tuple[int, int]


class Asked(NamedTuple):
    """What is asked of a CPU: the ``structure`` of a call that zeroes from ``zero_page``, its queue and its device, and
    how often the caller sleeps until what it handed down is done (``waits``)."""

    structure: Structure
    zero_page: ZeroPage
    limits: QueueLimits
    device: DeviceKind
    waits: int = 1


class Term(NamedTuple):
    """One kind of work: how often it is done (``number``), what each costs (``each_s`` [s]), draws of that, and where
    that comes from."""

    name: str
    number: float
    each_s: float
    each_draws: Floats
    says: str

    @property
    def seconds(self) -> Estimate:
        """CPU time of all of it [s]."""
        return Estimate.of(self.number * self.each_s, self.number * self.each_draws, self.says)


class CpuTimes(NamedTuple):
    """CPU time of all threads by ``terms``; the submitting thread's part of it, best (``path``) and ``path_draws``."""

    terms: tuple[Term, ...]
    path: Submission
    path_draws: Submission


def total_of(terms: Sequence[Term]) -> tuple[float, Floats]:
    """CPU time of all threads [s]: best, and draws of shape (draws,)."""
    best = sum(term.number * term.each_s for term in terms)
    draws = sum(term.number * term.each_draws for term in terms)
    return float(best), np.asarray(draws)


class Cpu(Protocol):
    """CPU costs from one source."""

    @property
    def source(self) -> str:
        """What they rest on."""
        ...

    @property
    def scatter(self) -> float:
        """Log standard deviation of what was held out, around its prediction [1]."""
        ...

    @property
    def reach(self) -> Reach | None:
        """The calibrated range; None where nothing bounds it."""
        ...

    @property
    def draws(self) -> int:
        """How many draws there are."""
        ...

    @property
    def known(self) -> bool:
        """Whether CPU time was measured or counted; where not, :meth:`times` has NaN."""
        ...

    def times(self, asked: Asked) -> CpuTimes:
        """What one call takes."""
        ...
