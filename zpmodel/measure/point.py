"""Running fio once: complete results, all CPU time, or a reason why not."""

import ctypes
import os
import resource
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from zpmodel.base.errors import ZpmodelError
from zpmodel.base.files import LARGEST_BYTES, publish, read_bounded, write_atomically
from zpmodel.datasets.fio_answer import as_json, check_answer, check_usage
from zpmodel.datasets.point import Point
from zpmodel.host.cputime import WorkerWatch, kernel_threads, kernel_threads_spent, machine_seconds
from zpmodel.host.leftovers import passing_folder
from zpmodel.measure import thread_cpu
from zpmodel.measure.program import Fio

_LOOK_SECONDS = 0.025
_PR_SET_PDEATHSIG = 1
_PR_SET_THP_DISABLE = 41
_LIBC = ctypes.CDLL(None)


class FioFailedError(ZpmodelError):
    """One run of fio that gave no usable result; the message says why."""


def run_point(
    fio: Fio,
    arguments: Sequence[str],
    point: Point,
    *,
    out: Path,
    pass_fds: Sequence[int],
    seconds: float,
    known: Mapping[str, Any],
) -> None:
    """Run fio and keep its JSON, exactly as printed, in ``points/<name>.json`` and what fio doesn't say in ``usage/``.

    The point's file appears last and whole: where it is, the point is done.

    :param seconds: how long the job is meant to run [s].
    :param known: what else goes into the usage, as it is.
    :raises FioFailedError: where there is no complete result; no file has been made then.
    :raises OSError: where the folder can't be written, as when its disk is full.
    """
    name = point.id
    with passing_folder(".run-", out.resolve()) as folder:
        printed = folder / "fio.json"
        command = [fio.program, "--output-format=json", f"--output={printed}", *arguments]
        readings = thread_cpu.arguments() if fio.overhead_ns is not None else []
        usage = _run([*command, *readings], pass_fds, printed, limit=seconds * 3 + 60)
        usage = {"id": name, "command": ["fio", "--output-format=json", *arguments, *readings], **usage, **known}
        thread_ns, workers_ns = thread_cpu.spent(folder, name)
        usage["io_worker_seconds"] = max(usage["io_worker_seconds"], round(workers_ns / 1e9, 6))
        if thread_ns is not None and fio.overhead_ns is not None:
            usage["thread_cpu_ns"] = thread_ns
            usage["thread_cpu_overhead_ns"] = fio.overhead_ns
            usage["thread_cpu_from"] = thread_cpu.HOW
        noted = as_json(usage)
        try:
            check_answer(read_bounded(printed), point)
            check_usage(noted.encode(), point)
        except (OSError, ValueError) as problem:
            _look_for_room(folder)
            raise FioFailedError(f"fio printed no complete result ({cleaned(str(problem))})") from None
        write_atomically(out / "usage" / f"{name}.json", noted)
        publish(printed, out / "points" / f"{name}.json")


def _look_for_room(folder: Path) -> None:
    """Raise OSError (ENOSPC, EDQUOT) where fio's answer was cut short for want of room: fio itself says nothing."""
    with (folder / "room").open("wb") as file:
        file.write(bytes(64 << 10))
        os.fsync(file.fileno())


_STOPS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def _prepare_child() -> None:
    # A fio that outlives us would write into the next run's measurements; transparent huge pages would turn "4 KiB
    # pages" into 2 MiB.
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _LIBC.prctl(_PR_SET_THP_DISABLE, 1, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)


def _run(command: Sequence[str], pass_fds: Sequence[int], printed: Path, limit: float) -> dict[str, Any]:
    started = datetime.now(UTC).isoformat(timespec="milliseconds")
    threads, machine, clock = kernel_threads(), machine_seconds(), time.monotonic()
    with tempfile.TemporaryFile() as said:
        # Its own session: Ctrl-C reaches us alone, and we stop fio rather than let it print half a run.
        # What is raised while Python forks, in a callback, is printed and dropped: a Ctrl-C has to wait so long.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
        try:
            process = subprocess.Popen(
                command,
                cwd=printed.parent,
                pass_fds=pass_fds,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
                preexec_fn=_prepare_child,
            )
        except OSError as error:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
            raise FioFailedError(f"fio could not be started: {error.strerror}") from None
        except BaseException:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
            raise
        watch = WorkerWatch(process.pid)
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
            sizes = (lambda: os.fstat(said.fileno()).st_size, lambda: _size(printed))
            used = _wait(process, watch, clock + limit, sizes)
        except BaseException:
            _stop(process)
            raise
        elapsed = time.monotonic() - clock
        machine_after, threads_after = machine_seconds(), kernel_threads()
        said.seek(0)
        words = said.read(4096).decode(errors="replace")
        with suppress(OSError):  # fio says some things where the results should be
            words += _start_of(printed).partition("{")[0]
    if process.returncode != 0:
        raise FioFailedError(_reason(process.returncode, words))
    return {
        "started": started,
        "elapsed_seconds": round(elapsed, 6),
        "process_user_seconds": used.ru_utime,
        "process_system_seconds": used.ru_stime,
        "io_worker_seconds": round(watch.seconds, 6),
        "kernel_thread_seconds": kernel_threads_spent(threads, threads_after),
        "machine_seconds": {key: round(machine_after[key] - value, 2) for key, value in machine.items()},
    }


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _start_of(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(4096).decode(errors="replace")


def _wait(
    process: subprocess.Popen[bytes], watch: WorkerWatch, deadline: float, sizes: Sequence[Callable[[], int]]
) -> resource.struct_rusage:
    ended = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        poll.register(ended, select.POLLIN)
        while not poll.poll(_LOOK_SECONDS * 1000):
            watch.look()
            if time.monotonic() > deadline:
                raise FioFailedError("fio did not end in time and was stopped")
            if any(size() > LARGEST_BYTES for size in sizes):
                raise FioFailedError(f"fio printed more than {LARGEST_BYTES} bytes and was stopped")
    finally:
        os.close(ended)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used


def _signal_session(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:
        # The whole session: where fio is a script, what it has started must not write on.
        _signal_session(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
        _signal_session(process, signal.SIGKILL)
        if process.returncode is None:
            # A device that never answers can hold fio for ever; then it is not waited for.
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)


def _reason(status: int, words: str) -> str:
    if status < 0:
        try:
            name = f" ({signal.Signals(-status).name})"
        except ValueError:  # the real-time signals have no names of their own
            name = ""
        return f"fio was killed by signal {-status}{name}"
    lines = [cleaned(line) for line in words.splitlines() if line.strip()]
    told = [line for line in lines if "error" in line.lower() or "fail" in line.lower() or "cannot" in line.lower()]
    said = "; ".join((told or lines)[:3]) or "without a word"
    hint = ""
    if "allocate memory" in said:
        hint = " (too little locked memory allowed - ulimit -l - or no huge pages left)"
    return f"fio ended with status {status}: {said}{hint}"


def cleaned(text: str) -> str:
    """A stranger's words as one line of at most 200 characters that a terminal shows and does not obey."""
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()[:200]
