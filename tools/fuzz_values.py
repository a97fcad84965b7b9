"""What tools/fuzz_doors.py puts where a file holds a value: the file stays well formed, the value is another."""

import json
import random
import re
from collections.abc import Callable
from typing import Any

KINDS: dict[str, list[str]] = {
    "too large": ["1e999", "-1e999", "1e308", "9" * 400, "-" + "9" * 400, "9" * 5000, "18446744073709551616"],
    "no number": ["NaN", "Infinity", "-Infinity", "nan", "inf"],
    "nothing": ["0", "-0", "-0.0", "null", '""', "[]", "{}"],
    "negative or tiny": ["-1", "-1e-300", "5e-324", "0.5"],
    "bool": ["true", "false"],
    "list": ["[1, 2]", "[[0, 4096]]", "[0, 4096]", '["a"]', '[{"a": 1}]', "[" * 200 + "]" * 200],
    "table": ['{"a": 1}', '{"value": 1, "low": 0, "high": 2}', '{"a":' * 200 + "1" + "}" * 200],
    "deep": ["[" * 5000 + "]" * 5000, '{"a":' * 20_000 + "1" + "}" * 20_000],
    "text": ['"1"', '"x"', '"nan"', '"1e999"', '"' + "x" * 100_000 + '"', '"٣"', '" 1 "', '"1_0"', '"0x10"'],
    "odd text": [r'"\u0000"', r'"\ud800"', r'"\udcff\ud800"', r'"\u001b[31m\u202e"', r'"a\nb\r\nc\u2028\u0085d"'],
    "markup": ['"<script>alert(2)</script>"', '"](javascript:x(1))"', r'"<img src=x onload=\"1\">"', '"$\\\\alpha$"'],
    "path": ['"/dev/zero"', '"../../../../etc/passwd"', '"."', '"/nowhere/x.toml"', '"loop"', '"x.csv"'],
}  # fmt: skip
"""JSON's way of writing values that a file of another kind holds too; NaN and Infinity are what Python writes."""

_MEMBER = re.compile(r'("(?:[^"\\\n]|\\.){0,80}"\s*:\s*)("(?:[^"\\\n]|\\.)*"|-?[\d.eE+-]+|true|false|null)')
_TOML = re.compile(r"(?m)^([\w.-]+[ ]*=[ ]*)(.+)$")


def word(chance: random.Random) -> str:
    """An odd value; each kind as often as the others."""
    return chance.choice(KINDS[chance.choice([*KINDS])])


def revalued(raw: bytes, suffix: str, chance: random.Random) -> bytes | None:
    """The file with some values changed, or written in another way; None where it has none that we find."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return None
    change = _CHANGES.get(suffix)
    if change is None:
        return None
    if chance.random() < 0.12:
        written = chance.choice(_WRITTEN)
        return written(text)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        text = change(text[:2_000_000], chance)
    return text.encode(errors="surrogatepass")


def _in_json(text: str, chance: random.Random) -> str:
    found = list(_MEMBER.finditer(text))
    if not found:
        return text
    member = chance.choice(found)
    key, value = member.groups()
    kind = chance.random()
    if kind < 0.75:
        new = key + word(chance)
    elif kind < 0.85:  # the key twice; the last counts, or none
        new = f"{key}{word(chance)}, {key}{value}" if chance.random() < 0.5 else f"{key}{value}, {key}{word(chance)}"
    elif kind < 0.92:  # another key's value
        new = key + chance.choice(found)[2]
    else:  # a key that nobody knows, or a hidden one
        new = f"{json.dumps(chance.choice(('', 'x', '__class__', 'a' * 5000)))}: {word(chance)}, {member[0]}"
    return text[: member.start()] + new + text[member.end() :]


def _in_toml(text: str, chance: random.Random) -> str:
    found = list(_TOML.finditer(text))
    if not found:
        return text
    line = chance.choice(found)
    key, value = line.groups()
    kind = chance.random()
    if kind < 0.7:
        new = key + _as_toml(word(chance))
    elif kind < 0.8:
        new = f"{key}{value}\n{key}{_as_toml(word(chance))}"
    elif kind < 0.9:
        new = key + chance.choice(found)[2]
    else:
        new = chance.choice(("", f"x = {_as_toml(word(chance))}\n{line[0]}", f"[[a]]\n{line[0]}", f"[a.b]\n{line[0]}"))
    return text[: line.start()] + new + text[line.end() :]


def _as_toml(value: str) -> str:
    known = {"Infinity": "inf", "-Infinity": "-inf", "NaN": "nan", "null": '""'}
    return known.get(value, value) if value[:1] != "{" else re.sub(r'("\w+"):', r"\1 =", value)


def _in_csv(text: str, chance: random.Random) -> str:
    lines = text.split("\n")
    at = chance.randrange(len(lines))
    cells = lines[at].split(",")
    cell = chance.randrange(len(cells))
    new = word(chance)
    if new[:1] == '"':
        inside: Any = json.loads(new)
        new = '"' + inside.replace('"', '""') + '"'
    kind = chance.random()
    if kind < 0.8:
        cells[cell] = new
    elif kind < 0.9:
        cells.insert(cell, new)
    else:
        del cells[cell]
    lines[at] = ",".join(cells)
    return "\n".join(lines)


def _in_lines(text: str, chance: random.Random) -> str:
    """Files of one value, or of words between blanks."""
    words = list(re.finditer(r"\S+", text))
    if not words:
        return word(chance)
    found = chance.choice(words)
    return text[: found.start()] + word(chance).strip('"') + text[found.end() :]


_CHANGES: dict[str, Callable[[str, random.Random], str]] = {
    ".json": _in_json, ".jsonl": _in_json, ".toml": _in_toml, ".csv": _in_csv, "": _in_lines, ".txt": _in_lines,
}  # fmt: skip
_WRITTEN: tuple[Callable[[str], bytes], ...] = (
    lambda text: b"\xef\xbb\xbf" + text.encode(),
    lambda text: text.replace("\n", "\r\n").encode(),
    lambda text: text.replace("\n", "\r").encode(),
    lambda text: text.encode("utf-16"),
    lambda text: text.encode() + b"\0",
    lambda text: text.encode() * 2,
    lambda text: b"\n" * 1000 + text.encode(),
    lambda text: text.encode() + b" " * 3_000_000,
    lambda text: re.sub(r"[A-Za-z]", lambda each: each[0].swapcase(), text, count=20).encode(),
)
"""The same, as other programs write it."""
