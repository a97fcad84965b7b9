"""What is measured, and in which order."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from measuring import KIB, TINY, VARIED

from zpmodel.base.errors import InputError
from zpmodel.datasets.point import Point
from zpmodel.datasets.points import read_point
from zpmodel.measure.plan import FULL, QUICK, Matrix, plan
from zpmodel.measure.run import long_enough


class TestPlan:
    @pytest.mark.parametrize("matrix", [FULL, QUICK, TINY, VARIED])
    def test_every_point_once_and_pairs_back_to_back(self, matrix: Matrix) -> None:
        rounds = plan(matrix, 3)
        points = [point for points in rounds for point in points]
        assert len({point.id for point in points}) == len(points)
        assert all(Point.from_id(point.id) == point for point in points)
        assert plan(matrix, 3) == rounds != plan(matrix, 4)
        for number, points in enumerate(rounds, start=1):
            pairs = [point for point in points if not point.reference]
            assert {p.replicate for p in pairs} == {number}
            for first, second in zip(pairs[::2], pairs[1::2], strict=True):
                assert first.pair == second.pair
                assert {first.memory, second.memory} == {"malloc", "mmaphuge"}

    @pytest.mark.parametrize("matrix", [FULL, QUICK, TINY, VARIED])
    def test_every_pair_has_its_turn(self, matrix: Matrix) -> None:
        rounds = plan(matrix, 5)
        everything = {("write", block, depth) for block in matrix.blocks for depth in matrix.depths}
        everything |= {("zero", block, 1) for block in matrix.zero_blocks}
        first = [p.pair[:3] for points in rounds[: matrix.rest_every] for p in points if not p.reference]
        assert set(first) == everything
        focus = {pair for pair in everything if pair[1] >= 512 * KIB and pair[2] >= 4}
        for points in rounds:
            assert focus <= {p.pair[:3] for p in points}

    @pytest.mark.parametrize("matrix", [FULL, QUICK])
    def test_the_contrast_where_it_matters_gets_most_of_the_time(self, matrix: Matrix) -> None:
        points = [point for points in plan(matrix, 1) for point in points]
        focus = [p for p in points if p.operation == "write" and p.block_bytes >= 512 * KIB and p.depth >= 4]
        assert len(focus) / len(points) > 0.5

    def test_limits_of_one_write_follow_each_other(self) -> None:
        for points in plan(FULL, 2):
            pairs = [p for p in points if not p.reference]
            at = {}
            for index, point in enumerate(pairs):
                at.setdefault(point.pair[:3], []).append(index)
            assert all(places == list(range(places[0], places[-1] + 1)) for places in at.values())
        varied = {(p.block_bytes, p.max_sectors_kb) for p in pairs if p.max_sectors_kb}
        assert varied
        assert all(limit * KIB < block for block, limit in varied)

    def test_a_round_fits_its_time_often_enough(self) -> None:
        for matrix, budget, replicates in ((FULL, 600, 6), (QUICK, 120, 3)):
            usual = sum(len(points) for points in plan(matrix, 1)[:replicates]) * (matrix.seconds_per_point + 0.35)
            assert usual < budget

    def test_neither_memory_is_always_first(self) -> None:
        first = [point.memory for points in plan(FULL, 1) for point in points if not point.reference][::2]
        assert 0.4 < first.count("malloc") / len(first) < 0.6

    def test_references_run_all_through(self) -> None:
        points = [point for points in plan(FULL, 1) for point in points]
        at = [index for index, point in enumerate(points) if point.reference and point.operation == "write"]
        longest = 2 * (FULL.reference_every + len(FULL.max_sectors_kb) + 1)
        assert max(b - a for a, b in pairwise(at)) <= longest

    @pytest.mark.parametrize(
        "name",
        [
            "write-bs0x10-qd1-malloc-r01",
            "write-bs4096-qd1-malloc",
            "../x",
            "",
            "write-bs4096-qd1-malloc-r01-max",
            "write-bs4096-qd1-malloc-r01-max9",
        ],
    )
    def test_no_point(self, name: str) -> None:
        with pytest.raises(InputError):
            Point.from_id(name)

    def test_nonsense_matrix(self) -> None:
        with pytest.raises(InputError, match="multiples of 4 KiB"):
            Matrix((1000,), (1,), ())
        with pytest.raises(InputError, match="distinct positive"):
            Matrix((4096,), (0,), ())


@pytest.mark.parametrize(("thread_cpu_ms", "seconds"), [(200, 0.5), (51, 0.5), (25, 1.0), (12.5, 2.0), (1, 2.0)])
def test_coarse_readings_make_the_next_run_longer(thread_cpu_ms: float, seconds: float) -> None:
    """fio's 1 ms is 2 % of 50 ms; a run is lengthened until it is, at most fourfold."""
    shipped = read_point(Path(__file__).parents[1] / "data/fio/kvm-zen5-virtio", "write-bs1048576-qd4-malloc-r01")
    item = replace(shipped, seconds=0.5, thread_cpu_seconds=thread_cpu_ms / 1e3, thread_cpu_resolution_s=1e-3)
    fine = replace(item, thread_cpu_resolution_s=1e-6)
    assert long_enough(0.5, []) == 0.5
    assert long_enough(0.5, [fine, item]) == pytest.approx(seconds)
