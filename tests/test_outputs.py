"""Outputs of commands: full disks, planted names, folders of others, and what a kill leaves half-written."""

import os
import re
from pathlib import Path

import cut_sets
import here
import pytest
import synthetic
import tiny_report
from children import holder
from scratch_devices import missing, mounted

from zpmodel.base import files, shipped
from zpmodel.base.errors import InputError, RefusedError
from zpmodel.base.files import check_folder, new_file, remove_half_written, write_atomically
from zpmodel.calibration.calibrate import calibrate
from zpmodel.calibration.store import save
from zpmodel.datasets.any_fio import read_any
from zpmodel.datasets.imported import Said, write_set
from zpmodel.measure import folder as measured
from zpmodel.report.folder import claimed
from zpmodel.study import pieces

as_root = [pytest.mark.root, pytest.mark.skipif(bool(missing()), reason=missing() or "-")]
NOBODY = 65534
FIO = str(Path(__file__).parent / "fixtures/fio/real")
HALF = f"{'a' * 16}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What commands are given: a calibration, a fleet, a short measured set, and pages that run in a moment."""
    folder = tmp_path_factory.mktemp("made")
    save(calibrate(synthetic.data_set(1), resamples=20), folder / "machine.json")
    (folder / "fleet.csv").write_text("name,gib_per_day\n" + "".join(f"machine {n},5\n" for n in range(200)))
    cut_sets.cut(folder / "sets" / "one", lambda point: point.depth == 4 or point.reference)
    tiny_report.write(folder / "notebooks", "compare", parameters='data_set: str = ""  # x')
    return folder


def run(made: Path, *arguments: object) -> tuple[int, list[str]]:
    """Run a command; its status, and what it said on stderr without its progress."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shipped, "notebooks", lambda: made / "notebooks")
        done = here.run(*arguments)
    progress = re.compile(r"\s*|tracing.*|zeroing.*|[\d,]+ of [\d,]+.*|[\w/]+: (done|FAILED).*")
    return done.returncode, [line for line in re.split(r"[\r\n]", done.stderr) if not progress.fullmatch(line)]


OUTPUTS = {
    "calibrate": lambda made, out: ["calibrate", made / "sets/one", "--resamples", 20, "--out", out],
    "import": lambda made, out: ["import", FIO, "--out", out],
    "fleet": lambda made, out: ["fleet", made / "fleet.csv", "--calibration", made / "machine.json", "--out", out],
    "sweep": lambda made, out: [
        *("sweep", "--calibration", made / "machine.json", "--range", "cpu.vector=0.5:2"),
        *("--samples", 2000, "--jobs", 1, "--out", out),
    ],
    "trace": lambda made, out: ["trace", "--ranges", 12, "--save", out],
    "zeroout": lambda made, out: ["zeroout", "--size", "16MiB", "--seconds", 0, "--out", out],
    "batch": lambda made, out: ["batch", made / "sets", "--notebook", "compare", "--out", out],
}


FINAL = ("out", "index.html", "rows.csv", "set.toml", "zeroout.csv", "machine.toml")


@pytest.mark.parametrize("name", OUTPUTS)
class TestFullDisk:
    pytestmark = as_root

    def test_it_is_one_line_and_nothing_half_written(self, made: Path, tmp_path: Path, name: str) -> None:
        with mounted("tmpfs", tmp_path / "small", "-t", "tmpfs", "-o", "size=64k") as small:
            (small / "filler").write_bytes(bytes(60 << 10))
            status, said = run(made, *OUTPUTS[name](made, small / "out"))
            assert status == 2, said
            assert len(said) == 1, said
            assert "No space left" in said[0]
            # Pages and pieces that were finished stay; nothing is cut, and the output itself is not there.
            assert not [path for path in small.rglob("*") if files._TEMPORARY.fullmatch(path.name)]
            assert not [path for path in small.rglob("*") if path.is_file() and path.name in FINAL]


def strangers(folder: Path, name: str) -> Path:
    """A folder of somebody else where everybody may make one, as in /tmp."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o1777)
    (folder / name).mkdir()
    os.chown(folder / name, NOBODY, NOBODY)
    (folder / name).chmod(0o777)
    return folder / name


class TestPlaces:
    pytestmark = as_root

    @pytest.mark.parametrize("name", ["import", "zeroout", "batch", "report", "measure"])
    def test_a_folder_that_somebody_else_put_there_is_refused(self, made: Path, tmp_path: Path, name: str) -> None:
        out = strangers(tmp_path / "shared", "out")
        others = {
            "report": ["report", made / "sets/one", "--notebook", "compare", "--out", out],
            "measure": ["measure", "--target", tmp_path, "--quick", "--out", out],
        }
        status, said = run(made, *(others[name] if name in others else OUTPUTS[name](made, out)))
        assert (status, len(said)) == (2, 1), said
        assert f"owner: user {NOBODY} is not accepted" in said[0]
        assert list(out.iterdir()) == []

    def test_a_sweeps_pieces_are_nobody_elses(self, made: Path, tmp_path: Path) -> None:
        parts = strangers(tmp_path / "shared", ".out.parquet.parts")
        (tmp_path / "victim").write_text("precious")
        for name in ("new-0", "whole", "plan", "from-000000000000.parquet"):
            (parts / name).symlink_to(tmp_path / "victim")
        status, said = run(made, *OUTPUTS["sweep"](made, tmp_path / "shared/out.parquet"))
        assert (status, len(said)) == (2, 1), said
        assert f"owner: user {NOBODY} is not accepted" in said[0]
        assert (tmp_path / "victim").read_text() == "precious"

    def test_ones_own_and_those_of_the_place_are_taken(self, tmp_path: Path) -> None:
        check_folder(strangers(tmp_path / "shared", "theirs").parent / "new")
        (tmp_path / "shared/mine").mkdir()
        check_folder(tmp_path / "shared/mine")
        (tmp_path / "shared").chmod(0o755)  # nobody else can put anything there
        check_folder(tmp_path / "shared/theirs")

    def test_a_hard_link_is_replaced_and_not_written_through(self, tmp_path: Path) -> None:
        (tmp_path / "victim").write_text("precious")
        os.link(tmp_path / "victim", tmp_path / "out")
        write_atomically(tmp_path / "out", "mine")
        assert (tmp_path / "victim").read_text() == "precious"


class TestPlanted:
    @pytest.mark.parametrize("name", ["points", "usage", "set-aside"])
    def test_a_measured_sets_folder_that_is_a_symlink_is_not_followed(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / f".precious.{HALF}").write_text("precious")
        out = cut_sets.cut(tmp_path / "out", lambda point: False)
        if name != "set-aside":
            (out / name).rmdir()
        (out / name).symlink_to(tmp_path / "elsewhere")
        with pytest.raises(InputError, match="symlink"), measured.locked_folder(out):
            pass
        assert len(list((tmp_path / "elsewhere").iterdir())) == 1

    def test_an_import_beside_a_symlink_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out/rows.csv").symlink_to(tmp_path / "victim")
        with pytest.raises(InputError, match="not there yet"):
            write_set(tmp_path / "out", read_any([FIO]), Said(), [FIO])
        assert not (tmp_path / "victim").exists()


class TestKilled:
    @pytest.mark.parametrize("nameless", [True, False])
    def test_a_killed_writer_leaves_no_file(self, tmp_path: Path, nameless: bool) -> None:
        """Where files can be without a name; elsewhere one that the next run in that folder removes."""
        hide = "" if nameless else "os.O_TMPFILE = os.O_DIRECTORY | os.O_CREAT\n"  # refused by every kernel
        writing = f"from zpmodel.base.files import new_file; from pathlib import Path\n{hide}" + (
            f"made = new_file(Path({str(tmp_path / 'out')!r}))\n"
            "file = made.__enter__(); file.write(b'half'); file.flush()"
        )
        with holder(writing) as other:
            other.kill()
            other.wait()
        assert len(list(tmp_path.iterdir())) == (0 if nameless else 1)
        remove_half_written(tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_without_files_that_have_no_name_it_is_the_same(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(files.os, "O_TMPFILE", os.O_DIRECTORY | os.O_CREAT)
        for text in ("one", "two"):
            write_atomically(tmp_path / "out", text)
            assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("out", text)]

        def fails() -> None:
            with new_file(tmp_path / "out") as file:
                file.write(b"half")
                raise RefusedError("no")

        with pytest.raises(RefusedError):
            fails()
        assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("out", "two")]

    def test_only_what_was_half_written_goes(self, tmp_path: Path) -> None:
        for name in (f".points.json.{HALF}", ".bashrc", f"x.{HALF}", f".short.{HALF[:15]}"):
            (tmp_path / name).write_text("x")
        (tmp_path / f".folder.{HALF}").mkdir()
        remove_half_written(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {
            ".bashrc", f"x.{HALF}", f".short.{HALF[:15]}", f".folder.{HALF}"
        }  # fmt: skip

    def test_a_measurement_killed_before_its_plan_goes_on(self, tmp_path: Path) -> None:
        out = tmp_path / "out"
        for name in ("points", "usage"):
            (out / name).mkdir(parents=True)
        (out / f".plan.json.{HALF}").write_text("{")
        with measured.locked_folder(out):
            assert {path.name for path in out.iterdir()} == {"points", "usage"}
        (out / "plan.json").write_text("{}")
        for path in (f"points/.write.json.{HALF}", f"usage/.write.json.{HALF}", f".machine.toml.{HALF}"):
            (out / path).write_text("{")
        with measured.locked_folder(out):
            assert not list(out.rglob(".*"))

    def test_a_reports_half_pages_go_with_the_next(self, tmp_path: Path) -> None:
        with claimed(tmp_path / "out"):
            pass
        for path in (f".index.html.{HALF}", f"parts/.compare.json.gz.{HALF}", f"charts/.a.svg.{HALF}"):
            (tmp_path / "out" / path).write_text("half")
        with claimed(tmp_path / "out"):
            assert [path.name for path in (tmp_path / "out").rglob(".*")] == [".zpmodel-report"]

    def test_a_sweeps_too(self, tmp_path: Path) -> None:
        with pieces._parts(tmp_path / "out") as parts:
            (parts / f".from-0.{HALF}").write_text("half")
        with pieces._parts(tmp_path / "out") as parts:
            assert list(parts.iterdir()) == []


def test_what_a_terminal_obeys_is_shown_by_every_command(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped, "notebooks", lambda: made / "notebooks")
    evil = tmp_path / "evil\x1b[31m\x9b2J"
    cut_sets.cut(evil, lambda point: point.depth == 4 or point.reference)
    (evil / "fleet.csv").write_text("name,gib_per_day\n\x1b]0;you\x07,5\n\x1b[31mx,many\n")
    machine = made / "machine.json"
    for arguments in (
        ["calibrate", evil, "--resamples", "20", "--out", evil / "m.json"],
        ["import", FIO, "--out", evil / "imported"],
        ["fleet", evil / "fleet.csv", "--calibration", machine, "--out", evil / "f.csv"],
        ["sweep", "--calibration", machine, "--grid", "length=1MiB,1GiB", "--out", evil / "s.parquet"],
        ["compare", "--calibration", evil / "m.json", "--length", "1GiB"],
        ["predict", "--calibration", evil / "none.json", "--length", "1GiB"],
        ["structure", "--limits", evil, "--length", "1GiB"],
        ["fio", evil],
        ["report", evil / "none", "--out", evil / "report"],
        ["report", evil, "--notebook", "compare", "--out", evil / "report"],
        ["batch", tmp_path, "--notebook", "compare", "--out", evil / "batch"],
    ):
        done = here.run(*arguments)
        said = done.stdout + done.stderr
        assert said, arguments[0]
        assert "Traceback" not in said, arguments[0]
        assert [letter for letter in said if letter != "\n" and not letter.isprintable()] == [], (arguments[0], said)


def test_every_command_says_things_in_one_way() -> None:
    """Only what rewrites a line of a terminal, and `output.say` itself, speaks to it."""
    folder = Path(shipped.__file__).parents[1] / "commands"
    direct = {
        f"{path.relative_to(folder)}: {line.strip()}"
        for path in folder.rglob("*.py")
        for line in path.read_text().splitlines()
        if "click.echo" in line and "nl=" not in line and "printable" not in line
    }
    assert {line.partition(":")[0] for line in direct} <= {"main.py"}
