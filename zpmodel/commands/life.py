"""``zpmodel life``: the life of an on-demand huge zero folio."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zpmodel.commands.output import emit_json, emit_table, json_option, say

if TYPE_CHECKING:
    from zpmodel.base.estimate import Estimate


@click.command("life")
@click.option("--users-per-s", type=float, default=1 / 60, show_default="1/60", help="Users that arrive.")
@click.option("--hold", "hold_s", type=float, default=1.0, show_default=True, help="Seconds for which one keeps it.")
@click.option(
    "--scans-per-s", type=float, help="Passes of the shrinker; with --failure here this machine's, else assumed."
)
@click.option(
    "--failure", metavar="SHARE|NAME|here", default="anywhere", show_default=True,
    help="Share of allocations that fail: a number, a name of a reported case or published rate, or this machine.",
)  # fmt: skip
@click.option("--buddyinfo", type=click.Path(path_type=Path), help="A copy of /proc/buddyinfo or /proc/pagetypeinfo.")
@click.option("--vmstat", type=click.Path(path_type=Path), help="A copy of /proc/vmstat, beside --buddyinfo.")
@click.option("--getter", default="mm", show_default=True, help="How references count: mm, io, cpu or static-key.")
@click.option("--kernel", default="7.3", show_default=True, help="Its way of clearing a folio.")
@click.option("--machine", metavar="NAME|FILE", help="Whose clearing and counting; of any CPU if left out.")
@click.option("--simulate", "days", type=click.FloatRange(0, 1000), default=0.0, help="Simulate so many days as well.")
@json_option
def command(
    users_per_s: float,
    hold_s: float,
    scans_per_s: float | None,
    failure: str,
    buddyinfo: Path | None,
    vmstat: Path | None,
    getter: str,
    kernel: str,
    machine: str | None,
    days: float,
    as_json: bool,
) -> None:
    """How often an on-demand folio is there, what getting it costs, and how much memory it holds, with 90 % intervals.

    \b
    zpmodel life
    zpmodel life --users-per-s 10 --hold 0.2 --scans-per-s 0.1 --failure counted-270-gb
    zpmodel life --failure here --simulate 1
    """
    from zpmodel.callers.base import Kernel
    from zpmodel.memory.clearing.cpus import clear_folio_s
    from zpmodel.memory.life.getter import getter_times
    from zpmodel.memory.machines import read_machine
    from zpmodel.study.on_demand import OnDemand
    from zpmodel.study.served import shares_of

    cpu = None if machine is None else read_machine(machine)
    version = Kernel.parse(kernel, "--kernel").version
    asked = OnDemand(
        users_per_s,
        hold_s,
        _scans(scans_per_s, failure, buddyinfo),
        _failure(failure, buddyinfo, vmstat),
        getter,  # type: ignore[arg-type]
        clear_s=clear_folio_s(cpu, kernel=version),
        times=getter_times(None if cpu is None else cpu.name),
        kernel=version,
        source=f"{'assumed' if (users_per_s, hold_s) == (1 / 60, 1.0) else 'given'}: a user every "
        f"{1 / users_per_s if users_per_s else 0:.4g} s, who holds the folio for {hold_s:g} s",
    )
    rows = [_row(name, unit, estimate) for name, unit, estimate in shares_of(asked)]
    found: dict[str, Any] = {"life": rows, "rests_on": asked.rests_on()}
    if days:
        from zpmodel.memory.life.simulate import simulate

        simulated = simulate(asked.life(), seconds=days * 86_400)
        found["simulated"] = simulated.intervals.to_dict("records")
    if as_json:
        emit_json(found)
        return
    emit_table([{"": row["what"], "unit": row["unit"], "value [90 %]": row["shown"]} for row in rows])
    if days:
        say(f"\nsimulated, {days:g} days at the middle of each interval")
        emit_table(found["simulated"])
    say("\nrests on")
    emit_table([{"input": name, "source": source} for name, source in found["rests_on"].items()])


def _row(name: str, unit: str, estimate: "Estimate") -> dict[str, Any]:
    return {"what": name, "unit": unit, **estimate.as_dict(), "shown": str(estimate)}


def _scans(given: float | None, failure: str, buddyinfo: Path | None) -> Any:
    """As given; of this machine where its failures are asked for; else assumed."""
    from zpmodel.memory.life.vmstat import scans_since_boot
    from zpmodel.study.on_demand import SCANS

    if given is not None:
        return given
    return scans_since_boot() if failure == "here" and buddyinfo is None else SCANS


def _failure(text: str, buddyinfo: Path | None, vmstat: Path | None) -> Any:
    from zpmodel.base.errors import InputError
    from zpmodel.memory.life.cases import failure_names, failure_of
    from zpmodel.memory.life.vmstat import failure_here, failure_probability, read_free_blocks, read_vmstat

    if buddyinfo is not None:
        return failure_probability(read_free_blocks(buddyinfo), {} if vmstat is None else read_vmstat(vmstat))
    if text == "here" and vmstat is None:
        return failure_here()
    if vmstat is not None:
        raise click.UsageError("--vmstat goes with --buddyinfo")
    if text in failure_names():
        return failure_of(text)
    try:
        return float(text)
    except ValueError:
        accepted = f"a share from 0 to 1, here, {', '.join(failure_names())}"
        raise InputError("command line", "--failure", text, accepted) from None
