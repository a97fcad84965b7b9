"""``zpmodel instructions``: what the NVMe driver and the block layer spend on zeroing a range, counted."""

from typing import IO, Any

import click

from zpmodel.commands.cases import CasesFile, emit_cases, lines_of, refuse_beside_cases
from zpmodel.commands.output import emit_json, emit_table, json_option, say

_SINGLE = ("limits", "mdts", "zero_page", "length", "kernel", "iommu", "sgl")


@click.command("instructions")
@click.option(
    "--limits", metavar="FILE|NAME|DIR", help="The queue's limits; else --mdts as the kernel's driver sets them."
)
@click.option("--mdts", type=click.IntRange(0, 20), help="Largest transfer as the power of two of 4 KiB: 5 is 128 KiB.")
@click.option("--zero-page", default="page", show_default=True, help="page, static, on-demand, or a size: 64KiB.")
@click.option("--length", default="16MiB", show_default=True, help="Bytes of the range: 128KiB, 1GiB.")
@click.option("--kernel", default="7.3", show_default=True, help="Version of Linux.")
@click.option(
    "--iommu", type=click.Choice(["none", "passthrough", "lazy", "strict"]), default="none", show_default=True,
    help="How DMA addresses are made.",
)  # fmt: skip
@click.option("--sgl/--no-sgl", default=True, help="Whether the controller has SGLs.")
@click.option("--cases", type=CasesFile(), help="JSON lines, one question each; - for stdin.")
@json_option
def command(
    limits: str | None, mdts: int | None, zero_page: str, length: str, kernel: str, iommu: Any, sgl: bool,
    cases: IO[str] | None, as_json: bool,
) -> None:  # fmt: skip
    """Instructions of zeroing a range: NVMe preparing and unmapping a request, and the block layer's whole work.

    \b
    zpmodel instructions --mdts 5 --zero-page static --iommu lazy --length 1GiB
    zpmodel instructions --limits nvme-mdts7@6.12 --kernel 6.12 --no-sgl
    zpmodel instructions --cases questions.jsonl > answers.jsonl

    A line of --cases has "kernel", "iommu", "sgl", "mdts" or "limits" (names of sysfs), "zero_page_bytes",
    "length_bytes", and may have "max_sectors_kb". It is answered by "prepare_instructions" and "unmap_instructions"
    (means of a request) and "instructions" (the block layer's, of the whole range), each with "_low" and "_high".
    """
    if cases is not None:
        refuse_beside_cases(_SINGLE, "questions")
        from zpmodel.kernel_cpu.cases import answer_cases

        emit_cases(cases, answer_cases(lines_of(cases), source=cases.name))
        return
    if (limits is None) == (mdts is None):
        raise click.UsageError("give one of --limits and --mdts, or --cases; see zpmodel instructions --help")
    from zpmodel.base.units import parse_size
    from zpmodel.kernel_cpu.mapping import Question, answer
    from zpmodel.kernel_cpu.nvme import Host, nvme_limits
    from zpmodel.queue.presets import find_limits
    from zpmodel.queue.zeropage import ZeroPage

    queue = find_limits(limits) if limits else nvme_limits(kernel, mdts or 0, iommu, source="--mdts")
    page = ZeroPage.named(zero_page)
    found = answer(Question(kernel, Host(iommu, sgl), queue, page, parse_size(length, field="--length")), "--kernel")
    if as_json:
        from zpmodel.kernel_cpu.cases import as_fields

        emit_json({"limits": queue.to_sysfs(), "sgl": sgl, "requests": found.requests, **as_fields(found)})
        return
    say(f"{length} from {page} on {queue.source}, Linux {kernel}, IOMMU {iommu}; counted on {found.counted_on}")
    total = (found.prepare.value + found.unmap.value) * found.requests + found.block_layer.value
    emit_table(
        [
            {"instructions": name, "value": round(e.value), "low": round(e.low), "high": round(e.high)}
            for name, e in (
                ("NVMe prepare, a request", found.prepare),
                ("NVMe unmap, a request", found.unmap),
                ("block layer, the range", found.block_layer),
            )
        ]
    )
    say(
        "A controller with SGLs is assumed; --no-sgl asks for one without."
        if sgl
        else "A controller without SGLs, as asked."
    )
    say(f"{found.requests:,} requests; {total:,.0f} instructions in all")
