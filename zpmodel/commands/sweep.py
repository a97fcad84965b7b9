"""``zpmodel sweep``: grids and samples over any inputs of a question."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zpmodel.commands.machine_options import AskedMachine, machine_options
from zpmodel.commands.output import emit_json, emit_table, json_option, say

if TYPE_CHECKING:
    from zpmodel.study.sweep import Span


@click.command("sweep")
@machine_options
@click.option("--grid", multiple=True, metavar="NAME=A,B,C", help="Every value of an input; all combinations.")
@click.option("--range", "ranges", multiple=True, metavar="NAME=LOW:HIGH[:log]", help="An input to sample from.")
@click.option("--samples", type=click.IntRange(1), default=1, show_default=True, help="Of the ranges, in each cell.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the scrambled Sobol' sequence.")
@click.option("--out", type=click.Path(path_type=Path), help="Parquet file; a killed run is taken up again.")
@click.option("--jobs", type=click.IntRange(1), help="Processes; all cores if left out.")
@click.option("--scheduler", metavar="ADDRESS", help="A Dask scheduler to work on: tcp://host:8786.")
@json_option
def command(
    asked: AskedMachine,
    grid: tuple[str, ...],
    ranges: tuple[str, ...],
    samples: int,
    seed: int,
    out: Path | None,
    jobs: int | None,
    scheduler: str | None,
    as_json: bool,
) -> None:
    """Many questions at once: all combinations of a grid, samples of ranges, over any inputs by name.

    \b
    zpmodel sweep --calibration machine.json --grid zero_page=page,64KiB,static --grid length=1MiB,1GiB,1TiB
    zpmodel sweep --calibration machine.json --grid length=1GiB --range max_sectors=64:8192:log
      --range device.bandwidth=1e8:1e10:log --range cpu.vector=0.5:2 --samples 4096 --out sweep.parquet

    Inputs are those of a question (length, offset, zero_page, depth, fallback_share), of a queue (max_sectors,
    max_segments ...), of a device (device.latency [s], device.bandwidth [B/s] ...) and factors on what a CPU takes
    (cpu.factor, cpu.vector ...). The result is the same whatever --jobs and --scheduler.
    """
    from zpmodel.host.signals import status_of
    from zpmodel.study import inputs
    from zpmodel.study.pieces import refused, run, to_parquet
    from zpmodel.study.scenario import Scenario
    from zpmodel.study.sweep import Plan

    cells = {name: [inputs.parse(name, item) for item in text.split(",")] for name, text in map(named, grid)}
    spans = {name: span_of(name, text) for name, text in map(named, ranges)}
    plan = Plan(Scenario(asked.load()), cells, spans, samples, seed)
    client = connect(scheduler) if scheduler else None
    if out is not None:
        progress = Progress(plan.rows)
        try:
            to_parquet(plan, out, jobs=jobs, client=client, done=progress)
        except KeyboardInterrupt as error:
            progress.clear()
            say("zpmodel: stopped; the same command goes on from here", err=True)
            click.get_current_context().exit(status_of(error))
        number, why = refused(out)
        if as_json:
            emit_json({"rows": plan.rows, "refused": number, "file": str(out)})
            return
        say(f"{plan.rows:,} scenarios in {out}")
        if number:
            say(f"{number:,} of them can't be and have no answer (column why_not); the first: {why}", err=True)
        return
    pieces = dict(run(plan, range(plan.rows), jobs=jobs or (1 if plan.rows < 2000 else None), client=client))
    rows: list[dict[str, Any]] = [row for start in sorted(pieces) for row in pieces[start].to_dict("records")]  # type: ignore[misc]
    if as_json:
        emit_json({"scenarios": rows})
        return
    emit_table(rows[:60])
    if len(rows) > 60:
        say(f"... and {len(rows) - 60} more; --json or --out has all")


class Progress:
    """Says how many scenarios are done, how fast, and how long the rest will take, on stderr."""

    def __init__(self, rows: int) -> None:
        self.rows, self.started, self.first, self.said = rows, time.monotonic(), -1, -1e9
        self.terminal = sys.stderr.isatty()

    def __call__(self, done: int) -> None:
        """Take note of how many are done."""
        now = time.monotonic()
        if self.first < 0:
            self.first = done
        if now - self.said < (0.5 if self.terminal else 10) and done < self.rows:
            return
        self.said = now
        rate = (done - self.first) / max(now - self.started, 1e-9)
        text = f"{done:,} of {self.rows:,}"
        if rate > 0:
            text += f", {rate:,.0f} a second, {(self.rows - done) / rate:,.0f} s left"
        click.echo(f"\r{text}   " if self.terminal else text, err=True, nl=not self.terminal or done == self.rows)

    def clear(self) -> None:
        """Remove the line that is rewritten."""
        if self.terminal:
            click.echo("\r\x1b[K", nl=False, err=True)


def named(text: str) -> tuple[str, str]:
    """An input and what it may be, as typed: name=values.

    :raises InputError: on anything else.
    """
    from zpmodel.base.errors import InputError
    from zpmodel.study.inputs import check_name

    name, equals, rest = text.partition("=")
    if not equals or not rest:
        raise InputError("sweep", "input", text, "name=values")
    check_name(name)
    return name, rest


def span_of(name: str, text: str) -> "Span":
    """A range as typed: low:high, or low:high:log.

    :raises InputError: on anything else.
    """
    from zpmodel.base.errors import InputError
    from zpmodel.study import inputs
    from zpmodel.study.sweep import Span

    parts = text.split(":")
    if len(parts) not in (2, 3) or parts[2:] not in ([], ["log"]) or name in inputs.WORDS:
        raise InputError("sweep", name, text, "low:high or low:high:log")
    low, high = (inputs.parse(name, part) for part in parts[:2])
    return Span(float(low), float(high), len(parts) == 3)


def connect(address: str) -> Any:
    """A client of a Dask scheduler.

    :raises InputError: where there is none.
    """
    from zpmodel.base.errors import InputError, RefusedError

    try:
        from distributed import Client
    except ImportError:
        raise RefusedError("--scheduler needs Dask distributed: pip install 'zpmodel[sweep]'") from None
    try:
        return Client(address, timeout="10s")  # type: ignore[no-untyped-call]
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError("sweep", "--scheduler", address, f"a scheduler that answers ({error})") from None
