"""Ends long commands at random moments by signals: obeyed, nothing left, nothing lost, output whole or absent.

    python tools/kill_campaign.py measure --kills 66
    python tools/kill_campaign.py calibrate --kills 120 --signals INT

As root. Children begin with the usual signal handling, whatever this program was told to ignore. What is left is looked
for by tests/machine_state.py: at once, and after a kill -9 when the next run has cleaned up.
"""

import argparse
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
import children
import machine_state

ROOT = Path(__file__).parent.parent
PATIENCE_S = 30.0
CALL = "from zpmodel.commands.main import main; main()"
SMALL = (
    "import dataclasses; from zpmodel.measure import run; run.QUICK = dataclasses.replace("
    "run.QUICK, file_bytes=16 << 20, seconds_per_point=0.05, min_rounds=2, max_rounds=2, precision=0); "
)
SET = ROOT / "data/fio/kvm-zen5-virtio"


class Command(NamedTuple):
    """What is ended: its arguments in a folder, the last moment [s], and a check of what it left there."""

    arguments: Callable[[Path], list[str]]
    latest_s: float
    check: Callable[[Path], None]
    code: str = CALL


def _points(folder: Path) -> None:
    """Every point is whole, and none of an earlier look is gone or another."""
    from zpmodel.datasets import points

    out, record = folder / "out", folder / "seen.json"
    before = json.loads(record.read_text()) if record.exists() else {}
    now = {}
    for path in (out / "points").glob("[!.]*"):
        points.read_point(out, path.stem)
        now[path.name] = [path.stat().st_ino, path.read_text()]
    for name, seen in before.items():
        assert now.get(name) == seen, f"{name} was lost or changed"
    record.write_text(json.dumps(now))


def _pages(folder: Path) -> None:
    for page in (folder / "out").glob("*.html"):
        assert page.read_text().rstrip().endswith("</html>"), f"{page} is cut"


def _calibration(folder: Path) -> None:
    from zpmodel.calibration.store import read

    if (folder / "m.json").exists():
        read(folder / "m.json")
    assert not list(folder.glob(".m.json*"))


def _json_lines(folder: Path) -> None:
    if (folder / "ranges.jsonl").exists():
        assert len([json.loads(line) for line in (folder / "ranges.jsonl").read_text().splitlines()]) == 30
        (folder / "ranges.jsonl").unlink()


def _rows(folder: Path) -> None:
    out = folder / "out"
    if out.exists() and list(out.iterdir()):
        rows = (out / "zeroout.csv").read_text()
        assert rows.endswith("\n")
        assert len({line.count(",") for line in rows.splitlines()}) == 1
        tomllib.loads((out / "machine.toml").read_text())
        out.rename(folder / f"kept-{secrets.token_hex(4)}")


COMMANDS = {
    "measure": Command(
        lambda f: ["measure", "--target", str(f), "--out", str(f / "out"), "--quick", "--time", "3000"], 6.0, _points,
        SMALL + CALL,
    ),
    "report": Command(lambda f: ["report", "--out", str(f / "out"), "--workers", "2"], 10.0, _pages),
    "calibrate": Command(lambda f: ["calibrate", str(SET), "--out", str(f / "m.json")], 8.0, _calibration),
    "validate": Command(lambda f: ["validate", str(SET)], 8.0, lambda f: None),
    "trace": Command(lambda f: ["trace", "--ranges", "30", "--save", str(f / "ranges.jsonl")], 5.0, _json_lines),
    "zeroout": Command(
        lambda f: ["zeroout", "--size", "64MiB", "--seconds", "3", "--out", str(f / "out")], 6.0, _rows
    ),
}  # fmt: skip


def left(before: dict[str, set[str]], ignored: tuple[str, ...]) -> list[str]:
    """What is new on the machine after some patience; test runs beside us are not looked at."""
    end = time.monotonic() + 5
    while True:
        found = machine_state.differences(before, patience_s=0)
        found = [line for line in found if not any(word in line for word in ignored)]
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.1)


def end_one(command: Command, folder: Path, ending: signal.Signals, moment_s: float) -> tuple[int, str, float]:
    """Start, wait, end; status, what it said on stderr, and how long it took to obey [s]."""
    child = children.python(
        command.code, *command.arguments(folder), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=folder,
        start_new_session=True,
    )  # fmt: skip
    try:
        _, said = child.communicate(timeout=moment_s)
        return child.returncode, said, 0.0
    except subprocess.TimeoutExpired:
        pass
    child.send_signal(ending)
    begun = time.monotonic()
    try:
        _, said = child.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        return 999, "", PATIENCE_S
    return child.returncode, said, time.monotonic() - begun


def judged(status: int, said: str, ending: signal.Signals) -> str:
    """How it ended, in a word; ``DISOBEYED`` and ``TRACEBACK`` are what must not be."""
    if status == 999:
        return "DISOBEYED"
    if "in main\n" in said and "Traceback" in said:
        return "TRACEBACK"
    if status in (128 + ending, 130) or status == -signal.SIGKILL:
        return "obeyed"
    if status == -ending or "Traceback" in said:
        return "before it began"
    return "done before" if status == 0 else f"STATUS {status}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--signals", nargs="+", default=["KILL", "TERM", "HUP", "INT"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60.0, help="End earlier than after all kills.")
    asked = parser.parse_args()
    command, chance = COMMANDS[asked.command], random.Random(asked.seed)
    os.environ[machine_state.MARK] = secrets.token_hex(8)
    counts: Counter[str] = Counter()
    # What test runs beside us have; nobody can say whose a huge page is, and measure alone borrows them.
    ignored = ("pytest-", "zpmodel-tests", "zpmodel-golden", *(() if asked.command == "measure" else ("huge pages",)))
    slowest = 0.0
    with tempfile.TemporaryDirectory(prefix="kill-campaign-") as name:
        folder = Path(name)
        before, killed = machine_state.snapshot(), False
        end = time.monotonic() + 60 * asked.minutes
        for number in range(asked.kills):
            if time.monotonic() > end:
                break
            ending = signal.Signals[f"SIG{chance.choice(asked.signals)}"]
            moment = chance.uniform(0.05, command.latest_s)
            status, said, took = end_one(command, folder, ending, moment)
            how = judged(status, said, ending)
            slowest = max(slowest, took)
            command.check(folder)
            # What a kill -9 left goes when the next run has begun in earnest, which may be the last one.
            killed = killed or ending == signal.SIGKILL
            remains = [] if killed else left(before, ignored)
            if not how.islower() or remains:
                print(f"{number}: {ending.name} at {moment:.2f} s: {how}: {remains} {said[-1500:]}", flush=True)
            counts[f"{ending.name} {how}"] += 1
            counts["left something"] += bool(remains)
            (folder / "number").write_text(str(number))
        begun = time.monotonic()
        # The next run cleans up what kills left, and ends well.
        child = children.python(command.code, *command.arguments(folder), stderr=subprocess.PIPE, cwd=folder)
        _, said = child.communicate()
        assert child.returncode == 0, said
        command.check(folder)
        remains = left(before, ignored)
    kills = counts.total() - counts["left something"]
    print(f"{asked.command}: {kills} kills, {dict(counts)}; slowest to obey {slowest:.1f} s;")
    print(f"the last run took {time.monotonic() - begun:.0f} s and left {remains or 'nothing'}", flush=True)
    sys.exit(bool(remains or counts["left something"] or any(not word.split()[-1].islower() for word in counts)))


if __name__ == "__main__":
    main()
