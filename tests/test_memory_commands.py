"""``zpmodel clear``, ``read``, ``life`` and ``price``: each figure names its machine, and bad input is one line."""

import json

import pytest
from click.testing import CliRunner

from zpmodel.base.errors import ZpmodelError
from zpmodel.base.units import MIB
from zpmodel.commands.main import app
from zpmodel.memory.clearing.series import published

CPU = """
name = "mine"
model = "a CPU of my own"
[caches]
line = { bytes = 64, source = "by hand" }
l1d = { bytes = 32768, source = "by hand" }
l2 = { bytes = 262144, source = "by hand" }
llc = { bytes = 8388608, source = "by hand" }
"""


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(CPU)
    return str(path)


def run(*arguments):
    done = CliRunner().invoke(app, arguments, catch_exceptions=False, standalone_mode=False)
    return done.output


def asked(*arguments):
    return json.loads(run(*arguments, "--json"))


def test_clearing_of_a_published_cpu_is_what_was_published():
    for row in published("icelake-x-8358").itertuples():
        size = str(row.call_bytes)
        (found,) = asked("clear", size, "--machine", "icelake-x-8358", "--method", row.method)["clearing"]
        assert found["low_bytes_per_s"] < row.bandwidth_bytes_per_s < found["high_bytes_per_s"]
        assert "8358" in found["source"]


def test_clearing_of_ones_own_cpu_is_not_printed_as_anothers(mine):
    (own,) = asked("clear", "2MiB", "--machine", mine)["clearing"]
    assert own["machine"] == "mine"
    assert own["missing"]
    assert own["source"].startswith("not measured on a CPU of my own")
    hot = asked("clear", "4KiB", "--machine", mine, "--hot")["clearing"][0]
    cold = asked("clear", "4KiB", "--machine", mine)["clearing"][0]
    assert hot["bandwidth_bytes_per_s"] > cold["bandwidth_bytes_per_s"]
    assert cold["seconds"] == pytest.approx(4096 / cold["bandwidth_bytes_per_s"])
    assert "a CPU of my own" in run("clear", "2MiB", "--machine", mine)


def test_older_kernels_clear_in_pieces():
    (new,), (old,) = (
        asked("clear", "2MiB", "--machine", "epyc-milan", "--kernel", kernel)["clearing"] for kernel in ("7.3", "6.12")
    )
    assert (new["call_bytes"], old["call_bytes"]) == (2 * MIB, 4096)
    assert old["seconds"] > new["seconds"]


def test_reading_names_its_machine_and_loses(mine):
    known, own = (asked("read", "copy", "--machine", name)["reading"] for name in ("epyc-turin", mine))
    for rows in (known, own):
        page, on_demand, static, virtual = rows
        assert page["against_page"] == 1
        assert static["against_page"] < 1
        assert on_demand["against_page"] == static["against_page"]
        assert virtual["llc_bytes"] == 0 < static["llc_bytes"]
    assert all("not measured on a CPU of my own" in row["source"] for row in own)
    width = [rows[2]["high_bytes_per_s"] / rows[2]["low_bytes_per_s"] for rows in (known, own)]
    assert width[1] > 2 * width[0]
    assert "epyc-turin" in run("read", "sum", "--machine", "epyc-turin")


def test_life_is_told_with_its_sources(tmp_path):
    found = asked("life", "--failure", "counted-270-gb", "--scans-per-s", "1")
    rows = {row["what"]: row for row in found["life"]}
    assert rows["fell back to 4 KiB"]["value"] > 0.9
    assert "270 GB" in found["rests_on"]["failure"]
    (tmp_path / "buddyinfo").write_text("Node 0, zone   Normal" + "      9" * 11 + "\n")
    here = asked("life", "--buddyinfo", str(tmp_path / "buddyinfo"))
    assert "18 free blocks of order 9" in here["rests_on"]["failure"]
    simulated = asked("life", "--failure", "0.3", "--users-per-s", "1", "--scans-per-s", "1", "--simulate", "1")
    share = next(row for row in simulated["simulated"] if row["name"] == "fallback_share")
    told = {row["what"]: row for row in simulated["life"]}["fell back to 4 KiB"]
    assert told["low"] < share["value"] < told["high"]
    assert "rests on" in run("life", "--failure", "here")


def test_price_is_a_share_of_ram():
    rows = asked("price", "--folio", "32MiB", "--ram", "1GiB")["price"]
    assert rows[0]["ram_share"] == 1 / 32
    table = asked("price", "--ram", "64GiB", "--held-share", "0.5")["price"]
    assert {row["architecture"] for row in table} >= {"x86_64", "arm64", "s390x"}
    assert next(row for row in table if row["architecture"] == "x86_64")["ram_share"] == 1 / 65536
    assert "reasonable" in run("price")


@pytest.mark.parametrize(
    "line",
    [
        "clear 0",
        "clear 2MB2",
        "clear --machine nope",
        "clear --method mov",
        "clear 2MiB --region 1MiB",
        "clear --kernel 3.0",
        "clear --without nope",
        "read hash",
        "read --crc md5",
        "read --chunk 0",
        "read --folio x",
        "read --without nope",
        "life --failure sometimes",
        "life --failure 1.5",
        "life --users-per-s -1",
        "life --hold 0",
        "life --getter x",
        "life --buddyinfo /dev/null",
        "price --ram 0",
        "price --folio -1",
        "price --threshold 0",
    ],
)
def test_bad_input_is_one_of_the_packages_errors(line):
    with pytest.raises(ZpmodelError) as error:
        run(*line.split())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("threshold", ["5e-324", "0", "-1", "nan", "1e999", "1e308", "1.5"])
def test_a_threshold_whose_inverse_is_no_number_is_refused(threshold):
    with pytest.raises(ZpmodelError, match="threshold"):
        run("price", "--threshold", threshold)
