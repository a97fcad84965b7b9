"""Whether two outputs say the same: words exactly, numbers as far as another CPU's rounding may carry them."""

import math
import re
from typing import Any

FITTED = 0.01
"""Largest relative difference of numbers that come out of a fit [1]: iterations stop at 1e-4, and BLAS libraries add up
in orders of their own."""

EXACT = 1e-9
"""The same of counts, and of what was only read [1]."""

_NUMBER = re.compile(r"(\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?)")
_TINY = 1e-11  # what a fit can't tell from zero comes out as any such number


def shortened(value: Any) -> Any:
    """The same document, its fractions with four digits, its keys sorted."""
    if isinstance(value, dict):
        return {str(key): shortened(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, list | tuple):
        return [shortened(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else None
    return value


def differences(found: Any, expected: Any, tolerance: float, where: str = "") -> list[str]:
    """What is not the same in two documents, or in two texts, each with its place."""
    if isinstance(expected, dict) and isinstance(found, dict):
        keys = [key for key in {**expected, **found} if (key in expected) != (key in found)]
        off = [f"{where}/{key}: {'is new' if key in found else 'is gone'}" for key in keys]
        for key in expected.keys() & found.keys():
            off += differences(found[key], expected[key], tolerance, f"{where}/{key}")
        return off
    if isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            return [f"{where}: {len(found)} items, {len(expected)} expected"]
        pairs = enumerate(zip(found, expected, strict=True))
        return [text for i, (a, b) in pairs for text in differences(a, b, tolerance, f"{where}/{i}")]
    if isinstance(expected, str) and isinstance(found, str):
        return _texts(found, expected, tolerance, where)
    if isinstance(expected, bool) or isinstance(found, bool):
        same = found is expected
    elif isinstance(expected, int | float) and isinstance(found, int | float):
        # A whole number that was one before stays exactly what it was.
        close = isinstance(found, float) or isinstance(expected, float)
        same = found == expected or (close and _near(found, expected, tolerance, 0.0))
    else:
        same = found == expected
    return [] if same else [f"{where}: {found!r}, expected {expected!r}"]


def _texts(found: str, expected: str, tolerance: float, where: str) -> list[str]:
    """Line by line; blanks count only as one, as columns are as wide as their numbers."""
    now, before = found.strip().splitlines(), expected.strip().splitlines()
    off = []
    for number, (a, b) in enumerate(zip(now, before, strict=False), 1):
        if not _same_line(" ".join(a.split()), " ".join(b.split()), tolerance):
            off.append(f"{where} line {number}:\n  {a}\n  expected\n  {b}")
    if len(now) != len(before):
        off.append(f"{where}: {len(now)} lines, {len(before)} expected")
    return off


def _same_line(found: str, expected: str, tolerance: float) -> bool:
    now, before = _NUMBER.split(found), _NUMBER.split(expected)
    if now[::2] != before[::2]:
        return False
    for a, b in zip(now[1::2], before[1::2], strict=True):
        if a == b:
            continue
        if not _near(_value(a), _value(b), tolerance, _last_digit(b) if tolerance > EXACT else 0.0):
            return False
    return True


def _near(found: float, expected: float, tolerance: float, more: float) -> bool:
    return abs(found - expected) <= tolerance * abs(expected) + 1.001 * more or max(abs(found), abs(expected)) < _TINY


def _value(text: str) -> float:
    return float(text.replace(",", ""))


def _last_digit(text: str) -> float:
    """What one more in the last digit shown is worth; nothing for whole numbers, which may be counts."""
    digits, _, power = text.partition("e")
    _, point, fraction = digits.partition(".")
    return 10.0 ** (int(power or 0) - len(fraction)) if point else 0.0
