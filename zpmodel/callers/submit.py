"""Submitting a list of bios to a queue through the model of splits and merges."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zpmodel.base.units import SECTOR
from zpmodel.queue.kernel import BIO_INLINE_VECS
from zpmodel.queue.limits import QueueLimits
from zpmodel.structure.count import Structure, Work, impossible, make_structure
from zpmodel.structure.plug import finish_plug
from zpmodel.structure.records import add_kind, new_log, one_state
from zpmodel.structure.requests import submit_bio
from zpmodel.structure.splits import Mixed

Ints = npt.NDArray[np.int64]

_ROWS = 4096


@dataclass(frozen=True)
class Bio:
    """A bio of data.

    :ivar start: first byte on the device [byte].
    :ivar lengths: bytes of each vector [byte], shape (vectors,).
    :ivar max_vecs: vectors allocated.
    :ivar addresses: physical address of each vector [byte]; all zeroes: the one zero page.
    :ivar offsets: offset of each in its first page [byte].
    """

    start: int
    lengths: Ints
    max_vecs: int
    addresses: Ints | None = None
    offsets: Ints | None = None


def zero_bio(start: int, size: int, step: int, max_vecs: int) -> Bio:
    """A bio of ``size`` bytes of zeroes, a vector for each ``step`` of them."""
    lengths = np.full(-(-size // step), step, np.int64)
    lengths[-1] = size - step * (len(lengths) - 1)
    return Bio(start, lengths, max_vecs)


def submit(bios: Iterable[Bio], limits: QueueLimits, *, plug: bool = True, base_page_bytes: int = 4096) -> Structure:
    """Submit bios in their order to an otherwise idle queue.

    :param plug: whether a plug holds them all; without one each bio's requests are issued before the next bio.
    :raises InputError: where the kernel would fail a write.
    """
    states = one_state()
    state = states.records[0]
    bio_rows, requests = new_log(_ROWS), new_log(_ROWS)
    kernel_limits = limits.for_kernel(base_page_bytes)
    length = 0
    expected = -1
    for bio in bios:
        if bio.start != expected:
            state.sealed = 1  # the structure kernels take bios for contiguous: what starts elsewhere joins nothing
        vectors, size = len(bio.lengths), int(bio.lengths.sum())
        zeroes = np.zeros(vectors, np.int64)
        state.bios += 1
        state.vectors += vectors
        state.allocated += bio.max_vecs
        state.tables += bio.max_vecs > BIO_INLINE_VECS
        add_kind(bio_rows, size, vectors, bio.max_vecs, 1)
        address = zeroes if bio.addresses is None else bio.addresses
        offset = zeroes if bio.offsets is None else bio.offsets
        mixed = Mixed(address, offset, bio.lengths)
        if submit_bio(kernel_limits, mixed, bio.start // SECTOR, state, requests):
            raise impossible(limits)
        if not plug:
            finish_plug(state, requests)
        assert not requests.reach["full"][0], "a request makes fewer kinds of requests than the log holds"
        length += size
        expected = bio.start + size
    finish_plug(state, requests)
    return make_structure(length, states.flat, bio_rows, requests)


def add_up(parts: Sequence[tuple[Structure, int]]) -> Structure:
    """The structure of independent pieces of work, each done so many times; at least one.

    The plug of the last one is the last plug.
    """
    first, last = parts[0][0], parts[-1][0]

    def total(name: str) -> int:
        return sum(getattr(part, name) * times for part, times in parts)

    def table(name: str) -> Ints:
        rows = np.concatenate([getattr(part, name) * np.array([1, 1, 1, times]) for part, times in parts])
        keys, where = np.unique(rows[:, :3], axis=0, return_inverse=True)
        counts = np.zeros(len(keys), np.int64)
        np.add.at(counts, where.ravel(), rows[:, 3])
        return np.column_stack([keys, counts])

    work = {name: sum(getattr(part.work, name) * times for part, times in parts) for name in Work._fields}
    return Structure(
        operation=first.operation,
        length=total("length"),
        bios=total("bios"),
        vectors=total("vectors"),
        vectors_allocated=total("vectors_allocated"),
        splits=total("splits"),
        back_merges=total("back_merges"),
        requests=total("requests"),
        segments=total("segments"),
        work=Work(**{**work, "last_plug": last.work.last_plug}),
        bio_table=table("bio_table"),
        request_table=table("request_table"),
    )
