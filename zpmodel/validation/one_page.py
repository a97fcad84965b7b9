"""The gain itself, timed without the patch: a zero-out's requests from one shared page of 4 KiB and of 2 MiB."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from zpmodel.base import shipped
from zpmodel.base.estimate import TAILS, Estimate
from zpmodel.base.units import KIB, MIB, format_size
from zpmodel.calibration.calibrate import calibrate
from zpmodel.datasets.measured import read_set
from zpmodel.datasets.schema import DataSet
from zpmodel.study.compare import compare
from zpmodel.study.scenario import Scenario
from zpmodel.validation.score import Bar, Score

TITLE = "A zero-out's requests from one shared page, predicted from fio on the same device"

_RESAMPLES = 2000
_INTERVAL = Bar(interval=True)


def one_page_runs() -> list[Path]:
    """What tools/one_page.py wrote, of machines whose fio results are shipped under the same name."""
    folder = shipped.data("zeroout")
    return [path for path in sorted(folder.glob("*/one-page.csv")) if shipped.data("fio", path.parent.name).is_dir()]


def gain_by_length(runs: pd.DataFrame) -> pd.DataFrame:
    """Paired gains: elapsed time from 4 KiB over that from 2 MiB, of runs that followed each other.

    :param runs: ``length_bytes page_bytes repeat elapsed_ns``.
    :return: by ``length_bytes``: the median ``gain`` [1] of the pairs with its bootstrap interval, ``low`` and
        ``high``; the medians ``page_s`` and ``static_s`` [s]; ``pairs``.
    """
    rng = np.random.default_rng(0)
    rows = []
    for length, group in runs.groupby("length_bytes"):
        wide = group.pivot_table("elapsed_ns", index="repeat", columns="page_bytes").dropna()
        gains = (wide[4 * KIB] / wide[2 * MIB]).to_numpy(dtype=float)
        again = np.median(rng.choice(gains, (_RESAMPLES, len(gains))), axis=1)
        low, high = np.quantile(again, TAILS)
        times = (float(wide[page].median()) * 1e-9 for page in (4 * KIB, 2 * MIB))
        rows.append((length, float(np.median(gains)), low, high, *times, len(gains)))
    return pd.DataFrame(rows, columns=["length_bytes", "gain", "low", "high", "page_s", "static_s", "pairs"])


def scores(data: DataSet) -> Iterator[Score]:
    """The gain and both elapsed times by length; and how often the predicted gain lies in the measured interval."""
    for path in one_page_runs():
        name = path.parent.name
        machine = calibrate(read_set(shipped.data("fio", name)))
        table = gain_by_length(pd.read_csv(path))
        inside = 0
        for row in table.astype(float).to_dict("records"):
            page, static = compare(Scenario(machine, int(row["length_bytes"])), ("page", "static"))
            inside += bool(row["low"] <= static.speedup.value <= row["high"])
            measured = Estimate(row["gain"], row["low"], row["high"])
            source = f"data/zeroout/{name}/one-page.csv: median of {row['pairs']:.0f} pairs, gain {measured}"
            of = f"of {format_size(int(row['length_bytes']))}"
            yield Score.of("one_page", f"{name}: gain {of}", measured.value, static.speedup, "1", _INTERVAL, source)
            for which, seconds, found in (("4 KiB", row["page_s"], page), ("2 MiB", row["static_s"], static)):
                elapsed, what = found.prediction.elapsed_s.scaled(1e3), f"{name}: elapsed {of} from {which}"
                yield Score.of("one_page", what, seconds * 1e3, elapsed, "ms", _INTERVAL, source)
        truth = f"{name}: predicted gains inside the measured intervals"
        yield Score.counted("one_page", truth, len(table), inside, f"data/zeroout/{name}/one-page.csv")
