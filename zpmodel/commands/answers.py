"""``zpmodel answers``: the eleven questions of the kernel's reviewers, each with a number and its limits."""

from pathlib import Path

import click

from zpmodel.commands.machine_options import machine_options
from zpmodel.commands.output import emit_json, emit_table, json_option


@click.command("answers")
@click.argument("number", type=click.IntRange(1, 11), required=False)
@machine_options
@json_option
def command(
    number: int | None,
    calibration: Path | None,
    machine: str | None,
    device: str | None,
    cpu: str | None,
    iommu: str | None,
    kernel: str | None,
    as_json: bool,
) -> None:
    """The reviewers' eleven questions, answered: a sentence, its figures with 90 % intervals, and when it fails.

    \b
    zpmodel answers
    zpmodel answers 3 --machine nvme-mailing-list --iommu lazy
    zpmodel answers --json

    Without a machine: the NVMe drive of the mailing list as composed, and beside it the shipped, measured disk.
    """
    from zpmodel.study.answers.all import DEFAULT_MACHINE, answer, answer_all, asked_of, shipped_disk

    if calibration is not None and machine is not None:
        raise click.UsageError("give one of --calibration FILE and --machine FILE|NAME, or none")
    given = calibration or machine
    # Only the first question sets the measured disk beside the other.
    beside = shipped_disk() if given is None and number in (None, 1) else None
    asked = asked_of(str(given or DEFAULT_MACHINE), measured=beside, device=device, cpu=cpu, iommu=iommu, kernel=kernel)
    found = answer_all(asked) if number is None else [answer(asked, number)]
    if as_json:
        emit_json({"machine": asked.machine.name, "answers": [each.as_dict() for each in found]})
        return
    for each in found:
        click.echo(f"{each.number}. {each.question}\n   {each.sentence}")
        if number is not None:
            click.echo("")
            emit_table([{"figure": figure.what, "value [90 %]": figure.shown} for figure in each.figures])
            click.echo("")
        for label, text in (("rests on", each.basis), ("fails when", each.fails_when), ("missing", each.missing)):
            if text and (number is not None or label != "rests on"):
                click.echo(f"   {label}: {text}")
        click.echo(f"   again: {each.command}\n")
