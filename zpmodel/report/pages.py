"""The pages of a report, from ``pages.toml``: order, titles, what they need, and the kinds of their parameters."""

from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from zpmodel.base import shipped
from zpmodel.base.errors import InputError


class Parameter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a parameter of a notebook may be; the default stands in the notebook."""

    kind: Literal["size", "bytes", "count", "number", "folder", "choice"]
    low: float = float("-inf")
    high: float = float("inf")
    choices: tuple[str, ...] = ()


class Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One notebook of the report."""

    name: str
    title: str
    line: str
    needs: tuple[Literal["data_set"], ...]
    parameters: tuple[str, ...]
    timeout_s: float = 0.0
    weight: float = 1.0

    @property
    def notebook(self) -> Path:
        """The shipped notebook."""
        return shipped.notebooks() / f"{self.name}.ipynb"


class Pages(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of ``pages.toml``."""

    timeout_s: float
    page: tuple[Page, ...]
    parameters: dict[str, Parameter]


@cache
def load() -> Pages:
    """Read the package's own ``pages.toml``."""
    return msgspec.toml.decode((Path(__file__).parent / "pages.toml").read_bytes(), type=Pages)


def find(name: str) -> Page:
    """The page of that name.

    :raises InputError: on a name that none has.
    """
    for page in load().page:
        if page.name == name:
            return page
    raise InputError("report", "notebook", name, ", ".join(page.name for page in load().page))
