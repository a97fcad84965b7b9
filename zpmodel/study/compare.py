"""The three policies side by side."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zpmodel.base.estimate import Estimate, digits
from zpmodel.calibration.identify import Missing, missing
from zpmodel.queue.zeropage import POLICIES
from zpmodel.study.on_demand import OnDemand
from zpmodel.study.scenario import FIO_WRITE, Scenario, predict
from zpmodel.study.served import Served, serve, serve_share
from zpmodel.study.verdict import verdict_of
from zpmodel.timing.machine import Device, Machine
from zpmodel.timing.predict import Prediction


@dataclass(frozen=True)
class Comparison:
    """One policy beside PAGE_SIZE.

    :ivar policy: its name.
    :ivar prediction: what zeroing the range takes.
    :ivar speedup: elapsed time of PAGE_SIZE over this policy's [1].
    :ivar cpu_saved_s: CPU time of PAGE_SIZE less this policy's [s].
    :ivar lacking: what the machine's calibration has not seen.
    :ivar served: for the on-demand policy: how calls find its folio; the prediction is their mean.
    :ivar assumed: which limits of the queue were assumed when the machine was calibrated; empty where they were known.
    :ivar may_hide_all: whether nobody knows how much of submission hides behind the device, which bounds
        PAGE_SIZE, and it may be all.
    :ivar composed: whether the machine was put together from parts, and never measured as a whole.
    :ivar hangs_on_life: whether a call that finds its on-demand folio would have a verdict.
    """

    policy: str
    prediction: Prediction
    speedup: Estimate
    cpu_saved_s: Estimate
    lacking: tuple[Missing, ...] = ()
    served: Served | None = None
    assumed: str = ""
    may_hide_all: bool = False
    composed: bool = False
    hangs_on_life: bool = False

    @property
    def offloaded(self) -> bool:
        """Whether the device zeroes by itself (Write Zeroes), so that no zero page is written at all."""
        return self.prediction.structure.operation == "write_zeroes"

    @property
    def verdict(self) -> str:
        """The elapsed time in a word, as :func:`zpmodel.study.verdict.verdict_of` has it; ``unknown`` also where the
        calibration lacks what it would need. PAGE_SIZE: ``-``.
        """
        ratio = self.speedup
        if self.policy == "page":
            return "-"
        if ratio.low != ratio.high and any("elapsed" in item.hides for item in self.lacking):
            return "unknown"
        return verdict_of(ratio)

    @property
    def hedged(self) -> str:
        """The verdict, with the assumptions on which it stands."""
        text = f"{self.verdict}, if the limits are those assumed" if self.stands_on else self.verdict
        return f"{text}, unless the device hides all of submission" if self.open_overlap else text

    @property
    def open_overlap(self) -> bool:
        """Whether a gain or a loss is one only where the device leaves some of submission to be seen."""
        return self.may_hide_all and self.verdict in ("gain", "loss")

    @property
    def tells_no_saving(self) -> bool:
        """Whether CPU time was measured, and tells nothing of a page's size."""
        return self.prediction.cpu_s.known and not self.cpu_saved_s.known

    @property
    def to_measure(self) -> str:
        """What to measure where the verdict is unknown; empty where there is one."""
        if self.verdict != "unknown":
            return ""
        unseen = [str(item).rstrip(".") for item in self.lacking if "elapsed" in item.hides]
        if unseen:
            return "; ".join(unseen)
        if self.hangs_on_life:
            return "count how often calls find the folio (thp_zero_page_alloc, thp_zero_page_alloc_failed)"
        if self.composed:
            return "time a zero-out from both pages on this very drive"
        return "repeat fio's pairs of both memories at this size and larger, with nothing else running"

    @property
    def unknown_in_words(self) -> str:
        """What the data leave open and what to measure where the verdict is unknown; empty where there is one."""
        if self.verdict != "unknown":
            return ""
        ends = f"[{digits(self.speedup.low)}, {digits(self.speedup.high)}]"
        return f"can't be told from these data, {ends} times as fast; {self.to_measure}"

    @property
    def stands_on(self) -> str:
        """Which limits of the queue the verdict assumes; empty where it assumes none, or says nothing anyway."""
        return self.assumed if self.verdict not in ("-", "unknown") else ""

    def _repr_html_(self) -> str:
        text = f"<b>{self.policy}</b>: {self.hedged}"
        if self.policy == "page":
            return f"<b>page</b>: {self.prediction.elapsed_s} s"
        return f"{text}; {self.speedup.as_ratio()} times as fast, {self.cpu_saved_s} s of CPU time saved"

    def row(self) -> dict[str, Any]:
        """The comparison as a flat row, with units in the names."""
        counts = self.prediction.structure
        return {
            "policy": self.policy,
            "zero_page_bytes": self.prediction.zero_page.size_bytes,
            **self.prediction.elapsed_s.columns("elapsed", "_s"),
            **self.prediction.cpu_s.columns("cpu", "_s"),
            **self.speedup.columns("speedup"),
            **self.cpu_saved_s.columns("cpu_saved", "_s"),
            "bound_by": self.prediction.bound_by,
            "verdict": f"{self.hedged} (extrapolated)"
            if self.prediction.beyond and self.policy != "page"
            else self.hedged,
            "to_measure": self.to_measure,
            "bios": counts.bios,
            "vectors": counts.vectors,
            "requests": counts.requests,
            "segments": counts.segments,
            "beyond": self.prediction.beyond,
            **({} if self.served is None else _served_row(self.served)),
        }


def _served_row(served: Served) -> dict[str, Any]:
    """What only the on-demand policy has, with units in the names."""
    row: dict[str, Any] = {name: round(number, 3) for name, number in served.counts.items()}
    for state in served.states:
        name = state.name.replace(" ", "_")
        row |= state.share.columns(f"{name}_share")
        row |= {f"{name}_elapsed_s": state.elapsed_s.value, f"{name}_cpu_s": state.cpu_s.value}
    row |= served.held_bytes.columns("held", "_bytes") | served.getter_s.columns("getter", "_s")
    return {**row, "rests_on": served.rests_on}


def compare(scenario: Scenario, policies: tuple[str, ...] = POLICIES) -> list[Comparison]:
    """Answer a question once for each policy, side by side with PAGE_SIZE.

    :raises InputError: on impossible ranges and shares.
    """
    page = predict(scenario.but(zero_page="page"))
    found, machine = [], scenario.machine
    if scenario.caller == FIO_WRITE and machine.with_limits(scenario.limits) is machine:
        machine = machine.for_writes(scenario.length, scenario.depth)
    for policy in policies:
        prediction = page if policy == "page" else predict(scenario.but(zero_page=policy))
        beside = _beside(machine, page, policy, prediction, None)
        # Write Zeroes reads no zero page, so nobody asks for one.
        if policy == "on-demand" and prediction.structure.operation == "write":
            served, known = _serve(scenario, page, prediction), beside.verdict != "unknown"
            beside = replace(_beside(machine, page, policy, served.prediction, served), hangs_on_life=known)
        found.append(beside)
    return found


def hidden(scenario: Scenario) -> tuple[Estimate, Estimate] | None:
    """Static over PAGE_SIZE [1] if the device hides all of submission, and if none.

    None where it is known how much, or no page is written.
    """
    machine = scenario.machine
    if not machine.device.may_hide_all:
        return None
    whole, none = (
        compare(scenario.but(machine=machine.with_device(machine.device.hiding(share))), ("page", "static"))[1]
        for share in (1.0, 0.0)
    )
    return None if whole.offloaded else (whole.speedup, none.speedup)


def prior_in_words(device: Device) -> str:
    """What is taken for granted of a device of which nobody knows how much of submission it hides."""
    shares = np.asarray(device.draws.path().overlap)
    low, high = (round(float(end), 2) for end in (shares.min(), shares.max()))
    return f"taken as uniform in [{low:g}, {high:g}], each share as likely as any other"


def hidden_in_words(device: Device, ends: tuple[Estimate, Estimate]) -> str:
    """What :func:`hidden` found, as a sentence."""
    whole, none = (each.as_ratio() for each in ends)
    return (
        f"Nobody measured how much of submission hides behind this device. It is {prior_in_words(device)}: interval "
        f"and verdict hang on that. Static is {whole} times as fast if all of it does, {none} times if none."
    )


def _serve(scenario: Scenario, page: Prediction, huge: Prediction) -> Served:
    if scenario.fallback_share is not None:
        return serve_share(scenario.machine, page, huge, scenario.fallback_share)
    return serve(scenario.machine, page, huge, scenario.on_demand or OnDemand())


def _beside(machine: Machine, page: Prediction, policy: str, other: Prediction, served: Served | None) -> Comparison:
    alike, huge = _alike(page, other), 1.0 if served is None else 1 - served.share("fell back").value
    if other is page or (alike and served is None):
        return Comparison(policy, other, Estimate.exactly(1.0), Estimate.exactly(0.0))
    stretch = max(page.stretch, other.stretch)
    ratio = page.elapsed_s.value / other.elapsed_s.value
    lacking = tuple(missing(machine))
    saved = Estimate.unknown()
    if not any("cpu" in item.hides for item in lacking):
        less, draws = page.cpu_s.value - other.cpu_s.value, page.cpu_draws - other.cpu_draws
        saved = machine.estimate(less, draws, (0.0 if alike else machine.cpu.scatter) * stretch)
        most = max(less, page.cpu_s.high)  # nobody saves more than was spent
        saved = replace(saved, low=min(saved.low, most), high=min(saved.high, most))
    # Of the same I/O (a call's, or those of all that fell back) what the machine scatters by cancels.
    ratio_scatter = 0.0 if alike else huge * machine.ratio_scatter
    return Comparison(
        policy,
        other,
        # What one prediction errs by, the other shares in part; what ratios of held-out points scattered by is left.
        machine.estimate(ratio, page.elapsed_draws / other.elapsed_draws, ratio_scatter * stretch),
        saved,
        lacking,
        served,
        machine.driver.assumed,
        machine.device.may_hide_all and page.bound_by == "device",
        bool(machine.composed),
    )


def _alike(page: Prediction, other: Prediction) -> bool:
    """Whether both are the same I/O: then nothing differs, whatever is not known of the machine."""
    a, b = page.structure, other.structure
    return a.operation == b.operation and a.vectors == b.vectors and a.request_histogram() == b.request_histogram()
