"""What a page was made from, as digests: the same fingerprint, the same page. And its provenance in words."""

import hashlib
import json
import os
import platform
import stat
import subprocess
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from zpmodel.base import shipped
from zpmodel.base.files import read_text
from zpmodel.report.pages import Page

_LIBRARIES = (
    "altair",
    "ipykernel",
    "mistune",
    "nh3",
    "numba",
    "numpy",
    "pandas",
    "papermill",
    "pillow",
    "scipy",
    "vl-convert-python",
)
_PACKAGE = Path(__file__).resolve().parent.parent
_SOURCES = (".py", ".toml")
_LARGEST_BYTES = 64 << 20  # of what is read of a data set


def folder_digest(folder: Path) -> str:
    """SHA-256 over the names and contents of a folder's regular files, also behind symlinks; nothing else is opened.

    Of a file larger than any that is read the size stands for its contents.
    """
    total = hashlib.sha256()
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(names):
            path = Path(where) / name
            try:
                status = path.stat()
            except OSError:  # a symlink to nothing, or to itself
                continue
            if not stat.S_ISREG(status.st_mode):
                continue
            total.update(f"{path.relative_to(folder)}\0".encode(errors="surrogateescape"))
            small = status.st_size <= _LARGEST_BYTES
            total.update(hashlib.sha256(path.read_bytes() if small else str(status.st_size).encode()).digest())
    return total.hexdigest()


@cache
def package_digest() -> str:
    """SHA-256 over the package's own sources, the shipped data, and the versions of what they are run with."""
    total = hashlib.sha256(json.dumps(libraries(), sort_keys=True).encode())
    for path in sorted(path for path in _PACKAGE.rglob("*") if path.suffix in _SOURCES and path.is_file()):
        total.update(f"{path.relative_to(_PACKAGE)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    total.update(folder_digest(shipped.data()).encode())
    return total.hexdigest()


@cache
def libraries() -> dict[str, str]:
    """Versions of Python and of the libraries that numbers and pictures come from."""
    return {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}}


def fingerprint(page: Page, parameters: Mapping[str, Any], data_digest: str) -> str:
    """The digest of everything that a page is made from."""
    inputs = {
        "notebook": hashlib.sha256(page.notebook.read_bytes()).hexdigest(),
        "parameters": dict(parameters),
        "data": data_digest if page.needs else "",
        "package": package_digest(),
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, default=str).encode()).hexdigest()


def provenance(page: Page, parameters: Mapping[str, Any], data_digest: str, made: str) -> dict[str, str]:
    """What stands at a page's foot, by its label."""
    folder = Path(parameters.get("data_set") or shipped.data("fio", shipped.DEFAULT_DATA_SET))
    given = {key: folder.name if key == "data_set" else value for key, value in parameters.items()}
    rows = {
        "Made": made,
        "zpmodel": f"{own_version()}, {_revision()}",
        "Parameters": ", ".join(f"{key} = {value}" for key, value in given.items()) or "as the notebook has them",
    }
    if page.needs:
        rows["Data set"] = f"{folder.name}, sha256 {data_digest[:16]}"
        rows["Measured on"] = _machine(folder)
    rows["Rendered with"] = ", ".join(f"{name} {number}" for name, number in libraries().items())
    machine = f"{platform.system()} {platform.release()}, {platform.machine()}"
    return {**rows, "Rendered on": machine}


def own_version() -> str:
    """The installed version, or that nobody knows it."""
    try:
        return version("zpmodel")
    except PackageNotFoundError:
        return "not installed"


@cache
def _revision() -> str:
    """The checkout's git revision, with a mark where files differ from it."""
    root = _PACKAGE.parent
    if not (root / ".git").exists():
        return "not a checkout"
    # What a repository's configuration may start (fsmonitor, hooks) is not wanted here.
    git = ["git", "-c", "core.fsmonitor=false", "-c", f"safe.directory={root}", "-C", str(root)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True)
        changed = subprocess.run(
            [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return "git revision unknown"
    return f"git {head.stdout.strip()[:12]}{' with changes' if changed.stdout.strip() else ''}"


def _machine(folder: Path) -> str:
    try:
        facts = tomllib.loads(read_text(folder / "machine.toml"))
        cpu, kernel = facts.get("cpu", {}), facts.get("kernel", {})
        return f"{cpu.get('model', 'unknown CPU')}, Linux {kernel.get('release', '?')}"
    except (OSError, ValueError, AttributeError, RecursionError):
        return "unknown"
