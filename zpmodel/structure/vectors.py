"""Adding pages to a bio: which adds extend the last vector and which start a new one (``bio_add_page``)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zpmodel.base.accelerate import kernel
from zpmodel.base.errors import InputError
from zpmodel.queue.kernel import BIO_MAX_VECS, UINT_MAX

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Vectors:
    """The vectors of one bio, all arrays of shape (vectors,).

    :ivar address: physical address of the first byte [byte].
    :ivar offset: offset from the start of the first page added to the vector [byte]; the kernel's ``bv_offset``.
    :ivar length: bytes of the vector [byte].
    :ivar vector_of_add: for each page added, the vector that it went to, -1 where the bio took no more; shape (adds,).
    """

    address: Ints
    offset: Ints
    length: Ints
    vector_of_add: Ints

    @property
    def merged(self) -> int:
        """How many adds extended the vector before."""
        return int(np.count_nonzero(self.vector_of_add >= 0)) - len(self.length)


@kernel
def add_pages(page, offset, length, max_vectors, address_out, offset_out, length_out, vector_of_add):  # type: ignore[no-untyped-def]
    """Add (page address, offset, length) one by one; return the number of vectors.

    An add extends the last vector only if it starts where that vector ends in physical memory; so the same zero page
    added again never does. Source: ``bio_add_page`` and ``bvec_try_merge_page`` in block/bio.c.
    """
    vectors = 0
    total = 0
    for i in range(len(page)):
        vector_of_add[i] = -1
    for i in range(len(page)):
        start = page[i] + offset[i]
        if total + length[i] > UINT_MAX:
            return vectors
        if vectors > 0 and address_out[vectors - 1] + length_out[vectors - 1] == start:
            length_out[vectors - 1] += length[i]
        else:
            if vectors >= max_vectors:
                return vectors
            address_out[vectors] = start
            offset_out[vectors] = offset[i]
            length_out[vectors] = length[i]
            vectors += 1
        vector_of_add[i] = vectors - 1
        total += length[i]
    return vectors


def merge_pages(
    page_frames: npt.ArrayLike,
    offsets: npt.ArrayLike = 0,
    lengths: npt.ArrayLike = 4096,
    *,
    base_page_bytes: int = 4096,
    max_vectors: int = BIO_MAX_VECS,
) -> Vectors:
    """Model the merging of vectors while pages are added to one bio.

    :param page_frames: physical page frame number of each add, shape (adds,); a large folio counts by its first frame.
    :param offsets: where the data start in that page or folio [byte], scalar or shape (adds,).
    :param lengths: bytes added [byte], scalar or shape (adds,); a folio may be added whole.
    :param base_page_bytes: size of a page frame [byte].
    :param max_vectors: how many vectors the bio has room for.
    :return: the vectors; ``vector_of_add`` is -1 from the first add on that the bio did not take.
    :raises InputError: on negative numbers, on lengths of 0, and on shapes that don't fit.
    """
    try:
        frame, offset, length = np.broadcast_arrays(
            np.atleast_1d(np.asarray(page_frames, dtype=np.int64)),
            np.asarray(offsets, dtype=np.int64),
            np.asarray(lengths, dtype=np.int64),
        )
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError("pages", "shape", str(error), "whole numbers in arrays of one common shape") from None
    for name, values, least in (("page_frames", frame, 0), ("offsets", offset, 0), ("lengths", length, 1)):
        if values.ndim != 1 or (len(values) and int(values.min()) < least):
            raise InputError("pages", name, values.tolist(), f"one-dimensional, each at least {least}")
    adds = len(frame)
    address_out, offset_out, length_out = (np.empty(min(adds, max_vectors), np.int64) for _ in range(3))
    owner = np.empty(adds, np.int64)
    address = np.ascontiguousarray(frame * base_page_bytes)
    made = add_pages(
        address,
        np.ascontiguousarray(offset),
        np.ascontiguousarray(length),
        max_vectors,
        address_out,
        offset_out,
        length_out,
        owner,
    )
    return Vectors(address_out[:made], offset_out[:made], length_out[:made], owner)
