"""A page's fragment, ``parts/NAME.json.gz``: all that the site needs of a page, kept from one report to the next."""

import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from zpmodel.base.files import open_regular, read_bounded, write_atomically

_LARGEST_BYTES = 256 << 20

_File = Annotated[str, msgspec.Meta(pattern=r"^(notebooks|charts|data)/[A-Za-z0-9_-][A-Za-z0-9._-]*\Z")]


class _Part(msgspec.Struct):
    """What a fragment has to have; ``files`` are the page's, by their path in the site, with their SHA-256."""

    name: str
    status: Literal["ok", "failed"]
    error: str
    headline: str
    body: str
    fingerprint: str
    data: str
    package: str
    seconds: float
    charts: Annotated[int, msgspec.Meta(ge=0)]
    provenance: dict[str, str]
    files: dict[_File, str]


def path_of(out: Path, name: str) -> Path:
    """Where a page's fragment stands in a site."""
    return out / "parts" / f"{name}.json.gz"


def write_part(out: Path, name: str, document: Mapping[str, Any]) -> None:
    """Write a page's fragment.

    :raises OSError: where the disk is full; the old one, or none, is then still there.
    """
    write_atomically(path_of(out, name), gzip.compress(json.dumps(document).encode()))


def read_part(out: Path, name: str) -> dict[str, Any] | None:
    """A page's fragment, where it and all the files that belong to it are whole; None otherwise."""
    try:
        raw = read_bounded(path_of(out, name), _LARGEST_BYTES)
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as file:
            text = file.read(_LARGEST_BYTES + 1)  # a few bytes may stand for any number
        if len(text) > _LARGEST_BYTES:
            return None
        part: dict[str, Any] = msgspec.json.decode(text)
        if msgspec.convert(part, _Part).name != name:
            return None
        whole = all(_digest(out / path) == digest for path, digest in part["files"].items())
        return part if whole else None
    except (OSError, ValueError, EOFError, RecursionError, zlib.error):
        return None


def _digest(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
