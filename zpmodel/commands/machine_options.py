"""Options that say which machine is asked: a calibration or a machine file, and what of it to change."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from zpmodel.timing.machine import Machine

_OPTIONS = (
    click.option("--calibration", type=click.Path(path_type=Path), help="A file that zpmodel calibrate wrote."),
    click.option(
        "--machine",
        metavar="FILE|NAME",
        help="A machine file (TOML), a calibration (JSON), or a shipped one's name: nvme-mailing-list.",
    ),
    click.option(
        "--device",
        metavar="BANDWIDTH|FILE|NAME",
        help="Another device: a write bandwidth (2 GB/s), or that of a machine file.",
    ),
    click.option("--cpu", metavar="NAME", help="Of a machine file: any, here, zen, xeon."),
    click.option("--iommu", metavar="MODE", help="Of a machine file: none, passthrough, lazy, strict."),
    click.option("--kernel", metavar="VERSION", help="Of a machine file: 6.12, 7.3."),
)


caller_option = click.option(
    "--caller",
    default="blkdev_issue_zero_pages",
    show_default=True,
    help="Who zeroes: a name of zpmodel callers, in its typical request; or fio_write, whose --length is one write.",
)


def machine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command, which gets them by name."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def asked_machine(calibration: Path | None, machine: str | None, **overrides: str | None) -> "Machine":
    """The machine that the options name.

    :raises InputError: where it can't be read.
    :raises click.UsageError: where both or none are given.
    """
    from zpmodel.calibration.machine_file import load_machine

    if (calibration is None) == (machine is None):
        raise click.UsageError("give one of --calibration FILE and --machine FILE|NAME")
    return load_machine(calibration if machine is None else machine, **overrides)  # type: ignore[arg-type]
