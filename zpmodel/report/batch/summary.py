"""One data set in a few figures, in a process of its own: ``python -m zpmodel.report.batch.summary PARENT``.

Reads one JSON document on standard input, writes ``summary.json`` into the set's folder.
"""

import json
import sys
from pathlib import Path
from typing import Any

from zpmodel.base.estimate import Estimate
from zpmodel.base.files import write_atomically
from zpmodel.host.parent import die_with_parent
from zpmodel.report.kernel import spare_imports

FILE = "summary.json"


def main() -> None:
    """Read the order, summarise, write."""
    die_with_parent(int(sys.argv[1]))
    spare_imports()
    order = json.load(sys.stdin)
    found = summarise(Path(order["data_set"]), order["length"], order["resamples"])
    write(Path(order["out"]), {"fingerprint": order["fingerprint"], **found})


def write(folder: Path, document: dict[str, Any]) -> None:
    """Write a set's summary into its folder."""
    write_atomically(folder / FILE, json.dumps(document, indent=1, allow_nan=False))


def summarise(folder: Path, length: str, resamples: int) -> dict[str, Any]:
    """What the overview needs of a set.

    :param length: the range to zero [size with unit].
    :param resamples: bootstrap resamples.
    :return: ``machine`` in words; ``gains``: rows of ``policy speedup saved verdict`` (estimates as ``value low high``,
        None where unknown; saved in ms/GiB); ``measured``: rows of ``block_bytes depth ratio low high`` (2 MiB / 4 KiB
        throughput).
    """
    from zpmodel.base.units import GIB, parse_size
    from zpmodel.calibration.calibrate import calibrate
    from zpmodel.calibration.summary import contrast
    from zpmodel.datasets import read_data_set
    from zpmodel.study.compare import compare
    from zpmodel.study.scenario import Scenario

    data = read_data_set(folder)
    size = parse_size(length, where=str(folder), field="length")
    found = compare(Scenario(calibrate(data, resamples=resamples), size))
    gains = [
        {
            "policy": item.policy,
            "speedup": _written(item.speedup),
            "saved": _written(item.cpu_saved_s.scaled(1e3 * GIB / size)),
            "verdict": item.hedged,
        }
        for item in found
        if item.policy != "page"
    ]
    table = contrast(data)[["block_bytes", "depth", "throughput", "throughput_low", "throughput_high"]].dropna()
    table.columns = ["block_bytes", "depth", "ratio", "low", "high"]
    return {"machine": data.describe(), "gains": gains, "measured": json.loads(table.to_json(orient="records"))}


def _written(found: Estimate) -> dict[str, float] | None:
    """An estimate as JSON has it, which knows no NaN: null where it is unknown."""
    return found.as_dict() if found.known else None


def estimate(found: dict[str, float] | None) -> Estimate:
    """An estimate as it was written."""
    return Estimate.unknown() if found is None else Estimate(found["value"], found["low"], found["high"])


if __name__ == "__main__":
    main()
