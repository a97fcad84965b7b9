"""What every model of a device has: named parameters, the costs of a request on its way, and what it holds."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt

from zpmodel.queue.limits import QueueLimits

Floats = npt.NDArray[np.float64]


class Parameter(NamedTuple):
    """A number that a fit finds.

    ``low`` and ``high`` bound it, a fit starts from ``start``; ``prior`` is how far from there it may lie for no reason
    but that the data can't tell (one standard deviation of its logarithm, or of its log odds where it is a share).
    """

    name: str
    unit: str
    low: float
    high: float
    start: float
    prior: float
    says: str

    @property
    def is_share(self) -> bool:
        """Whether it lies between 0 and 1."""
        return self.high == 1.0 and self.low == 0.0


class PathCosts(NamedTuple):
    """What the kernels take: times of a request on the device's data path and beside it; scalars, or arrays (draws,).

    ``latency`` [s] and ``stream`` [s/MiB] are spent beside other requests; ``request`` [s], ``segment`` [s],
    ``mebibyte`` [s/MiB], ``cold`` [s/MiB] and ``cold_segment`` [s] one after the other; ``cache`` [MiB] is what of the
    data costs neither of the last two; ``rounds`` [1] says how far completions come together (0: one by one, 1: all at
    once); ``overlap`` [1] how much of submission hides behind the device (1: as far as a pipeline can), which a closed
    loop has no say in.
    """

    latency: Any
    stream: Any
    request: Any
    segment: Any
    mebibyte: Any
    cold: Any
    cache: Any
    rounds: Any
    cold_segment: Any = 0.0
    overlap: Any = 1.0
    unit: Any = 0.0
    mend: Any = 0.0
    partial: Any = 0.0


DATA_PATH: tuple[Parameter, ...] = (
    Parameter("latency", "s", 4e-18, 2980.0, 30e-6, 4.0, "that a request spends beside others"),
    Parameter("stream", "s/MiB", 4e-18, 2980.0, 3e-5, 4.0, "the same, for each MiB of it"),
    Parameter("request", "s", 4e-18, 2980.0, 5e-6, 4.0, "of the data path, which serves one at a time"),
    Parameter("segment", "s", 4e-18, 2980.0, 1e-7, 4.0, "of the data path, for each segment"),
    Parameter("mebibyte", "s/MiB", 4e-18, 2980.0, 2e-4, 4.0, "of the data path, for each MiB"),
    Parameter("cold", "s/MiB", 4e-18, 2980.0, 2e-5, 4.0, "of the data path, for each MiB that no cache held"),
    Parameter("cache", "MiB", 4e-18, 2980.0, 4.0, 4.0, "that the device's copies find in a cache"),
    Parameter("rounds", "1", 0.0, 1.0, 0.5, 4.0, "share of completions that come together"),
    Parameter("cold_segment", "s", 4e-18, 2980.0, 1e-8, 4.0, "of the data path, for each segment that no cache held"),
)
"""What is fitted of a device by its rates, in the order of :class:`PathCosts`."""


START = PathCosts(*(parameter.start for parameter in DATA_PATH))
"""Where a fit starts from."""


class DeviceKind(Protocol):
    """A kind of device: a frozen dataclass whose ``parameters`` are a NamedTuple of the :attr:`FITTED` ones, in order.

    The same class with arrays of shape (draws,) in ``parameters`` holds draws.
    """

    KIND: ClassVar[str]
    COPIED_HERE: ClassVar[bool]
    """Whether CPUs of this kernel copy its data, or nobody knows; False where the host's do, or the device fetches
    them."""
    COMPLETES_SINGLY: ClassVar[bool]
    """Whether completions are known to come one by one, so that who waits for them may sleep once for each; else they
    are taken to come in rounds, one sleep for all in flight, as a host's threads hand them over."""
    FITTED: ClassVar[tuple[Parameter, ...]]

    @property
    def parameters(self) -> Sequence[Any]:
        """The fitted parameters, in the order of :attr:`FITTED`."""
        ...

    @classmethod
    def recognise(cls, target: Mapping[str, Any], limits: QueueLimits) -> Self | None:
        """A device of this kind, not fitted yet, where the facts of a target say that it is one."""
        ...

    def path(self) -> PathCosts:
        """Its costs as the kernels take them."""
        ...

    def room(self, requests: int, segments: int, tags: int) -> float:
        """How many requests the queue holds at once, of an operation that makes so many with so many segments."""
        ...

    def stalls(self, requests: int, room: float, depth: int) -> float:
        """How often the issuing thread has to run for one operation because the device was full."""
        ...

    def tables(self, requests: int, segments: int, length: int) -> float:
        """How many of an operation's requests take their driver a table of segments, of so many bytes in all [byte]."""
        ...

    def known(self) -> dict[str, int]:
        """What is known of it and not fitted, by the name of its field."""
        ...

    def with_fitted(self, values: Floats) -> Self:
        """The same device with other parameters, shape (fitted,) or (fitted, draws)."""
        ...
