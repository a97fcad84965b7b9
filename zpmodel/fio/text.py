"""fio's documents in a file: whatever the encoding, and whatever text stands before, between and after them."""

import json
import re
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
_MAX_FAILURES = 1000
_BINARY_STARTS = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"\xfd7zXZ": "xz", b"BZh": "bzip2", b"(\xb5/\xfd": "zstd"}


def decode(raw: bytes, where: str) -> str:
    """Turn the bytes of a file into text: UTF-8 with or without BOM, UTF-16 (Windows redirection), else latin-1.

    :raises InputError: on an empty or a binary file.
    """
    if not raw.strip():
        raise InputError(where, "content", "empty file", "fio's JSON output")
    for start, kind in _BINARY_STARTS.items():
        if raw.startswith(start):
            raise InputError(where, "content", f"{kind} data", "fio's JSON output, uncompressed")
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
        raise InputError(where, "content", "binary data", "fio's JSON output")
    return text


def documents(text: str, where: str) -> list[dict[str, Any]]:
    """Find fio's JSON documents in a text, in the order in which they stand there.

    Other JSON and other text are passed over. Repeated keys: the last counts, as in fio, where an option
    given twice has the last value (fio 2 also pads its percentiles with repeated ``"0.00" : 0``).

    :raises InputError: where there is none, or where one is broken or ends too early.
    """
    decoder = json.JSONDecoder(strict=False)
    found: list[dict[str, Any]] = []
    other, failures, position = 0, 0, 0
    while (opening := _OBJECT_OPENING.search(text, position)) and failures < _MAX_FAILURES:
        start = opening.start()
        is_fio = _FIO_OPENING.match(text, start) is not None
        try:
            document, position = decoder.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            if not is_fio:
                failures, position = failures + 1, start + 1
                continue
            document, position = _repaired(text, start, error, where, len(found), decoder)
        if is_fio or _is_fio(document):
            found.append(document)
        else:
            other += 1
    if not found:
        what = "JSON that fio didn't write" if other else "no JSON document" if "{" not in text else "no fio document"
        raise InputError(where, "content", what, "fio's output with --output-format=json or json+")
    return found


def _is_fio(document: dict[str, Any]) -> bool:
    if "fio version" in document:
        return True
    jobs = document.get("jobs", document.get("client_stats"))
    return isinstance(jobs, list) and any(
        isinstance(job, dict) and "jobname" in job and not job.keys().isdisjoint(("read", "write", "trim", "mixed"))
        for job in jobs
    )


def _repaired(
    text: str, start: int, error: Exception, where: str, whole: int, decoder: json.JSONDecoder
) -> tuple[dict[str, Any], int]:
    """Read a document again without what fio and its users are known to put into it; the position after it."""
    following = _FIO_OPENING.search(text, start + 1)
    end = following.start() if following else len(text)
    part = _MESSAGE_LINE.sub("", text[start:end])
    part = _BACKSLASH.sub(lambda found: found[0] if found[1] else r"\\", _PRINTF_NUMBER.sub(_json_number, part))
    if part != text[start:end] and isinstance(error, json.JSONDecodeError):
        try:
            # Lengths have changed: what follows in this stretch is text without a document.
            document: dict[str, Any] = decoder.raw_decode(part)[0]
            return document, end
        except (ValueError, RecursionError):
            pass
    raise InputError(where, "JSON", _reason(text[:end], error, whole), "a complete, well-formed fio document") from None


def _json_number(match: re.Match[str]) -> str:
    return "NaN" if match[2].lower() == "nan" else f"{match[1]}Infinity"


def _reason(text: str, error: Exception, whole: int) -> str:
    after = f", after {whole} whole document{'s' if whole > 1 else ''}" if whole else ""
    if not isinstance(error, json.JSONDecodeError):
        return f"nested too deeply or a number too long{after}"
    place = f"line {error.lineno}, column {error.colno}"
    if error.msg.startswith("Unterminated string") or not text[error.pos :].strip():
        return f"truncated at line {text.rstrip().count(chr(10)) + 1}, character {len(text.rstrip())}{after}"
    return f"malformed at {place} ({error.msg}){after}"
