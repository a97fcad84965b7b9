"""What the command line of ``zpmodel trace`` asks for."""

import os
from dataclasses import dataclass
from pathlib import Path

import click


@dataclass(frozen=True)
class Asked:
    """The options, as `zpmodel.commands.trace.command` describes them; sizes are texts still."""

    scratch: bool
    size: str
    ranges: int | None
    seed: int
    device: Path | None
    destroy_data: bool
    watch: float | None
    files: tuple[Path, ...]
    from_device: str | None
    zero_page: str | None
    limits: str | None
    offset: str
    length: str | None
    save: Path | None
    as_json: bool


def refuse_contradictions(asked: Asked) -> None:
    """Refuse options that don't go together.

    :raises click.UsageError: saying why.
    """
    device, files, watch = asked.device, asked.files, asked.watch
    if sum((asked.scratch, device is not None, bool(files))) > 1:
        raise click.UsageError("give one of --scratch, --device and --from")
    if watch is not None and device is None:
        raise click.UsageError("--watch needs --device")
    if asked.ranges is not None and (device is not None or files):
        raise click.UsageError("--ranges works on scratch devices only, as it changes queue settings")
    if asked.ranges is not None and asked.length:
        raise click.UsageError("give --ranges or --length, not both")
    if device is not None and watch is None and not asked.length:
        raise click.UsageError("--device needs --length (and --destroy-data), or --watch SECONDS")
    if asked.limits and not files:
        raise click.UsageError("--limits goes with --from; the limits of a device are read from /sys")
    if asked.save is not None and (files or watch is not None):
        raise click.UsageError("--save goes with ranges that are zeroed")


def check_save(save: Path | None) -> None:
    """Refuse a file that can't be written, before anything is zeroed.

    :raises InputError: where its folder is missing or can't be written.
    :raises RefusedError: where it exists.
    """
    from zpmodel.base.errors import InputError, RefusedError

    if save is None:
        return
    if not (save.parent.is_dir() and os.access(save.parent, os.W_OK)):
        raise InputError("--save", "folder", str(save.parent), "a folder that exists and can be written")
    if save.exists() or save.is_symlink():
        raise RefusedError(f"{save} exists; name another file")
