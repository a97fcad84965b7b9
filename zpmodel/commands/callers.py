"""``zpmodel callers``: the users of zero pages, before and after conversion."""

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import click

from zpmodel.commands.machine_options import AskedMachine, machine_options
from zpmodel.commands.output import emit_json, emit_table, json_option, say

if TYPE_CHECKING:
    from zpmodel.study.conversions import Gain
    from zpmodel.timing.machine import Machine

_DEFAULT = "nvme-mailing-list"


@click.command("callers")
@click.argument("user", required=False)
@machine_options
@json_option
def command(
    user: str | None,
    asked: AskedMachine,
    as_json: bool,
) -> None:
    """Who zeroes with zero pages, and what a larger one changes for each.

    \b
    zpmodel callers
    zpmodel callers iomap_dio_zero
    zpmodel callers --machine nvme-mailing-list --iommu lazy
    zpmodel callers --json

    Counts are of a typical request of each user: bios, vectors, vectors allocated, calls that hand zeroes down, waits,
    and bytes that a CPU reads. "finished" is every user converted, and asking for vectors by the folio's size.
    Gains are for each GiB zeroed, through a machine; without one, through the NVMe drive of the mailing list.
    """
    from zpmodel.callers.find import all_callers, find_caller
    from zpmodel.callers.table import CPU_READERS, describe
    from zpmodel.study.conversions import STEPS, gain

    model = asked.load(_DEFAULT)
    callers = list(all_callers()) if user is None else [find_caller(user)]
    if as_json:
        found = []
        for caller in callers:
            steps = {step: gain(model, caller, step) for step in STEPS}
            found.append({**describe(caller), "gains": {k: v and v.row() for k, v in steps.items()}})
        more = {"machine": model.name, "cpu_readers": CPU_READERS}
        emit_json({**found[0], "machine": model.name} if user is not None else {"users": found, **more})
        return
    if user is not None:
        _show(describe(callers[0]))
        if gained := [_gained(item) for step in STEPS if (item := gain(model, callers[0], step)) is not None]:
            say(f"\nfor each GiB of zeroes, through {model.name}")
            emit_table(gained)
        return
    _table()
    _ranked(model)
    say("\nlose by a larger source, because their driver reads it with the CPU:")
    emit_table([{"device": name, "why": why} for name, why in CPU_READERS.items()])
    say("\nzpmodel callers USER tells a user's loops, what limits it, and what an on-demand page asks of it")


def _table() -> None:
    from zpmodel.callers.find import all_callers
    from zpmodel.callers.table import STATES, change, counts_table, overall

    counts = counts_table().drop(columns=["zero_page_bytes", "cpu_reads"])
    shown = counts.astype(object).where(counts.notna(), None)
    emit_table([{str(name): row[name] for name in shown.columns} for _, row in shown.iterrows()])
    say("\nby the counts alone, and why:")
    states = list(STATES)
    rows = []
    for caller in all_callers():
        steps = [change(caller, before, after).verdict for before, after in pairwise(states)]
        names = ("option off since 6.12", "option on", "finishing")
        rows.append(
            {
                "user": caller.facts.name,
                **dict(zip(names, steps, strict=True)),
                "overall": overall(caller),
                "why": caller.facts.why,
            }
        )
    emit_table(rows)


def _ranked(model: "Machine") -> None:
    from zpmodel.study.conversions import gains

    for step, title in (("left to do", "left to convert, most first"), ("done by 7.3", "done by 7.3")):
        say(f"\n{title}; for each GiB of zeroes, through {model.name}, 90 % intervals")
        emit_table([_gained(item) for item in gains(model, step)])


def _gained(item: "Gain") -> dict[str, Any]:
    saved = item.cpu_saved_s
    return {
        "user": item.user,
        "step": item.step,
        "CPU saved [ms/GiB]": None if saved is None else str(saved.scaled(1e3)),
        "times as fast": None if item.speedup is None else item.speedup.as_ratio(),
        "calls/GiB": f"{item.calls[0]:,.0f} -> {item.calls[1]:,.0f}",
        "worth it": item.worth,
    }


def _show(found: Mapping[str, Any]) -> None:
    say(f"{found['user']}: {found['title']}")
    words = ("kind", "source", "loop_6.12", "loop_7.3", "converted_since", "gone_since", "limited_by", "why", "loses")
    emit_table([{"about": name.replace("_", " "), "what": found[name]} for name in words if found[name]])
    owed = found["on_demand"]
    can = "possible" if owed["possible"] else "impossible"
    say(f"an on-demand page is {can}: {owed['how']}")
    say(f"\ncounts of {found['request']}")
    emit_table([{"state": state, **(counts or {})} for state, counts in found["counts"].items()])
