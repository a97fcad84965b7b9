"""The same work in nanoseconds: what the kernel's own zero-out takes a processor, fitted to noisy calls.

The cost structure is that of :mod:`zpmodel.kernel_cpu.instructions`, and so are the ratios between costs, as far as
the data don't say otherwise: instructions of one kind may run faster than those of another, not ten times as fast.
What a call waits beside its work is no cost of an event: it differs from boot to boot by more than the work of a
short range. So it is a random part of each boot, larger for configurations that keep the processor busy for longer (a
shared host gives it back later); four configurations say so, weakly, and the interval is as wide as that.
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

_APART = (LOOPS, ("request",))  # kinds whose time per instruction may differ from the common one, together
_DOUBT = 0.3  # log deviation of a kind's time per instruction from the common one: other loads, misses, branches
_SLOPE_DOUBT = 0.5  # of log wait over log time per GiB; 0: waits don't depend on the configuration
_MISFIT = 0.04  # log: what medians of long ranges lie off the fit by, beyond what their replicates explain
_LEAST_TAU = 0.6  # log: waits of a handful of boots may look alike by chance
_DRAWS = 4000
_START = [np.log(0.2), 0.0, 0.0, np.log(5e5), 0.3]  # ns per instruction, deviations, wait [ns] and its slope
_GLOBAL = len(_START)
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
        share = np.exp(parameters[..., :1]) * np.ones(len(WORK))
        for i, names in enumerate(_APART, 1):
            share[..., [WORK.index(name) for name in names]] *= np.exp(parameters[..., i : i + 1])
        share[..., WORK.index("call")] = 0
        return np.asarray(share * self.instructions)

    def residuals(self, parameters: Floats, tau: float) -> Floats:
        costs, own = self.costs(parameters), parameters[_GLOBAL:]
        waits = _waits(parameters[3:5], self.gibibyte @ costs) * np.exp(own[self.boots])
        errors = (np.log(self.work @ costs + waits) - self.log_time) / self.sigma
        return np.concatenate([errors, parameters[1:3] / _DOUBT, [parameters[4] / _SLOPE_DOUBT], own / tau])


def _solve(model: _Model) -> tuple[Floats, Floats, float]:
    """Parameters, their covariance, and how far boots' waits differ [log]; the latter by iteration."""
    from scipy.optimize import least_squares  # half a second to import

    boots = model.boot_count
    parameters = np.concatenate([_START, np.zeros(boots)])
    tau = 0.8
    for _ in range(30):
        found = least_squares(model.residuals, parameters, args=(tau,))
        parameters = found.x
        jacobian = np.asarray(found.jac, dtype=float)
        covariance: Floats = np.linalg.pinv(jacobian.T @ jacobian)
        # What the waits are seen to differ by, and what is unknown of each.
        own = parameters[_GLOBAL:] ** 2 + np.diag(covariance)[_GLOBAL:]
        before, tau = tau, max(_LEAST_TAU, float(np.mean(own)) ** 0.5)
        if abs(tau - before) < 1e-3:
            break
    return parameters, covariance, tau


def _draw(model: _Model, best: Floats, covariance: Floats, tau: float, rng: np.random.Generator) -> WorkTime:
    drawn = rng.multivariate_normal(best, covariance, _DRAWS)
    waits = drawn[:, 3:5].copy()
    # With few boots the spread of waits is itself uncertain: Student's t. Boots that follow each other are alike, so
    # the median over two of them is no closer to the mean than one.
    waits[:, 0] += rng.standard_t(max(2, model.boot_count - 1), _DRAWS) * tau
    noise = rng.normal(0, float(np.min(model.sigma)), _DRAWS)
    return WorkTime(model.costs(best), model.costs(drawn), best[3:5], waits, noise)
