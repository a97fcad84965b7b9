"""BLKZEROOUT by length, predicted from fio's results on the same device alone."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from zpmodel.base import shipped
from zpmodel.base.units import format_size
from zpmodel.calibration.calibrate import calibrate
from zpmodel.datasets.measured import read_set
from zpmodel.datasets.schema import DataSet
from zpmodel.study.scenario import Scenario, predict
from zpmodel.validation.score import Bar, Score

TITLE = "BLKZEROOUT, predicted from fio on the same device"


def zero_out_sets() -> list[tuple[Path, Path]]:
    """Folders of fio's results and of zero-outs on the same device, which have one name: (fio, zero-out)."""
    folder = shipped.data("kernel").parent / "zeroout"
    names = sorted(path.parent.name for path in folder.glob("*/zeroout.csv"))
    fio = folder.parent / "fio"
    return [(fio / name, folder / name) for name in names if (fio / name / "machine.toml").is_file()]


def scores(data: DataSet) -> Iterator[Score]:
    """Elapsed and CPU time of BLKZEROOUT by length, predicted from fio's results alone."""
    for fio, truth in zero_out_sets():
        machine = calibrate(read_set(fio))
        table = pd.read_csv(truth / "zeroout.csv")
        table["cpu_ns"] = table["caller_cpu_ns"] + table["kernel_threads_ns"]
        for length, group in table.groupby("length_bytes"):
            found = predict(Scenario(machine, int(str(length)), "page"))
            for name, column, estimate in (
                ("elapsed", "elapsed_ns", found.elapsed_s),
                ("CPU, all threads", "cpu_ns", found.cpu_s),
            ):
                noise = float(np.std(np.log(group[column]), ddof=1))
                source = f"data/zeroout/{truth.name}: median of {len(group)}, one run scatters by {noise:.0%}"
                what = f"{truth.name}: {name} of {format_size(int(str(length)))}"
                measured = float(group[column].median()) / 1e6
                yield Score.of("zero_out", what, measured, estimate.scaled(1e3), "ms", Bar(interval=True), source)
