"""Files that are complete or absent, whatever happens to the program or the power."""

import os
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Write a whole file under a temporary name, make it durable, then give it its name.

    :raises OSError: where that fails; the old file, or none, is then still there.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
    publish(temporary, path)


def publish(temporary: Path, path: Path) -> None:
    """Make a finished temporary file durable and give it its name.

    :raises OSError: where that fails.
    """
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
