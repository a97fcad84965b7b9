"""A chart as a file, from the command line: SVG or PNG, by the file's name."""

from pathlib import Path

import altair as alt

from zpmodel.base.errors import InputError
from zpmodel.base.files import check_new, write_atomically
from zpmodel.report.charts.theme import themed
from zpmodel.report.describe import describe

_PNG_SCALE = 2.0
_SUFFIXES = (".svg", ".png")


def check_chart(path: Path, *, where: str) -> None:
    """Refuse early what can't be written.

    :raises InputError: on another suffix, a file that is there, a folder that is not.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise InputError(where, "file", str(path), " or ".join(f"a name that ends in {suffix}" for suffix in _SUFFIXES))
    check_new(path, where=where)


def write_chart(path: Path, chart: alt.TopLevelMixin) -> None:
    """Write a chart in the package's look; what it shows is its description.

    :raises OSError: where the disk is full.
    """
    import vl_convert

    with themed():
        spec = chart.to_dict()
    spec["description"] = describe(spec)
    if path.suffix.lower() == ".png":
        write_atomically(path, vl_convert.vegalite_to_png(spec, scale=_PNG_SCALE))
    else:
        write_atomically(path, vl_convert.vegalite_to_svg(spec))
