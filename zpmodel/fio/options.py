"""fio's options as its documents print them: where they stand, what they default to, how they spell a block size."""

import math
import re
from collections.abc import Mapping
from typing import Any

from zpmodel.base.errors import InputError

ALIASES = {
    "blocksize": "bs",
    "blocksize_range": "bsrange",
    "readwrite": "rw",
    "iomem": "mem",
    "io_limit": "io_size",
    "fileoffset": "offset",
}
"""Second names (options.c); fio prints the first since 2.14, hand-edited documents have either."""

SYNCHRONOUS = frozenset(
    (
        *("sync", "psync", "vsync", "pvsync", "pvsync2", "mmap", "splice", "net", "netsplice", "cpuio", "exec"),
        *(
            "falloc",
            "ftruncate",
            "e4defrag",
            "filecreate",
            "filestat",
            "filedelete",
            "dircreate",
            "dirstat",
            "dirdelete",
        ),
        *("gfapi", "http", "libhdfs", "libpmem", "pmemblk", "dev-dax", "mtd", "libzbc", "libcufile", "ime_psync"),
        *("librpma_apm_server", "librpma_gpspm_server"),
    )
)
"""Engines with FIO_SYNCIO: one I/O at a time, whatever ``iodepth`` says (fio's ``engines/*.c``)."""

OWN_BUFFERS = ("spdk", "external", "libcufile", "libblkio", "librpma", "dfs")
"""Beginnings of engines that allocate the buffers themselves (``iomem_alloc``): ``mem`` says nothing about them."""

READS_BACK = ("verify", "do_verify", "verify_only", "read_iolog", "replay_redirect", "trim_percentage")
"""Options with which a job moves data in a direction that ``rw`` doesn't name, or one direction after the other."""

RATE_LIMITS = ("rate", "rate_iops", "thinktime", "latency_target", "flow")
"""Options that hold a job below what the device would give."""

# Of a suffix only the beginning counts to fio: `4Ki`, `4k` and `4kbyte` are one size, `4KiB` is another.
_SIZE = re.compile(r"(0x[0-9a-f]{1,16}|\d{1,20})\s*(?:([kmgtp])(ib)?[a-z]*|b|bytes?)?", re.IGNORECASE)
_SERVER = ("hostname", "port")
_POWERS = {"k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_DIRECTIONS = ("read", "write", "trim")


def merged(document: Mapping[str, Any], job: Mapping[str, Any], where: str) -> dict[str, str] | None:
    """The options of a job: global ones, then its own, under their first names; None where they can't be known.

    Early fio 2 never printed them, so there the absence of an option says nothing; elsewhere it means the default.
    In a ``--client`` run fio leaves the options of most sections out, and the global ones alone are not a job's.

    :raises InputError: where the options aren't an object.
    """
    own = _object(job, "job options", where)
    shared, known = _global(document, job, where)
    if not known or (own is None and (shared is None or "client_stats" in document)):
        return None
    result: dict[str, str] = {}
    for part in (shared or {}, own or {}):
        named = {ALIASES.get(str(key), str(key)): "" if value is None else str(value) for key, value in part.items()}
        if "buffered" in named and "direct" not in named:
            named["direct"] = "0" if is_set(named["buffered"]) else "1"
        result.update(named)
    return result


def _object(holder: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any] | None:
    found = holder.get(name)
    if found is not None and not isinstance(found, dict):
        raise InputError(where, name, found, "an object of options")
    for key, value in (found or {}).items():
        if isinstance(value, list | dict):
            raise InputError(where, f"{name}: {key}", value, "the text of an option")
    return found


def _global(document: Mapping[str, Any], job: Mapping[str, Any], where: str) -> tuple[Mapping[str, Any] | None, bool]:
    """The global options that hold for a job, and whether they can be told.

    Since fio 3.39 a run with several servers has a list, one object a server, with the server's name and port in it.
    """
    found = document.get("global options")
    if not isinstance(found, list):
        return _object(document, "global options", where), True
    if not all(isinstance(each, dict) for each in found):
        raise InputError(where, "global options", found, "objects of options")
    servers = [_object({"global options": each}, "global options", where) or {} for each in found]
    for each in servers:
        if "hostname" in job and all(str(each.get(name)) == str(job.get(name)) for name in _SERVER):
            return _without_server(each), True
    bare = [_without_server(each) for each in servers]
    # Without a name to go by they must all say the same.
    alike = bool(bare) and "hostname" not in job and all(each == bare[0] for each in bare)
    return (bare[0], True) if alike else (None, not servers)


def _without_server(given: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if key not in _SERVER}


def is_set(value: str) -> bool:
    """Say whether a flag or a boolean is on: it may stand there without a value."""
    return value.strip().lower() not in ("0", "false", "no", "off")


def is_given(options: Mapping[str, str], name: str) -> bool:
    """Say whether an option is there and not switched off or zero (``ramp_time=0``, ``verify=0``)."""
    return name in options and is_set(options[name]) and re.fullmatch(r"0+[a-z]*", options[name].strip()) is None


def has_ramp(options: Any) -> bool:
    """Say whether options as they stand in a document, one object or a list of them, have a ramp."""
    parts = options if isinstance(options, list) else [options]
    return any(isinstance(part, dict) and bool(part.get("ramp_time")) and part["ramp_time"] != "0" for part in parts)


def whole(options: Mapping[str, str], name: str, default: int) -> float:
    """Read an option that is a positive whole number, perhaps with a unit; the default where absent, NaN where odd."""
    if name not in options:
        return default
    sizes = size_candidates(options[name].split(",")[0])
    return sizes[0] if sizes and 0 < sizes[0] < 1 << 31 else math.nan


def directions(rw: str) -> tuple[str, ...]:
    """Directions that a value of ``rw`` asks for: ``randrw:4`` -> read, write."""
    base = re.split(r"[:,]", rw.strip().lower())[0].removeprefix("rand")
    if base in ("rw", "readwrite"):
        return ("read", "write")
    if base == "trimwrite":
        return ("write", "trim")
    return (base,) if base in _DIRECTIONS else ()


def size_candidates(text: str, kb_base: float = 1024) -> list[int]:
    """What a size may mean [byte], the likeliest first; empty where it isn't one.

    In fio 3 ``4k`` and ``4KB`` are 4096 and ``4KiB`` is 4000 unless ``kb_base=1000`` turns both round
    (``__get_mult_bytes`` in parse.c). Not every fio did, so the other reading is given as well.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        return []
    number = int(match[1], 16 if match[1][:2].lower() == "0x" else 10)
    power = _POWERS.get((match[2] or "").lower(), 0)
    binary_suffix = (match[3] or "").lower() == "ib"
    base = int(2024 - kb_base if binary_suffix else kb_base) if kb_base in (1000, 1024) else 1024
    return [number] if power == 0 else [number * base**power, number * (2024 - base) ** power]


def block_sizes(options: Mapping[str, str], direction: str) -> list[int]:
    """The one block size [byte] of a direction, the likeliest reading first; empty if sizes vary or can't be read."""
    kb_base = whole(options, "kb_base", 1024)
    if direction == "mixed":
        readings = [block_sizes(options, each) for each in directions(options.get("rw", "read"))]
        return readings[0] if readings and all(reading == readings[0] for reading in readings) else []
    place = _DIRECTIONS.index(direction)
    if is_set(options.get("bs_is_seq_rand", "0")):
        place = int(options.get("rw", "").lower().startswith("rand"))
    if options.get("bssplit"):
        part = _nth(options["bssplit"], place)
        shares = [re.split("/", item)[0] for item in part.split(":") if not item.endswith("/0")]
        return size_candidates(shares[0], kb_base) if len(set(shares)) == 1 else []
    if options.get("bsrange"):
        ends = re.split("[-:]", _nth(options["bsrange"], place))
        return size_candidates(ends[0], kb_base) if len({end.strip() for end in ends}) == 1 else []
    text = _nth(options.get("bs", "4096"), place)
    return size_candidates(text, kb_base) if text else [4096]


def _nth(text: str, place: int) -> str:
    """``read,write,trim``: a direction that isn't given has the value of the one before it."""
    parts = text.split(",")
    return parts[min(place, len(parts) - 1)].strip()
