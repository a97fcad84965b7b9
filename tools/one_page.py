"""What a larger zero page gains, timed without the patch: the requests that a zero-out makes, from one shared page.

one_page.py FOLDER OUT.csv [REPEATS]. A range of a file in FOLDER is overwritten with O_DIRECT as `blkdev_issue_zeroout`
would: one thread submits everything, then waits once. All vectors point to the same 4 KiB page (as from ZERO_PAGE) or
to the same 2 MiB page (as from a static PMD zero page). Linux makes bios of 256 vectors of one and requests of the
queue's full size of both; no two vectors of the same page merge. The 4 KiB page is mapped 1024 times, one place after
the other, so that one walk of the page table finds it: as 1024 iovecs each would cost 0.2 us, which no zero-out pays.
What differs from a zero-out: that walk, a reference taken for each vector (as bio_add_page does not), and bios of one
AIO of 4 MiB each, not one chain.

Each length is timed from both pages, one right after the other in random order, lengths in random order: after others
like it, as a queue that goes on ("busy"), and after 5 ms of nothing ("idle"), when a disk that is software has gone to
sleep. A row a run: length [byte], page [byte], before, repeat, elapsed [ns], CPU time of the thread [ns].
"""

import csv
import ctypes
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from zpmodel.memory.reading.mapped import mapped

KIB, MIB = 1 << 10, 1 << 20
LENGTHS = [MIB << power for power in (0, 2, 4, 6, 8, 10)]
PAGES = (4 * KIB, 2 * MIB)
PIECE = 4 * MIB  # of an AIO
BEFORE = ("busy", "idle")
COLUMNS = ("length_bytes", "page_bytes", "before", "repeat", "elapsed_ns", "thread_cpu_ns")
IDLE_S, BUSY_BYTES = 0.005, 16 * MIB
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

    def __init__(self, fd, page, words):
        count, span = LENGTHS[-1] // PIECE, words.nbytes  # contiguous to the CPU
        self.piece = (Vector * (PIECE // span))(*[(words.ctypes.data, span)] * (PIECE // span))
        self.requests = (Request * count)()
        self.pointers = (ctypes.POINTER(Request) * count)()
        for i in range(count):
            where = ctypes.addressof(self.piece)
            self.requests[i] = Request(opcode=PWRITEV, fd=fd, vectors=where, number=len(self.piece), offset=i * PIECE)
            self.pointers[i] = ctypes.pointer(self.requests[i])
        self.span = span
        self.page, self.events = page, (Event * count)()

    def write(self, context, length):
        """Elapsed and thread CPU time of one range [ns]."""
        count = max(1, length // PIECE)
        self.requests[0].number = max(1, min(length, PIECE) // self.span)
        self.piece[0].length = min(length, self.span)
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
        self.piece[0].length = self.span
        return found

    def prepare(self, context, length, before):
        """Bring the device into the state in which a range is timed."""
        if before == "idle":
            time.sleep(IDLE_S)
        else:
            for _ in range(max(1, BUSY_BYTES // length)):
                self.write(context, length)


def main():
    folder, out = sys.argv[1:3]
    repeats = int(sys.argv[3]) if len(sys.argv) > 3 else 15
    context = ctypes.c_ulong(0)
    call(IO_SETUP, ctypes.c_int(LENGTHS[-1] // PIECE), ctypes.byref(context))
    rows = []
    with (
        mapped(PIECE, "virtual") as small,
        mapped(2 * MIB, "2 MiB pages") as large,
        tempfile.NamedTemporaryFile(dir=folder) as file,
    ):
        fd = os.open(file.name, os.O_RDWR | os.O_DIRECT)
        writers = [Writer(fd, page, words) for page, words in zip(PAGES, (small, large), strict=True)]
        for _ in range(2):  # extents written once, caches of the device in their steady state
            writers[1].write(context, LENGTHS[-1])
        os.fsync(fd)
        cases = [(length, before) for length in LENGTHS for before in BEFORE]
        for repeat in range(repeats):
            for length, before in random.sample(cases, len(cases)):
                for writer in random.sample(writers, 2):
                    writer.prepare(context, length, before)
                    rows.append((length, writer.page, before, repeat, *writer.write(context, length)))
            print(f"{repeat + 1} of {repeats}", file=sys.stderr)
        os.close(fd)
    with Path(out).open("w", newline="") as table:
        csv.writer(table).writerows([COLUMNS, *rows])


if __name__ == "__main__":
    main()
