"""What the commands print: tables and ``--json``. Those that need root or fio are given records instead."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from functools import cache
from io import StringIO
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

from golden import inputs
from golden.case import Case
from golden.likeness import EXACT, FITTED
from zpmodel import structure
from zpmodel.base import shipped
from zpmodel.commands import measure as measure_command
from zpmodel.commands.main import app
from zpmodel.datasets import points as dataset
from zpmodel.measure.run import Summary
from zpmodel.validation import validate as scoring

assert structure  # compiled once, before `structure` could choose plain Python for this whole process

_TRACE = "--limits limits.json --offset 4096 --length 2162688"

# Name, where it runs (`scratch`, or a folder of fixtures), and the command line; printed as a table and as JSON.
_COUNTED = (
    ("structure-static-nvme", "scratch", "structure --zero-page static --limits nvme-mdts5 --length 1GiB"),
    ("structure-page-sata", "scratch", "structure --limits sata --offset 1MiB --length 3MiB"),
    ("structure-64k-virtio", "scratch", "structure --zero-page 64KiB --limits virtio-blk --length 5MiB"),
    ("fio-depth", "fio/real", "fio json-libaio-qd8.json"),
    ("fio-running-totals", "fio/real", "fio status-interval.json"),
    ("fio-rejected", "fio", "fio failed/error-enospc.json failed/error-bad-option.txt"),
    ("trace-blkparse", "trace", "trace --from blkparse.txt"),
    ("trace-blkparse-compared", "trace", f"trace --from blkparse.txt --zero-page page {_TRACE}"),
    ("trace-histograms", "trace", "trace --from btt_qhist.dat --from btt_dhist.dat"),
    ("trace-ranges", "scratch", "trace --ranges 3 --zero-page page"),
    ("zeroout", "scratch", "zeroout --size 1MiB --out timed"),
    ("price", "scratch", "price --ram 1GiB --ram 64GiB"),
)
_OTHER = "--limits nvme-mdts5 --length 10MiB --offset 4096"
_FITTED = (
    ("calibrate", "scratch", f"calibrate small --resamples {inputs.RESAMPLES}"),
    ("calibrate-one-memory", "scratch", f"calibrate one-memory --resamples {inputs.RESAMPLES}"),
    ("predict-static", "scratch", "predict --calibration machine.json --length 1TiB"),
    ("predict-64k-other-limits", "scratch", f"predict --calibration machine.json --zero-page 64KiB {_OTHER}"),
    ("compare", "scratch", "compare --calibration machine.json"),
    ("compare-falls-back", "scratch", "compare --calibration machine.json --length 16MiB --fallback-share 0.5"),
    ("compare-one-memory", "scratch", "compare --calibration one-memory.json --length 1GiB"),
    ("instructions", "scratch", "instructions --kernel 6.12 --mdts 5 --iommu strict --length 1MiB"),
    ("compare-composed", "scratch", "compare --machine nvme-mailing-list --iommu lazy"),
    ("predict-composed", "scratch", "predict --machine ebs --zero-page page --length 16MiB"),
    ("fleet", "fleet", "fleet machines.csv --machine nvme-strict"),
    ("validate", "scratch", "validate small"),
    ("clear", "scratch", "clear 4KiB 2MiB"),
    ("read", "scratch", "read copy"),
    ("life", "scratch", "life --scans-per-s 0.1 --failure fleet"),
    ("answers", "scratch", "answers --machine nvme-mailing-list"),
    ("answers-one", "scratch", "answers 1 --calibration machine.json"),
    ("callers", "scratch", "callers"),
    ("callers-kcopyd", "scratch", "callers dm_kcopyd_zero --machine nvme-mailing-list"),
)


@cache
def prepared() -> None:
    """Make the data sets and calibrations that commands read, once for this process."""
    folder = inputs.scratch()
    inputs.small_set(folder)
    inputs.one_memory(folder)
    for name, out in (("small", "machine.json"), ("one-memory", "one-memory.json")):
        _run("scratch", f"calibrate {name} --resamples {inputs.RESAMPLES} --out {out}")


@contextmanager
def scored_once() -> Iterator[None]:
    """Let ``validate`` score the small set once for this process: table, JSON and page are of the same scores."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "validate", lambda data: _scores(data.name, data))
        yield


_SCORES: dict[str, pd.DataFrame] = {}
_validate = scoring.validate


def _scores(name: str, data: Any) -> pd.DataFrame:
    if name not in _SCORES:
        _SCORES[name] = _validate(data)
    return _SCORES[name]


def _run(where: str, line: str) -> str:
    arguments = line.split()
    folder = inputs.scratch() if where == "scratch" else inputs.FIXTURES / where
    patches: dict[str, AbstractContextManager[None]] = {"trace": inputs.recorded_ranges(), "validate": scored_once()}
    patches["zeroout"] = inputs.recorded_zeroouts()
    with pytest.MonkeyPatch.context() as patch, patches.get(arguments[0], nullcontext()):
        patch.chdir(folder)
        done = CliRunner().invoke(app, arguments, prog_name="zpmodel")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    words = f"\nstderr:\n{done.stderr}" if done.stderr.strip() and arguments[0] == "fio" else ""
    return f"{done.stdout}{words}"


def _table(where: str, line: str) -> str:
    prepared()
    return f"$ zpmodel {line}\n{_run(where, line)}"


def _json(where: str, line: str) -> Any:
    prepared()
    printed = _run(where, f"{line} --json").partition("\nstderr:")[0]
    return json.loads(re.sub(rf'"kernel": "{re.escape(os.uname().release)}"', '"kernel": "this one"', printed))


def _cases() -> str:
    """``structure --cases``: a dozen ranges that a kernel was traced with."""
    lines = shipped.data("kernel", "zeroout-7.2.jsonl").read_text(encoding="utf-8").splitlines()[::300]
    (inputs.scratch() / "cases.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return _run("scratch", "structure --cases cases.jsonl")


def _measured(as_json: bool) -> str:
    """What ``measure`` prints at its end, of the small set."""
    folder = inputs.small_set(inputs.scratch())
    points = [dataset.read_point(folder, name) for name in dataset.finished(folder)]
    contrasts, drift = tuple(dataset.contrasts(points)), tuple(dataset.drift(points))
    summary = Summary(
        folder.relative_to(inputs.scratch()), len(points), 2, 3, "time", 60.0, contrasts, drift, ("a note",)
    )
    with redirect_stdout(StringIO()) as out:
        measure_command._print(summary, as_json)
    return out.getvalue()


def cases() -> list[Case]:
    """A case for each command's table and JSON."""
    found = [Case("command/measure.txt", lambda: _measured(False), EXACT)]
    found.append(Case("command/measure.json", lambda: json.loads(_measured(True)), EXACT))
    found.append(Case("command/structure-cases.txt", _cases, EXACT))
    for group, tolerance in ((_COUNTED, EXACT), (_FITTED, FITTED)):
        for name, *how in group:
            found.append(Case(f"command/{name}.txt", lambda how=how: _table(*how), tolerance))
            found.append(Case(f"command/{name}.json", lambda how=how: _json(*how), tolerance))
    return found
