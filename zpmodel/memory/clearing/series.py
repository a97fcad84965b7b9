"""Read clearing bandwidths: published ones, and fio's sweep over /dev/zero."""

import re
from pathlib import Path

import pandas as pd

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.base.units import KIB
from zpmodel.fio.read import one_job

_COLUMNS = ["machine", "method", "call_bytes", "region_bytes", "bandwidth_bytes_per_s", "source"]
_NAME = re.compile(r"zero-bs(\d+)(?:-qd1)?-(malloc|mmaphuge)-r(\d+)\.json")

KERNEL_CHUNK_BYTES = 4 * KIB
"""A read of /dev/zero clears the buffer in pieces of PAGE_SIZE [byte]. Source: read_zero() in drivers/char/mem.c."""


def published_machines() -> list[str]:
    """Names of the machines with published clearing figures; each has a machine file of the same name."""
    return sorted(path.stem.removeprefix("clear-") for path in shipped.data("published").glob("clear-*.csv"))


def published(machine: str) -> pd.DataFrame:
    """Published clearing figures of one machine.

    :return: ``machine method call_bytes region_bytes bandwidth_bytes_per_s source``.

    :raises InputError: when the package ships none for it.
    """
    if machine not in published_machines():
        raise InputError("published clearing figures", "machine", machine, ", ".join(published_machines()))
    return pd.read_csv(shipped.data("published", f"clear-{machine}.csv"))[_COLUMNS]


def zero_sweep(folder: str | Path) -> pd.DataFrame:
    """Read a data set's /dev/zero sweep, raw fio JSON called ``zero-bs<bytes>-qd1-<malloc|mmaphuge>-r<NN>.json``.

    One job (queue depth 1) reads into the same buffer again and again, so the region is the block. What it times is the
    kernel's clearing of user memory plus a system call and fio's own loop.

    :param folder: where the files are.
    :return: ``memory run method call_bytes region_bytes instruction_bytes bandwidth_bytes_per_s``; ``memory`` is
        ``malloc`` (4 KiB pages) or ``mmaphuge`` (2 MiB pages).
    :raises InputError: on a file that is not fio's JSON of one read job, and when there is none.
    """
    rows = []
    for path in sorted(Path(folder).glob("zero-bs*.json")):
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise InputError(str(path), "name", path.name, "zero-bs<bytes>-qd1-<malloc|mmaphuge>-r<NN>.json")
        size = int(match[1])
        rows.append(
            (match[2], int(match[3]), "rep-stos", size, size, KERNEL_CHUNK_BYTES, one_job(path, "read").bytes_per_s)
        )
    if not rows:
        raise InputError(str(folder), "files", "none", "zero-bs<bytes>-qd1-<malloc|mmaphuge>-r<NN>.json")
    names = ["memory", "run", "method", "call_bytes", "region_bytes", "instruction_bytes", "bandwidth_bytes_per_s"]
    return pd.DataFrame(rows, columns=names).sort_values(["memory", "call_bytes", "run"], ignore_index=True)


def median_of_runs(sweep: pd.DataFrame, memory: str = "both") -> pd.DataFrame:
    """The median bandwidth of the runs of each block size, smallest block first.

    :param memory: one kind of buffer memory, or ``both``: the kernel clears them alike but for the TLB, and twice as
        many runs are less noisy.
    :raises InputError: where the sweep has none of it.
    """
    mine = sweep if memory == "both" else sweep[sweep["memory"] == memory]
    if mine.empty:
        raise InputError("sweep", "memory", memory, ", ".join(sorted(set(sweep["memory"]))))
    keys = ["method", "call_bytes", "region_bytes", "instruction_bytes"]
    return mine.groupby(keys)["bandwidth_bytes_per_s"].median().reset_index()


def micro_clearing(measured: pd.DataFrame, mapping: str) -> pd.DataFrame:
    """Clearing points of the micro-benchmark for one mapping: the median of the repeats, smallest call first.

    :param measured: as :func:`zpmodel.memory.reading.microbench.measure` returns.
    :param mapping: ``4 KiB pages`` or ``2 MiB pages``.
    :return: ``method call_bytes region_bytes bandwidth_bytes_per_s``.
    :raises InputError: when there is no such row.
    """
    mine = measured[(measured["operation"] == "clear") & (measured["mapping"] == mapping)]
    if mine.empty:
        raise InputError("micro-benchmark", "mapping", mapping, ", ".join(sorted(set(measured["mapping"]))))
    mine = mine.rename(columns={"target_bytes": "region_bytes"})
    keys = ["method", "call_bytes", "region_bytes"]
    return mine.groupby(keys)["bandwidth_bytes_per_s"].median().reset_index()
