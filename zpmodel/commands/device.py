"""What commands that zero a block device have in common: opening one, and numbers of seconds."""

import math
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click


class Seconds(click.FloatRange):
    """A finite number of seconds in a range; `click.FloatRange` lets ``nan`` through, as it is not out of any range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read and check one value."""
        seconds = float(super().convert(value, param, ctx))
        if not math.isfinite(seconds):
            self.fail(f"{value} is not a number of seconds from {self.min:g} to {self.max:g}", param, ctx)
        return seconds


def open_device(stack: ExitStack, device: Path | None, destroy: bool, size_bytes: int) -> tuple[Path, int, int]:
    """Open a block device that may be written: a scratch device, or the one named if all checks let it.

    :param size_bytes: size of the scratch device, or how much of the device is going to be written [byte].
    :return: path, descriptor, size [byte].
    :raises RefusedError: where it would be unsafe or is impossible.
    :raises InputError: where it is not a block device.
    """
    from zpmodel.base.errors import InputError
    from zpmodel.host.safety import kind_of, open_target
    from zpmodel.host.scratch import scratch_device

    if device is None:
        made = stack.enter_context(scratch_device(size_bytes))
        return made.path, made.fd, made.size_bytes
    if kind_of(device) != "device":
        raise InputError("--device", "path", str(device), "a block device")
    target = stack.enter_context(open_target(device, size_bytes, destroy=destroy))
    if target.kind != "device":
        raise InputError("--device", "path", str(device), "a block device")
    return target.path, target.fd, target.size_bytes
