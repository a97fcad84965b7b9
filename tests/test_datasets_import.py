"""Anybody's fio output as a data set: what is taken, what is assumed and said, and what it can tell."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.base.estimate import Estimate
from zpmodel.calibration.calibrate import calibrate
from zpmodel.calibration.identify import cost_table, missing
from zpmodel.calibration.store import read, save
from zpmodel.calibration.vectors import slopes_of, vector_cost, vector_slopes
from zpmodel.commands.main import app
from zpmodel.datasets import read_data_set
from zpmodel.datasets.any_fio import read_any
from zpmodel.datasets.imported import DRIVERS, Said, write_set
from zpmodel.queue.presets import find_limits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.report import tables
from zpmodel.report.words import headline
from zpmodel.study.answers.gain import throughput
from zpmodel.study.compare import compare
from zpmodel.study.scenario import Scenario
from zpmodel.timing.events import EVENTS, sleeps
from zpmodel.timing.fio_write import predict_fio_write

MS = 120_000


def answer(block, depth, *, rw="write", cpu_s=5e-6, rate=50_000.0, kernel_s=0.0, waits=None, **options):
    """What fio 3 prints of one direct job, so far as it is read."""
    ios = int(rate * MS / 1e3)
    busy = {
        "total_ios": ios,
        "io_bytes": ios * block,
        "io_kbytes": ios * block // 1024,
        "runtime": MS,
        "iops": ios / MS * 1e3,
    }
    busy |= {"bw_bytes": int(ios * block / MS * 1e3), "lat_ns": {"mean": depth / rate * 1e9, "stddev": 0, "N": ios}}
    idle = {
        "total_ios": 0,
        "io_bytes": 0,
        "io_kbytes": 0,
        "runtime": 0,
        "iops": 0,
        "bw_bytes": 0,
        "lat_ns": {"mean": 0, "N": 0},
    }
    given = {"bs": str(block), "iodepth": str(depth), "rw": rw, "direct": "1", "ioengine": "io_uring", "fixedbufs": "1"}
    job = {
        "jobname": f"{rw}-{block}-{depth}",
        "error": 0,
        "job options": given | {"filename": "/dev/nvme0n1", "runtime": "120"} | options,
        "job_runtime": MS,
        "usr_cpu": (cpu_s - kernel_s) * ios / (MS / 1e3) * 100,
        "sys_cpu": kernel_s * ios / (MS / 1e3) * 100,
        **({} if waits is None else {"ctx": round(waits * ios)}),
        "read": busy if "read" in rw else idle,
        "write": idle if "read" in rw else busy,
    }
    return json.dumps({"fio version": "fio-3.35", "timestamp": 1, "jobs": [job]})


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "fio"
    folder.mkdir()
    for block in (4096, 16384, 65536, 262144):
        for depth in (1, 4, 16):
            rate = 1 / (20e-6 / depth + block * 4e-10)
            cpu_s = 2e-6 + 5e-6 / depth + block / 4096 * 150e-9
            (folder / f"{block}-{depth}.json").write_text(answer(block, depth, cpu_s=cpu_s, rate=rate))
    return folder


def made(tmp_path, files, **said):
    return write_set(tmp_path / "set", read_any([files]), Said(**said), ["fio"])


def test_what_is_not_known_is_assumed_and_said(tmp_path, files):
    found = made(tmp_path, files)
    assert len(found.writes) == 12
    assert found.limits == find_limits(DRIVERS["nvme"].limits)
    assert not found.copies
    said = " ".join(found.assumed)
    for part in ("driver is nvme", "nvme-mdts5", "fio's threads"):
        assert part in said
    # 4 MiB of malloc in flight may be transparent huge pages, so their CPU says nothing of vectors.
    unknown = found.writes[found.writes["cpu_s"].isna()]
    assert (unknown["block_bytes"] * unknown["depth"] >= 2 << 20).all()
    assert len(unknown) == 1
    assert "unknown CPU" in found.describe()


def test_what_is_said_is_not_assumed(tmp_path, files):
    found = made(
        tmp_path, files, limits="nvme-mdts3", driver="virtio_blk", memory="malloc", cpu="Some CPU", kernel="6.1"
    )
    assert found.limits == find_limits("nvme-mdts3")
    assert found.copies
    assert found.writes["cpu_s"].notna().all()
    assert "Some CPU, Linux 6.1, virtio_blk" in found.describe()
    assert not [line for line in found.assumed if "preset" in line or "driver" in line]


def test_a_verdict_under_limits_that_were_assumed_says_so(tmp_path, files):
    for block in (4096, 65536, 262144):
        for depth in (1, 4, 16):
            rate, cpu_s = 1 / (20e-6 / depth + block * 1e-10), 2e-6 + 5e-6 / depth + 150e-9
            huge = answer(block, depth, cpu_s=cpu_s, rate=rate, mem="mmaphuge")
            (files / f"huge-{block}-{depth}.json").write_text(huge)
    assumed, given = made(tmp_path, files, memory="malloc"), Said(memory="malloc", limits="nvme-mdts5")
    said = write_set(tmp_path / "said", read_any([files]), given, ["fio"])
    assert (assumed.limits_assumed, said.limits_assumed) == ("preset nvme-mdts5", "")
    hedge = "if the limits are those assumed"
    for data, hedged in ((assumed, True), (said, False)):
        save(calibrate(data, resamples=20), tmp_path / f"{data.name}.json")
        machine = read(tmp_path / f"{data.name}.json")
        page, static = compare(Scenario(machine), ("page", "static"))
        assert static.verdict == "gain"
        assert page.hedged == "-"
        assert (hedge in static.row()["verdict"]) == hedged
        assert (hedge in tables.policies({"": [static]})["verdict"][0]) == hedged
        text = headline(machine, static, page)
        assert text.startswith("If the queue's limits are those assumed (preset nvme-mdts5): **A gain") == hedged
        assert ("assumed" in throughput(static)) == hedged
        assert any("limits were assumed" in item.what for item in missing(machine)) == hedged


def test_reads_count_where_there_are_no_writes(tmp_path, files):
    (files / "r.json").write_text(answer(4096, 1, rw="randread"))
    both = made(tmp_path, files)
    assert len(both.writes) == 12
    assert any("reads beside writes" in line for line in both.left_out)
    alone = write_set(tmp_path / "reads", read_any([files / "r.json"]), Said(), ["r"])
    assert len(alone.writes) == 1
    assert any("reads stand for writes" in line for line in alone.assumed)


def test_a_vector_is_read_off_where_bytes_cost_nothing(tmp_path, files):
    data = made(tmp_path, files, memory="malloc")
    assert vector_slopes(data)["vector_s"].to_numpy() == pytest.approx(150e-9, rel=0.02)
    copied = write_set(tmp_path / "copied", read_any([files]), Said(driver="loop", memory="malloc"), ["fio"])
    assert vector_slopes(copied).empty
    assert vector_cost(vector_slopes(copied)) is None


def test_a_zero_reading_is_an_interval_and_a_clock_that_is_none_is_said(tmp_path, files):
    for path in files.iterdir():
        path.unlink()
    (files / "few.json").write_text(answer(1 << 20, 1, cpu_s=0.0, rate=1.0))
    (files / "many.json").write_text(answer(4096, 32, cpu_s=0.0, rate=400_000.0))
    found = made(tmp_path, files)
    few, many = (found.writes[found.writes["block_bytes"] == size].iloc[0] for size in (1 << 20, 4096))
    assert few["cpu_s"] == pytest.approx(1e-3 / 120)
    assert few["rounding_s"] == pytest.approx(1e-3 / 120)
    assert np.isnan(many["cpu_s"])
    calibrate(found, resamples=20)


def test_rates_alone_make_a_device_and_no_cpu(tmp_path, files):
    for path in files.iterdir():
        path.write_text(path.read_text().replace('"ioengine"', '"sqthread_poll": "1", "ioengine"'))
    data = made(tmp_path, files)
    assert data.writes["cpu_s"].isna().all()
    model = calibrate(data, resamples=20)
    assert model.device.best.KIND == "drive"
    assert all(np.isnan(row["value"]) for row in cost_table(model) if row["part"] == "cpu")
    assert any("cpu" in item.hides for item in missing(model))


def test_where_a_kernel_thread_polled_it_is_said_why_there_is_no_cpu_time(tmp_path, files):
    """In what import prints, in the set's record, by calibrate, and on the page of the policies."""
    some = sorted(files.iterdir())
    for number, polled in ((12, some), (5, some[:5])):
        for path in some:
            text = path.read_text().replace('"sqthread_poll": "1", ', "")
            path.write_text(text.replace('"ioengine"', '"sqthread_poll": "1", "ioengine"') if path in polled else text)
        out = tmp_path / f"set{number}"
        shown = CliRunner().invoke(app, ["import", str(files), "--out", str(out)], catch_exceptions=False).stdout
        many = "all 12" if number == 12 else "5 of 12"
        said = f"CPU time of {many} runs is not known: fio let a kernel thread poll and submit for it (sqthread_poll)"
        assert said in shown
        assert "(sqthread_poll)" in (out / "set.toml").read_text()
        data = read_data_set(out)
        assert any(line.startswith(said) for line in data.remarks)
        shown = CliRunner().invoke(app, ["calibrate", str(out), "--resamples", "20"], catch_exceptions=False).stdout
        assert said in shown
        assert data.writes["cpu_s"].notna().sum() == (0 if number == 12 else 7)
    assert made(tmp_path, files, memory="malloc").without_cpu.startswith("5 of 12")
    for path in some:
        path.write_text(path.read_text().replace('"sqthread_poll": "1", ', ""))
    (tmp_path / "again").mkdir()
    assert made(tmp_path / "again", files).without_cpu == ""


def test_foreign_text_reaches_no_terminal(tmp_path, files):
    (files / "x\x1b[31m<script>.json").write_text("not fio")
    command = [sys.executable, "-c", "from zpmodel.commands.main import main; main()", "import", str(files)]
    run = subprocess.run([*command, "--out", str(tmp_path / "set")], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "\x1b" not in run.stdout + run.stderr
    assert "zpmodel calibrate" in run.stdout
    again = subprocess.run([*command, "--out", str(tmp_path / "set")], capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert len(again.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("set.toml", lambda text: text.replace("format = 1", "format = 9")),
        ("set.toml", lambda text: text.replace("max_segments = 33", "max_segments = -1")),
        ("set.toml", lambda text: text.replace("copies = false", "copies = 3")),
        ("set.toml", lambda text: "[" * 100_000),
        ("rows.csv", lambda text: text.replace("rate", "speed")),
        ("rows.csv", lambda text: text.replace("malloc", "rope")),
        ("rows.csv", lambda text: text.replace("\n4096,", "\n1e300,", 1)),
        ("rows.csv", lambda text: text.replace("\n4096,", "\n4097,", 1)),
        ("rows.csv", lambda text: text.replace("\n4096,1,", "\n4096,-1,", 1)),
        ("rows.csv", lambda text: text.splitlines()[0] + "\n"),
        ("rows.csv", lambda text: ""),
        ("rows.csv", lambda text: "\x00\xff" * 99),
    ],
)
def test_damaged_sets_are_refused_in_a_line(tmp_path, files, name, change):
    made(tmp_path, files)
    path = tmp_path / "set" / name
    text = path.read_text()
    assert change(text) != text
    path.write_text(change(text))
    with pytest.raises(InputError, match=name):
        read_data_set(tmp_path / "set")


def test_nothing_usable_is_refused_and_makes_no_folder(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(InputError, match="usable"):
        write_set(tmp_path / "set", read_any([tmp_path / "x.json"]), Said(), ["x"])
    assert not (tmp_path / "set").exists()


# The 980 PRO's published reads


def published_reads(tmp_path):
    """The shipped table as files would have it."""
    table = pd.read_csv(shipped.data("published", "nvme-980pro-randread.csv"), comment="#")
    folder = tmp_path / "980"
    folder.mkdir()
    for row in table.itertuples():
        (folder / f"{row.block_bytes}-{row.depth}.json").write_text(
            answer(
                *(row.block_bytes, row.depth),
                **{"rw": "randread", "cpu_s": row.cpu_s_per_io, "rate": row.iops},
                **{"kernel_s": row.kernel_s_per_io, "waits": row.waits_per_io},
            )
        )
    return write_set(tmp_path / "set", read_any([folder]), Said(driver="nvme"), ["980"])


def test_half_of_the_depths_confirm_what_a_vector_costs(tmp_path):
    slopes = vector_slopes(published_reads(tmp_path))
    whole = vector_cost(slopes)
    assert whole.value == pytest.approx(168e-9, rel=0.02)  # docs/foreign-drives.md
    assert whole.says_something
    for mine, others in ((slopes[::2], slopes[1::2]), (slopes[1::2], slopes[::2])):
        half = vector_cost(mine)
        assert others["vector_s"].between(half.low, half.high).all()
        assert half.low <= whole.value <= half.high


def test_what_is_fitted_and_what_is_read_off_agree_on_a_vector(tmp_path):
    data = published_reads(tmp_path)
    off, machine = vector_cost(vector_slopes(data)), calibrate(data, resamples=200)
    at = EVENTS.index("vector")
    fitted = Estimate.of(machine.cpu.total[at], machine.cpu.total_draws[:, at])
    assert fitted.low <= off.value <= fitted.high
    assert max(fitted.low, off.low) < min(fitted.high, off.high)


def test_sleeps_are_no_vectors(tmp_path, files):
    """Larger blocks sleep more often here, at 3 us each: without their count that reads as vectors."""
    blocks = {16384: 0.2, 32768: 0.5, 65536: 0.6, 131072: 0.9}
    for path in files.iterdir():
        path.unlink()
    for block, waits in blocks.items():
        for depth in (2, 8, 32):
            kernel_s = 1e-6 + 150e-9 * block / 4096 + 3e-6 * waits
            each = {"cpu_s": kernel_s + 1e-6, "kernel_s": kernel_s, "waits": waits, "rate": 1e9 / block}
            (files / f"{block}-{depth}.json").write_text(answer(block, depth, **each))
    data = made(tmp_path, files, memory="malloc")
    found = vector_cost(vector_slopes(data))
    assert found.value == pytest.approx(150e-9, rel=0.01)
    uncounted = replace(data, writes=data.writes.assign(waits=np.nan))
    assert vector_cost(vector_slopes(uncounted)).value > 200e-9


def test_what_slows_the_program_too_may_be_no_vectors():
    points = pd.DataFrame(
        [
            (depth, vectors, 4e-6 * (1 + vectors / 40), 1e-6 * (1 + vectors / 40), np.nan)
            for depth in (1, 4)
            for vectors in (2, 4, 8, 16)
        ],
        columns=["depth", "vectors", "cpu_s", "own_s", "waits"],
    )
    assert vector_cost(slopes_of(points)).low == pytest.approx(0.0, abs=10e-9)
    assert vector_cost(slopes_of(points.assign(own_s=1e-6))).low > 50e-9


def test_a_drive_wakes_its_thread_as_often_as_was_counted():
    table = pd.read_csv(shipped.data("published", "nvme-980pro-randread.csv"), comment="#")
    found = sleeps(table["cpu_s_per_io"].to_numpy(), table["iops"].to_numpy(), table["depth"].to_numpy())
    off = np.abs(found - table["waits_per_io"].to_numpy())
    assert np.median(off) < 0.06
    assert off.max() < 0.2
    assert np.median(np.abs(1 / table["depth"] - table["waits_per_io"])) > 0.1  # one sleep for all in flight


def test_cpu_time_of_a_drives_reads_is_predicted_where_it_waits_and_where_it_works(tmp_path):
    data = published_reads(tmp_path)
    machine = calibrate(data, resamples=50)
    inside = []
    for block, depth in ((4096, 1), (4096, 64), (16384, 32), (65536, 1), (65536, 16)):
        row = data.writes[(data.writes["block_bytes"] == block) & (data.writes["depth"] == depth)].iloc[0]
        found = predict_fio_write(machine, ZeroPage.named("page"), block, depth=depth)
        assert found.cpu_s.value == pytest.approx(row["cpu_s"], rel=0.25)
        inside.append(found.cpu_s.low <= row["cpu_s"] <= found.cpu_s.high)
    assert sum(inside) >= 4, inside
