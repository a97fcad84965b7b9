"""Spoilt input at every door of the command line: one line and exit status 2, or an answer; never anything else.

    python tools/fuzz_doors.py --count 20000 --state fuzz.jsonl      goes on where it was ended
    python tools/fuzz_doors.py --only 4711                           one input again, with its traceback

Everything goes through `main` in this process, with limits of CPU time, waiting and memory for each input. Nothing is
measured, zeroed or rendered: what would write to a device or run notebooks is replaced by a refusal.
"""

import argparse
import importlib
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import traceback
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent))
import fuzz_folders
import fuzz_inputs
import fuzz_tables

HALF_WRITTEN = re.compile(r"\..{1,60}\.[0-9a-f]{16}", re.DOTALL)
PROGRESS = re.compile(r"[\d,]+ of [\d,]+(, |$)|[\w.-]+/\w+: (unchanged|done)")
# Waiting is long: others may have the CPUs.
CPU_S, WAIT_S, MEMORY_BYTES = 5.0, 60.0, 512 << 20


class TooLongError(BaseException):
    """Raised by a timer; nothing in the package catches it."""


def _too_long(number: int, frame: FrameType | None) -> None:
    raise TooLongError


@contextmanager
def limited(cpu_s: float, wait_s: float) -> Iterator[None]:
    """Let the block use so much CPU time, and take so long."""
    handlers = {number: signal.signal(number, _too_long) for number in (signal.SIGPROF, signal.SIGALRM)}
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    signal.setitimer(signal.ITIMER_REAL, wait_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def harmless(folder: Path) -> Iterator[None]:
    """Replace what writes to devices or renders; work in a folder of our own, without fio."""
    from zpmodel.base.errors import RefusedError

    def refuse(*words: object, **more: object) -> Any:
        raise RefusedError("this is a test of doors")

    before = Path.cwd()
    os.chdir(folder)
    try:
        with (
            mock.patch("zpmodel.report.site.run_all"),
            mock.patch("zpmodel.report.batch.make.run_all"),
            # The engine that draws needs more address space than the limit of memory here.
            mock.patch("zpmodel.report.fragment.PageFiles.chart", return_value=""),
            mock.patch("zpmodel.report.site._scripts", return_value=[]),
            mock.patch("zpmodel.commands.zeroout.open_device", refuse),
            mock.patch("zpmodel.commands.trace.zeroed.open_device", refuse),
            mock.patch("zpmodel.tracing.ranges.scratch_device", refuse),
            mock.patch.dict(os.environ, PATH="/nowhere"),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("error")
            yield
    finally:
        os.chdir(before)


def attempt(arguments: list[str], cpu_s: float = CPU_S, wait_s: float = WAIT_S) -> tuple[str, str]:
    """Run the command line once.

    :return: ``answered`` or ``refused``, or what is wrong; and what was said.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with (
        tempfile.TemporaryFile("w+", errors="replace") as out,
        tempfile.TemporaryFile("w+", errors="replace") as err,
        mock.patch.multiple(sys, argv=["zpmodel", *arguments], stdout=out, stderr=err),
        Path(os.devnull).open() as nothing,
        mock.patch.object(sys, "stdin", nothing),
    ):
        try:
            with limited(cpu_s, wait_s):
                _called(arguments)
        except SystemExit as ended:
            status = ended.code
        except TooLongError:
            return "too long", _end(traceback.format_exc())
        except BaseException:
            return "traceback", _end(traceback.format_exc())
        answer, said = (_all_of(file) for file in (out, err))
    if (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) * 1024 > MEMORY_BYTES:
        return "memory", said
    return _judged(status, answer, said, arguments), said


def _called(arguments: list[str]) -> None:
    from zpmodel.base.errors import ZpmodelError
    from zpmodel.base.text import printable
    from zpmodel.commands.main import main

    module, colon, name = arguments[0].partition(":")
    if not colon or not module.startswith(("zpmodel.", fuzz_folders.__name__, fuzz_tables.__name__)):
        main()
        return
    try:
        getattr(importlib.import_module(module), name)(*arguments[1:])
    except ZpmodelError as error:
        print(f"zpmodel: {printable(str(error))}", file=sys.stderr)
        sys.exit(2)
    sys.exit(0)


def _judged(status: object, answer: str, said: str, arguments: list[str]) -> str:
    if any(unicodedata.category(each) in ("Cc", "Cf") and each != "\n" for each in answer + said):
        return "control characters"
    lines = [line for line in said.splitlines() if not PROGRESS.match(line)]
    if status in (0, 1):
        if "--json" in arguments and "--help" not in arguments and answer.startswith(("{", "[")):
            json.loads(answer, parse_constant=_no_number)
        # Of what is asked with such a word, the answer may repeat it.
        if _NOT_A_NUMBER.search(answer) and not re.search("nan|inf", " ".join(arguments).lower()):
            return "not a number"
        return "answered"
    if status != 2:
        return f"status {status}"
    # The reader of fio's files prints what it can and says what it can't, a line each.
    one = len(lines) == 1 or arguments[0] == "fio"
    return "refused" if one and all(line.startswith("zpmodel: ") for line in lines) else "not one line"


# Not a name at the start of a line, in quotes or brackets, nor what is refused.
_NOT_A_NUMBER = re.compile(r"(?m)(?<![\w.'/\"(-])(?<!^)-?\b(nan|inf)(?![\w.'-]| is not accepted)")


def _no_number(text: str) -> float:
    raise AssertionError(f"{text} is not JSON")


def _all_of(file: Any) -> str:
    try:
        file.flush()
        file.seek(0)
        return str(file.read())
    except OSError:
        return ""  # `main` has closed the door behind an error, so that nothing complains a second time


def _end(text: str) -> str:
    return "\n".join(text.splitlines()[-14:])


def prepare(made: Path) -> None:
    """Let the package write what some doors read."""
    fuzz_inputs.measured(made / "set")
    runs = fuzz_inputs.FIXTURES / "fio/real"
    calls = [
        ["calibrate", str(fuzz_inputs.SET), "--resamples", "20", "--out", str(made / "calibration.json")],
        ["import", str(runs), "--driver", "nvme", "--limits", "nvme-mdts5", "--out", str(made / "imported")],
    ]
    for call in calls:
        program = [sys.executable, "-c", "from zpmodel.commands.main import main; main()", *call]
        subprocess.run(program, check=True, capture_output=True)
    fuzz_folders.prepare(made)


def one(doors: list[fuzz_inputs.Door], seed: int, number: int) -> tuple[str, list[str], str, str]:
    """Make, spoil and try input ``number``: its door, the arguments, the outcome and what was said."""
    chance = random.Random(f"{seed}-{number}")
    door = chance.choices(doors, [door.share for door in doors])[0]
    with tempfile.TemporaryDirectory(prefix="doors-") as name, harmless(Path(name)):
        folder = Path(name)
        arguments = door.make(folder, chance)
        files = sorted(path for path in folder.glob(door.files) if path.is_file()) if door.files else []
        if files:
            path = chance.choice(files)
            if chance.random() < 0.05:
                fuzz_inputs.replaced(path, files, chance)
            else:
                fuzz_inputs.spoil(path, chance)
        outcome, said = attempt(arguments)
        left = [path.name for path in folder.rglob(".*") if HALF_WRITTEN.fullmatch(path.name)]
        if left and outcome in ("answered", "refused"):
            outcome, said = "left half-written", f"{left}: {said}"
    return door.name, arguments, outcome, said.replace(name, "FOLDER")


def open_all(doors: list[fuzz_inputs.Door]) -> None:
    """Hand good input to each door, which must be taken; so that what follows is refused for what is wrong with it.

    The first call of a kernel compiles it, too, for which there is time here.
    """
    for door in doors:
        with tempfile.TemporaryDirectory(prefix="doors-") as name, harmless(Path(name)):
            if door.files:
                arguments = door.make(Path(name), random.Random(0))
                outcome, said = attempt(arguments, 600, 600)
                if outcome != "answered":
                    raise SystemExit(f"{door.name}: good input is not taken: {arguments}: {outcome}: {said}")


def work(count: int, seed: int, state: Path, made: Path) -> None:
    """Try what is not yet in the state, a line each."""
    import numba  # noqa: F401  -- as in a program that has counted before; else everything is walked in plain Python

    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    doors = list(fuzz_inputs.doors(made))
    open_all(doors)
    done = len(state.read_text().splitlines()) if state.exists() else 0
    with state.open("a") as file:
        for number in range(done, count):
            door, arguments, outcome, said = one(doors, seed, number)
            bad = outcome not in ("answered", "refused")
            told = {"arguments": [word[:200] for word in arguments], "said": said[-3000:]} if bad else {}
            file.write(json.dumps({"n": number, "door": door, "outcome": outcome, **told}) + "\n")
            file.flush()


def summary(state: Path) -> str:
    """Counts by door and outcome."""
    counts: dict[str, Counter[str]] = {}
    for line in state.read_text().splitlines():
        found = json.loads(line)
        counts.setdefault(found["door"], Counter())[found["outcome"]] += 1
    rows = [f"{name:45} {sum(of.values()):6} {dict(of.most_common())}" for name, of in sorted(counts.items())]
    return "\n".join([*rows, f"{'all':45} {sum(map(Counter.total, counts.values())):6}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("--state", type=Path, default=Path("fuzz.jsonl"))
    parser.add_argument("--only", type=int)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--made", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        work(asked.count, asked.seed, asked.state, asked.made)
        return
    with tempfile.TemporaryDirectory(prefix="doors-") as folder:
        made = Path(folder)
        prepare(made)
        if asked.only is not None:
            print(*one(list(fuzz_inputs.doors(made)), asked.seed, asked.only), sep="\n")
            return
        again = [sys.executable, __file__, "--worker", "--made", folder, "--state", str(asked.state)]
        again += ["--count", str(asked.count), "--seed", str(asked.seed)]
        while (ended := subprocess.run(again).returncode) != 0:
            if ended > 0:
                sys.exit(ended)
            # It died: killed for memory, or stuck where no timer is looked at. The input that did it is the next one.
            with asked.state.open("a") as file:
                file.write(json.dumps({"door": "?", "outcome": f"died with {ended}"}) + "\n")
    print(summary(asked.state))


if __name__ == "__main__":
    main()
