"""One golden output: its file below ``expected``, what makes it anew, and how close numbers must be."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from golden.likeness import EXACT, differences, shortened

EXPECTED = Path(__file__).resolve().parent / "expected"


class Case(NamedTuple):
    """``name`` ends in ``.txt`` (``make`` returns a text) or ``.json`` (a document)."""

    name: str
    make: Callable[[], Any]
    tolerance: float

    @property
    def path(self) -> Path:
        """Where what is expected is kept."""
        return EXPECTED / self.name

    def found(self) -> Any:
        """What comes out now, in the form in which it is kept."""
        made = self.make()
        return shortened(made) if self.name.endswith(".json") else made.rstrip() + "\n"

    def write(self) -> None:
        """Keep what comes out now as what is expected."""
        made = self.found()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(made, str):
            made = json.dumps(made, indent=1, ensure_ascii=False) + "\n"
        self.path.write_text(made, encoding="utf-8")

    def off(self) -> list[str]:
        """What comes out differently from what is kept."""
        text = self.path.read_text(encoding="utf-8")
        # Both were cut to four digits, so may lie to both sides of a cut.
        tolerance = max(self.tolerance, 1e-3) if self.name.endswith(".json") else self.tolerance
        kept = json.loads(text) if self.name.endswith(".json") else text
        return differences(self.found(), kept, tolerance if self.tolerance > EXACT else max(tolerance, EXACT))
