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

_LARGEST_BYTES = 1 << 29
# What can't be fio's output by its name, and lies beside it: machine descriptions, notes, job files.
_OTHER_SUFFIXES = frozenset((".toml", ".md", ".fio"))


@dataclass(frozen=True)
class Reading:
    """What was read.

    :ivar jobs: a row per document, job and direction; columns as in `zpmodel.fio.columns.COLUMNS`.
    :ivar rejected: columns ``file``, ``scope`` (``file``, or ``job`` where only that job is rejected), ``reason``.
    """

    jobs: pd.DataFrame
    rejected: pd.DataFrame


@dataclass(frozen=True)
class _Rejected:
    file: str
    scope: str
    reason: str


def read(paths: Iterable[str | os.PathLike[str]]) -> Reading:
    """Read fio output files, and all files below directories; what can't be read is listed with its reason.

    Below a directory ``.toml``, ``.md`` and ``.fio`` files and names that start with a dot are passed over.

    :param paths: files and directories.
    """
    found: list[dict[str, Any]] = []
    rejected: list[_Rejected] = []
    for path in paths:
        for file in _files(Path(path), rejected):
            try:
                file_rows, file_rejected = _read_file(file)
            except InputError as error:
                rejected.append(_Rejected(str(file), "file", str(error)))
            else:
                found.extend(file_rows)
                rejected.extend(file_rejected)
    return _reading(found, rejected)


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


def _files(path: Path, rejected: list[_Rejected]) -> Sequence[Path]:
    try:
        if not path.is_dir():
            return [path]
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
        status = path.stat()
        if stat.S_ISDIR(status.st_mode) or stat.S_ISBLK(status.st_mode) or stat.S_ISCHR(status.st_mode):
            raise InputError(where, "path", "a directory or a device", "a file with fio's JSON output")
        if status.st_size > _LARGEST_BYTES:
            raise InputError(where, "size", f"{status.st_size} bytes", f"at most {_LARGEST_BYTES} bytes of fio output")
        raw = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(where, "path", reason, "a readable file") from None
    return _read_text(text.decode(raw, where), where)


def _read_text(content: str, where: str) -> tuple[list[dict[str, Any]], list[_Rejected]]:
    documents = text.documents(content, where)
    found: list[dict[str, Any]] = []
    rejected: list[_Rejected] = []
    first_error = ""
    for index, (document, last) in enumerate(zip(documents, progress.are_last(documents, where), strict=True)):
        place = f"{where}: document {index + 1}" if len(documents) > 1 else where
        for job_rows, error in rows.of_document(document, place):
            if error:
                rejected.append(_Rejected(where, "job", f"{place}: {error}"))
                first_error = first_error or error
            found.extend({**row, "file": where, "document": index, "last": last} for row in job_rows)
    if not found:
        raise InputError(where, "jobs", first_error, "a job that ran without an error")
    return found, rejected


def _reading(found: list[dict[str, Any]], rejected: list[_Rejected]) -> Reading:
    jobs = pd.DataFrame(found, columns=list(COLUMNS))
    jobs = jobs.astype(dict.fromkeys(NULLABLE_FLAGS, "boolean"))
    listing = pd.DataFrame(
        [(each.file, each.scope, each.reason) for each in rejected], columns=["file", "scope", "reason"]
    )
    return Reading(jobs, listing)
