"""Runs that other programs disturbed: seen, left out where there are better ones, and said."""

import json
import math
import shutil
from dataclasses import asdict, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from zpmodel.base.estimate import DEVIATIONS
from zpmodel.calibration.groups import group
from zpmodel.calibration.held_out import run_noise
from zpmodel.calibration.observed import FLOOR, observe
from zpmodel.calibration.summary import contrast, medians
from zpmodel.datasets.measured import read_set
from zpmodel.datasets.others import disturbed, without_disturbed
from zpmodel.datasets.points import load_points, read_point
from zpmodel.measure import told
from zpmodel.measure.plan import FULL

LOOP = Path(__file__).parents[1] / "data/fio/kvm-zen5-loop"
NAME = "write-bs1048576-qd4-malloc-r01"


@pytest.fixture(scope="module")
def writes():
    """The runs of writes of the loop device's set: on a machine of two CPUs, of which others took one by turns."""
    return [item for item in load_points(LOOP)[0] if item.point.operation == "write" and not item.point.reference]


@pytest.fixture
def one(tmp_path):
    for kind in ("points", "usage"):
        (tmp_path / kind).mkdir()
        shutil.copy(LOOP / kind / f"{NAME}.json", tmp_path / kind)
    for file in ("plan.json", "machine.toml"):
        shutil.copy(LOOP / file, tmp_path)
    return tmp_path


def with_usage(folder, edit):
    path = folder / "usage" / f"{NAME}.json"
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))
    return read_point(folder, NAME).others_cpu_share


def test_the_share_of_others_is_what_is_left_of_all_cpu_time(one):
    def quiet(usage):
        usage |= {"process_user_seconds": 0.1, "process_system_seconds": 0.2, "kernel_thread_seconds": {"a": 0.5}}
        usage["machine_seconds"] = {"user": 0.1, "system": 0.65, "softirq": 0.05, "idle": 0.9, "iowait": 0.3}

    assert with_usage(one, quiet) == pytest.approx(0)
    assert with_usage(one, lambda usage: usage["machine_seconds"].update(nice=0.5, idle=0.4)) == pytest.approx(0.25)
    assert with_usage(one, lambda usage: usage["machine_seconds"].update(steal=0.4, idle=0)) == pytest.approx(0.45)
    assert with_usage(one, lambda usage: usage["machine_seconds"].update(iowait=-0.1)) == pytest.approx(0.9 / 1.6)


def test_where_nobody_noted_it_nothing_is_known(one):
    assert math.isnan(with_usage(one, lambda usage: usage.pop("process_user_seconds")))
    assert not disturbed(read_point(one, NAME))
    assert math.isnan(with_usage(one, lambda usage: usage.update(process_user_seconds=0.1, machine_seconds={})))


def test_runs_of_one_point_differ_by_who_else_ran(writes):
    """What the rule rests on: two runs of a point that were left in peace agree three times as well."""
    apart = {0: [], 1: []}
    for first, second in combinations(writes, 2):
        if (first.point.pair, first.point.memory) == (second.point.pair, second.point.memory):
            number = disturbed(first) + disturbed(second)
            apart.setdefault(number, []).append(abs(math.log(first.cpu_ns_per_byte / second.cpu_ns_per_byte)))
    assert len(apart[0]) > 40
    assert np.median(apart[1]) > 3 * np.median(apart[0])


def test_by_how_much_disturbed_runs_differ_is_as_the_docs_say(writes):
    points = {}
    for item in writes:
        kinds = points.setdefault((item.point.pair, item.point.memory), ([], []))
        kinds[disturbed(item)].append((item.cpu_ns_per_byte, item.bytes_per_second))
    both = [np.median(busy, axis=0) / np.median(quiet, axis=0) for quiet, busy in points.values() if quiet and busy]
    text = (Path(__file__).parents[1] / "docs/measuring.md").read_text(encoding="utf-8")
    cpu, rate = np.median(both, axis=0)
    assert (
        f"{cpu:.2f} times the CPU time of a quiet one and goes {rate:.2f} times as fast (medians of {len(both)}" in text
    )


def test_disturbed_runs_go_where_their_point_has_others(writes):
    first, second = (next(item for item in writes if item.point.depth == depth) for depth in (1, 4))
    quiet, busy = (replace(first, others_cpu_share=share) for share in (0.02, 0.5))
    never, unknown = replace(second, others_cpu_share=0.5), replace(first, others_cpu_share=math.nan)
    kept, said = without_disturbed([busy, quiet, never])
    assert kept == [quiet, never]
    assert "2 of 3 runs" in said
    assert "1 left out" in said
    assert "1 of 2 points" in said
    assert without_disturbed([quiet, unknown]) == ([quiet, unknown], "")


def of(item, memory, share, replicate=1):
    return replace(item, others_cpu_share=share, point=replace(item.point, memory=memory, replicate=replicate))


def test_both_memories_of_a_pair_keep_runs_of_one_kind(writes):
    first = next(item for item in writes if item.point.depth == 4)
    small, huge, busy_small, busy_huge = (
        of(first, memory, share, number) for share, number in ((0.02, 1), (0.5, 2)) for memory in ("malloc", "mmaphuge")
    )
    assert without_disturbed([small, huge, busy_small, busy_huge])[0] == [small, huge]
    # One memory was never left in peace: what both have are disturbed runs.
    kept, said = without_disturbed([busy_small, huge, busy_huge])
    assert kept == [busy_small, busy_huge]
    assert "in 1 of 1 pairs one memory has no run without that" in said
    # Or there are none: nothing disturbed is set beside what is quiet.
    assert without_disturbed([busy_small, huge])[0] == [huge]
    assert without_disturbed([busy_small, busy_huge])[0] == [busy_small, busy_huge]
    assert without_disturbed([busy_small])[0] == [busy_small]


@pytest.mark.parametrize("name", ["kvm-zen5-loop", "kvm-zen5-virtio", "kvm-zen3-virtio"])
def test_no_pair_of_the_shipped_sets_compares_a_disturbed_memory_with_a_quiet_one(name):
    kept = without_disturbed(load_points(LOOP.parent / name)[0])[0]
    kinds = {}
    for item in kept:
        kinds.setdefault(item.point.pair, {}).setdefault(item.point.memory, set()).add(disturbed(item))
    assert all(len(set(map(frozenset, sides.values()))) == 1 and len(sides) == 2 for sides in kinds.values())


def test_by_how_much_leaving_runs_out_moves_medians_is_said_and_how_few_are_left(writes):
    """The numbers of the words, worked out another way."""
    data = read_set(LOOP)
    table = pd.DataFrame(
        [{**asdict(item.point), "cpu": item.cpu_ns_per_byte, "rate": item.bytes_per_second} for item in writes]
    )
    keys = ["block_bytes", "depth", "memory"]
    left = data.writes.set_index([*keys, "replicate"]).index
    kept = table[table.set_index([*keys, "replicate"]).index.isin(left)]
    before, after = (part.groupby(keys)[["cpu", "rate"]] for part in (table, kept))
    shift = (after.median() / before.median())[after.size() < before.size()].median() - 1
    assert f"the medians of {(after.size() < before.size()).sum()} points" in data.disturbed
    assert f"by {shift['cpu']:+.1%} in CPU time and {shift['rate']:+.1%} in rate" in data.disturbed
    assert f"{(after.size() == 1).sum()} of 120 points rest on a single run" in data.disturbed
    assert shift["cpu"] > 0.1 > 0 > shift["rate"]


def test_a_single_run_has_the_spread_of_those_that_were_repeated():
    data = read_set(LOOP)
    spread = (
        data.writes.assign(rate=np.log(data.writes["rate"])).groupby(["block_bytes", "depth", "memory"])["rate"].std()
    )
    alone = medians(data).query("replicates == 1")
    assert len(alone) > 50
    half = np.exp(DEVIATIONS * spread.median())
    for end, factor in (("low", 1 / half), ("high", half)):
        assert alone[f"gib_per_s_{end}"].to_numpy() == pytest.approx((alone["gib_per_s"] * factor).to_numpy())
    pairs = contrast(data).query("pairs == 1")
    for name in ("throughput", "cpu"):
        assert (pairs[f"{name}_high"] > 1.1 * pairs[f"{name}_low"]).all()
    told = pairs.dropna(subset="cpu_saved_ns_per_vector")
    assert (told["cpu_saved_ns_per_vector_low"] < told["cpu_saved_ns_per_vector"]).all()
    # Its error in a fit is no smaller than that of a point with two.
    groups = group(data)
    for name in ("cpu_s", "rate"):
        seen, runs = observe(data, groups, name), np.array([len(rows) for rows in groups.rows])
        assert (seen.sigma[runs == 1] > FLOOR).all()
        assert np.median(seen.sigma[runs == 1]) > np.median(seen.sigma[runs == 2])
    # Where nothing was repeated, that of a run nobody knows anything of.
    once = replace(data, writes=data.writes.drop_duplicates(["block_bytes", "depth", "memory"]))
    found = medians(once)
    assert np.log(found["gib_per_s_high"] / found["gib_per_s"]).to_numpy() == pytest.approx(0.1 * DEVIATIONS)


def test_a_set_says_what_was_done_to_it(writes):
    data = read_set(LOOP)
    many = sum(map(disturbed, writes))
    assert f"in {many} of {len(writes)} runs" in data.disturbed
    assert f"{len(writes) - len(data.writes)} left out" in data.disturbed
    assert data.writes[["block_bytes", "depth", "memory"]].drop_duplicates().shape[0] == 120
    assert data.disturbed in told.at_the_end(writes, (), FULL, quick=False)


def test_points_that_were_not_repeated_say_nothing_of_noise():
    data = read_set(LOOP)
    count = data.writes.groupby(["block_bytes", "depth", "memory"])["rate"].transform("count")
    repeated = run_noise(replace(data, writes=data.writes[count > 1]))
    assert (count == 1).any()
    for name in ("cpu_s", "rate"):
        assert run_noise(data)[name] == pytest.approx(repeated[name])
