"""What one call makes and costs, up to the closed loops whose rates are found for a whole block."""

import numpy as np

from zpmodel.base.accelerate import borrowing_kernel, kernel
from zpmodel.base.units import MIB
from zpmodel.devices.closed_loop import latency_of, link_time
from zpmodel.queue.kernel import PAGE_BYTES
from zpmodel.structure.alike import Alike, count_alike
from zpmodel.structure.records import REACH, Log, new_states
from zpmodel.structure.zeroout import STATES, zero_out
from zpmodel.timing.bulk.records import MOST_KINDS

# mypy: disable-error-code="no-untyped-def"

_STILL_COLD = 0.5  # as in zpmodel.timing.predict
_BIO_SHARE = 0.1  # as in zpmodel.timing.fitted


@borrowing_kernel
def count_any(limits, zero_bytes, offset, length, kinds):
    """Count a range by arithmetic, or else by looking for what repeats; not known where it has too many kinds."""
    found = count_alike(limits, zero_bytes, offset, length, kinds)
    return found if found.known else count_repeats(limits, zero_bytes, offset, length, kinds)


@kernel
def count_repeats(limits, zero_bytes, offset, length, kinds):
    """As :func:`zpmodel.structure.alike.count_alike`, by looking for what repeats."""
    log = Log(np.empty((MOST_KINDS, 4), np.int64), np.zeros(1, REACH))
    bios = Log(np.empty((0, 4), np.int64), np.zeros(1, REACH))
    states = new_states(STATES)
    status = zero_out(limits, zero_bytes, PAGE_BYTES, offset, length, states, bios, log)
    reach, counted = log.reach[0], states.records[0]
    if status or reach.full:
        return Alike(0, 0, 0, 0, 0, 0)
    for k in range(reach.used):
        kinds[k, 0], kinds[k, 1], kinds[k, 2] = log.rows[k, 0], log.rows[k, 1], log.rows[k, 3]
    return Alike(1, counted.bios, counted.vectors, counted.requests, counted.segments, reach.used)


@borrowing_kernel
def time_alone(device, size, segments, moves):
    """Time that one request takes the device [s]."""
    moved = size / MIB if moves else 0.0
    return link_time(device, 1.0, float(segments), moved, 0.0, 0.0) + latency_of(device, moved)


@borrowing_kernel
def is_one_loop(device, kinds, used, moves, in_flight):
    """Whether of the slowest kind of requests there are as many as may be in flight: then all share one closed loop."""
    if used == 1:
        return kinds[0, 2] >= in_flight
    enough, fewer = -1.0, -1.0
    for k in range(used):
        time = time_alone(device, kinds[k, 0], kinds[k, 1], moves)
        is_enough = kinds[k, 2] >= in_flight
        enough = max(enough, time if is_enough else -1.0)
        fewer = max(fewer, -1.0 if is_enough else time)
    return enough > fewer


@borrowing_kernel
def slowest_first(device, kinds, used, moves, times):
    """Sort kinds by the time that a request of them takes the device, the longest first; ``times`` is scratch."""
    for k in range(used):
        size, segments, number = kinds[k, 0], kinds[k, 1], kinds[k, 2]
        time = time_alone(device, size, segments, moves)
        at = k
        while at > 0 and times[at - 1] < time:
            times[at] = times[at - 1]
            kinds[at, 0], kinds[at, 1], kinds[at, 2] = kinds[at - 1, 0], kinds[at - 1, 1], kinds[at - 1, 2]
            at -= 1
        times[at] = time
        kinds[at, 0], kinds[at, 1], kinds[at, 2] = size, segments, number


@borrowing_kernel
def room_of(descriptors, tags, requests, segments):
    """Requests that the queue holds: its tags, and a ring's room for the mean request (``Ring.room``)."""
    if descriptors == 0.0:
        return float(tags)
    return min(float(tags), max(1.0, descriptors // (segments / requests + 2)))


@borrowing_kernel
def stalls_of(descriptors, room, requests):
    """Runs of the kernel thread that issues what found the ring full, for one call (``Ring.stalls``)."""
    if descriptors == 0.0 or requests <= room:
        return 0.0
    return (requests - min(room, requests)) / room


@borrowing_kernel
def cold_part(touched, cache):
    """Share of data that no cache held [1], both in [MiB]; nothing where all is held."""
    return max(0.0, 1.0 - cache / touched)


@borrowing_kernel
def add_loops(device, kinds, used_kinds, moves, far, each, in_flight, loops, used):
    """Append the closed loops of a call; return where they end.

    :param each: the submitting thread's time of a request, a segment and a MiB [s].

    :func:`zpmodel.timing.pipeline.call_seconds` has one of the slowest kind of requests, and one more for each further
    kind, and the longest counts. Of those with as many in flight that is the last: its submission, data path and
    latency take longer in all, and no rate of a closed network rises with a demand. Others need not be looked at where
    their longest time is below the last one's shortest.
    """
    count, submit, link, latency, at = 0.0, 0.0, 0.0, 0.0, used - 1
    for k in range(used_kinds):
        mib = kinds[k, 0] / MIB if moves else 0.0
        number = float(kinds[k, 2])
        count += number
        submit += number * (each[0] + float(kinds[k, 1]) * each[1] + mib * each[2])
        link += number * link_time(device, 1.0, float(kinds[k, 1]), mib, max(_STILL_COLD, far), far)
        latency += number * latency_of(device, mib)
        depth = max(1.0, np.floor(min(in_flight, count)))
        if at < used or loops[at].depth != depth:
            at += 1
        loop = loops[at]
        # Of all requests together, so that the rate is of all of them too.
        loop.cpu, loop.link, loop.latency = submit, link, latency
        loop.depth, loop.rounds = depth, device.rounds
    last = at
    if last == used:
        return used + 1
    deep, overlap = loops[last].depth, device.overlap
    shortest = max(submit, link, (submit + link + latency) / deep)
    least = overlap * shortest + (1.0 - overlap) * (submit + link + latency / deep)
    kept = used
    for at in range(used, last):
        loop = loops[at]
        submit, link, latency = loop.cpu, loop.link, loop.latency
        longest = (latency + submit + link + (loop.depth - 1.0) * max(submit, link)) / loop.depth
        most = overlap * longest + (1.0 - overlap) * (submit + link + latency / loop.depth)
        if most * (1.0 + 1e-9) > least:
            loops[kept] = loops[at]
            kept += 1
    loops[kept] = loops[last]
    return kept + 1


@borrowing_kernel
def path_of(path, cpu, found, stalls, moved, cold, moves):
    """The submitting thread's time [s]: once a call, for requests, for segments and for data."""
    request = path.request * cpu.cpu_request
    further = _BIO_SHARE * (found.bios - 1)
    return (
        path.operation * cpu.cpu_operation + path.wait * cpu.cpu_wait,
        (found.requests + further) * request
        + found.requests * (path.table * cpu.cpu_table * moves)
        + stalls * (path.stall * cpu.cpu_stall),
        found.vectors * (path.vector * cpu.cpu_vector + cold * (path.cold_vector * cpu.cpu_cold_vector)),
        moved * (path.mebibyte * cpu.cpu_mebibyte),
    )


@borrowing_kernel
def start_call(limits, device, fixed, spent, home, row, cpu, zero_bytes, call, loops, kinds, scratch, used):
    """Count a call, price it, and append its closed loops.

    :param device: PathCosts of this row. :param fixed: record of ``FIXED``. :param spent: CPU time on the submitting
        thread, and on all. :param home: whether the queue is the machine's own. :param row, cpu: the
        row's records. :param call: filled here. :param loops: of the block, ``used`` of them already. :param kinds,
        scratch: room for one call.
    """
    length = row.length
    found = count_any(limits, zero_bytes, row.offset, length, kinds)
    call.known, call.first_loop, call.end_loop = found.known, used, used
    if not found.known:
        return
    moves = limits.write_zeroes_sectors == 0
    requests, segments, size = float(found.requests), float(found.segments), length / MIB
    touched, moved = min(zero_bytes, length) / MIB, size if moves else 0.0
    descriptors = fixed.descriptors if home else 0.0
    room = room_of(descriptors, row.nr_requests, requests, segments)
    in_flight = max(1.0, min(np.floor(min(room, requests)), fixed.most))
    stalls, cold = stalls_of(descriptors, room, requests), cold_part(touched, fixed.cache_mib)
    start, a_request, a_segment, a_mebibyte = path_of(spent[0], cpu, found, stalls, moved, cold, moves)
    all_of_it = path_of(spent[1], cpu, found, stalls, moved, cold, moves)
    far = cold_part(touched, device.cache)
    call.bios, call.vectors = found.bios, found.vectors
    call.requests, call.segments = found.requests, found.segments
    call.start_s = start
    call.cpu_s = fixed.known * (all_of_it[0] + all_of_it[1] + all_of_it[2] + all_of_it[3])
    if is_one_loop(device, kinds, found.kinds, moves, in_flight):
        loop = loops[used]
        loop.cpu, loop.depth, loop.rounds = a_request + a_segment + a_mebibyte, in_flight, device.rounds
        loop.link = link_time(device, requests, segments, moved, max(_STILL_COLD, far), far)
        loop.latency = requests * device.latency + device.stream * moved
        call.end_loop = used + 1
    else:
        slowest_first(device, kinds, found.kinds, moves, scratch)
        each = (a_request / requests, a_segment / max(1.0, segments), a_mebibyte / size)
        call.end_loop = add_loops(device, kinds, found.kinds, moves, far, each, in_flight, loops, used)
    # The last loop has all requests.
    whole = loops[call.end_loop - 1]
    call.bound = bound_index(start + whole.cpu, whole.link, whole.latency, in_flight)


@borrowing_kernel
def bound_index(cpu, link, latency, depth):
    """As :func:`zpmodel.devices.overlap.bound_by`, an index of ``BOUNDS``; of all requests together as of one."""
    if depth * max(cpu, link) < cpu + link + latency:
        return 2
    return 0 if cpu >= link else 1


@borrowing_kernel
def finish_call(call, overlap, loops):
    """How long a call takes whose loops' rates are known [s]."""
    longest = 0.0
    for at in range(call.first_loop, call.end_loop):
        loop = loops[at]
        serial = loop.cpu + loop.link + loop.latency / loop.depth
        longest = max(longest, overlap / loop.rate + (1.0 - overlap) * serial)
    return call.start_s + longest
