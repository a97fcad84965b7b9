"""What tools/fuzz_doors.py hands over as values: sweeps, tables of machines, and answers of a fio that misbehaves."""

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fuzz_values
import numpy as np
import pandas as pd

Make = Callable[[Path, random.Random], list[str]]

ROOT = Path(__file__).parent.parent
SET = ROOT / "data/fio/kvm-zen5-virtio"
GOOD: dict[str, list[str]] = {
    "length": ["4KiB", "1MiB", "1GiB", "1TiB"], "offset": ["0", "4096"], "zero_page": ["page", "static", "64KiB"],
    "caller": ["fio_write", "blkdev_issue_zero_pages"], "depth": ["1", "32"], "fallback_share": ["0", "0.5", "1"],
    "max_sectors": ["8", "256", "65535"], "max_segments": ["1", "128", "65535"], "max_segment_size": ["4096", "65536"],
    "device.bandwidth": ["1e6", "2e9"], "device.latency": ["0", "1e-4"], "cpu.factor": ["0.5", "2"],
    "cpu.vector": ["0", "3"],
}  # fmt: skip
MACHINES = ["nvme-mailing-list", "ebs", "calibration.json", "calibration", "", "nosuch", "../calibration.json"]
CELLS: list[Any] = [
    0, -1, 2**63, 2**64, 10**25, 1e308, -0.0, 5e-324, np.inf, -np.inf, np.nan, None, True, b"\xff", b"", "", "x", "\0",
    "1e999", "9" * 5000, "\x1b[31m", "<script>", "\u202e", [1, 2], {"a": 1}, pd.Timestamp(0), pd.Timedelta(1), 1 + 2j,
    np.float16(1), np.int8(-1), np.datetime64("NaT"), "nvme-mdts5", "4MiB",
]  # fmt: skip


def _odd(chance: random.Random) -> str:
    """As a command line can hold it."""
    return fuzz_values.word(chance).strip('"').replace("\0", "")[:5000]


def _value(name: str, chance: random.Random) -> str:
    return chance.choice(GOOD[name]) if chance.random() < 0.7 else _odd(chance)


def _sweep(made: Path) -> Make:
    def make(folder: Path, chance: random.Random) -> list[str]:
        machine = chance.choice((str(made / "calibration.json"), "nvme-mailing-list", "nvme-strict"))
        arguments = ["sweep", "--machine", machine, "--jobs", "1", *chance.choice(([], ["--json"]))]
        for name in chance.sample([*GOOD], chance.choice((1, 2, 3))):
            if chance.random() < 0.5:
                values = ",".join(_value(name, chance) for _ in range(chance.choice((1, 2, 3))))
                arguments += ["--grid", f"{name}={values}"]
            else:
                ends = ":".join([_value(name, chance), _value(name, chance), *chance.choice(([], [], ["log"], ["x"]))])
                arguments += ["--range", f"{name}={ends}"]
        samples = chance.choice(("1", "4", "16", "0", "-1", "9" * 30))
        return [*arguments, "--samples", samples, "--seed", chance.choice(("0", "-1", "9" * 40, "x"))]

    return make


def _sensitivity(made: Path) -> Make:
    def make(folder: Path, chance: random.Random) -> list[str]:
        machine = chance.choice((str(made / "calibration.json"), "nvme-mailing-list"))
        arguments = ["sensitivity", "--machine", machine, "--method", chance.choice(("sobol", "morris"))]
        for name in chance.sample([*GOOD], 2):
            arguments += ["--range", f"{name}={_value(name, chance)}:{_value(name, chance)}"]
        return [*arguments, "--samples", chance.choice(("2", "4", "8", "3")), *chance.choice(([], ["--json"]))]

    return make


def _fleet(made: Path, write: Callable[[pd.DataFrame, Path], None], name: str) -> Make:
    """A table of odd cells."""

    def make(folder: Path, chance: random.Random) -> list[str]:
        shutil.copy(made / "calibration.json", folder)
        rows: list[dict[str, Any]] = []
        for _ in range(3):
            row: dict[str, Any] = {
                "gib_per_day": chance.choice((0.5, 100)),
                "machines": chance.choice((1, 20, 1000000)),
            }
            row |= {"calibration": chance.choice(MACHINES), "limits": chance.choice(("", "", "loop", "nvme-mdts5"))}
            row |= {each: chance.choice(["", *GOOD[each]]) for each in chance.sample([*GOOD], 2)}
            rows.append(row)
        table = pd.DataFrame(rows)
        for _ in range(chance.choice((1, 1, 3))):
            column = chance.choice([*table.columns, "name", "machine", "device", "cpu", "iommu", "kernel"])
            # Of one kind: what is mixed can end pyarrow, which writes it here.
            one = chance.choice(chance.choice((CELLS, [*map(str, CELLS), _odd(chance)])))
            table[column] = pd.Series(chance.choice(([one] * 3, [one, None, one])), dtype=object)
        try:
            write(table, folder / name)
        except (ValueError, TypeError, OverflowError, NotImplementedError, KeyError):  # what no such file can hold
            write(table.map(str), folder / name)
        options = ["--calibration", str(made / "calibration.json")]
        return ["fleet", str(folder / name), *options, *chance.choice(([], ["--json"]))]

    return make


def _to_csv(table: pd.DataFrame, path: Path) -> None:
    path.write_bytes(table.to_csv(index=False).encode(errors="replace"))


def _to_parquet(table: pd.DataFrame, path: Path) -> None:
    table.to_parquet(path, index=False)


_POINT = "write-bs65536-qd4-malloc-r01.json"


def answered(folder: str) -> None:
    """Take what a fio printed as `measure` takes it: a point, or a reason why it is none."""
    from zpmodel.base.errors import InputError
    from zpmodel.base.files import read_bounded
    from zpmodel.datasets.fio_answer import check_answer, check_usage, point_of

    for kind, check in (("points", check_answer), ("usage", check_usage)):
        path = Path(folder, kind, _POINT)
        try:
            check(read_bounded(path), point_of(path))  # type: ignore[operator]
        except (ValueError, OSError) as error:  # a failed point
            raise InputError(str(path), "answer", str(error), "what fio prints") from None


def _answer(folder: Path, chance: random.Random) -> list[str]:
    for kind in ("points", "usage"):
        (folder / kind).mkdir()
        shutil.copy(SET / kind / _POINT, folder / kind)
    return ["fuzz_tables:answered", str(folder)]


def instructions(path: str) -> None:
    """Count what a table of counted instructions asks."""
    from zpmodel.kernel_cpu.instructions import read_table, table_work

    assert np.isfinite(table_work(read_table(path))).all()


def _instructions(folder: Path, chance: random.Random) -> list[str]:
    source = chance.choice(sorted((ROOT / "data/kernel").glob("zeroout-instructions*.csv")))
    head, *rows = source.read_text().splitlines(keepends=True)
    (folder / "table.csv").write_text("".join([head, *chance.sample(rows, 3)]))
    return ["fuzz_tables:instructions", str(folder / "table.csv")]


def _curve(folder: Path, chance: random.Random) -> list[str]:
    shutil.copy(ROOT / "data/published/nvme-b-write.csv", folder / "curve.csv")
    return ["compare", "--machine", "nvme-mailing-list", "--device", str(folder / "curve.csv")]


def _sets(made: Path, *arguments: str) -> Make:
    def make(folder: Path, chance: random.Random) -> list[str]:
        shutil.copytree(made / "set", folder / "sets/one")
        return [*arguments, str(folder / "sets"), "--out", str(folder / "out")]

    return make


def _report(made: Path) -> Make:
    def make(folder: Path, chance: random.Random) -> list[str]:
        shutil.copytree(made / chance.choice(("set", "imported")), folder / "one")
        return ["report", str(folder / "one"), "--notebook", "compare", "--out", str(folder / "out")]

    return make


def _runs(folder: Path, chance: random.Random) -> list[str]:
    sources = sorted((ROOT / "tests/fixtures/fio/real").glob("*.json"))
    (folder / "runs").mkdir()
    for path in chance.sample(sources, 3):
        shutil.copy(path, folder / "runs")
    return [*chance.choice((["fio"], ["fio", "--json"])), str(folder / "runs")]


def doors(made: Path) -> Iterator[tuple[str, float, Make, str]]:
    """Name, share, maker and pattern of each door, as in `fuzz_folders.doors`."""
    yield "sweeps' values", 2, _sweep(made), ""
    yield "sensitivities' values", 0.5, _sensitivity(made), ""
    yield "fleets, values in CSV", 1, _fleet(made, _to_csv, "fleet.csv"), ""
    yield "fleets, values in Parquet", 1, _fleet(made, _to_parquet, "fleet.parquet"), ""
    yield "fio's answers to measure", 1.5, _answer, "*/*"
    yield "tables of instructions", 1, _instructions, "*.csv"
    yield "device curves, asked", 1, _curve, "*.csv"
    yield "measured sets of a batch", 0.5, _sets(made, "batch", "--notebook", "compare"), "sets/one/**/*"
    yield "measured sets of a report", 0.7, _report(made), "one/**/*"
    yield "folders of fio files", 1, _runs, "runs/*"
