"""Measuring: runs the matrix, keeps every finished point, resumes where it was stopped."""

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import signal
import threading
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zpmodel.base.errors import InputError, RefusedError
from zpmodel.base.files import write_atomically
from zpmodel.datasets import points as dataset
from zpmodel.datasets.point import Point
from zpmodel.host import hugepages, machine
from zpmodel.host.safety import Target, open_target, prefill
from zpmodel.measure.plan import FULL, QUICK, Matrix, fio_arguments, plan
from zpmodel.measure.point import Fio, FioFailedError, check_io_uring, find_fio, run_point

_FORMAT = 1
_BUDGET_SECONDS = {False: 600.0, True: 120.0}
_OVERHEAD_SECONDS = 0.35
_ENOUGH_IOS = 50


@dataclass(frozen=True)
class Progress:
    """Where a measurement stands: for whoever shows it."""

    done: int
    planned: int
    failed: int
    round: int
    seconds_left: float
    point: str


@dataclass(frozen=True)
class Summary:
    """What a measurement has brought so far.

    ``points`` finished in all sessions, ``failed`` runs in this one, ``stopped`` why it ended ("precise", "time",
    "rounds"), ``seconds`` this session's length [s]; ``contrasts``, ``drift`` as in `zpmodel.datasets.points`;
    ``notes`` what the reader must know.
    """

    out: Path
    points: int
    failed: int
    rounds: int
    stopped: str
    seconds: float
    contrasts: tuple[dataset.Contrast, ...]
    drift: tuple[dict[str, object], ...]
    notes: tuple[str, ...]


def measure(
    target: str | Path,
    out: str | Path,
    *,
    quick: bool = False,
    seconds: float | None = None,
    seed: int | None = None,
    matrix: Matrix | None = None,
    destroy: bool = False,
    progress: Callable[[Progress], None] | None = None,
    note: Callable[[str], None] | None = None,
) -> Summary:
    """Run the fio matrix on a target, or go on with it.

    :param target: a directory (a scratch file is made in it and vanishes), or with ``destroy`` an existing file or
        block device.
    :param out: the folder of the data set; the same call again resumes.
    :param quick: the small matrix, two minutes.
    :param seconds: stop when so many have been spent, earlier sessions included [s]; the default is 600, 120 if
        ``quick``, and none for a ``matrix`` of your own.
    :param seed: of the order; drawn at random and recorded by default.
    :param progress: is told where the measurement stands before each point.
    :param note: is told each thing that the user should know, such as a failed point.
    :raises InputError: where an argument makes no sense, or ``out`` holds another measurement.
    :raises RefusedError: where it would be unsafe, or fio, io_uring or space is missing; nothing has been written to
        the target.
    :raises KeyboardInterrupt: on Ctrl-C or SIGTERM, with fio stopped, all borrowed things returned and a resumable set.
    """
    own = matrix is not None
    chosen = matrix or (QUICK if quick else FULL)
    if seconds is None:
        seconds = float("inf") if own else _BUDGET_SECONDS[quick]
    if not seconds > 0:
        raise InputError("zpmodel measure", "--time", seconds, "a positive number of seconds")
    out = Path(out)
    with ExitStack() as stack:
        stack.enter_context(_signals_interrupt())
        fio = find_fio()
        check_io_uring()
        opened = stack.enter_context(open_target(target, chosen.file_bytes, destroy=destroy))
        lock = stack.enter_context(_locked_folder(out))
        chosen_seed, points = _load_or_make_plan(out, opened, chosen, seed)
        session = _Session(out, opened, fio, chosen, points, lock, seconds, progress, note)
        return session.run(chosen_seed)


class _Session:
    """One call of `measure`."""

    def __init__(
        self,
        out: Path,
        target: Target,
        fio: Fio,
        matrix: Matrix,
        rounds: Sequence[Sequence[Point]],
        lock: int,
        budget_seconds: float,
        progress: Callable[[Progress], None] | None,
        note: Callable[[str], None] | None,
    ) -> None:
        self.out, self.target, self.fio, self.matrix, self.rounds, self.lock = out, target, fio, matrix, rounds, lock
        self.progress, self.note = progress, note
        self.done = {name: dataset.read_point(out, name) for name in dataset.finished(out)}
        self.spent_before = sum(self._usage(name) for name in self.done)
        self.budget = budget_seconds
        self.clock = time.monotonic()
        self.failed, self.ran = 0, 0
        self.notes: list[str] = []
        self.huge_pages = 0

    def run(self, seed: int) -> Summary:
        record = self.out / ".hugepages.json"
        hugepages.give_back(record)  # what a killed session took
        before = machine.changing_facts()
        before |= {f"background_{key}": value for key, value in machine.background().items()}
        with ExitStack() as stack:
            facts: dict[str, Any] = {}
            stack.callback(lambda: self._describe(facts, before, machine.changing_facts()))
            stack.callback(hugepages.give_back, record)
            self.huge_pages = hugepages.borrow(self.matrix.huge_pages, record)
            self._tell_about_huge_pages()
            prefill(self.target)
            facts |= {"seed": seed} | machine.describe(self.target, self.fio.version)
            self._describe(facts, before, {})
            self.clock = time.monotonic()
            stopped, reached = self._rounds()
        items = list(self.done.values())
        few = sorted({item.point.pair for item in items if item.ios < _ENOUGH_IOS})
        if few:
            self._say(
                f"{len(few)} combinations had fewer than {_ENOUGH_IOS} I/Os a run: the device is slow, trust them less"
            )
        return Summary(
            self.out,
            len(self.done),
            self.failed,
            reached,
            stopped,
            time.monotonic() - self.clock,
            tuple(dataset.contrasts(items)),
            tuple(dataset.drift(items)),
            tuple(self.notes),
        )

    def _rounds(self) -> tuple[str, int]:
        for number, points in enumerate(self.rounds, start=1):
            settled = self._settled() if number > self.matrix.min_rounds else set()
            wanted = [point for point in points if point.reference or point.pair not in settled]
            if all(point.reference for point in wanted):
                return "precise", number - 1
            for point in wanted:
                if point.id in self.done or point.huge_pages > self.huge_pages:
                    continue
                if self._seconds_left() < self.matrix.seconds_per_point + _OVERHEAD_SECONDS:
                    return "time", number - 1
                self._show(number, point)
                self._one(point)
                if _asked_to_stop.is_set():
                    raise KeyboardInterrupt
        return "rounds", len(self.rounds)

    def _one(self, point: Point) -> None:
        seconds = self.matrix.seconds_per_point
        arguments = fio_arguments(
            point, filename=self.target.filename, size_bytes=self.target.size_bytes, seconds=seconds
        )
        try:
            run_point(
                self.fio, arguments, name=point.id, out=self.out, pass_fds=[self.target.fd, self.lock], seconds=seconds
            )
            self.done[point.id] = dataset.read_point(self.out, point.id)
            self.ran += 1
        except (FioFailedError, OSError) as error:
            self.failed += 1
            reason = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else str(error)
            self._say(f"{point.id} failed: {reason}")
            with suppress(OSError), (self.out / "failures.jsonl").open("a") as file:
                file.write(
                    json.dumps({"id": point.id, "when": time.strftime("%FT%TZ", time.gmtime()), "reason": reason})
                    + "\n"
                )

    def _settled(self) -> set[tuple[str, int, int]]:
        narrow = set()
        for item in dataset.contrasts(self.done.values()):
            widths = (item.throughput_high / item.throughput_ratio - 1, item.cpu_high / item.cpu_ratio - 1)
            if item.pairs >= self.matrix.min_rounds and max(widths) <= self.matrix.precision:
                narrow.add((item.operation, item.block_bytes, item.depth))
        if self.huge_pages == 0 and self.matrix.precision > 0:
            # Without pairs there is no ratio to make precise: the minimal rounds have to do.
            narrow |= {point.pair for point in self.rounds[0] if not point.reference}
        return narrow

    def _seconds_left(self) -> float:
        return self.budget - self.spent_before - (time.monotonic() - self.clock)

    def _show(self, number: int, point: Point) -> None:
        if self.progress is None:
            return
        planned = sum(len(points) for points in self.rounds)
        pace = (
            (time.monotonic() - self.clock) / self.ran
            if self.ran
            else self.matrix.seconds_per_point + _OVERHEAD_SECONDS
        )
        left = min(self._seconds_left(), (planned - len(self.done)) * pace)
        self.progress(Progress(len(self.done), planned, self.failed, number, left, point.id))

    def _tell_about_huge_pages(self) -> None:
        if self.huge_pages >= self.matrix.huge_pages:
            return
        if self.huge_pages == 0:
            self._say(
                "no huge pages of 2 MiB can be had (as root: sysctl vm.nr_hugepages="
                f"{self.matrix.huge_pages}): only 4 KiB buffer pages are measured; what a vector costs,"
                " and so the gain of a larger zero page, can't be identified from this set"
            )
        else:
            self._say(
                f"only {self.huge_pages} of {self.matrix.huge_pages} huge pages can be had: the largest"
                " blocks and depths are measured with 4 KiB buffer pages alone; the contrast is not identifiable there"
            )

    def _say(self, text: str) -> None:
        self.notes.append(text)
        if self.note is not None:
            self.note(text)

    def _usage(self, name: str) -> float:
        usage = json.loads((self.out / "usage" / f"{name}.json").read_text())
        return float(usage["elapsed_seconds"])

    def _describe(self, facts: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> None:
        path = self.out / "machine.toml"
        if not facts:  # stopped before there was anything to say
            return
        sessions: list[dict[str, Any]] = []
        with suppress(OSError, tomllib.TOMLDecodeError):
            sessions = tomllib.loads(path.read_text()).get("session", [])
        if sessions and sessions[-1]["before"]["date"] == before["date"]:
            sessions.pop()
        now = {"before": before} | ({"after": after} if after else {})
        with suppress(OSError):  # a full disk must not keep the huge pages from being given back
            write_atomically(path, machine.write_toml({**facts, "session": [*sessions, now]}))


def _load_or_make_plan(out: Path, target: Target, matrix: Matrix, seed: int | None) -> tuple[int, list[list[Point]]]:
    path = out / "plan.json"
    # A path may tell a user's or a customer's name; its digest is enough to know it again.
    digest = hashlib.sha256(str(target.path.resolve()).encode()).hexdigest()[:16]
    identity = {"format": _FORMAT, "kind": target.kind, "target_digest": digest, "matrix": matrix.to_json()}
    if path.exists():
        try:
            kept = json.loads(path.read_text())
            kept_seed, names = int(kept["seed"]), kept["rounds"]
            points = [[Point.from_id(name) for name in names_of_round] for names_of_round in names]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                str(path), "plan", str(error), "a plan that zpmodel measure wrote; use another --out"
            ) from None
        for key, value in identity.items():
            if kept.get(key) != value:
                what = {"matrix": "matrix (--quick or not)", "format": "format"}.get(key, "target")
                raise InputError(
                    str(out), "folder", f"a measurement with another {what}", "the same again, or another --out"
                )
        if seed is not None and seed != kept_seed:
            raise InputError(str(out), "seed", seed, f"{kept_seed}, with which it was begun, or another --out")
        return kept_seed, points
    chosen = secrets.randbelow(2**32) if seed is None else seed
    points = plan(matrix, chosen)
    names = [[point.id for point in points_of_round] for points_of_round in points]
    try:
        write_atomically(path, json.dumps({**identity, "seed": chosen, "rounds": names}, indent=1) + "\n")
    except OSError as error:
        raise RefusedError(f"{out} can't be written: {error.strerror}") from None
    return chosen, points


@contextmanager
def _locked_folder(out: Path) -> Iterator[int]:
    """Make the folder, and make sure that no other measurement, nor a fio left over from one, works in it."""
    try:
        if out.is_dir() and any(out.iterdir()) and not (out / "plan.json").exists():
            leftovers = {"points", "usage"} | {path.name for path in out.glob(".plan.json.tmp")}
            if {path.name for path in out.iterdir()} - leftovers or any((out / "points").glob("*")):
                raise InputError(
                    "--out", "folder", str(out), "a new or empty folder, or one that zpmodel measure began"
                )
        for name in ("points", "usage"):
            (out / name).mkdir(parents=True, exist_ok=True)
        lock = os.open(out, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise InputError(
            "--out", "folder", str(out), f"a folder that can be made and written ({error.strerror})"
        ) from None
    try:
        for attempt in range(100):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt == 99:
                    raise RefusedError(f"another measurement is running in {out}") from None
                time.sleep(0.1)
        _remove_unfinished(out)
        yield lock
    finally:
        os.close(lock)


def _remove_unfinished(out: Path) -> None:
    for scratch in out.glob(".run-*"):
        shutil.rmtree(scratch, ignore_errors=True)
    for temporary in [*out.glob(".*.tmp"), *out.glob("points/.*.tmp"), *out.glob("usage/.*.tmp")]:
        temporary.unlink(missing_ok=True)


_asked_to_stop = threading.Event()


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Let SIGTERM stop a measurement as Ctrl-C does (signals can be handled in the main thread only).

    A KeyboardInterrupt that is raised in a callback, while Python forks, is printed and dropped; so that we were asked
    is remembered too.
    """
    _asked_to_stop.clear()
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        _asked_to_stop.set()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
