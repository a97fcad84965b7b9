"""What a set of files says was done: blkparse text, or btt's histograms."""

from pathlib import Path

from zpmodel.base.errors import InputError
from zpmodel.base.files import open_regular
from zpmodel.tracing import blkparse, btt
from zpmodel.tracing.observed import Observed, observe

_LOOK = 4096


def observe_files(paths: list[Path], device: str | None = None) -> Observed:
    """Read one file of blkparse text, or one or two of btt's histograms; which they are is told from their text.

    :param device: ``major,minor`` of the device to read from blkparse text that has several.
    :raises InputError: where a file can't be read, is neither, or they don't go together.
    """
    kinds = {path: _kind(path) for path in paths}
    if set(kinds.values()) == {"btt"}:
        return btt.read(paths)
    if len(paths) > 1:
        raise InputError(
            "--from", "files", ", ".join(map(str, paths)), "one file of blkparse text, or one or two of btt"
        )
    return observe(blkparse.read(paths[0], device))


def _kind(path: Path) -> str:
    try:
        with open_regular(path) as file:
            start = file.read(_LOOK).decode(errors="replace")
    except (OSError, ValueError) as error:
        raise InputError(str(path), "file", str(error), "a file that can be read") from None
    if btt.looks_like_btt(start):
        return "btt"
    if blkparse.looks_like_blkparse(start):
        return "blkparse"
    raise InputError(str(path), "text", start[:40], "blkparse's default output, or a btt qhist or dhist file")
