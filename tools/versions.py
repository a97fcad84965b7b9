"""Run the quick tests with other versions: ``lowest`` that pyproject.toml allows, or all ``pythons`` found here.

Each has a virtual environment of its own beside the project's, .venv-lowest or .venv-3.12 ..., made by uv from PyPI.
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.11", "3.12", "3.13")
QUICK = ("-q", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadfile", "-m", "not slow and not root and not fio")
# What takes a minute by itself, and depends on no library's version but through what the others test.
LEFT_OUT = ("golden", "how_to_add", "reports", "site_pages", "signals", "project")


def uv() -> str:
    """The program, installed beside this Python where it is missing."""
    found = Path(sys.executable).with_name("uv")
    if not found.exists():
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "uv"], check=True)
    return str(found)


def interpreters() -> dict[str, str]:
    """Pythons by version: on the PATH, or where pyenv keeps them."""
    found = {}
    for version in PYTHONS:
        places = [*sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))]
        if named := shutil.which(f"python{version}"):
            places.append(Path(named))
        for place in map(str, places):
            said = subprocess.run([place, "--version"], capture_output=True, text=True, check=False)
            if said.returncode == 0 and said.stdout.startswith(f"Python {version}."):
                found[version] = place
                break
    return found


def tested(name: str, python: str, *how: str) -> bool:
    """Install into an environment of this name and run the quick tests; whether they passed."""
    folder = ROOT / f".venv-{name}"
    there = str(folder / "bin" / "python")
    subprocess.run([uv(), "venv", "--quiet", "--clear", "--python", python, folder], check=True)
    subprocess.run([uv(), "pip", "install", "--quiet", "--python", there, *how, "-e", ".[dev]"], cwd=ROOT, check=True)
    ignored = [f"--ignore=tests/test_{each}.py" for each in LEFT_OUT]
    done = subprocess.run([there, "-m", "pytest", *QUICK, *ignored, "tests"], cwd=ROOT, check=False)
    print(f"{name}: {'passed' if done.returncode == 0 else 'FAILED'} ({python})", flush=True)
    return done.returncode == 0


def main() -> int:
    """Exit status 0: all passed."""
    if sys.argv[1:] == ["lowest"]:
        return 0 if tested("lowest", interpreters().get("3.11", sys.executable), "--resolution", "lowest-direct") else 1
    if sys.argv[1:] == ["pythons"]:
        passed = [tested(version, python) for version, python in interpreters().items()]
        return 0 if all(passed) else 1
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
