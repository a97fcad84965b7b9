"""An answer: a sentence with its figures, what they rest on, how to get them again, and when they don't hold."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from zpmodel.base.estimate import Estimate
from zpmodel.calibration.identify import Missing
from zpmodel.timing.machine import Machine

SOURCE = "reviews of the largest-zero-folio series (linux-mm, linux-block, 2025), gathered as open questions"

QUESTIONS = {
    1: "What does it give, as a number: throughput, and CPU time for each GiB zeroed?",
    2: "How many GiB have to be zeroed in a day to save a CPU-minute, or an hour, and who zeroes so much?",
    3: "Is 64 KiB enough? What does 2 MiB add, and what do 32 MiB and 512 MiB (arm64)?",
    4: "On demand: how often does the allocation fail, how long is the folio kept, what does falling back cost?",
    5: "Memory: what share of RAM is it on small and on large machines, and where is it not reasonable?",
    6: "What does getting the folio cost: a reference per I/O, per mm, per CPU, or a static key?",
    7: "When is the gain zero, and when is it a loss?",
    8: "A virtual huge zero page (512 mappings of one 4 KiB page) against a physical one: who gains?",
    9: "Which of the users that are not converted are worth it, in order?",
    10: "IOMMU off, lazy or strict: how does it change the answer?",
    11: "The device's own Write Zeroes against writing zero pages: when is it slower?",
}
"""The questions by number, in short."""

_FACTOR = 1.5  # from here on a ratio is said as one, below in per cent


def more(ratio: Estimate) -> str:
    """A ratio as how much more: in per cent below one and a half, else as a factor."""
    if ratio.value >= _FACTOR:
        return f"{ratio} times the throughput"
    if ratio.high < 1:
        return f"{as_more(ratio).scaled(-1).percent()} less throughput"
    return f"{as_more(ratio).percent()} more throughput"


def as_more(ratio: Estimate) -> Estimate:
    """What :func:`more` says of a ratio [1]: what it is more than 1, or the factor."""
    if ratio.value >= _FACTOR:
        return ratio
    return Estimate(ratio.value - 1, ratio.low - 1, ratio.high - 1)


def saves(saved: Estimate) -> str:
    """CPU time saved for each GiB [ms], in words."""
    if not saved.known:
        return "CPU time that nobody measured"
    return f"{saved} ms of CPU time saved for each GiB"


@dataclass(frozen=True)
class Asked:
    """Whom to ask.

    :ivar machine: the machine that answers.
    :ivar option: the option that names it on a command line.
    :ivar parts: other parts of it that were asked for, by the names of their options.
    :ivar vary: the same machine with other parts (``device``, ``iommu``); None where it is one piece, a calibration.
    :ivar measured: a disk that was measured as a whole, to set beside it.
    """

    machine: Machine
    option: str
    vary: Callable[..., Machine] | None = None
    measured: Machine | None = None
    parts: Mapping[str, str] = field(default_factory=dict)

    def options(self, **parts: str) -> str:
        """Options of a command that asks it, with other parts still."""
        given = {**self.parts, **parts}
        return " ".join([self.option, *(f"--{name} {shlex.quote(value)}" for name, value in given.items())])


@dataclass(frozen=True)
class Figure:
    """One number of an answer: ``estimate`` in ``unit`` (``1``: a ratio or a share), of ``what``."""

    what: str
    estimate: Estimate
    unit: str

    @property
    def shown(self) -> str:
        """The value and its interval, as people read it; exact ones without one."""
        text = self.estimate.as_ratio() if self.unit == "1" else str(self.estimate)
        return text if self.unit == "1" or not self.estimate.known else f"{text} {self.unit}"

    def row(self) -> dict[str, Any]:
        """As a flat row."""
        return {"what": self.what, **self.estimate.as_dict(), "unit": self.unit}


@dataclass(frozen=True)
class Answer:
    """An answer to one question.

    :ivar number: the question's.
    :ivar sentence: the answer in words, with its numbers.
    :ivar figures: the numbers, the one that answers first.
    :ivar basis: what they rest on.
    :ivar command: prints them again.
    :ivar fails_when: when it does not hold.
    :ivar missing: what would have to be measured for an answer, or for a better one.
    """

    number: int
    sentence: str
    figures: tuple[Figure, ...]
    basis: str
    command: str
    fails_when: str
    missing: str = ""

    @property
    def question(self) -> str:
        """The question that is answered."""
        return QUESTIONS[self.number]

    @property
    def first(self) -> Figure | None:
        """The number that answers; None where there is none."""
        return self.figures[0] if self.figures else None

    def as_dict(self) -> dict[str, Any]:
        """For programs: question, answer, first figure, and all of them."""
        first = self.first
        head = {"value": None, "low": None, "high": None, "unit": None}
        if first is not None:
            head = {**first.estimate.as_dict(), "unit": first.unit}  # type: ignore[dict-item]
        return {
            "number": self.number,
            "question": self.question,
            "asked_by": SOURCE,
            "answer": self.sentence,
            "of": None if first is None else first.what,
            **head,
            "basis": self.basis,
            "command": self.command,
            "fails_when": self.fails_when,
            "missing": self.missing,
            "figures": [figure.row() for figure in self.figures],
        }


def no_cpu(number: int, asked: Asked, lacking: Missing) -> Answer:
    """The answer in CPU time where the data tell none: what they lack, and what to measure."""
    return Answer(
        number,
        f"It can't be known from the data of {asked.machine.name}. {lacking.what}.",
        (),
        f"fitted to fio runs of {asked.machine.name}",
        f"zpmodel answers {number} {asked.options()}",
        "that was measured",
        lacking.remedy,
    )


def no_page(number: int, asked: Asked) -> Answer:
    """The answer where the device has Write Zeroes."""
    return Answer(
        number,
        f"Nothing changes on {asked.machine.name}: it has Write Zeroes, so that no zero page is read.",
        (Figure("CPU time saved for each GiB", Estimate.exactly(0.0), "ms"),),
        f"the queue's limits: {asked.machine.driver.source}",
        f"zpmodel answers {number} {asked.options()}",
        "Write Zeroes is turned off (write_zeroes_max_bytes = 0), or fails at run time",
    )
