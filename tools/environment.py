"""Write environment.yml for conda users from pyproject.toml; ``--check`` only says whether it is in step."""

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def environment() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["lab"]]
    lines = [
        "# Written by tools/environment.py from pyproject.toml; change that and run `make environment`.",
        "name: zpmodel",
        "channels: [conda-forge]",
        "dependencies:",
        f"  - python{project['requires-python']}",
        "  - pip",
        *("  - " + item.replace(" ", "") for item in sorted(wanted)),
        "  - pip:",
        "      - -e .",
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    path = ROOT / "environment.yml"
    if "--check" in sys.argv[1:]:
        if path.read_text() == environment():
            return 0
        print("environment.yml is out of step with pyproject.toml: run `make environment`", file=sys.stderr)
        return 1
    path.write_text(environment())
    return 0


if __name__ == "__main__":
    sys.exit(main())
