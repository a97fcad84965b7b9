"""Running the small system programs that make and remove things in the kernel: mount(8), umount(8)."""

import subprocess
from pathlib import Path

from zpmodel.base.errors import RefusedError
from zpmodel.host.signals import kept_from_children


def run_program(where: str, *command: str | Path) -> None:
    """Run a program to its end, out of reach of the terminal's Ctrl-C.

    A session of its own alone is not enough: until it has that, the signal to the group kills it, and an umount that
    was killed leaves the mount.

    :param where: who asks; stands in the error.
    :raises RefusedError: with what it said, where it failed.
    """
    with kept_from_children():
        done = subprocess.run(command, capture_output=True, text=True, start_new_session=True, check=False)
    if done.returncode != 0:
        raise RefusedError(f"{where}: {command[0]} failed: {' '.join(done.stderr.split())}")
