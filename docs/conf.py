"""The documentation as one static site: ``make docs``. Neither it nor its pages load anything from a network."""

import os
import pkgutil
import sys
from pathlib import Path

os.environ["NUMBA_DISABLE_JIT"] = "1"  # kernels as the plain functions whose docstrings they have
_HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(_HERE.parent))

project = "zpmodel"
author = "zpmodel's contributors"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = "zpmodel: what a PMD-sized zero page is worth"
html_static_path: list[str] = []
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}
suppress_warnings = ["ref.python"]  # fields named as types are (`bytes`): any of them will do

_ROOMS = {
    "base": "Floor 0: errors, units, estimates",
    "queue": "Floor 1: limits of a queue, zero pages",
    "structure": "Floor 2: bios, splits, requests",
    "memory": "Floor 2: clearing, reading, an on-demand folio's life",
    "fio": "Floor 2: reading fio",
    "host": "Floor 2: what is true of this machine",
    "callers": "Floor 3: the users of zero pages",
    "kernel_cpu": "Floor 3: instructions and nanoseconds",
    "devices": "Floor 4: kinds of device",
    "timing": "Floor 4: from counts to time",
    "datasets": "Floor 4: forms of data set",
    "calibration": "Floor 5: from a data set to a machine",
    "study": "Floor 6: questions",
    "measure": "Floor 6: running fio",
    "validation": "Floor 7: truths, predicted",
    "tracing": "Floor 7: what the running kernel did",
    "report": "Floor 8: what people read",
}


def _write_reference() -> None:
    """A page for each room of the house, with all its modules; written anew at each build."""
    folder = _HERE / "_api"
    folder.mkdir(exist_ok=True)
    for left in folder.glob("*.rst"):
        left.unlink()
    for room, title in _ROOMS.items():
        path = _HERE.parent / "zpmodel" / room
        found = pkgutil.walk_packages([str(path)], f"zpmodel.{room}.")
        names = [f"zpmodel.{room}", *sorted(module.name for module in found)]
        lines = [title, "=" * len(title), ""]
        for name in names:
            lines += [name, "-" * len(name), "", f".. automodule:: {name}"]
            # A function re-exported under its module's name would be there twice.
            inside = [other.rpartition(".")[2] for other in names if other.startswith(f"{name}.")]
            lines += [f"   :exclude-members: {', '.join(inside)}" if inside else "", ""]
        (folder / f"{room}.rst").write_text("\n".join(lines), encoding="utf-8")


_write_reference()
