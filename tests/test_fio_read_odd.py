"""Real output of fio in which some figures are wrong, or not the run's."""

import json
from pathlib import Path

import pandas as pd
import pytest

from zpmodel.fio.read import read_file, read_text

ODD = Path(__file__).parent / "fixtures" / "fio" / "odd"


def documents(name: str) -> list[dict]:
    text, found = (ODD / name).read_text(), []
    while "{" in text:
        text = text[text.index("{") :]
        document, end = json.JSONDecoder().raw_decode(text)
        found.append(document)
        text = text[end:]
    return found


def test_submission_that_counts_from_fios_start_is_no_latency() -> None:
    """With ``disable_lat`` no I/O's beginning is noted, and fio prints 1.2 s of submission for each."""
    side = documents("disable-lat.json")[0]["jobs"][0]["read"]
    assert side["slat_ns"]["mean"] > 1e9
    row = read_file(ODD / "disable-lat.json").jobs.iloc[0]
    assert pd.isna(row["slat_mean_ns"])
    assert row["lat_mean_ns"] == row["clat_mean_ns"] == pytest.approx(side["clat_ns"]["mean"])
    assert (row["depth"], row["jobs"], row["total_depth"]) == (4, 1, 4)
    assert row["little"] == pytest.approx(1, abs=0.06)
    assert "disable_lat" in row["notes"]


def test_writes_that_verify_only_counts_cost_no_cpu() -> None:
    job = documents("verify-only.json")[0]["jobs"][0]
    assert (job["write"]["total_ios"], job["write"]["runtime"]) == (2048, 0)
    rows = read_file(ODD / "verify-only.json").jobs
    assert rows["cpu_s_per_io"].isna().all()
    assert rows["notes"].str.contains("2048 I/Os of write took no time").all()
    assert rows.set_index("direction").loc["write", ["iops", "bytes_per_s"]].isna().all()


def test_totals_of_a_ramp_are_superseded_too() -> None:
    """At the end of the ramp fio's counts begin anew: they shrink, but it is still the same run."""
    counts = [document["jobs"][0]["read"]["total_ios"] for document in documents("status-interval-ramp.json")]
    assert counts[3] < counts[2]
    rows = read_file(ODD / "status-interval-ramp.json").jobs
    assert rows[rows["last"]]["ios"].tolist() == [counts[-1]]


def test_runs_with_a_ramp_that_follow_each_other_all_count() -> None:
    last = (ODD / "status-interval-ramp.json").read_text().rpartition('{\n  "fio version"')
    one = last[1] + last[2]
    started = documents("status-interval-ramp.json")[-1]["timestamp_ms"]
    for gap_ms in (5_050, 5_900, 7_000):  # the second run took between 5 and 6 s, and began after the first's end
        later = one.replace(str(started), str(started + gap_ms))
        rows = read_text(one + later, "made").jobs
        assert rows["last"].all(), gap_ms


def test_half_a_character_is_shown_as_it_was_written(tmp_path: Path) -> None:
    """JSON can hold a lone surrogate, and a file's name bytes that are no UTF-8; a table can't."""
    content = (ODD / "disable-lat.json").read_text()
    name = documents("disable-lat.json")[0]["jobs"][0]["jobname"]
    path = tmp_path / "run\udcff.json"
    path.write_text(content.replace(f'"{name}"', '"a\\ud800b"', 1))
    row = read_file(path).jobs.iloc[0]
    assert row["job"] == r"a\ud800b"
    assert row["file"].endswith(r"run\udcff.json")
