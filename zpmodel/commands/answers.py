"""``zpmodel answers``: the eleven questions of the kernel's reviewers, each with a number and its limits."""

import click

from zpmodel.commands.machine_options import AskedMachine, machine_options, said_by_option, say_assumed
from zpmodel.commands.output import emit_json, emit_table, json_option, say


@click.command("answers")
@click.argument("numbers", type=click.IntRange(1, 11), nargs=-1)
@machine_options
@json_option
def command(
    numbers: tuple[int, ...],
    asked: AskedMachine,
    as_json: bool,
) -> None:
    """The reviewers' eleven questions, answered: a sentence, its figures with 90 % intervals, and when it fails.

    \b
    zpmodel answers
    zpmodel answers 1 3 --machine nvme-mailing-list --iommu lazy
    zpmodel answers --json

    Without a machine: the NVMe drive of the mailing list as composed, and beside it the shipped, measured disk.
    """
    from zpmodel.study.answers.all import DEFAULT_MACHINE, answer, answer_all, asked_of, shipped_disk

    name = asked.named(DEFAULT_MACHINE)
    # Only the first question sets the measured disk beside the other.
    beside = shipped_disk() if not asked.given and (not numbers or 1 in numbers) else None
    with said_by_option():
        questioned = asked_of(name, measured=beside, **asked.parts)
    say_assumed(questioned.machine)
    found = [answer(questioned, number) for number in numbers] if numbers else answer_all(questioned)
    if as_json:
        emit_json({"machine": questioned.machine.name, "answers": [each.as_dict() for each in found]})
        return
    for each in found:
        say(f"{each.number}. {each.question}\n   {each.sentence}")
        if numbers:
            say("")
            emit_table([{"figure": figure.what, "value [90 %]": figure.shown} for figure in each.figures])
            say("")
        for label, text in (("rests on", each.basis), ("fails when", each.fails_when), ("missing", each.missing)):
            if text and (numbers or label != "rests on"):
                say(f"   {label}: {text}")
        say(f"   again: {each.command}\n")
