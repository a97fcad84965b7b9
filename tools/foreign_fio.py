"""Takes the figures of other people's NVMe drives out of their fio files, and what one vector costs out of the figures.

The figures are shipped (data/published), the files are not:

    python tools/foreign_fio.py /path/to/foreign-fio           write the tables anew
    python tools/foreign_fio.py                                analyse the tables that are there

A read of n vectors of 4 KiB into fixed buffers costs the kernel a(depth) + n b + sleeps c; see docs/foreign-drives.md.
"""

import sys
from pathlib import Path

import pandas as pd

from zpmodel.base.estimate import LEVEL
from zpmodel.calibration.vectors import slopes_of, vector_cost
from zpmodel.fio.read import read
from zpmodel.validation.composed import vector_points

PUBLISHED = Path(__file__).parent.parent / "data" / "published"
READS, WRITES = "nvme-980pro-randread.csv", "nvme-b-write.csv"
OF_CPU = ("cpu_s_per_io", "kernel_s_per_io", "waits_per_io")
HEADERS = {
    READS: """Samsung 980 PRO 1 TB, random reads; fio 3.35, io_uring, registered files, fixed buffers of 4 KiB
pages, direct; Linux 6.3.8. One pinned core, turbo off, CONFIG_DEBUG_PREEMPT=y, no IOMMU in the published profile.
cpu_s_per_io is usr + sys of fio's thread, kernel_s_per_io sys alone, waits_per_io its context
switches. Buffers (block_bytes x depth) of 2 MiB and more may be huge pages.
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
        jobs = reading.jobs
        jobs["kernel_s_per_io"] = jobs["system_cpu_share"] * jobs["job_runtime_s"] / jobs["ios"]
        jobs["waits_per_io"] = jobs["context_switches"] / jobs["ios"]
        kept = jobs[["block_bytes", "total_depth", "iops", *OF_CPU, "lat_mean_ns"]]
        jobs = _columns(kept.rename(columns={"total_depth": "depth"}), name).sort_values(["block_bytes", "depth"])
        with (PUBLISHED / name).open("w", encoding="utf-8") as file:
            file.writelines(f"# {line}\n" for line in HEADERS[name].splitlines())
            jobs.to_csv(file, index=False, float_format="%.9g")


def _columns(jobs: pd.DataFrame, name: str) -> pd.DataFrame:
    jobs = jobs.astype({"block_bytes": int, "depth": int})
    jobs.insert(3, "bytes_per_s", jobs["iops"] * jobs["block_bytes"])
    return jobs if name == READS else jobs.drop(columns=list(OF_CPU)).rename(columns={"iops": "rate"})


def main() -> None:
    """Write the tables where a folder is given; print the analysis."""
    if len(sys.argv) > 1:
        write_tables(Path(sys.argv[1]))
    found = slopes_of(vector_points(pd.read_csv(PUBLISHED / READS, comment="#")))
    print(
        (found.assign(vector_s=found["vector_s"] * 1e9, slower_s=found["slower_s"] * 1e9))
        .round(1)
        .to_string(index=False)
    )
    halves = [("every other", found[::2], found[1::2]), ("the others", found[1::2], found[::2])]
    for name, mine, others in [("all depths", found, found), *halves]:
        vector = vector_cost(mine)
        if vector is None:
            raise SystemExit(f"{name}: no slopes")
        inside = int(others["vector_s"].between(vector.low, vector.high).sum())
        print(
            f"{name:12s} {vector.scaled(1e9)} ns a 4 KiB vector, {LEVEL:.0%}, {len(mine)} depths; "
            f"{inside} of {len(others)} {'of them' if mine is others else 'left out'} inside"
        )


if __name__ == "__main__":
    main()
