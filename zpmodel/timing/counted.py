"""CPU costs by counting: exact work x counted instructions x time per instruction, for a machine nobody measured.

What is counted is the block layer's work (:mod:`zpmodel.kernel_cpu.instructions`) and the NVMe driver's
(:mod:`zpmodel.kernel_cpu.nvme`); instructions for a piece of work are nearly the same on every kernel. Time is not: it
comes from a CPU's own measurement or from the range of those that were measured, one for loops over vectors and one for
calls, and what a real kernel adds (thunks, cold caches, interrupts) is a factor with an interval of its own. Mapping a
vector is a loop that makes calls, which nobody timed: anywhere between both. What a translating IOMMU adds to it are
tables that are written by locked operations: calls.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from zpmodel.base.estimate import DEVIATIONS, Estimate
from zpmodel.kernel_cpu.instructions import LOOPS, WORK, work_of
from zpmodel.kernel_cpu.mapping import block_costs, driver_of, nvme_costs, stack_costs
from zpmodel.kernel_cpu.nvme import Host, kernel_version
from zpmodel.kernel_cpu.stacks import STACKS, Stack, stack_work
from zpmodel.kernel_cpu.time_per_instruction import LIKE, InstructionTimes
from zpmodel.structure import Structure
from zpmodel.timing.cpu import Asked, CpuTimes, Reach, Term
from zpmodel.timing.pipeline import Submission

Floats = npt.NDArray[np.float64]
Seconds = tuple[float, Floats]

DRAWS = 400

DOORBELL_AND_INTERRUPT = Estimate(
    1200,
    600,
    3000,
    "queue_rq, doorbell, interrupt and completion of a command: 70 to 100 instructions and 770 to 920 counted, which "
    "end the bios too; entering and leaving the interrupt was not counted",
)
"""Of the driver for a command, the same whatever its segments [instructions]."""

WAIT = Estimate(
    5e-6,
    1.5e-6,
    35e-6,
    "the caller sleeps and is woken, not counted: reads of a drive in a bare machine take 4.4 us less at depth 256 "
    "than at 1 (nvme-980pro-randread.csv), virtual machines are fitted with 14 to 34 (data/fio)",
)
"""CPU time of one sleep until the device is done [s]: an interrupt, two switches, in a guest two exits."""

WAKE = Estimate(
    4e-6,
    1e-6,
    20e-6,
    "another thread woken on an idle CPU: 11.5 us beside a write to an eventfd in a virtual machine of nested "
    "virtualisation, 2.2 us on its own CPU; assumed to be 1 us or more on bare machines",
)
"""CPU time of waking a loop device's worker from the calling thread [s]. Once for a range whose first request is issued
before its last is made: from then on the worker has work."""

_BUILD_DOUBT = 0.05  # of counted costs between builds and neighbouring kernels, one standard deviation [1]
_WAIT, _WAKE = "wait", "wake-up of a worker"
_PREPARE, _UNMAP, _INTERRUPT = "NVMe preparing", "NVMe unmapping", "NVMe interrupt"
_STACKED = {stack: tuple(f"{stack} {kind}" for kind in kinds) for stack, kinds in STACKS.items()}
_NAMES = (*WORK, _PREPARE, _UNMAP, _INTERRUPT, *(name for names in _STACKED.values() for name in names))


@dataclass(frozen=True)
class CountedCpu:
    """A CPU's time from counted instructions.

    :ivar source: whose time per instruction it is.
    :ivar kernel: version, such as 7.3.
    :ivar host: IOMMU and SGLs.
    :ivar nvme: whether requests go through the NVMe driver; else its work is left out.
    :ivar instruction_times: of a loop's and of a call's instruction, and what a real kernel adds.
    :ivar stack: what else lies between the block layer and the device, if anything.
    :ivar undrawn: the best values are its only draw: quicker where no interval is asked for.
    """

    source: str
    kernel: str
    host: Host
    nvme: bool
    instruction_times: InstructionTimes
    stack: Stack | None = None
    undrawn: bool = False

    @property
    def scatter(self) -> float:
        """None: what is not known is in the draws."""
        return 0.0

    @property
    def reach(self) -> Reach | None:
        """Nothing bounds a count."""
        return None

    @property
    def draws(self) -> int:
        """How many draws there are."""
        return 1 if self.undrawn else DRAWS

    @property
    def known(self) -> bool:
        """Always: counted."""
        return True

    @property
    def factor_draws(self) -> Floats:
        """Time per instruction on a real kernel, over its best value, which both kinds have in common [1]."""
        (loops, loops_drawn), (calls, calls_drawn) = self._second_per_instruction()
        return np.sqrt(loops_drawn / loops * calls_drawn / calls)

    def scaled(self, factor: float) -> "CountedCpu":
        """The same work on a CPU that takes ``factor`` times as long for it [1]."""
        return replace(self, instruction_times=self.instruction_times.scaled(factor))

    def times(self, asked: Asked) -> CpuTimes:
        """What one zero-out takes."""
        structure = asked.structure
        terms = []
        loops, calls = self._second_per_instruction()
        translation = self._translation(structure)
        for name, count, instructions in self._work(structure):
            seconds, drawn = self._of(name, translation.get(name, 0.0), loops, calls)
            # By its name, so that draw i is the same cost whatever else a range is made of.
            doubt = np.ones(1) if self.undrawn else np.exp(_BUILD_DOUBT * _normal(10 + _NAMES.index(name)))
            if name == _INTERRUPT and not self.undrawn:
                doubt = spread_of(DOORBELL_AND_INTERRUPT, 9) / DOORBELL_AND_INTERRUPT.value
            counted = " (not counted in full)" if name == _INTERRUPT else ""
            says = f"{count:,.0f} x {instructions:,.0f} instructions{counted}, Linux {self.kernel}; {self.source}"
            terms.append(Term(name, count, instructions * seconds, instructions * doubt * drawn, says))
        terms.append(self._switch(_WAIT, asked.waits, WAIT, 3))
        if self.stack == "loop" and structure.operation == "write" and structure.work.flushes > 1:
            terms.append(self._switch(_WAKE, 1, WAKE, 8))
        path = [_path(structure, [(term.name, term.number * term.each_s) for term in terms])]
        path.append(_path(structure, [(term.name, term.number * term.each_draws) for term in terms]))
        return CpuTimes(tuple(terms), path[0], path[1])

    def _switch(self, name: str, number: int, each: Estimate, seed: int) -> Term:
        draws = np.array([each.value]) if self.undrawn else spread_of(each, seed)
        return Term(name, float(number), each.value, draws, each.source)

    def _second_per_instruction(self) -> tuple[Seconds, Seconds]:
        """Of loops and of calls, on a real kernel: best, and draws."""
        times = self.instruction_times
        best = [each.value * times.added.value * 1e-9 for each in (times.loops, times.calls)]
        if self.undrawn:
            return (best[0], np.array(best[:1])), (best[1], np.array(best[1:]))
        common, added = _normal(1), spread_of(times.added, 2) * 1e-9
        calls = LIKE * common + (1 - LIKE**2) ** 0.5 * _normal(7)
        return (best[0], _spread(times.loops, common) * added), (best[1], _spread(times.calls, calls) * added)

    def _of(self, name: str, translation: float, loops: Seconds, calls: Seconds) -> Seconds:
        """What an instruction of one kind of work takes, of which a share is an IOMMU's translation."""
        if name in LOOPS or name.endswith(" vector"):
            return loops
        if name not in (_PREPARE, _UNMAP) and not name.endswith(" segment"):
            return calls
        share = np.array([0.5]) if self.undrawn else np.random.default_rng([DRAWS, 40]).random(DRAWS)
        between = (loops[0] * calls[0]) ** 0.5, loops[1] ** (1 - share) * calls[1] ** share
        own = 1 - translation
        return own * between[0] + translation * calls[0], own * between[1] + translation * calls[1]

    def _mapping(self, structure: Structure, host: Host) -> tuple[Estimate, Estimate]:
        """Instructions of preparing and of unmapping a request."""
        return nvme_costs(driver_of(kernel_version(self.kernel))).predict(structure, host)

    def _translation(self, structure: Structure) -> dict[str, float]:
        """The share of preparing's and of unmapping's instructions that a translating IOMMU adds."""
        if not (self.nvme and self.host.translating and structure.operation == "write"):
            return {}
        whole, direct = (self._mapping(structure, host) for host in (self.host, replace(self.host, iommu="none")))
        shares = (max(0.0, 1 - less.value / more.value) for more, less in zip(whole, direct, strict=True))
        return dict(zip((_PREPARE, _UNMAP), shares, strict=True))

    def _work(self, structure: Structure) -> list[tuple[str, float, float]]:
        """Name, number and instructions of each kind of work."""
        version = kernel_version(self.kernel)
        block = block_costs(version)
        found = []
        if structure.operation == "write":
            found += [(n, float(w), float(c)) for n, w, c in zip(WORK, work_of(structure), block.costs, strict=True)]
        else:
            each = dict(zip(WORK, block.costs.tolist(), strict=True))
            counts = {"call": 1, "bio": structure.bios, "request": structure.requests}
            found += [(name, float(number), each[name]) for name, number in counts.items()]
        if self.nvme:
            requests = float(structure.requests)
            if structure.operation == "write":
                prepare, unmap = self._mapping(structure, self.host)
                found += [(_PREPARE, requests, prepare.value), (_UNMAP, requests, unmap.value)]
            found.append((_INTERRUPT, requests, DOORBELL_AND_INTERRUPT.value))
        if self.stack and structure.operation == "write":
            numbers, below = stack_work(self.stack, structure), stack_costs(self.stack).costs
            found += list(zip(_STACKED[self.stack], numbers.tolist(), below.tolist(), strict=True))
        return [row for row in found if row[1] > 0 and row[2] > 0]


def spread_of(estimate: Estimate, seed: int) -> Floats:
    """Draws of a positive number whose logarithm is normal on either side of its value; the same for the same seed."""
    return _spread(estimate, _normal(seed))


def _spread(estimate: Estimate, normal: Floats) -> Floats:
    up = np.log(max(estimate.high / estimate.value, 1.0)) / DEVIATIONS
    down = np.log(max(estimate.value / max(estimate.low, 1e-300), 1.0)) / DEVIATIONS
    return np.asarray(estimate.value * np.exp(np.where(normal > 0, up, down) * normal))


def _normal(seed: int) -> Floats:
    return np.random.default_rng([DRAWS, seed]).standard_normal(DRAWS)


def _path(structure: Structure, spent: list[tuple[str, Floats]] | list[tuple[str, float]]) -> Submission:
    """The submitting thread's part: all but what runs in the interrupt, or in a loop device's worker."""
    call, request, segment = (np.zeros(()) for _ in range(3))
    for name, time in spent:
        if name in (_UNMAP, _INTERRUPT, *_STACKED["loop"]):
            continue
        if name in ("call", _WAIT, _WAKE):
            call = call + time
        elif (
            name in LOOPS or name.endswith(" segment") or (name == _PREPARE and structure.segments > structure.requests)
        ):
            segment = segment + time
        else:
            request = request + time
    return Submission(call, request / structure.requests, segment / max(structure.segments, 1), np.zeros(()))
