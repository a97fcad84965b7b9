"""Descriptors of an NVMe command: PRPs, lists of them, SGLs."""

import pytest

from zpmodel.base.units import MIB
from zpmodel.queue.limits import UINT_MAX, QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure import count, descriptors

PAGE, STATIC = ZeroPage.named("page"), ZeroPage.named("static")


@pytest.mark.nojit
def test_nvme_page_zeroing_is_prp_and_static_is_one_sgl():
    limits = QueueLimits(256, 33, UINT_MAX)
    page = descriptors(count(PAGE, limits, 0, MIB))
    assert (page.prp_commands, page.prp_entries, page.prp_lists, page.sgl_commands) == (8, 8 * 32, 8, 0)
    static = descriptors(count(STATIC, limits, 0, MIB))
    assert (static.sgl_commands, static.sgl_descriptors, static.prp_commands) == (8, 8, 0)
    without = descriptors(count(STATIC, limits, 0, MIB), sgl=False)
    assert (without.prp_entries, without.sgl_commands) == (8 * 32, 0)


@pytest.mark.nojit
def test_nvme_small_requests_fit_the_command():
    found = descriptors(count(PAGE, QueueLimits(256, 33, UINT_MAX), 0, 8192))
    # two 4 KiB segments: no fast path (that is for one), PRPs in the command, no list
    assert (found.prp_entries, found.prp_lists) == (2, 0)


@pytest.mark.nojit
def test_nvme_requests_that_start_inside_a_page_take_an_entry_more():
    model = count(STATIC, QueueLimits(255, 128, UINT_MAX), 0, 255 * 512 * 2)
    found = descriptors(model, sgl=False)
    assert found.prp_entries == 32 + 33  # 31.9 pages from 0; the second from byte 3584 of its page


@pytest.mark.nojit
def test_nvme_long_lists_chain():
    model = count(STATIC, QueueLimits(8192, 128, UINT_MAX), 0, 4 * MIB)
    # 1024 entries a command, one of them inside it: 1023 in lists of 511 and a pointer, the last one of 512
    assert descriptors(model, sgl=False).prp_lists == 2
