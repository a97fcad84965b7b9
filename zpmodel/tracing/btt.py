"""Reading `btt`'s histograms of queued and dispatched sizes (``*_qhist.dat``, ``*_dhist.dat``).

btt counts sizes up to 1024 sectors one by one and lumps together what is larger; it knows neither splits nor merges,
and does not tell reads
from writes.
"""

import re
from collections import Counter
from pathlib import Path

from zpmodel.base.errors import InputError
from zpmodel.base.files import read_bounded
from zpmodel.base.units import SECTOR
from zpmodel.tracing.observed import Observed, sizes

LARGEST_SECTORS = 1024
_TITLE = re.compile(r"# (?P<kind>[QD]) bucket(?P<section>s| for > 1024)")
_ROW = re.compile(r"\s*(?P<sectors>\d+) (?P<count>\d+)")


def looks_like_btt(text: str) -> bool:
    """Say whether a text is one of btt's histograms."""
    return any(_TITLE.match(line) for line in text.splitlines()[:3])


def parse(text: str, source: str) -> tuple[str, Counter[int]]:
    """Read one histogram.

    :return: ``Q`` (bios queued) or ``D`` (requests dispatched), and counts by size [byte]; those larger than 1024
        sectors
        stand under 1025 sectors.
    :raises InputError: where it is not such a histogram, or cut off.
    """
    kind, section = None, None
    counts: Counter[int] = Counter()
    sections = []
    for number, line in enumerate(text.splitlines(), 1):
        if title := _TITLE.match(line):
            kind, section = title["kind"], title["section"]
            sections.append(section)
            continue
        if line.startswith("#") or not line.strip():
            continue
        row = _ROW.fullmatch(line.rstrip())
        if row is None or section is None:
            raise InputError(f"{source} line {number}", "row", line.strip(), "a number of sectors and a count")
        sectors = int(row["sectors"]) if section == "s" else LARGEST_SECTORS + 1
        counts[sectors * SECTOR] += int(row["count"])
    if kind is None or not text.endswith("\n") or len(sections) != 2 or len(counts) != LARGEST_SECTORS + 1:
        raise InputError(
            source, "text", f"{len(counts)} sizes", "a whole histogram of btt: 1024 sizes and one for larger ones"
        )
    return kind, counts


def read(paths: list[Path]) -> Observed:
    """Read a ``qhist`` file, a ``dhist`` file or both.

    :raises InputError: where one can't be read, is something else, or two are of the same kind.
    """
    found: dict[str, Counter[int]] = {}
    for path in paths:
        try:
            kind, counts = parse(read_bounded(path).decode(errors="replace"), str(path))
        except (OSError, ValueError) as error:
            raise InputError(str(path), "file", str(error), "a file that can be read") from None
        if kind in found:
            raise InputError(str(path), "kind", kind, "one histogram of queued (Q) and one of dispatched (D) sizes")
        found[kind] = counts
    return Observed(
        operation=None,
        bios=sizes(found["Q"]) if "Q" in found else None,
        splits=None,
        back_merges=None,
        front_merges=None,
        requests=sizes(found["D"]) if "D" in found else None,
        lumped_above_bytes=LARGEST_SECTORS * SECTOR,
    )
