"""``zpmodel measure``: the fio matrix on this machine."""

import sys
import time
from typing import TYPE_CHECKING

import click

from zpmodel.commands.output import emit_json, emit_table, json_option, say

if TYPE_CHECKING:
    from pathlib import Path

    from zpmodel.measure.run import Progress, Summary


@click.command()
@click.option("--target", required=True, metavar="PATH", help="Directory for a scratch file; or see --destroy-data.")
@click.option("--out", required=True, metavar="DIR", help="Folder of the data set; the same command again resumes.")
@click.option("--quick", is_flag=True, help="The small matrix: two minutes instead of ten.")
@click.option("--time", "seconds", type=float, metavar="SECONDS", help="Stop after so long, earlier sessions included.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Seed of the random order (drawn and recorded).")
@click.option("--destroy-data", is_flag=True, help="Overwrite PATH, an existing file or block device. Asks first.")
@click.option("--yes", is_flag=True, help="Do not ask (with --destroy-data).")
@json_option
def command(
    target: str,
    out: str,
    quick: bool,
    seconds: float | None,
    seed: int | None,
    destroy_data: bool,
    yes: bool,
    as_json: bool,
) -> int | None:
    """Measure what 4 KiB and 2 MiB vectors cost on this machine, with fio.

    Writes zeroes to a scratch file in the directory PATH, through io_uring and registered buffers, once with buffers
    of 4 KiB pages and once of 2 MiB pages, at many block sizes and queue depths; and lets the kernel clear memory
    (/dev/zero). Buffers of 2 MiB pages need huge pages: as root they are reserved and given back.

    Stop it with Ctrl-C whenever you like. Every finished point is kept; the same command goes on.

    \b
    Examples:
      zpmodel measure --target /mnt/ssd --out results/ssd --quick
      zpmodel measure --target /dev/nvme9n1 --destroy-data --out results/nvme
    """
    from zpmodel.base.errors import InputError
    from zpmodel.host.signals import status_of
    from zpmodel.measure.run import measure

    if not target:
        raise InputError("zpmodel measure", "--target", "''", "a directory, a file or a block device")

    def confirm(lost: str) -> bool:
        say(f"This overwrites {lost}.", err=True)
        return click.confirm("Overwrite it?", err=True)

    show = _Line()
    try:
        summary = measure(
            target,
            out,
            quick=quick,
            seconds=seconds,
            seed=seed,
            destroy=destroy_data,
            confirm=None if yes else confirm,
            progress=show.progress,
            note=show.note,
        )
    except KeyboardInterrupt as error:
        show.clear()
        say("zpmodel: stopped; every finished point is kept, and the same command goes on from there", err=True)
        return status_of(error)
    show.clear()
    _print(summary, as_json)
    return None


class _Line:
    """One line on a terminal that is rewritten; a line for each round where there is none."""

    def __init__(self) -> None:
        self._terminal, self._round, self._shown = sys.stderr.isatty(), 0, 0.0

    def progress(self, now: "Progress") -> None:
        """Show where the measurement stands."""
        minutes, seconds = divmod(max(0, round(now.seconds_left)), 60)
        left = f"{minutes}:{seconds:02d} left"
        if self._terminal:
            if time.monotonic() - self._shown > 0.2:
                click.echo(f"\r\x1b[Kround {now.round}, {now.done} points, {left}, {now.point}", nl=False, err=True)
                self._shown = time.monotonic()
        elif now.round != self._round:
            say(f"round {now.round}: {now.done} points done, {left}", err=True)
        self._round = now.round

    def note(self, text: str) -> None:
        """Print something that stays."""
        self.clear()
        say(f"zpmodel: {text}", err=True)

    def clear(self) -> None:
        """Remove the line that is rewritten."""
        if self._terminal:
            click.echo("\r\x1b[K", nl=False, err=True)


def _print(summary: "Summary", as_json: bool) -> None:
    if as_json:
        fields = dict(vars(summary))
        contrasts = [vars(item) for item in summary.contrasts]
        emit_json({**fields, "contrasts": contrasts, "next": _next_command(summary.out)})
        return
    precise = "every ratio is narrow enough" if summary.contrasts else "every point has the rounds that it needs"
    why = {"precise": precise, "time": "the time is up", "rounds": "all rounds are done"}
    say(f"{summary.points} points in {summary.out}, {summary.failed} failed; {why[summary.stopped]}.\n")
    say("2 MiB against 4 KiB buffer pages (ratio, 90 % interval):")
    emit_table([_row(vars(item)) for item in summary.contrasts])
    if not summary.contrasts:
        say("none: no pair of the two is complete")
    say("\nThe reference points through the run:")
    emit_table([{**row, "change": _percent(row["change"]), "step": _percent(row["step"])} for row in summary.drift])
    say(f"\nWhat these data tell:  {_next_command(summary.out)}")


def _next_command(out: "Path") -> str:
    import shlex

    name = out.resolve().name
    return f"zpmodel report {shlex.quote(str(out))} --out {shlex.quote(f'reports/{name}')}"


def _row(item: dict[str, float]) -> dict[str, object]:
    from zpmodel.base.units import format_size

    return {
        "operation": item["operation"],
        "block": format_size(item["block_bytes"]),
        "depth": item["depth"],
        "max_sectors_kb": item["max_sectors_kb"] or "as found",
        "pairs": item["pairs"],
        "throughput": _ratio(item, "throughput"),
        "CPU per byte": _ratio(item, "cpu"),
    }


def _ratio(item: dict[str, float], what: str) -> str:
    low, high = item[f"{what}_low"], item[f"{what}_high"]
    interval = "[one pair]" if low != low else f"[{low:.3f}, {high:.3f}]"
    return f"{item[f'{what}_ratio']:.3f} {interval}"


def _percent(value: object) -> str:
    return f"{value:+.1%}" if isinstance(value, float) else "-"
