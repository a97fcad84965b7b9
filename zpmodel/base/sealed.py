"""Files that only this package writes and reads, with the digest of what is in them: damage is known before use."""

import hashlib
import os
import stat
from pathlib import Path

_DIGEST_BYTES = 32


def sealed(content: bytes) -> bytes:
    """The content with its digest before it."""
    return hashlib.sha256(content).digest() + content


def read_sealed(path: Path, largest_bytes: int, *, mine: bool = False) -> bytes:
    """What was sealed, from a regular file; no symlink is followed, and no FIFO waited for.

    :param mine: accept a file of this user's alone.
    :raises OSError: where it can't be read, is something else, larger, or damaged.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > largest_bytes + _DIGEST_BYTES:
            raise OSError(f"{path} is no regular file of at most {largest_bytes} bytes")
        if mine and found.st_uid != os.geteuid():
            raise PermissionError(f"{path} is another user's")
        digest, content = file.read(_DIGEST_BYTES), file.read(largest_bytes)
    if hashlib.sha256(content).digest() != digest:
        raise OSError(f"{path} is damaged")
    return content
