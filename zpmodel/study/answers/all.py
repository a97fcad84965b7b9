"""All answers, and the machines that are asked where a reader names none."""

import shlex
from collections.abc import Callable

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.calibration.calibrate import calibrate
from zpmodel.calibration.identify import missing
from zpmodel.calibration.machine_file import load_machine
from zpmodel.datasets.measured import read_set
from zpmodel.study.answers import gain, limits, memory, users
from zpmodel.study.answers.base import QUESTIONS, Answer, Asked, no_cpu, no_page
from zpmodel.study.write_zeroes import writes_pages
from zpmodel.timing.machine import Machine

ANSWERS: dict[int, Callable[[Asked], Answer]] = {
    1: gain.benefit,
    2: gain.workload,
    3: gain.folio_size,
    4: memory.on_demand,
    5: memory.memory_share,
    6: memory.getter,
    7: limits.no_gain,
    8: limits.virtual_page,
    9: users.ranking,
    10: limits.iommu,
    11: limits.write_zeroes,
}

_OF_CPU = (2, 3)
"""Questions of CPU time alone."""

_OF_PAGES = (1, 2, 3, 4, 6, 7, 9, 10)
"""Questions that have no point where the device writes zeroes itself."""

DEFAULT_MACHINE = "nvme-mailing-list"


def asked_of(name: str = DEFAULT_MACHINE, *, measured: Machine | None = None, **overrides: str | None) -> Asked:
    """Ask a machine by its name or file, with parts of it changed.

    :param measured: a disk that was measured as a whole, to set beside it.
    :raises InputError: as :func:`zpmodel.calibration.machine_file.load_machine`.
    """
    machine = load_machine(name, **overrides)
    option = f"{'--machine' if machine.composed else '--calibration'} {shlex.quote(name)}"
    vary = (lambda **parts: load_machine(name, **{**overrides, **parts})) if machine.composed else None
    return Asked(machine, option, vary, measured, {key: value for key, value in overrides.items() if value is not None})


def shipped_disk() -> Machine:
    """The virtual disk of the shipped data set, calibrated."""
    return calibrate(read_set(shipped.data("fio", shipped.DEFAULT_DATA_SET)))


def answer(asked: Asked, number: int) -> Answer:
    """Answer one question.

    :raises InputError: on a number that none has.
    """
    if number not in ANSWERS:
        raise InputError("answers", "question", number, f"1 to {max(QUESTIONS)}")
    if number in _OF_PAGES and not writes_pages(asked.machine.limits):
        return no_page(number, asked)
    unseen = [item for item in missing(asked.machine) if "cpu" in item.hides]
    if number in _OF_CPU and unseen:
        return no_cpu(number, asked, unseen[0])
    return ANSWERS[number](asked)


def answer_all(asked: Asked) -> list[Answer]:
    """Answer all questions, in their order."""
    return [answer(asked, number) for number in QUESTIONS]
