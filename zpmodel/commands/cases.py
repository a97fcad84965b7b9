"""``--cases``: many questions as JSON lines, answered all or not at all."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any

import click


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
