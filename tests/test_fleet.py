"""Sensitivities and fleets: against what must come out, and bad rows beside good ones."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.calibration.calibrate import calibrate
from zpmodel.calibration.machine_file import load_machine
from zpmodel.calibration.store import save
from zpmodel.commands.fleet import command
from zpmodel.commands.sensitivity import command as sensitivity_command
from zpmodel.datasets import read_data_set
from zpmodel.queue.presets import find_limits
from zpmodel.study.compare import compare
from zpmodel.study.fleet import fleet, read_table
from zpmodel.study.inputs import apply
from zpmodel.study.scenario import Scenario
from zpmodel.study.sensitivity import sensitivity, spans_of
from zpmodel.study.sweep import Span


@pytest.fixture(scope="module")
def machine():
    return calibrate(read_data_set(shipped.data("fio", shipped.DEFAULT_DATA_SET)), resamples=50)


def test_one_input_that_does_all_and_one_that_does_nothing(machine):
    # CPU time is a sum of terms: it knows nothing of the device, and the factor of the largest term decides it.
    spans = {"device.bandwidth": Span(1e8, 1e10, True), "cpu.factor": Span(0.5, 2.0)}
    found = sensitivity(Scenario(machine), spans, output="cpu_s", samples=64)
    assert found.table["input"].tolist() == ["cpu.factor", "device.bandwidth"]
    assert found.table["total"].tolist() == pytest.approx([1, 0], abs=0.1)
    assert found.words.startswith("cpu.factor explains")
    assert "device.bandwidth hardly matters" in found.words
    screened = sensitivity(Scenario(machine), spans, output="cpu_s", method="morris", samples=8)
    # an effect over the whole range: 1.5 times the CPU time
    whole = compare(Scenario(machine), ("static",))[0].prediction.cpu_s.value
    assert screened.table["mu_star"].tolist() == pytest.approx([1.5 * whole, 0], rel=0.01)


def test_a_sum_of_two_terms_is_explained_by_their_variances(machine):
    spans = {"cpu.MiB": Span(0.0, 1.0), "cpu.operation": Span(0.0, 1.0), "cpu.request": Span(0.0, 1.0)}
    found = sensitivity(Scenario(machine), spans, output="cpu_s", samples=256)
    terms = {t.name: t.number * t.each_s for t in compare(Scenario(machine), ("static",))[0].prediction.terms}
    further = terms["further bio"]
    variances = np.array([terms["MiB"] ** 2, terms["operation"] ** 2, (terms["request"] + further) ** 2])
    expected = dict(zip(spans, variances / variances.sum(), strict=True))
    for name, first in zip(found.table["input"], found.table["first"], strict=True):
        assert first == pytest.approx(expected[name], abs=0.15), name


def test_ranks_that_the_samples_do_not_tell_apart_are_marked(machine, tmp_path):
    # Two inputs that do the same to a sum, as much each, and one that does next to nothing.
    spans = {"cpu.vector": Span(0.0, 1.0), "cpu.factor": Span(0.5, 0.5001), "device.latency": Span(0, 1e-9)}
    scenario = Scenario(machine, zero_page="page")
    clear = sensitivity(scenario, spans, output="cpu_s", samples=64)
    assert clear.table["input"][0] == "cpu.vector"
    assert clear.table["rank"].tolist() == [1, 2, 3]
    assert clear.table["not_told_from"][0] == []
    assert clear.words.endswith("Know cpu.vector better first.")
    terms = {t.name: t.number * t.each_s for t in compare(scenario, ("page",))[0].prediction.terms}
    even = {"cpu.vector": Span(0.0, terms["stall"] / terms["vector"]), "cpu.stall": Span(0.0, 1.0)}
    for method, samples in (("sobol", 64), ("morris", 8)):
        found = sensitivity(scenario, even, output="cpu_s", method=method, samples=samples)
        assert found.table["not_told_from"].tolist() == [[2], [1]], method
        assert "the samples don't tell its weight from that of" in found.words
    save(machine, tmp_path / "machine.json")
    asked = ["--calibration", str(tmp_path / "machine.json"), "--samples", "4", "--output", "cpu_s"]
    printed = CliRunner().invoke(sensitivity_command, asked, catch_exceptions=False).stdout
    assert "not to be told apart from" in printed.splitlines()[0]
    written = json.loads(CliRunner().invoke(sensitivity_command, [*asked, "--json"], catch_exceptions=False).stdout)
    assert all(isinstance(row["not_told_from"], list) for row in written["inputs"])


def test_what_changes_nothing_is_said_and_what_makes_no_sense_refused(machine):
    spans = {"device.latency": Span(0, 1e-3), "device.request": Span(0, 1e-5)}
    assert "Nothing" in sensitivity(Scenario(machine), spans, output="cpu_s", samples=4).words
    assert len(spans_of(machine)) > 5
    for bad in ({"samples": 3}, {"output": "nonsense"}, {"spans": {"cpu.factor": Span(0, 1)}}):
        with pytest.raises(InputError):
            sensitivity(Scenario(machine), **{"spans": spans, "samples": 4, **bad})


ROWS = """name,gib_per_day,machines,max_sectors,device.bandwidth,limits
a,100,10,256,,
b,1000,,,2e9,
c,x,1,,,
d,10,1,0,,
e,10,1,,,nonsense
f,50,2,,,nvme-mdts5
"""
SHORT = "name,gib_per_day,machines\n"


def test_a_fleet_is_the_sum_of_its_machines(machine, tmp_path):
    (tmp_path / "fleet.csv").write_text(ROWS)
    found = fleet(read_table(tmp_path / "fleet.csv"), lambda name: machine)
    assert found.machines["name"].tolist() == ["a", "b", "f"]
    assert found.bad["row"].tolist() == [3, 4, 5]
    assert found.bad["why"].str.contains("not accepted").all()
    page, static = compare(apply(Scenario(machine), {"max_sectors": 256}), ("page", "static"))
    saved = page.prediction.cpu_s.value - static.prediction.cpu_s.value
    assert found.machines["cpu_saved_s_per_day"][0] == pytest.approx(1000 * saved)
    total = found.totals["cpu_saved_s_per_day"]
    assert total.value == pytest.approx(found.machines["cpu_saved_s_per_day"].sum())
    # machines of one calibration err together, so the interval of the sum is as wide as theirs
    assert total.low < total.value < total.high
    assert found.machines["memory_mib"].tolist() == [20, 2, 4]
    read_table(tmp_path / "fleet.csv").to_parquet(tmp_path / "fleet.parquet")
    again = fleet(read_table(tmp_path / "fleet.parquet"), lambda name: machine)
    assert again.machines.equals(found.machines)


def test_the_command_lists_bad_rows_and_does_the_rest(machine, tmp_path):
    save(machine, tmp_path / "machine.json")
    (tmp_path / "fleet.csv").write_text(ROWS)
    arguments = [str(tmp_path / "fleet.csv"), "--calibration", str(tmp_path / "machine.json")]
    out = CliRunner().invoke(command, [*arguments, "--out", str(tmp_path / "out.csv")], catch_exceptions=False).output
    assert "row 3 (c): gib_per_day: x is not accepted" in out
    assert "3 rows could not be answered for: 3 machines, in none of these numbers." in out
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 4
    (tmp_path / "link.csv").symlink_to(tmp_path / "elsewhere.csv")
    for taken in ("out.csv", "link.csv"):
        with pytest.raises(InputError):
            CliRunner().invoke(command, [*arguments, "--out", str(tmp_path / taken)], catch_exceptions=False)
    assert not (tmp_path / "elsewhere.csv").exists()
    for bad in ("a,b\n1,2\n", "gib_per_day,nonsense\n1,2\n"):
        (tmp_path / "fleet.csv").write_text(bad)
        assert isinstance(CliRunner().invoke(command, arguments).exception, InputError)


BAD = {
    "gib_per_day": "x",
    "machines": "x",
    "machine": "nonsense",
    "calibration": "nosuch.json",
    "kernel": "9.9",
    "cpu": "486",
    "iommu": "maybe",
    "device": "fast",
    "limits": "nonsense",
    "max_sectors": "0",
    "length": "5x",
    "offset": "100",
    "zero_page": "3KiB",
    "caller": "nobody",
    "depth": "4",
    "device.bandwidth": "-1",
    "device.latency": "1e999",
    "cpu.factor": "1e308",
    "cpu.vector": "2",
}


def test_each_bad_cell_is_said_by_its_row_and_column(tmp_path):
    first, names = {"name": "good", "gib_per_day": "10", "machine": "ebs"}, ["name", "gib_per_day", "machine"]
    columns = [*names, *(column for column in BAD if column not in names)]
    rows = [first, *({**first, "name": f"bad {column}", column: cell} for column, cell in BAD.items())]
    rows[4]["machine"] = ""
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "fleet.csv", index=False)
    printed = CliRunner().invoke(command, [str(tmp_path / "fleet.csv")], catch_exceptions=False)
    assert printed.exit_code == 0
    lines = [line for line in printed.stdout.splitlines() if line.startswith("row ")]
    for number, (column, line) in enumerate(zip(BAD, lines, strict=True), 2):
        assert line.startswith(f"row {number} (bad {column}): {column}: "), line
        assert "--" not in line


def test_what_is_wrong_with_a_calibration_s_row_is_its_part_or_the_file(machine, tmp_path):
    save(machine, tmp_path / "machine.json")
    (tmp_path / "own.toml").write_text(shipped.data("composed", "ebs.toml").read_text().replace("us", "weeks"))
    rows = "a,1,machine.json,,zen\nb,1,,own.toml,\nc,1,machine.json,own.toml,\nd,1,,,\n"
    (tmp_path / "fleet.csv").write_text("name,gib_per_day,calibration,machine,cpu\n" + rows)
    bad = json.loads(CliRunner().invoke(command, [str(tmp_path / "fleet.csv"), "--json"]).stdout)["bad"]
    starts = [
        "row 1 (a): cpu: zen is not",
        f"row 2 (b): machine: {tmp_path}/own.toml: device.latency: ",
        "row 3 (c): calibration, machine: ",
        "row 4 (d): machine: none is not",
    ]
    for row, start in zip(bad, starts, strict=True):
        assert row["why"].startswith(start)


@pytest.mark.parametrize(
    ("rows", "words", "left_out"),
    [
        ("a,1,5\nb,x,1\n", "5 machines gain .* 1 row could not be answered for: 1 machine, in none", (1, 1)),
        ("a,1,1\nb,x,7\nc,1,0\n", "1 machine gains .* 2 rows .* 7 machines, .*; how many machines 1 row may", (2, 7)),
        ("b,x,30\nc,-1,2\n", "No row could be answered. 2 rows .*: 32 machines", (2, 32)),
        ("c,1,many\n", "No row .* 1 row could not be answered for; how many machines 1 row may stand", (1, 0)),
        ("a,1,2\n", "hold 4 MiB for it.$", (0, 0)),
    ],
)
def test_the_machines_of_bad_rows_are_counted_apart(tmp_path, rows, words, left_out):
    (tmp_path / "fleet.csv").write_text(SHORT + rows)
    asked = [str(tmp_path / "fleet.csv"), "--machine", "ebs"]
    found = json.loads(CliRunner().invoke(command, [*asked, "--json"], catch_exceptions=False).stdout)
    assert re.search(words, found["words"]), found["words"]
    assert found["left_out"] == dict(zip(("rows", "machines"), left_out, strict=True))
    assert sum(row["machines"] or 0 for row in found["bad"]) == left_out[1]
    assert found["words"] in CliRunner().invoke(command, asked).stdout


@pytest.mark.parametrize(
    ("rows", "why"),
    [("a,1e308,1\n", "1e\\+12"), ("a,1,1e300\n", "1e\\+09"), ("a,1e999,1\n", "1e\\+12"), ("a,-0.1,1\n", "from 0")],
)
def test_more_than_there_can_be_is_a_bad_row(machine, tmp_path, rows, why):
    (tmp_path / "fleet.csv").write_text(SHORT + rows + "b,1000,2\n")
    found = fleet(read_table(tmp_path / "fleet.csv"), lambda name: machine)
    assert found.machines["name"].tolist() == ["b"]
    assert found.bad["why"].str.contains(why).tolist() == [True]


@pytest.mark.parametrize(
    "text", ["", "\0", SHORT + "a,100,1,7\n", "gib_per_day,gib_per_day\n1,2\n", SHORT + 'a,"1\n', "\xff"]
)
def test_what_is_no_table_is_refused(tmp_path, text):
    """Cells beyond the header would have moved all others into the next column."""
    (tmp_path / "fleet.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"fleet\.csv"):
        read_table(tmp_path / "fleet.csv")
    (tmp_path / "fleet.parquet").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"fleet\.parquet"):
        read_table(tmp_path / "fleet.parquet")


def test_cells_that_a_row_lacks_at_its_end_are_empty(machine, tmp_path):
    (tmp_path / "fleet.csv").write_text(SHORT + "a,100\n\nb,100,1\n")
    found = fleet(read_table(tmp_path / "fleet.csv"), lambda name: machine)
    assert found.machines["machines"].tolist() == [1, 1]


def test_a_parquet_file_of_a_few_bytes_and_many_rows_is_refused(tmp_path):
    rows = pd.DataFrame({"gib_per_day": np.ones(1_000_001)})
    rows.to_parquet(tmp_path / "many.parquet")
    pd.DataFrame({"gib_per_day": [[1.0, 2.0]]}).to_parquet(tmp_path / "lists.parquet")
    for name, why in (("many", "at most 1000000"), ("lists", "a number or a text")):
        with pytest.raises(InputError, match=why):
            read_table(tmp_path / f"{name}.parquet")


def test_files_of_limits_are_beside_the_table_too(tmp_path, monkeypatch):
    """As all others; one of the name in the current folder is not looked at."""
    (tmp_path / "fleet").mkdir()
    for folder, sectors in ((tmp_path / "fleet", 255), (tmp_path, 2048)):
        values = {"max_sectors": sectors, "max_segments": 128, "max_segment_size": 65536}
        (folder / "queue.json").write_text(json.dumps(values))
    rows = "in a file,1,ebs,queue.json,\nthe same,1,ebs,,255\n"
    (tmp_path / "fleet" / "fleet.csv").write_text("name,gib_per_day,machine,limits,max_sectors\n" + rows)
    monkeypatch.chdir(tmp_path)
    line = [str(tmp_path / "fleet" / "fleet.csv"), "--json"]
    found = json.loads(CliRunner().invoke(command, line, catch_exceptions=False).stdout)
    assert found["bad"] == []
    in_file, other = (row["speedup"] for row in found["machines"])
    small = replace(Scenario(load_machine("ebs")), limits=find_limits(str(tmp_path / "fleet" / "queue.json")))
    assert in_file == pytest.approx(compare(small, ("page", "static"))[1].speedup.value)
    assert in_file != other


COMPOSED = """name,gib_per_day,calibration,machine,device,iommu
shipped,100,,nvme-mailing-list,,
parts,100,,nvme-mailing-list,2 GB/s,lazy
file,100,,own.toml,,
of the option,100,,,,
option with a part,100,,,nvme-b,
both,100,machine.json,ebs,,
unknown,100,,nonsense,,
"""


def test_a_row_names_a_composed_machine_as_compare_does(machine, tmp_path, monkeypatch):
    folder = tmp_path / "fleet"
    folder.mkdir()
    save(machine, tmp_path / "machine.json")
    (folder / "own.toml").write_text(shipped.data("composed", "ebs.toml").read_text())
    (folder / "fleet.csv").write_text(COMPOSED)
    monkeypatch.chdir(tmp_path)  # a row's files are beside the table, an option's where one is

    def ask(*options):
        line = [str(folder / "fleet.csv"), "--json", *options]
        return json.loads(CliRunner().invoke(command, line, catch_exceptions=False).stdout)

    found = ask("--machine", "nvme-strict", "--iommu", "none")
    rows = {row["name"]: row for row in found["machines"]}
    expected = {
        "shipped": load_machine("nvme-mailing-list"),
        "parts": load_machine("nvme-mailing-list", device="2 GB/s", iommu="lazy"),
        "file": load_machine("ebs"),
        "of the option": load_machine("nvme-strict", iommu="none"),
        "option with a part": load_machine("nvme-strict", iommu="none", device="nvme-b"),
    }
    assert rows.keys() == expected.keys()
    for name, composed in expected.items():
        saved = compare(Scenario(composed), ("page", "static"))[1].cpu_saved_s
        assert rows[name]["cpu_saved_s_per_day"] == pytest.approx(100 * saved.value), name
        assert rows[name]["cpu_saved_s_per_day_high"] == pytest.approx(100 * saved.high), name
    assert {row["name"]: row["why"].split(";")[0].rpartition(": ")[2] for row in found["bad"]} == {
        "both": "machine.json, ebs is not accepted",
        "unknown": "nonsense is not accepted",
    }
    without = ask()
    lacking = [row["why"] for row in without["bad"] if row["name"].startswith("o")]
    assert len(lacking) == 2
    assert all(why.endswith("calibration or machine in the row, --calibration or --machine") for why in lacking)


def test_what_calibrations_take_for_granted_is_said_once(machine, tmp_path):
    for name in ("one", "two"):
        save(replace(machine, name=name, assumed=("CPU time is of one thread",)), tmp_path / f"{name}.json")
    table = tmp_path / "fleet.csv"
    table.write_text("gib_per_day,calibration,length\n1,one.json,1MiB\n1,two.json,1MiB\n1,one.json,1GiB\n")
    found = CliRunner().invoke(command, [str(table)])
    assert found.exit_code == 0
    assert found.stderr == "note: one takes for granted: CPU time is of one thread\n"


def test_a_write_that_no_call_makes_is_refused_at_once(machine):
    """Its buffer's pages, one by one, would have filled the memory."""
    for length in (1 << 40, (1 << 63) - 4096):
        with pytest.raises(InputError, match="at most 2 GiB"):
            compare(apply(Scenario(machine), {"caller": "fio_write", "length": length}), ("page", "static"))
