"""A sweep's pass as one would write it with NumPy first: an array operation a step, all scenarios in each.

For ranges of whole bios on a queue without chunks whose vectors are one segment each, whose bios are too large to be
merged, and of more requests than are kept in flight: there all kinds of requests add up, and only one closed loop
counts. What it answers is the same (``benchmarks/run.py`` looks).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from zpmodel.base.units import MIB
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.study.scenario import Scenario

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def elapsed(base: Scenario, zero_page: str, max_sectors: Ints, bandwidth: Floats, vector: Floats) -> Floats:
    """How long each scenario takes from a zero page [s], on another queue than the machine's own.

    :param max_sectors: of the queue [sector]. :param bandwidth: of the device [B/s]. :param vector: factors on the
        CPU's vector cost [1]; all of shape (scenarios,).
    """
    zero_bytes, length = ZeroPage.named(zero_page).size_bytes, base.length
    requests, segments = counts(base, zero_bytes, max_sectors)
    bios, size, touched = length // (256 * zero_bytes), length / MIB, min(zero_bytes, length) / MIB
    cpu: Any = base.machine.cpu
    device = base.machine.device.best.path()
    operation, wait, a_vector, a_request, _, a_mebibyte, a_cold, _ = cpu.path
    cold = length / zero_bytes * max(0.0, 1.0 - cpu.cache_mib / touched)
    submit = (requests + 0.1 * (bios - 1)) * a_request + length / zero_bytes * a_vector * vector
    submit = submit + size * a_mebibyte + cold * a_cold
    far = max(0.0, 1.0 - device.cache / touched)
    a_segment = device.segment / 2 + far * device.cold_segment
    link = requests * device.request + segments * a_segment + size * (MIB / bandwidth + max(0.5, far) * device.cold)
    latency = requests * device.latency + size * device.stream
    reach = base.machine.device.reach
    depth = int(min(base.machine.limits.nr_requests, reach.in_flight if reach else np.inf))
    rate = rates(submit, link, latency, depth, device.rounds)
    serial = submit + link + latency / depth
    return np.asarray(operation + wait + device.overlap / rate + (1.0 - device.overlap) * serial)


def counts(base: Scenario, zero_bytes: int, max_sectors: Ints) -> tuple[Ints, Ints]:
    """Requests and their segments, each of shape (scenarios,)."""
    limits = base.machine.limits
    block, bio = limits.physical_block_size // 512, 256 * zero_bytes
    size = np.minimum(max_sectors // block * block * 512, limits.max_segments * zero_bytes)
    splits = (bio - 1) // size
    crossing = splits - splits // (zero_bytes // np.gcd(zero_bytes, size))
    bios = base.length // bio
    return bios * (splits + 1), bios * (256 + crossing)


def rates(cpu: Floats, link: Floats, latency: Floats, depth: int, rounds: float) -> Floats:
    """Operations per second of closed loops [1/s], times in [s]: mean value analysis, a step an array operation."""
    at_cpu, at_link, rate = np.zeros_like(cpu), np.zeros_like(cpu), np.zeros_like(cpu)
    for n in range(1, depth + 1):
        in_cpu, in_link = cpu * (1.0 + at_cpu), link * (1.0 + at_link)
        rate = n / (in_cpu + in_link + latency)
        at_cpu, at_link = rate * in_cpu, rate * in_link
    together = depth / (latency + cpu + link + (depth - 1) * np.maximum(cpu, link))
    return np.asarray(rate ** (1.0 - rounds) * together**rounds)
