"""The block layer, slow and obvious: every vector is an object, every bio is built, every plug is flushed.

Nothing here is shared with the package. It follows the kernel's own functions one by one, and keeps even what the fast
model leaves out because it makes no difference (when a plug is flushed), so that a test can say that it makes none.
"""

from collections import Counter
from dataclasses import dataclass, field

UINT_MAX = 2**32 - 1


class EinvalError(Exception):
    """What the kernel answers where less than a logical block fits a request."""


@dataclass(slots=True)
class Vec:
    address: int  # physical
    offset: int  # in its first page, bv_offset
    length: int


@dataclass(slots=True)
class Bio:
    sector: int
    size: int  # bi_size, of all vectors, or of a bio without data
    vecs: list[Vec]
    nomerge: bool = False
    data: bool = True


@dataclass(slots=True)
class Request:
    bios: list[Bio]
    size: int  # __data_len, of all bios
    segments: int
    nomerge: bool


@dataclass
class Seen:
    bios: Counter = field(default_factory=Counter)
    requests: Counter = field(default_factory=Counter)
    prp: Counter = field(default_factory=Counter)
    splits: int = 0
    back_merges: int = 0
    work: Counter = field(default_factory=Counter)


def defaults(limits: dict) -> dict:
    full = {
        "seg_boundary_mask": UINT_MAX,
        "virt_boundary_mask": 0,
        "chunk_sectors": 0,
        "logical_block_size": 512,
        "physical_block_size": 512,
        "write_zeroes_max_bytes": 0,
        "nomerges": 0,
    }
    return full | limits


def max_io_bytes(lim: dict, max_sectors: int, sector: int) -> int:
    if lim["chunk_sectors"]:
        max_sectors = min(max_sectors, lim["chunk_sectors"] - sector % lim["chunk_sectors"])
    pbs, lbs = lim["physical_block_size"] // 512, lim["logical_block_size"] // 512
    start = sector % pbs
    end = (start + max_sectors) // pbs * pbs
    return 512 * (end - start if end > start else max_sectors // lbs * lbs)


def first_part(lim: dict, bio: Bio, whole: list[Vec], work: Counter) -> tuple[int, int, bool]:
    """Bytes and segments of the first part, and whether to split. ``whole``: the vectors before advancing."""
    fast = min(lim["max_segment_size"], lim["seg_boundary_mask"] + 1, 4096)
    if not lim["chunk_sectors"] and len(bio.vecs) == 1 and whole[0].length + whole[0].offset <= fast:
        work["unwalked"] += 1
        return bio.size, 1, False
    max_bytes = max_io_bytes(lim, lim["max_sectors"], bio.sector)
    segments = nbytes = 0
    split = False
    for i, v in enumerate(bio.vecs):
        if i and lim["virt_boundary_mask"]:
            before = bio.vecs[i - 1]
            work["gap_checks"] += 1
            if (v.offset & lim["virt_boundary_mask"]) or ((before.offset + before.length) & lim["virt_boundary_mask"]):
                split = True
                break
        if segments < lim["max_segments"] and nbytes + v.length <= max_bytes and v.offset + v.length <= fast:
            segments += 1
            nbytes += v.length
            continue
        work["slow_visits"] += 1
        max_len = max_bytes - nbytes
        length = min(v.length, max_len)
        total = 0
        while length and segments < lim["max_segments"]:
            mask = lim["seg_boundary_mask"]
            size = min(length, mask - ((v.address + total) & mask) + 1, lim["max_segment_size"])
            work["pieces"] += 1
            segments += 1
            total += size
            length -= size
            if (v.offset + total) & lim["virt_boundary_mask"]:
                break
        nbytes += total
        if length > 0 or v.length > max_len:
            split = True
            break
    if split:
        nbytes = nbytes // lim["logical_block_size"] * lim["logical_block_size"]
        if nbytes == 0:
            raise EinvalError
    return nbytes, segments, split


def cut(bio: Bio, whole: list[Vec], nbytes: int) -> tuple[Bio, Bio, list[Vec]]:
    """bio_split: the first ``nbytes``, and the rest with the vectors it had before advancing."""
    at, left = 0, nbytes
    while at < len(bio.vecs) and left >= bio.vecs[at].length:
        left -= bio.vecs[at].length
        at += 1
    head, rest, rest_whole = bio.vecs[:at], bio.vecs[at:], whole[at:]
    if left:
        v = rest[0]
        head.append(Vec(v.address, v.offset, left))
        rest[0] = Vec(v.address + left, v.offset + left, v.length - left)
    tail = Bio(bio.sector + nbytes // 512, bio.size - nbytes, rest)
    return Bio(bio.sector, nbytes, head), tail, rest_whole


class Queue:
    """A plug in front of a driver that takes whatever it is given."""

    def __init__(self, lim: dict) -> None:
        self.lim = defaults(lim)
        self.plug: list[Request] = []
        self.seen = Seen()

    def flush(self) -> None:
        self.seen.work["flushes"] += bool(self.plug)
        self.seen.work["last_plug"] = max(0, len(self.plug) - 1)
        for rq in self.plug:
            self.seen.requests[rq.size, rq.segments] += 1
            if rq.segments:
                first = rq.bios[0].vecs[0].offset % 4096
                self.seen.prp[rq.size, rq.segments, first] += 1
        self.plug.clear()

    def gap(self, rq: Request, bio: Bio) -> bool:
        mask = self.lim["virt_boundary_mask"]
        if not mask:
            return False
        if rq.bios[0].vecs[0].offset & mask:
            return True
        pb, nb = rq.bios[-1].vecs[-1], bio.vecs[0]
        boundary = self.lim["seg_boundary_mask"]
        if pb.address + pb.length == nb.address and (pb.address | boundary) == (
            (nb.address + nb.length - 1) | boundary
        ):
            return False
        return bool((nb.offset & mask) or ((pb.offset + pb.length) & mask))

    def merge(self, bio: Bio, segments: int) -> bool:
        if self.lim["nomerges"] == 2 or bio.nomerge or not bio.data or not self.plug:
            return False
        rq = self.plug[-1]
        start = rq.bios[0].sector
        if not rq.nomerge and rq.bios[0].data and self.lim["virt_boundary_mask"]:
            self.seen.work["gap_walks"] += len(rq.bios[-1].vecs)
        if rq.nomerge or not rq.bios[0].data or start * 512 + rq.size != bio.sector * 512 or self.gap(rq, bio):
            return False
        max_sectors = self.lim["max_sectors"]
        if self.lim["chunk_sectors"]:
            max_sectors = min(max_sectors, self.lim["chunk_sectors"] - start % self.lim["chunk_sectors"])
        if rq.size + bio.size > max_sectors * 512 or rq.segments + segments > self.lim["max_segments"]:
            rq.nomerge = True
            return False
        rq.bios.append(bio)
        rq.size += bio.size
        rq.segments += segments
        self.seen.back_merges += 1
        return True

    def add(self, bio: Bio, segments: int) -> None:
        if self.merge(bio, segments):
            return
        if len(self.plug) >= 32 or (self.plug and self.lim["nomerges"] != 2 and self.plug[-1].size >= 131072):
            self.flush()
        self.plug.append(Request([bio], bio.size, segments, bio.nomerge))

    def submit(self, bio: Bio, allocated: int) -> None:
        self.seen.bios[bio.size, len(bio.vecs), allocated] += 1
        whole = list(bio.vecs)
        self.seen.work["tables"] += allocated > 4
        if not bio.data:
            limit = min(self.lim["write_zeroes_max_bytes"] // 512, UINT_MAX // 512)
            while bio.size:
                most = max_io_bytes(self.lim, limit, bio.sector)
                size = bio.size if most == 0 else min(bio.size, most)
                self.seen.splits += size < bio.size
                self.add(Bio(bio.sector, size, [], nomerge=True, data=False), 0)
                bio = Bio(bio.sector + size // 512, bio.size - size, [], data=False)
            return
        while True:
            nbytes, segments, split = first_part(self.lim, bio, whole, self.seen.work)
            if not split:
                self.add(bio, segments)
                return
            self.seen.splits += 1
            parts = len(bio.vecs)
            head, bio, whole = cut(bio, whole, nbytes)
            cut_in_two = len(head.vecs) + len(bio.vecs) > parts
            self.seen.work["advanced"] += len(head.vecs) - cut_in_two
            head.nomerge = True
            self.add(head, segments)


def vector_table(n: int) -> int:
    return n if n <= 4 else next(size for size in (16, 64, 128, 256) if n <= size)


def zeroout(limits: dict, zero_bytes: int, offset: int, length: int) -> Seen:
    """blkdev_issue_zeroout on an idle queue."""
    queue = Queue(limits)
    sector, left = offset // 512, length
    if queue.lim["write_zeroes_max_bytes"]:
        block = queue.lim["logical_block_size"]
        limit = min(queue.lim["write_zeroes_max_bytes"], UINT_MAX // 512 * 512 // block * block)
        while left:
            size = min(left, limit)
            queue.submit(Bio(sector, size, [], nomerge=True, data=False), 0)
            sector, left = sector + size // 512, left - size
    while left:
        allocated = vector_table(min(-(-left // 4096), 256))
        vecs: list[Vec] = []
        size = 0
        while left and len(vecs) < allocated:
            add = min(zero_bytes, left)
            if size + add > UINT_MAX:
                break
            vecs.append(Vec(0, 0, add))  # the same zero page again: never where the last vector ends
            size, left = size + add, left - add
        queue.submit(Bio(sector, size, vecs), allocated)
        sector += size // 512
    queue.flush()
    return queue.seen


def add_pages(adds: list[tuple[int, int, int]], max_vectors: int) -> tuple[list[Vec], int]:
    """bio_add_page for (page address, offset, length): the vectors, and how many adds the bio took."""
    vecs: list[Vec] = []
    for taken, (page, offset, length) in enumerate(adds):
        if sum(v.length for v in vecs) + length > UINT_MAX:
            return vecs, taken
        if vecs and vecs[-1].address + vecs[-1].length == page + offset:
            vecs[-1].length += length
        elif len(vecs) == max_vectors:
            return vecs, taken
        else:
            vecs.append(Vec(page + offset, offset, length))
    return vecs, len(adds)
