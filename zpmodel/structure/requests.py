"""From a bio of any vectors to requests: split it, then merge the parts into the newest request of the plug."""

from zpmodel.base.accelerate import borrowing_kernel
from zpmodel.base.units import SECTOR
from zpmodel.structure.plug import Part, add_last, add_split_off
from zpmodel.structure.splits import IMPOSSIBLE, split_mixed

# mypy: disable-error-code="no-untyped-def"


@borrowing_kernel
def submit_bio(limits, vectors, sector, state, requests):
    """Submit one bio of data starting at ``sector``: split it to the limits, make or grow requests.

    :param vectors: :class:`zpmodel.structure.splits.Mixed`.
    :param state: record of :data:`zpmodel.structure.records.STATE`, which is changed and added to.
    :param requests: log of requests, which is added to.
    :return: IMPOSSIBLE where the kernel fails the write, else 0.
    """
    first = 0
    done = 0
    while first < len(vectors.length):
        size, segments, split = split_mixed(limits, vectors, first, done, sector, state)
        if split == IMPOSSIBLE:
            return IMPOSSIBLE
        start_offset, start_address = vectors.offset[first] + done, vectors.address[first] + done
        start_bytes = min(size, vectors.length[first] - done)
        before, left = first, size
        end_offset, last_address, end_address = start_offset, start_address, start_address
        while left > 0:
            step = min(left, vectors.length[first] - done)
            end_offset = vectors.offset[first] + done + step
            last_address = vectors.address[first] + done
            end_address = last_address + step
            left -= step
            done += step
            if done == vectors.length[first]:
                first += 1
                done = 0
        if split:
            state.advanced += first - before
            add_split_off(limits, state, requests, size, segments, start_offset, 1)
        else:
            touched = first - before + (done > 0)
            part = Part(
                size,
                segments,
                sector,
                start_address,
                start_offset,
                start_bytes,
                end_offset,
                last_address,
                end_address,
                touched,
            )
            add_last(limits, state, requests, part)
        sector += size // SECTOR
    return 0
