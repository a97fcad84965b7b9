"""SYNTHETIC data sets of known costs: they test that a fit finds what was put in, and stand for no machine."""

import numpy as np
import pandas as pd

from zpmodel.base.units import KIB, MIB
from zpmodel.calibration.fit import with_cold
from zpmodel.calibration.groups import describe
from zpmodel.datasets.schema import KEYS, DataSet
from zpmodel.devices import Flat, Ring
from zpmodel.devices.base import PathCosts
from zpmodel.devices.closed_loop import closed_loop
from zpmodel.queue.limits import UINT_MAX, QueueLimits
from zpmodel.timing.events import on_path

CACHE_MIB = 4.0
BLOCKS = (4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, 512 * KIB, MIB, 2 * MIB, 4 * MIB, 8 * MIB)
DEPTHS = (1, 4, 16)
# operation, wait, vector, request, stall, MiB, cold vector, table [s]; a ring copies nothing here, so no vector is cold
CPU = np.array([3e-6, 20e-6, 60e-9, 4e-6, 8e-6, 3e-6, 0.0, 0.0])
PATH = np.array([2e-6, 10e-6, 50e-9, 2e-6, 1e-6, 1e-6, 0.0, 0.0])
# latency, stream, request, segment, MiB, cold [s], cache [MiB], rounds
DEVICE = PathCosts(30e-6, 20e-6, 5e-6, 150e-9, 200e-6, 50e-6, 4.0, 0.5)


def every(blocks, depths, max_sectors_kb=0):
    """Every combination of block sizes, queue depths and both memories."""
    memories = ("malloc", "mmaphuge")
    return pd.DataFrame(
        [(block, depth, memory, max_sectors_kb) for block in blocks for depth in depths for memory in memories],
        columns=list(KEYS),
    )


def data_set(
    seed,
    *,
    cpu=CPU,
    path=PATH,
    device=DEVICE,
    replicates=5,
    noise=0.08,
    ring=256,
    limits=None,
    outliers=0.03,
    growth=0.0,
    keys=None,
):
    """A measured set; ``growth`` makes a machine that the model does not describe: all CPU costs grow by this share
    with each doubling of the queue depth (think of locks, and of caches that more requests in flight fill)."""
    rng = np.random.default_rng(seed)
    limits = limits or QueueLimits(8192, 254, UINT_MAX, nr_requests=256)
    keys = every(BLOCKS, DEPTHS) if keys is None else keys
    holds = Flat() if ring is None else Ring(ring)
    events, load = describe(limits, holds, keys)
    events = with_cold(holds, events, load, CACHE_MIB)
    grown = 1 + growth * np.log2(keys["depth"].to_numpy(float))[:, None]
    submitted, events = on_path(events, load.depth, holds) * grown, events * grown
    rate = closed_loop(device, load._replace(path=submitted @ path))
    rows = []
    for i, key in enumerate(keys.itertuples(index=False)):
        for replicate in range(1, replicates + 1):
            scatter = np.exp(rng.normal(0, noise, 3) + (rng.random(3) < outliers) * 0.7)
            rows.append(
                {
                    **key._asdict(),
                    "replicate": replicate,
                    "cpu_s": events[i] @ cpu * scatter[0],
                    "path_s": submitted[i] @ path * scatter[1],
                    "rounding_s": 0.0,
                    "rate": rate[i] / scatter[2],
                }
            )
    return DataSet(f"synthetic-{seed}", {}, limits, holds, pd.DataFrame(rows))
