"""A calibrated machine whose every cost is written by hand: predictions can be worked out on paper."""

import numpy as np

from zpmodel.devices import Flat
from zpmodel.devices.base import DATA_PATH, PathCosts
from zpmodel.queue.limits import UINT_MAX, QueueLimits
from zpmodel.timing.cpu import Reach
from zpmodel.timing.events import EVENTS
from zpmodel.timing.fitted import FittedCpu
from zpmodel.timing.machine import Device, Driver, Machine

LIMITS = QueueLimits(2048, 256, UINT_MAX, nr_requests=256)
"""Requests of at most 1 MiB."""

PARAMETERS = tuple(parameter.name for parameter in DATA_PATH)
ROWS = 500
_NEXT_TO_NOTHING = 1e-12


def known(*, cpu=None, device=None, in_flight=64, sigma=1e-6, cpu_draws=None, device_draws=None):
    """Costs by name in `cpu` [s] and `device` [s, MiB, 1]; what is not named costs next to nothing.

    Draws do not scatter unless given, points by `sigma` only.
    """
    costs = np.array([(cpu or {}).get(name, _NEXT_TO_NOTHING) for name in EVENTS])
    parameters = np.array(
        [{"cache": 4.0, "rounds": 1.0, **(device or {})}.get(n, _NEXT_TO_NOTHING) for n in PARAMETERS]
    )
    reach = Reach((4096, 1 << 20), 256, in_flight, (1, 16), ("malloc", "mmaphuge"), (4096, 1 << 20))
    drawn = np.tile(parameters, (ROWS, 1)) if device_draws is None else device_draws
    return Machine(
        name="known",
        cpu=FittedCpu(
            source="known",
            total=costs,
            path=costs.copy(),
            total_draws=np.tile(costs, (ROWS, 1)) if cpu_draws is None else cpu_draws,
            path_draws=np.tile(costs, (ROWS, 1)),
            cache_mib=4.0,
            scatter=sigma,
            reach=reach,
        ),
        driver=Driver("known", LIMITS),
        device=Device("known", Flat(PathCosts(*parameters)), Flat(PathCosts(*drawn.T)), sigma, reach),
        ratio_scatter=sigma,
    )
