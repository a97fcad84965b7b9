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
    """What tools/one_page.py wrote, of disks whose fio results of the same hour lie beside it."""
    folder = shipped.data("zeroout")
    return [path for path in sorted(folder.glob("*/one-page.csv")) if path.with_name("fio").is_dir()]


def gain_by_length(runs: pd.DataFrame) -> pd.DataFrame:
    """Paired gains: elapsed time from 4 KiB over that from 2 MiB, of runs that followed each other.

    A shared disk changes from session to session by more than pairs scatter: an interval spans those of all sessions.

    :param runs: ``session length_bytes page_bytes before repeat elapsed_ns``; before a run the disk was busy or idle.
    :return: by ``before length_bytes``: the median ``gain`` [1] of the pairs; ``low`` and ``high``, from the lowest to
        the highest end of the sessions' bootstrap intervals; the medians ``page_s`` and ``static_s`` [s]; ``pairs``.
    """
    rng = np.random.default_rng(0)
    rows = []
    for (before, length), group in runs.groupby(["before", "length_bytes"]):
        wide = group.pivot_table("elapsed_ns", index=["session", "repeat"], columns="page_bytes").dropna()
        gains = wide[4 * KIB] / wide[2 * MIB]
        ends = []
        for _, own in gains.groupby(level="session"):
            again = np.median(rng.choice(own.to_numpy(dtype=float), (_RESAMPLES, len(own))), axis=1)
            ends.append(np.quantile(again, TAILS))
        low, high = float(np.min(ends)), float(np.max(ends))
        times = (float(wide[page].median()) * 1e-9 for page in (4 * KIB, 2 * MIB))
        rows.append((before, length, float(gains.median()), low, high, *times, len(gains)))
    return pd.DataFrame(rows, columns=["before", "length_bytes", "gain", "low", "high", "page_s", "static_s", "pairs"])


def scores(data: DataSet) -> Iterator[Score]:
    """The gain and both elapsed times by length; and how often the predicted gain lies in the measured interval.

    What fio measured, and so what is predicted, is a disk that is kept busy.
    """
    for path in one_page_runs():
        name, source = path.parent.name, f"data/zeroout/{path.parent.name}/one-page.csv"
        machine = calibrate(read_set(path.with_name("fio")))
        for before, table in gain_by_length(pd.read_csv(path)).groupby("before"):
            inside, label = 0, f"{name}, {before} before"
            for row in table.to_dict("records"):
                page, static = compare(Scenario(machine, row["length_bytes"]), ("page", "static"))
                inside += bool(row["low"] <= static.speedup.value <= row["high"])
                measured = Estimate(row["gain"], row["low"], row["high"])
                pairs = f"{source}: median of {row['pairs']} pairs, gain {measured}"
                of = f"of {format_size(row['length_bytes'])}"
                gain = f"{label}: gain {of}"
                yield Score.of("one_page", gain, measured.value, static.speedup, "1", _INTERVAL, pairs)
                for which, seconds, found in (("4 KiB", row["page_s"], page), ("2 MiB", row["static_s"], static)):
                    elapsed, what = found.prediction.elapsed_s.scaled(1e3), f"{label}: elapsed {of} from {which}"
                    yield Score.of("one_page", what, seconds * 1e3, elapsed, "ms", _INTERVAL, pairs)
            truth = f"{label}: predicted gains inside the measured intervals"
            yield Score.counted("one_page", truth, len(table), inside, source)
