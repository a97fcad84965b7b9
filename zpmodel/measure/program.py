"""The fio program, and whether this kernel lets it do what is measured."""

import ctypes
import errno
import os
import re
import resource
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from zpmodel.base.errors import RefusedError
from zpmodel.base.files import LARGEST_BYTES

_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Fio:
    """The fio program: where it is, and its version such as "fio-3.33".

    ``overhead_ns`` is what reading its thread's CPU time costs that thread [ns], None where it can't be read.
    """

    program: str
    version: str
    overhead_ns: int | None = None


def find_fio() -> Fio:
    """Find fio on the path.

    :raises RefusedError: where it is missing, or older than 3.
    """
    found = shutil.which("fio")
    if found is None:
        raise RefusedError(
            "fio is not installed (Debian, Fedora and others: package fio); version 3 or newer is needed"
        )
    program = os.path.abspath(found)  # noqa: PTH100 - it is started in another folder; links stay as they are
    try:
        with tempfile.TemporaryFile() as said:
            subprocess.run(
                [program, "--version"],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.DEVNULL,
                timeout=30,
                preexec_fn=_limit_files,
            )
            said.seek(0)
            version = said.readline(200).decode("ascii", errors="replace").strip()
    except (OSError, subprocess.SubprocessError) as error:
        raise RefusedError(f"{program} does not run: {error}") from None
    match = re.match(r"fio-(\d{1,4})\.[\w.+-]*\Z", version)
    if match is None or int(match[1]) < 3:
        shown = repr(version[:40]) if version and match is None else version or "of an unknown version"
        raise RefusedError(f"{program} is {shown}; fio-3.0 or newer is needed")
    return Fio(program, version)


def _limit_files() -> None:
    # Whatever calls itself fio and prints for ever fills no disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_BYTES, LARGEST_BYTES))


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
    if fd >= 0:
        os.close(fd)
        return
    code = ctypes.get_errno()
    if code == errno.ENOMEM:
        limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
        raise RefusedError(f"io_uring gets no locked memory (ulimit -l is {limit // 1024} KiB); raise that limit")
    why = {errno.ENOSYS: "this kernel has no io_uring", errno.EPERM: "a sandbox or a policy forbids io_uring"}
    raise RefusedError(f"{why.get(code, f'io_uring does not start: {os.strerror(code)}')}; the measurement needs it")
