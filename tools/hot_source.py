"""Does it matter to a software device whether the data that it copies come from one hot page?

Run as root: hot_source.py FOLDER. Threads write 2 MiB blocks with O_DIRECT to a file of 1 GiB in FOLDER, all from the
same 2 MiB huge page (as from a static zero page) or each from pages of its own (as from fio's buffers). Interleaved
in random order, seven times; prints medians [GiB/s] and all runs. Needs 16 free huge pages.
"""

import mmap
import os
import random
import statistics
import sys
import tempfile
import threading
import time

MAP_HUGETLB = 0x40000
BLOCK, FILE = 2 << 20, 1 << 30
SECONDS, REPEATS, SOURCES = 0.5, 7, 16


def write_for_a_while(fd, sources, start, end, done, number):
    stop = time.perf_counter() + SECONDS
    offset, turn = start, 0
    while time.perf_counter() < stop:
        os.pwrite(fd, sources[turn % len(sources)], offset)
        done[number] += BLOCK
        offset, turn = offset + BLOCK, turn + 1
        if offset + BLOCK > end:
            offset = start


def rate(fd, pages, threads, same):
    done, share = [0] * threads, FILE // threads
    started = time.perf_counter()
    workers = []
    for number in range(threads):
        mine = pages[:1] if same else [pages[2 * number % SOURCES], pages[(2 * number + 1) % SOURCES]]
        arguments = (fd, mine, number * share, (number + 1) * share, done, number)
        workers.append(threading.Thread(target=write_for_a_while, args=arguments))
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(done) / (time.perf_counter() - started) / (1 << 30)


def main():
    memory = mmap.mmap(-1, SOURCES * BLOCK, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_HUGETLB)
    memory.write(bytes(SOURCES * BLOCK))
    view = memoryview(memory)
    pages = [view[i * BLOCK : (i + 1) * BLOCK] for i in range(SOURCES)]
    cases = [(threads, same) for threads in (1, 2, 8) for same in (True, False)]
    found = {case: [] for case in cases}
    with tempfile.NamedTemporaryFile(dir=sys.argv[1]) as file:
        fd = os.open(file.name, os.O_RDWR | os.O_DIRECT)
        for offset in range(0, FILE, BLOCK):
            os.pwrite(fd, pages[0], offset)
        os.fsync(fd)
        for _ in range(REPEATS):
            for case in random.sample(cases, len(cases)):
                found[case].append(rate(fd, pages, *case))
        os.close(fd)
    for (threads, same), rates in found.items():
        name = "the same page" if same else "own pages"
        runs = ", ".join(f"{value:.1f}" for value in sorted(rates))
        print(f"{threads} in flight, {name}: {statistics.median(rates):.2f} GiB/s ({runs})")


if __name__ == "__main__":
    main()
