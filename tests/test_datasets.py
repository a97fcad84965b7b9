"""Data sets: what is taken, what is left out and why, and whose limits count."""

import json
from dataclasses import replace

import cut_sets
import numpy as np
import pandas as pd
import pytest
import synthetic

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.base.units import KIB, MIB
from zpmodel.calibration.calibrate import calibrate
from zpmodel.calibration.groups import group
from zpmodel.calibration.summary import contrast, medians
from zpmodel.datasets import read_data_set
from zpmodel.datasets.points import read_point
from zpmodel.datasets.schema import KEYS, WRITES, DataSet, conform, limits_of
from zpmodel.devices import Ring
from zpmodel.queue.limits import UINT_MAX, QueueLimits
from zpmodel.timing.events import EVENTS


def two_blocks(point):
    return point.operation == "write" and point.block_bytes in (4096, MIB) and point.replicate <= 2


def test_damaged_foreign_and_lonely_points_are_left_out_and_listed(tmp_path):
    folder = cut_sets.cut(tmp_path / "set", two_blocks)
    whole = read_data_set(folder)
    assert whole.left_out == ()
    first, second, third = cut_sets.names(two_blocks)[:3]
    broken = folder / "points" / f"{first}.json"
    text = broken.read_text()
    broken.unlink()
    broken.write_text(text[: len(text) // 2])
    (folder / "usage" / f"{second}.json").unlink()
    (folder / "points" / f"{third}.json").rename(folder / "points" / "write-bs8192-qd1-malloc-r77.json")
    found = read_data_set(folder)
    assert len(found.left_out) == 3
    assert len(found.writes) == len(whole.writes) - 3
    assert {line.split(":")[0] for line in found.left_out} == {first, second, "write-bs8192-qd1-malloc-r77"}
    calibrate(found, resamples=20)


def test_a_set_of_nothing_but_damage_says_what_is_wrong_with_the_first(tmp_path):
    folder = cut_sets.cut(tmp_path / "set", two_blocks, edit=lambda name, answer, usage: (answer[:99], usage))
    with pytest.raises(InputError, match=r"no writes that can be used; write-bs"):
        read_data_set(folder)


def test_old_readings_of_whole_milliseconds_are_the_middle_of_what_they_allow(tmp_path):
    data = read_data_set(cut_sets.cut(tmp_path / "set", two_blocks))
    # fio cut user and system time down to a millisecond each: m stands for m to m + 2.
    runs = data.writes
    milliseconds = runs["path_s"] / runs["rounding_s"]
    assert (np.abs(milliseconds - milliseconds.round()) < 0.01).all()
    assert (milliseconds >= 1).all()


def test_points_with_another_max_sectors_kb_are_counted_with_it(tmp_path):
    def lowered(name, answer, usage):
        if name.endswith("-r02"):  # SYNTHETIC label: real answers under the name of a run with a lowered limit
            return (text.replace(name, f"{name}-max256k") for text in (answer, usage))
        return answer, usage

    folder = cut_sets.cut(tmp_path / "set", two_blocks, edit=lowered)
    for name in cut_sets.names(two_blocks):
        if name.endswith("-r02"):
            for part in ("points", "usage"):
                (folder / part / f"{name}.json").rename(folder / part / f"{name}-max256k.json")
    (folder / "plan.json").unlink()
    data = read_data_set(folder)
    assert set(data.writes["max_sectors_kb"]) == {0, 256}
    points = group(data)
    rows = points.keys.assign(request=points.events[:, EVENTS.index("request")])
    own, low = (
        rows[(rows["block_bytes"] == MIB) & (rows["memory"] == "mmaphuge") & (rows["max_sectors_kb"] == limit)]
        for limit in (0, 256)
    )
    assert set(own["request"]) == {1}
    assert set(low["request"]) == {4}
    # What nobody meddled with is shown; the other runs say what a request costs.
    assert set(medians(data)["max_sectors_kb"]) == {0}
    assert (medians(data)["replicates"] == 1).all()
    assert calibrate(data, resamples=20).cpu.reach.request_bytes[1] == MIB


def test_an_impossible_max_sectors_kb_is_left_out(tmp_path):
    first = cut_sets.names(two_blocks)[0]

    def lowered(name, answer, usage):
        return (text.replace(name, f"{name}-max1k") if name == first else text for text in (answer, usage))

    folder = cut_sets.cut(tmp_path / "set", two_blocks, edit=lowered)
    for part in ("points", "usage"):
        (folder / part / f"{first}.json").rename(folder / part / f"{first}-max1k.json")
    (folder / "plan.json").unlink()
    (said,) = read_data_set(folder).left_out
    assert said.startswith(f"{first}-max1k: its max_sectors_kb is none of this device's")


@pytest.mark.slow
def test_a_varied_limit_breaks_the_tie_of_operation_and_request():
    # SYNTHETIC: on a device that takes any block as one request, the two always come together.
    limits = QueueLimits(2 * 8192, 65535, UINT_MAX, nr_requests=1024)
    plain = synthetic.every(synthetic.BLOCKS, synthetic.DEPTHS)
    lowered = [synthetic.every(synthetic.BLOCKS[4:], synthetic.DEPTHS, kb) for kb in (256, 1024)]
    request = EVENTS.index("request")

    def reach(keys):
        data = synthetic.data_set(3, limits=limits, ring=None, keys=keys, noise=0.03)
        draws = calibrate(data, resamples=200).cpu.total_draws
        tie = np.corrcoef(draws[:, EVENTS.index("operation")], draws[:, request])[0, 1]
        return tie, *np.quantile(draws[:, request], [0.05, 0.95])

    tied, low, _ = reach(plain)
    assert tied < -0.9
    assert low < 0.3 * synthetic.CPU[request]
    free, low, high = reach(pd.concat([plain, *lowered], ignore_index=True))
    assert free > -0.8
    assert 0.7 * synthetic.CPU[request] < low < synthetic.CPU[request] < high < 1.4 * synthetic.CPU[request]


def test_a_device_that_fetches_its_data_costs_no_cpu_a_byte():
    data = replace(synthetic.data_set(4), copies=False)
    model = calibrate(data, resamples=20)
    for name in ("MiB", "cold vector"):
        assert model.cpu.total[EVENTS.index(name)] == 0
        assert not model.cpu.total_draws[:, EVENTS.index(name)].any()


# The schema


def test_what_no_cache_held_costs_by_the_vector_where_this_kernel_copies():
    cold = EVENTS.index("cold vector")
    cpu = synthetic.CPU.copy()
    cpu[cold] = 250e-9
    copied = synthetic.data_set(6, cpu=cpu, ring=None, noise=0.03, outliers=0)
    model = calibrate(copied, resamples=20)
    assert model.cpu.total[cold] == pytest.approx(cpu[cold], rel=0.25)
    # The same times on a ring, whose data the host copies: no vector of it is cold to this kernel's CPUs.
    elsewhere = calibrate(replace(copied, device=Ring(256)), resamples=20)
    assert elsewhere.cpu.total[cold] == 0


def test_threads_that_do_no_io_are_no_cpu_time_of_it():
    # A run of 8 MiB writes that the end of fio's ring took 15 ms of, twice what the writes did.
    folder, name = shipped.data("fio", "kvm-zen3-virtio"), "write-bs8388608-qd16-mmaphuge-r07"
    item = read_point(folder, name)
    spent = json.loads((folder / "usage" / f"{name}.json").read_text())["kernel_thread_seconds"]
    ended = spent["kworker/u8:1+iou_exit"]
    memory = sum(seconds for thread, seconds in spent.items() if thread.startswith(("kdamond", "kcompactd")))
    assert min(ended, memory) > 2e-3
    assert item.kernel_cpu_seconds == pytest.approx(sum(spent.values()) - memory)
    assert item.teardown_cpu_seconds == pytest.approx(ended)
    runs = read_data_set(folder).writes.set_index([*KEYS, "replicate"])["cpu_s"]
    without = item.thread_cpu_seconds + sum(spent.values()) - memory - ended
    assert runs[8 * MIB, 16, "mmaphuge", 0, 7] == pytest.approx(without / item.ios)
    # A loop device copies in the workers that end the ring, whose name tells only the last of what they did.
    loop = shipped.data("fio", "kvm-zen5-loop")
    item = read_point(loop, "write-bs8388608-qd8-mmaphuge-r01")
    runs = read_data_set(loop).writes.set_index([*KEYS, "replicate"])["cpu_s"]
    assert item.teardown_cpu_seconds > 0.4
    assert runs[8 * MIB, 8, "mmaphuge", 0, 1] == pytest.approx(item.cpu_seconds / item.ios)


def test_columns_are_checked_at_the_door():
    good = synthetic.data_set(1).writes
    assert list(conform(good.drop(columns="max_sectors_kb"), WRITES, "x")["max_sectors_kb"].unique()) == [0]
    for change, word in (
        (good.drop(columns="rate"), "rate"),
        (good.assign(rate=np.inf), "infinite"),
        (good.assign(depth="deep"), "depth"),
    ):
        with pytest.raises(InputError, match=word):
            conform(change, WRITES, "x")
    empty = conform(good.iloc[:0], WRITES, "x")
    assert list(empty.columns) == [column.name for column in WRITES]


def test_limits_are_lowered_as_sysfs_does():
    limits = QueueLimits(8192, 254, UINT_MAX, max_hw_sectors=8192)
    assert limits_of(limits, 0) == limits
    assert limits_of(limits, 256).max_bytes == 256 * KIB
    with pytest.raises(InputError, match="max_hw_sectors"):
        limits_of(limits, 1 << 20)


def test_empty_tables_keep_their_columns():
    data = synthetic.data_set(1)
    only = replace(data, writes=data.writes[data.writes["memory"] == "malloc"])
    assert contrast(only).empty
    assert list(contrast(only).columns) == list(contrast(data).columns)
    none = DataSet("none", {"cpu": 3}, data.limits, data.device, data.writes.iloc[:0])
    assert list(medians(none).columns) == list(medians(data).columns)
    assert none.describe().startswith("unknown CPU")
