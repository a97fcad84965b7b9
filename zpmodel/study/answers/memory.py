"""Questions 4 to 6: the on-demand folio's day, the memory held, and what counting references costs."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from zpmodel.base.estimate import Estimate, digits
from zpmodel.base.units import GIB, MIB, format_size
from zpmodel.memory.life.getter import GetterTimes, getter_cost, getter_times
from zpmodel.memory.life.price import RAM_BYTES, REASONABLE_SHARE, price
from zpmodel.study.answers.base import Answer, Asked, Figure, no_page
from zpmodel.study.compare import compare
from zpmodel.study.on_demand import OnDemand
from zpmodel.study.scenario import Scenario

CALL_BYTES = 2 * MIB
"""The zero-out that questions 4 and 6 are asked of [byte]: one inode table of ext4."""

FOLIOS = (2 * MIB, 32 * MIB, 512 * MIB)
"""PMD folios: x86-64 and arm64 with 4 KiB pages, arm64 with 16 KiB, arm64 with 64 KiB [byte]."""

CPUS = (1, 8, 64)


def on_demand(asked: Asked) -> Answer:
    """Question 4."""
    life = OnDemand()
    _, found, static = compare(Scenario(asked.machine, CALL_BYTES, on_demand=life))
    served = found.served
    if served is None:
        return no_page(4, asked)
    fell, first = served.share("fell back"), served.share("first use")
    more = static.cpu_saved_s.scaled(1e6)
    kept = served.held_bytes.scaled(1 / CALL_BYTES)
    clear = life.clearing.scaled(1e6)
    each = Estimate(life.failure.value, life.failure.low, life.failure.high, life.failure.source)
    figures = (
        Figure("calls that fall back to 4 KiB", fell, "1"),
        Figure("allocations that fail", each, "1"),
        Figure("calls that allocate and clear the folio", first, "1"),
        Figure("share of the day for which the folio is kept", kept, "1"),
        Figure("CPU time that a fallback costs a 2 MiB call", more, "µs"),
        Figure("clearing 2 MiB at each allocation", clear, "µs"),
        Figure("CPU time saved against 4 KiB for each GiB", found.cpu_saved_s.scaled(GIB / CALL_BYTES * 1e3), "ms"),
    )
    costs = f"Each allocation costs {clear} µs of clearing"
    if more.known:
        told = "which is not to be told apart from what the call that it serves saves"
        if clear.low > more.high or clear.high < more.low:
            told = f"{'more' if clear.low > more.high else 'less'} than the call that it serves saves"
        costs = (
            f"A fallback costs {more} µs of CPU time in a call of 2 MiB, each allocation {clear} µs of clearing, {told}"
        )
    return Answer(
        4,
        f"With a user a minute and little memory pressure {fell.percent()} of calls fall back and {first.percent()} "
        f"allocate, where {each.percent()} of allocations fail; the folio is there {kept.percent()} of the day. "
        f"{costs}.",
        figures,
        f"the folio's life in closed form, with inputs: {'; '.join(dict.fromkeys(life.rests_on().values()))}",
        f"zpmodel answers 4 {asked.options()}",
        "users come in bursts, or memory is under constant pressure: then a fallback is as likely as a failure",
        "a day's thp_zero_page_alloc and thp_zero_page_alloc_failed on machines that zero: counters of few are known",
    )


def memory_share(asked: Asked) -> Answer:
    """Question 5."""
    figures, reasonable = [], {}
    for folio in FOLIOS:
        for ram in RAM_BYTES:
            share = price(folio, ram).ram_share
            figures.append(Figure(f"{format_size(folio)} of {format_size(ram)}", Estimate.exactly(share * 100), "%"))
        reasonable[folio] = price(folio, RAM_BYTES[0]).smallest_ram_bytes
    shares = ", ".join(f"{digits(price(2 * MIB, ram).ram_share * 100)} % of {format_size(ram)}" for ram in RAM_BYTES)
    least = ", ".join(f"{format_size(folio)} below {format_size(ram)}" for folio, ram in reasonable.items())
    return Answer(
        5,
        f"2 MiB are {shares}. By the rule of at most {REASONABLE_SHARE * 100:g} % of RAM it is not reasonable for "
        f"{least}.",
        tuple(figures),
        f"arithmetic; the rule ({REASONABLE_SHARE * 100:g} %) is a convention (page descriptors take 1.6 %)",
        "zpmodel answers 5",
        "another threshold is asked for, or the folio is on demand and mostly not there",
    )


def getter(asked: Asked) -> Answer:
    """Question 6."""
    static = compare(Scenario(asked.machine, CALL_BYTES), ("page", "static"))[1]
    think = static.prediction.busy_s * 1e9
    times = getter_times()
    shared = {cpus: _ends(times, partial(_cost, cpus, think, "atomic per I/O")) for cpus in CPUS}
    flag = _ends(times, partial(_cost, CPUS[-1], think, "flag per mm"))
    own = Estimate(2 * times.atomic.value, 2 * times.atomic.low, 2 * times.atomic.high, times.atomic.source)
    many = shared[CPUS[-1]]
    figures = [Figure(f"reference per I/O, {CPUS[-1]} CPUs", many, "ns")]
    figures += [Figure(f"reference per I/O, {cpus} CPU{'s' * (cpus > 1)}", shared[cpus], "ns") for cpus in CPUS[:-1]]
    small = _ends(times, partial(_cost, CPUS[-1], 1000.0, "atomic per I/O"))
    figures += [
        Figure(f"reference per I/O, {CPUS[-1]} CPUs, I/O of 1 µs", small, "ns"),
        Figure("one reference per mm, then a flag", flag, "ns"),
        Figure("a reference that each CPU counts for itself", own, "ns"),
        Figure("static key", Estimate.exactly(0.0), "ns"),
    ]
    return Answer(
        6,
        f"A reference got and put for each I/O costs {shared[1]} ns on one CPU and {many} ns on {CPUS[-1]} that zero "
        f"2 MiB at a time (of {digits(think)} ns each); where I/O takes 1 µs, {small} ns. One per mm and a flag cost "
        f"{flag} ns, a reference per CPU {own} ns, a static key nothing: per I/O alone does not scale.",
        tuple(figures),
        f"{times.transfer.source}; queueing for the line by mean-value analysis",
        f"zpmodel answers 6 {asked.options()}",
        "CPUs are on several sockets (a line takes longer), or an mm does one I/O only",
        "the kernel's own getter under perf on more than two CPUs: the line's time was measured in user space",
    )


def _cost(cpus: int, think_ns: float, counting: str, times: GetterTimes) -> float:
    table = getter_cost(cpus, think_ns, times=times).set_index("counting")["getter_ns"]
    return float(np.asarray(table.loc[counting]))


def _ends(times: GetterTimes, cost: Callable[[GetterTimes], float]) -> Estimate:
    """A cost at the getter's times, and at their lowest and highest together: they are of one CPU."""

    def at(end: str) -> GetterTimes:
        exact = {name: Estimate.exactly(getattr(getattr(times, name), end)) for name in ("flag", "atomic", "transfer")}
        return replace(times, **exact)

    return Estimate(cost(at("value")), cost(at("low")), cost(at("high")), times.transfer.source)
