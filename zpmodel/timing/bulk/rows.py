"""The pass itself: rows in blocks, the closed loops of a block together."""

import numpy as np

from zpmodel.base.accelerate import borrowing_kernel, kernel
from zpmodel.devices.base import PathCosts
from zpmodel.devices.product_form import LANES, steady_rates
from zpmodel.queue.kernel import PAGE_BYTES
from zpmodel.timing.bulk.calls import finish_call, start_call
from zpmodel.timing.bulk.queues import for_kernel, possible, same_queue
from zpmodel.timing.bulk.records import (
    BLOCK,
    CALL,
    DONE,
    LEFT,
    LOOP,
    MOST_KINDS,
    REAL,
    REALS,
    ROOM,
    WHOLE,
    WHOLES,
)

# mypy: disable-error-code="no-untyped-def"

_LAST_BYTE = (1 << 63) - 1
_WHOLES, _REALS = len(WHOLE), len(REAL)
_COSTS = _REALS - 1
_LARGEST = np.finfo(float).max


@borrowing_kernel
def load(to, fields, columns, first, number, anew):
    """Copy so many rows of inputs, each to ``fields`` numbers in turn; what is the same in all, too, if ``anew``."""
    for c in range(fields):
        at = columns.at[c]
        if at >= 0:
            values = columns.varied[at]
            for k in range(number):
                to[k * fields + c] = values[first + k]
        elif anew:
            for k in range(number):
                to[k * fields + c] = columns.same[c]


@borrowing_kernel
def find_unfit(columns, first, number, unfit):
    """Mark rows of which a cost or factor is not finite or is negative; all inputs but the last, a share, are such."""
    unfit[:number] = False
    for c in range(_COSTS):
        at = columns.at[c]
        if at >= 0:
            values = columns.varied[at]
            for k in range(number):
                value = values[first + k]
                # NaN is neither.
                unfit[k] |= not ((value >= 0.0) & (value <= _LARGEST))
        elif not 0.0 <= columns.same[c] <= _LARGEST:
            unfit[:number] = True


@borrowing_kernel
def range_fits(row):
    """Whether ``check_range`` takes it, and there is such a zero page."""
    if row.zero_bytes == 0 or row.length <= 0 or row.offset < 0:
        return False
    return not (row.length | row.offset) & (row.logical_block_size - 1) and row.offset <= _LAST_BYTE - row.length


@borrowing_kernel
def device_of(cost, home):
    """The device's costs; behind another queue than its own, half of what a segment costs it."""
    return PathCosts(
        cost.device_latency,
        cost.device_stream,
        cost.device_request,
        cost.device_segment if home else cost.device_segment / 2,
        cost.device_mebibyte,
        cost.device_cold,
        cost.device_cache,
        cost.device_rounds,
        cost.device_cold_segment,
        cost.device_overlap,
        0.0,
        0.0,
        0.0,
    )


@borrowing_kernel
def start_row(row, cost, page, other, home, spent, fixed, loops, kinds, scratch, used):
    """Both calls of a row, from PAGE_SIZE and from its zero page; return where their loops end.

    Neither becomes known where the row is left to the oracle.
    """
    if not (possible(row) and range_fits(row)) or cost.fallback_share < 0.0 or cost.fallback_share > 1.0:
        return used
    own = same_queue(row, home)
    device, limits = device_of(cost, own), for_kernel(row)
    start_call(limits, device, fixed, spent, own, row, cost, PAGE_BYTES, page, loops, kinds, scratch, used)
    if row.zero_bytes != PAGE_BYTES:
        start_call(
            limits, device, fixed, spent, own, row, cost, row.zero_bytes, other, loops, kinds, scratch, page.end_loop
        )
        return other.end_loop
    # A call of its own that has no loops of its own.
    start_call(limits, device, fixed, spent, own, row, cost, PAGE_BYTES, other, loops, kinds, scratch, used)
    return page.end_loop


@borrowing_kernel
def finish_row(row, cost, page, other, fixed, loops, times, counts, i):
    """Times of a row whose loops' rates are known, on demand those of the mean call, and PAGE_SIZE beside them."""
    counts[5, i] = LEFT
    if not (page.known and other.known):
        return
    overlap, share = cost.device_overlap, cost.fallback_share
    page_s = finish_call(page, overlap, loops)
    elapsed, cpu = page_s, other.cpu_s
    if other.first_loop != page.first_loop:
        elapsed = finish_call(other, overlap, loops)
    # Of the same vectors are made the same requests; Write Zeroes has none, and nobody asks for a page.
    alike = other.vectors == page.vectors
    if row.on_demand and other.vectors:
        fell, added = share, (1 - share) * fixed.flag
        if np.isnan(share):
            fell = fixed.fell
            added = fixed.get + fixed.get_bio * other.bios + fixed.first * fixed.clear + fell * fixed.fail
        elapsed = fell * page_s + (1 - fell) * elapsed + added
        cpu = fell * page.cpu_s + (1 - fell) * cpu + added
        alike = False
    if not np.isfinite(elapsed):
        return  # nothing costs anything
    times[0, i], times[1, i] = elapsed, cpu
    times[2, i] = 1.0 if alike else page_s / elapsed
    times[3, i] = 0.0 if alike else fixed.saved * (page.cpu_s - cpu)
    counts[0, i], counts[1, i], counts[2, i], counts[3, i] = other.bios, other.vectors, other.requests, other.segments
    counts[4, i], counts[5, i] = other.bound, DONE


@kernel
def answer_rows(wholes, reals, fixed, inverse, times, counts, first, end):
    """Answer the rows from ``first`` up to ``end``.

    :param wholes, reals: :class:`zpmodel.timing.bulk.records.Columns`.
    :param fixed: :class:`zpmodel.timing.bulk.records.Fixed`.
    :param inverse: :data:`zpmodel.devices.product_form.INVERSE`.
    :param times, counts: filled here, in the order of ``TIMES`` and ``COUNTS``, shape (fields, rows).
    """
    flat_rows, flat_costs = np.zeros(BLOCK * _WHOLES, np.int64), np.zeros(BLOCK * _REALS)
    rows, costs, calls = flat_rows.view(WHOLES), flat_costs.view(REALS), np.zeros(2 * BLOCK, CALL)
    loops, kinds, scratch = np.zeros(ROOM, LOOP), np.zeros((MOST_KINDS, 3), np.int64), np.zeros(MOST_KINDS)
    unfit, lanes, home, spent, same = (
        np.zeros(BLOCK, np.bool_),
        np.empty((8, LANES)),
        fixed.home[0],
        fixed.spent,
        fixed.same[0],
    )
    anew = True
    while first < end:
        number = min(BLOCK, end - first)
        load(flat_rows, _WHOLES, wholes, first, number, anew)
        load(flat_costs, _REALS, reals, first, number, anew)
        find_unfit(reals, first, number, unfit)
        used, done = 0, 0
        while done < number and used + 2 * MOST_KINDS <= ROOM:
            page, other = calls[2 * done], calls[2 * done + 1]
            page.known, other.known = 0, 0
            if not unfit[done]:
                used = start_row(rows[done], costs[done], page, other, home, spent, same, loops, kinds, scratch, used)
            done += 1
        steady_rates(loops, used, inverse, lanes)
        for k in range(done):
            page, other = calls[2 * k], calls[2 * k + 1]
            finish_row(rows[k], costs[k], page, other, same, loops, times, counts, first + k)
        first, anew = first + done, False
