"""Takes the figures of other people's NVMe drives out of their fio files, and what one vector costs out of the figures.

The figures are shipped (data/published), the files are not:

    python tools/foreign_fio.py /path/to/foreign-fio           write the tables anew
    python tools/foreign_fio.py                                analyse the tables that are there

A read of n vectors of 4 KiB into fixed buffers costs fio's thread a(depth) + n x b(depth); see docs/foreign-drives.md.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from zpmodel.fio.read import read

PUBLISHED = Path(__file__).parent.parent / "data" / "published"
READS, WRITES = "nvme-980pro-randread.csv", "nvme-b-write.csv"
PAGE_BYTES, HUGE_BYTES = 4096, 2 << 20
LEVEL = 0.90
HEADERS = {
    READS: """Samsung 980 PRO 1 TB, random reads; fio 3.35, io_uring, registered files, fixed buffers of 4 KiB
pages, direct; Linux 6.3.8. One pinned core, turbo off, CONFIG_DEBUG_PREEMPT=y, no IOMMU in the published profile.
cpu_s_per_io is usr + sys of fio's thread. Buffers (block_bytes x depth) of 2 MiB and more may be huge pages.
Source: stonet-research/icpe24_io_scheduler_study_artifact 013f1e1, doi 10.1145/3629526.3645053.
MIT, Copyright (c) 2023 @Large Research.
Units: byte, 1, 1/s, byte/s, s, ns. Taken with tools/foreign_fio.py.""",
    WRITES: """A conventional NVMe drive ("nvme-b"), sequential writes; fio 3.32, io_uring, fixed buffers of 4 KiB
pages, hipri, sqthread_poll, direct; Linux 5.17.
No CPU figures: the polling thread's time is not in usr and sys. bytes_per_s = rate x block_bytes.
Source: stonet-research/NVMeBenchmarks 01f40f1c; MIT, Copyright (c) 2023 Krijn Doekemeijer, Nick Tehrany.
Units: byte, 1, 1/s, byte/s, ns. Taken with tools/foreign_fio.py.""",
}


def write_tables(folder: Path) -> None:
    """Write both tables.

    :raises SystemExit: where a file isn't read whole.
    """
    for name, part in ((READS, "nvme-980pro-randread"), (WRITES, "nvme-b-write")):
        reading = read([folder / part])
        if len(reading.rejected) or reading.jobs[["block_bytes", "total_depth", "lat_mean_ns"]].isna().any(axis=None):
            raise SystemExit(f"{part}: not all of it could be read: {reading.rejected['reason'].tolist()}")
        kept = reading.jobs[["block_bytes", "total_depth", "iops", "cpu_s_per_io", "lat_mean_ns"]]
        jobs = _columns(kept.rename(columns={"total_depth": "depth"}), name).sort_values(["block_bytes", "depth"])
        with (PUBLISHED / name).open("w", encoding="utf-8") as file:
            file.writelines(f"# {line}\n" for line in HEADERS[name].splitlines())
            jobs.to_csv(file, index=False, float_format="%.9g")


def _columns(jobs: pd.DataFrame, name: str) -> pd.DataFrame:
    jobs = jobs.astype({"block_bytes": int, "depth": int})
    jobs.insert(3, "bytes_per_s", jobs["iops"] * jobs["block_bytes"])
    return jobs if name == READS else jobs.drop(columns="cpu_s_per_io").rename(columns={"iops": "rate"})


def slopes(reads: pd.DataFrame) -> pd.DataFrame:
    """CPU time of a vector at each depth: the Theil-Sen slope over blocks of two vectors and more.

    A single vector has a way of its own through the driver (``nvme_setup_prp_simple``: no table, no list), so the step
    from one to two vectors is no vector's cost.

    :return: ``depth``, ``blocks`` used, ``vector_ns`` [ns], ``io_ns`` (what an I/O of no vector would cost) [ns].
    """
    usable = reads[(reads["block_bytes"] >= 2 * PAGE_BYTES) & (reads["block_bytes"] * reads["depth"] < HUGE_BYTES)]
    rows = []
    for depth, mine in usable.groupby("depth"):
        if len(mine) >= 3:
            fit = stats.theilslopes(mine["cpu_s_per_io"] * 1e9, mine["block_bytes"] / PAGE_BYTES)
            rows.append((depth, len(mine), fit.slope, fit.intercept))
    return pd.DataFrame(rows, columns=["depth", "blocks", "vector_ns", "io_ns"])


def interval(vector_ns: pd.Series) -> tuple[float, float, float]:
    """Geometric mean over the depths and the interval in which another depth's slope is to be expected.

    Depths differ by far more than noise (how many completions an interrupt brings differs), so a fit's residuals say
    little; the scatter between depths is what is not known about yet another depth. Student, logarithms.
    """
    logs = np.log(np.asarray(vector_ns, dtype=float))
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(logs) - 1)) * logs.std(ddof=1) * np.sqrt(1 + 1 / len(logs))
    value, low, high = np.exp(logs.mean() + half * np.array([0.0, -1.0, 1.0])).tolist()
    return value, low, high


def main() -> None:
    """Write the tables where a folder is given; print the analysis."""
    if len(sys.argv) > 1:
        write_tables(Path(sys.argv[1]))
    found = slopes(pd.read_csv(PUBLISHED / READS, comment="#"))
    print(found.round(1).to_string(index=False))
    halves = [("every other", found[::2], found[1::2]), ("the others", found[1::2], found[::2])]
    for name, mine, others in [("all depths", found, found), *halves]:
        value, low, high = interval(mine["vector_ns"])
        inside = int(others["vector_ns"].between(low, high).sum())
        print(
            f"{name:12s} {value:6.1f} [{low:.1f}, {high:.1f}] ns a 4 KiB vector, {LEVEL:.0%}, {len(mine)} depths; "
            f"{inside} of {len(others)} {'of them' if mine is others else 'left out'} inside"
        )


if __name__ == "__main__":
    main()
