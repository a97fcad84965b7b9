"""Working out a sweep in pieces: on the cores here or on a Dask cluster, and into a Parquet file that can be resumed.

Pieces are worked out anywhere and in any order; each is kept beside the result as a file that is complete or absent.
When all are there they are put together in their order, so a run that was killed and taken up again gives the same
bytes.
"""

import fcntl
import hashlib
import multiprocessing
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

import pandas as pd

from zpmodel.base.accelerate import cores
from zpmodel.base.errors import InputError, RefusedError
from zpmodel.base.files import (
    check_folder,
    check_new,
    new_file,
    publish,
    read_text,
    remove_half_written,
    write_atomically,
)
from zpmodel.base.sealed import read_sealed, sealed
from zpmodel.host.parent import die_with_parent
from zpmodel.host.signals import ends_orderly, kept_from_children
from zpmodel.study.sweep import Plan, work_out

QUICK_ROWS, SLOW_ROWS = 1 << 16, 1 << 12
"""Scenarios of a piece, and rows of a row group of the file, by whether the compiled pass answers them: never other
numbers, as they decide the bytes."""

_LARGEST_PIECE_BYTES = 1 << 30

Done = Callable[[int], None]
Work = Callable[..., Any]
"""Of a plan, the first scenario of a piece, the first after it, and an event that tells a thread to stop."""
Piece = tuple[int, int]


def rows_of_piece(plan: Plan) -> int:
    """Scenarios of a piece of this sweep."""
    return QUICK_ROWS if plan.quick else SLOW_ROWS


def run(
    plan: Plan, rows: Iterable[int], *, jobs: int | None = None, client: Any = None, piece_rows: int | None = None
) -> Generator[tuple[int, pd.DataFrame]]:
    """Work out pieces, in any order.

    :param rows: the range of scenarios, or the first scenarios of pieces.
    :return: pairs of a piece's first scenario and its rows.
    :raises RefusedError: where one of its processes was killed.
    """
    piece_rows = piece_rows or rows_of_piece(plan)
    if isinstance(rows, range) and rows.step == 1:
        rows = range(rows.start, rows.stop, piece_rows)
    todo = _pieces(plan, rows, piece_rows)
    yield from _on_dask(plan, todo, client) if client is not None else _here(work_out, plan, todo, jobs)


def _pieces(plan: Plan, starts: Iterable[int], piece_rows: int) -> list[Piece]:
    return [(start, min(start + piece_rows, plan.rows)) for start in starts]


def _here(work: Work, plan: Plan, todo: list[Piece], jobs: int | None) -> Generator[tuple[int, Any]]:
    """What ``work`` makes of each piece, on this machine."""
    jobs = min(jobs or cores(), len(todo))
    if jobs <= 1:
        for start, stop in todo:
            yield start, work(plan, start, stop)
    elif plan.quick:
        yield from _on_threads(work, plan, todo, jobs)
    else:
        yield from _on_processes(work, plan, todo, jobs)


def _on_threads(work: Work, plan: Plan, todo: list[Piece], jobs: int) -> Generator[tuple[int, Any]]:
    """For the compiled pass, which lets go of Python's lock: threads start at once and hand over nothing."""
    first, _ = todo[0]
    work_out(plan, first, first + 1)  # compiles: seconds in which a thread can't be stopped, but this one can
    ended = threading.Event()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            yield from _in_turn(lambda start, stop: pool.submit(work, plan, start, stop, ended), todo, 2 * jobs)
        finally:
            # What the pass leaves is asked one by one, which may take minutes: whoever stops does not wait for it.
            ended.set()
            pool.shutdown(cancel_futures=True)


def _on_processes(work: Work, plan: Plan, todo: list[Piece], jobs: int) -> Generator[tuple[int, Any]]:
    """For what is Python: forked processes would share numba's and the threads' locks in whatever state they are.

    Those of a sweep that is killed end with it, also in the middle of a piece.
    """
    spawn, others = multiprocessing.get_context("spawn"), multiprocessing.active_children()
    with kept_from_children():  # multiprocessing starts one of its own
        pool = ProcessPoolExecutor(jobs, mp_context=spawn, initializer=die_with_parent, initargs=(os.getpid(),))

    def submit(start: int, stop: int) -> Future[Any]:
        with kept_from_children():
            return pool.submit(work, plan, start, stop)

    try:
        yield from _in_turn(submit, todo, 2 * jobs)
    except BaseException as error:
        # A piece may take half a minute: whoever stops does not wait for it.
        for worker in multiprocessing.active_children():
            if worker not in others:
                worker.kill()
        if isinstance(error, BrokenProcessPool):
            raise RefusedError(
                "sweep: a process was killed, as where memory runs out; with --out what is finished is kept, and the"
                " same command goes on, with fewer --jobs perhaps"
            ) from None
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _in_turn(submit: Callable[[int, int], Future[Any]], todo: list[Piece], most: int) -> Iterator[tuple[int, Any]]:
    """Each piece as it ends, so many of them submitted at a time."""
    running: dict[Future[Any], int] = {}
    for start, stop in todo:
        running[submit(start, stop)] = start
        if len(running) >= most:
            yield from _finished(running)
    while running:
        yield from _finished(running)


def _finished(running: dict[Future[Any], int]) -> Iterator[tuple[int, Any]]:
    for future in wait(running, return_when=FIRST_COMPLETED).done:
        yield running.pop(future), future.result()


def _on_dask(plan: Plan, todo: list[Piece], client: Any) -> Generator[tuple[int, pd.DataFrame]]:
    """The same pieces on a cluster; it does again what a lost worker had."""
    import distributed

    shared = client.scatter(plan, broadcast=True)
    waiting = iter(todo)

    def submit(start: int, stop: int) -> Any:
        future = client.submit(work_out, shared, start, stop, pure=False)
        future.zpmodel_start = start
        return future

    held = 4 * max(1, sum(client.ncores().values()))
    in_order_of_end: Any = distributed.as_completed
    futures = in_order_of_end([submit(*piece) for _, piece in zip(range(held), waiting, strict=False)])
    for future in futures:
        yield future.zpmodel_start, future.result()
        for piece in waiting:
            futures.add(submit(*piece))
            break


def to_parquet(plan: Plan, out: Path, *, jobs: int | None = None, client: Any = None, done: Done | None = None) -> None:
    """Work out a sweep into a Parquet file; what an earlier, killed run of the same had done is kept.

    :param done: called with the number of scenarios that are done.
    :raises InputError: where the file exists, or an unfinished sweep of something else is in its way.
    :raises RefusedError: while another sweep works on the same file.
    """
    check_new(out)
    with ends_orderly(), _parts(out) as parts:
        _into(parts, plan, out, jobs, client, done)


def refused(out: Path) -> tuple[int, str]:
    """How many scenarios of a finished sweep have no answer, and why the first has none."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    number, first = 0, ""
    for batch in pq.ParquetFile(out).iter_batches(columns=["why_not"]):
        reasons = batch.column("why_not")
        reasons = reasons.filter(pc.not_equal(reasons, ""))
        if len(reasons) and not number:
            first = str(reasons[0])
        number += len(reasons)
    return number, first


@contextmanager
def _parts(out: Path) -> Iterator[Path]:
    """The folder of a sweep's pieces, for this sweep alone while the block lasts.

    :raises InputError: where it is a symlink or somebody else's.
    :raises RefusedError: while another sweep works in it.
    """
    parts = out.with_name(f".{out.name}.parts")
    if parts.is_symlink():
        raise InputError(str(parts), "folder", "a symlink", "a folder of the sweep's own")
    check_folder(parts)
    parts.mkdir(exist_ok=True)
    lock = os.open(parts, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove_half_written(parts)
        yield parts
    except BlockingIOError:
        raise RefusedError(f"{out}: another sweep is working on it; wait, or choose another") from None
    finally:
        os.close(lock)


def _into(parts: Path, plan: Plan, out: Path, jobs: int | None, client: Any, done: Done | None) -> None:
    about, key = parts / "plan", hashlib.sha256(plan.describe().encode()).hexdigest()
    if os.path.lexists(about) and _plan_in(about) != key:
        raise InputError(str(parts), "plan", "another sweep", f"the same sweep to go on with; or delete {parts}")
    write_atomically(about, key)
    piece_rows, keep = rows_of_piece(plan), _Keep(parts)
    starts = range(0, plan.rows, piece_rows)
    missing = [start for start in starts if _kept(keep.part(start)) is None]
    todo = _pieces(plan, missing, piece_rows)
    finished = plan.rows - sum(stop - start for start, stop in todo)
    if done:
        done(finished)
    if client is None:
        kept = _here(keep, plan, todo, jobs)
    else:
        kept = ((start, keep.rows(start, rows)) for start, rows in _on_dask(plan, todo, client))
    files = [keep.part(start) for start in starts]
    # A damaged piece stands in no other's way: those before the first that is missing are there, whole.
    with new_file(parts / "whole") as file, _Whole(file, files, piece_rows) as whole, closing(kept):
        waiting = set(missing)
        for start, number in kept:
            waiting.discard(start)
            finished += number
            if done:
                done(finished)
            whole.add_before(min(waiting, default=plan.rows))
        whole.add_before(plan.rows)
    publish(parts / "whole", out)
    for file_of_piece in parts.iterdir():
        file_of_piece.unlink()
    parts.rmdir()


def _plan_in(path: Path) -> str:
    try:
        return read_text(path)
    except (OSError, ValueError):
        return ""  # damaged, so nobody knows whose it is


def _kept(path: Path) -> bytes | None:
    """A piece as it was written; None where there is none, or a damaged one, which is worked out anew."""
    try:
        return read_sealed(path, _LARGEST_PIECE_BYTES)
    except OSError:
        return None


@dataclass(frozen=True)
class _Keep:
    """Works out a piece and keeps it beside the result, by whoever works it out: an Arrow file, quick to write."""

    parts: Path

    def __call__(self, plan: Plan, start: int, stop: int, ended: threading.Event | None = None) -> int:
        return self.rows(start, work_out(plan, start, stop, ended))

    def rows(self, start: int, rows: pd.DataFrame) -> int:
        """Keep rows that are worked out; return how many."""
        import pyarrow as pa

        table, content = pa.Table.from_pandas(rows, preserve_index=False), pa.BufferOutputStream()
        with pa.ipc.new_file(content, table.schema) as writer:
            writer.write_table(table)
        write_atomically(self.part(start), sealed(content.getvalue().to_pybytes()))
        return len(rows)

    def part(self, start: int) -> Path:
        """The file of a piece."""
        return self.parts / f"from-{start:012d}.piece"


class _Whole:
    """The result, put together in the pieces' order while later ones are still worked out."""

    def __init__(self, file: BinaryIO, files: list[Path], piece_rows: int) -> None:
        self._file, self._files, self._rows = file, files, piece_rows
        self._added = 0
        self._writer: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *about: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def add_before(self, scenario: int) -> None:
        """Add each piece before that of this scenario that was not yet added."""
        while self._added < min(len(self._files), -(-scenario // self._rows)):
            self._add(self._files[self._added])
            self._added += 1

    def _add(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        content = _kept(path)
        if content is None:
            raise InputError(str(path), "piece", "damaged", "the same command again, which works it out anew")
        table = pa.ipc.open_file(pa.py_buffer(content)).read_all()
        if self._writer is None:
            # Real numbers hardly ever repeat: a dictionary of them is made in vain.
            words = [field.name for field in table.schema if not pa.types.is_floating(field.type)]
            self._writer = pq.ParquetWriter(self._file, table.schema, use_dictionary=words)
        self._writer.write_table(table, row_group_size=self._rows)
