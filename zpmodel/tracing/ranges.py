"""Random ranges on scratch devices with random queue settings: the model's exam on the running kernel."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from zpmodel.base.units import KIB, MIB
from zpmodel.host.scratch import Scratch, scratch_device
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.tracing.zero import Traced, tracer

_BLOCKS = (512, 1024, 2048, 4096)
_SCHEDULERS = ("none", "mq-deadline", "kyber", "bfq")


@dataclass(frozen=True)
class Case:
    """Settings of a scratch device's queue, and a range [byte]."""

    logical_block_bytes: int
    max_sectors_kb: int
    nomerges: int
    scheduler: str
    offset: int
    length: int


def random_cases(number: int, size_bytes: int, seed: int) -> list[Case]:
    """Draw cases, grouped by logical block size.

    Lengths are spread evenly over their logarithm, or lie a little above a multiple of 1 MiB, so that the last bio is
    short and may merge; offsets are 0 or anything that is aligned.
    """
    rng = random.Random(seed)
    return sorted(
        (_random_case(rng, _BLOCKS[i % len(_BLOCKS)], size_bytes) for i in range(number)),
        key=lambda case: case.logical_block_bytes,
    )


def _random_case(rng: random.Random, block: int, size_bytes: int) -> Case:
    blocks = size_bytes // block
    length = round(2 ** rng.uniform(0, blocks.bit_length() - 2))
    if rng.random() < 0.5:
        length = rng.randint(1, size_bytes // MIB // 4) * (MIB // block) + rng.randint(0, 256 * KIB // block)
    length = min(max(length, 1), blocks)
    offset = 0 if rng.random() < 0.25 else rng.randint(0, blocks - length)
    kib = rng.choices((4, rng.randint(4, 64), rng.randint(64, 512), rng.randint(512, 1280), 1280), (1, 3, 10, 4, 2))
    return Case(
        logical_block_bytes=block,
        max_sectors_kb=kib[0],
        nomerges=rng.choice((0, 0, 0, 1, 2)),
        scheduler=rng.choice(_SCHEDULERS),
        offset=offset * block,
        length=length * block,
    )


def available_schedulers(scratch: Scratch) -> list[str]:
    """Return the schedulers that this kernel has for the device; setting one may load others, so ask again."""
    return (scratch.queue / "scheduler").read_text().replace("[", "").replace("]", "").split()


def trace_random_ranges(
    zero_page: ZeroPage, number: int, *, size_bytes: int = 64 * MIB, seed: int = 1
) -> Iterator[Traced]:
    """Zero random ranges of scratch devices, one after the other, and compare each with the model.

    The limits given to the model are read back from the kernel: it rounds what it is asked to set.

    :param size_bytes: size of the scratch devices [byte].
    :raises RefusedError: where scratch devices or tracing are impossible.
    """
    cases = random_cases(number, size_bytes, seed)
    for block in sorted({case.logical_block_bytes for case in cases}):
        with scratch_device(size_bytes, block) as scratch, tracer(scratch.fd) as trace:
            for case in cases:
                if case.logical_block_bytes == block:
                    yield trace(zero_page, _set(scratch, case), case.offset, case.length)


def _set(scratch: Scratch, case: Case) -> QueueLimits:
    scheduler = case.scheduler if case.scheduler in available_schedulers(scratch) else "none"
    hardware = int((scratch.queue / "max_hw_sectors_kb").read_text())
    scratch.set_queue(scheduler=scheduler)
    scratch.set_queue(max_sectors_kb=min(case.max_sectors_kb, hardware), nomerges=case.nomerges)
    return QueueLimits.from_directory(scratch.queue)
