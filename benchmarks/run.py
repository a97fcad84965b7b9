"""Measure everything once, write the table in docs/scale.md, append to benchmarks/history.csv.

Run: python benchmarks/run.py
Best of several, as others use the machine too. What is compared with what stands in the table itself.
"""

import csv
import datetime
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

import naive  # noqa: E402
import naive_lifetime  # noqa: E402
import numpy_pass  # noqa: E402
import numpy_sweep  # noqa: E402

from zpmodel.base import shipped  # noqa: E402
from zpmodel.base.accelerate import cores  # noqa: E402
from zpmodel.base.units import GIB, MIB, TIB  # noqa: E402
from zpmodel.calibration.calibrate import calibrate, fit_machine  # noqa: E402
from zpmodel.calibration.store import save  # noqa: E402
from zpmodel.datasets import read_data_set  # noqa: E402
from zpmodel.memory.life.closed_form import Life, Users  # noqa: E402
from zpmodel.memory.life.simulate import simulate  # noqa: E402
from zpmodel.queue.limits import UINT_MAX, QueueLimits  # noqa: E402
from zpmodel.queue.zeropage import ZeroPage  # noqa: E402
from zpmodel.structure import count  # noqa: E402
from zpmodel.study.bulk import answer_table  # noqa: E402
from zpmodel.study.pieces import to_parquet  # noqa: E402
from zpmodel.study.scenario import Scenario, predict  # noqa: E402
from zpmodel.study.sweep import Plan, Span, answer_all, work_out  # noqa: E402

if TYPE_CHECKING:
    import pandas as pd

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
QUEUES = {
    "NVMe, 128 KiB": QueueLimits(256, 33, UINT_MAX, virt_boundary_mask=4095),
    "null_blk, 255 sectors": QueueLimits(255, 128, 65536),
}
ODD_CHUNK = QueueLimits(256, 33, UINT_MAX, virt_boundary_mask=4095, chunk_sectors=65537)
Row = tuple[str, float, str, str]


def best(function: Callable[[], Any], times: int = 5) -> float:
    """Seconds of the quickest call, the first one left out."""
    function()
    found = []
    for _ in range(times):
        started = time.perf_counter()
        function()
        found.append(time.perf_counter() - started)
    return min(found)


def spent(function: Callable[[], Any], times: int) -> float:
    """CPU seconds of the cheapest call, the first one left out."""
    function()
    found = []
    for _ in range(times):
        started = time.process_time()
        function()
        found.append(time.process_time() - started)
    return min(found)


def numpy_structure(zero_bytes: int, length: int) -> int:
    """Requests of a range without chunks or merges, with a row a part: what one would write first."""
    bio = 256 * zero_bytes
    sizes = np.full(length // bio, bio)
    ends = np.concatenate([np.arange(131072, size + 1, 131072) for size in sizes])
    return len(ends)


def structure() -> list[Row]:
    rows = []
    for name, queue in QUEUES.items():
        for size in (4096, 2 << 20, 512 << 20):
            page = ZeroPage("folio", size)
            for length in (MIB, TIB, 1024 * TIB):
                fast = best(lambda page=page, queue=queue, length=length: count(page, queue, 0, length), 30)
                rows.append((f"structure: {length >> 20:,} MiB from {size >> 10:,} KiB, {name}", fast * 1e6, "us", ""))
    for size in (4096, 2 << 20, 512 << 20):
        page = ZeroPage("folio", size)
        name = f"structure: {TIB >> 20:,} MiB from {size >> 10:,} KiB, a chunk of 65,537 sectors"
        rows.append((name, best(lambda page=page: count(page, ODD_CHUNK, 0, TIB), 3) * 1e6, "us", "bar: 50"))
        for queue_name, queue in QUEUES.items():
            ranges = np.full(20_000, TIB)
            one = spent(lambda page=page, queue=queue, ranges=ranges: count(page, queue, 0, ranges), 3) / len(ranges)
            name = f"structure: {TIB >> 20:,} MiB from {size >> 10:,} KiB, {queue_name}, one of an array"
            rows.append((name, one * 1e6, "us of a CPU", "bar: 10"))
    lengths = np.full(200_000, GIB)
    page, queue = ZeroPage.named("static"), QUEUES["NVMe, 128 KiB"]
    many = best(lambda: count(page, queue, 0, lengths), 3) / len(lengths)
    slow = best(
        lambda: naive.zeroout({"max_sectors": 256, "max_segments": 33, "max_segment_size": UINT_MAX}, 2 << 20, 0, GIB),
        1,
    )
    plain = best(lambda: numpy_structure(2 << 20, GIB), 3)
    says = f"naive {slow / many:,.0f} times, NumPy {plain / many:,.0f} times as long, a range of 1 GiB"
    rows.append((f"structure: an array of ranges, {cores()} cores", many * 1e6, "us a range", says))
    return rows


def prediction() -> list[Row]:
    data = read_data_set(shipped.data("fio", shipped.DEFAULT_DATA_SET))
    calibrating = best(lambda: fit_machine(data, 1000), 1)
    machine = calibrate(data, resamples=400)
    one = best(lambda: predict(Scenario(machine)), 20)
    sweeps = sweeping(Scenario(machine))
    with tempfile.TemporaryDirectory() as folder:
        save(machine, Path(folder) / "machine.json")
        starts = start_up(Path(folder))
    return [
        ("calibration: a full set, 1000 draws", calibrating, "s", ""),
        ("prediction: one question, 400 draws", one * 1e6, "us", ""),
        *sweeps,
        *starts,
    ]


def sweeping(base: Scenario) -> list[Row]:
    """Rates of CPU time, so that what others do on the machine counts less; a scenario is two calls."""
    spans = {"max_sectors": Span(64, 8192, True), "device.bandwidth": Span(1e8, 1e10, True), "cpu.vector": Span(0.5, 2)}
    plan = Plan(base, {"zero_page": ["static"]}, spans, 1 << 20)
    inputs = plan.inputs(0, 1 << 17)

    whole = spent(lambda: work_out(plan, 0, len(inputs)), 5) / len(inputs)
    kernel = spent(lambda: answer_table(base, {n: inputs[n] for n in inputs}, len(inputs)), 5) / len(inputs)
    few = inputs.iloc[:200]
    general = spent(lambda: answer_all(base, few, quick=False), 1) / len(few)
    plain = by_numpy(base, inputs)
    slow = spent(lambda: naive_structure(base, int(inputs["max_sectors"].iloc[0])), 1)
    says_pass = f"NumPy for this sort alone {plain / kernel:.1f} times, "
    says_pass += f"naive, only its structure, {slow / kernel:,.0f} times as long"
    # What the machine needs at the least: to write the columns of the result.
    written = spent(lambda: np.zeros((13, len(inputs))) + 1.0, 5) / len(inputs)
    says = f"general path {general / whole:,.0f} times, writing the columns {written / whole:.3f} times as long"
    return [
        ("sweep: scenarios, each with PAGE_SIZE beside it, one draw", 1 / whole, "a second and core", says),
        ("sweep: the same, the compiled pass alone", 1 / kernel, "a second and core", says_pass),
        ("sweep: calls (two a scenario), the compiled pass alone", 2 / kernel, "a second and core", "bar: 5,000,000"),
        varied(base),
        two_cores(replace(plan, samples=1 << 22)),
    ]


def varied(base: Scenario) -> Row:
    """The pass over scenarios of all sorts, beside NumPy, which must say the same; CPU time."""
    spans = {
        "length": Span(1 << 16, 1 << 36, True),
        "max_sectors": Span(64, 8192, True),
        "max_segments": Span(16, 512, True),
        "nr_requests": Span(1, 1024, True),
        "device.bandwidth": Span(1e8, 1e10, True),
        "device.latency": Span(1e-6, 1e-3, True),
        "cpu.vector": Span(0.5, 2),
    }
    inputs = Plan(base, {"zero_page": ["64KiB", "static"]}, spans, 1 << 16).inputs(0, 1 << 17)
    inputs["length"] = inputs["length"] // 4096 * 4096
    columns = {name: inputs[name].to_numpy() for name in spans}
    sizes = np.where(inputs["zero_page"] == "static", 2 << 20, 64 << 10)

    def both() -> list[Any]:
        beside = [np.full(len(sizes), 4096), sizes]
        return [numpy_sweep.elapsed(base, numpy_sweep.Rows(zero, *columns.values())) for zero in beside]

    page_s, other_s = both()
    found = answer_table(base, {n: inputs[n] for n in inputs}, len(inputs))
    known = np.isfinite(page_s) & np.isfinite(other_s)
    assert known.mean() > 0.99
    np.testing.assert_allclose(other_s[known], found["elapsed_s"][known], rtol=1e-9)
    np.testing.assert_allclose((page_s / other_s)[known], found["speedup"][known], rtol=1e-9)
    kernel = spent(lambda: answer_table(base, {n: inputs[n] for n in inputs}, len(inputs)), 5) / len(inputs)
    says = f"NumPy {spent(both, 3) / len(inputs) / kernel:.1f} times as long (bar: 5)"
    return ("sweep: scenarios that differ in all, the compiled pass alone", 1 / kernel, "a second and core", says)


def by_numpy(base: Scenario, inputs: "pd.DataFrame") -> float:
    """CPU seconds a scenario of the NumPy version, both its calls, which must say what the pass says."""
    max_sectors = inputs["max_sectors"].to_numpy()
    others = (inputs["device.bandwidth"].to_numpy(), inputs["cpu.vector"].to_numpy())

    def both() -> list[Any]:
        return [numpy_pass.elapsed(base, page, max_sectors, *others) for page in ("page", "static")]

    page_s, static_s = both()
    found = answer_table(base, {n: inputs[n] for n in inputs}, len(inputs))
    away = max_sectors != base.machine.limits.max_sectors
    np.testing.assert_allclose(static_s[away], found["elapsed_s"][away], rtol=1e-9)
    np.testing.assert_allclose((page_s / static_s)[away], found["speedup"][away], rtol=1e-9)
    return spent(both, 3) / len(inputs)


def naive_structure(base: Scenario, max_sectors: int) -> None:
    """One scenario's two structures by the slow and obvious version."""
    limits = base.machine.limits
    queue = {name: getattr(limits, name) for name in ("max_segments", "max_segment_size", "physical_block_size")}
    for size in (4096, 2 << 20):
        naive.zeroout({**queue, "max_sectors": max_sectors}, size, 0, base.length)


_LOOP = """
import sys, time
sys.stdin.readline()
started, x = time.perf_counter(), 0
for i in range(20_000_000):
    x += i
print(time.perf_counter() - started)
"""


def loops(number: int) -> float:
    """Seconds that so many independent loops take at once."""
    command = [sys.executable, "-c", _LOOP]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(number)
    ]
    time.sleep(1)  # until all are there
    for process in running:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return max(float(process.communicate()[0]) for process in running)


def two_cores(plan: Plan) -> Row:
    """How much sooner a sweep is done by two, beside what two loops gain that share nothing, in turns."""
    gains, limits = [], []
    with tempfile.TemporaryDirectory() as folder:
        for i in range(6):
            took = []
            for jobs in (1, 2):
                started = time.perf_counter()
                to_parquet(plan, Path(folder) / f"{i}-{jobs}.parquet", jobs=jobs)
                took.append(time.perf_counter() - started)
            gains.append(took[0] / took[1])
            limits.append(2 * loops(1) / loops(2))
            for file in Path(folder).iterdir():
                file.unlink()
    # The first may have compiled something.
    gain, limit = float(np.median(gains[1:])), float(np.median(limits[1:]))
    says = f"bar: 1.8; two independent loops {limit:.2f} times one"
    return (f"sweep: {plan.rows:,} scenarios to Parquet, by two instead of one", gain, "times as fast", says)


def start_up(folder: Path) -> list[Row]:
    program = "from zpmodel.commands.main import main; main()"
    kept = "from zpmodel.structure import count; from zpmodel.queue.limits import QueueLimits as Q; "
    kept += "from zpmodel.queue.zeropage import ZeroPage as Z; count(Z.named('static'), Q(256, 128, 65536), 0, 1 << 30)"
    commands = {
        "import zpmodel": ["-c", "import zpmodel"],
        "zpmodel structure": ["-c", program, "structure", "--limits", "nvme-mdts5", "--length", "1GiB"],
        "zpmodel compare, saved calibration": ["-c", program, "compare", "--calibration", str(folder / "machine.json")],
        "a compiled count, code kept": ["-c", kept],
    }
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": str(ROOT)}
    rows: list[Row] = []
    for name, arguments in commands.items():
        started = time.perf_counter()
        subprocess.run([sys.executable, *arguments], env=environment, check=True, capture_output=True)
        first = time.perf_counter() - started
        again = best(
            lambda a=arguments: subprocess.run([sys.executable, *a], env=environment, check=True, capture_output=True),
            3,
        )
        rows.append((f"start-up: {name}", again, "s", f"the first time {first:.2f} s"))
    return rows


def lifetime() -> list[Row]:
    life = Life(Users(1000.0, 0.005), scans_per_s=0.01, failure=0.1)
    day = best(lambda: simulate(life), 3)
    started = time.perf_counter()
    users = naive_lifetime.simulate(life, 30.0, 1)["users"]
    slow = (time.perf_counter() - started) / users
    says = f"naive {slow / (day / simulate(life).users):,.0f} times as long a user"
    return [("lifetime: a machine-day, 1000 users a second", day, "s", says)]


def write(rows: list[Row]) -> None:
    about = f"{platform.machine()}, {cores()} cores, Python {platform.python_version()}"
    today = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    lines = [f"Measured {today} on {about}; best of several.", "", "| what | value | | |", "|---|---:|---|---|"]
    lines += [f"| {what} | {value:,.4g} | {unit} | {says} |" for what, value, unit, says in rows]
    page = ROOT / "docs" / "scale.md"
    text = page.read_text()
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}")
    history = ROOT / "benchmarks" / "history.csv"
    new = not history.exists()
    with history.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["date", "machine", "what", "value", "unit"])
        writer.writerows([today, about, what, f"{value:.6g}", unit] for what, value, unit, _ in rows)


if __name__ == "__main__":
    write([*structure(), *prediction(), *lifetime()])
