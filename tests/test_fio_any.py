"""Anybody's fio output as rows to fit to: what is usable, and what is left out with its reason."""

import importlib.util
import math
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from zpmodel.base.errors import InputError
from zpmodel.base.text import printable
from zpmodel.calibration.vectors import slopes_of, vector_cost
from zpmodel.datasets.any_fio import COLUMNS, read_any
from zpmodel.fio.read import one_job, read
from zpmodel.validation.composed import vector_points

ROOT = Path(__file__).parent.parent
FIXTURES = Path(__file__).parent / "fixtures" / "fio"
GOOD = FIXTURES / "real" / "json-libaio-qd8.json"


def test_usable_rows_and_reasons() -> None:
    found = read_any([FIXTURES / "real", FIXTURES / "cases"])
    assert list(found.rows.columns) == list(COLUMNS)
    assert (found.rows[["block_bytes", "depth", "rate", "replicate"]] > 0).all(axis=None)
    assert found.rows["path_s"].isna().all()
    reasons = " ".join(found.left_out["reason"])
    for part in ("buffered", "running totals", "rate limit", "numjobs", "error 12"):
        assert part in reasons
    keys = found.rows[["block_bytes", "depth", "memory", "direction", "replicate"]]
    assert not keys.duplicated().any()


def test_nothing_usable_keeps_the_columns(tmp_path: Path) -> None:
    found = read_any([tmp_path / "absent"])
    assert found.rows.empty
    assert list(found.rows.columns) == list(COLUMNS)
    assert found.rows["rate"].dtype == "float64"
    assert len(found.left_out) == 1


def test_one_job() -> None:
    job = one_job(FIXTURES / "real" / "sweep-qd4.json", "read")
    row = read([FIXTURES / "real" / "sweep-qd4.json"]).jobs.iloc[0]
    assert (job.ios, job.bytes, job.lat_mean_ns) == (row["ios"], row["bytes"], row["lat_mean_ns"])
    assert job.cpu_s == pytest.approx(row["cpu_s_per_io"] * row["ios"])
    for name in ("jsonplus-randrw.json", "status-interval-stonewall.json", "client-two.json"):
        with pytest.raises(InputError, match="one read job"):
            one_job(FIXTURES / "real" / name, "read")
    with pytest.raises(InputError, match="one write job"):
        one_job(FIXTURES / "real" / "sweep-qd4.json", "write")


def test_special_files_are_one_line_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        reasons = read(["fifo", "socket", "/dev/zero"]).rejected["reason"].tolist()
    assert len(reasons) == 3
    for reason, kind in zip(reasons, ("FIFO", "socket", "device"), strict=True):
        assert kind in reason


def test_a_folder_of_other_files_is_one_line(tmp_path: Path) -> None:
    for index in range(1400):
        (tmp_path / f"{index}.txt").write_text("nothing of fio's\n")
    shutil.copy(GOOD, tmp_path / "good.json")
    reading = read([tmp_path])
    assert len(reading.jobs) == 1
    assert len(reading.rejected) == 1
    assert "1400 files" in reading.rejected["reason"][0]


def test_job_files(tmp_path: Path) -> None:
    (tmp_path / "x.fio").write_text("[global]\nbs=4k\n[job]\nrw=read\n")
    assert "no results" in read([tmp_path]).rejected["reason"][0]
    shutil.copy(GOOD, tmp_path / "output.fio")
    reading = read([tmp_path])
    assert len(reading.jobs) == 1
    assert reading.rejected.empty


def test_what_a_terminal_would_obey_is_shown() -> None:
    assert printable("job \x1b[2J\x07 \u202e evil\n\x9b é") == r"job \x1b[2J\x07 \u202e evil\x0a\x9b é"
    assert printable("plain <b>") == "plain <b>"
    program = [sys.executable, "-c", "from zpmodel.commands.main import main; main()", "fio", "/absent\x1b[31m"]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "\x1b" not in done.stderr


def test_the_published_reads_give_a_vectors_cost_that_half_of_them_confirm() -> None:
    spec = importlib.util.spec_from_file_location("foreign_fio", ROOT / "tools" / "foreign_fio.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    reads = pd.read_csv(ROOT / "data" / "published" / tool.READS, comment="#")
    assert len(reads) == 72
    found = slopes_of(vector_points(reads))
    for mine, others in ((found[::2], found[1::2]), (found[1::2], found[::2])):
        vector = vector_cost(mine)
        assert vector.says_something
        assert others["vector_s"].between(vector.low, vector.high).all()
    writes = pd.read_csv(ROOT / "data" / "published" / tool.WRITES, comment="#")
    assert len(writes) == 90
    assert not any("cpu" in name for name in writes.columns)
    # Little's law: the table is of a queue kept full.
    assert (writes["rate"] * writes["lat_mean_ns"] * 1e-9 / writes["depth"] - 1).abs().max() < 0.06
    assert all(math.isfinite(value) for value in reads.to_numpy().ravel())
