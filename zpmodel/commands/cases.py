"""``--cases``: many questions as JSON lines, answered all or not at all."""

import json
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import click

_LONGEST_LINE = 1 << 20


def refuse_beside_cases(names: Sequence[str], brings: str) -> None:
    """Refuse options that ``--cases`` takes the place of.

    :param names: of the command's parameters.
    :param brings: what the lines say themselves: "pages, limits and ranges".
    :raises click.UsageError: naming the first that was given.
    """
    context = click.get_current_context()
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise click.UsageError(f"--cases brings its own {brings}: leave out --{name.replace('_', '-')}")


class CasesFile(click.File):
    """A file of JSON lines, or - for standard input; not a FIFO without a writer, nor a device without an end."""

    name = "filename"

    def __init__(self) -> None:
        super().__init__(encoding="utf-8-sig")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Look at what it is, then open it."""
        # What a shell opened for us, <(...), is under /dev/fd and may be a FIFO: it has its writer.
        if (
            isinstance(value, str)
            and value != "-"
            and not value.startswith(("/dev/fd/", "/proc/self/fd/", "/dev/stdin"))
        ):
            with suppress(OSError, ValueError):
                if not stat.S_ISREG(Path(value).stat().st_mode):
                    self.fail(f"{value!r}: not a regular file, nor - for standard input.", param, ctx)
        return super().convert(value, param, ctx)


def lines_of(cases: IO[str]) -> Iterator[str]:
    """The lines of ``--cases``, none of which fills the memory.

    :raises InputError: where one is too long.
    """
    from zpmodel.base.errors import InputError

    number = 1
    while line := cases.readline(_LONGEST_LINE + 1):
        if len(line) > _LONGEST_LINE:
            raise InputError(f"{cases.name} line {number}", "length", "longer", f"at most {_LONGEST_LINE} characters")
        yield line
        number += 1


def emit_cases(cases: IO[str], answers: Iterable[Mapping[str, Any]]) -> None:
    """Print a JSON line for each answer.

    :param cases: what the answers are read from, as they are asked for.
    :raises InputError: where it can't be read as text; nothing is printed then.
    """
    from zpmodel.base.errors import InputError

    try:
        # All or nothing: a bad line near the end must not leave half an output that looks whole.
        lines = [json.dumps(answer) for answer in answers]
    except (UnicodeDecodeError, OSError) as error:
        raise InputError(cases.name, "content", str(error), "UTF-8 text that can be read") from None
    sys.stdout.writelines(f"{line}\n" for line in lines)
