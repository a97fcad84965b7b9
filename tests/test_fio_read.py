"""Reading real documents: the expectation is what fio printed, in fio's own terms."""

import json
import math
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from zpmodel.base.errors import InputError
from zpmodel.fio import percentiles
from zpmodel.fio.columns import COLUMNS
from zpmodel.fio.read import Reading, read, read_file, read_text

FIXTURES = Path(__file__).parent / "fixtures" / "fio"
REAL = sorted((FIXTURES / "real").iterdir())
PLAIN = [path for path in REAL if path.suffix == ".json" and "appended" not in path.name and "status" not in path.name]
DIRECTIONS = ("read", "write", "trim", "mixed")


def real(name: str) -> pd.DataFrame:
    return read_file(FIXTURES / "real" / name).jobs


def one(name: str) -> pd.Series:
    jobs = real(name)
    assert len(jobs) == 1
    return jobs.iloc[0]


def document(path: Path) -> dict:
    text = path.read_bytes().decode("latin-1")
    return json.JSONDecoder(strict=False).raw_decode(text[text.index("{") :])[0]


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_every_real_file_is_read(path: Path) -> None:
    reading = read_file(path)
    assert list(reading.jobs.columns) == list(COLUMNS)
    assert len(reading.jobs) > 0
    assert reading.rejected.empty


@pytest.mark.parametrize("path", PLAIN, ids=lambda path: path.name)
def test_rows_are_what_fio_counted(path: Path) -> None:
    whole = document(path)
    entries = [e for e in whole.get("jobs", whole.get("client_stats")) if e["jobname"] != "All clients"]
    expected = [
        (entry["jobname"], name, entry[name]["total_ios"], entry[name]["io_bytes"], entry[name]["runtime"])
        for entry in entries
        for name in DIRECTIONS
        if name in entry and entry[name]["total_ios"] and not (name == "mixed" and "read" in entry)
    ]
    jobs = read_file(path).jobs
    found = jobs[["job", "direction", "ios", "bytes", "runtime_s"]].to_numpy().tolist()
    assert [tuple(row[:4]) for row in found] == [row[:4] for row in expected]
    assert [row[4] * 1000 for row in found] == pytest.approx([row[4] for row in expected])
    assert jobs["job_index"].nunique() == len(entries)
    for row in jobs.to_dict("records"):
        side = entries[row["job_index"]][row["direction"]]
        for kind in ("slat", "clat", "lat"):
            mean = side[f"{kind}_ns"]["mean"]
            assert row[f"{kind}_mean_ns"] == pytest.approx(mean) if mean else math.isnan(row[f"{kind}_mean_ns"])
        if side["runtime"]:
            assert row["iops"] == pytest.approx(side["iops"], rel=1e-6)
            assert row["bytes_per_s"] == pytest.approx(side["bw_bytes"], rel=1e-4)


@pytest.mark.parametrize(
    "path", [path for path in PLAIN if '"bins"' in path.read_text("latin-1")], ids=lambda path: path.name
)
def test_percentiles_from_bins_are_fios_own(path: Path) -> None:
    compared = 0
    for entry in document(path)["jobs"]:
        for name in ("read", "write"):
            for kind in ("slat_ns", "clat_ns", "lat_ns"):
                latency = entry[name][kind]
                if "bins" not in latency:
                    continue
                counts = percentiles.histogram(latency["bins"])
                assert sum(counts.values()) == latency["N"]
                for percent, printed in latency["percentile"].items():
                    assert percentiles.percentile(counts, float(percent)) == printed
                    compared += 1
    assert compared >= 2


def test_bucket_value_matches_the_keys_of_real_bins() -> None:
    values = {percentiles.bucket_value(index) for index in range(1856)}
    bins = document(FIXTURES / "real" / "sweep-qd4.json")["jobs"][0]["read"]["clat_ns"]["bins"]
    assert {int(key) for key in bins} <= values


def test_a_bucket_that_reaches_the_share_exactly_is_the_percentile() -> None:
    """``while (sum >= percentile / 100 * nr)`` in fio's calc_clat_percentiles."""
    assert percentiles.percentile({10: 50, 20: 50}, 50.0) == 10
    assert percentiles.percentile({10: 49, 20: 51}, 50.0) == 20
    assert math.isnan(percentiles.percentile({}, 50.0))


def test_percentiles_not_printed_come_from_the_bins_and_else_are_missing() -> None:
    row = one("jsonplus-lat-only.json")
    assert row["percentiles_of"] == "lat"
    assert row["p50_ns"] < row["p90_ns"] <= row["p99_ns"] <= row["p999_ns"]
    assert real("sweep-qd4.json")["percentiles_of"].tolist() == ["clat"]
    assert one("gtod-reduce.json")[["p50_ns", "lat_mean_ns", "little"]].isna().all()


@pytest.mark.parametrize(
    ("name", "depth"), [("sweep-qd1", 1), ("sweep-qd4", 4), ("sweep-qd16", 16), ("sweep-qd64", 64)]
)
def test_littles_law_holds_in_a_depth_sweep(name: str, depth: int) -> None:
    row = one(f"{name}.json")
    assert (row["depth"], row["jobs"], row["total_depth"]) == (depth, 1, depth)
    assert row["little"] == pytest.approx(1, abs=0.06)
    assert row["little_ok"] is True or row["little_ok"] == True  # noqa: E712
    assert row["little"] == pytest.approx(row["iops"] * row["lat_mean_ns"] * 1e-9 / depth)


def test_little_flags_a_rate_limit_and_drops_nothing() -> None:
    row = one("rate-limited.json")
    assert row["rate_limited"]
    assert not row["little_ok"]
    assert one("thinktime.json")["rate_limited"]
    assert not one("sweep-qd4.json")["rate_limited"]


def test_little_sums_the_directions_of_a_mixed_job() -> None:
    rows = real("jsonplus-randrw.json")
    alone = rows["iops"] * rows["lat_mean_ns"] * 1e-9 / 4
    assert (alone < 0.7).all()
    assert rows["little"].tolist() == pytest.approx([alone.sum()] * 2, rel=0.01)
    assert rows["little_ok"].all()
    assert rows["block_bytes"].tolist() == [8192, 16384]


def test_phases_after_each_other_do_not_add_up_in_little() -> None:
    rows = real("write-then-verify.json")
    assert rows["direction"].tolist() == ["read", "write"]
    assert (rows["little"] < 1.06).all()


@pytest.mark.parametrize(
    ("name", "jobs", "depth"), [("group-reporting", 3, 2), ("grouped-2m", 2, 4), ("ramp-group", 2, 1)]
)
def test_merged_jobs_are_counted(name: str, jobs: int, depth: int) -> None:
    row = one(f"{name}.json")
    assert (row["jobs"], row["numjobs"], row["depth"], row["total_depth"]) == (jobs, jobs, depth, jobs * depth)
    assert row["little_ok"]
    assert row["job_runtime_s"] == pytest.approx(jobs * row["runtime_s"], rel=0.01)


def test_clones_that_are_listed_one_by_one_are_not_merged() -> None:
    rows = real("numjobs-duplicate-options.json")
    assert rows["jobs"].tolist() == [1, 1]
    assert rows["numjobs"].tolist() == [2, 2]
    # --rw and --bs were given twice: the later one is what ran.
    assert set(rows["direction"]) == {"write"}
    assert set(rows["block_bytes"]) == {8192}
    assert real("flag-off.json")["jobs"].tolist() == [1, 1]
    assert real("flag-off.json")["depth"].tolist() == [1, 1], "psync stays at depth 1 whatever iodepth says"


def test_the_job_wins_over_the_global_section() -> None:
    rows = real("jobfile-global-and-job.json").set_index("job")
    assert rows["total_depth"].tolist()[:2] == [4, 32]
    assert rows["direct"].tolist()[:2] == [True, False], "direct=1 is global, buffered=1 the writer's own"
    assert rows.loc["last", "jobs"] == 3, "two clones and another section: only the summed runtime tells"


def test_depth_counts_for_a_synchronous_engine_with_offloaded_submission() -> None:
    assert one("offload.json")["depth"] == 4


def test_block_sizes() -> None:
    assert real("bsrange.json")["block_bytes"].fillna(0).tolist() == [0, 8192]
    assert math.isnan(one("bssplit.json")["block_bytes"])
    assert one("bs-kib.json")["block_bytes"] == 4000, "KiB is decimal to fio unless kb_base=1000"
    assert one("bs-kib-base-1000.json")["block_bytes"] == 4096
    assert one("normal-json-terse.txt")["block_bytes"] == 4096, "not printed: the default"


def test_buffers() -> None:
    assert one("fixedbufs-1.json")["fixed_buffers"] is True or one("fixedbufs-1.json")["fixed_buffers"] == True  # noqa: E712
    assert pd.isna(one("jsonplus-all-latencies.json")["fixed_buffers"]), "a bare flag isn't printed"
    assert one("json-libaio-qd8.json")["fixed_buffers"] == False  # noqa: E712
    assert one("jsonplus-all-latencies.json")["buffer_pages"] == "mmap", "given as iomem"
    assert one("grouped-2m.json")["buffer_pages"] == "mmap"


def test_unified_reporting_counts_nothing_twice() -> None:
    assert real("unified-mixed.json")["direction"].tolist() == ["mixed"]
    assert real("unified-both.json")["direction"].tolist() == ["read", "write"]
    assert one("unified-mixed.json")["block_bytes"] == 4096


def test_trim_and_sync() -> None:
    assert real("trim-loop.json")["direction"].tolist() == ["write", "trim"]
    assert real("trim-only-loop.json")["direction"].tolist() == ["trim"]
    row = one("fsync.json")
    assert row["syncs"] == document(FIXTURES / "real" / "fsync.json")["jobs"][0]["sync"]["total_ios"] > 0
    assert row["cpu_s_per_io"] == pytest.approx((0.024 + 0.265) * 1.0 / row["ios"])


def test_cpu_time_is_shared_over_all_directions() -> None:
    rows = real("jsonplus-randrw.json")
    entry = document(FIXTURES / "real" / "jsonplus-randrw.json")["jobs"][0]
    seconds = (entry["usr_cpu"] + entry["sys_cpu"]) / 100 * entry["job_runtime"] / 1000
    assert rows["cpu_s_per_io"].tolist() == pytest.approx([seconds / rows["ios"].sum()] * 2)


def test_cpu_of_merged_jobs_is_over_their_summed_runtime() -> None:
    row = one("group-reporting.json")
    assert row["cpu_s_per_io"] == pytest.approx((row["user_cpu_share"] + row["system_cpu_share"]) * 3.0 / row["ios"])


def test_ramp_time_is_in_neither_cpu_nor_runtime() -> None:
    ramp, none = one("ramp.json"), one("noramp.json")
    assert ramp["user_cpu_share"] + ramp["system_cpu_share"] <= 1.01
    assert ramp["job_runtime_s"] == pytest.approx(none["job_runtime_s"], rel=0.01)
    assert ramp["cpu_s_per_io"] == pytest.approx(none["cpu_s_per_io"], rel=0.1)


def test_clients_are_listed_without_their_sum() -> None:
    assert real("client-one.json")["job"].tolist() == ["c", "c"]
    rows = real("client-two.json")
    assert rows["client"].tolist() == ["127.0.0.1:9911"] * 2 + ["127.0.0.1:9912"] * 2 or rows["client"].nunique() == 2
    assert rows["jobs"].tolist() == [1] * 4
    assert rows["little_ok"].all()


def test_running_totals_are_superseded_by_the_last() -> None:
    for name in ("status-interval.json", "status-interval-stonewall.json"):
        rows = real(name)
        last = rows.groupby("document")["last"].first().tolist()
        assert last == [False] * (len(last) - 1) + [True]
        assert rows["ios"].max() == rows[rows["last"]]["ios"].max()


@pytest.mark.parametrize("name", ["sweep-appended.json", "repeated-appended.json"])
def test_runs_appended_to_one_file_all_count(name: str) -> None:
    rows = real(name)
    assert rows["document"].tolist() == list(range(len(rows)))
    assert rows["last"].all()


def test_repeats_that_happen_to_count_more_do_not_supersede() -> None:
    text = (FIXTURES / "real" / "repeated-appended.json").read_text()
    rows = read_text(
        text.replace('"runtime" : 1002,', '"runtime" : 1001,').replace('"runtime" : 1004,', '"runtime" : 1002,'), "x"
    ).jobs
    assert rows["last"].all()


def test_text_around_the_document() -> None:
    assert real("normal-json-terse.txt")["job"].tolist() == ["normal"]
    text = (FIXTURES / "real" / "json-libaio-qd8.json").read_text()
    around = f"$ {{fio}} x.fio {{\nfio: this is a warning\nfio-3.33\n{text}\n3;fio-3.33;x;0;0\nroot@host:~# {{}}\n"
    assert read_text(around, "around").jobs["ios"].tolist() == real("json-libaio-qd8.json")["ios"].tolist()


def test_message_in_the_middle_of_a_document() -> None:
    lines = (FIXTURES / "real" / "json-libaio-qd8.json").read_text().splitlines()
    lines.insert(40, "fio: io_u error on file x: Input/output error")
    lines.insert(90, "Jobs: 1 (f=1): [r(1)][50.0%][r=1MiB/s][r=1 IOPS][eta 00m:01s]")
    assert read_text("\n".join(lines), "middle").jobs["ios"].tolist() == real("json-libaio-qd8.json")["ios"].tolist()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "encoded.json"
    path.write_bytes(
        (FIXTURES / "real" / "json-libaio-qd8.json").read_text().replace("plain", "plaîn").encode(encoding)
    )
    assert read_file(path).jobs["job"].tolist() == ["plaîn"]


def test_bytes_that_are_not_utf8_in_a_job_name() -> None:
    assert real("latin1-names.json")["job"].tolist() == ["a", "déjà vu"]


def test_numbers_that_printf_writes_and_backslashes() -> None:
    text = (FIXTURES / "real" / "json-libaio-qd8.json").read_text()
    assert '"bw_dev"' in text
    odd = re.sub(r'"bw_dev" : [\d.]+', '"bw_dev" : -nan', text).replace('"filename"', '"was"')
    odd = odd.replace('"name" : "plain"', r'"name" : "plain", "filename" : "\\.\PhysicalDrive1"')
    assert "-nan" in odd
    row = read_text(odd, "odd").jobs.iloc[0]
    assert row["ios"] == one("json-libaio-qd8.json")["ios"]
    assert "PhysicalDrive1" in row["filename"]


def test_a_job_that_failed_leaves_the_others() -> None:
    reading = read_file(FIXTURES / "failed" / "error-one-of-two.json")
    assert reading.jobs["job"].tolist() == ["good"]
    assert reading.rejected["scope"].tolist() == ["job"]
    assert "'bad'" in reading.rejected["reason"][0]
    assert "No space left on device" in reading.rejected["reason"][0]


def test_a_directory_is_read_with_all_below_it(tmp_path: Path) -> None:
    (tmp_path / "a" / ".git").mkdir(parents=True)
    for target in ("a/b.json", "a/.git/c.json", "machine.toml", "d.log"):
        shutil.copy(FIXTURES / "real" / "json-libaio-qd8.json", tmp_path / target)
    reading = read([tmp_path])
    assert [Path(file).name for file in reading.jobs["file"]] == ["b.json", "d.log"]
    assert reading.rejected.empty


def test_nothing_readable_gives_empty_tables_with_the_columns(tmp_path: Path) -> None:
    reading = read([tmp_path, tmp_path / "absent"])
    assert isinstance(reading, Reading)
    assert list(reading.jobs.columns) == list(COLUMNS)
    assert len(reading.rejected) == 2
    with pytest.raises(InputError, match="absent"):
        read_file(tmp_path / "absent")


@pytest.mark.fio
@pytest.mark.skipif(shutil.which("fio") is None, reason="fio is not installed")
def test_this_fio_clears_its_cpu_time_at_the_end_of_the_ramp(tmp_path: Path) -> None:
    command = "fio --thread --name=spin --ioengine=null --size=1T --rw=read --ramp_time=2 --runtime=1 --time_based"
    output = subprocess.run(
        [*command.split(), "--output-format=json+"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    row = read_text(output.stdout, "fio").jobs.iloc[0]
    assert row["job_runtime_s"] == pytest.approx(1.0, abs=0.2)
    # With the ramp in it this would be near 3.
    assert row["user_cpu_share"] + row["system_cpu_share"] <= 1.1
