"""A table of inputs through the compiled pass (:mod:`zpmodel.timing.bulk`), as far as that can answer it."""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from zpmodel.base.errors import InputError
from zpmodel.base.units import MIB
from zpmodel.calibration.identify import missing
from zpmodel.devices import Drive, Flat, Ring
from zpmodel.devices.product_form import INVERSE
from zpmodel.memory.life.getter import getter_times
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.study.inputs import CPU, LARGEST, least_of
from zpmodel.study.on_demand import OnDemand
from zpmodel.study.scenario import ZERO_OUT, Scenario
from zpmodel.study.served import folio_shares
from zpmodel.timing.bulk.records import COUNTS, DEVICE, FIXED, LEFT, QUEUE, SPENT, TIMES, WHOLES, Columns, Fixed
from zpmodel.timing.bulk.rows import answer_rows
from zpmodel.timing.events import EVENTS
from zpmodel.timing.fitted import FittedCpu
from zpmodel.timing.machine import Machine

_ENDLESS = 1 << 62
_WHOLE_BELOW = float(1 << 62)
_AT_ONCE, _SOON_S = 1024, 0.05  # rows of a call of the pass, at least; twice as many where they took no longer
_BOUNDED = frozenset((*CPU, "device.bandwidth", *(f"device.{name}" for name in DEVICE)))
_NOT_HERE = ("caller", "depth", "device.unit", "device.mend", "device.partial")


def can_pass(base: Scenario, names: tuple[str, ...]) -> bool:
    """Whether the compiled pass knows this question with these inputs varied; else it is asked one by one."""
    machine, life = base.machine, base.on_demand
    if not isinstance(machine.cpu, FittedCpu) or not isinstance(machine.device.best, Flat | Ring | Drive):
        return False
    if base.caller != ZERO_OUT or base.depth != 1 or any(name in _NOT_HERE for name in names):
        return False
    # Several CPUs that count on one line wait for each other for as long as a call leaves them.
    if life is not None and life.cpus != 1:
        return False
    return not (isinstance(machine.device.best, Drive) and any(name.startswith("device.") for name in names))


def answer_table(
    base: Scenario, inputs: Mapping[str, npt.ArrayLike | pd.Series], rows: int, ended: threading.Event | None = None
) -> dict[str, npt.NDArray[Any]]:
    """Best values for each row of inputs, by name (``TIMES`` and ``COUNTS``); what is ``LEFT`` is to be asked singly.

    :param inputs: an array of shape (rows,) for each input that is varied, by its name.
    :param ended: set by another thread that wants no more answers.
    :raises ValueError: where :func:`can_pass` says no.
    :raises InterruptedError: where ``ended`` was set.
    """
    if not can_pass(base, tuple(inputs)):
        raise ValueError("not a question for the compiled pass")
    columns = _Given(inputs, rows)
    path = base.machine.device.best.path()
    limits, values = base.limits or base.machine.limits, path._asdict()
    if "device.bandwidth" in inputs:
        with np.errstate(divide="ignore"):
            columns.inputs["device.mebibyte"] = MIB / columns.numbers("device.bandwidth")
    wholes = columns.gather(QUEUE, [getattr(limits, name) for name in QUEUE], np.int64)
    wholes += columns.gather(("length", "offset"), [base.length, base.offset], np.int64)
    wholes += columns.zero_pages(base)
    reals = columns.gather([f"device.{name}" for name in DEVICE], [float(values[name]) for name in DEVICE], float)
    reals += columns.factors()
    share = np.nan if base.fallback_share is None else base.fallback_share
    reals += columns.gather(("fallback_share",), [share], float)
    times, counts = np.empty((len(TIMES), rows)), np.empty((len(COUNTS), rows), np.int64)
    fixed = _fixed(base.machine, base.on_demand or OnDemand(), limits)
    given = (_packed(wholes, rows, np.int64), _packed(reals, rows, float), fixed, INVERSE, times, counts)
    first, most = 0, _AT_ONCE
    while first < rows:  # nothing stops a thread inside: rows of a millisecond each are taken a few at a time
        if ended is not None and ended.is_set():
            raise InterruptedError("no more answers are wanted")
        end, start = min(rows, first + most), time.monotonic()
        answer_rows(*given, first, end)
        first, most = end, most * 2 if time.monotonic() - start < _SOON_S else max(_AT_ONCE, most // 2)
    answers = dict(zip((*TIMES, *COUNTS), (*times, *counts), strict=True))
    answers["status"][columns.odd] = LEFT
    return answers


def _packed(values: list[Any], rows: int, kind: type) -> Columns:
    """Inputs, each an array of shape (rows,) or a number, as the pass takes them."""
    varied = [value for value in values if np.ndim(value)]
    at = np.full(len(values), -1)
    at[[i for i, value in enumerate(values) if np.ndim(value)]] = np.arange(len(varied))
    same: npt.NDArray[Any] = np.array([0 if np.ndim(value) else value for value in values], kind)
    return Columns(np.array(varied, kind).reshape(len(varied), rows), at.astype(np.int64), same)


class _Given:
    """Inputs as given, by name.

    :ivar odd: rows whose input is no number that the pass can take.
    """

    def __init__(self, inputs: Mapping[str, Any], rows: int) -> None:
        self.inputs, self.rows, self.odd = dict(inputs), rows, np.zeros(rows, bool)

    def numbers(self, name: str) -> npt.NDArray[Any]:
        """Numbers, NaN for what is none."""
        values = np.asarray(self.inputs[name])
        if values.dtype.kind not in "iuf":
            items = [item if type(item) in (int, float) else np.nan for item in values.tolist()]
            values = np.array(items, float)
        if values.dtype.kind == "f":
            self.odd |= np.isnan(values)
        if name in _BOUNDED:  # a row beyond is refused by the oracle
            self.odd |= ~((values >= least_of(name)) & (values <= LARGEST))
        return values

    def gather(self, names: Sequence[str], defaults: Sequence[Any], kind: type) -> list[Any]:
        """Arrays where varied, numbers where not; of whole numbers fractions are cut off, as ``int`` does."""
        found: list[Any] = []
        for name, default in zip(names, defaults, strict=True):
            if name not in self.inputs:
                found.append(default)
                continue
            values = self.numbers(name)
            if kind is np.int64 and values.dtype.kind == "f":
                fits = np.abs(values) < _WHOLE_BELOW
                self.odd |= ~fits
                values = np.where(fits, values, 0.0)
            found.append(values.astype(kind))
        return found

    def factors(self) -> list[Any]:
        """Factors on each event of the CPU, with the one on all of them."""
        names = [f"cpu.{name.replace(' ', '_')}" for name in EVENTS]
        each, every = self.gather(names, [1.0] * len(EVENTS), float), self.gather(("cpu.factor",), [1.0], float)[0]
        if np.ndim(every):
            each = [value * every for value in each]
        for value in each:
            self.odd |= ~(np.asarray(value) <= LARGEST)
        return each

    def zero_pages(self, base: Scenario) -> list[Any]:
        """Bytes of each zero page (0 where there is none of the name), and whether it is the on-demand one."""
        if "zero_page" not in self.inputs:
            return list(_zero_page(base.zero_page))
        names = pd.Categorical(self.inputs["zero_page"])
        known = np.array([*map(_zero_page, names.categories), (0, 0)], np.int64)
        # Codes of what is no name are -1. What is the same in all rows need not be a column.
        differs = len(known) > 2 or names.codes.min(initial=0) < 0
        return [values[names.codes] if differs else int(values[0]) for values in known.T.copy()]


def _zero_page(name: Any) -> tuple[int, int]:
    try:
        page = ZeroPage.named(name)
    except (InputError, AttributeError, TypeError):
        return 0, 0
    return page.size_bytes, int(page.policy == "on-demand")


def _fixed(machine: Machine, life: OnDemand, limits: QueueLimits) -> Fixed:
    cpu, device = machine.cpu, machine.device
    assert isinstance(cpu, FittedCpu)
    home, spent, same = np.zeros(1, WHOLES), np.zeros(2, SPENT), np.zeros(1, FIXED)
    for name in QUEUE:
        home[name] = getattr(machine.limits, name)
    if limits.scheduler != machine.limits.scheduler:
        home["nr_requests"] = 0  # no queue's
    for i, costs in enumerate((cpu.path, cpu.total)):
        spent[i] = tuple(costs.tolist())
    first, fell = folio_shares(life)
    flag, atomic = life.times.flag.value * 1e-9, life.times.atomic.value * 1e-9
    get, get_bio = {
        "mm": (flag + 2 / life.calls_per_user * atomic, 0.0),
        "io": (0.0, 2 * atomic),
        "cpu": (0.0, 2 * flag),
    }.get(life.getter, (0.0, 0.0))
    values = {
        "descriptors": device.best.descriptors if isinstance(device.best, Ring) else 0,
        "most": _ENDLESS if device.reach is None else device.reach.in_flight,
        "cache_mib": cpu.cache_mib,
        "known": 1.0 if cpu.known else np.nan,
        "saved": np.nan if any("cpu" in item.hides for item in missing(machine)) else 1.0,
        "first": first,
        "fell": fell,
        "get": get,
        "get_bio": get_bio,
        "clear": life.clearing.value + life.allocate_s.value,
        "fail": life.fail_s.value,
        "flag": getter_times().flag.value * 1e-9,
    }
    for name, value in values.items():
        same[name] = value
    return Fixed(home, spent, same)
