"""The command line: what it prints, how fast it starts, and that bad input is one line and exit status 2."""

import json
import os
import subprocess
import sys

import here
import pytest

import zpmodel
from zpmodel.base import shipped
from zpmodel.commands.main import COMMANDS

ZPMODEL = [sys.executable, "-c", "from zpmodel.commands.main import main; main()"]
# One range is counted in plain Python anyway; here everything is, as compiling takes longer than these few ranges.
ENVIRONMENT = {**os.environ, "NUMBA_DISABLE_JIT": "1"}


def run(*arguments, stdin=None):
    return subprocess.run(
        [*ZPMODEL, *map(str, arguments)], capture_output=True, text=True, input=stdin, env=ENVIRONMENT, check=False
    )


def refused(done):
    lines = done.stderr.strip().splitlines()
    return done.returncode == 2 and len(lines) == 1 and lines[0].startswith("zpmodel: ") and done.stdout == ""


def cpu_s_of_best(n, command):
    """CPU time [s]: what else runs on the machine has little say in it."""
    times = []
    for _ in range(n):
        before = os.times()
        subprocess.run(command, check=True, capture_output=True)
        after = os.times()
        times.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return min(times)


def test_help_and_import_are_quick():
    assert cpu_s_of_best(5, [*ZPMODEL, "--help"]) < 0.5
    assert cpu_s_of_best(5, [sys.executable, "-c", "import zpmodel"]) < 0.3


def test_a_near_command_is_suggested():
    done = run("compre")
    assert refused(done)
    assert "Did you mean 'compare'?" in done.stderr


def test_tab_completion_shows_the_public_names_alone():
    names = dir(zpmodel)
    assert {"ZeroPage", "QueueLimits", "find_limits", "count", "read_fio", "read_data_set", "calibrate"} < {*names}
    assert {"Machine", "load_machine", "Scenario", "predict", "compare", "__version__"} < {*names}
    assert all(getattr(zpmodel, name) is not None for name in names)
    assert not {"importlib", "Any"} & {*names}
    with pytest.raises(AttributeError, match="nosuchname"):
        _ = zpmodel.nosuchname


def test_help_imports_nothing_heavy():
    code = "import sys; sys.argv = ['zpmodel', '--help']\nfrom zpmodel.commands.main import main\n"
    code += "try: main()\nexcept SystemExit: pass\n"
    code += "print([m for m in ('numpy', 'numba', 'pandas', 'altair', 'scipy') if m in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_that_shows_an_example(name):
    done = here.run(name, "--help")
    assert done.returncode == 0
    assert f"zpmodel {name}" in done.stdout
    assert "--json" in done.stdout


def test_structure_table_and_json():
    done = run("structure", "--zero-page", "static", "--limits", "nvme-mdts5", "--length", "1TiB")
    assert done.returncode == 0
    assert "8,388,608" in done.stdout
    found = json.loads(
        run("structure", "--zero-page", "64KiB", "--limits", "loop", "--length", "1GiB", "--json").stdout
    )
    assert found["operation"] == "write"
    assert sum(r["bytes"] * r["count"] for r in found["requests"]) == 1 << 30
    assert found["if_nvme"]["commands"] == found["request_count"]
    # That descriptors depend on the controller is said, and both are counted.
    assert [found[name]["sgl_commands"] > 0 for name in ("if_nvme", "if_nvme_without_sgl")] == [True, False]
    assert "PRP entries (NVMe without SGLs)   268,435,456" in done.stdout
    for options, said in (([], "A controller with SGLs is assumed"), (["--no-sgl"], "without SGLs, as asked")):
        assert said in run("instructions", "--mdts", "5", *options).stdout


def test_cases_come_out_in_their_order(tmp_path):
    lines = shipped.data("kernel", "zeroout-7.2.jsonl").read_text().splitlines()[:40]
    (tmp_path / "cases.jsonl").write_text("\n".join(lines) + "\n")
    for done in (
        run("structure", "--cases", tmp_path / "cases.jsonl"),
        run("structure", "--cases", "-", stdin="\n".join(lines)),
    ):
        found = [json.loads(line) for line in done.stdout.splitlines()]
        assert [case["splits"] for case in found] == [json.loads(line)["splits"] for line in lines]
        assert set(found[0]) == {"operation", "bios", "splits", "back_merges", "requests"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["structure"],
        ["structure", "--limits", "loop"],
        ["structure", "--limits", "/sys/block/nosuchdevice", "--length", "4096"],
        ["structure", "--limits", "nosuchpreset", "--length", "4096"],
        ["structure", "--limits", "loop", "--length", "0"],
        ["structure", "--limits", "loop", "--length", "1000"],
        ["structure", "--limits", "loop", "--length", "-1"],
        ["structure", "--limits", "loop", "--length", "4096", "--offset", "9223372036854775808"],
        ["structure", "--limits", "loop", "--length", "4096", "--zero-page", "3KiB"],
        ["structure", "--cases", "/nonexistent"],
        ["structure", "--cases", "-", "--limits", "loop"],
        ["nosuchcommand"],
        ["--nosuchoption"],
        ["calibrate", "/nonexistent"],
        ["compare", "--calibration", "/nonexistent"],
        ["compare"],
        ["predict", "--calibration", "/etc/passwd"],
        ["report", "/nonexistent"],
        ["report", "--notebook", "nosuch"],
        ["report", "-p", "nosuchparameter=1"],
        ["report", "-p", "novalue"],
        ["report", "--out", "/proc/nowhere"],
    ],
    ids=" ".join,
)
def test_bad_input_is_one_line_and_status_2(arguments, tmp_path):
    done = here.run(*arguments, cwd=tmp_path)
    assert refused(done), (done.returncode, done.stdout, done.stderr)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text", ["{", '{"limits": {}}', "\x00\x01", '{"offset": 0}', "[]", '{"limits": 5, "offset": 0, "length": 512}']
)
def test_bad_cases_print_nothing_even_after_good_ones(text):
    good = shipped.data("kernel", "zeroout-7.2.jsonl").read_text().splitlines()[0]
    done = run("structure", "--cases", "-", stdin=f"{good}\n{text}\n")
    assert refused(done)
    assert "line 2" in done.stderr


@pytest.mark.parametrize("cases", [5, 500])  # the reader leaves after all is written, or (most times) before
def test_a_reader_that_leaves_early_is_no_error(cases):
    lines = "\n".join(shipped.data("kernel", "zeroout-7.2.jsonl").read_text().splitlines()[:cases])
    count = f"{sys.executable} -c 'from zpmodel.commands.main import main; main()' structure --cases -"
    command = f"{count} | head -n 1 >/dev/null; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], input=lines, capture_output=True, text=True, env=ENVIRONMENT, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_calibrate_compare_and_predict_one_after_the_other(tmp_path):
    folder = shipped.data("fio", shipped.DEFAULT_DATA_SET)
    out = tmp_path / "machine.json"
    environment = {name: value for name, value in ENVIRONMENT.items() if name != "NUMBA_DISABLE_JIT"}
    done = subprocess.run(
        [*ZPMODEL, "calibrate", str(folder), "--out", str(out), "--resamples", "40", "--json"],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    assert {row["cost of"] for row in json.loads(done.stdout)["costs"]} >= {"vector", "request", "latency"}
    found = json.loads(run("compare", "--calibration", out, "--length", "1GiB", "--json").stdout)
    page, on_demand, static = found["policies"]
    assert static["speedup_low"] <= static["speedup"] <= static["speedup_high"]
    assert page["vectors"] == 512 * static["vectors"]
    assert page["cpu_s"] > on_demand["cpu_s"] > static["cpu_s"]
    assert on_demand["rests_on"]["failure"]
    one = json.loads(run("predict", "--calibration", out, "--zero-page", "static", "--length", "1GiB", "--json").stdout)
    assert one["elapsed_s"]["value"] == pytest.approx(static["elapsed_s"])
    assert refused(run("calibrate", folder, "--out", tmp_path / "no" / "such" / "folder.json"))


@pytest.mark.parametrize(
    "change",
    [
        {"cpu": [[1, 2]]},
        {"cpu_draws": []},
        {"cpu": [[float("nan")] * 7]},
        {"cpu": [[-1.0] * 7]},
        {"device": [[0.0] * 8]},
        {"ring": "x"},
        {"ring": -1},
        {"cache_mib": -5},
        {"ratio_scatter": "x"},
        {"driver": {"source": "x", "limits": {"max_segments": 1}}},
    ],
    ids=str,
)
def test_damaged_calibrations_are_refused(change, calibration, tmp_path):
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(json.loads(calibration.read_text()) | change))
    assert refused(here.run("compare", "--calibration", broken))


@pytest.fixture(scope="module")
def calibration(tmp_path_factory):
    import synthetic

    from zpmodel.calibration.calibrate import calibrate
    from zpmodel.calibration.store import save

    path = tmp_path_factory.mktemp("calibration") / "machine.json"
    save(calibrate(synthetic.data_set(1), resamples=20), path)
    return path


@pytest.mark.parametrize(
    "arguments",
    [
        ["structure", "--limits", "x" * 300, "--length", "1GiB"],
        ["structure", "--limits", "loop", "--length", "9" * 5000],
        ["structure", "--limits", "nvme", "--length", "1GiB"],
        ["structure", "--limits", "nvme-mdts5@0.5", "--length", "1GiB"],
        ["structure", "--limits", "nvme-mdts5@99.1", "--length", "1GiB"],
        ["structure", "--cases", "/proc/self/mem"],
        ["structure", "--cases", "-", "--offset", "4096"],
        ["calibrate", "x", "--seed", "-1"],
        ["calibrate", "x", "--out", "/"],
        ["trace", "--save", "/nosuch/x.jsonl"],
        ["zeroout", "--out", "/proc/x"],
    ],
    ids=lambda arguments: " ".join(arguments)[:60],
)
def test_odd_input_is_one_line_and_status_2(arguments):
    assert refused(here.run(*arguments))


def test_a_full_disk_is_one_line():
    with open("/dev/full", "w") as full:  # noqa: PTH123
        command = [*ZPMODEL, "structure", "--limits", "loop", "--length", "1GiB", "--json"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, check=False)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
