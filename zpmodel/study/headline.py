"""The answer in words: what a comparison says, with its numbers, plainly."""

import pandas as pd

from zpmodel.study.compare import Comparison
from zpmodel.timing.estimate import Estimate
from zpmodel.units import GIB, format_size

_SENTENCES = {
    "gain": "**A gain.** Zeroing {size} is predicted to be **{ratio} times faster** from the {page} zero page than from ZERO_PAGE",
    "loss": "**A loss.** Zeroing {size} is predicted to take {ratio} times as long from the {page} zero page as from ZERO_PAGE",
    "no gain": "**No gain in elapsed time** that the data can show: zeroing {size} from the {page} zero page goes at {ratio} times the speed "
    "of ZERO_PAGE",
}


def headline(found: Comparison, page: Comparison) -> str:
    """Say what one policy is worth against PAGE_SIZE, in Markdown: elapsed time, CPU time, and what bounds each."""
    size = found.prediction.structure.length
    ratio = found.speedup if found.verdict != "loss" else _inverse(found.speedup)
    text = _SENTENCES[found.verdict].format(size=format_size(size), page=found.policy, ratio=_interval(ratio))
    per_gib = GIB / size
    saved = found.cpu_saved_s.scaled(per_gib * 1e3)
    before, after = page.prediction.cpu_s.scaled(per_gib * 1e3), found.prediction.cpu_s.scaled(per_gib * 1e3)
    text += (
        f" ({_seconds(page.prediction.elapsed_s.value)} down to {_seconds(found.prediction.elapsed_s.value)}, "
        f"bound by {_bound(page)} before, {_bound(found)} after)."
        if found.verdict == "gain"
        else f" (bound by {_bound(page)} with ZERO_PAGE, by {_bound(found)} with the {found.policy} page)."
    )
    if saved.low > 0:
        text += f" It saves **{_interval(saved)} ms of CPU time per GiB** ({before.value:.3g} ms down to {after.value:.3g} ms)."
    elif saved.high < 0:
        text += f" It costs {_interval(_negative(saved))} ms more CPU time per GiB."
    else:
        text += f" Its CPU time is not to be told apart from ZERO_PAGE's ({_interval(saved)} ms per GiB saved)."
    if found.prediction.beyond:
        text += f" *Outside the calibrated range: {found.prediction.beyond}.*"
    return text


def measured_line(contrast: pd.DataFrame) -> str:
    """Say what was measured, without a model: the best and the worst paired ratio."""
    best, worst = (contrast.loc[getattr(contrast["throughput"], pick)()] for pick in ("idxmax", "idxmin"))

    def show(row: pd.Series, name: str) -> str:
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        return f"{row[name]:.2f} [{low:.2f}, {high:.2f}]"

    where = "at {} blocks, queue depth {}"
    return (
        f"Measured with fio, without any model: 2 MiB vectors instead of 4 KiB ones change throughput by a factor of "
        f"**{show(best, 'throughput')}** {where.format(format_size(best['block_bytes']), int(best['depth']))} at the most, and of "
        f"{show(worst, 'throughput')} {where.format(format_size(worst['block_bytes']), int(worst['depth']))} at the least."
    )


def _interval(e: Estimate) -> str:
    return f"{e.value:.3g} [{e.low:.3g}, {e.high:.3g}]"


def _inverse(e: Estimate) -> Estimate:
    return Estimate(1 / e.value, 1 / e.high, 1 / e.low)


def _negative(e: Estimate) -> Estimate:
    return Estimate(-e.value, -e.high, -e.low)


def _bound(found: Comparison) -> str:
    return {
        "submission": "the submitting CPU",
        "device": "the device",
        "latency": "latency, with too little in flight",
    }[found.prediction.bound_by]


def _seconds(value: float) -> str:
    return f"{value:.3g} s" if value >= 1 else f"{value * 1e3:.3g} ms"
