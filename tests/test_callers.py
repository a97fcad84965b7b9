"""The users of zero pages, against bios traced in real kernels and against their loops transcribed step by step."""

import json
import random
import re
import shutil
import subprocess
from collections import Counter

import naive_callers as naive
import pytest

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.base.units import GIB, KIB, MIB, TIB
from zpmodel.callers import (
    bch2_checksum,
    dm_kcopyd,
    ext4_lazy_init,
    fscrypt_zeroout,
    iomap_dio_zero,
    nvme_tcp,
    rxperf,
    zero_iter,
    zero_pages,
)
from zpmodel.callers.base import BEFORE, FINISHED, TODAY, Kernel
from zpmodel.callers.cases import count_lines
from zpmodel.callers.ext4_layout import inode_tables
from zpmodel.callers.find import CALLERS, all_callers, find_caller
from zpmodel.callers.submit import submit, zero_bio
from zpmodel.callers.table import COUNTED, STATES, change, counts_table, overall
from zpmodel.queue.limits import UINT_MAX, QueueLimits
from zpmodel.queue.presets import find_limits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure import count
from zpmodel.validation.structure import same_bios

PAGE, STATIC = ZeroPage.named("page"), ZeroPage.named("static")
LINES = [line for line in shipped.data("kernel", "users-7.3.jsonl").read_text().splitlines() if line.strip()]
MANY = 10_000


def rows(found):
    return Counter({(row.bytes, row.bvecs, row.max_vecs): row.count for row in found.bios})


def sizes(found):
    return Counter({row.bytes: row.count for row in found.copies})


def traced_differs(lines):
    """Lines whose traced bios the model does not reproduce."""
    return [
        line
        for line, found in zip(lines, count_lines(lines), strict=True)
        if rows(found) != Counter((b["bytes"], b["bvecs"], b["max_vecs"]) for b in json.loads(line)["bios"])
    ]


def test_every_traced_line_is_reproduced():
    assert len(LINES) == 87
    assert traced_differs(LINES) == []


def test_what_ran_here_is_reproduced():
    lines = shipped.data("kernel", "users-6.18.jsonl").read_text().splitlines()
    assert len(lines) == 273
    # One vector less is no mistake where pages of ciphertext lie side by side by chance; all else is.
    for case, found in zip(map(json.loads, lines), count_lines(lines), strict=True):
        model = found.as_case()["bios"]
        assert same_bios(case, model)
        for name, more in (("bytes", 1), ("bvecs", 100), ("bvecs", -1), ("max_vecs", 1)):
            for first in case["bios"][:1]:
                changed = [{**first, name: first[name] + more}, *case["bios"][1:]]
                assert same_bios({**case, "bios": changed}, model) == (more < 0 and case.get("crypto") == "software")


def test_a_traced_line_that_is_changed_is_noticed():
    for line in LINES:
        case = json.loads(line)
        for change_one in ("bytes", "bvecs", "max_vecs"):
            if case["bios"]:
                broken = json.loads(line)
                broken["bios"][0][change_one] += 1
                assert traced_differs([json.dumps(broken)])


@pytest.fixture
def dice():
    return random.Random(20)


def any_size(dice, most):
    """Sizes of all magnitudes, often round ones, in sectors."""
    size = int(2 ** dice.uniform(9, most.bit_length() - 1))
    return max(512, size >> (s := dice.choice([9, 9, 12, 16])) << s)


def any_folio(dice):
    return ZeroPage("folio", 4 * KIB << dice.randrange(18))


def test_zero_pages_equal_the_loop(dice):
    for _ in range(MANY):
        page, kernel = any_folio(dice), dice.choice([BEFORE, TODAY, FINISHED])
        folio = page.size_bytes if kernel != BEFORE else 4096
        length = any_size(dice, min(16 * GIB, 2000 * folio))
        found = zero_pages.CALLER.count(page, zero_pages.Request(length), kernel)
        assert rows(found) == Counter(naive.zero_pages(length, folio, kernel.finished, kernel == BEFORE)), (
            page,
            length,
            kernel,
        )
        assert found.bytes_written == length


def test_iomap_equals_the_loop(dice):
    for _ in range(MANY):
        page, kernel = any_folio(dice), dice.choice([BEFORE, TODAY])
        block = 512 << dice.randrange(8)
        request = iomap_dio_zero.Request(block, dice.randrange(4096) * 512, dice.randrange(1, 4096) * 512)
        wanted = naive.iomap_dio_write(
            block, request.write_offset, request.write_length, page.size_bytes, own_page=kernel == BEFORE
        )
        found = iomap_dio_zero.CALLER.count(page, request, kernel)
        assert rows(found) == Counter(wanted), (page, request, kernel)


def test_fscrypt_equals_the_loops(dice):
    for turn in range(MANY):
        page = any_folio(dice)
        unit = 512 << dice.randrange(4)
        blockbits = dice.choice([bits for bits in (9, 10, 11, 12) if 1 << bits >= unit])
        bits = dice.choice([32, 64])
        first = 2**bits - dice.randrange(1, 900) if bits == 32 and dice.random() < 0.7 else dice.randrange(2**32)
        blocks = dice.randrange(1, 900)
        length = blocks << blockbits
        crypto = dice.choice(["inline", "fallback", "software"]) if turn % 2 else "inline"
        request = fscrypt_zeroout.Request(length, "f2fs", 1 << blockbits, unit, first, bits, crypto)
        if crypto == "software":
            wanted, units = naive.fscrypt_6_12_software(length, unit)
            found = fscrypt_zeroout.CALLER.count(page, request, BEFORE)
            assert (rows(found), found.waits) == (Counter(wanted), len(wanted)), request
            assert found.copies[0].count == units
        elif turn % 4:
            wanted, waits = naive.fscrypt_6_12_inline(blocks, blockbits, unit, first, bits)
            found = fscrypt_zeroout.CALLER.count(page, request, BEFORE)
            assert (rows(found), found.waits) == (Counter(wanted), waits), request
        else:
            found = fscrypt_zeroout.CALLER.count(page, request, TODAY)
            assert rows(found) == Counter(naive.fscrypt_7_3(length, unit, first, bits)), request


def test_kcopyd_equals_the_loop(dice):
    for _ in range(MANY):
        subjob = dice.choice([512 * KIB, MIB, dice.randrange(1, 1025) * KIB])
        thin = dice.random() < 0.5
        block = dice.randrange(1, 64) * 64 * KIB if thin else any_size(dice, 4 * MIB)
        request = dm_kcopyd.Request(block, "dm-thin" if thin else "dm-vdo", subjob)
        kernel = dice.choice([BEFORE, TODAY])
        found = dm_kcopyd.CALLER.count(any_folio(dice), request, kernel)
        assert rows(found) == Counter(naive.kcopyd(block, subjob, kernel == BEFORE)), request


def test_copies_and_sums_equal_their_loops(dice):
    for _ in range(MANY):
        page, kernel = any_folio(dice), dice.choice([BEFORE, TODAY, FINISHED])
        step = page.size_bytes if kernel.finished else 4096
        length, offset = (
            dice.randrange(1, 3 * MIB) if dice.random() < 0.2 else dice.randrange(1, 20000),
            dice.randrange(9999),
        )
        direct = zero_iter.CALLER.count(page, zero_iter.Request(length, offset, "vread_iter"), kernel)
        assert sizes(direct) == Counter(naive.zero_iter(length, step))
        kcore = zero_iter.CALLER.count(page, zero_iter.Request(length, offset), kernel)
        assert sizes(kcore) == Counter(naive.kcore(offset, length, step)), (length, offset)
        reply = rxperf.CALLER.count(page, rxperf.Request(length), kernel)
        calls, sent = naive.rxperf(length, step)
        assert (reply.calls, sizes(reply)) == (calls, Counter(sent))
        if kernel != TODAY:
            merged = bch2_checksum.CALLER.count(page, bch2_checksum.Request(length), kernel)
            assert sizes(merged) == Counter(naive.checksum_merge(length, step))


def test_nvme_tcp_equals_the_loop(dice):
    for _ in range(MANY):
        page, kernel = any_folio(dice), dice.choice([BEFORE, TODAY])
        folio = page.size_bytes if kernel == TODAY else 4096
        length, offset = any_size(dice, MIB), dice.randrange(8192) * 512
        pdu = dice.choice([0, 4096, 128 * KIB, dice.randrange(1024, 99999) * 4])
        found = nvme_tcp.CALLER.count(page, nvme_tcp.Request(length, offset, pdu), kernel)
        assert (found.calls, found.page_references) == naive.nvme_tcp(length, offset, pdu, folio), (length, offset, pdu)


@pytest.mark.skipif(shutil.which("mke2fs") is None, reason="needs mke2fs (e2fsprogs)")
def test_inode_tables_are_where_mke2fs_would_put_them(tmp_path, dice):
    image = tmp_path / "image"
    for _ in range(150):
        block, ratio = dice.choice([1024, 2048, 4096, 4096]), dice.choice([4096, 8192, 16384, 65536, 1 << 20])
        size = min(int(2 ** dice.uniform(23, 42 if block == 4096 else 36)), 15 * TIB)
        if dice.random() < 0.2:  # last groups that are just too small to be kept, or just large enough
            size = dice.randrange(1, 40) * 8 * block * block + dice.randrange(600) * block
        if size < 8 * MIB:
            continue
        with image.open("wb") as file:
            file.truncate(size)
        command = ["mke2fs", "-v", "-n", "-F", "-t", "ext4", "-b", str(block), "-i", str(ratio), "-I", "256", image]
        said = subprocess.run(command, capture_output=True, text=True).stdout
        inodes, groups = re.search(r"(\d+) inodes per group", said), re.search(r"(\d+) block groups?", said)
        if inodes and groups:
            found = inode_tables(size, block, ratio, 256)
            assert (found.groups, found.inodes) == (int(groups[1]), int(inodes[1])), (size, block, ratio)


def test_ext4_writes_a_chain_for_each_group():
    for folio, kernel in ((4096, TODAY), (2 * MIB, TODAY), (2 * MIB, BEFORE), (64 * KIB, FINISHED)):
        request = ext4_lazy_init.Request(600 * MIB)
        wanted = Counter()
        for size in [479 * 4096] + 4 * [480 * 4096]:
            wanted.update(
                naive.zero_pages(size, 4096 if kernel == BEFORE else folio, kernel.finished, kernel == BEFORE)
            )
        assert rows(ext4_lazy_init.CALLER.count(ZeroPage("folio", folio), request, kernel)) == wanted


# Through a queue


@pytest.mark.parametrize("name", CALLERS)
@pytest.mark.parametrize("state", STATES)
def test_the_structure_has_the_same_bios(name, state):
    caller, (kernel, page) = find_caller(name), STATES[state]
    request = caller.typical()
    if name == "bch2_checksum_update":
        assert caller.structure(page, request, kernel, find_limits("nvme-mdts7")) is None
        return
    counted = caller.count(page, request, kernel)
    for limits in (find_limits("nvme-mdts7"), find_limits("null_blk"), QueueLimits(UINT_MAX, 65535, UINT_MAX)):
        found = caller.structure(page, request, kernel, limits)
        if found is None:
            assert not counted.bios
            continue
        assert Counter({tuple(row[:3]): row[3] for row in found.bio_table.tolist()}) == rows(counted)
        assert (found.bios, found.vectors) == (counted.bio_count, counted.vectors)
        assert found.vectors_allocated == counted.vectors_allocated
        assert found.splits + found.bios == found.requests + found.back_merges
        assert int((found.request_table[:, 0] * found.request_table[:, 3]).sum()) == counted.bytes_written


def test_pads_on_both_sides_of_the_data_are_two_requests():
    limits = QueueLimits(UINT_MAX, 65535, UINT_MAX)
    found = iomap_dio_zero.CALLER.structure(STATIC, iomap_dio_zero.CALLER.typical(), TODAY, limits)
    assert (found.bios, found.requests, found.back_merges) == (2, 2, 0)


# What is said of them


def test_verdicts():
    said = {caller.facts.name: overall(caller) for caller in all_callers()}
    assert said["zero_iter"] == said["bch2_checksum_update"] == "nothing to gain"
    assert said["iomap_dio_zero"] == "nothing to gain; loses with the option off"
    assert said["dm_kcopyd_zero"] == said["blkdev_issue_zero_pages"] == said["rxperf_process_call"] == "gains"
    lost = change(find_caller("iomap_dio_zero"), "6.12", "7.3, option off")
    assert lost.changed == {"vectors": (2, 15), "vectors_allocated": (8, 32)}


def test_the_table_has_every_user_in_every_state():
    table = counts_table()
    assert len(table) == len(CALLERS) * len(STATES)
    assert set(COUNTED) < set(table.columns)
    assert table[table["bios"].isna()]["user"].unique().tolist() == ["bch2_checksum_update"]
    for caller in all_callers():
        facts = caller.facts
        assert all((facts.name, facts.title, facts.kind, facts.source, facts.before, facts.today, facts.why))
        assert CALLERS[facts.name]


def test_what_an_on_demand_page_asks_of_its_users():
    on_demand = ZeroPage.named("on-demand")
    owed = find_caller("dm_kcopyd_zero").facts.owes(on_demand)
    assert (owed.mm, owed.destructor, owed.possible, owed.fallback_bytes) == (True, True, False, 4096)
    assert find_caller("iomap_dio_zero").facts.owes(on_demand).possible
    for caller in all_callers():
        owed = caller.facts.owes(STATIC)
        assert (owed.mm, owed.destructor, owed.possible) == (False, False, True)


@pytest.mark.parametrize("text", ["6.11", "8.0", "7", "x", "", "7.3\n", "9" * 500])
def test_kernels_that_were_not_read_are_refused(text):
    with pytest.raises(InputError, match="kernel"):
        Kernel.parse(text)


def test_kernels_are_read_as_they_are_written():
    assert Kernel.parse("7.3.4") == Kernel.parse("7.3.4-1-amd64") == TODAY
    assert (Kernel.parse("6.12"), Kernel.parse("finished")) == (BEFORE, FINISHED)


IOMAP = '"user": "iomap_dio_zero", "zero_page_bytes": 4096, "block_bytes": 16384, "write_offset": 512'


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{" + IOMAP + "}", "write_length"),
        ("{" + IOMAP + ', "write_length": 0}', "write_length"),
        ("{" + IOMAP + ', "write_length": 1}', "write_length"),
        ("{" + IOMAP + ', "write_length": 1e999}', "line 2"),
        ("{" + IOMAP + ', "write_length": [512]}', "write_length"),
        ("{" + IOMAP + ', "write_lenght": 512}', "write_length"),
        ("{" + IOMAP + ', "write_length": 99999999999999999999999}', "write_length"),
        ("{" + IOMAP + ', "write_length": 512, "kernel": 7.3}', "kernel"),
        ("{" + IOMAP + ', "write_length": 512, "kernel": "2.6"}', "kernel"),
        ("{" + IOMAP.replace("16384", "3") + ', "write_length": 512}', "block_bytes"),
        ("{" + IOMAP.replace("4096", "4097") + ', "write_length": 512}', "power of two"),
        ('{"user": "nobody"}', "iomap_dio_zero"),
        ('{"user": null}', "user"),
        ('{"user": "bch2_checksum_update", "zero_page_bytes": 4096, "length": 4}', "6.19"),
        ('{"user": "sb_issue_zeroout", "zero_page_bytes": 4096, "filesystem_bytes": 4096}', "filesystem_bytes"),
        ('{"user": "dm_kcopyd_zero", "zero_page_bytes": 4096, "block_bytes": 4096}', "64 KiB"),
        ("[" * 100_000, "JSON"),
        ('{"limits": ' + '{"a":' * 900 + "1" + "}" * 900 + ', "offset": 0, "length": 512}', "line 2"),
        ('{"limits": {"max_segments": 1}, "offset": [0, 4096], "length": 512}', "offset"),
        ('{"limits": {"max_segments": 1}, "offset": 0, "length": 1e999}', "line 2"),
        ('{"limits": {"max_segments": 1}, "offset": 0, "length": 5.5}', "length"),
        ('{"limits": 5, "offset": 0, "length": 512}', "limits"),
        ('{"limits": {"max_segments": NaN}, "offset": 0, "length": 512}', "JSON"),
    ],
)
def test_bad_lines_are_one_error_with_their_number(line, says):
    with pytest.raises(InputError, match="cases line 2") as caught:
        list(count_lines(["", line]))
    assert says in str(caught.value)
    assert len(str(caught.value)) < 700
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("limits", ["nvme-mdts5", "null_blk"])
@pytest.mark.parametrize("page", ["page", "16KiB", "static"])
def test_work_is_the_same_whichever_way_bios_are_counted(page, limits):
    counted = count(ZeroPage.named(page), find_limits(limits), 0, 4 * MIB)
    bios, start = [], 0
    for size, vectors, allocated, number in counted.bio_table.tolist():
        for _ in range(number):
            bios.append(zero_bio(start, size, size // vectors, allocated))
            start += size
    assert start == 4 * MIB
    assert submit(bios, find_limits(limits)).work == counted.work
