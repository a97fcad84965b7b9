"""Machine files: a CPU's caches and TLBs, each number with its source."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.base.files import read_text
from zpmodel.base.units import is_power_of_two, parse_size


@dataclass(frozen=True)
class Caches:
    """The caches that one core sees.

    :ivar l1_bytes: L1 data cache [byte].
    :ivar l2_bytes: L2 [byte].
    :ivar llc_bytes: the last-level cache that the core can fill [byte].
    :ivar line_bytes: a cache line [byte].
    """

    l1_bytes: int
    l2_bytes: int
    llc_bytes: int
    line_bytes: int = 64

    def __post_init__(self) -> None:
        if not is_power_of_two(self.line_bytes):
            raise InputError("caches", "line_bytes", self.line_bytes, "a power of two")
        if not self.line_bytes <= self.l1_bytes < self.l2_bytes < self.llc_bytes:
            sizes = (self.l1_bytes, self.l2_bytes, self.llc_bytes)
            raise InputError("caches", "sizes", sizes, "L1 < L2 < last level, each at least a line")


@dataclass(frozen=True)
class Tlb:
    """The data TLBs of one core: how many pages each level maps.

    :ivar l1_entries: first level.
    :ivar l2_entries: second level, shared by all page sizes.
    """

    l1_entries: int
    l2_entries: int

    def __post_init__(self) -> None:
        if not 0 < self.l1_entries < self.l2_entries:
            raise InputError("tlb", "entries", (self.l1_entries, self.l2_entries), "0 < first level < second level")


@dataclass(frozen=True)
class Machine:
    """A CPU as a machine file describes it; ``tlb`` is None where the file gives none."""

    name: str
    model: str
    caches: Caches
    tlb: Tlb | None
    sources: dict[str, str]


_LARGEST = 1 << 50
"""Of a cache or a TLB: what is more was meant otherwise, and must not overflow what is counted from it."""


def machine_names() -> list[str]:
    """Names of the machine files that the package ships."""
    return sorted(path.stem for path in shipped.data("machines").glob("*.toml"))


def read_machine(name_or_path: str | Path) -> Machine:
    """Read a machine file by the name of a shipped one, or by its path.

    :raises InputError: when there is no such file, a number is missing, or one has no source.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        if str(name_or_path) not in machine_names():
            raise InputError("machine", "name", str(name_or_path), f"{', '.join(machine_names())}, or a .toml file")
        path = shipped.data("machines", f"{name_or_path}.toml")
    try:
        content = tomllib.loads(read_text(path))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(str(path), "file", str(error), "a readable TOML machine file") from None
    sources: dict[str, str] = {}

    def number(table: str, field: str, key: str) -> int:
        section = content.get(table)
        entry: Any = section.get(field) if isinstance(section, dict) else None
        where = f"{table}.{field}"
        value = entry.get(key) if isinstance(entry, dict) else None
        if type(value) is not int or not 0 < value <= _LARGEST or not _named(entry.get("source")):
            raise InputError(str(path), where, entry, f"{{ {key} = whole number from 1 to 2^50, source = text }}")
        sources[where] = entry["source"]
        return value

    caches = Caches(
        l1_bytes=number("caches", "l1d", "bytes"),
        l2_bytes=number("caches", "l2", "bytes"),
        llc_bytes=number("caches", "llc", "bytes"),
        line_bytes=number("caches", "line", "bytes"),
    )
    tlb = None
    if "tlb" in content:
        tlb = Tlb(number("tlb", "l1d_entries", "entries"), number("tlb", "l2_entries", "entries"))
    name, model = (_text(content, field, path.stem, str(path)) for field in ("name", "model"))
    return Machine(name, model, caches, tlb, sources)


def _named(source: Any) -> bool:
    return isinstance(source, str) and bool(source)


def _text(content: dict[str, Any], field: str, default: str, where: str) -> str:
    """A field of a file that is text, or was left out."""
    value = content.get(field, default)
    if not isinstance(value, str):
        raise InputError(where, field, value, "text")
    return value


def measured_machine(folder: str | Path) -> Machine:
    """The CPU that a data set of ``zpmodel measure`` was made on, from its ``machine.toml``; without TLBs.

    :raises InputError: where the file is missing, or the machine showed no cache sizes.
    """
    path = Path(folder) / "machine.toml"
    try:
        cpu = tomllib.loads(read_text(path))["cpu"]
        l1, l2, llc = (
            parse_size(str(cpu["cache"][level]), where=str(path), field=level) for level in ("l1d", "l2", "l3")
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(str(path), "cpu.cache", repr(error), "a machine.toml that says l1d, l2 and l3") from None
    name = Path(folder).resolve().name
    return Machine(name, _text(cpu, "model", name, str(path)), Caches(l1, l2, llc), None, {"caches": str(path)})
