"""Parameters of notebooks: what the command line, papermill or a reader in JupyterLab gave, checked before any work.

A notebook's cell after its parameters calls :func:`check`; a misspelt name and a value of another kind are then one
line, whoever runs the notebook.
"""

import ast
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from zpmodel.base.errors import InputError
from zpmodel.base.units import parse_size
from zpmodel.datasets import form_of
from zpmodel.report import pages

_PAPERMILL = "# Parameters"
"""How the cell begins that papermill puts behind a notebook's own parameters."""


def check(page: str, namespace: Mapping[str, Any]) -> SimpleNamespace:
    """Check a running notebook's parameters.

    :param page: the notebook's name in ``pages.toml``.
    :param namespace: the notebook's ``globals()``.
    :return: the values by name: sizes in bytes, numbers as float, the rest as given.
    :raises InputError: on a name that papermill was given and the notebook has not, or a value of another kind.
    """
    known = pages.find(page).parameters
    for name in _injected(namespace.get("In", ())):
        if name not in known:
            raise InputError(page, "parameter", name, ", ".join(known))
    missing = object()
    values = {name: namespace.get(name, missing) for name in known}
    for name, value in values.items():
        if value is missing:
            raise InputError(page, "parameter", f"{name} missing", ", ".join(known))
    return SimpleNamespace(**{name: value_of(name, value, where=page) for name, value in values.items()})


def from_text(pairs: Iterable[str], known: Iterable[str]) -> dict[str, Any]:
    """Read ``NAME=VALUE`` as the command line has it.

    :param known: names that are accepted.
    :raises InputError: on anything else, or a value of another kind.
    """
    found: dict[str, Any] = {}
    accepted = sorted(known)
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise InputError("--parameter", "value", pair, "NAME=VALUE")
        if name not in accepted:
            raise InputError("--parameter", "name", name, ", ".join(accepted))
        value = _read(pages.load().parameters[name].kind, text)
        value_of(name, value, where="--parameter")
        found[name] = value
    return found


def value_of(name: str, value: Any, *, where: str) -> Any:
    """One parameter's value as the model takes it: a size in bytes, a number as float, the rest as given.

    :raises InputError: where it is of another kind or out of its range.
    """
    rule = pages.load().parameters[name]
    if rule.kind == "choice":
        if value not in rule.choices:
            raise InputError(where, name, value, " or ".join(rule.choices))
        return value
    if rule.kind == "folder":
        return _folder(name, value, where)
    if rule.kind == "size":
        # Whole numbers pass as they are; bool is an int to Python, but no size.
        number: float = parse_size(value, where=where, field=name)
    else:
        kinds = (int,) if rule.kind in ("count", "bytes") else (int, float)
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise InputError(where, name, value, _accepted(rule))
        number = value
    # Whole numbers may be larger than any float; a comparison takes them, and is false for NaN.
    if not rule.low <= number <= rule.high or number in (math.inf, -math.inf):
        raise InputError(where, name, value, _accepted(rule))
    return float(number) if rule.kind == "number" else number


def _folder(name: str, value: Any, where: str) -> str:
    if not isinstance(value, str | Path) or "\0" in str(value):
        raise InputError(where, name, value, "a folder that zpmodel measure or import made, or nothing")
    if str(value):
        form_of(value)
    return str(value)


def _accepted(rule: pages.Parameter) -> str:
    what = {"count": "a whole number", "bytes": "a whole number of bytes", "size": "a size"}.get(rule.kind, "a number")
    return f"{what} from {rule.low:.15g} to {rule.high:.15g}"


def _read(kind: str, text: str) -> Any:
    """The text as a number where one is asked for and it is one; the check says what is wrong with the rest."""
    convert = {"count": int, "bytes": int, "number": float}.get(kind)
    if convert is None:
        return text
    try:
        return convert(text)
    except ValueError:
        return text


def _injected(history: Iterable[Any]) -> list[str]:
    """Names that papermill's own cell sets. Other cells of a notebook set what they like."""
    names = []
    for source in history:
        if isinstance(source, str) and source.lstrip().startswith(_PAPERMILL):
            for line in ast.parse(source).body:
                targets = line.targets if isinstance(line, ast.Assign) else []
                names += [target.id for target in targets if isinstance(target, ast.Name)]
    return names
