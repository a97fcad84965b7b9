"""What `kill_campaign` ends: each command short, so that random moments meet all of it, and a look at what it left."""

import json
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
import cut_sets
import tiny_report

CALL = "from zpmodel.commands.main import main; open('begun', 'w').close(); main()"
SMALL = (
    "import dataclasses; from zpmodel.measure import plan; plan.QUICK = dataclasses.replace("
    "plan.QUICK, blocks=(4 << 10, 1 << 20), depths=(4,), zero_blocks=(4 << 10,), file_bytes=16 << 20, "
    "seconds_per_point=0.05, min_rounds=2, max_rounds=3, rest_every=1, precision=0); "
)
# Other notebooks than the shipped ones, whose kernels, charts and tables are the same.
TINY = "from pathlib import Path; from zpmodel.base import shipped; shipped.notebooks = lambda: Path('notebooks'); "
_RANGES, _SWEPT = 30, 140_000


class Command(NamedTuple):
    """What is ended: its arguments in a folder, the last moment at most [s], and a check of what it left there."""

    arguments: Callable[[Path], list[str]]
    latest_s: float
    check: Callable[[Path], None]
    code: str = CALL


def prepare(folder: Path) -> None:
    """Make the inputs: a short measured set twice, its calibration, and two pages."""
    from zpmodel.calibration.calibrate import calibrate
    from zpmodel.calibration.store import save
    from zpmodel.datasets import read_data_set

    (folder / "sets").mkdir()
    for name in ("one", "two"):
        cut_sets.cut(folder / "sets" / name, lambda point: point.depth == 4 or point.reference)
    save(calibrate(read_data_set(folder / "sets/one"), resamples=50), folder / "machine.json")
    for name in ("compare", "zeroing"):
        tiny_report.write(
            folder / "notebooks", name, tiny_report.WORDS, tiny_report.CHART, tiny_report.TABLE,
            parameters='data_set: str = ""  # x\nchart_renderer: str = "offline"  # how',
        )  # fmt: skip


def points(folder: Path) -> None:
    """Every point is whole, and none of an earlier look is gone or another."""
    from zpmodel.datasets.points import read_point

    out, record = folder / "out", folder / "seen.json"
    before = json.loads(record.read_text()) if record.exists() else {}
    now = {}
    for path in (out / "points").glob("[!.]*"):
        read_point(out, path.stem)
        now[path.name] = [path.stat().st_ino, path.read_text()]
    for name, seen in before.items():
        assert now.get(name) == seen, f"{name} was lost or changed"
    record.write_text(json.dumps(now))


def pages(folder: Path) -> None:
    """Every page is whole."""
    for page in (folder / "out").rglob("*.html"):
        assert page.read_text().rstrip().endswith("</html>"), f"{page} is cut"


def calibration(folder: Path) -> None:
    """It is whole or absent, and no part of it lies beside it."""
    from zpmodel.calibration.store import read

    if (folder / "out.json").exists():
        read(folder / "out.json")
    assert not list(folder.glob(".out.json*"))


def ranges(folder: Path) -> None:
    """All ranges or none."""
    if (folder / "out.jsonl").exists():
        lines = (folder / "out.jsonl").read_text().splitlines()
        assert len([json.loads(line) for line in lines]) == _RANGES
        (folder / "out.jsonl").unlink()


def rows(folder: Path) -> None:
    """Whole rows of one width, with what is said of them, or nothing."""
    out = folder / "out"
    if out.exists() and list(out.iterdir()):
        text = (out / "zeroout.csv").read_text()
        assert text.endswith("\n")
        assert len({line.count(",") for line in text.splitlines()}) == 1
        tomllib.loads((out / "machine.toml").read_text())
        for path in out.iterdir():
            path.unlink()


def sweep(folder: Path) -> None:
    """Finished pieces are whole and stay; the table is whole or absent."""
    import pyarrow.parquet as pq

    from zpmodel.base.sealed import read_sealed

    parts, record = folder / ".out.parquet.parts", folder / "seen.json"
    before = json.loads(record.read_text()) if record.exists() else []
    now = sorted(path.name for path in parts.glob("from-*"))
    for name in now:
        read_sealed(parts / name, 1 << 30)
    if (folder / "out.parquet").exists():
        assert pq.read_table(folder / "out.parquet").num_rows == _SWEPT
        (folder / "out.parquet").unlink()
    else:
        assert set(before) <= set(now), f"{set(before) - set(now)} lost"
    record.write_text(json.dumps(now))


def nothing(folder: Path) -> None:
    """It writes nothing."""


COMMANDS = {
    "measure": Command(
        lambda f: ["measure", "--target", str(f / "target"), "--out", str(f / "out"), "--quick", "--time", "3000"],
        8.0, points, SMALL + CALL,
    ),
    "report": Command(
        lambda f: ["report", str(f / "sets/one"), "--out", str(f / "out"), "--notebook", "compare", "--notebook",
                   "zeroing", "--workers", "2"],
        14.0, pages, TINY + CALL,
    ),
    "batch": Command(
        lambda f: ["batch", str(f / "sets"), "--out", str(f / "out"), "--notebook", "compare", "-p", "resamples=50",
                   "--workers", "2"],
        16.0, pages, TINY + CALL,
    ),
    "calibrate": Command(
        lambda f: ["calibrate", str(f / "sets/one"), "--out", str(f / "out.json"), "--resamples", "200"],
        8.0, calibration,
    ),
    "validate": Command(lambda f: ["validate", str(f / "sets/one")], 14.0, nothing),
    "sweep": Command(
        lambda f: ["sweep", "--calibration", str(f / "machine.json"), "--grid", "length=1MiB,1GiB", "--range",
                   "max_sectors=64:8192:log", "--range", "cpu.vector=0.5:2", "--samples", str(_SWEPT // 2), "--jobs",
                   "2", "--out", str(f / "out.parquet")],
        12.0, sweep,
    ),
    "trace": Command(
        lambda f: ["trace", "--ranges", str(_RANGES), "--save", str(f / "out.jsonl")], 5.0, ranges
    ),
    "zeroout": Command(
        lambda f: ["zeroout", "--size", "64MiB", "--seconds", "2", "--out", str(f / "out")], 6.0, rows
    ),
}  # fmt: skip
