"""A sweep's pass over scenarios of all sorts as one would write it with NumPy: masks, and a step an array operation.

It answers what the pass answers by arithmetic: any page, length, queue depth, costs and limits on a queue without
chunks, with requests that are merged, of several kinds, and fewer than may be in flight. The one for a single sort,
which has less to do: :mod:`numpy_pass`.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy_pass import Floats, Ints

from zpmodel.base.units import MIB
from zpmodel.queue.kernel import BIO_MAX_VECS, UINT_MAX
from zpmodel.study.scenario import Scenario

Mask = npt.NDArray[np.bool_]


class Rows(NamedTuple):
    """Inputs of a row, arrays of shape (scenarios,): bytes, limits, B/s, s, and a factor on the CPU's vector cost."""

    zero_bytes: Ints
    length: Ints
    max_sectors: Ints
    max_segments: Ints
    nr_requests: Ints
    bandwidth: Floats
    latency: Floats
    vector: Floats


class Counted(NamedTuple):
    """What rows make; ``sizes`` [byte], ``segments`` and ``numbers`` of requests of each kind, (kinds, scenarios)."""

    known: Mask
    bios: Ints
    vectors: Ints
    sizes: Ints
    segments: Ints
    numbers: Ints


def cut(total: Ints, size: Ints, piece: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """Parts that are split off a bio, pieces that those touch, bytes that are left, pieces of those."""
    splits: Ints = np.where(total > size, (total - 1) // size, 0)
    at = splits * size
    touched: Ints = at // piece - splits // (piece // np.gcd(size, piece)) + splits
    return splits, touched, total - at, -(-total // piece) - at // piece


def counts(base: Scenario, rows: Rows) -> Counted:
    """Bios and requests of each row; not known where some parts end by their size and others by their segments."""
    limits, zero = base.machine.limits, rows.zero_bytes
    block = limits.physical_block_size // 512
    most, merges = rows.max_sectors // block * block * 512, limits.nomerges != 2
    piece = np.where((limits.max_segment_size < zero) & (most > limits.max_segment_size), limits.max_segment_size, zero)
    by_pieces = rows.max_segments * piece <= most
    size = np.where(by_pieces, rows.max_segments * piece, most)
    uneven = (size % piece != 0) & ((piece & (size - 1) != 0) | (size & (size - 1) != 0))
    known = by_pieces | ((size - 1) // piece + 1 + uneven <= rows.max_segments)
    known &= (piece == zero) | by_pieces | (size % piece == 0)
    each = np.minimum(BIO_MAX_VECS, UINT_MAX // zero)
    full, few = each * zero, -(-(rows.length - UINT_MAX) // (each * zero))
    number = np.where(each == BIO_MAX_VECS, rows.length // full, np.maximum(0, few))
    rest = rows.length - number * full
    splits, touched, left, left_segments = cut(rest, size, piece)
    full_splits, crossed, last, last_segments = cut(full, size, piece)
    parts, touched = splits + number * full_splits, touched + number * crossed
    longer = touched - parts * ((size - 1) // piece + 1)
    # Bios that are not split join each other, and the rest joins the newest of them.
    joinable, whole = (full_splits == 0) & merges, number > 0
    held = np.where(
        joinable, np.maximum(1, np.minimum(rows.max_sectors * 512 // full, rows.max_segments // last_segments)), 1
    )
    made = -(-number // held)
    in_newest = number - (made - 1) * held
    newest, newest_segments = last * in_newest, last_segments * in_newest
    joins = (rest > 0) & whole & (splits == 0) & merges & ((full_splits * size) & limits.virt_boundary_mask == 0)
    joins &= (newest + left <= rows.max_sectors * 512) & (newest_segments + left_segments <= rows.max_segments)
    newest, newest_segments = newest + left * joins, newest_segments + left_segments * joins
    fewest = (size - 1) // piece + 1
    kinds = [
        (size, fewest, parts - longer),
        (size, fewest + 1, longer),
        (last * held, last_segments * held, np.where(whole, made - 1, 0)),
        (newest, newest_segments, whole.astype(np.int64)),
        (left, left_segments, ((rest > 0) & ~joins).astype(np.int64)),
    ]
    vectors = number * each + -(-rest // zero)
    return Counted(known, number + (rest > 0), vectors, *(np.array(column) for column in zip(*kinds, strict=True)))


def elapsed(base: Scenario, rows: Rows) -> Floats:
    """How long each row takes [s] on another queue than the machine's own, NaN where it is not known."""
    found = counts(base, rows)
    cpu: Any = base.machine.cpu
    device, reach = base.machine.device.best.path(), base.machine.device.reach
    operation, wait, a_vector, a_request, _, a_mebibyte, a_cold, _ = cpu.path
    requests, size = found.numbers.sum(0), rows.length / MIB
    touched = np.minimum(rows.zero_bytes, rows.length) / MIB
    cold, far = np.maximum(0.0, 1.0 - cpu.cache_mib / touched), np.maximum(0.0, 1.0 - device.cache / touched)
    a_request = a_request * (1 + 0.1 * (found.bios - 1) / requests)
    a_vector = found.vectors * (a_vector * rows.vector + cold * a_cold) / (found.segments * found.numbers).sum(0)
    # Of each kind, the slowest first.
    mebibytes, a_segment, a_mib = found.sizes / MIB, device.segment / 2, MIB / rows.bandwidth
    alone = found.segments * a_segment + mebibytes * (a_mib + device.stream)
    order = np.argsort(-alone, axis=0, kind="stable")
    mebibytes, segments, numbers = (
        np.take_along_axis(column, order, 0) for column in (mebibytes, found.segments, found.numbers)
    )
    submit = np.cumsum(numbers * (a_request + segments * a_vector + mebibytes * a_mebibyte), axis=0)
    link = device.request + segments * (a_segment + far * device.cold_segment)
    link = np.cumsum(numbers * (link + mebibytes * (a_mib + np.maximum(0.5, far) * device.cold)), axis=0)
    latency = np.cumsum(numbers * (rows.latency + device.stream * mebibytes), axis=0)
    in_flight = np.minimum(np.minimum(rows.nr_requests, requests), reach.in_flight if reach else np.inf)
    depth = np.maximum(1, np.minimum(in_flight, np.cumsum(numbers, axis=0))).astype(np.int64)
    longest = np.zeros(len(size))
    for k in range(len(numbers)):
        here = (numbers[k] > 0) & found.known
        at_once = depth[k][here]
        rate = rates(submit[k][here], link[k][here], latency[k][here], at_once, device.rounds)
        serial = submit[k][here] + link[k][here] + latency[k][here] / at_once
        longest[here] = np.maximum(longest[here], device.overlap / rate + (1.0 - device.overlap) * serial)
    return np.where(found.known, operation + wait + longest, np.nan)


def rates(cpu: Floats, link: Floats, latency: Floats, depth: Ints, rounds: float) -> Floats:
    """Operations per second of closed loops [1/s], times in [s]: mean value analysis, those that go on at each step."""
    rate, order = np.zeros_like(cpu), np.argsort(depth)
    cpu, link, latency, depth = cpu[order], link[order], latency[order], depth[order]
    at_cpu, at_link, first = np.zeros_like(cpu), np.zeros_like(cpu), 0
    for n in range(1, int(depth.max(initial=0)) + 1):
        first = int(np.searchsorted(depth, n))
        in_cpu, in_link = cpu[first:] * (1.0 + at_cpu[first:]), link[first:] * (1.0 + at_link[first:])
        rate[first:] = n / (in_cpu + in_link + latency[first:])
        at_cpu[first:], at_link[first:] = rate[first:] * in_cpu, rate[first:] * in_link
    together = depth / (latency + cpu + link + (depth - 1) * np.maximum(cpu, link))
    found = np.empty_like(rate)
    found[order] = rate ** (1.0 - rounds) * together**rounds
    return found
