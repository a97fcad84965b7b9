"""Finding what repeats: Brent's search for a period among states of the block layer.

What the block layer makes of equal bios, or of equal vectors, depends only on where they start within a chunk and a
physical block, and on the newest request of the plug. When that state is seen a second time, everything since has been
one period of a cycle, and whole periods are counted by multiplying. Brent's method keeps one earlier state.

Far enough from the end of a chunk its phase does not matter: there searches that do not look at it find what repeats
until the end comes near.
"""

from zpmodel.base.accelerate import borrowing_kernel
from zpmodel.queue.kernel import PLUG_REQUESTS
from zpmodel.structure.records import COUNTED, FIELDS, REMEMBERED, keep_apart, repeat_since
from zpmodel.structure.splits import chunk_left

# mypy: disable-error-code="no-untyped-def"

NOW, VECTORS, ANYWHERE, INSIDE, VECTORS_INSIDE = 0, 1, 2, 3, 4
"""Which of :class:`zpmodel.structure.records.States`: the present; and the earlier ones of four searches, from vector
to vector of a bio and from bio to bio at the same place within a chunk, from bio to bio far from its end, and from
vector to vector far from it."""


@borrowing_kernel
def remember(states, which, sector, bios, requests):
    """Make the present state the earlier one of a search."""
    earlier = states.records[which]
    earlier.sector = sector
    earlier.steps = 0
    earlier.bio_rows = keep_apart(bios)
    earlier.request_rows = keep_apart(requests)
    for i in range(REMEMBERED):
        states.flat[which * FIELDS + i] = states.flat[i]


@borrowing_kernel
def same_plug(states, which, sector):
    """Whether the newest request is as it was, relative to where the next bio starts.

    How many requests the plug holds matters only where some flush was not for their number: see :func:`skip`.
    """
    now, before = states.records[0], states.records[which]
    if now.open and now.start - sector != before.start - before.sector:
        return False
    for i in range(COUNTED + 1, REMEMBERED - 1):
        if states.flat[i] != states.flat[which * FIELDS + i]:
            return False
    by_number = now.flushed_by_bytes == before.flushed_by_bytes and before.plugged > 0
    return by_number or now.plugged == before.plugged


@borrowing_kernel
def periods_ahead(limits, states, which, sector, sectors_left):
    """How many whole periods lie ahead, the time from the earlier state to now having been one; 0: it was none.

    :param sectors_left: how far periods may reach [sector].
    """
    before = states.records[which].sector
    far = sector - before
    if before < 0 or far > sectors_left or far & (limits.physical_block_sectors - 1):
        return 0
    chunk = limits.chunk_sectors
    if which >= INSIDE:
        largest = limits.write_zeroes_sectors if limits.write_zeroes_sectors else limits.max_sectors
        sectors_left = min(sectors_left, chunk_left(sector, chunk) - largest)
        if sectors_left < far or sector // chunk != before // chunk:
            return 0
    elif chunk and far % chunk:
        return 0
    return sectors_left // far if same_plug(states, which, sector) else 0


@borrowing_kernel
def skip(states, which, sector, periods, bios, requests):
    """Count so many periods more; return how far that leads [sector]."""
    now, earlier = states.records[0], states.records[which]
    by_number = now.flushed_by_bytes == earlier.flushed_by_bytes and now.plugged > 0
    flushes, made = now.flushes, periods * (now.requests - earlier.requests)
    for i in range(COUNTED):
        states.flat[i] += periods * (states.flat[i] - states.flat[which * FIELDS + i])
    if by_number:
        # Flushed before every 33rd request, wherever in a period that is.
        held = now.plugged + made - 1
        now.flushes = flushes + held // PLUG_REQUESTS
        now.plugged = held % PLUG_REQUESTS + 1
    repeat_since(bios, earlier.bio_rows, periods)
    repeat_since(requests, earlier.request_rows, periods)
    far = periods * (sector - earlier.sector)
    now.start += far
    return far


@borrowing_kernel
def look_back(limits, states, which, sector, bios, requests, sectors_left):
    """Compare with the earlier state, skip what is seen to repeat, and keep up the search; return sectors skipped."""
    periods = periods_ahead(limits, states, which, sector, sectors_left)
    if periods > 0:
        return skip(states, which, sector, periods, bios, requests)
    earlier = states.records[which]
    earlier.steps += 1
    anew = earlier.sector < 0
    if which >= INSIDE:
        anew = anew or sector // limits.chunk_sectors != earlier.sector // limits.chunk_sectors
    if anew or earlier.steps == earlier.power:
        earlier.power = 1 if anew else 2 * earlier.power
        remember(states, which, sector, bios, requests)
    return 0
