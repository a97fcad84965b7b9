"""What converting a user of zero pages is worth through a machine: CPU time, elapsed time and calls for each GiB."""

from dataclasses import dataclass
from typing import Any

from zpmodel.base.estimate import Estimate, digits
from zpmodel.base.units import GIB
from zpmodel.calibration.identify import missing
from zpmodel.callers.base import Caller, Counts
from zpmodel.callers.find import all_callers
from zpmodel.callers.table import STATES, change
from zpmodel.memory.machines import read_machine
from zpmodel.memory.reading.cpus import CALL_NS, Work, known_readers, read_zeroes
from zpmodel.study.verdict import NO_GAIN_WITHIN
from zpmodel.timing.machine import Machine
from zpmodel.timing.predict import Prediction, predict_structure

STEPS = {
    "option off since 6.12": ("6.12", "7.3, option off"),
    "done by 7.3": ("6.12", "7.3, option on"),
    "left to do": ("7.3, option on", "finished"),
    "all of it": ("6.12", "finished"),
}
"""Steps between states of :data:`zpmodel.callers.table.STATES`."""

WORTH_SHARE = round(NO_GAIN_WITHIN - 1, 3)
"""A patch is called worth it where it surely saves this share of the CPU time that its user takes [1], hardly where it
surely saves less; a convention, the same as for a gain in throughput that nobody would care about."""


@dataclass(frozen=True)
class Gain:
    """One step of one user.

    :ivar user: the kernel's name of it.
    :ivar step: one of :data:`STEPS`.
    :ivar cpu_saved_s: for each GiB of zeroes [s]; None where no cost is known.
    :ivar cpu_share: of the CPU time before [1].
    :ivar speedup: elapsed time before over after [1]; None where no device waits for it.
    :ivar calls: calls that hand zeroes down for each GiB, (before, after).
    :ivar missing: what would have to be measured; empty where nothing is missing.
    """

    user: str
    step: str
    cpu_saved_s: Estimate | None
    cpu_share: Estimate | None
    speedup: Estimate | None
    calls: tuple[float, float]
    missing: str = ""

    @property
    def verdict(self) -> str:
        """``gains``, ``loses``, ``nothing``, ``not to be told apart`` or ``not known``, by CPU time."""
        saved = self.cpu_saved_s
        if saved is None:
            return "not known"
        if saved.low == saved.high == 0:
            return "not known" if self.missing else "nothing"
        if saved.low > 0:
            return "gains"
        return "loses" if saved.high < 0 else "not to be told apart"

    @property
    def worth(self) -> str:
        """Whether a patch is worth it, in words."""
        saved, share = self.cpu_saved_s, self.cpu_share
        if saved is None or share is None or self.verdict == "not known":
            return f"not known: {self.missing}"
        if self.verdict == "nothing":
            return "no: nothing changes"
        if self.verdict == "loses":
            return f"no: it costs {digits(-saved.value * 1e3)} ms of CPU time more a GiB"
        if self.verdict == "not to be told apart":
            return "not surely: it may save or cost CPU time"
        part = f"{share.value:.0%}" if share.value >= 0.01 else "less than 1%"
        said = f"{digits(saved.value * 1e3)} ms of CPU time a GiB, {part} of it"
        if share.low >= WORTH_SHARE:  # it may be a share of what nobody knows
            unsure = f"not to be said: saves {saved.scaled(1e3)} ms of CPU time a GiB"
            return f"yes: saves {said}" if saved.says_something else unsure
        if share.high < WORTH_SHARE:
            return f"hardly: saves {said}"
        return f"perhaps: saves {said}, or anything from {share.low:.0%} to {share.high:.0%}"

    def row(self) -> dict[str, Any]:
        """As a flat row, with units in the names."""
        row: dict[str, Any] = {"user": self.user, "step": self.step}
        shown = {"cpu_saved_s_per_gib": self.cpu_saved_s, "cpu_share": self.cpu_share, "speedup": self.speedup}
        for name, found in shown.items():
            row |= (found or Estimate.unknown()).columns(name)
        before, after = self.calls
        row |= {"calls_per_gib_before": before, "calls_per_gib_after": after}
        return {**row, "verdict": self.verdict, "worth": self.worth, "missing": self.missing}


def gain(machine: Machine, caller: Caller, step: str = "left to do") -> Gain | None:
    """What a step is worth to a user's typical request; None where a state has the user no more, or is fio's own.

    :raises InputError: on a machine that can't be asked.
    """
    before, after = STEPS[step]
    if caller.facts.name == "fio_write":
        return None
    gone = caller.facts.gone_since
    if gone is not None and any(STATES[state][0].version >= gone for state in (before, after)):
        return None
    counts = [_counts(caller, state) for state in (before, after)]
    states = zip((before, after), counts, strict=True)
    found = [_predicted(machine, caller, state, counted.waits) for state, counted in states]
    name = caller.facts.name
    if found[0] is not None and found[1] is not None:
        return _device(machine, caller, step, (counts[0], counts[1]), (found[0], found[1]))
    if caller.facts.kind == "dma":
        size = float(getattr(caller.typical(), "length", GIB))
        calls = (counts[0].calls * GIB / size, counts[1].calls * GIB / size)
        missing = "what a send of one vector costs, and a reference on a shared page"
        if calls[0] == calls[1]:
            return Gain(name, step, Estimate.exactly(0), Estimate.exactly(0), None, calls)
        return Gain(name, step, None, None, None, calls, missing)
    return _reader(caller, step, (counts[0], counts[1]))


def gains(machine: Machine, step: str = "left to do") -> list[Gain]:
    """A step of every user, the one that saves the most CPU time a GiB first, those of unknown cost last.

    :raises InputError: on a machine that can't be asked.
    """
    found = [item for caller in all_callers() if (item := gain(machine, caller, step)) is not None]
    return sorted(found, key=lambda item: (item.cpu_saved_s is None, -(item.cpu_saved_s or _NONE).value))


_NONE = Estimate.exactly(0.0)


def _counts(caller: Caller, state: str) -> Counts:
    kernel, page = STATES[state]
    return caller.count(page, caller.typical(), kernel)


def _predicted(machine: Machine, caller: Caller, state: str, waits: int) -> Prediction | None:
    kernel, page = STATES[state]
    if caller.facts.kind != "dma":
        return None
    structure = caller.structure(page, caller.typical(), kernel, machine.limits)
    return None if structure is None else predict_structure(machine, page, structure, waits=waits)


def _device(
    machine: Machine, caller: Caller, step: str, counts: tuple[Counts, Counts], found: tuple[Prediction, Prediction]
) -> Gain:
    """A user whose zeroes a device reads."""
    name, (before, after) = caller.facts.name, found
    gib = GIB / before.structure.length
    calls = (counts[0].calls * gib, counts[1].calls * gib)
    same = before.structure.work == after.structure.work and before.structure.vectors == after.structure.vectors
    same = same and counts[0].waits == counts[1].waits
    if same and before.structure.request_histogram() == after.structure.request_histogram():
        return Gain(name, step, Estimate.exactly(0.0), Estimate.exactly(0.0), Estimate.exactly(1.0), calls)
    speedup = machine.estimate(
        before.elapsed_s.value / after.elapsed_s.value,
        before.elapsed_draws / after.elapsed_draws,
        machine.ratio_scatter,
    )
    if unseen := [item for item in missing(machine) if "cpu" in item.hides]:
        return Gain(name, step, None, None, speedup, calls, str(unseen[0]).rstrip("."))
    saved = before.cpu_s.value - after.cpu_s.value
    draws = before.cpu_draws - after.cpu_draws
    return Gain(
        name,
        step,
        machine.estimate(saved, draws, machine.cpu.scatter).scaled(gib),
        Estimate.of(saved / before.cpu_s.value, draws / before.cpu_draws),
        speedup,
        calls,
        "" if draws.any() else _unpriced(caller, step, gib),
    )


def _unpriced(caller: Caller, step: str, gib: float) -> str:
    """Counts that a step changes for each GiB of zeroes, of which no cost here is: what is fitted to fio has no tables
    of vectors."""
    changed = change(caller, *STEPS[step]).changed
    said = [
        f"{name.replace('_', ' ')} from {before * gib:,.0f} to {after * gib:,.0f}"
        for name, (before, after) in changed.items()
    ]
    return f"no cost here is of {', '.join(said)} for each GiB" if said else ""


def _reader(caller: Caller, step: str, counts: tuple[Counts, Counts]) -> Gain:
    """A user whose CPU reads the zeroes: calls saved, less what 2 MiB are slower to read than a hot 4 KiB."""
    before, after = counts
    moved = before.bytes_read_by_cpu
    gib = GIB / moved
    calls = (before.calls * gib, after.calls * gib)
    if before == after:
        return Gain(caller.facts.name, step, Estimate.exactly(0.0), Estimate.exactly(0.0), None, calls)
    work: Work = "copy" if caller.facts.kind == "copy" else "crc"
    touched = max(row.bytes for row in after.copies)
    per_call = CALL_NS.scaled(1e-9 * (calls[0] - calls[1]))
    slower, base = [], []
    for name in known_readers():
        cpu = read_machine(name)
        page = read_zeroes(cpu, work, "page")
        large = read_zeroes(cpu, work, "static", folio_bytes=max(touched, 4096))
        # Of the ratio, not of two bandwidths: what both scatter by together is no difference.
        rate = page.bandwidth.value
        slower += [GIB / rate * (1 / ratio - 1) for ratio in _values(large.against_page)]
        base.append(GIB / rate)
    middle = sorted(slower)[len(slower) // 2]
    saved = Estimate(per_call.value - middle, per_call.low - max(slower), per_call.high - min(slower))
    whole = sum(base) / len(base) + CALL_NS.value * 1e-9 * calls[0]
    missing = f"what a call costs: {CALL_NS.source}; a user's own locks are not in it"
    return Gain(caller.facts.name, step, saved, saved.scaled(1 / whole), None, calls, missing)


def _values(found: Estimate) -> tuple[float, float, float]:
    return found.low, found.value, found.high
