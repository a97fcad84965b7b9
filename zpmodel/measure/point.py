"""Running fio once: complete results, all CPU time, or a reason why not."""

import ctypes
import json
import os
import re
import resource
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from zpmodel.base.errors import RefusedError, ZpmodelError
from zpmodel.base.files import publish, write_atomically
from zpmodel.host.cputime import WorkerWatch, kernel_threads, kernel_threads_spent, machine_seconds

_LOOK_SECONDS = 0.025
_PR_SET_PDEATHSIG = 1
_PR_SET_THP_DISABLE = 41
_LIBC = ctypes.CDLL(None)


class FioFailedError(ZpmodelError):
    """One run of fio that gave no usable result; the message says why."""


@dataclass(frozen=True)
class Fio:
    """The fio program: where it is, and its version such as "fio-3.33"."""

    program: str
    version: str


def find_fio() -> Fio:
    """Find fio on the path.

    :raises RefusedError: where it is missing, or older than 3.
    """
    program = shutil.which("fio")
    if program is None:
        raise RefusedError(
            "fio is not installed (Debian, Fedora and others: package fio); version 3 or newer is needed"
        )
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30)
        version = done.stdout.strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RefusedError(f"{program} does not run: {error}") from None
    match = re.match(r"fio-(\d+)\.", version)
    if match is None or int(match[1]) < 3:
        raise RefusedError(f"{program} is {version or 'of an unknown version'}; fio-3.0 or newer is needed")
    return Fio(program, version)


def check_io_uring() -> None:
    """Refuse where the kernel lets this user have no io_uring.

    :raises RefusedError: with the reason.
    """
    setting = Path("/proc/sys/kernel/io_uring_disabled")
    value = setting.read_text().strip() if setting.exists() else "0"
    if value == "2" or (value == "1" and os.geteuid() != 0):
        raise RefusedError(f"io_uring is switched off here (kernel.io_uring_disabled = {value})")
    parameters = (ctypes.c_char * 120)()
    number = 425  # io_uring_setup, the same on every architecture
    fd = _LIBC.syscall(number, 1, parameters)
    if fd < 0:
        raise RefusedError("this kernel has no io_uring, or a sandbox forbids it; the measurement needs it")
    os.close(fd)


def run_point(
    fio: Fio, arguments: Sequence[str], *, name: str, out: Path, pass_fds: Sequence[int], seconds: float
) -> None:
    """Run fio and keep its JSON, exactly as printed, in ``points/<name>.json`` and what fio doesn't say in ``usage/``.

    The point's file appears last and whole: where it is, the point is done.

    :param seconds: how long the job is meant to run [s].
    :raises FioFailedError: where there is no complete result; no file has been made then.
    """
    with tempfile.TemporaryDirectory(prefix=".run-", dir=out) as scratch:
        printed = Path(scratch) / "fio.json"
        command = [fio.program, "--output-format=json", f"--output={printed}", *arguments]
        usage = _run(command, pass_fds, printed, limit=seconds * 3 + 60)
        _check(printed, seconds)
        usage = {"id": name, "command": ["fio", "--output-format=json", *arguments], **usage}
        write_atomically(out / "usage" / f"{name}.json", json.dumps(usage, indent=1) + "\n")
        publish(printed, out / "points" / f"{name}.json")


_STOPS = {signal.SIGINT, signal.SIGTERM}


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
                pass_fds=pass_fds,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
                preexec_fn=_prepare_child,
            )
        except BaseException:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
            raise
        watch = WorkerWatch(process.pid)
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
            used = _wait(process, watch, clock + limit)
        except BaseException:
            _stop(process)
            raise
        elapsed = time.monotonic() - clock
        machine_after, threads_after = machine_seconds(), kernel_threads()
        said.seek(0)
        words = said.read(4096).decode(errors="replace")
        with suppress(OSError):  # fio says some things where the results should be
            words += printed.read_text(errors="replace").partition("{")[0]
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


def _wait(process: subprocess.Popen[bytes], watch: WorkerWatch, deadline: float) -> resource.struct_rusage:
    ended = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        poll.register(ended, select.POLLIN)
        while not poll.poll(_LOOK_SECONDS * 1000):
            watch.look()
            if time.monotonic() > deadline:
                raise FioFailedError("fio did not end in time and was stopped")
    finally:
        os.close(ended)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            # A device that never answers can hold fio for ever; then it is not waited for.
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)


def _reason(status: int, words: str) -> str:
    if status < 0:
        return f"fio was killed by signal {-status} ({signal.Signals(-status).name})"
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    told = [line for line in lines if "error" in line.lower() or "fail" in line.lower() or "cannot" in line.lower()]
    said = "; ".join((told or lines)[:3]) or "without a word"
    hint = ""
    if "allocate memory" in said:
        hint = " (too little locked memory allowed - ulimit -l - or no huge pages left)"
    return f"fio ended with status {status}: {said}{hint}"


def _check(printed: Path, seconds: float) -> None:
    """Accept only one whole job without an error that ran for its time."""
    try:
        text = printed.read_text()
        # fio prints its notes before the document where the output is one file.
        (job,) = json.loads(text[text.index("{") :])["jobs"]
        error, ran = int(job["error"]), max(job[way]["runtime"] for way in ("read", "write")) / 1000
        done = job["read"]["total_ios"] + job["write"]["total_ios"]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise FioFailedError(f"fio printed no complete result ({type(problem).__name__}: {problem})") from None
    if error:
        raise FioFailedError(f"fio reports error {error} ({os.strerror(error)})")
    if done == 0:
        raise FioFailedError("fio finished no I/O")
    if ran < 0.8 * seconds:
        raise FioFailedError(f"fio ran for {ran:g} s where {seconds:g} s were asked for")
