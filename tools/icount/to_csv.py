"""Turn the guest's output into a table: ``python to_csv.py KERNEL RUNS < output > table.csv``."""

import csv
import sys

COLUMNS = (
    "kernel zero_page_bytes max_sectors max_sectors_kb max_segments max_segment_size virt_boundary_mask "
    "logical_block_size nomerges scheduler offset_bytes length_bytes instructions spread runs"
)

kernel, runs = sys.argv[1:]
table = csv.writer(sys.stdout, lineterminator="\n")
table.writerow(COLUMNS.split())
seen = set()
for line in sys.stdin:
    if not line.startswith("RESULT "):
        continue
    kib, _, _, _, nomerges, scheduler, order, offset, length, *limits, count, spread = line.split()[1:]
    sectors = int(2 * float(kib))
    row = [4096 << int(order), sectors, sectors // 2, *limits, 512, nomerges, scheduler, offset, length]
    # Two jobs may come to the same limits; the first one stands.
    if str(row) not in seen:
        seen.add(str(row))
        table.writerow([kernel, *row, count, spread, runs])
