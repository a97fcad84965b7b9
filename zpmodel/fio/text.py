"""fio's documents in a file: whatever the encoding, and whatever text stands before, between and after them."""

import json
import re
from collections.abc import Iterator
from itertools import chain, pairwise
from typing import Any

from zpmodel.base.errors import InputError

_FIO_OPENING = re.compile(r'\{\s*"(?:fio version|jobs|client_stats)"\s*:')
_OBJECT_OPENING = re.compile(r'\{(?=\s*["}])')
# printf writes these where JSON knows no such number.
_PRINTF_NUMBER = re.compile(r"(?<=[\s:\[,])(-?)(nan|inf)(?:inity)?(?=[\s,}\]])", re.IGNORECASE)
# A Windows path in an option, written by a fio that didn't escape it yet.
_BACKSLASH = re.compile(r'\\(["\\/bfnrt]|u[0-9a-fA-F]{4})?')
# Messages that reached the same file (2>&1) while a document was being written. JSON lines never start like that.
_MESSAGE_LINE = re.compile(
    r"^(?:fio: |fio-\d|note: |WARNING: |Jobs: |client <|<[^>\n]*> |hostname=).*\n?", re.MULTILINE
)
_DECODER = json.JSONDecoder(strict=False)
_PATIENCE = 1_000_000
# A JSON+ document of 250 jobs has 40 MB, 1.3 million values and 15,000 objects.
_LARGEST_DOCUMENT, _MOST_VALUES, _MOST_HOLDERS = 64 << 20, 3_000_000, 300_000
_ACCEPTED_RICHNESS = f"at most {_LARGEST_DOCUMENT} bytes, {_MOST_VALUES} values and {_MOST_HOLDERS} objects a document"
_BINARY_STARTS = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"\xfd7zXZ": "xz", b"BZh": "bzip2", b"(\xb5/\xfd": "zstd"}


class NotFioError(InputError):
    """What was read isn't fio's JSON output at all, as opposed to one that is broken."""


def decode(raw: bytes, where: str) -> str:
    """Turn the bytes of a file into text: UTF-8 with or without BOM, UTF-16 (Windows redirection), else latin-1.

    :raises InputError: on an empty or a binary file.
    """
    if not raw or raw.isspace():
        raise NotFioError(where, "content", "empty file", "fio's JSON output")
    for start, kind in _BINARY_STARTS.items():
        if raw.startswith(start):
            raise NotFioError(where, "content", f"{kind} data", "fio's JSON output, uncompressed")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = raw.decode("utf-16", errors="replace")
    elif any(raw[:40:2]) and not any(raw[1:40:2]):
        text = raw.decode("utf-16-le", errors="replace")
    elif any(raw[1:40:2]) and not any(raw[:40:2]):
        text = raw.decode("utf-16-be", errors="replace")
    else:
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            # Job names are bytes to fio; latin-1 keeps every one of them.
            text = raw.decode("latin-1")
    if "\0" in text:
        raise NotFioError(where, "content", "binary data", "fio's JSON output")
    return text


def documents(text: str, where: str) -> Iterator[dict[str, Any]]:
    """Find fio's JSON documents in a text, one after the other, in the order in which they stand there.

    Other JSON and other text are passed over. Repeated keys: the last counts, as in fio, where an option
    given twice has the last value (fio 2 also pads its percentiles with repeated ``"0.00" : 0``).
    The text is taken in stretches that begin where fio's documents do, so time is linear in its length, and memory is
    that of one document.

    :raises InputError: where there is none, or where one is broken, ends too early or has too much in it.
    """
    found, other = 0, False
    # One by one: a file of nothing but openings has so many that a list of them is larger than the file.
    starts = (match.start() for match in _FIO_OPENING.finditer(text))
    for start, end in pairwise(chain([0], starts, [len(text)])):
        stretch = text[start:end]
        rich = _is_rich(stretch)
        position = 0
        if _FIO_OPENING.match(stretch):
            if rich:
                line = text.count("\n", 0, start) + 1
                raise InputError(where, f"document at line {line}", f"{len(stretch)} bytes, {rich}", _ACCEPTED_RICHNESS)
            try:
                document, position = _DECODER.raw_decode(stretch)
            except (ValueError, RecursionError) as error:
                document, position = _repaired(text, start, end, error, where, found), len(stretch)
            found += 1
            yield document
        if not rich:
            for document in _others(stretch, position):
                if _is_fio(document):
                    found += 1
                    yield document
                else:
                    other = True
        other = other or bool(rich)
    if not found:
        what = "JSON that fio didn't write" if other else "no JSON document" if "{" not in text else "no fio document"
        raise NotFioError(where, "content", what, "fio's output with --output-format=json or json+")


def _is_rich(stretch: str) -> str:
    """What a stretch has too much of to be parsed in bounded memory; empty where it may be."""
    if len(stretch) > _LARGEST_DOCUMENT:
        return "one document"
    values, holders = stretch.count(","), stretch.count("{") + stretch.count("[")
    if values > _MOST_VALUES or holders > _MOST_HOLDERS:
        return f"{values} values in {holders} objects"
    return ""


def _others(stretch: str, position: int) -> Iterator[dict[str, Any]]:
    """JSON objects in a text that don't begin as fio's do. What can't be read is passed over, with bounded patience."""
    patience = _PATIENCE + 4 * len(stretch)
    while patience > 0 and (opening := _OBJECT_OPENING.search(stretch, position)):
        try:
            document, position = _DECODER.raw_decode(stretch, opening.start())
        except (ValueError, RecursionError) as error:
            position = opening.start() + 1
            patience -= error.pos if isinstance(error, json.JSONDecodeError) else len(stretch)
        else:
            yield document


def _is_fio(document: dict[str, Any]) -> bool:
    if "fio version" in document:
        return True
    jobs = document.get("jobs", document.get("client_stats"))
    return isinstance(jobs, list) and any(
        isinstance(job, dict) and "jobname" in job and not job.keys().isdisjoint(("read", "write", "trim", "mixed"))
        for job in jobs
    )


def _repaired(text: str, start: int, end: int, error: Exception, where: str, whole: int) -> dict[str, Any]:
    """Read a document again without what fio and its users are known to put into it."""
    part = _MESSAGE_LINE.sub("", text[start:end])
    part = _BACKSLASH.sub(lambda found: found[0] if found[1] else r"\\", _PRINTF_NUMBER.sub(_json_number, part))
    if part != text[start:end] and isinstance(error, json.JSONDecodeError):
        try:
            # Lengths have changed: what follows in this stretch is text without a document.
            document: dict[str, Any] = _DECODER.raw_decode(part)[0]
            return document
        except (ValueError, RecursionError):
            pass
    reason = _reason(text, start, end, error, whole)
    raise InputError(where, "JSON", reason, "a complete, well-formed fio document") from None


def _json_number(match: re.Match[str]) -> str:
    return "NaN" if match[2].lower() == "nan" else f"{match[1]}Infinity"


def _reason(text: str, start: int, end: int, error: Exception, whole: int) -> str:
    after = f", after {whole} whole document{'s' if whole > 1 else ''}" if whole else ""
    if not isinstance(error, json.JSONDecodeError):
        return f"nested too deeply or a number too long{after}"
    above = text.count("\n", 0, start)
    place = f"line {above + error.lineno}, column {error.colno}"
    if error.msg.startswith("Unterminated string") or not text[start + error.pos : end].strip():
        kept = text[:end].rstrip()
        return f"truncated at line {kept.count(chr(10)) + 1}, character {len(kept)}{after}"
    return f"malformed at {place} ({error.msg}){after}"
