"""Other people's text on a terminal: job names, paths and error texts can hold what a terminal obeys."""

import unicodedata
from typing import Any

# Control, format (turns the direction of writing, hides), surrogate, and the two separators that end a line.
_OBEYED = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))


def printable(text: str) -> str:
    """The text with everything that a terminal would obey instead of show written as an escape, ``\\x1b``."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(each) if unicodedata.category(each) in _OBEYED else each for each in text)


def printable_within(value: Any) -> Any:
    """What a file of a stranger holds, as parsed, with each text in it made `printable`."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable_within(name): printable_within(item) for name, item in value.items()}
    return [printable_within(item) for item in value] if isinstance(value, list) else value


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
