"""Units and the ways people write sizes. Inside the package sizes are bytes, times seconds unless a suffix differs."""

import re

from zpmodel.base.errors import InputError

SECTOR = 512
"""A sector of the block layer [byte]; always 512, whatever the device's logical block."""

KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40

_LARGEST = (1 << 63) - 1
"""Of a file or a device [byte], to the kernel (loff_t)."""

_POWERS = {letter: power for power, letter in enumerate("kmgtpe", 1)}
_SIZE = re.compile(r"(\d{1,30})\s*(?:([kmgtpe])(i?b)?|b)?", re.IGNORECASE)


def parse_size(text: str | int, *, where: str = "command line", field: str = "size") -> int:
    """Read a size such as ``4096``, ``64k``, ``2MiB``, ``1TiB`` or ``1GB``.

    :param text: a whole number, with a unit or none: one letter alone (k, M, G, T, P, E) is binary as KiB and so on
        are; kB, MB, GB ... are decimal (IEC 80000-13).
    :return: the size [byte].
    :raises InputError: on anything else, negative numbers and sizes that no kernel counts to included.

    >>> parse_size("64k"), parse_size("2MiB"), parse_size("1GB")
    (65536, 2097152, 1000000000)
    """
    size = text if isinstance(text, int) and not isinstance(text, bool) and text >= 0 else _read(text)
    if size is None:
        raise InputError(
            where, field, text, "a whole number of bytes, or one with a unit: 4096, 64KiB, 2MiB, 1TiB, 1GB"
        )
    if size > _LARGEST:
        raise InputError(where, field, text, "less than 8 EiB")
    return size


def _read(text: object) -> int | None:
    match = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        return None
    if not match[2]:
        return int(match[1])
    base = 1000 if (match[3] or "").lower() == "b" else 1024
    factor: int = base ** _POWERS[match[2].lower()]
    return int(match[1]) * factor


def format_size(size_bytes: float) -> str:
    """Write a size [byte] with the largest binary unit that keeps it readable.

    >>> format_size(2097152), format_size(130560)
    ('2 MiB', '127.5 KiB')
    """
    value = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(value) < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.4g} {unit}"


def is_power_of_two(value: int) -> bool:
    """Say whether a whole number is 1, 2, 4, 8 ..."""
    return value > 0 and value & (value - 1) == 0
