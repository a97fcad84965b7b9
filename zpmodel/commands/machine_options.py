"""Options that say which machine is asked: a calibration or a machine file, and what of it to change."""

from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zpmodel.base.errors import InputError
from zpmodel.base.text import printable

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
        help="Another device: a write bandwidth (2 GB/s), a machine file's, or a published curve (nvme-b, a CSV).",
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


_ARGUMENTS = ("machine", "device", "cpu", "iommu", "kernel")


@contextmanager
def said_by_option(but: Container[str] = ()) -> Iterator[None]:
    """Let errors inside that name an argument of ``load_machine`` name the option of its name, ``but`` some."""
    try:
        yield
    except InputError as error:
        if error.where not in _ARGUMENTS or error.where in but:
            raise
        raise InputError(f"--{error.where}", error.field, error.value, error.accepted) from None


@dataclass(frozen=True)
class AskedMachine:
    """The machine that the options name: by ``calibration`` or ``machine``, with ``parts`` of it replaced."""

    calibration: Path | None
    machine: str | None
    parts: Mapping[str, str | None]

    @property
    def given(self) -> bool:
        """Whether one is named at all."""
        return self.calibration is not None or self.machine is not None

    def named(self, default: str | None = None) -> str:
        """Return the file or name that is given; ``default`` where there is one and nothing is given.

        :raises click.UsageError: where both are given, or none without a default.
        """
        both = self.calibration is not None and self.machine is not None
        if both or (default is None and not self.given):
            or_none = "" if default is None else ", or none"
            raise click.UsageError(f"give one of --calibration FILE and --machine FILE|NAME{or_none}")
        return str(self.calibration or self.machine or default or "")

    def load(self, default: str | None = None) -> "Machine":
        """Read it.

        :raises InputError: where it can't be read.
        :raises click.UsageError: as `named`.
        """
        from zpmodel.calibration.machine_file import load_machine

        with said_by_option():
            machine = load_machine(self.named(default), **self.parts)
        say_assumed(machine)
        return machine


def say_assumed(machine: "Machine") -> None:
    """What a calibration's data did not say goes with every number that comes of it."""
    for line in machine.assumed:
        click.echo(f"note: {printable(machine.name)} takes for granted: {printable(line)}", err=True)


def machine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command, which gets them as ``asked``."""

    @wraps(command)
    def collected(
        *, calibration: Path | None, machine: str | None, device: str | None, cpu: str | None, iommu: str | None,
        kernel: str | None, **others: Any,
    ) -> Any:  # fmt: skip
        parts = {"device": device, "cpu": cpu, "iommu": iommu, "kernel": kernel}
        return command(asked=AskedMachine(calibration, machine, parts), **others)

    for option in reversed(_OPTIONS):
        collected = option(collected)
    return collected
