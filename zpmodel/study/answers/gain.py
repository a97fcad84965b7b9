"""Questions 1 to 3: what it gives, who zeroes enough to notice, and how large a folio has to be."""

from functools import cache

import numpy as np
import pandas as pd

from zpmodel.base import shipped
from zpmodel.base.estimate import Estimate, digits
from zpmodel.base.units import GIB, KIB, MIB, format_size
from zpmodel.study.answers.base import Answer, Asked, Figure, more, saves
from zpmodel.study.compare import Comparison, compare, hidden, prior_in_words
from zpmodel.study.folio_curve import KNEE_SHARE, folio_curve, knee_bytes, share_of
from zpmodel.study.scenario import Scenario
from zpmodel.study.workload import HOUR_S, MINUTE_S, day, plainly, saving
from zpmodel.timing.machine import Machine


@cache
def published_gain() -> tuple[float, str]:
    """The one published gain in throughput [1], and who says so."""
    row = pd.read_csv(shipped.data("published", "zeroing-gain.csv")).iloc[0]
    return float(row["value"]), f"{row['source']}: {row['condition']}"


def static_gain(machine: Machine) -> tuple[Comparison, Comparison]:
    """PAGE_SIZE and static, zeroing 1 GiB."""
    page, static = compare(Scenario(machine, GIB), ("page", "static"))
    return page, static


def ring_share(page: Comparison, static: Comparison) -> Estimate | None:
    """Of the CPU time saved, the share that a device's full ring had cost [1]; None where it has none."""
    terms = [{term.name: term for term in item.prediction.terms} for item in (page, static)]
    if not static.cpu_saved_s.known or "stall" not in terms[0] or "stall" not in terms[1]:
        return None
    stall = terms[0]["stall"]
    fewer = stall.number - terms[1]["stall"].number
    saved = page.prediction.cpu_s.value - static.prediction.cpu_s.value
    if saved <= 0 or stall.number == 0:  # nothing is saved, or nothing waits for room in a ring
        return None
    drawn = page.prediction.cpu_draws - static.prediction.cpu_draws
    shares = np.clip(fewer * stall.each_draws / np.maximum(drawn, 1e-12), 0, 1)
    return Estimate.of(float(np.clip(fewer * stall.each_s / saved, 0, 1)), shares)


def beside(static: Comparison, *, short: bool = True) -> str:
    """What a machine gains, beside another if ``short``; where its data can't tell, that, and what to measure."""
    if static.offloaded:
        return "nothing (it has Write Zeroes, and no zero page is written)"
    saved = static.cpu_saved_s.scaled(1e3)
    if static.tells_no_saving:
        return f"{throughput(static)}, and CPU time saved that they can't tell either"
    return f"{throughput(static)} and {f'{saved} ms' if short and saved.known else saves(saved)}"


def throughput(static: Comparison) -> str:
    """What is gained in throughput, in words; where the data can't tell, that, and what to measure."""
    if static.verdict == "unknown":
        ends = f"[{digits(static.speedup.low)}, {digits(static.speedup.high)}]"
        return f"a throughput that its data can't tell ({ends} times; {static.to_measure})"
    hedge = f", if the queue's limits are those assumed ({static.stands_on})" if static.stands_on else ""
    if static.prediction.beyond and not static.composed:  # what is composed says so in words of its own
        hedge += f", extrapolated ({static.prediction.beyond})"
    says = more(static.speedup)
    return f"{says if static.verdict in ('gain', 'loss') else f'{static.verdict} in throughput ({says})'}{hedge}"


def benefit(asked: Asked) -> Answer:
    """Question 1."""
    static = static_gain(asked.machine)[1]
    ratio, saved = static.speedup, static.cpu_saved_s.scaled(1e3)
    figures = [
        Figure(f"throughput, static over 4 KiB, {asked.machine.name}", ratio, "1"),
        Figure(f"CPU time saved for each GiB, {asked.machine.name}", saved, "ms"),
    ]
    says = f"{beside(static, short=False)} on {asked.machine.name}"
    if (ends := hidden(Scenario(asked.machine, GIB))) is not None:
        figures += [
            Figure("throughput, if the device hides all of submission", ends[0], "1"),
            Figure("throughput, if it hides none", ends[1], "1"),
        ]
        whole, none = (each.as_ratio() for each in ends)
        says += (
            f" (nobody knows how much of submission that device hides: {whole} times if all, {none} if none; it is "
            f"{prior_in_words(asked.machine.device)})"
        )
    if asked.measured is not None:
        before, after = static_gain(asked.measured)
        ring = ring_share(before, after)
        less = after.cpu_saved_s.scaled(1e3)
        figures += [
            Figure(f"throughput, static over 4 KiB, {asked.measured.name}", after.speedup, "1"),
            Figure(f"CPU time saved for each GiB, {asked.measured.name}", less, "ms"),
        ]
        says += f"; {beside(after)} on {asked.measured.name}, which was measured"
        if ring is not None:
            figures.append(Figure("of which its ring", ring, "1"))
            says += f", {ring.percent()} of which is its ring that 4 KiB vectors fill, and which NVMe has not"
    told, source = published_gain()
    figures.append(Figure("published throughput", Estimate.exactly(told), "1"))
    gain = Estimate.exactly(told - 1).percent()
    says += f". The one published gain, {gain}, {beside_published(asked.machine, ratio)}."
    return Answer(
        1,
        says,
        tuple(figures),
        f"{rests(asked.machine)}; published: {source}",
        f"zpmodel compare {asked.options()} --length 1GiB",
        "the device is slower than 1 GB/s or hides submission (then less throughput is gained, or none), or it has "
        "Write Zeroes and no page is read",
        "a zero-out on a real NVMe drive without Write Zeroes, with its CPU time: none was at hand",
    )


def beside_published(machine: Machine, ratio: Estimate) -> str:
    """Where the published gain lies; it is an NVMe drive's, so that a disk measured here can't be held against it."""
    if not machine.composed:
        return "is of one NVMe drive, and says nothing of another disk"
    told = published_gain()[0]
    return f"is {'inside' if ratio.low <= told <= ratio.high else 'outside'} the interval"


def workload(asked: Asked) -> Answer:
    """Question 2."""
    scenario = Scenario(asked.machine)
    saved = saving(scenario)
    minute, hour = (saved.bytes_to_save(seconds).scaled(1 / GIB) for seconds in (MINUTE_S, HOUR_S))
    pays = saved.bytes_that_pay().scaled(1 / GIB)
    rows = day(scenario)
    figures = [
        Figure("a day for a CPU-minute", minute, "GiB"),
        Figure("a day for a CPU-hour", hour, "GiB"),
        Figure("a day that pays for 2 MiB of memory", pays, "GiB"),
    ]
    for row in rows:
        least = Estimate(row["cpu_saved_s"], row["low_s"], row["high_s"])
        figures.append(Figure(f"saved in a day: {row['of']}", least, "s"))
    return Answer(
        2,
        f"{minute} GiB a day save a CPU-minute, {hour} GiB a CPU-hour, in calls of 2 MiB. {plainly(rows)}",
        tuple(figures),
        f"{rests(asked.machine)}; {'; '.join(sorted({str(row['source']) for row in rows}))}",
        f"zpmodel answers 2 {asked.options()}",
        "calls are smaller than 64 KiB, or the device has Write Zeroes",
        "a count of zero-outs by size on a production machine: only file systems' defaults and one company's are known",
    )


def folio_size(asked: Asked) -> Answer:
    """Question 3."""
    steps = folio_curve(Scenario(asked.machine, GIB))
    most = max((step.comparison.cpu_saved_s for step in steps), key=lambda saved: saved.high)
    if not most.says_something or most.high <= 0:
        some = most.scaled(1e3)
        says = "No size saves CPU time."
        if most.high > 0:
            says = f"It can't be known from these data: the size that saves most saves {some} ms of CPU time a GiB."
        none = Figure("CPU time saved for each GiB", some, "ms")
        again = f"zpmodel answers 3 {asked.options()}"
        return Answer(3, says, (none,), rests(asked.machine), again, "CPU time of large blocks was measured",
                      "CPU time at blocks of 512 KiB and more from both kinds of pages")  # fmt: skip
    enough, knee = share_of(steps, 64 * KIB), knee_bytes(steps)
    best = next(step for step in steps if step.folio_bytes == 2 * MIB).cpu_share
    known = {step.folio_bytes: step for step in steps}
    figures = [Figure("of what 2 MiB saves in CPU time, 64 KiB saves", enough, "1")]
    for size in (16 * KIB, 64 * KIB, 2 * MIB, 32 * MIB, 512 * MIB):
        saved = known[size].comparison.cpu_saved_s.scaled(1e3)
        figures.append(Figure(f"CPU time saved for each GiB at {format_size(size)}", saved, "ms"))
        figures.append(Figure(f"throughput over 4 KiB at {format_size(size)}", known[size].comparison.speedup, "1"))
    word = "nearly enough" if enough.low >= KNEE_SHARE else "not enough"
    if enough.low < KNEE_SHARE <= enough.high:
        word = "not surely enough"
    at = "nowhere" if knee is None else f"at {format_size(knee)}"
    return Answer(
        3,
        f"64 KiB is {word}: it saves {enough.percent()} of what 2 MiB saves. The knee ({KNEE_SHARE * 100:g} % of the "
        f"most that can be saved) is {at}; 2 MiB reaches {best:.1%}, so 32 MiB and 512 MiB together add at the most "
        f"{1 - best:.1%}.",
        tuple(figures),
        f"{rests(asked.machine)}; exact counts for each size",
        f"zpmodel answers 3 {asked.options()}",
        "the base page is not 4 KiB (arm64 with 64 KiB pages starts where the gain ends), or memory has no free folio",
        "arm64: costs are of x86-64 CPUs",
    )


def rests(machine: Machine) -> str:
    """What a machine's costs rest on, in words."""
    found = machine.composed
    return f"composed, not measured as a whole ({found})" if found else f"fitted to fio runs of {machine.name}"


def curve_rows(asked: Asked) -> pd.DataFrame:
    """The curve of question 3 for each machine: rows of ``machine folio folio_bytes saved low high`` [ms/GiB]."""
    rows = []
    known = (machine for machine in (asked.machine, asked.measured) if machine is not None and machine.cpu.known)
    for machine in known:
        for step in folio_curve(Scenario(machine, GIB)):
            found = step.comparison.cpu_saved_s.scaled(1e3)
            row = {"machine": machine.name, "folio": format_size(step.folio_bytes)}
            rows.append({**row, "folio_bytes": step.folio_bytes, "saved": found.value, "low": found.low,
                         "high": found.high, "share": step.cpu_share})  # fmt: skip
    return pd.DataFrame(rows)
