from pathlib import Path

import pytest

from zpmodel.base.errors import InputError
from zpmodel.memory.life.getter import contended_ns, cycles_share_from_throughput, getter_cost, getter_times
from zpmodel.memory.life.price import price, price_table, rule
from zpmodel.memory.life.vmstat import (
    extfrag_index,
    failure_probability,
    read_buddyinfo,
    read_pagetypeinfo,
    read_vmstat,
    scans_per_s,
    usable_blocks,
)

# As read on a 24 GiB machine with Linux 6.18.
BUDDY = """\
Node 0, zone      DMA      0      0      0      0      0      0      0      0      1      1      3
Node 0, zone   Normal   1820   1074    682    449    430    475    264    167     93    118    407
"""
TYPES = """\
Page block order: 9
Pages per block:  512

Free pages count per migrate type at order       0      1      2      3      4      5      6      7      8      9     10
Node    0, zone   Normal, type    Unmovable    600    387    490    343    112     77     37     20     13      1      0
Node    0, zone   Normal, type   HighAtomic      0      0      0      0      0      0      0      0      0      7      0
Node    0, zone   Normal, type      Isolate >100000     0      0      0      0      0      0      0      0      9      0

Number of blocks type     Unmovable      Movable  Reclaimable   HighAtomic      Isolate
Node 0, zone   Normal           67         1195           82            0            0
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "text"
    path.write_text(text)
    return path


def test_running_kernel_can_be_read() -> None:
    assert read_vmstat()["nr_free_pages"] > 0
    blocks = read_buddyinfo()
    pages = (blocks["free_blocks"] * 2 ** blocks["order"]).sum()
    # Pages on per-CPU lists are free too, and both readings are of different moments.
    assert pages == pytest.approx(read_vmstat()["nr_free_pages"], rel=0.1)
    estimate = failure_probability(blocks, read_vmstat())
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


def test_blocks_that_can_not_be_taken_do_not_count(tmp_path: Path) -> None:
    usable = usable_blocks(read_pagetypeinfo(written(tmp_path, TYPES)))
    assert usable.query("order == 9")["free_blocks"].sum() == 1
    assert usable_blocks(read_buddyinfo(written(tmp_path, BUDDY))).query("order == 9")["free_blocks"].sum() == 118


def test_extfrag_index_by_hand() -> None:
    # 1024 single pages: 2 blocks' worth of memory in 1024 blocks, 1 - (1 + 2)/1024.
    assert extfrag_index([1024, *[0] * 10]) == pytest.approx(1 - 3 / 1024)
    assert extfrag_index([0] * 11) == 0
    assert extfrag_index([5, *[0] * 8, 1, 0]) == -1


def test_failure_comes_from_the_best_source_at_hand(tmp_path: Path) -> None:
    plenty = read_buddyinfo(written(tmp_path, BUDDY))
    assert failure_probability(plenty, {}).value < 1e-9
    counted = failure_probability(plenty, {"thp_zero_page_alloc": 70, "thp_zero_page_alloc_failed": 30})
    assert counted.low < 0.3 < counted.high
    assert "thp_zero_page" in counted.source
    none = plenty.assign(free_blocks=plenty["free_blocks"].where(plenty["order"] < 9, 0))
    unlucky = failure_probability(none, {"compact_success": 0, "compact_fail": 1000})
    lucky = failure_probability(none, {"compact_success": 1000, "compact_fail": 0})
    assert lucky.value < 0.001 < 0.5 < unlucky.value


def test_rounds_of_reclaim_per_second() -> None:
    after = {"pageoutrun": 30, "allocstall_normal": 10, "drop_slab": 0, "pgalloc_normal": 999}
    assert scans_per_s({"pageoutrun": 10}, after, 10.0) == 3
    with pytest.raises(InputError, match="order"):
        scans_per_s(after, {"pageoutrun": 0, "allocstall_normal": 0}, 10.0)


def test_other_files_are_refused(tmp_path: Path) -> None:
    for read in (read_buddyinfo, read_pagetypeinfo, read_vmstat):
        with pytest.raises(InputError, match="expected"):
            read(written(tmp_path, "hello"))


def test_getter_limits() -> None:
    alone = getter_cost(1, 500.0).set_index("counting")
    assert alone.loc["atomic per I/O", "getter_ns"] == 2 * getter_times().atomic.value
    crowd = getter_cost(72, 500.0).set_index("counting")
    # One line serves one operation after another: two for each I/O.
    assert crowd.loc["atomic per I/O", "ios_per_s"] == pytest.approx(
        1e9 / (2 * getter_times().transfer.value), rel=0.01
    )
    assert crowd.loc["flag per mm", "cycles_share"] < 0.01
    assert crowd.loc["static key", "getter_ns"] == 0
    assert contended_ns(2, 0.0, 10.0) == 20


def test_published_counter_contention() -> None:
    # perf saw 54 % of the cycles in the getter; throughput alone says 62 %.
    assert cycles_share_from_throughput(1_784_430_792, 4_726_928_591) == pytest.approx(0.54, abs=0.1)


def test_price() -> None:
    table = price_table().set_index(["architecture", "page_bytes", "ram_bytes"])
    assert table.loc[("x86_64", 4096, 512 << 20), "ram_share"] == 1 / 256
    assert not table.loc[("arm64", 65536, 64 << 30), "reasonable"]
    assert table.loc[("x86_64", 4096, 64 << 30), "reasonable"]
    assert price(2 << 20, 512 << 20, threshold=0.004).reasonable
    assert price(2 << 20, 1 << 30, held_share=0.25, hours=8).byte_hours == 4 << 20
    assert not price(2 << 20, 1 << 30, held_share=0.25).reasonable
    assert "2 GiB" not in rule(0.004)
    with pytest.raises(InputError, match="ram_bytes"):
        price(2 << 20, 0)
