"""What a larger zero page gains, timed without the patch: the requests that a zero-out makes, from one shared page.

one_page.py FOLDER OUT.csv [REPEATS], with one huge page at hand (vm.nr_hugepages). A range of a file in FOLDER is
overwritten with O_DIRECT as `blkdev_issue_zeroout` would: one thread submits everything, then waits once. All vectors
point to the same 4 KiB page (as from ZERO_PAGE) or to the same 2 MiB huge page (as from a static PMD zero page). Linux
makes bios of 256 vectors of one and requests of the queue's full size of both; no two vectors of the same page merge.
What differs from a zero-out: pages are pinned for each vector, and bios are one AIO of 4 MiB each, not one chain.

Each length is timed from both pages, one right after the other in random order, lengths in random order; a row a run:
length [byte], page [byte], repeat, elapsed [ns], CPU time of the thread [ns].
"""

import csv
import ctypes
import mmap
import os
import random
import sys
import tempfile
import time
from pathlib import Path

KIB, MIB = 1 << 10, 1 << 20
LENGTHS = [MIB << power for power in (0, 2, 4, 6, 8, 10)]
PAGES = (4 * KIB, 2 * MIB)
PIECE = 4 * MIB  # 1024 vectors of 4 KiB: IOV_MAX
MAP_HUGETLB = 0x40000
IO_SETUP, IO_GETEVENTS, IO_SUBMIT, PWRITEV = 206, 208, 209, 8  # x86-64; IOCB_CMD_PWRITEV


class Vector(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class Request(ctypes.Structure):
    """struct iocb."""

    _fields_ = (
        ("data", ctypes.c_uint64),
        ("key", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("opcode", ctypes.c_uint16),
        ("priority", ctypes.c_int16),
        ("fd", ctypes.c_uint32),
        ("vectors", ctypes.c_uint64),
        ("number", ctypes.c_uint64),
        ("offset", ctypes.c_int64),
        ("reserved", ctypes.c_uint64),
        ("event_flags", ctypes.c_uint32),
        ("event_fd", ctypes.c_uint32),
    )


class Event(ctypes.Structure):
    """struct io_event."""

    _fields_ = (
        ("data", ctypes.c_uint64),
        ("request", ctypes.c_uint64),
        ("got", ctypes.c_int64),
        ("more", ctypes.c_int64),
    )


libc = ctypes.CDLL(None, use_errno=True)


def call(number, *arguments):
    found = libc.syscall(number, *arguments)
    if found < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return found


class Writer:
    """Writes ranges of a file from one page, again and again."""

    def __init__(self, fd, page, address):
        count = LENGTHS[-1] // PIECE
        self.piece = (Vector * (PIECE // page))(*[(address, page)] * (PIECE // page))
        self.requests = (Request * count)()
        self.pointers = (ctypes.POINTER(Request) * count)()
        for i in range(count):
            where = ctypes.addressof(self.piece)
            self.requests[i] = Request(opcode=PWRITEV, fd=fd, vectors=where, number=len(self.piece), offset=i * PIECE)
            self.pointers[i] = ctypes.pointer(self.requests[i])
        self.page, self.events = page, (Event * count)()

    def write(self, context, length):
        """Elapsed and thread CPU time of one range [ns]."""
        count = max(1, length // PIECE)
        self.requests[0].number = max(1, min(length, PIECE) // self.page)
        short = length < self.page  # a part of the page
        self.piece[0].length = length if short else self.page
        started, cpu = time.perf_counter_ns(), time.thread_time_ns()
        submitted = 0
        while submitted < count:
            at = ctypes.byref(self.pointers, submitted * ctypes.sizeof(ctypes.c_void_p))
            submitted += call(IO_SUBMIT, context, ctypes.c_long(count - submitted), at)
        done = 0
        while done < count:
            got = call(IO_GETEVENTS, context, ctypes.c_long(1), ctypes.c_long(count), self.events, None)
            wanted = min(length, PIECE)
            assert all(self.events[i].got == wanted for i in range(got)), [self.events[i].got for i in range(got)]
            done += got
        found = time.perf_counter_ns() - started, time.thread_time_ns() - cpu
        self.piece[0].length = self.page
        return found


def main():
    folder, out = sys.argv[1:3]
    repeats = int(sys.argv[3]) if len(sys.argv) > 3 else 15
    memory = mmap.mmap(-1, 2 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_HUGETLB)
    memory.write(bytes(2 * MIB))
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    context = ctypes.c_ulong(0)
    call(IO_SETUP, ctypes.c_int(LENGTHS[-1] // PIECE), ctypes.byref(context))
    rows = []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        fd = os.open(file.name, os.O_RDWR | os.O_DIRECT)
        writers = [Writer(fd, page, address) for page in PAGES]
        for _ in range(2):  # extents written once, caches of the device in their steady state
            writers[1].write(context, LENGTHS[-1])
        os.fsync(fd)
        for repeat in range(repeats):
            for length in random.sample(LENGTHS, len(LENGTHS)):
                for writer in random.sample(writers, 2):
                    rows.append((length, writer.page, repeat, *writer.write(context, length)))
            print(f"{repeat + 1} of {repeats}", file=sys.stderr)
        os.close(fd)
    with Path(out).open("w", newline="") as table:
        csv.writer(table).writerows([("length_bytes", "page_bytes", "repeat", "elapsed_ns", "thread_cpu_ns"), *rows])


if __name__ == "__main__":
    main()
