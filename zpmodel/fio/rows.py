"""The rows of one document: what each entry of ``jobs`` says, direction by direction."""

import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from zpmodel.base.errors import InputError
from zpmodel.fio import entry as of_entry
from zpmodel.fio import members, options
from zpmodel.fio.dialect import DIRECTIONS, number

_ALL_CLIENTS = "All clients"


def of_document(document: Mapping[str, Any], where: str) -> Iterator[tuple[list[dict[str, Any]], str]]:
    """Go through the jobs of a document: the rows of each, or why it is rejected.

    :return: pairs of rows (without ``file``, ``document``, ``last``) and a reason; one of them is empty.
    :raises InputError: where the document doesn't have fio's shape.
    """
    jobs = entries(document, where)
    # An entry without a name is nobody's clone.
    names = [(*identity(each), "" if each.get("jobname") else str(index)) for index, each in enumerate(jobs)]
    same, before = Counter(names), Counter[tuple[str, ...]]()
    printed = document.get("fio version", "")
    if not isinstance(printed, str):
        raise InputError(where, "fio version", printed, "a text")
    fio = members.version(printed)
    common = {
        "fio_version": printed.removeprefix("fio-"),
        "timestamp": number(document, "timestamp", where),
    }
    for index, (each, known_as) in enumerate(zip(jobs, names, strict=True)):
        group = known_as[1:4]
        siblings = members.Siblings(same[known_as], before[group], "client_stats" not in document or "hostname" in each)
        before[group] += 1
        name = _name(each, where)
        place = f"{where}: job {name!r}"
        error = number(each, "error", place)
        if error and not math.isnan(error):
            meaning = os.strerror(int(error)) if 0 < error < 4096 else "unknown"
            yield [], f"job {name!r}: error {error:.0f} ({meaning})"
            continue
        given = options.merged(document, each, place)
        found = of_entry.rows(each, given, siblings, members.asked(document, given, fio), place)
        yield [{**common, "job_index": index, "job": name, **row} for row in found], ""


def _name(entry: Mapping[str, Any], where: str) -> str:
    name = entry.get("jobname")
    if name is None:
        return ""
    if not isinstance(name, str):
        raise InputError(where, "jobname", name, "a text")
    return name


def entries(document: Mapping[str, Any], where: str) -> list[Mapping[str, Any]]:
    """The entries of ``jobs``, or of ``client_stats`` without their sum.

    :raises InputError: where the document doesn't have fio's shape.
    """
    name = "client_stats" if "client_stats" in document and "jobs" not in document else "jobs"
    found = document.get(name)
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise InputError(where, name, type(found).__name__, "a list of jobs")
    if name == "client_stats" and len(found) > 1:
        # fio appends the sum of all of them.
        found = [entry for entry in found if entry.get("jobname") != _ALL_CLIENTS or "job options" in entry]
    if not found:
        raise InputError(where, name, "an empty list", "at least one job")
    for entry in found:
        if not any(isinstance(entry.get(direction), dict) for direction in DIRECTIONS):
            raise InputError(where, name, str(entry.get("jobname", "?")), "jobs with read, write, trim or mixed")
    return found


def identity(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """What clones of a job have in common: name, then group and client."""
    return tuple(str(entry.get(field)) for field in ("jobname", "groupid", "hostname", "port"))
