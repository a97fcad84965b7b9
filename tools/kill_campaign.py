"""Ends long commands at random moments by signals: obeyed, nothing left, nothing lost, output whole or absent.

    python tools/kill_campaign.py measure --kills 66 --signals KILL --record kills.jsonl
    python tools/kill_campaign.py calibrate --kills 120 --signals INT --record kills.jsonl
    python tools/kill_campaign.py --summary --record kills.jsonl

As root. Children begin with the usual signal handling, whatever this program was told to ignore. Each outcome is a line
of the record as soon as it is known; the same command again goes on behind the last one. Others may measure beside it:
what is looked for is told to be ours by the environment, by the folder of temporary files or by a process id.
"""

import argparse
import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
import children
import kill_commands
import machine_state
from kill_commands import COMMANDS, Command

from zpmodel.host.leftovers import is_leftover

PATIENCE_S = 30.0
LEDGER = Path("/run/zpmodel-ledger")
_UNCACHED = 0.25  # share of runs that compile all kernels anew


class Ended(NamedTuple):
    """How a child ended: its status, what it said on stderr, how long it took to obey [s], what it owed just before."""

    pid: int
    status: int
    said: str
    took_s: float
    owed: list[dict[str, Any]]


def end_one(command: Command, folder: Path, ending: signal.Signals | None, moment_s: float, cached: bool) -> Ended:
    """Start, wait, end (without a signal: let it end by itself).

    :param moment_s: after it has begun [s]; less than 0: so long after Python was started.
    """
    (folder / "begun").unlink(missing_ok=True)
    environment = {**os.environ, "TMPDIR": str(folder / "tmp"), "ZPMODEL_CACHE": "1" if cached else "0"}
    with (folder / "said").open("w+") as said:
        child = children.python(
            command.code, *command.arguments(folder), stderr=said, stdout=subprocess.DEVNULL, cwd=folder,
            start_new_session=True, env=environment,
        )  # fmt: skip
        begun, owed, status = time.monotonic(), list[dict[str, Any]](), 999
        try:
            # How long Python takes to start is the machine's affair; a tenth of the moments lie there.
            while ending is not None and moment_s > 0 and not (folder / "begun").exists() and child.poll() is None:
                time.sleep(0.01)
            with suppress(subprocess.TimeoutExpired):
                status = child.wait(None if ending is None else abs(moment_s))
            if status == 999 and ending is not None:
                begun, owed = time.monotonic(), debts(child.pid)
                # A terminal sends Ctrl-C to all of the group, kill(1) to one.
                os.killpg(child.pid, ending) if ending == signal.SIGINT else child.send_signal(ending)
                with suppress(subprocess.TimeoutExpired):
                    status = child.wait(PATIENCE_S)
            else:
                begun = time.monotonic()
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        took = time.monotonic() - begun
        said.seek(0)
        return Ended(child.pid, status, said.read(), took, owed)


def debts(pid: int) -> list[dict[str, Any]]:
    """What stands in the ledger of one process."""
    found = []
    for path in LEDGER.glob(f"zpmodel-*-{pid}-*"):
        with suppress(OSError, ValueError):
            found.append({"name": path.name, **json.loads(path.read_text())})
    return found


def judged(ended: Ended, ending: signal.Signals) -> str:
    """How it ended, in words; those in capitals must not be."""
    lines = [line for line in ended.said.replace("\r", "\n").splitlines() if line.strip()]
    if ended.status == 999:
        return "DISOBEYED"
    if ended.status == -signal.SIGKILL and ending == signal.SIGKILL:
        return "obeyed"
    if any(mark in ended.said for mark in ("Traceback", "Exception ignored", "leaked")):
        # Python itself answers until our own first line runs: while it starts and imports what that needs.
        early = "commands/main.py" not in ended.said.split("KeyboardInterrupt")[0] or "in main\n" not in ended.said
        return "before it began" if early and ended.status in (1, -ending, 128 + ending) else "TRACEBACK"
    if ended.status == 128 + ending:
        told = [line for line in lines if line.startswith("zpmodel: ") and ("stopped" in line or "interr" in line)]
        return "obeyed" if len(told) == 1 and told[0] == lines[-1] else "NOT ONE LINE"
    if ended.status == -ending:
        return "before it began"
    return "done before" if ended.status == 0 else f"STATUS {ended.status}"


def left_by(ended: Ended, folder: Path, *, killed: bool) -> list[str]:
    """What a child left, after some patience.

    :param killed: by SIGKILL, where the next run cleans up: then only its processes are looked for.
    """
    end = time.monotonic() + 5
    while True:
        found = [f"process {each}" for each in machine_state.marked_processes()]
        if not killed:
            found += [f"temporary file {path.name}" for path in (folder / "tmp").iterdir()]
            found += [f"debt {debt['name']}" for debt in debts(ended.pid)]
            found += [f"loop{each}" for each in numbers(ended.owed) if Path(f"/sys/block/loop{each}").exists()]
            found += [f"/dev/loop{each}" for each in numbers(ended.owed) if Path(f"/dev/loop{each}").exists()]
            found += ours_in_the_kernel(folder, ended.pid)
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.1)


def numbers(owed: list[dict[str, Any]]) -> list[int]:
    """The loop devices among debts."""
    return [debt["number"] for debt in owed if "number" in debt]


def ours_in_the_kernel(folder: Path, pid: int | None = None) -> list[str]:
    """Mounts below the folder, and trace instances of a process, or of all that are dead."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    found = [f"mount {line}" for line in lines if str(folder / "tmp") in line]
    for root in ("/sys/kernel/tracing/instances", "/sys/kernel/debug/tracing/instances"):
        for path in Path(root).glob("zpmodel-*"):
            if f"-{pid}-" in path.name if pid is not None else is_leftover(path.name, "trace"):
                found.append(f"trace instance {path.name}")
    return sorted(set(found))


@contextmanager
def campaign(name: str) -> Iterator[Path]:
    """A folder for all runs of a campaign, and the mark by which their processes are known."""
    os.environ[machine_state.MARK] = secrets.token_hex(8)
    with tempfile.TemporaryDirectory(prefix=f"kill-campaign-{name}-") as folder:
        (Path(folder) / "tmp").mkdir()
        (Path(folder) / "target").mkdir()
        yield Path(folder)


def run(name: str, asked: argparse.Namespace, note: Callable[[dict[str, Any]], None], done: int) -> bool:
    """One campaign; returns whether nothing went wrong."""
    command, chance, good = COMMANDS[name], random.Random(f"{asked.seed} {name} {asked.signals}"), True
    with campaign(name) as folder:
        kill_commands.prepare(folder)
        begun = time.monotonic()
        whole = end_one(command, folder, None, 0, True)
        assert whole.status == 0, whole.said
        latest = min(command.latest_s, 1.05 * (time.monotonic() - begun))
        anew(folder)
        killed: list[int] = []
        for number in range(asked.kills):
            ending = signal.Signals[f"SIG{chance.choice(asked.signals)}"]
            share, cached = chance.random(), chance.random() > _UNCACHED
            if number < done:
                continue
            # The first tenth of the shares is for the time before it has begun.
            moment_s = (share - 0.1) / 0.9 * latest if share >= 0.1 else -10 * share
            ended = end_one(command, folder, ending, moment_s, cached)
            how = judged(ended, ending)
            was_killed = ending == signal.SIGKILL and ended.status != 0
            killed += [ended.pid] if was_killed else []
            wrong = [f"lost: {error}" for error in problems(command, folder)]
            wrong += left_by(ended, folder, killed=was_killed or bool(killed))
            row = {"command": name, "seed": asked.seed, "number": number, "signal": ending.name, "how": how,
                   "moment_s": round(moment_s, 2), "took_s": round(ended.took_s, 2), "compiled": not cached,
                   "wrong": wrong}  # fmt: skip
            if not how.islower() or wrong:
                row["said"] = ended.said[-2000:]
                good = False
            note(row)
            if ended.status == 0:
                anew(folder)
        # The next run cleans up what kills left, and ends well.
        last = end_one(command, folder, None, 0, True)
        wrong = [f"status {last.status}: {last.said[-1500:]}"] if last.status else []
        wrong += problems(command, folder) + left_by(last, folder, killed=False)
        wrong += [f"debt {debt['name']}" for pid in killed for debt in debts(pid)]
        wrong += [each for pid in killed for each in ours_in_the_kernel(folder, pid)]
        note({"command": name, "seed": asked.seed, "signal": "last run", "how": "ended well", "took_s": 0,
              "wrong": wrong})  # fmt: skip
        return good and not wrong


def problems(command: Command, folder: Path) -> list[str]:
    """What a look at the command's output finds."""
    try:
        command.check(folder)
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]
    return []


def anew(folder: Path) -> None:
    """Remove a finished output: the next run begins with none."""
    for path in folder.glob("*out*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (folder / "seen.json").unlink(missing_ok=True)


def summary(rows: list[dict[str, Any]]) -> None:
    """Print a line for each command and set of signals."""
    kinds = dict.fromkeys((row["command"], row["signals"]) for row in rows)
    for kind in kinds:
        mine = [row for row in rows if (row["command"], row["signals"]) == kind]
        counts = Counter(row["how"] for row in mine if row["signal"] != "last run")
        slowest = max(row["took_s"] for row in mine)
        wrong = [row for row in mine if row["wrong"] or not row["how"].islower()]
        kept = [each for row in mine if row["signal"] == "last run" for each in row["wrong"]]
        last = "not yet" if all(row["signal"] != "last run" for row in mine) else kept or "left nothing"
        print(f"{kind[0]} {kind[1]}: {counts.total()} kills, {dict(counts)}; slowest {slowest:.1f} s; last run {last}")
        for row in wrong:
            print(f"    {row.get('number')} at {row.get('moment_s')} s: {row['how']}: {row['wrong']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=COMMANDS, nargs="*")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--signals", nargs="+", default=["KILL", "TERM", "HUP", "INT"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record", type=Path, required=True, help="A JSON line for each kill.")
    parser.add_argument("--summary", action="store_true", help="Only print what the record says.")
    asked = parser.parse_args()
    rows = [json.loads(line) for line in asked.record.read_text().splitlines()] if asked.record.exists() else []
    good = True
    signals = " ".join(asked.signals)
    for name in asked.command if not asked.summary else []:

        def note(row: dict[str, Any]) -> None:
            row["signals"] = signals
            rows.append(row)
            with asked.record.open("a") as file:
                file.write(json.dumps(row) + "\n")

        done = [r for r in rows if (r["command"], r["seed"], r["signals"]) == (name, asked.seed, signals)]
        if not any(row["signal"] == "last run" for row in done):
            good &= run(name, asked, note, len(done))
    summary(rows)
    sys.exit(not good)


if __name__ == "__main__":
    main()
