"""Small documents that readers get wrong, each for its kind; FILE.expect beside each says what is right."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest

from zpmodel.base.errors import InputError
from zpmodel.fio.read import Reading, read_file, read_text

CASES = Path(__file__).parent / "fixtures" / "fio" / "cases"
EXPECTED: dict[str, list[dict[str, object]]] = {
    "01": [{"job": "a", "direction": "read", "ios": 40000, "iops": 20000}],
    "03": [{"ios": 40000, "bytes": 163840000, "bytes_per_s": 81920000, "lat_mean_ns": 200000, "p50_ns": 190000}],
    "04": [{"job": "four", "ios": 40000, "depth": 4, "little": 1.0}],
    "05": [
        {"client": "10.0.0.7:9101", "depth": 4, "iops": 20000, "little": 1.0},
        {"client": "10.0.0.7:9102", "depth": 8, "iops": 40000, "little": 1.0},
    ],
    "07": [
        {"direction": "read", "ios": 20000, "jobs": 2, "total_depth": None, "little": None},
        {"direction": "write", "ios": 160000, "jobs": 2, "total_depth": None, "depth": None},
    ],
    "08": [{"ios": 160000, "iops": 80000, "numjobs": None, "jobs": None, "total_depth": None, "cpu_s_per_io": None}],
    "10": [{"ios": 0}, {"direction": "write", "iops": 25000, "jobs": 4, "total_depth": 4, "little": 0.99375}],
    "11": [{"engine": "psync", "depth": 1, "jobs": 1, "iops": 10000, "little": 0.98}],
    "12": [
        {"job": "a-4k", "rw": "randread", "depth": 4, "jobs": 1},
        {"job": "b-8k", "direction": "write", "ios": 40000, "rw": None, "engine": None, "depth": None, "numjobs": None},
    ],
    "14": [{"job": "mid", "ios": 40000, "iops": 20000, "little": 1.0}],
    "16": [{"percentiles_of": "lat", "p50_ns": 190464, "p99_ns": 444416, "p999_ns": 700416, "p90_ns": None}],
    "17": [{"bytes": 163840000, "bytes_per_s": 81920000, "block_bytes": 4096, "lat_mean_ns": 200000, "little": 1.0}]
    * 2,
    "18": [{"iops": 5000, "bytes_per_s": 2621440000, "block_bytes": 524288}],
    "19": [{"block_bytes": 4096}],
    "23": [{"ios": 40000, "little": 1.0, "jobs": 1}, {"ios": 30000, "jobs": 1}],
    "25": [{"job": "wrapped", "ios": 40000}],
    "27": [{"lat_mean_ns": 3.9e10, "p50_ns": 17112760320}],
    "28": [{"ios": 4000, "depth": 256, "block_bytes": 2097152, "bytes_per_s": 419430400}],
    "30": [{"ios": 40000, "client": "büro-7:9101"}],
    "34": [{"jobs": 2, "total_depth": None, "little_ok": None}] * 2,
}


def case(number: str) -> Reading:
    (path,) = (path for path in CASES.glob(f"{number}-*") if path.suffix != ".expect")
    return read_file(path)


def check(rows: pd.DataFrame, expected: list[dict[str, object]]) -> None:
    assert len(rows) == len(expected)
    for row, wanted in zip(rows.to_dict("records"), expected, strict=True):
        for name, value in wanted.items():
            if value is None:
                assert pd.isna(row[name]), name
            elif isinstance(value, float):
                assert row[name] == pytest.approx(value, rel=0.01), name
            else:
                assert row[name] == value, name


@pytest.mark.parametrize("number", EXPECTED)
def test_cases(number: str) -> None:
    reading = case(number)
    check(reading.jobs, EXPECTED[number])
    assert len(reading.rejected) == (1 if number == "01" else 0)


@pytest.mark.parametrize(("number", "reason"), [("13", "line"), ("21", "error 12"), ("31", "truncated at line")])
def test_cases_that_are_rejected(number: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        case(number)


def test_running_totals_of_an_old_fio() -> None:
    rows = case("35").jobs
    assert rows[rows["last"]]["document"].unique().tolist() == [2]
    assert rows[rows["last"] & (rows["job"] == "s1")]["iops"].tolist() == pytest.approx([19980], rel=1e-3)


def side(ios: int = 40000, runtime: int = 2000, lat: float = 200e3, block: int = 4096) -> dict[str, object]:
    moved = {"io_bytes": ios * block, "io_kbytes": ios * block // 1024, "runtime": runtime, "total_ios": ios}
    parts = {"slat_ns": 0.01 * lat, "clat_ns": 0.99 * lat, "lat_ns": lat}
    return moved | {name: {"min": 1, "max": 2 * mean, "mean": mean, "N": ios} for name, mean in parts.items()}


def entry(options: dict[str, str] | None, *, runtime: int | None = 2000, **fields: object) -> dict[str, object]:
    result: dict[str, object] = {"jobname": "j", "groupid": 0, "error": 0, "usr_cpu": 5.0, "sys_cpu": 20.0, **fields}
    if options is not None:
        result["job options"] = options
    if runtime is not None:
        result["job_runtime"] = runtime
    return result


def jobs(version: str, *entries: dict[str, object], **fields: object) -> pd.DataFrame:
    return read_text(json.dumps({"fio version": version, **fields, "jobs": entries}), "made").jobs


URING = {"ioengine": "io_uring", "iodepth": "4", "bs": "4k", "rw": "randread"}


@pytest.mark.parametrize(("version", "known"), [("fio-2.3", False), ("fio-3.3", False), ("fio-3.4", True)])
def test_numjobs_of_the_global_section_is_not_printed_by_some(version: str, known: bool) -> None:
    row = jobs(version, entry(URING, runtime=None, read=side()), **{"global options": {"direct": "1"}}).iloc[0]
    assert (not math.isnan(row["cpu_s_per_io"])) == known
    own = jobs(version, entry({**URING, "numjobs": "1"}, runtime=None, read=side()), **{"global options": {}}).iloc[0]
    assert own["cpu_s_per_io"] == pytest.approx(0.25 * 2 / 40000)


def test_more_in_flight_than_the_depth_is_another_depth() -> None:
    row = jobs("fio-3.1", entry(URING, runtime=None, read=side(lat=800e3))).iloc[0]
    assert row[["jobs", "total_depth", "cpu_s_per_io", "little"]].isna().all()
    assert "in flight" in row["notes"]


def test_sections_of_one_direction_merged() -> None:
    row = jobs("fio-3.36", entry(URING, runtime=4000, read=side(ios=80000))).iloc[0]
    assert row["jobs"] == 2
    assert row[["depth", "total_depth", "little"]].isna().all()
    assert row["cpu_s_per_io"] == pytest.approx(0.25 * 4 / 80000)


def test_the_pollers_cpu_is_nowhere() -> None:
    wrong = side()
    wrong["clat_ns"] = {"min": 1e10, "max": 4e10, "mean": 2.5e10, "N": 40000, "percentile": {"50.000000": 17112760320}}
    row = jobs("fio-3.32", entry({**URING, "sqthread_poll": "1"}, read=wrong)).iloc[0]
    assert row["sqthread_poll"]
    assert row[["cpu_s_per_io", "clat_mean_ns", "p50_ns"]].isna().all()
    assert row["lat_mean_ns"] == 200e3
    assert "poller" in row["notes"]
    bare = jobs("fio-3.32", entry(URING, read=wrong)).iloc[0]
    assert pd.isna(bare["sqthread_poll"])
    assert math.isnan(bare["cpu_s_per_io"])
    assert jobs("fio-3.32", entry(URING, read=side())).iloc[0]["sqthread_poll"] == False  # noqa: E712


@pytest.mark.parametrize(
    ("text", "size"), [("4Ki", 4096), ("4ki", 4096), ("4KiB", 4096), ("4kB", 4096), ("1Mi", 1 << 20), ("4x", None)]
)
def test_spellings_of_a_size(text: str, size: int | None) -> None:
    row = jobs("fio-3.28", entry({**URING, "bs": text}, read=side(block=size or 4096))).iloc[0]
    assert (None if math.isnan(row["block_bytes"]) else row["block_bytes"]) == size


@pytest.mark.parametrize("depth", ["${QD}", "(4*8)", "", "0"])
def test_a_depth_that_cannot_be_read_is_missing(depth: str) -> None:
    assert math.isnan(jobs("fio-3.36", entry({**URING, "iodepth": depth}, read=side())).iloc[0]["total_depth"])


def test_an_unknown_direction_says_nothing_of_the_block() -> None:
    options = {**URING, "rw": "sideways", "bs": "4k,8k"}
    assert math.isnan(jobs("fio-3.36", entry(options, mixed=side())).iloc[0]["block_bytes"])


def test_entries_without_a_name_are_nobodys_clones() -> None:
    options = {**URING, "numjobs": "2"}
    made = [{**entry(options, read=side(), runtime=4000), "groupid": group, "jobname": None} for group in (0, 1)]
    assert jobs("fio-3.36", *made)["jobs"].tolist() == [2, 2]
    assert jobs("fio-3.36", *made)["job"].tolist() == ["", ""]


def test_buffers_that_the_engine_allocates() -> None:
    for engine in ("spdk", "external:/opt/spdk/spdk_nvme", "/opt/spdk/spdk_bdev"):
        assert pd.isna(jobs("fio-3.36", entry({**URING, "ioengine": engine}, read=side())).iloc[0]["buffer_pages"])


def test_servers_that_cannot_be_told_apart_have_no_options() -> None:
    servers = [{**URING, "hostname": "a", "port": 1}, {**URING, "iodepth": "8", "hostname": "b", "port": 1}]
    whole = {"fio version": "fio-3.40", "global options": servers, "client_stats": [entry({}, read=side())]}
    row = read_text(json.dumps(whole), "made").jobs.iloc[0]
    assert row[["depth", "engine", "numjobs", "total_depth"]].isna().all()
