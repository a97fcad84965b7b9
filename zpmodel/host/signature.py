"""What a file or device holds, as far as blkid (util-linux) knows it."""

import subprocess
from pathlib import Path

from zpmodel.base.errors import RefusedError


def signature(path: Path, fd: int) -> str:
    """Describe the file system, partition table or other signature in an open file or device; "" where there is none.

    :param path: what to call it in messages.
    :raises RefusedError: where that can't be told.
    """
    command = ["blkid", "-p", "-o", "export", f"/proc/self/fd/{fd}"]
    try:
        done = subprocess.run(command, pass_fds=[fd], capture_output=True, text=True, errors="replace", timeout=60)
    except FileNotFoundError:
        raise RefusedError(f"{path} can't be checked for file systems: blkid (util-linux) is missing") from None
    except subprocess.TimeoutExpired:
        raise RefusedError(f"{path} can't be checked for file systems: blkid hangs") from None
    if done.returncode == 2 and not done.stdout.strip():
        return ""
    found = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    for key, what in (("TYPE", "a signature of"), ("PTTYPE", "a partition table of type")):
        if key in found:
            return f"{what} {found[key]}"
    # Of an empty partition blkid tells its entry in the parent's table.
    if done.returncode == 0 and all(key == "DEVNAME" or key.startswith("PART_ENTRY_") for key in found):
        return ""
    return f"something that blkid can't make out (its status is {done.returncode})"
