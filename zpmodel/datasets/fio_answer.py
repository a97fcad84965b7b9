"""What fio answered for one point and what was noted beside it: one check, for `measure` and for reading alike.

Whatever passes here can be read back for ever; whatever does not is no point, whether fio has just printed it or a
disk has lost half of it since.
"""

import errno
import os
import re
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from zpmodel.base.errors import InputError
from zpmodel.datasets.point import Point

_Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 60)]
# One thread's share of the time that it ran, in fio's rounding; more is a damaged figure.
_Percent = Annotated[float, msgspec.Meta(ge=0, le=150)]
_Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]


class _Latency(msgspec.Struct):
    mean: Annotated[float, msgspec.Meta(ge=0, le=1e15)]


class Way(msgspec.Struct):
    """One direction of a job: I/Os and bytes done in ``runtime`` [ms]."""

    io_bytes: _Count
    total_ios: _Count
    runtime: _Milliseconds
    lat_ns: _Latency


class Job(msgspec.Struct):
    """What is read of a job of fio's JSON; ``job_runtime`` [ms], the CPU shares are in percent of it."""

    jobname: str
    error: Annotated[int, msgspec.Meta(ge=-(1 << 31), lt=1 << 31)]
    options: dict[str, str] = msgspec.field(name="job options")
    read: Way
    write: Way
    job_runtime: _Milliseconds
    usr_cpu: _Percent
    sys_cpu: _Percent


class _Answer(msgspec.Struct):
    jobs: Annotated[list[Job], msgspec.Meta(min_length=1, max_length=1)]


_Ticks = Annotated[float, msgspec.Meta(ge=-1, le=1e9)]  # steal has been seen to run backwards by a tick
_Idle = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]  # proc(5): iowait may decrease


class MachineSeconds(msgspec.Struct):
    """What all CPUs together spent in each state while fio lived [s], in ticks of 10 ms."""

    user: _Ticks = 0.0
    nice: _Ticks = 0.0
    system: _Ticks = 0.0
    irq: _Ticks = 0.0
    softirq: _Ticks = 0.0
    steal: _Ticks = 0.0
    idle: _Idle = 0.0
    iowait: _Idle = 0.0


class Usage(msgspec.Struct):
    """What fio does not say of a run (``usage/ID.json``).

    :ivar id: the point's name.
    :ivar started: ISO 8601.
    :ivar elapsed_seconds: of fio's process [s].
    :ivar io_worker_seconds: CPU time of io_uring's workers [s].
    :ivar kernel_thread_seconds: CPU time of each kernel thread [s].
    :ivar machine_seconds: what all CPUs did meanwhile; fio's process took ``process_user_seconds`` and
        ``process_system_seconds`` of it [s], its workers' time included.
    :ivar thread_cpu_ns: CPU time of the job's thread by the scheduler's clock [ns]; sets from before have none.
    :ivar thread_cpu_overhead_ns: how much of it the two readings themselves cost [ns].
    :ivar thread_cpu_from: how it was read.
    :ivar machine_digest: tells two machines' points apart; ``session_digest`` two sessions'.
    """

    id: str
    started: Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", max_length=40)]
    elapsed_seconds: _Seconds
    io_worker_seconds: _Seconds
    kernel_thread_seconds: dict[str, _Seconds]
    machine_seconds: MachineSeconds
    process_user_seconds: _Seconds | None = None
    process_system_seconds: _Seconds | None = None
    command: list[str] = []
    thread_cpu_ns: _Count | None = None
    thread_cpu_overhead_ns: _Count = 0
    thread_cpu_from: str = ""
    machine_digest: _Digest | None = None
    session_digest: _Digest | None = None


_Form = TypeVar("_Form")


def check_answer(raw: bytes, point: Point) -> Job:
    """Accept one whole job of fio without an error that did what the point asks for.

    :param raw: what fio printed; its notes may stand before the document.
    :raises ValueError: with the reason.
    """
    start = re.search(rb"^\{", raw, re.MULTILINE)
    if start is None:
        raise ValueError("no JSON document" if raw.strip() else "nothing printed")
    (job,) = _decode(raw[start.start() :], _Answer).jobs
    if job.error:
        said = os.strerror(abs(job.error)) if abs(job.error) in errno.errorcode else "an error that this system lacks"
        raise ValueError(f"fio reports error {job.error} ({said})")
    if job.jobname != point.id:
        raise ValueError(f"the job is {job.jobname[:80]!r}, another point's")
    asked = {"bs": str(point.block_bytes), "mem": point.memory, "iodepth": str(point.depth)}
    for name, wanted in asked.items():
        if job.options.get(name) != wanted:
            raise ValueError(f"option {name} is {job.options.get(name)!r} where the point's name says {wanted!r}")
    way = way_of(job, point)
    if way.total_ios == 0:
        raise ValueError("fio finished no I/O")
    if way.io_bytes != way.total_ios * point.block_bytes:
        raise ValueError(f"{way.io_bytes} bytes are not {way.total_ios} I/Os of {point.block_bytes} bytes")
    wanted_ms = _runtime_ms(job.options.get("runtime", ""))
    if way.runtime < 0.8 * wanted_ms or way.runtime == 0:
        raise ValueError(f"fio ran for {way.runtime / 1e3:g} s where {wanted_ms / 1e3:g} s were asked for")
    return job


def check_usage(raw: bytes, point: Point) -> Usage:
    """Accept what was noted beside a point.

    :raises ValueError: with the reason.
    """
    usage = _decode(raw, Usage)
    if usage.id != point.id:
        raise ValueError(f"it is the usage of {usage.id[:80]!r}")
    if usage.thread_cpu_ns is not None and usage.thread_cpu_ns > usage.elapsed_seconds * 1.1e9:
        raise ValueError("the thread ran longer than its process")
    return usage


def way_of(job: Job, point: Point) -> Way:
    """The direction that a point uses."""
    return job.read if point.operation == "zero" else job.write


def point_of(path: Path) -> Point:
    """The point whose file this is, by its name.

    :raises ValueError: where the name is no point's.
    """
    try:
        point = Point.from_id(path.stem)
    except InputError:
        raise ValueError("its name is no point's") from None
    if point.id != path.stem:
        raise ValueError(f"its name should be {point.id}")
    return point


def _decode(raw: bytes, form: type[_Form]) -> _Form:
    try:
        # As text: what is skipped would else not be looked at, and a damaged byte is damage wherever it stands.
        return msgspec.json.decode(raw.decode(), type=form)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from None


def _runtime_ms(text: str) -> float:
    match = re.fullmatch(r"(\d{1,12})ms", text)
    if match is None:
        raise ValueError(f"option runtime is {text[:40]!r}, not in ms")
    return float(match[1])


def as_json(fields: dict[str, Any]) -> str:
    """Write what `check_usage` reads."""
    return msgspec.json.format(msgspec.json.encode(fields), indent=1).decode() + "\n"
