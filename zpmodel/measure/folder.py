"""The folder of a data set while it is measured: whose it is, its plan, and what in it can't be used."""

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import msgspec

from zpmodel.base.errors import InputError, RefusedError
from zpmodel.base.files import check_folder, read_bounded, remove_half_written, write_atomically
from zpmodel.datasets.point import Point
from zpmodel.datasets.points import LeftOut
from zpmodel.host.safety import Target
from zpmodel.measure.plan import Matrix, plan

_FORMAT = 2


class _Plan(msgspec.Struct):
    format: int
    kind: str
    target_digest: str
    matrix: dict[str, Any]
    seed: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
    rounds: list[list[str]]
    machine_digest: str = ""


def load_or_make_plan(
    out: Path, target: Target, matrix: Matrix, seed: int | None, machine_digest: str
) -> tuple[int, list[list[Point]]]:
    """Read the order in which the folder's measurement was begun, or begin one.

    :return: the seed, and the points of each round.
    :raises InputError: where the folder holds another measurement: target, matrix, seed or machine.
    """
    path = out / "plan.json"
    # A path may tell a user's or a customer's name; its digest is enough to know it again.
    digest = hashlib.sha256(str(target.path.resolve()).encode()).hexdigest()[:16]
    identity = {
        "format": _FORMAT,
        "kind": target.kind,
        "target_digest": digest,
        "matrix": matrix.to_json(),
        "machine_digest": machine_digest,
    }
    if path.exists():
        return _kept_plan(out, path, identity, seed)
    chosen = secrets.randbelow(2**32) if seed is None else seed
    points = plan(matrix, chosen)
    names = [[point.id for point in points_of_round] for points_of_round in points]
    try:
        write_atomically(path, json.dumps({**identity, "seed": chosen, "rounds": names}, indent=1) + "\n")
    except OSError as error:
        raise RefusedError(f"{out} can't be written: {error.strerror}") from None
    return chosen, points


def _kept_plan(out: Path, path: Path, identity: dict[str, Any], seed: int | None) -> tuple[int, list[list[Point]]]:
    try:
        kept = msgspec.json.decode(read_bounded(path), type=_Plan)
        points = [[Point.from_id(name) for name in names] for names in kept.rounds]
    except (OSError, ValueError, RecursionError, InputError) as error:
        raise InputError(
            str(path), "plan", str(error), "a plan that zpmodel measure wrote; use another --out"
        ) from None
    what = {"matrix": "matrix (--quick or not)", "format": "format", "machine_digest": "machine or kernel"}
    for key in ("format", "machine_digest", "kind", "target_digest", "matrix"):
        if getattr(kept, key) != identity[key]:
            raise InputError(
                str(out),
                "folder",
                f"a measurement with another {what.get(key, 'target')}",
                "the same again, or another --out",
            )
    if seed is not None and seed != kept.seed:
        raise InputError(str(out), "seed", seed, f"{kept.seed}, with which it was begun, or another --out")
    return kept.seed, points


@contextmanager
def locked_folder(out: Path) -> Iterator[int]:
    """Make the folder, and make sure that no other measurement, nor a fio left over from one, works in it.

    :raises InputError: where it can't be made or written, or is something else's.
    :raises RefusedError: where a measurement runs in it.
    """
    check_folder(out)
    try:
        if out.is_dir() and any(out.iterdir()) and not (out / "plan.json").exists():
            there = {path.name for path in out.iterdir() if not path.name.startswith(".plan.json.")}
            if there - {"points", "usage"} or any((out / "points").glob("*")):
                raise InputError(
                    "--out", "folder", str(out), "a new or empty folder, or one that zpmodel measure began"
                )
        for name in ("points", "usage", "set-aside"):
            if (out / name).is_symlink():
                raise InputError(str(out / name), "folder", "a symlink", "a folder of the data set's own")
        for name in ("points", "usage"):
            (out / name).mkdir(parents=True, exist_ok=True)
        lock = os.open(out, os.O_RDONLY | os.O_DIRECTORY)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise InputError("--out", "folder", str(out), f"a folder that can be made and written ({why})") from None
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
    for folder in (out, out / "points", out / "usage"):
        with suppress(OSError):
            remove_half_written(folder)


def set_aside(out: Path, left_out: Sequence[LeftOut]) -> None:
    """Move points that can't be used to ``set-aside/``, with their usage, and note why in ``failures.jsonl``.

    :raises RefusedError: where they can't be moved.
    """
    for item in left_out:
        try:
            for kind in ("points", "usage"):
                path = out / kind / f"{item.name}.json"
                if not path.is_symlink() and not path.exists():
                    continue
                folder = out / "set-aside" / kind
                folder.mkdir(parents=True, exist_ok=True)
                path.rename(_free_name(folder, path.name))
        except OSError as error:
            raise RefusedError(
                f"{out}: {item.name} can't be used ({item.reason}) nor be set aside: {error.strerror}"
            ) from None
        note_failure(out, item.name, f"set aside: {item.reason}")


def note_failure(out: Path, name: str, reason: str) -> None:
    """Add a line to ``failures.jsonl``, as far as there is room."""
    line = json.dumps({"id": name, "when": time.strftime("%FT%TZ", time.gmtime()), "reason": reason})
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with suppress(OSError), os.fdopen(os.open(out / "failures.jsonl", flags, 0o666), "a") as file:
        file.write(line + "\n")


def _free_name(folder: Path, name: str) -> Path:
    path, number = folder / name, 1
    while path.is_symlink() or path.exists():
        number += 1
        path = folder / f"{name}.{number}"
    return path
