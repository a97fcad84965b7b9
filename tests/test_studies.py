"""Days of zeroing, folio sizes and Write Zeroes against numbers worked out by hand."""

import math

import pytest
import synthetic

from zpmodel.base.errors import InputError
from zpmodel.base.estimate import Estimate
from zpmodel.base.units import GIB, KIB, MIB, TIB
from zpmodel.calibration.calibrate import calibrate
from zpmodel.callers.ext4_layout import inode_tables
from zpmodel.memory.machines import read_machine
from zpmodel.queue.limits import UINT_MAX, QueueLimits
from zpmodel.study.folio_curve import SIZES, folio_curve, knee_bytes, reader_curve, share_of
from zpmodel.study.scenario import Scenario, predict
from zpmodel.study.workload import Saving, Workload, day, plainly, published_workloads, reaches, saving
from zpmodel.study.write_zeroes import command_cpu_s, kind_of, kinds, offload, published_speeds, writes_pages


@pytest.fixture(scope="module")
def machine():
    return calibrate(synthetic.data_set(1), resamples=60)


def test_a_day_by_hand():
    saved = Saving("static", Estimate(0.04, 0.02, 0.08), "any")
    assert saved.a_day_s(Workload("x", 100 * GIB)).value == pytest.approx(4.0)
    minute = saved.bytes_to_save(60.0)
    assert (minute.low / GIB, minute.value / GIB, minute.high / GIB) == pytest.approx((750, 1500, 3000))
    # 2 MiB for a day is 0.0469 GiB-hours; at 0.1 CPU-hours each 16.9 s.
    paid = saved.bytes_that_pay(2 * MIB, Estimate(0.1, 0.1, 0.1))
    assert paid.value / GIB == pytest.approx(2 / 1024 * 24 * 360 / 0.04)
    none = Saving("static", Estimate(0.01, -0.01, 0.03), "any").bytes_to_save(60.0)
    assert none.high == math.inf


@pytest.mark.parametrize(
    ("value", "low", "high", "says"),
    [
        (1.0, 0.5, 2.0, "not a CPU-minute"),
        (100.0, 70.0, 200.0, "a CPU-minute"),
        (50.0, 20.0, 80.0, "perhaps a CPU-minute"),
        (4000.0, 3700.0, 5000.0, "a CPU-hour"),
        (4000.0, 3000.0, 5000.0, "a CPU-hour, not surely"),
    ],
)
def test_what_a_day_reaches(value, low, high, says):
    assert reaches(Estimate(value, low, high)) == says


def test_published_days_have_sources_and_reach_no_hour(machine):
    rows = day(Scenario(machine))
    assert {row["workload"] for row in rows} == {work.name for work in published_workloads()}
    assert all(row["source"] and row["machine"] == machine.name for row in rows)
    assert plainly(rows).startswith("No published workload of one machine saves a CPU-hour")
    # What the published figures say of each other: clones of 8.8 GiB, 91,000 of them in 14 days, are 57,200 GiB a day.
    works = {work.name: work for work in published_workloads()}
    fleet = works["ext4-clone"].bytes_per_day * 91_000 / 14
    assert works["ext4-fleet"].bytes_per_day == pytest.approx(fleet, rel=0.15)
    assert saving(Scenario(machine)).per_gib_s.low > 0


def test_each_size_of_ext4_is_among_the_days_as_mke2fs_lays_it_out(machine):
    works = {work.name: work for work in published_workloads()}
    # mke2fs.conf: 16 KiB an inode, 32 KiB ("big") from 4 TiB, 64 KiB ("huge") from 16 TiB.
    for name, size, ratio in (
        ("ext4-tib", TIB, 16 * KIB),
        ("ext4-below-16tib", 16 * TIB - 128 * MIB, 32 * KIB),
        ("ext4-16tib", 16 * TIB, 64 * KIB),
    ):
        found = inode_tables(size, 4 * KIB, ratio, 256)
        assert works[name].call_bytes == found.blocks * 4 * KIB, name
        assert works[name].bytes_per_day == pytest.approx(found.groups * found.blocks * 4 * KIB, rel=1e-4), name
    rows = day(Scenario(machine))
    most = max((row for row in rows if "fleet" not in row["of"]), key=lambda row: row["cpu_saved_s"])
    assert most["workload"] == "ext4-below-16tib"
    assert f"({most['of']})" in plainly(rows)


def test_more_zeroing_saves_more(machine):
    mix = (Workload("a", GIB), Workload("b", 10 * GIB))
    small, large = day(Scenario(machine), mix)
    assert large["cpu_saved_s"] == pytest.approx(10 * small["cpu_saved_s"])


def test_steps_of_the_curve_add_up(machine):
    scenario = Scenario(machine, GIB)
    steps = folio_curve(scenario)
    assert [step.folio_bytes for step in steps] == list(SIZES)
    assert steps[0].comparison.speedup.value == 1
    at_2_mib = next(step for step in steps if step.folio_bytes == 2 * MIB)
    added = sum(step.added_cpu_s for step in steps if step.folio_bytes <= 2 * MIB)
    assert added == pytest.approx(at_2_mib.comparison.cpu_saved_s.value)
    assert predict(scenario).cpu_s.value == pytest.approx(at_2_mib.comparison.prediction.cpu_s.value)
    assert 4 * KIB < knee_bytes(steps) <= 2 * MIB
    assert knee_bytes(steps, 0.5) <= knee_bytes(steps)
    share = share_of(steps, 64 * KIB)
    assert 0.8 < share.low <= share.value <= share.high <= 1
    assert steps[4].row()["folio"] == "64 KiB"
    with pytest.raises(InputError, match="ascending"):
        folio_curve(scenario, (8192, 4096))


def test_nothing_to_gain_has_no_knee(machine):
    steps = folio_curve(Scenario(machine, 4 * KIB), (4 * KIB, 64 * KIB, 2 * MIB))
    assert knee_bytes(steps) is None
    with pytest.raises(InputError, match="saves CPU time"):
        share_of(steps, 64 * KIB)


def test_readers_of_a_virtual_folio_take_no_cache():
    rows = reader_curve(read_machine("epyc-turin"), sizes=(4 * KIB, 2 * MIB, 32 * MIB))
    for size, physical, virtual in rows:
        assert virtual.llc_bytes == 0
        assert (physical.llc_bytes > 0) == (size > 1 * MIB)


def test_who_writes_pages():
    assert writes_pages(QueueLimits(256, 33, UINT_MAX))
    assert not writes_pages(QueueLimits(256, 33, UINT_MAX, write_zeroes_max_bytes=8 * MIB))
    assert kind_of("EBS").writes_pages == "yes"
    assert kind_of("dm-linear").writes_pages == "as below"
    assert all(kind.source and kind.why for kind in kinds().values())
    with pytest.raises(InputError, match="dm-crypt"):
        kind_of("floppy")


def test_offload_loses_below_its_break_even_speed(machine):
    pages = predict(Scenario(machine, GIB))
    even = offload(pages).break_even_bytes_per_s
    assert even.value == pytest.approx(GIB / pages.elapsed_s.value)

    def verdict(rate):
        return offload(pages, speed=Estimate(rate, rate, rate)).verdict

    assert verdict(even.low / 2) == "offload loses"
    assert verdict(even.high * 2) == "offload wins"
    assert verdict(even.value) == "depends on the drive"
    assert offload(pages).commands == 128
    # The published run: 190,773 commands took 369 ms.
    assert command_cpu_s().value == pytest.approx(369e-3 / 190_773, rel=1e-4)
    assert (published_speeds().low, published_speeds().high) == (70e6, 6.3e9)


def test_offload_of_nothing_that_writes_is_refused(machine):
    limits = QueueLimits(8192, 254, UINT_MAX, nr_requests=256, write_zeroes_max_bytes=8 * MIB)
    with pytest.raises(InputError, match="writing pages"):
        offload(predict(Scenario(machine, GIB, limits=limits)))
