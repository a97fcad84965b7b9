"""Working out a sweep in pieces: on the cores here or on a Dask cluster, and into a Parquet file that can be resumed.

Pieces are worked out anywhere and in any order; each is kept beside the result as a file that is complete or absent.
When all are there they are put together in their order, so a run that was killed and taken up again gives the same
bytes.
"""

import fcntl
import hashlib
import io
import multiprocessing
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

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
    todo = [(start, min(start + piece_rows, plan.rows)) for start in rows]
    if client is not None:
        yield from _on_dask(plan, todo, client)
        return
    jobs = min(jobs or cores(), len(todo))
    if jobs <= 1:
        for start, stop in todo:
            yield start, work_out(plan, start, stop)
        return
    # Forked processes would share numba's and the threads' locks in whatever state they are.
    # Those of a sweep that is killed end with it, also in the middle of a piece.
    spawn, others = multiprocessing.get_context("spawn"), multiprocessing.active_children()
    with kept_from_children():  # multiprocessing starts one of its own
        pool = ProcessPoolExecutor(jobs, mp_context=spawn, initializer=die_with_parent, initargs=(os.getpid(),))
    try:
        running: dict[Future[pd.DataFrame], int] = {}
        waiting = iter(todo)
        for start, stop in waiting:
            with kept_from_children():
                running[pool.submit(work_out, plan, start, stop)] = start
            if len(running) >= 2 * jobs:
                yield from _finished(running)
        while running:
            yield from _finished(running)
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


def _finished(running: dict[Future[pd.DataFrame], int]) -> Iterator[tuple[int, pd.DataFrame]]:
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
    :raises RefusedError: while another sweep works on the same file.
    """
    check_new(out)
    with ends_orderly(), _parts(out) as parts:
        _into(parts, plan, out, jobs, client, done)


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
    piece_rows = rows_of_piece(plan)
    starts = range(0, plan.rows, piece_rows)
    missing = [start for start in starts if _kept(_part(parts, start)) is None]
    finished = plan.rows - sum(min(piece_rows, plan.rows - start) for start in missing)
    if done:
        done(finished)
    with closing(run(plan, missing, jobs=jobs, client=client)) as worked_out:
        for start, rows in worked_out:
            content = io.BytesIO()
            rows.to_parquet(content, index=False)
            write_atomically(_part(parts, start), sealed(content.getvalue()))
            finished += len(rows)
            if done:
                done(finished)
    _put_together(parts, [_part(parts, start) for start in starts], out, piece_rows)


def _part(parts: Path, start: int) -> Path:
    return parts / f"from-{start:012d}.piece"


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


def _put_together(parts: Path, files: list[Path], out: Path, piece_rows: int) -> None:
    import pyarrow.parquet as pq

    writer = None
    with new_file(parts / "whole") as whole:
        for file in files:
            content = _kept(file)
            if content is None:
                raise InputError(str(file), "piece", "damaged", "the same command again, which works it out anew")
            table = pq.read_table(io.BytesIO(content))
            writer = writer or pq.ParquetWriter(whole, table.schema)
            writer.write_table(table.cast(writer.schema), row_group_size=piece_rows)
        if writer is not None:
            writer.close()
    publish(parts / "whole", out)
    for file in parts.iterdir():
        file.unlink()
    parts.rmdir()
