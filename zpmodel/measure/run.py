"""Measuring: runs the matrix, keeps every finished point, resumes where it was stopped."""

import secrets
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zpmodel.base.errors import InputError, RefusedError
from zpmodel.base.files import read_text, write_atomically
from zpmodel.datasets import points as dataset
from zpmodel.datasets.point import Point
from zpmodel.host import block, hugepages, machine
from zpmodel.host.safety import Target, open_target, prefill
from zpmodel.host.signals import ends_orderly
from zpmodel.measure import told
from zpmodel.measure.folder import load_or_make_plan, locked_folder, note_failure, set_aside
from zpmodel.measure.plan import FULL, QUICK, Matrix, fio_arguments
from zpmodel.measure.point import FioFailedError, cleaned, run_point
from zpmodel.measure.program import Fio, check_io_uring, find_fio
from zpmodel.measure.sectors import SectorsKnob, restore_leftovers, sectors_knob
from zpmodel.measure.thread_cpu import overhead_ns

_BUDGET_SECONDS = {False: 600.0, True: 120.0}
_OVERHEAD_SECONDS = 0.35
# The rounding of a thread's CPU time is to be less than this share of it; for that a run may be so many times longer.
_ROUNDING, _LONGEST = 0.02, 4.0
# Failures in a row after which no further point is tried: where none has succeeded yet, and later.
_GIVE_UP_AT_START, _GIVE_UP = 5, 20


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
    confirm: Callable[[str], bool] | None = None,
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
    :param confirm: is asked before an existing file or device is overwritten, with what is lost.
    :param progress: is told where the measurement stands before each point.
    :param note: is told each thing that the user should know, such as a failed point.
    :raises InputError: where an argument makes no sense, or ``out`` holds another measurement.
    :raises RefusedError: where it would be unsafe, or fio, io_uring or space is missing; nothing has been written to
        the target.
    :raises KeyboardInterrupt: on Ctrl-C, SIGTERM or SIGHUP, with fio stopped, all that was borrowed returned and a
        resumable set.
    """
    own = matrix is not None
    chosen = matrix or (QUICK if quick else FULL)
    if seconds is None:
        seconds = float("inf") if own else _BUDGET_SECONDS[quick]
    if not seconds > 0:
        raise InputError("zpmodel measure", "--time", seconds, "a positive number of seconds")
    for name, value in (("--target", target), ("--out", out)):
        if not str(value) or "\0" in str(value):
            raise InputError("zpmodel measure", name, repr(str(value)), "a path")
    out = Path(out)
    with ExitStack() as stack:
        stack.enter_context(ends_orderly())
        restore_leftovers()
        fio = find_fio()
        check_io_uring()
        opened = stack.enter_context(open_target(target, chosen.file_bytes, destroy=destroy, confirm=confirm))
        lock = stack.enter_context(locked_folder(out))
        digest = told.machine_digest()
        chosen_seed, points = load_or_make_plan(out, opened, chosen, seed, digest)
        knob = stack.enter_context(sectors_knob(block.device_under(opened.fd)))
        fio = replace(fio, overhead_ns=overhead_ns([fio.program]))
        known = {"machine_digest": digest, "session_digest": secrets.token_hex(8)}
        session = _Session(out, opened, fio, chosen, points, lock, knob, known, seconds, progress, note)
        return session.run(chosen_seed, quick=quick)


def long_enough(shortest_s: float, alike: Sequence[dataset.Measured]) -> float:
    """How long a point is to run [s]: longer than planned where its pair's earlier CPU readings were too coarse.

    :param alike: the pair's finished points; both memories run equally long.
    """
    needed = [item.thread_cpu_resolution_s / _ROUNDING / item.thread_cpu_seconds * item.seconds for item in alike]
    return round(min(max([shortest_s, *needed]), _LONGEST * shortest_s), 3)


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
        knob: SectorsKnob,
        known: dict[str, Any],
        budget_seconds: float,
        progress: Callable[[Progress], None] | None,
        note: Callable[[str], None] | None,
    ) -> None:
        self.out, self.target, self.fio, self.matrix, self.rounds, self.lock = out, target, fio, matrix, rounds, lock
        self.knob, self.known = knob, known
        self.progress, self.note = progress, note
        self.notes: list[str] = []
        self.done = self._take_stock()
        self.spent_before = sum(item.elapsed_seconds for item in self.done.values())
        self.budget = budget_seconds
        self.clock = time.monotonic()
        self.failed, self.failed_in_a_row, self.ran = 0, 0, 0
        self.huge_pages = 0
        self.lockable = told.lockable_bytes()

    def run(self, seed: int, *, quick: bool) -> Summary:
        hugepages.settle()  # what killed sessions took
        before = machine.changing_facts()
        before |= {f"background_{key}": value for key, value in machine.background().items()}
        with ExitStack() as stack:
            facts: dict[str, Any] = {}
            stack.callback(lambda: self._describe(facts, before, machine.changing_facts()))
            loan = hugepages.borrow(self.matrix.huge_pages)
            stack.callback(hugepages.give_back, loan)
            self.huge_pages = loan.pages
            self._tell_beforehand()
            prefill(self.target)
            facts |= {"seed": seed} | machine.describe(self.target, self.fio.version)
            self._describe(facts, before, {})
            self.clock = time.monotonic()
            stopped, reached = self._rounds()
        items = list(self.done.values())
        contrasts = tuple(dataset.contrasts(items))
        for text in told.at_the_end(items, contrasts, self.matrix, quick=quick):
            self._say(text)
        return Summary(
            self.out,
            len(self.done),
            self.failed,
            reached,
            stopped,
            time.monotonic() - self.clock,
            contrasts,
            tuple(dataset.drift(items)),
            tuple(self.notes),
        )

    def _take_stock(self) -> dict[str, dataset.Measured]:
        """Read what earlier sessions left; what can't be used is set aside, to be measured anew."""
        good, left_out = dataset.load_points(self.out, complete=True)
        set_aside(self.out, left_out)
        if left_out:
            first = f"{cleaned(left_out[0].name)}: {cleaned(left_out[0].reason)}"
            many = f"{len(left_out)} points" if len(left_out) > 1 else "1 point"
            self._say(f"{many} of earlier sessions can't be used and went to {self.out}/set-aside ({first})")
        return {item.point.id: item for item in good}

    def _tell_beforehand(self) -> None:
        points = [point for points in self.rounds for point in points]
        for text in (
            told.about_limits(block.device_under(self.target.fd), self.target),
            told.about_huge_pages(self.huge_pages, self.matrix.huge_pages),
            told.about_locked_memory(points, self.lockable),
            told.about_sectors(self.matrix, self.knob.why_not),
        ):
            if text:
                self._say(text)

    def _possible(self, point: Point) -> bool:
        """Say whether this machine lets a point be measured."""
        return (
            point.huge_pages <= self.huge_pages
            and (self.lockable is None or told.buffers_bytes(point) <= self.lockable)
            and self.knob.allows(point.max_sectors_kb)
        )

    def _rounds(self) -> tuple[str, int]:
        for number, points in enumerate(self.rounds, start=1):
            settled = self._settled() if number > self.matrix.min_rounds else set()
            wanted = [p for p in points if self._possible(p) and (p.reference or p.pair not in settled)]
            if all(point.reference for point in wanted) and number > self.matrix.min_rounds:
                if self._turn_comes_later(number, settled):
                    continue
                return "precise", number - 1
            for point in wanted:
                if point.id in self.done:
                    continue
                alike = [item for item in self.done.values() if item.point.pair == point.pair]
                seconds = long_enough(self.matrix.seconds_per_point, alike)
                if self._seconds_left() < seconds + _OVERHEAD_SECONDS:
                    return "time", number - 1
                self._show(number, point)
                self._one(point, seconds)
        return "rounds", len(self.rounds)

    def _turn_comes_later(self, number: int, settled: set[tuple[str, int, int, int]]) -> bool:
        later = (p for points in self.rounds[number : number + self.matrix.rest_every - 1] for p in points)
        return any(self._possible(p) and not p.reference and p.pair not in settled for p in later)

    def _one(self, point: Point, seconds: float) -> None:
        arguments = fio_arguments(
            point, filename=self.target.filename, size_bytes=self.target.size_bytes, seconds=seconds
        )
        fds = [self.target.fd, self.lock]
        try:
            self.knob.turn(point.max_sectors_kb)
            run_point(self.fio, arguments, point, out=self.out, pass_fds=fds, seconds=seconds, known=self.known)
            self.done[point.id] = dataset.read_point(self.out, point.id)
            self.ran += 1
            self.failed_in_a_row = 0
        except FioFailedError as error:
            self.failed += 1
            self.failed_in_a_row += 1
            self._say(f"{point.id} failed: {error}")
            note_failure(self.out, point.id, str(error))
            if self.failed_in_a_row == (_GIVE_UP_AT_START if self.ran == 0 else _GIVE_UP):
                raise RefusedError(
                    f"{self.failed_in_a_row} points in a row failed, the last because {error}; {self._how_to_go_on()}"
                ) from None
        except OSError as error:
            raise RefusedError(f"{self.out} can't be written: {error.strerror}; {self._how_to_go_on()}") from None

    def _how_to_go_on(self) -> str:
        if not self.done:
            return "nothing was measured"
        many = "1 finished point is" if len(self.done) == 1 else f"{len(self.done)} finished points are"
        return f"{many} kept, and the same command goes on from there"

    def _settled(self) -> set[tuple[str, int, int, int]]:
        narrow = set()
        for item in dataset.contrasts(self.done.values()):
            widths = (item.throughput_high / item.throughput_ratio - 1, item.cpu_high / item.cpu_ratio - 1)
            if item.pairs >= max(2, self.matrix.min_rounds) and max(widths) <= self.matrix.precision:
                narrow.add((item.operation, item.block_bytes, item.depth, item.max_sectors_kb))
        if self.huge_pages == 0 and self.matrix.precision > 0:
            # Without pairs there is no ratio to make precise: the minimal rounds have to do.
            runs = Counter(item.point.pair for item in self.done.values() if not item.point.reference)
            narrow |= {pair for pair, count in runs.items() if count >= self.matrix.min_rounds}
        return narrow

    def _seconds_left(self) -> float:
        return self.budget - self.spent_before - (time.monotonic() - self.clock)

    def _show(self, number: int, point: Point) -> None:
        if self.progress is None:
            return
        planned = sum(self._possible(point) for points in self.rounds for point in points)
        usual = self.matrix.seconds_per_point + _OVERHEAD_SECONDS
        pace = (time.monotonic() - self.clock) / self.ran if self.ran else usual
        left = min(self._seconds_left(), (planned - len(self.done)) * pace)
        self.progress(Progress(len(self.done), planned, self.failed, number, left, point.id))

    def _say(self, text: str) -> None:
        self.notes.append(text)
        if self.note is not None:
            self.note(text)

    def _describe(self, facts: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> None:
        path = self.out / "machine.toml"
        if not facts:  # stopped before there was anything to say
            return
        sessions = _sessions_in(path)
        if sessions and sessions[-1]["before"].get("date") == before["date"]:
            sessions.pop()
        now = {"before": before} | ({"after": after} if after else {})
        with suppress(OSError):  # a full disk must not keep the huge pages from being given back
            write_atomically(path, machine.write_toml({**facts, "session": [*sessions, now]}))


def _sessions_in(path: Path) -> list[dict[str, Any]]:
    """Earlier sessions of a measurement as its ``machine.toml`` tells them; none where that is damaged."""
    try:
        found = tomllib.loads(read_text(path)).get("session", [])
        return [each for each in found if isinstance(each["before"], dict)]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return []
