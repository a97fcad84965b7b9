"""What is measured, in which order, and the fio command line of each point."""

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from zpmodel.base.errors import InputError
from zpmodel.base.units import GIB, KIB, MIB
from zpmodel.datasets.point import HUGE_PAGE, MEMORIES, Point

Pair = tuple[str, int, int]


@dataclass(frozen=True)
class Matrix:
    """What to measure: block sizes at queue depths, in both memories, in rounds.

    Every round has the pairs of the focus: blocks of ``focus_block`` [byte] and more at ``focus_depth`` and more, where
    the contrast is; the others' turn comes every ``rest_every`` rounds. ``max_sectors_kb`` [KiB] are values to which
    the queue's limit of that name is lowered, where that is possible, for the focus's blocks that are larger, at
    ``varied_depths``: the same bio and the same vectors then make more requests.

    ``precision`` is the relative half-width of the paired ratios' intervals at which a pair is left alone once it
    has ``min_rounds`` replicates; 0 never is. ``file_bytes`` is the size of the target that is written [byte].
    """

    blocks: tuple[int, ...]
    depths: tuple[int, ...]
    zero_blocks: tuple[int, ...]
    seconds_per_point: float = 0.5
    min_rounds: int = 3
    max_rounds: int = 12
    precision: float = 0.03
    file_bytes: int = GIB
    reference: tuple[int, int] = (64 * KIB, 4)
    reference_zero: int = MIB
    reference_every: int = 12
    focus_block: int = 512 * KIB
    focus_depth: int = 4
    rest_every: int = 1
    max_sectors_kb: tuple[int, ...] = ()
    varied_depths: tuple[int, ...] = (4,)

    def __post_init__(self) -> None:
        for field in ("blocks", "depths", "zero_blocks", "max_sectors_kb", "varied_depths"):
            values = getattr(self, field)
            if len(set(values)) != len(values) or any(v < 1 for v in values):
                raise InputError("measurement matrix", field, values, "distinct positive numbers")
        for block in (*self.blocks, self.reference[0]):
            if block % (4 * KIB) or block > self.file_bytes:
                raise InputError("measurement matrix", "blocks", block, "multiples of 4 KiB, no larger than the file")
        if not 0.05 <= self.seconds_per_point <= 3600:
            raise InputError("measurement matrix", "seconds_per_point", self.seconds_per_point, "0.05 ... 3600 seconds")
        if not 1 <= self.rest_every <= self.max_rounds:
            raise InputError("measurement matrix", "rest_every", self.rest_every, "1 ... max_rounds")
        if not 1 <= self.min_rounds <= self.max_rounds:
            raise InputError("measurement matrix", "min_rounds", self.min_rounds, "1 ... max_rounds")

    def to_json(self) -> dict[str, Any]:
        """Return the fields, as plan.json keeps them."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @property
    def huge_pages(self) -> int:
        """The most huge pages that one of the points needs."""
        points = [Point("write", b, d, "mmaphuge", 1) for b in self.blocks for d in self.depths]
        points += [Point("zero", b, 1, "mmaphuge", 1) for b in self.zero_blocks]
        return max((point.huge_pages for point in points), default=0)

    @property
    def pairs(self) -> tuple[list[Pair], list[Pair]]:
        """The focus's pairs, and the others: operation, block size [byte] and depth."""
        writes: list[Pair] = [("write", block, depth) for block in self.blocks for depth in self.depths]
        focus = [pair for pair in writes if pair[1] >= self.focus_block and pair[2] >= self.focus_depth]
        rest = [pair for pair in writes if pair not in focus]
        return focus, rest + [("zero", block, 1) for block in self.zero_blocks]

    def limits_of(self, pair: Pair) -> list[int | None]:
        """The values of ``max_sectors_kb`` [KiB] that a pair is measured with; None leaves the queue alone."""
        operation, block, depth = pair
        varied = operation == "write" and block >= self.focus_block and depth in self.varied_depths
        return [None, *(value for value in self.max_sectors_kb if varied and value * KIB < block)]


def _powers(first: int, last: int, factor: int = 2) -> tuple[int, ...]:
    values = [first]
    while values[-1] * factor <= last:
        values.append(values[-1] * factor)
    return tuple(values)


FULL = Matrix(
    _powers(4 * KIB, 8 * MIB),
    (1, 2, 4, 8, 16),
    _powers(4 * KIB, 128 * MIB),
    max_rounds=15,
    rest_every=3,
    max_sectors_kb=(256, 1024),
    varied_depths=(4, 16),
)
"""About ten minutes: six or seven rounds of the focus's 33 pairs, and each of the 61 others two or three times."""

QUICK = replace(
    FULL,
    blocks=(4 * KIB, 64 * KIB, 512 * KIB, MIB, 2 * MIB, 8 * MIB),
    depths=(1, 4, 16),
    zero_blocks=(4 * KIB, 64 * KIB, MIB, 2 * MIB, 8 * MIB, 32 * MIB),
    max_sectors_kb=(256,),
    varied_depths=(4,),
    rest_every=2,
    min_rounds=2,
    seconds_per_point=0.4,
)
"""About two minutes: four rounds of the focus's 12 pairs, and each of the 16 others twice."""


def plan(matrix: Matrix, seed: int) -> list[list[Point]]:
    """Order the points: rounds of shuffled pairs, each pair back to back in random order, references in between.

    The pairs of one block size and depth that differ in ``max_sectors_kb`` follow each other, in random order: what is
    compared is adjacent in time.

    :param seed: the same seed gives the same plan.
    :return: one list of points a round; every point occurs once.
    """
    chance = random.Random(seed)
    focus, rest = matrix.pairs
    chance.shuffle(rest)
    rounds: list[list[Point]] = []
    references = 0
    for replicate in range(1, matrix.max_rounds + 1):
        pairs = focus + rest[(replicate - 1) % matrix.rest_every :: matrix.rest_every]
        chance.shuffle(pairs)
        points: list[Point] = []
        since = matrix.reference_every
        for pair in pairs:
            if since >= matrix.reference_every:
                references += 1
                since = 0
                points.append(Point("write", *matrix.reference, "malloc", references, reference=True))
                points.append(Point("zero", matrix.reference_zero, 1, "malloc", references, reference=True))
            limits = matrix.limits_of(pair)
            for limit in chance.sample(limits, len(limits)):
                memories = chance.sample(MEMORIES, 2)
                points += [Point(*pair, memory, replicate, max_sectors_kb=limit) for memory in memories]
                since += 1
        rounds.append(points)
    return rounds


def fio_arguments(point: Point, *, filename: str, size_bytes: int, seconds: float) -> Sequence[str]:
    """Return fio's arguments for a point, without the program, the output file and the format.

    Writes are sequential, direct and through registered buffers (``fixedbufs``): the only way in which fio's 4 KiB
    buffers give one vector a page. ``thread`` keeps fio in one process, so that its CPU time is complete and it can't
    outlive its parent.

    :param filename: what is written; /dev/zero is read for ``operation="zero"``, whatever this says.
    :param size_bytes: how much of it [byte]; writing starts again at the front when it is reached.
    :param seconds: how long [s].
    """
    common = [
        f"--name={point.id}",
        f"--bs={point.block_bytes}",
        f"--mem={point.memory}",
        f"--hugepage-size={HUGE_PAGE}",
        "--thread=1",
        "--time_based=1",
        f"--runtime={round(seconds * 1000)}ms",
    ]
    if point.operation == "zero":
        return [*common, "--filename=/dev/zero", "--rw=read", "--ioengine=psync", "--iodepth=1", f"--size={GIB}"]
    return [
        *common,
        f"--filename={filename}",
        "--rw=write",
        "--ioengine=io_uring",
        "--fixedbufs=1",
        "--direct=1",
        "--zero_buffers=1",
        f"--iodepth={point.depth}",
        f"--size={size_bytes // point.block_bytes * point.block_bytes}",
        "--fallocate=none",
        "--overwrite=1",
        "--allow_file_create=0",
        "--allow_mounted_write=0",
        "--end_fsync=0",
    ]
