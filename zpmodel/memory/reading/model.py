"""A CPU that reads the zeroes (copy, checksum): what it costs to read them from 4 KiB, from 2 MiB, or a virtual 2 MiB.

Time of a line = the operation itself + where the source's line sits + where the destination's line sits + TLB misses of
the source's mapping + aliasing. Every cost beyond the nearest level is zero or more: a larger source never gains from
its caches. Reuse decides where lines sit: between two reads of a source line, the rest of the source was read and as
much was written to the destination. Costs of calls are not in it: see how often the caller calls.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from zpmodel.base.errors import InputError
from zpmodel.base.estimate import DEVIATIONS, TAILS
from zpmodel.base.units import KIB, MIB
from zpmodel.memory.machines import Caches, Machine, Tlb
from zpmodel.memory.residency import miss_share

Operation = Literal["copy", "sum"]
Source = Literal["page", "on-demand", "static", "virtual"]
SOURCES: tuple[Source, ...] = get_args(Source)
"""Policies of the source: ``page`` (4 KiB), ``on-demand`` and ``static`` (a PMD folio), ``virtual`` (512 mappings of
one 4 KiB page, side by side)."""

TERMS = ("operation", "source", "destination", "tlb", "alias")
_COLUMNS = (
    ("operation", "copy"),
    ("operation", "sum"),
    ("source", "past L1"),
    ("source", "past L2"),
    ("source", "past LLC"),
    ("destination", "past L1"),
    ("destination", "past L2"),
    ("destination", "past LLC"),
    ("tlb", "past first TLB, per page"),
    ("tlb", "past second TLB, per page"),
    ("alias", "line seen at another address"),
)
_DRAWS = 200


def _features(
    caches: Caches, tlb: Tlb, operation: str, physical: float, span: float, page: float, target: float
) -> list[float]:
    """How often each of :data:`_COLUMNS` is paid per line."""
    reuse = physical * (2 if operation == "copy" else 1)
    room = target + min(physical, target)
    levels = (float(caches.l1_bytes), float(caches.l2_bytes), float(caches.llc_bytes))
    seen = np.cumprod([miss_share(reuse, size) for size in levels]).tolist()
    put = np.cumprod([miss_share(room, size) for size in levels]).tolist() if operation == "copy" else [0.0] * 3
    lines = page / caches.line_bytes
    pages = max(1.0, span / page)
    tlbs = [miss_share(pages, float(tlb.l1_entries)) / lines, miss_share(pages, float(tlb.l2_entries)) / lines]
    return [float(operation == "copy"), float(operation == "sum"), *seen, *put, *tlbs, float(span > physical)]


@dataclass(frozen=True)
class ReadingModel:
    """A machine's costs of reading zeroes.

    :ivar machine: its caches and TLBs.
    :ivar costs_ns: for each of the model's terms [ns per line; TLB: ns per page].
    :ivar draws_ns: the same, fitted to resampled measurements; shape (draws, terms).
    :ivar scatter: relative scatter of one measurement [1].
    """

    machine: Machine
    costs_ns: NDArray[np.float64]
    draws_ns: NDArray[np.float64]
    scatter: float

    @property
    def parameters(self) -> pd.DataFrame:
        """``term where value_ns low_ns high_ns``, with intervals."""
        low, high = np.quantile(self.draws_ns, TAILS, axis=0)
        rows = [(*name, *values) for name, *values in zip(_COLUMNS, self.costs_ns, low, high, strict=True)]
        return pd.DataFrame(rows, columns=["term", "where", "value_ns", "low_ns", "high_ns"])

    def predict(
        self,
        operation: Operation,
        source: Source,
        target_bytes: ArrayLike = 4 * KIB,
        *,
        source_bytes: ArrayLike | None = None,
        folio_bytes: int = 2 * MIB,
    ) -> pd.DataFrame:
        """Predict reading zeroes on one CPU.

        :param operation: ``copy`` into a destination, or ``sum`` (a checksum).
        :param source: the zero page's policy.
        :param target_bytes: the destination that is written again and again [byte]; without meaning for ``sum``.
        :param source_bytes: how much of the zero page callers use [byte]; by default all of it.
        :param folio_bytes: size of the large zero page [byte].
        :return: ``operation source source_bytes target_bytes``, a column of ns per line for each of :data:`TERMS`
            (``operation_ns`` ...), ``bandwidth_bytes_per_s low_bytes_per_s high_bytes_per_s``, and
            ``llc_bytes llc_share``: cache taken from others by the source once it left L2.
        :raises InputError: on other operations or sources, and on sizes that are not positive.
        """
        if operation not in get_args(Operation):
            raise InputError("reading", "operation", operation, ", ".join(get_args(Operation)))
        if source not in SOURCES:
            raise InputError("reading", "source", source, ", ".join(SOURCES))
        largest = 4 * KIB if source == "page" else folio_bytes
        used = np.minimum(largest if source_bytes is None else np.asarray(source_bytes, dtype=np.float64), largest)
        used, target = np.broadcast_arrays(np.atleast_1d(used).astype(float), np.asarray(target_bytes, dtype=float))
        for field, sizes in (("source_bytes", used), ("target_bytes", target)):
            if np.any(~(sizes > 0)):
                raise InputError("reading", field, float(np.min(sizes)), "positive numbers of bytes")
        tlb = _tlb(self.machine)
        rows = []
        for span, room in zip(used.tolist(), target.tolist(), strict=True):
            physical = min(span, 4.0 * KIB) if source == "virtual" else span
            page = 4.0 * KIB if source in ("page", "virtual") else float(folio_bytes)
            x = np.array(_features(self.machine.caches, tlb, operation, physical, span, page, room))
            asked = {"operation": operation, "source": source, "source_bytes": int(span), "target_bytes": int(room)}
            rows.append({**asked, **self._row(x, physical)})
        return pd.DataFrame(rows)

    def _row(self, features: NDArray[np.float64], physical: float) -> dict[str, float]:
        """Time of a line by term, bandwidth with its interval, and the cache that the source takes from others."""
        caches = self.machine.caches
        parts = dict.fromkeys((f"{term}_ns" for term in TERMS), 0.0)
        for (term, _), cost, feature in zip(_COLUMNS, self.costs_ns, features, strict=True):
            parts[f"{term}_ns"] += float(cost * feature)
        spread = DEVIATIONS * float(np.hypot(np.std(np.log(self.draws_ns @ features)), self.scatter))
        rate = caches.line_bytes / float(features @ self.costs_ns) * 1e9
        taken = min(physical, float(caches.llc_bytes)) if physical > caches.l2_bytes else 0.0
        return {
            **parts,
            "bandwidth_bytes_per_s": rate,
            "low_bytes_per_s": rate * float(np.exp(-spread)),
            "high_bytes_per_s": rate * float(np.exp(spread)),
            "llc_bytes": taken,
            "llc_share": taken / caches.llc_bytes,
        }


def fit_reading(measured: pd.DataFrame, machine: Machine, *, seed: int = 1) -> ReadingModel:
    """Fit the costs to the micro-benchmark: least squares on relative errors, no cost below zero.

    :param measured: as :func:`zpmodel.memory.reading.microbench.measure` returns; rows of ``clear`` are not used.
    :param machine: caches and TLBs.
    :param seed: of the resampling behind the intervals.
    :raises InputError: on missing rows, and on a machine without TLB sizes.
    """
    from scipy.optimize import nnls  # half a second to import

    rows = measured[measured["operation"].isin(get_args(Operation))]
    if rows.empty:
        raise InputError("reading fit", "rows", "none", "rows of operation copy and sum")
    tlb = _tlb(machine)
    keys = ["operation", "mapping", "source_bytes", "target_bytes"]
    points = rows.groupby(keys)["bandwidth_bytes_per_s"].median().reset_index()
    features = np.array(
        [
            _features(
                machine.caches,
                tlb,
                operation,
                min(size, 4.0 * KIB) if mapping == "virtual" else size,
                size,
                2.0 * MIB if mapping == "2 MiB pages" else 4.0 * KIB,
                room,
            )
            for operation, mapping, size, room in zip(
                points["operation"].astype(str),
                points["mapping"].astype(str),
                points["source_bytes"].astype(float),
                points["target_bytes"].astype(float),
                strict=True,
            )
        ]
    )
    seen = machine.caches.line_bytes / points["bandwidth_bytes_per_s"].to_numpy(dtype=float) * 1e9
    weighted = features / seen[:, None]
    costs = nnls(weighted, np.ones(seen.size))[0]
    left = np.log(features @ costs / seen)
    scatter = 1.48 * float(np.median(np.abs(left)))
    rng = np.random.default_rng(seed)
    groups = [np.nonzero((points["operation"] == name).to_numpy())[0] for name in set(points["operation"])]
    groups.sort(key=lambda group: int(group[0]))
    draws = []
    for _ in range(_DRAWS):
        # Within each operation, so that no draw is without one.
        chosen = np.concatenate([rng.choice(group, group.size) for group in groups])
        draws.append(nnls(weighted[chosen], np.ones(seen.size))[0])
    return ReadingModel(machine, costs, np.array(draws), scatter)


def _tlb(machine: Machine) -> Tlb:
    if machine.tlb is None:
        raise InputError(machine.name, "tlb", "none", "a machine file with a [tlb] table")
    return machine.tlb
