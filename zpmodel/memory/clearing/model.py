"""Zeroing bandwidth as a function of size, method and cache.

The time of one clearing call of ``call`` bytes that goes round a region of ``region`` bytes is::

    set-up + lines x (cost of a line where it sits)         rep stos: lines are brought into the caches
    set-up + lines x (cost of a line written past caches)   non-temporal, clzero: no write-allocate

Where a line sits follows from the region and the cache sizes (:mod:`zpmodel.memory.residency`). A string store may
switch to writing past the caches after its first ``T`` bytes ("elision": seen as the step *up* at the last-level
cache). Times count one core. Traffic counts DRAM lines moved per line cleared: 2 with write-allocate (read for
ownership, write back), 1 without.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from zpmodel.base.errors import InputError
from zpmodel.base.estimate import DEVIATIONS, TAILS
from zpmodel.base.units import KIB, format_size
from zpmodel.memory.machines import Caches
from zpmodel.memory.residency import miss_shares

Method = Literal["rep-stos", "non-temporal", "clzero"]
METHODS: tuple[Method, ...] = get_args(Method)

Floats = NDArray[np.float64]

LEVELS = ("L1", "L2", "LLC", "DRAM", "past caches", "elided")
"""Where the time of a line can go: the level it sits in, or written past the caches (by method, or by elision)."""

COLD_REGIONS = 64
"""A region of so many last-level caches has no line left in any of them: memory that nobody touched lately."""

BELIEFS: dict[str, tuple[float, float]] = {
    "log_dram_ns": (np.log(64 / 15), 0.7),
    "dram_over_llc": (np.log(2.0), 0.8),
    "llc_over_l2": (np.log(0.5), 0.8),
    "l2_over_l1": (np.log(0.3), 1.0),
    "log_write_allocate": (np.log(2.0), 0.2),
    "log_clzero": (0.0, 0.25),
    "log_elided": (0.0, 0.25),
    "llc_share": (1.4, 1.0),
    "log_elision": (np.log(0.5), 0.5),
    "log_setup_rep-stos": (np.log(60.0), 1.0),
    "log_setup_non-temporal": (np.log(5.0), 1.5),
    "log_setup_clzero": (np.log(5.0), 1.5),
}
"""What physics says before any measurement, as mean and standard deviation of the parameter in its free coordinate.

A line from DRAM with write-allocate: 15 GB/s a core, within a factor of 2. ``a_over_b``: log of (cost ratio - 1), so
that a level never costs less than the one nearer to the core. Write-allocate moves 2 lines where writing past the
caches moves 1. ``log_clzero``, ``log_elided``: over a non-temporal line: the same traffic, but a loop of 8-byte stores
may not keep up with it.
``llc_share``: logit of the share of the last-level cache that this core's data can hold. ``log_elision``: T / LLC size.
A string instruction starts in tens of nanoseconds, a plain store loop in a few.
"""

NAMES = tuple(BELIEFS)


def line_costs(theta: Floats) -> dict[str, float]:
    """Physical parameters of a point in the free coordinates of :data:`BELIEFS`.

    :return: ``l1_ns llc_ns ...`` per line [ns], ``setup_<method>_ns`` per call [ns], ``llc_share`` and
        ``elision_share`` of the last-level cache [1].
    """
    value = dict(zip(NAMES, (float(x) for x in theta), strict=True))
    dram = float(np.exp(value["log_dram_ns"]))
    llc = dram / (1 + float(np.exp(value["dram_over_llc"])))
    l2 = llc / (1 + float(np.exp(value["llc_over_l2"])))
    l1 = l2 / (1 + float(np.exp(value["l2_over_l1"])))
    past = dram / float(np.exp(value["log_write_allocate"]))
    return {
        "l1_ns": l1,
        "l2_ns": l2,
        "llc_ns": llc,
        "dram_ns": dram,
        "non_temporal_ns": past,
        "clzero_ns": past * float(np.exp(value["log_clzero"])),
        "elided_ns": past * float(np.exp(value["log_elided"])),
        "llc_share": 1 / (1 + float(np.exp(-value["llc_share"]))),
        "elision_share": float(np.exp(value["log_elision"])),
        **{f"setup_{name}_ns": float(np.exp(value[f"log_setup_{name}"])) for name in METHODS},
    }


@dataclass(frozen=True)
class Calls:
    """Clearing calls, one per element: the method, bytes per call, bytes per string instruction, bytes gone round."""

    method: NDArray[np.str_]
    call_bytes: Floats
    instruction_bytes: Floats
    region_bytes: Floats

    @classmethod
    def of(
        cls,
        method: str | ArrayLike,
        call_bytes: ArrayLike,
        region_bytes: ArrayLike | None = None,
        instruction_bytes: ArrayLike | None = None,
    ) -> "Calls":
        """Check and broadcast.

        :param method: one of :data:`METHODS`, or one for each call.
        :param call_bytes: length of a call [byte].
        :param region_bytes: memory gone round before a byte is cleared again [byte]; the call's own by default.
        :param instruction_bytes: longest piece that one instruction clears [byte]; the whole call by default.
        :raises InputError: on other methods, on sizes that are not positive, and on a region below the call.
        """
        call = np.atleast_1d(np.asarray(call_bytes, dtype=np.float64))
        region = call if region_bytes is None else np.asarray(region_bytes, dtype=np.float64)
        piece = call if instruction_bytes is None else np.asarray(instruction_bytes, dtype=np.float64)
        # Copies: numpy warns of who asks whether a broadcast array can be written, as numba does at its first call.
        names, call, region, piece = map(
            np.array, np.broadcast_arrays(np.asarray(method, dtype=np.str_), call, region, piece)
        )
        for name in set(names.tolist()) - set(METHODS):
            raise InputError("clearing", "method", str(name), ", ".join(METHODS))
        for field, sizes in (("call_bytes", call), ("region_bytes", region), ("instruction_bytes", piece)):
            bad = sizes[~(np.isfinite(sizes) & (sizes > 0))]
            if bad.size:
                raise InputError("clearing", field, float(bad[0]), "a positive number of bytes")
        if np.any(region < call):
            raise InputError("clearing", "region_bytes", float(region[region < call][0]), "at least call_bytes")
        return cls(names, call, np.minimum(piece, call), region)

    def __len__(self) -> int:
        return int(self.call_bytes.size)


def line_shares(theta: Floats, caches: Caches, calls: Calls, *, elides: bool) -> Floats:
    """Share of each call's lines at each of :data:`LEVELS`; shape (calls, levels), rows add up to 1."""
    cost = line_costs(theta)
    past_l1 = miss_shares(calls.region_bytes, caches.l1_bytes)
    past_l2 = miss_shares(calls.region_bytes, caches.l2_bytes)
    past_llc = miss_shares(calls.region_bytes, caches.llc_bytes * cost["llc_share"])
    shares = np.zeros((len(calls), len(LEVELS)))
    shares[:, 0] = 1 - past_l1
    shares[:, 1] = past_l1 - past_l1 * past_l2
    shares[:, 2] = past_l1 * past_l2 * (1 - past_llc)
    shares[:, 3] = past_l1 * past_l2 * past_llc
    if elides:
        threshold = cost["elision_share"] * caches.llc_bytes
        elided = np.maximum(0.0, 1 - threshold / calls.instruction_bytes)
        shares *= (1 - elided)[:, None]
        shares[:, 5] = elided
    past = calls.method != "rep-stos"
    shares[past] = 0.0
    shares[past, 4] = 1.0
    return shares


def call_ns(theta: Floats, caches: Caches, calls: Calls, *, elides: bool) -> Floats:
    """Time of each call [ns], by the formula at the top of this file."""
    cost = line_costs(theta)
    shares = line_shares(theta, caches, calls, elides=elides)
    levels = np.array([cost[f"{name}_ns"] for name in ("l1", "l2", "llc", "dram", "non_temporal", "elided")])
    line = shares @ levels
    line = np.where(calls.method == "clzero", cost["clzero_ns"], line)
    setup = np.array([cost[f"setup_{name}_ns"] for name in calls.method.tolist()])
    return np.asarray(setup + calls.call_bytes / caches.line_bytes * line, dtype=np.float64)


@dataclass(frozen=True)
class ClearingModel:
    """A calibrated CPU: predicts the bandwidth of clearing, with intervals.

    :ivar caches: its caches.
    :ivar theta: parameters in the free coordinates of :data:`BELIEFS`.
    :ivar covariance: their covariance.
    :ivar noise: relative scatter of one measured bandwidth [1].
    :ivar elides: whether its string stores stop allocating lines after ``elision_share`` of the last-level cache; None
        when no calibration point was long enough to say (then predicted as False).
    :ivar calibration: the points it was fitted to.
    :ivar page: how the cleared memory was mapped: for the reader's eye, not used in the formula.
    """

    caches: Caches
    theta: Floats
    covariance: Floats
    noise: float
    elides: bool | None
    calibration: Calls
    page: str

    @property
    def parameters(self) -> pd.DataFrame:
        """Physical parameters: ``name value low high unit from``; ``from`` says "measured" or "belief"."""
        rows = []
        scale = np.sqrt(np.diag(self.covariance))
        free = dict(zip(NAMES, scale, strict=True))
        draws = np.random.default_rng(1).multivariate_normal(self.theta, self.covariance, size=2000)
        names = line_costs(self.theta)
        table = pd.DataFrame([line_costs(draw) for draw in draws])
        owner = {"l1_ns": "l2_over_l1", "l2_ns": "llc_over_l2", "llc_ns": "dram_over_llc", "dram_ns": "log_dram_ns"}
        owner |= {
            "non_temporal_ns": "log_write_allocate",
            "clzero_ns": "log_clzero",
            "elided_ns": "log_elided",
            "llc_share": "llc_share",
        }
        owner |= {"elision_share": "log_elision"} | {f"setup_{m}_ns": f"log_setup_{m}" for m in METHODS}
        for name, value in names.items():
            low, high = (float(table[name].quantile(q)) for q in TAILS)
            known = free[owner[name]] < 0.7 * BELIEFS[owner[name]][1]
            unit = ("ns per call" if name.startswith("setup") else "ns per line") if name.endswith("_ns") else "1"
            rows.append((name, value, low, high, unit, "measured" if known else "belief"))
        return pd.DataFrame(rows, columns=["name", "value", "low", "high", "unit", "from"])

    def predict(
        self,
        method: str | ArrayLike,
        call_bytes: ArrayLike,
        region_bytes: ArrayLike | None = None,
        instruction_bytes: ArrayLike | None = None,
    ) -> pd.DataFrame:
        """Predict clearing; arguments as for :meth:`Calls.of`.

        :return: one row per call: ``method call_bytes region_bytes call_ns bandwidth_bytes_per_s low_bytes_per_s
            high_bytes_per_s dram_bytes_per_byte extrapolates``. Low and high bound what a repeat would show;
            ``extrapolates`` is empty, or says what the calibration did not contain.
        """
        calls = Calls.of(method, call_bytes, region_bytes, instruction_bytes)
        elides = bool(self.elides)
        time = call_ns(self.theta, self.caches, calls, elides=elides)
        spread = DEVIATIONS * np.sqrt(self._variance(calls) + self.noise**2)
        bandwidth = calls.call_bytes / time * 1e9
        shares = line_shares(self.theta, self.caches, calls, elides=elides)
        traffic = np.where(calls.method == "rep-stos", 2 * shares[:, 3] + shares[:, 5], 1.0)
        return pd.DataFrame(
            {
                "method": calls.method,
                "call_bytes": calls.call_bytes.astype(np.int64),
                "region_bytes": calls.region_bytes.astype(np.int64),
                "call_ns": time,
                "bandwidth_bytes_per_s": bandwidth,
                "low_bytes_per_s": bandwidth * np.exp(-spread),
                "high_bytes_per_s": bandwidth * np.exp(spread),
                "dram_bytes_per_byte": traffic,
                "extrapolates": self._extrapolates(calls),
            }
        )

    def _variance(self, calls: Calls) -> Floats:
        """Variance of the logarithm of the predicted time, from the parameters' covariance."""
        step = 1e-4
        slopes = np.empty((len(calls), self.theta.size))
        for i in range(self.theta.size):
            ends = []
            for sign in (1, -1):
                theta = self.theta.copy()
                theta[i] += sign * step
                ends.append(np.log(call_ns(theta, self.caches, calls, elides=bool(self.elides))))
            slopes[:, i] = (ends[0] - ends[1]) / (2 * step)
        return np.asarray(np.einsum("ki,ij,kj->k", slopes, self.covariance, slopes), dtype=np.float64)

    def _extrapolates(self, calls: Calls) -> list[str]:
        seen = line_shares(self.theta, self.caches, self.calibration, elides=bool(self.elides))
        asked = line_shares(self.theta, self.caches, calls, elides=bool(self.elides))
        longest = {m: self.calibration.instruction_bytes[self.calibration.method == m] for m in METHODS}
        shortest = {m: self.calibration.call_bytes[self.calibration.method == m] for m in METHODS}
        out = []
        for i, method in enumerate(calls.method.tolist()):
            reasons = []
            if not longest[method].size:
                reasons.append(f"{method} was not measured")
            else:
                short = float(np.min(shortest[method]))
                if calls.call_bytes[i] < short / 2:
                    reasons.append(f"shortest call measured: {format_size(short)}")
                long = float(np.max(longest[method]))
                step = self.caches.llc_bytes / 4
                if method == "rep-stos" and long < step < calls.instruction_bytes[i]:
                    reasons.append(
                        f"no instruction measured beyond {format_size(long)}: a step at the LLC would be missed"
                    )
                for level, name in enumerate(LEVELS):
                    if asked[i, level] > 0.5 and np.max(seen[:, level]) < 0.25:
                        reasons.append(f"no point measured in {name}")
            out.append("; ".join(reasons))
        return out

    def clear_folio(
        self, folio_bytes: ArrayLike, *, method: Method = "rep-stos", call_bytes: int | None = None
    ) -> pd.DataFrame:
        """Time of clearing a folio whose lines are in no cache: at boot (static) or at each allocation (on-demand).

        :param folio_bytes: the folio [byte].
        :param method: how the kernel clears.
        :param call_bytes: bytes per call, where a call costs what the calibrated calls cost [byte]. Give 4096 with a
            calibration by chunk (each page pays a call's set-up). By default one call for the folio, in 4 KiB
            instructions: right for a calibration from fio, whose line costs contain the set-up of each page.
        :return: ``folio_bytes seconds low_seconds high_seconds bandwidth_bytes_per_s dram_bytes extrapolates``.
        :raises InputError: on sizes that are not positive.
        """
        folio = np.atleast_1d(np.asarray(folio_bytes, dtype=np.float64))
        cold = np.maximum(folio, COLD_REGIONS * self.caches.llc_bytes)
        row = self.predict(method, folio if call_bytes is None else np.minimum(call_bytes, folio), cold, 4 * KIB)
        rate = row["bandwidth_bytes_per_s"].to_numpy()
        return pd.DataFrame(
            {
                "folio_bytes": folio.astype(np.int64),
                "seconds": folio / rate,
                "low_seconds": folio / row["high_bytes_per_s"].to_numpy(),
                "high_seconds": folio / row["low_bytes_per_s"].to_numpy(),
                "bandwidth_bytes_per_s": rate,
                "dram_bytes": folio * row["dram_bytes_per_byte"].to_numpy(),
                "extrapolates": row["extrapolates"].to_numpy(),
            }
        )
