"""The on-demand policy made real: how often its folio is there, what getting it costs, and what that does to a call.

A call finds the folio and is served as the static page serves it; or it is the first to miss it, allocates and clears
it, and waits for that; or the allocation fails, and it writes from ZERO_PAGE. How often follows from the folio's life
(:mod:`zpmodel.memory.life`). A column of a comparison is the mean call of a day; :class:`Served` keeps all three.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from zpmodel.base.estimate import DEVIATIONS, Estimate
from zpmodel.memory.life.getter import contended_ns, getter_times
from zpmodel.study.on_demand import OnDemand
from zpmodel.timing.cpu import Term
from zpmodel.timing.machine import Machine
from zpmodel.timing.predict import Prediction

Floats = npt.NDArray[np.float64]

COUNTED = ("bios", "vectors", "requests", "segments")


class State(NamedTuple):
    """One way that a call can go: its ``share`` of calls [1], its ``cpu_s`` and ``elapsed_s`` [s]."""

    name: str
    share: Estimate
    cpu_s: Estimate
    elapsed_s: Estimate


@dataclass(frozen=True)
class Served:
    """The on-demand column.

    :ivar prediction: the mean call.
    :ivar states: ``served`` (the folio was there), ``first use`` (allocated and cleared it), ``fell back`` (4 KiB).
    :ivar held_bytes: mean memory held [byte].
    :ivar getter_s: of one call [s].
    :ivar counts: bios, vectors, requests and segments of the mean call.
    :ivar rests_on: where each input comes from.
    """

    prediction: Prediction
    states: tuple[State, ...]
    held_bytes: Estimate
    getter_s: Estimate
    counts: dict[str, float]
    rests_on: dict[str, str]

    def share(self, name: str) -> Estimate:
        """Share of calls in a state [1]."""
        return next(state.share for state in self.states if state.name == name)

    def in_words(self) -> str:
        """What calls find, most of them first."""
        words = {"served": "find the folio", "first use": "allocate and clear it", "fell back": "fall back to 4 KiB"}
        states = sorted(self.states, key=lambda state: -state.share.value)
        return ", ".join(f"{state.share.percent()} of calls {words[state.name]}" for state in states)

    def quantile_s(self, quantile: float) -> float:
        """Elapsed time that this share of calls does not exceed [s]."""
        total = 0.0
        for state in sorted(self.states, key=lambda state: state.elapsed_s.value):
            total += state.share.value
            if total >= quantile - 1e-12:
                return state.elapsed_s.value
        return max(state.elapsed_s.value for state in self.states)


class _Shares(NamedTuple):
    """Shares of calls that allocate and that fall back, and of the time in which the folio is there."""

    first: Floats
    fell_back: Floats
    held: Floats


def shares_of(asked: OnDemand, draws: int = 2000) -> list[tuple[str, str, Estimate]]:
    """A folio's life in numbers, whatever its users do with it: names, units and estimates.

    Shares are of calls, as of :class:`Served`'s states; rates and memory are means of a day.
    """
    best, drawn = _shares(asked, None), _shares(asked, draws)
    calls, size = asked.users_per_s * asked.calls_per_user * 3600, asked.life().folio_bytes
    first, fell, held = (Estimate.of(float(a[0]), b) for a, b in zip(best, drawn, strict=True))
    delay = float(best.first[0]) * (asked.clearing.value + asked.allocate_s.value)
    delay += float(best.fell_back[0]) * asked.fail_s.value
    delays = drawn.first * (drawn_from(asked.clearing, draws, 11) + drawn_from(asked.allocate_s, draws, 12))
    delays = delays + drawn.fell_back * drawn_from(asked.fail_s, draws, 13)
    served = Estimate.of(1 - first.value - fell.value, 1 - drawn.first - drawn.fell_back)
    return [
        ("found the folio", "share of calls", served),
        ("allocated and cleared it", "share of calls", first),
        ("fell back to 4 KiB", "share of calls", fell),
        ("allocations", "1/h", first.scaled(calls)),
        ("failed allocations", "1/h", fell.scaled(calls)),
        ("cleared", "byte/h", first.scaled(calls * size)),
        ("held", "share of time", held),
        ("memory held", "byte", held.scaled(size)),
        ("clearing once", "s", asked.clearing),
        ("added to a call, mean", "s", Estimate.of(delay, delays)),
    ]


def folio_shares(asked: OnDemand) -> tuple[float, float]:
    """Shares of calls that allocate the folio and that fall back, in the long run [1]."""
    found = _shares(asked, None)
    return float(found.first[0]), float(found.fell_back[0])


def serve(machine: Machine, page: Prediction, huge: Prediction, asked: OnDemand) -> Served:
    """What calls take that ask for an on-demand folio.

    :param page: the call from ZERO_PAGE.
    :param huge: the call from a PMD folio that is there and costs nothing to get.
    :param asked: the folio's life.
    """
    draws = machine.draws
    shares, drawn = _shares(asked, None), _shares(asked, draws)
    times = {
        "getter": getter_s(asked, huge, draws),
        "clear": (asked.clearing.value, drawn_from(asked.clearing, draws, 11)),
        "allocation": (asked.allocate_s.value, drawn_from(asked.allocate_s, draws, 12)),
        "failed allocation": (asked.fail_s.value, drawn_from(asked.fail_s, draws, 13)),
    }
    return _mix(machine, page, huge, (shares, drawn), times, asked.rests_on())


def serve_share(machine: Machine, page: Prediction, huge: Prediction, share: float) -> Served:
    """The shortcut: this share of calls falls back and the others find the folio, whatever its life.

    A call that is served tests a flag; what the others try is not charged.
    """
    flag = getter_times().flag
    none, draws = np.zeros(machine.draws), machine.draws
    shares = _Shares(np.zeros(1), np.full(1, share), np.full(1, 1 - share))
    drawn = _Shares(none, none + share, none + 1 - share)
    times: dict[str, tuple[float, Floats]]
    times = dict.fromkeys(("clear", "allocation", "failed allocation"), (0.0, none))
    times["getter"] = ((1 - share) * flag.value * 1e-9, (1 - share) * drawn_from(flag, draws, 14) * 1e-9)
    rests = {"failure": f"given: {share:.3%} of calls fall back", "getter": flag.source}
    return _mix(machine, page, huge, (shares, drawn), times, rests)


def _mix(
    machine: Machine,
    page: Prediction,
    huge: Prediction,
    both: tuple[_Shares, _Shares],
    times: dict[str, tuple[float, Floats]],
    rests_on: dict[str, str],
) -> Served:
    """Mean of the three states, and each of them; ``times`` [s] as best and draws."""
    best, drawn = both
    first, fell, held = (float(values[0]) for values in best)
    numbers: dict[str, tuple[float, Floats]]
    numbers = {"getter": (1.0, np.ones(machine.draws)), "failed allocation": (fell, drawn.fell_back)}
    numbers |= dict.fromkeys(("clear", "allocation"), (first, drawn.first))
    added = sum(numbers[name][0] * each for name, (each, _) in times.items())
    added_draws = np.asarray(sum(numbers[name][1] * each for name, (_, each) in times.items()))

    def mean(name: str) -> tuple[Estimate, Floats]:
        a, b = getattr(page, f"{name}_s").value, getattr(huge, f"{name}_s").value
        x, y = getattr(page, f"{name}_draws"), getattr(huge, f"{name}_draws")
        draws = drawn.fell_back * x + (1 - drawn.fell_back) * y + added_draws
        return machine.estimate(fell * a + (1 - fell) * b + added, draws, _scatter(machine, name)), draws

    (cpu, cpu_draws), (elapsed, elapsed_draws) = mean("cpu"), mean("elapsed")
    terms = _mean_terms(huge.terms, page.terms, fell)
    # A number that is itself uncertain goes into what each call pays, so that number x each has the right draws.
    terms += [
        Term(name, numbers[name][0], each, _each_draws(*numbers[name], draws), _says(name, rests_on))
        for name, (each, draws) in times.items()
    ]
    prediction = replace(
        huge,
        cpu_s=cpu,
        elapsed_s=elapsed,
        terms=tuple(terms),
        cpu_draws=cpu_draws,
        elapsed_draws=elapsed_draws,
    )
    getter, clearing = times["getter"], [times["clear"], times["allocation"]]
    shares = {"first use": drawn.first, "fell back": drawn.fell_back}
    states = (
        _state(machine, "served", 1 - first - fell, 1 - drawn.first - drawn.fell_back, huge, [getter]),
        _state(machine, "first use", first, shares["first use"], huge, [getter, *clearing]),
        _state(machine, "fell back", fell, shares["fell back"], page, [getter, times["failed allocation"]]),
    )
    size = huge.zero_page.size_bytes
    return Served(
        prediction,
        states,
        Estimate.of(held * size, drawn.held * size),
        Estimate.of(getter[0], getter[1]),
        {n: fell * getattr(page.structure, n) + (1 - fell) * getattr(huge.structure, n) for n in COUNTED},
        rests_on,
    )


def _mean_terms(huge: tuple[Term, ...], page: tuple[Term, ...], fell: float) -> list[Term]:
    """Mean terms of both: a kind of work may be in one alone, and cost more each in one than in the other."""
    found = []
    for name in dict.fromkeys(term.name for term in (*page, *huge)):
        weighted = ((fell, page), (1 - fell, huge))
        parts = [(weight, term) for weight, terms in weighted for term in terms if term.name == name]
        number = sum(weight * term.number for weight, term in parts)
        shares = [(weight * term.number / number if number else 1 / len(parts), term) for weight, term in parts]
        each = sum(share * term.each_s for share, term in shares)
        draws = np.asarray(sum(share * term.each_draws for share, term in shares))
        found.append(Term(name, number, each, draws, parts[-1][1].says))
    return found


def _says(name: str, rests_on: dict[str, str]) -> str:
    keys = {"getter": "getter", "clear": "clearing", "allocation": "allocation", "failed allocation": "allocation"}
    return rests_on.get(keys[name], "")


def _each_draws(number: float, numbers: Floats, draws: Floats) -> Floats:
    return np.asarray(numbers * draws / number if number > 0 else draws, dtype=float)


def _scatter(machine: Machine, name: str) -> float:
    return machine.cpu.scatter if name == "cpu" else machine.device.scatter


def _state(
    machine: Machine, name: str, share: float, shares: Floats, call: Prediction, added: list[tuple[float, Floats]]
) -> State:
    more, draws = sum(each for each, _ in added), np.asarray(sum(each for _, each in added))
    cpu = machine.estimate(call.cpu_s.value + more, call.cpu_draws + draws, machine.cpu.scatter)
    elapsed = machine.estimate(call.elapsed_s.value + more, call.elapsed_draws + draws, machine.device.scatter)
    return State(name, Estimate.of(share, shares), cpu, elapsed)


def _shares(asked: OnDemand, draws: int | None) -> _Shares:
    """Shares in the long run (``draws`` None), or of so many days with inputs drawn from their intervals.

    The long run is :func:`zpmodel.memory.life.closed_form.absent_share`, for arrays. A day of N users is so many cycles
    from one allocation to the next, each with its own number of failures (geometric) and users: its shares scatter
    around the long run's by the renewal theorem's variance, with cycles as irregular as exponential ones.
    """
    users, calls = asked.users_per_s, asked.calls_per_user
    life = asked.life()
    one = draws is None
    fails = np.full(1, asked.failure.value) if draws is None else np.clip(drawn_from(asked.failure, draws, 15), 0, 1)
    scans = np.full(1, asked.scans_per_s.value) if draws is None else drawn_from(asked.scans_per_s, draws, 16)
    load = users * life.users.hold_s
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        kept = 1 + (1 + scans / users) * np.expm1(load)
        present = np.where(scans > 0, (1 - fails) * users / scans * kept, np.inf)
        absent = np.where(fails >= 1, 1.0, 1 / (1 + present))
        first, fell = absent * (1 - fails), absent * fails
        if not one:
            number = users * asked.lasts_s
            rng = np.random.default_rng(17)
            odds = np.where(fails < 1, fails * (1 + fails) / (1 - fails), 0.0)
            first = first + np.sqrt(first / number) * rng.standard_normal(fails.size)
            fell = fell + np.sqrt(absent * odds / number) * rng.standard_normal(fails.size)
    fell = np.clip(fell, 0, 1)
    return _Shares(np.clip(first, 0, 1 - fell) / calls, fell, 1 - absent)


def getter_s(asked: OnDemand, huge: Prediction, draws: int) -> tuple[float, Floats]:
    """What counting references costs a call [s]: best, and so many draws."""
    flag, each = asked.times.flag, asked.times.atomic if asked.cpus == 1 else asked.times.transfer
    bios, think_ns = huge.structure.bios, huge.busy_s * 1e9
    flags, holds = {"mm": (1.0, 2 / asked.calls_per_user), "io": (0.0, 2.0 * bios), "cpu": (2.0 * bios, 0.0)}.get(
        asked.getter, (0.0, 0.0)
    )
    gets = max(holds, 1e-30)
    queued = contended_ns(asked.cpus, think_ns / gets, each.value) / each.value
    best = flags * flag.value + holds * queued * each.value
    drawn = flags * drawn_from(flag, draws, 14) + holds * queued * drawn_from(each, draws, 18)
    return best * 1e-9, drawn * 1e-9


def drawn_from(estimate: Estimate, draws: int, seed: int) -> Floats:
    """Draws whose middle is the value and whose tails are the bounds: normal to each side; logarithms where that is
    what the bounds are of (both above 0)."""
    score = np.random.default_rng(seed).standard_normal(draws) / DEVIATIONS
    low, value, high = estimate.low, estimate.value, estimate.high
    if low > 0:
        steps = np.where(score > 0, np.log(high / value), np.log(value / low))
        return np.asarray(value * np.exp(score * steps))
    return np.maximum(0.0, value + score * np.where(score > 0, high - value, value - low))
