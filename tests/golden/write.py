"""Write what people read anew, for review with ``git diff tests/golden``: all, or names that hold a word given."""

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from golden import inputs
from golden.all import cases
from golden.case import EXPECTED


def main(words: list[str]) -> None:
    """Write the cases whose names hold one of the words; without words, all, and remove files of no case."""
    chosen = [case for case in cases() if not words or any(word in case.name for word in words)]
    try:
        for case in chosen:
            case.write()
    finally:
        shutil.rmtree(inputs.scratch())
    if not words:
        kept = {case.path for case in chosen}
        for path in EXPECTED.rglob("*.*"):
            if path not in kept:
                path.unlink()
    print(f"{len(chosen)} files in {EXPECTED}; see git diff")


if __name__ == "__main__":
    main(sys.argv[1:])
