"""The answer in words: what a comparison says, with its numbers, plainly."""

from dataclasses import replace

import numpy as np
import pandas as pd

from zpmodel.base.estimate import Estimate, Floats, bold, digits
from zpmodel.base.units import GIB, format_size
from zpmodel.study.answers.base import as_more
from zpmodel.study.compare import Comparison, compare, prior_in_words
from zpmodel.study.scenario import Scenario
from zpmodel.study.verdict import NO_GAIN_WITHIN
from zpmodel.timing.machine import Machine


def headline(machine: Machine, found: Comparison, page: Comparison) -> str:
    """Say what one policy is worth against PAGE_SIZE, in Markdown: elapsed time, CPU time, and where they come from."""
    if found.offloaded:
        return _offloaded(machine, found)
    text = f"{_elapsed(found, page)} {_cpu(found, page)}{_ring(machine, found, page)}"
    if found.stands_on:
        text = f"If the queue's limits are those assumed ({found.stands_on}): {text}"
    if found.open_overlap:
        text += (
            " In elapsed time it is none if the device hides all of submission. How much it does, nobody measured: "
            f"it is {prior_in_words(machine.device)}, and the gain hangs on that."
        )
    text += "".join(f"\n\n*{item}*" for item in found.lacking)
    if found.prediction.beyond:
        text += f" *Outside the calibrated range: {found.prediction.beyond}.*"
    return text


def _offloaded(machine: Machine, found: Comparison) -> str:
    """Where no zero page is written: that, and what it would be worth if Write Zeroes were switched off."""
    length = found.prediction.structure.length
    # The same machine: fio's writes, to which its costs were fitted, are none the wiser.
    limits = replace(machine.limits, write_zeroes_max_bytes=0)
    without = replace(machine, driver=replace(machine.driver, limits=limits))
    page, other = compare(Scenario(without, length), ("page", found.policy))
    return (
        f"**No zero page is written here:** the device has Write Zeroes (write_zeroes_max_bytes), so zeroing "
        f"{format_size(length)} sends it that command without data, and the size of the zero page changes nothing.\n\n"
        f"If Write Zeroes were switched off (0 in that file): {headline(without, other, page)}"
    )


def _elapsed(found: Comparison, page: Comparison) -> str:
    size = format_size(found.prediction.structure.length)
    before, after = (_seconds(item.prediction.elapsed_s.value) for item in (page, found))
    bounds = f"bound by {_bound(page)} with ZERO_PAGE, by {_bound(found)} with the {found.policy} page"
    source = f"from the {found.policy} zero page"
    ratio = found.speedup
    if found.verdict == "gain":
        return (
            f"**A gain.** Zeroing {size} is predicted to be {_times(ratio, 'as fast')} {source} "
            f"as from ZERO_PAGE ({before} down to {after}; {bounds})."
        )
    if found.verdict == "loss":
        return (
            f"**A loss.** Zeroing {size} is predicted to take {_times(ratio.inverse(), 'as long')} {source} "
            f"as from ZERO_PAGE ({before} up to {after}; {bounds})."
        )
    if found.verdict == "unknown":
        remedy = "" if any("elapsed" in item.hides for item in found.lacking) else f" To know it, {found.to_measure}."
        return (
            f"**It can't be known from these data** whether zeroing {size} goes faster {source}: anything from "
            f"{digits(ratio.low)} to {digits(ratio.high)} times the speed of ZERO_PAGE agrees with them.{remedy}"
        )
    least = f" of {NO_GAIN_WITHIN - 1:.0%} or more"
    why = f"{least}, perhaps a loss" if found.verdict == "no gain, perhaps a loss" else least
    return (
        f"**No gain in elapsed time**{why}: zeroing {size} {source} is predicted "
        f"to go at {ratio.as_ratio()} times the speed of ZERO_PAGE ({before} and {after}; {bounds})."
    )


def _cpu(found: Comparison, page: Comparison) -> str:
    """Per GiB, so that ranges of any length can be compared."""
    ms_per_gib = GIB / found.prediction.structure.length * 1e3
    saved = found.cpu_saved_s.scaled(ms_per_gib)
    before, after = (item.prediction.cpu_s.value * ms_per_gib for item in (page, found))
    if not saved.known:
        return "What it saves in CPU time can't be known from this set."
    if saved.low > 0:
        less = bold(f"{saved} ms of CPU time per GiB", saved)
        return f"It saves {less} ({digits(before)} ms down to {digits(after)} ms)."
    if saved.high < 0:
        return f"It costs {saved.scaled(-1)} ms more CPU time per GiB."
    return f"Its CPU time is not to be told apart from ZERO_PAGE's ({saved} ms per GiB saved)."


def _ring(machine: Machine, found: Comparison, page: Comparison) -> str:
    """Where a device that fills up is most of it, say so, and what is left without it."""
    descriptors = machine.device.best.known().get("descriptors")
    saved = page.prediction.cpu_draws - found.prediction.cpu_draws
    best = sum(_fewer(found, page, term.name)[0] for term in page.prediction.terms)
    stalls, stall_draws = _fewer(found, page, "stall")
    if descriptors is None or not found.cpu_saved_s.known or best <= 0 or stalls < 0.5 * best:
        return ""
    ms_per_gib = GIB / found.prediction.structure.length * 1e3
    vectors = machine.estimate(*_fewer(found, page, "vector"), machine.cpu.scatter).scaled(ms_per_gib)
    share = Estimate.of(stalls / best, np.clip(stall_draws / saved, 0, 1))
    return (
        f"\n\n**Mind the device:** {share.percent()} of the CPU time saved here is this device's ring of {descriptors} "
        "descriptors. "
        "Each 4 KiB vector takes one: a request fills the ring, and the next has to be issued again by a kernel "
        "thread. "
        "A device without such a ring (NVMe) has no such stalls. By this fit the vectors alone save "
        f"{bold(f'{vectors} ms of CPU time per GiB', vectors)}; NVMe itself was not measured."
    )


def _fewer(found: Comparison, page: Comparison, name: str) -> tuple[float, Floats]:
    """CPU time that one kind of work takes less of: best and draws [s]."""
    before, after = (
        next((term for term in item.prediction.terms if term.name == name), None) for item in (page, found)
    )
    if before is None or after is None:
        return 0.0, np.zeros(len(page.prediction.cpu_draws))
    less = before.number - after.number
    return less * before.each_s, less * before.each_draws


def beside_measured(found: Comparison, medians: pd.DataFrame) -> str:
    """Say where a prediction is faster than anything that was measured; empty where it is not."""
    if found.offloaded:
        return ""
    predicted = found.prediction.structure.length / found.prediction.elapsed_s.value / GIB
    fastest = float(medians["gib_per_s"].max())
    if medians.empty or predicted <= fastest:
        return ""
    return (
        f"**Faster than anything measured:** {predicted:.2g} GiB/s are predicted, fio's fastest point went "
        f"{fastest:.2g} GiB/s. fio's buffers together are larger than the cache of a device that is software; zeroes "
        "are one page over and over. No zero-out was timed on this device with a 2 MiB page."
    )


def measured_line(contrast: pd.DataFrame) -> str:
    """Say what was measured, without a model: the best and the worst paired ratio."""
    if contrast.empty:
        return (
            "No block size was measured with both kinds of pages, so fio's runs say nothing of 2 MiB against 4 KiB "
            "vectors: measure both memories."
        )
    best, worst = (contrast.loc[getattr(contrast["throughput"], pick)()] for pick in ("idxmax", "idxmin"))

    def show(row: pd.Series, name: str) -> str:
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        alone = " (one pair: its interval is as pairs scatter elsewhere)" if row["pairs"] == 1 else ""
        return f"{row[name]:.2f} [{low:.2f}, {high:.2f}]{alone}"

    def where(row: pd.Series) -> str:
        return f"at {format_size(row['block_bytes'])} blocks, queue depth {int(row['depth'])}"

    return (
        "Measured with fio, without any model: 2 MiB vectors instead of 4 KiB ones change throughput by a factor of "
        f"**{show(best, 'throughput')}** {where(best)} at the most, and of "
        f"{show(worst, 'throughput')} {where(worst)} at the least."
    )


def _times(ratio: Estimate, what: str) -> str:
    """How many times as fast or long; in bold where what it is more than 1 says something, too."""
    return bold(f"{ratio.as_ratio()} times {what}", as_more(ratio))


def _bound(found: Comparison) -> str:
    return {
        "submission": "the submitting CPU",
        "device": "the device",
        "latency": "latency (too few requests in flight)",
    }[found.prediction.bound_by]


def _seconds(value: float) -> str:
    return f"{digits(value)} s" if value >= 1 else f"{digits(value * 1e3)} ms"
