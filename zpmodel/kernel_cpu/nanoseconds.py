"""The same work in nanoseconds: what the kernel's own zero-out takes a processor, fitted to noisy calls.

The cost structure is that of :mod:`zpmodel.kernel_cpu.instructions`. Three families of work have a time per
instruction of their own: calls (requests, bios: locked operations, misses), vectors (a short loop) and walks (loops of
a few lines without a call); and each kind of work may differ from its family. Where the data can't tell kinds apart,
what is not known of them is in the interval. What a call waits beside its work is no cost of an event: by the clock it
differs from boot to boot by more than the work of a short range. So it is a random part of each boot, as far apart as
the boots are seen to be, and larger, perhaps, for configurations that keep the processor busy for longer (a shared host
gives it back later).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from zpmodel.base.errors import InputError
from zpmodel.base.estimate import Estimate
from zpmodel.base.units import GIB
from zpmodel.kernel_cpu.instructions import LOOPS, WORK, WorkCosts, count_work, table_work
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.zeropage import ZeroPage

Floats = npt.NDArray[np.float64]

CONFIGURATION = ["zero_page_bytes", "max_sectors", "max_segments", "max_segment_size"]
"""Columns that tell configurations apart."""

_WALKS = tuple(name for name in LOOPS if name != "vector")
_FAMILY = np.array([2 if name in _WALKS else int(name in LOOPS) for name in WORK])  # 0: calls
_APART = np.array([-0.33, -1.4])
"""Log time per instruction of vectors over calls, and of walks over vectors, from a source of its own:
zeroout-native-7.3-up.csv, whose every configuration is fitted; ``tests/test_kernel_work.py`` repeats it."""

_APART_DOUBT = np.array([0.5, 0.3])
"""Of that on another machine or build: locked operations alone make calls twice as dear; two loops fare alike."""

_OWN_DOUBT = 0.25  # log deviation of a kind's time per instruction from its family's: other loads, misses, branches
_SLOPE_DOUBT = 0.5  # of log wait over log time per GiB; 0: waits don't depend on the configuration
_MISFIT = 0.03  # log: what medians of long ranges lie off the fit by, beyond what their replicates explain
_TAU, _TAU_WEIGHT = 0.6, 1.0  # log: how far boots' waits are thought to differ before one is seen, worth so many boots
_DRAWS = 4000
_FAMILIES, _OWN, _WAIT = slice(0, 3), slice(3, 3 + len(WORK)), slice(3 + len(WORK), 5 + len(WORK))
_GLOBAL = _WAIT.stop
_START = np.concatenate([np.log(0.2) + np.cumsum([0, *_APART]), np.zeros(len(WORK)), [np.log(5e5), 0.3]])
"""Log ns per instruction of the families, deviations of kinds, log wait [ns] and its slope."""

_TYPICAL_WORK = 5e6  # ns per GiB: where the wait is anchored, so that its slope is not tied to it


@dataclass(frozen=True)
class WorkTime:
    """Fitted times.

    :ivar costs: time of each kind of work, the call's own left out [ns], shape (kinds,).
    :ivar cost_draws: draws of it, shape (draws, kinds).
    :ivar wait: log wait [ns] and its slope over the log time per GiB, shape (2,).
    :ivar wait_draws: draws of it with what a boot's wait differs by added, shape (draws, 2).
    :ivar noise_draws: log error of a median around its prediction, shape (draws,).
    """

    costs: Floats
    cost_draws: Floats
    wait: Floats
    wait_draws: Floats
    noise_draws: Floats

    def predict(self, zero_page: ZeroPage, limits: QueueLimits, length: int, offset: int = 0) -> Estimate:
        """Median time of zeroing a range [ns], with the 90 % interval of a median over repeated calls in two boots."""
        work, gibibyte = count_work(zero_page, limits, length, offset), count_work(zero_page, limits, GIB)
        best = work @ self.costs + _waits(self.wait, gibibyte @ self.costs)
        draws = self.cost_draws @ work + _waits(self.wait_draws, self.cost_draws @ gibibyte)
        return Estimate.of(float(best), draws * np.exp(self.noise_draws))


def _waits(wait: Floats, work_per_gibibyte: Floats) -> Floats:
    exponent = wait[..., 0] + wait[..., 1] * np.log(work_per_gibibyte / _TYPICAL_WORK)
    return np.asarray(np.exp(np.clip(exponent, 0, np.log(1e9))))


def fit_time(table: pd.DataFrame, instructions: WorkCosts, seed: int = 0) -> WorkTime:
    """Fit times to repeated calls.

    :param table: rows of :func:`zpmodel.kernel_cpu.instructions.read_table` with ``boot`` and ``elapsed_ns``.
    :param instructions: costs of the same kernel, from which the ratios start.
    :raises InputError: where boots or times are missing, or there are fewer than two boots.
    """
    for name in ("boot", "elapsed_ns"):
        if name not in table:
            raise InputError("kernel time", "column", name, "the boot and the time of each call")
    keys = [*CONFIGURATION, "boot", "length_bytes"]
    logs = table.assign(log=np.log(table["elapsed_ns"])).groupby(keys)["log"]
    medians = logs.median().reset_index().merge(table.drop_duplicates(keys).drop(columns="elapsed_ns"), on=keys)
    boots = np.asarray(medians.groupby([*CONFIGURATION, "boot"]).ngroup(), dtype=np.int64)
    if boots.max() < 1:
        raise InputError("kernel time", "boots", int(boots.max()) + 1, "at least two")
    spread = logs.agg(lambda x: 1.4826 * np.median(np.abs(x - np.median(x)))).to_numpy()
    # Few repeats: a variance is half its own, half that of all calls of that length.
    typical = pd.Series(spread**2).groupby(medians["length_bytes"]).transform("mean").to_numpy()
    sigma = np.sqrt(np.pi / 2 * (spread**2 + typical) / 2 / logs.size().to_numpy() + _MISFIT**2)
    gibibyte = table_work(medians.assign(length_bytes=GIB))
    model = _Model(table_work(medians), gibibyte, medians["log"].to_numpy(), sigma, boots, instructions.costs)
    return _draw(model, *_solve(model), np.random.default_rng(seed))


@dataclass(frozen=True)
class _Model:
    """Medians of calls with what they are made of. Parameters are those of _START, then each boot's log wait as a
    deviation."""

    work: Floats
    gibibyte: Floats
    log_time: Floats
    sigma: Floats
    boots: npt.NDArray[np.int64]
    instructions: Floats

    @property
    def boot_count(self) -> int:
        return int(self.boots.max()) + 1

    def costs(self, parameters: Floats) -> Floats:
        """Time of each kind [ns] by parameters of shape (..., parameters)."""
        each = np.exp(parameters[..., _FAMILIES][..., _FAMILY] + parameters[..., _OWN]) * self.instructions
        each[..., WORK.index("call")] = 0
        return np.asarray(each)

    def residuals(self, parameters: Floats, tau: float) -> Floats:
        costs, boots = self.costs(parameters), parameters[_GLOBAL:]
        waits = _waits(parameters[_WAIT], self.gibibyte @ costs) * np.exp(boots[self.boots])
        errors = (np.log(self.work @ costs + waits) - self.log_time) / self.sigma
        priors = [
            (np.diff(parameters[_FAMILIES]) - _APART) / _APART_DOUBT,
            parameters[_OWN] / _OWN_DOUBT,
            parameters[_WAIT][1:] / _SLOPE_DOUBT,
        ]
        return np.concatenate([errors, *priors, boots / tau])


def _solve(model: _Model) -> tuple[Floats, Floats, float]:
    """Parameters, their covariance, and how far boots' waits differ [log]; the latter by iteration."""
    from scipy.optimize import least_squares  # half a second to import

    boots = model.boot_count
    parameters = np.concatenate([_START, np.zeros(boots)])
    tau = _TAU
    for _ in range(30):
        found = least_squares(model.residuals, parameters, args=(tau,))
        parameters = found.x
        jacobian = np.asarray(found.jac, dtype=float)
        covariance: Floats = np.linalg.pinv(jacobian.T @ jacobian)
        # What the waits are seen to differ by, and what is unknown of each.
        own = parameters[_GLOBAL:] ** 2 + np.diag(covariance)[_GLOBAL:]
        before, tau = tau, float((own.sum() + _TAU_WEIGHT * _TAU**2) / (boots + _TAU_WEIGHT)) ** 0.5
        if abs(tau - before) < 1e-3:
            break
    return parameters, covariance, tau


def _draw(model: _Model, best: Floats, covariance: Floats, tau: float, rng: np.random.Generator) -> WorkTime:
    drawn = rng.multivariate_normal(best, covariance, _DRAWS)
    waits = drawn[:, _WAIT].copy()
    # With few boots the spread of waits is itself uncertain: Student's t. Boots that follow each other are alike, so
    # the median over two of them is no closer to the mean than one.
    waits[:, 0] += rng.standard_t(max(2, model.boot_count - 1), _DRAWS) * tau
    noise = rng.normal(0, float(np.min(model.sigma)), _DRAWS)
    return WorkTime(model.costs(best), model.costs(drawn), best[_WAIT], waits, noise)
