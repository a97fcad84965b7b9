"""Print the guest's job list: queue limits x zero folios x ranges, one combination a line (fields: see init.c)."""

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
PAGE, PMD = 0, 9  # orders of the zero folio
DEFAULT, UNLIMITED = (0, 0, 0), (0, 0, 1)  # max_segments, max_segment_size, virt_boundary: 64 KiB or no limit


def job(kib: float, limits: tuple[int, int, int], order: int, length: int, offset: int = 0, **queue: str) -> None:
    """Print one line."""
    print(kib, *limits, queue.get("nomerges", "0"), queue.get("scheduler", "none"), order, offset, length)


# The same design as zeroout-instructions.csv.
for kib in (128, 512):
    for order in (PAGE, PMD):
        for length in (128 * KIB, MIB, 8 * MIB, 64 * MIB, 256 * MIB, GIB):
            job(kib, UNLIMITED, order, length)

# Request sizes x folio sizes x segment sizes and counts.
for limits in (UNLIMITED, (0, 64 * KIB, 0), (0, 4 * KIB, 0), (32, 0, 1), (256, 64 * KIB, 0), (1024, 0, 1)):
    for kib in (4, 8, 16, 32, 64, 96, 127.5, 128, 192, 256, 512, 1024, 1280, 2048, 4096, 8192):
        for order in (PAGE, 1, 4, 6, 7, 8, PMD):
            if limits == UNLIMITED:
                job(kib, limits, order, MIB)
            job(kib, limits, order, 64 * MIB)

# Merging off, a scheduler, unaligned ranges, small ranges.
for kib in (64, 127.5, 128, 512, 4096):
    for order in (PAGE, 4, PMD):
        job(kib, UNLIMITED, order, 64 * MIB, nomerges="2")
        job(kib, UNLIMITED, order, 64 * MIB, scheduler="mq-deadline")
        job(kib, UNLIMITED, order, 64 * MIB + 512, offset=135 * 512)
        job(kib, UNLIMITED, order, MIB - 1024, offset=512)
        for length in (512, 4 * KIB, 16 * KIB, 64 * KIB):
            job(kib, UNLIMITED, order, length)
