"""fio's output, whichever fio wrote it, as one tidy table: a row per document, job and direction.

The columns and their units are in `zpmodel.fio.columns`.
"""

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from zpmodel.base.errors import InputError
from zpmodel.fio import progress, rows, text
from zpmodel.fio.columns import COLUMNS, NULLABLE_FLAGS

_LARGEST_BYTES = 256 << 20
_MOST_ROWS = 100_000
# What can't be fio's output by its name, and lies beside it: machine descriptions and notes.
_OTHER_SUFFIXES = frozenset((".toml", ".md"))
_JOB_FILE = ".fio"


@dataclass(frozen=True)
class Reading:
    """What was read.

    :ivar jobs: a row per document, job and direction; columns as in `zpmodel.fio.columns.COLUMNS`.
    :ivar rejected: columns ``file``, ``scope`` (``file``, or ``job`` where only that job is rejected), ``reason``.
    """

    jobs: pd.DataFrame
    rejected: pd.DataFrame


@dataclass(frozen=True)
class Job:
    """What one job did: I/Os, bytes [byte], runtime [s], mean latency [ns], CPU time of its thread [s].

    NaN where fio didn't measure it.
    """

    ios: int
    bytes: int
    runtime_s: float
    bytes_per_s: float
    lat_mean_ns: float
    cpu_s: float


@dataclass(frozen=True)
class _Rejected:
    file: str
    scope: str
    reason: str


def read(paths: Iterable[str | os.PathLike[str]]) -> Reading:
    """Read fio output files, and all files below directories; what can't be read is listed with its reason.

    Below a directory ``.toml`` and ``.md`` files and names that start with a dot are passed over, and so are fio's job
    files (``.fio``, unless fio's output stands in them). Files there that aren't fio's at all are listed together.

    :param paths: files and directories.
    """
    found: list[dict[str, Any]] = []
    rejected: list[_Rejected] = []
    for path in paths:
        below = _below(Path(path), rejected)
        foreign: list[_Rejected] = []
        job_files = 0
        for file in [Path(path)] if below is None else below:
            try:
                file_rows, file_rejected = _read_file(file)
            except text.NotFioError as error:
                if below is not None and file.suffix.lower() == _JOB_FILE:
                    job_files += 1
                else:
                    foreign.append(_Rejected(str(file), "file", str(error)))
            except InputError as error:
                rejected.append(_Rejected(str(file), "file", str(error)))
            else:
                found.extend(file_rows)
                rejected.extend(file_rejected)
        rejected.extend(_together(Path(path), foreign))
        if below and job_files == len(below):
            reason = InputError(str(path), "directory", f"{job_files} job files and no results", "fio's output")
            rejected.append(_Rejected(str(path), "file", str(reason)))
    return _reading(found, rejected)


def _together(path: Path, foreign: list[_Rejected]) -> list[_Rejected]:
    """One line for many files of a directory that aren't fio's."""
    if len(foreign) < 2:
        return foreign
    names = ", ".join(Path(each.file).name for each in foreign[:3]) + (", ..." if len(foreign) > 3 else "")
    reason = InputError(str(path), "directory", f"{len(foreign)} files ({names})", "fio's JSON output")
    return [_Rejected(str(path), "file", str(reason))]


def read_file(path: str | os.PathLike[str]) -> Reading:
    """Read one file.

    :raises InputError: where it isn't there, isn't fio's JSON output, is broken, or holds only jobs that failed.
    """
    return _reading(*_read_file(Path(path)))


def read_text(content: str, where: str) -> Reading:
    """Read fio output that is at hand as text.

    :param where: stands in the column ``file`` and in messages.
    :raises InputError: where it isn't fio's JSON output, is broken, or holds only jobs that failed.
    """
    return _reading(*_read_text(content, where))


def one_job(path: str | os.PathLike[str], direction: str) -> Job:
    """Read a file that holds one run of one job, as calibration runs it, in the direction in which it moved data.

    :param direction: ``read``, ``write`` or ``trim``.
    :raises InputError: where it isn't that, the job failed, or a figure is missing.
    """
    where = str(path)
    found, rejected = _read_file(Path(path))
    rows = [row for row in found if row["last"]]
    if rejected or len(rows) != 1 or rows[0]["direction"] != direction:
        what = rejected[0].reason if rejected else ", ".join(f"{row['job']} {row['direction']}" for row in rows)
        raise InputError(where, "jobs", what, f"one {direction} job without error")
    (row,) = rows
    cpu_s = (row["user_cpu_share"] + row["system_cpu_share"]) * row["job_runtime_s"]
    job = Job(row["ios"], row["bytes"], row["runtime_s"], row["bytes_per_s"], row["lat_mean_ns"], cpu_s)
    if not (job.runtime_s > 0 and job.ios > 0 and job.bytes > 0):
        raise InputError(where, "jobs", f"{job.ios} I/Os in {job.runtime_s} s", f"one {direction} job that moved data")
    return job


def _below(path: Path, rejected: list[_Rejected]) -> Sequence[Path] | None:
    """The files below a directory; None where it is none."""
    try:
        if not path.is_dir():
            return None
        below = sorted(
            file
            for file in path.rglob("*")
            if file.is_file()
            and file.suffix.lower() not in _OTHER_SUFFIXES
            and not any(name.startswith(".") for name in file.relative_to(path).parts)
        )
    except (OSError, ValueError) as error:
        rejected.append(_Rejected(str(path), "file", str(InputError(str(path), "path", str(error), "a readable path"))))
        return []
    if not below:
        reason = InputError(str(path), "directory", "no file below it", "a directory with fio output")
        rejected.append(_Rejected(str(path), "file", str(reason)))
    return below


def _read_file(path: Path) -> tuple[list[dict[str, Any]], list[_Rejected]]:
    where = str(path)
    try:
        # Looked at before it is opened: opening a FIFO waits for a writer.
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InputError(where, "path", _kind(status.st_mode), "a regular file with fio's JSON output")
        with path.open("rb") as file:
            raw = file.read(_LARGEST_BYTES + 1) if status.st_size <= _LARGEST_BYTES else b""
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(where, "path", reason, "a readable file") from None
    if max(len(raw), status.st_size) > _LARGEST_BYTES:
        size = f"{max(len(raw), status.st_size)} bytes"
        raise InputError(where, "size", size, f"at most {_LARGEST_BYTES} bytes of fio output a file")
    content = text.decode(raw, where)
    del raw
    return _read_text(content, where)


def _kind(mode: int) -> str:
    names = {stat.S_IFDIR: "directory", stat.S_IFIFO: "FIFO", stat.S_IFSOCK: "socket"}
    return f"a {names.get(stat.S_IFMT(mode), 'device')}"


def _read_text(content: str, where: str) -> tuple[list[dict[str, Any]], list[_Rejected]]:
    found: list[dict[str, Any]] = []
    rejected: list[_Rejected] = []
    states: list[progress.State] = []
    first_error = ""
    for index, document in enumerate(text.documents(content, where)):
        place = f"{where}: document {index + 1}" if index else where
        states.append(progress.state(document, place))
        for job_rows, error in rows.of_document(document, place):
            if error:
                rejected.append(_Rejected(where, "job", f"{place}: {error}"))
                first_error = first_error or error
            found.extend({**row, "file": where, "document": index} for row in job_rows)
        if len(found) + len(rejected) > _MOST_ROWS:
            raise InputError(where, "jobs", f"more than {_MOST_ROWS}", f"at most {_MOST_ROWS} jobs a file")
    if not found:
        raise InputError(where, "jobs", first_error, "a job that ran without an error")
    last = progress.are_last(states)
    for row in found:
        row["last"] = last[row["document"]]
    return found, rejected


def _reading(found: list[dict[str, Any]], rejected: list[_Rejected]) -> Reading:
    found = [{name: _as_text(v) if isinstance(v, str) else v for name, v in row.items()} for row in found]
    rejected = [_Rejected(_as_text(each.file), each.scope, _as_text(each.reason)) for each in rejected]
    jobs = pd.DataFrame(found, columns=list(COLUMNS))
    # Each by itself: `DataFrame.astype` takes the whole table apart, which for one file is most of its reading.
    jobs = jobs.assign(**{name: jobs[name].astype("boolean") for name in NULLABLE_FLAGS})
    listing = pd.DataFrame(
        [(each.file, each.scope, each.reason) for each in rejected], columns=["file", "scope", "reason"]
    )
    return Reading(jobs, listing)


def _as_text(name: str) -> str:
    """A path, which may hold bytes that are no UTF-8, or a name with half a character, as a table may hold it."""
    return name.encode("utf-8", "backslashreplace").decode()
