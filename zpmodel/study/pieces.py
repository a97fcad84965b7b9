"""Working out a sweep in pieces: on the cores here or on a Dask cluster, and into a Parquet file that can be resumed.

Pieces are worked out anywhere and in any order; each is kept beside the result as a file that is complete or absent.
When all are there they are put together in their order, so a run that was killed and taken up again gives the same
bytes.
"""

import hashlib
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd

from zpmodel.base.accelerate import cores
from zpmodel.base.errors import InputError
from zpmodel.base.files import check_new, publish, write_atomically
from zpmodel.host.parent import die_with_parent
from zpmodel.study.sweep import Plan, work_out

QUICK_ROWS, SLOW_ROWS = 1 << 16, 1 << 12
"""Scenarios of a piece, and rows of a row group of the file, by whether the compiled pass answers them: never other
numbers, as they decide the bytes."""

Done = Callable[[int], None]
Work = Callable[[Plan, int, int], Any]


def rows_of_piece(plan: Plan) -> int:
    """Scenarios of a piece of this sweep."""
    return QUICK_ROWS if plan.quick else SLOW_ROWS


def run(
    plan: Plan, rows: Iterable[int], *, jobs: int | None = None, client: Any = None, piece_rows: int | None = None
) -> Iterator[tuple[int, pd.DataFrame]]:
    """Work out pieces, in any order.

    :param rows: the range of scenarios, or the first scenarios of pieces.
    :return: pairs of a piece's first scenario and its rows.
    """
    piece_rows = piece_rows or rows_of_piece(plan)
    if isinstance(rows, range) and rows.step == 1:
        rows = range(rows.start, rows.stop, piece_rows)
    todo = [(start, min(start + piece_rows, plan.rows)) for start in rows]
    yield from _on_dask(plan, todo, client) if client is not None else _here(work_out, plan, todo, jobs)


def _here(work: Work, plan: Plan, todo: list[tuple[int, int]], jobs: int | None) -> Iterator[tuple[int, Any]]:
    """What ``work`` makes of each piece, on this machine."""
    jobs = min(jobs or cores(), len(todo))
    if jobs <= 1:
        for start, stop in todo:
            yield start, work(plan, start, stop)
        return
    with _pool(plan, jobs) as pool:
        running: dict[Future[Any], int] = {}
        try:
            for start, stop in todo:
                running[pool.submit(work, plan, start, stop)] = start
                if len(running) >= 2 * jobs:
                    yield from _finished(running)
            while running:
                yield from _finished(running)
        finally:
            pool.shutdown(cancel_futures=True)


def _pool(plan: Plan, jobs: int) -> Executor:
    """Threads for the compiled pass, which lets go of Python's lock: they start at once and hand over nothing.

    Processes for the rest, which is Python. Forked ones would share numba's and the threads' locks in whatever state
    they are; those of a sweep that is killed end with it, also in the middle of a piece.
    """
    if plan.quick:
        return ThreadPoolExecutor(jobs)
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(jobs, mp_context=spawn, initializer=die_with_parent, initargs=(os.getpid(),))


def _finished(running: dict[Future[Any], int]) -> Iterator[tuple[int, Any]]:
    for future in wait(running, return_when=FIRST_COMPLETED).done:
        yield running.pop(future), future.result()


def _on_dask(plan: Plan, todo: list[tuple[int, int]], client: Any) -> Iterator[tuple[int, pd.DataFrame]]:
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
    """
    check_new(out)
    parts = out.with_name(f".{out.name}.parts")
    if parts.is_symlink():
        raise InputError(str(parts), "folder", "a symlink", "a folder of the sweep's own")
    parts.mkdir(exist_ok=True)
    about, key = parts / "plan", hashlib.sha256(plan.describe().encode()).hexdigest()
    if about.exists() and about.read_text() != key:
        raise InputError(str(parts), "plan", "another sweep", f"the same sweep to go on with; or delete {parts}")
    write_atomically(about, key)
    piece_rows = rows_of_piece(plan)
    starts = range(0, plan.rows, piece_rows)
    keep = _Keep(parts)
    missing = [start for start in starts if not keep.part(start).exists()]
    finished = plan.rows - sum(min(piece_rows, plan.rows - start) for start in missing)
    if done:
        done(finished)
    todo = [(start, min(start + piece_rows, plan.rows)) for start in missing]
    if client is None:
        kept = _here(keep, plan, todo, jobs)
    else:
        kept = ((start, keep.rows(start, rows)) for start, rows in _on_dask(plan, todo, client))
    with _Whole(parts, [keep.part(start) for start in starts], piece_rows) as whole:
        for _, number in kept:
            finished += number
            if done:
                done(finished)
            whole.add_ready()
        whole.add_ready()
    publish(whole.path, out)
    for file in parts.iterdir():
        file.unlink()
    parts.rmdir()


@dataclass(frozen=True)
class _Keep:
    """Works out a piece and keeps it beside the result, by whoever works it out: an Arrow file, quick to write."""

    parts: Path

    def __call__(self, plan: Plan, start: int, stop: int) -> int:
        return self.rows(start, work_out(plan, start, stop))

    def rows(self, start: int, rows: pd.DataFrame) -> int:
        """Keep rows that are worked out; return how many."""
        import pyarrow as pa

        table, temporary = pa.Table.from_pandas(rows, preserve_index=False), self.parts / f"new-{start}"
        with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        publish(temporary, self.part(start))
        return len(rows)

    def part(self, start: int) -> Path:
        """The file of a piece."""
        return self.parts / f"from-{start:012d}.arrow"


class _Whole:
    """The result, put together in the pieces' order while later ones are still worked out.

    :ivar path: where it is until it is finished.
    """

    def __init__(self, parts: Path, files: list[Path], piece_rows: int) -> None:
        self.path, self._files, self._rows = parts / "whole", files, piece_rows
        self._added = 0
        self._writer: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *about: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def add_ready(self) -> None:
        """Add each piece that is there and all before which are."""
        while self._added < len(self._files) and self._files[self._added].exists():
            self._add(self._files[self._added])
            self._added += 1

    def _add(self, file: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        with pa.memory_map(str(file)) as memory:
            table = pa.ipc.open_file(memory).read_all()
            if self._writer is None:
                # Real numbers hardly ever repeat: a dictionary of them is made in vain.
                words = [field.name for field in table.schema if not pa.types.is_floating(field.type)]
                self._writer = pq.ParquetWriter(self.path, table.schema, use_dictionary=words)
            self._writer.write_table(table, row_group_size=self._rows)
