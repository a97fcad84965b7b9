"""Broken input: one clear reason each, from the API and from the command."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from zpmodel.base.errors import InputError
from zpmodel.fio.read import read, read_file, read_text

FIXTURES = Path(__file__).parent / "fixtures" / "fio"
GOOD = FIXTURES / "real" / "json-libaio-qd8.json"
TEXT = GOOD.read_text()


def changed(**fields: object) -> str:
    whole = json.loads(TEXT)
    whole["jobs"][0]["read"].update(fields)
    return json.dumps(whole)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b" \n\n", "empty file"),
        (b"\x7fELF\x02\x01\x01\0\0\0\0\0\x02{\0", "binary data"),
        (bytes(range(256)) * 4, "binary data"),
        (b"\x1f\x8b\x08\x00aaaa", "gzip data"),
        (b"hello", "no JSON document"),
        (b"{ this is not JSON }", "no fio document"),
        (b'{"a": 1}', "fio didn't write"),
        (b"[1, 2, 3]", "no JSON document"),
        (b'{"jobs": {"build": {"runs-on": "x"}}}', "a list of jobs"),
        (b'{"fio version": "fio-3.1"}', "a list of jobs"),
        (b'{"fio version": "fio-3.1", "jobs": []}', "an empty list"),
        (b'{"fio version": "fio-3.1", "jobs": [3]}', "a list of jobs"),
        (b'{"fio version": "fio-3.1", "jobs": [{"jobname": "x"}]}', "read, write, trim or mixed"),
        (b'{"fio version": "fio-3.1", "jobs": [{"read": {}, "write": 3}]}', "total_ios"),
        (changed(total_ios="many").encode(), "total_ios: many"),
        (changed(total_ios=-1).encode(), "no negative number"),
        (changed(io_bytes=1e300).encode(), "at most 2^64"),
        (changed(total_ios=True).encode(), "total_ios: True"),
        (changed(io_bytes=None).encode(), "io_bytes"),
        (changed(total_ios=float("inf"), iops=None).encode(), "total_ios"),
        (changed(total_ios=10**400).encode(), "total_ios"),
        (changed(lat_ns=[1]).encode(), "lat_ns"),
        (TEXT.replace('"total_ios" : ', '"total_ios" : ' + "9" * 5000, 1).encode(), "a number too long"),
        (b'{"fio version": ' + b'{"a":' * 100_000, "nested too deeply"),
        (b"{" * 100_000, "no fio document"),
        (b'{"' * 100_000, "no fio document"),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else value,
)
def test_reasons(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.json") as caught:
        read_file(path)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    reading = read([path, GOOD])
    assert reading.rejected["file"].tolist() == [str(path)]
    assert set(reading.jobs["file"]) == {str(GOOD)}


@pytest.mark.parametrize("kept", [60, 400, 2000, len(TEXT.rstrip()) - 1])
def test_truncated(kept: int) -> None:
    with pytest.raises(InputError, match=rf"truncated at line {TEXT[:kept].rstrip().count(chr(10)) + 1}\b"):
        read_text(TEXT[:kept], "cut")


def test_truncated_after_whole_documents() -> None:
    text = (FIXTURES / "real" / "status-interval.json").read_text()
    with pytest.raises(InputError, match="after 3 whole documents"):
        read_text(text[:-200], "cut")


def test_without_its_beginning() -> None:
    with pytest.raises(InputError, match="fio didn't write"):
        read_text(TEXT[200:], "cut")


def test_malformed_in_the_middle() -> None:
    lines = TEXT.splitlines()
    lines[50] = "  @@@@"
    with pytest.raises(InputError, match="malformed at line 5"):
        read_text("\n".join(lines), "odd")


@pytest.mark.parametrize("name", ["error-enospc.json", "error-bad-buffer.json", "error-bad-option.txt"])
def test_runs_that_failed(name: str) -> None:
    with pytest.raises(InputError, match=r"error|no JSON"):
        read_file(FIXTURES / "failed" / name)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_file(tmp_path / "absent.json")
    with pytest.raises(InputError, match="a device"):
        read_file("/dev/zero")
    with pytest.raises(InputError, match="a directory"):
        read_file(tmp_path)
    with pytest.raises(InputError):
        read_file("nul\0byte")
    assert "no file below it" in read([tmp_path]).rejected["reason"][0]
    assert len(read(["nul\0byte"]).rejected) == 1


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", "from zpmodel.commands.main import main; main()", "fio", *map(str, arguments)]
    return subprocess.run(program, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "80"})


def test_the_command_prints_the_good_and_names_the_bad(tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text(TEXT[:300])
    done = run(GOOD, bad, tmp_path / "absent.json")
    assert done.returncode == 2
    assert "plain" in done.stdout
    errors = done.stderr.splitlines()
    assert len(errors) == 2
    assert "bad.json" in errors[0]
    assert "truncated" in errors[0]
    assert "absent.json" in errors[1]


def test_the_command_in_json(tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("")
    done = run(FIXTURES / "real" / "gtod-reduce.json", bad, "--json")
    assert done.returncode == 2
    assert done.stderr == ""
    result = json.loads(done.stdout)
    assert result["jobs"][0]["block_bytes"] == 4096
    assert result["jobs"][0]["lat_mean_ns"] is None
    assert result["jobs"][0]["little_ok"] is None
    assert "empty file" in result["rejected"][0]["reason"]


def test_the_command_without_a_fault() -> None:
    done = run(GOOD, FIXTURES / "real" / "status-interval.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 3, "a head, one job, and of four running totals the last"
    assert len(json.loads(run(FIXTURES / "real" / "status-interval.json", "--json").stdout)["jobs"]) == 4


def test_a_name_that_is_no_utf8_stands_in_the_tables(tmp_path: Path) -> None:
    path = tmp_path / "runs-\udcff.json"
    path.write_bytes((FIXTURES / "real/sweep-qd1.json").read_bytes())
    found = read([path, tmp_path / "none-\udcff"])
    assert found.jobs["file"].str.endswith("runs-\\udcff.json").all()
    assert found.rejected["file"].str.endswith("none-\\udcff").all()
