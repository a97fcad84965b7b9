"""The tables behind the comparison's notebook: rows for charts, and rows for reading."""

from collections.abc import Mapping, Sequence

import pandas as pd

from zpmodel.calibration.left_out import ratio_table
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure import count
from zpmodel.study.compare import Comparison


def policies(ranges: Mapping[str, Sequence[Comparison]]) -> pd.DataFrame:
    """Elapsed and CPU time of each policy for reading; ``ranges`` maps a range's name to its comparisons."""
    return pd.DataFrame(
        [
            {
                "range": name,
                "policy": item.policy,
                "elapsed [s]": str(item.prediction.elapsed_s),
                "CPU [s]": str(item.prediction.cpu_s),
                "times as fast": "-" if item.policy == "page" else item.speedup.as_ratio(),
                "bound by": item.prediction.bound_by,
                "verdict": item.hedged,
            }
            for name, found in ranges.items()
            for item in found
        ]
    )


def structures(pages: Mapping[str, ZeroPage], limits: QueueLimits, length: int) -> pd.DataFrame:
    """Counts of zeroing ``length`` [byte] from each page: rows of ``zero_page``, ``thing`` and ``count``."""
    found = {name: count(page, limits, 0, length) for name, page in pages.items()}
    things = ("bios", "vectors", "splits", "requests", "segments")
    return pd.DataFrame(
        [
            {"zero_page": name, "thing": thing, "count": getattr(counts, thing)}
            for thing in things
            for name, counts in found.items()
        ]
    )


def blind_ratios(measured: pd.DataFrame, held_out: pd.DataFrame) -> pd.DataFrame:
    """Measured 2 MiB / 4 KiB throughput ratios beside those predicted without their block size.

    :param measured: as :func:`zpmodel.calibration.summary.contrast` gives it.
    :param held_out: as :func:`zpmodel.calibration.fit.left_out` gives it.
    :return: rows of ``block_bytes``, ``depth``, ``ratio``, ``low``, ``high`` and ``kind``.
    """
    names = {"throughput": "ratio", "throughput_low": "low", "throughput_high": "high"}
    columns = ["block_bytes", "depth", "ratio", "low", "high", "kind"]
    seen = measured.rename(columns=names).assign(kind="measured")
    table = ratio_table(held_out[held_out["left_out"].astype(str).str.startswith("block")])
    value = table["ratio_predicted"]
    blind = table.assign(ratio=value, low=value, high=value, kind="predicted without this block size")
    parts = [part[columns] for part in (seen, blind) if len(part)]
    return pd.concat(parts) if parts else seen.reindex(columns=columns)


def _median(values: pd.Series) -> float:
    """NaN where all are: pandas 2 says that in a warning."""
    return float(values.dropna().median())


def errors(held_out: pd.DataFrame) -> pd.DataFrame:
    """Median errors of held-out predictions beside the noise of one run, for reading."""
    ratios = ratio_table(held_out)
    rows = [
        ("CPU per I/O", held_out["cpu_s_predicted"] / held_out["cpu_s"], _median(held_out["cpu_s_noise"])),
        ("I/O rate", held_out["rate_predicted"] / held_out["rate"], _median(held_out["rate_noise"])),
        ("2 MiB / 4 KiB ratio of rates", ratios["ratio_predicted"] / ratios["ratio"], None),
    ]
    return pd.DataFrame(
        [
            {
                "of": name,
                "median error": _share(_median((quotient - 1).abs())),
                "scatter of single runs": _share(noise),
            }
            for name, quotient, noise in rows
        ]
    )


def _share(value: float | None) -> str:
    """In per cent; a dash where it isn't known."""
    return "-" if value is None or pd.isna(value) else f"{value:.1%}"
