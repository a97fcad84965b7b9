"""What tools/fuzz_doors.py hands to commands that go on with what they wrote before, and to tables of many machines.

Nothing is measured or rendered for it: each folder is written by the package's own code, with what would take long left
out.
"""

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import nbformat
import pandas as pd

Make = Callable[[Path, random.Random], list[str]]

FLEET = """name,gib_per_day,machines,calibration,limits,length,max_sectors,zero_page
one,100,20,calibration.json,,1GiB,,static
two,5,1,,nvme-mdts5,4MiB,512,64KiB
three,7.5,3,calibration.json,loop,,,
"""
BATCH = "data_set,name,length,large_length\nset,first,1GiB,\nset,second,2MiB,1TiB\n"
SWEEP = ["--machine", "nvme-mailing-list", "--grid", "length=1MiB,2MiB", "--jobs", "1"]
_LEDGER = "ledger"


def prepare(made: Path) -> None:
    """Let the package write what it will go on with: ``site``, ``batch``, ``sweep``, ``kernels``, ``measured``.

    :param made: has a measured set in ``set`` already.
    """
    report(["report", "--notebook", "machine", "--out", str(made / "site")])
    report(["batch", str(made / "set"), "--notebook", "compare", "-p", "resamples=20", "--out", str(made / "batch")])
    (made / "sweep").mkdir()
    # As if killed before the last step.
    with mock.patch("zpmodel.study.pieces.publish", side_effect=KeyboardInterrupt), suppress(KeyboardInterrupt):
        _run(["sweep", *SWEEP, "--out", str(made / "sweep/out.parquet")])
    (made / "kernels").mkdir()
    compiled_kernel(str(made / "kernels"))
    if shutil.which("fio") is not None:
        (made / "target").mkdir()
        _measure(made / "target", made / "measured", 30.0)


def _run(arguments: list[str]) -> None:
    from zpmodel.commands.main import app

    app.main(arguments, standalone_mode=False)


def report(arguments: list[str]) -> None:
    """A report or a batch whose pages are written as such, but not run: one sentence and a table stand in each."""
    with mock.patch("zpmodel.report.site.run_all", _written), mock.patch("zpmodel.report.batch.make.run_all", _written):
        _run(arguments)


def _written(orders: Any, workers: int, done: Callable[[Any, str, float], None]) -> None:
    from zpmodel.report import fragment
    from zpmodel.report.batch import summary

    for order in orders:
        asked, out = order.document, Path(order.document["out"])
        if order.module == summary.__name__:
            found = summary.summarise(Path(asked["data_set"]), asked["length"], 20)
            summary.write(out, {"fingerprint": asked["fingerprint"], **found})
        else:
            markup = "<table><thead><tr><th>n</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table>"
            output = nbformat.v4.new_output("display_data", {"text/html": markup})
            cells = [nbformat.v4.new_markdown_cell("A page."), nbformat.v4.new_code_cell("1", outputs=[output])]
            about = {**asked["about"], "seconds": 1.0}
            fragment.write(nbformat.v4.new_notebook(cells=cells), out=out, name=order.name, about=about)
        done(order, "", 1.0)


def compiled_kernel(folder: str) -> None:
    """Compile a kernel, or take it from a cache."""
    import numba

    from zpmodel.base import compiled

    def increased(number: int) -> int:
        return number + 1

    with mock.patch.object(compiled, "cache_folder", return_value=Path(folder)):
        kernel: Any = numba.njit(increased)
        kernel._cache = compiled.KernelCache(increased)
        assert kernel(1) == 2


def settled(folder: str) -> None:
    """Settle what a killed process owes by a ledger, with a pool of huge pages and a queue that are only files."""
    from zpmodel.host import hugepages
    from zpmodel.measure import sectors

    place = Path(folder)
    with (
        mock.patch("zpmodel.host.ledger._places", return_value=[place / _LEDGER]),
        mock.patch.object(hugepages, "_POOL", place / "nr_hugepages"),
        mock.patch.object(sectors, "_file", return_value=place / "max_sectors_kb"),
    ):
        hugepages.settle()
        sectors.restore_leftovers()
    assert 0 <= int((place / "nr_hugepages").read_text()) <= 64


def resumed(target: str, out: str) -> None:
    """Go on with a measurement whose time is up; only malloc, so that no huge pages are asked for."""
    _measure(Path(target), Path(out), 1e-6)


def _measure(target: Path, out: Path, seconds: float) -> None:
    from zpmodel.measure.plan import Matrix
    from zpmodel.measure.run import measure

    small = Matrix(
        (4096,), (1,), (), seconds_per_point=0.05, min_rounds=1, max_rounds=1, precision=0, file_bytes=1 << 20
    )
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, PATH=_PATH))
        stack.enter_context(mock.patch("zpmodel.measure.run.hugepages.borrow", _nothing_borrowed))
        stack.enter_context(mock.patch("zpmodel.host.machine.background", dict))
        stack.enter_context(mock.patch("zpmodel.measure.run.overhead_ns", return_value=100_000))
        measure(target, out, seconds=seconds, matrix=small, seed=1)


_PATH = os.environ.get("PATH", "")  # before it is hidden from what is tried


def _nothing_borrowed(pages: int) -> Any:
    from zpmodel.host.hugepages import Loan

    return Loan("none", 0)


def _copied(source: Path, *arguments: str) -> Make:
    """A copy of a folder that the package wrote; ``COPY`` in the arguments stands for it."""

    def make(folder: Path, chance: random.Random) -> list[str]:
        shutil.copytree(source, folder / "copy")
        return [word.replace("COPY", str(folder / "copy")) for word in arguments]

    return make


def doors(made: Path) -> Iterator[tuple[str, float, Make, str]]:
    """Name, share, maker and pattern of each door.

    :param made: what `prepare` wrote.
    """

    def fleet_csv(folder: Path, chance: random.Random) -> list[str]:
        shutil.copy(made / "calibration.json", folder)
        (folder / "fleet.csv").write_text(FLEET)
        return ["fleet", str(folder / "fleet.csv"), "--calibration", str(made / "calibration.json"), "--json"]

    def fleet_parquet(folder: Path, chance: random.Random) -> list[str]:
        table = pd.DataFrame({"name": ["one", "two"], "gib_per_day": [100.0, 5.5], "machines": [20, 1]})
        table.to_parquet(folder / "fleet.parquet", index=False)
        return ["fleet", str(folder / "fleet.parquet"), "--calibration", str(made / "calibration.json")]

    def batch_table(folder: Path, chance: random.Random) -> list[str]:
        (folder / "set").symlink_to(made / "set")
        (folder / "sets.csv").write_text(BATCH)
        return ["batch", str(folder / "sets.csv"), "--notebook", "compare", "--out", str(folder / "out")]

    def ledger(folder: Path, chance: random.Random) -> list[str]:
        (folder / _LEDGER).mkdir(mode=0o700)
        (folder / "nr_hugepages").write_text("64\n")
        (folder / "max_sectors_kb").write_text("256\n")
        owner = {
            "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
            "pid_namespace": str(Path("/proc/self/ns/pid").readlink()),
        }
        for kind, debt in (
            ("hugepages", {"needs": 9, "taken": 9}),
            ("sectors", {"device": "nvme0n1", "found": 1280}),
        ):
            path = folder / _LEDGER / f"zpmodel-{kind}-4194304-1-a"  # no process has that number
            path.write_text(json.dumps(debt | owner))
        return ["fuzz_folders:settled", str(folder)]

    yield "fleets, CSV", 1, fleet_csv, "*.csv"
    yield "fleets, Parquet", 1, fleet_parquet, "*.parquet"
    yield "batches, tables", 0.5, batch_table, "*.csv"
    page = ("report", "--notebook", "machine", "--out", "COPY")
    yield "saved pages of a report", 1, _copied(made / "site", *page), "copy/parts/*"
    yield "saved files of a report", 0.5, _copied(made / "site", *page), "copy/[!p]*/*"
    batch = ("batch", str(made / "set"), "--notebook", "compare", "-p", "resamples=20", "--out", "COPY")
    yield "saved summaries of a batch", 0.5, _copied(made / "batch", *batch), "copy/sets/*/[!i]*"
    sweep = ("sweep", *SWEEP, "--out", "COPY/out.parquet")
    yield "unfinished sweeps", 1, _copied(made / "sweep", *sweep), "copy/.*/*"
    yield "cached kernels", 0.5, _copied(made / "kernels", "fuzz_folders:compiled_kernel", "COPY"), "copy/*"
    yield "what is owed", 0.5, ledger, f"{_LEDGER}/*"
    if shutil.which("fio") is not None:
        resume = _copied(made / "measured", "fuzz_folders:resumed", str(made / "target"), "COPY")
        yield "measurements to go on with", 1, resume, "copy/**/*"
