"""Print a boot's jobs: every configuration so many times, each round in an order of its own: ``native_jobs.py ROUNDS``.

One a line: round, max_sectors_kb, order of the zero folio, bytes. Four folios x three request sizes x four lengths.
"""

import itertools
import random
import sys

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
CONFIGURATIONS = list(itertools.product((128, 512, 1280), (0, 4, 7, 9), (MIB, 64 * MIB, GIB, 4 * GIB)))

for number in range(1, int(sys.argv[1]) + 1):
    for kib, order, length in random.sample(CONFIGURATIONS, len(CONFIGURATIONS)):
        print(number, kib, order, length)
