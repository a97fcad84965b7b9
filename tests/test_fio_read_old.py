"""What fio 2 wrote."""

from pathlib import Path

import pandas as pd
import pytest

from zpmodel.fio import percentiles
from zpmodel.fio.read import read_file

FIXTURES = Path(__file__).parent / "fixtures" / "fio"


def test_fio_2_1_without_counts() -> None:
    row = read_file(FIXTURES / "handmade" / "fio-2.1-no-counts.json").jobs.iloc[0]
    assert row["bytes"] == 100_000 * 4096 * 10
    assert row["ios"] == 1_000_000
    assert row["block_bytes"] == 4096
    assert row["bytes_per_s"] == 100_000 * 4096
    assert row["lat_mean_ns"] == 320_000
    assert row["p99_ns"] == 450_000
    assert pd.isna(row["total_depth"])
    assert pd.isna(row["little_ok"])
    # No option was printed, so how many jobs were merged can't be known.
    assert row[["jobs", "total_depth", "cpu_s_per_io"]].isna().all()


def test_fio_2_2_randrw() -> None:
    jobs = read_file(FIXTURES / "handmade" / "fio-2.2.10-randrw.json").jobs
    assert jobs[["job_index", "direction"]].to_numpy().tolist() == [
        [0, "read"],
        [0, "write"],
        [1, "read"],
        [1, "write"],
    ]
    assert jobs["bytes"].tolist() == [4_096_000_000, 2_048_000_000] * 2
    assert jobs["cpu_s_per_io"].tolist() == pytest.approx([5.0 / 1_500_000] * 4)
    assert jobs["block_bytes"].tolist() == [4096] * 4
    assert read_file(FIXTURES / "handmade" / "fio-2.2.10-mixed.json").jobs["direction"].tolist() == ["mixed"]


def test_fio_2_16_json_plus_with_indexed_bins() -> None:
    row = read_file(FIXTURES / "handmade" / "fio-2.16-json-plus.json").jobs.iloc[0]
    assert (row["engine"], row["depth"], row["block_bytes"]) == ("libaio", 32, 4096)
    # numjobs of the global section wasn't printed.
    assert row[["jobs", "total_depth", "cpu_s_per_io", "little"]].isna().all()
    # Index 220 with 6 bits is 256 + (28 + 0.5) x 4 us, cut to whole us.
    assert row["p50_ns"] == 370_000 == 1000 * percentiles.bucket_value(220)
    assert row["p999_ns"] == 1000 * percentiles.bucket_value(300)
