"""Fit instruction costs to the shipped counts and keep them: data/kernel/costs.json. Run after a table has changed."""

import json
from pathlib import Path

from zpmodel.kernel_cpu.mapping import fit_all

OUT = Path(__file__).resolve().parent.parent / "data" / "kernel" / "costs.json"

if __name__ == "__main__":
    OUT.write_text(json.dumps(fit_all(), indent=1) + "\n")
    print(OUT)
