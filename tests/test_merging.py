"""Vectors of one bio: which pages extend the last one."""

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zpmodel.base.errors import InputError
from zpmodel.base.units import MIB
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure import merge_pages

PAGE, STATIC = ZeroPage.named("page"), ZeroPage.named("static")


@pytest.mark.nojit
@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 40), st.sampled_from([0, 0, 512, 2048]), st.sampled_from([512, 2048, 4096, 8192, 2 * MIB])
        ),
        max_size=60,
    ),
    st.integers(1, 64),
)
def test_vectors_merge_as_the_slow_version_says(adds, room):
    vecs, taken = naive.add_pages([(frame * 4096, offset, length) for frame, offset, length in adds], room)
    frames, offsets, lengths = (np.array([a[i] for a in adds], dtype=np.int64) for i in range(3))
    found = merge_pages(frames, offsets, lengths, max_vectors=room)
    assert list(zip(found.address, found.offset, found.length, strict=True)) == [
        (v.address, v.offset, v.length) for v in vecs
    ]
    assert int((found.vector_of_add >= 0).sum()) == taken
    assert found.merged == taken - len(vecs)


def test_the_same_zero_page_never_merges_and_a_run_does():
    assert len(merge_pages(np.full(256, 77)).length) == 256
    assert merge_pages(np.arange(256)).length.tolist() == [MIB]
    mixed = merge_pages([0, 512, 513, 600, 7], lengths=[2 * MIB, 4096, 4096, 4096, 4096])
    assert mixed.length.tolist() == [2 * MIB + 8192, 4096, 4096]


def test_a_full_bio_still_takes_what_extends_its_last_vector():
    found = merge_pages([1, 3, 4, 9], max_vectors=2)
    assert found.vector_of_add.tolist() == [0, 1, 1, -1]


@pytest.mark.parametrize(
    "bad",
    [
        {"page_frames": [-1]},
        {"page_frames": [1], "lengths": 0},
        {"page_frames": [[1]]},
        {"page_frames": [1, 2], "offsets": [1, 2, 3]},
    ],
)
def test_pages_that_make_no_sense_are_refused(bad):
    with pytest.raises(InputError):
        merge_pages(**bad)
