"""``zpmodel structure``: exact counts and histograms of zeroing ranges."""

from typing import IO, TYPE_CHECKING, Any

import click

from zpmodel.commands.cases import CasesFile, emit_cases, lines_of, refuse_beside_cases
from zpmodel.commands.output import emit_json, emit_table, json_option, say

if TYPE_CHECKING:
    from zpmodel.queue.limits import QueueLimits
    from zpmodel.queue.zeropage import ZeroPage
    from zpmodel.structure import NvmeDescriptors, Structure


@click.command("structure")
@click.option("--zero-page", default="page", show_default=True, help="page, static, on-demand, or a size: 64KiB.")
@click.option(
    "--limits",
    metavar="FILE|NAME|DIR",
    help="JSON or TOML file, /sys/block/DEV (or a copy), or a preset: loop, null_blk, sata, virtio-blk, "
    "nvme-mdts5, nvme-mdts7@6.12, nvme-mdts5+iommu.",
)
@click.option("--offset", default="0", show_default=True, help="First byte of the range: 0, 1MiB.")
@click.option("--length", help="Bytes of the range: 4096, 1GiB, 1TiB.")
@click.option("--cases", type=CasesFile(), help="JSON lines, one range or request each; - for stdin.")
@json_option
def command(
    zero_page: str, limits: str | None, offset: str, length: str | None, cases: IO[str] | None, as_json: bool
) -> None:
    """Exactly which bios, splits, requests and segments zeroing a range makes.

    \b
    zpmodel structure --zero-page static --limits nvme-mdts5 --length 1GiB
    zpmodel structure --limits /sys/block/nvme0n1 --length 1TiB --json
    zpmodel structure --cases ranges.jsonl > counted.jsonl

    A line of --cases has "limits" (names as under /sys/block/DEV/queue, also "max_sectors" and "chunk_sectors" in
    512-byte sectors), "offset", "length", and "zero_page_bytes" or "persistent_huge_zero_folio". Or it names a "user"
    of zero pages (see zpmodel callers), "kernel", the zero page, and that user's own request:

    \b
    {"user": "iomap_dio_zero", "kernel": "7.3", "zero_page_bytes": 4096,
     "block_bytes": 16384, "write_offset": 512, "write_length": 512}
    """
    if cases is not None:
        refuse_beside_cases(("zero_page", "limits", "offset", "length"), "pages, limits and ranges")
        from zpmodel.callers.cases import count_lines

        emit_cases(cases, (found.as_case() for found in count_lines(lines_of(cases), source=cases.name)))
        return
    if not limits or not length:
        raise click.UsageError("give --limits and --length, or --cases; see zpmodel structure --help")
    from zpmodel.base.accelerate import few_answers
    from zpmodel.queue.presets import find_limits

    queue = find_limits(limits)
    few_answers(queue.chunk_sectors)
    from zpmodel.base.units import parse_size
    from zpmodel.queue.zeropage import ZeroPage
    from zpmodel.structure import count, descriptors

    page = ZeroPage.named(zero_page)
    found = count(page, queue, parse_size(offset, field="--offset"), parse_size(length, field="--length"))
    nvme, without = descriptors(found), descriptors(found, sgl=False)
    if as_json:
        emit_json(
            {
                "zero_page": {"policy": page.policy, "bytes": page.size_bytes},
                "limits": queue.to_sysfs(),
                **found.totals(),
                **found.as_case(),
                "bio_count": found.bios,
                "request_count": found.requests,
                "if_nvme": vars(nvme),
                "if_nvme_without_sgl": vars(without),
            }
        )
        return
    _print(found, (nvme, without), page, queue)


def _print(
    found: "Structure", nvme: "tuple[NvmeDescriptors, NvmeDescriptors]", page: "ZeroPage", queue: "QueueLimits"
) -> None:
    from zpmodel.base.units import format_size

    say(f"{found.operation} of {format_size(found.length)} from {page} on {queue.source}")
    names = {
        "bios": found.bios,
        "vectors": found.vectors,
        "splits": found.splits,
        "back merges": found.back_merges,
        "requests": found.requests,
        "segments": found.segments,
        "PRP entries (NVMe with SGLs)": nvme[0].prp_entries,
        "SGL descriptors (NVMe with SGLs)": nvme[0].sgl_descriptors,
        "PRP entries (NVMe without SGLs)": nvme[1].prp_entries,
    }
    emit_table([{"count of": name, "number": f"{value:,}"} for name, value in names.items()])
    say("\nbios")
    _histogram(found.bio_histogram())
    say("\nrequests")
    _histogram(found.request_histogram())


def _histogram(rows: list[dict[str, int]]) -> None:
    from zpmodel.base.units import format_size

    table: list[dict[str, Any]] = [{"size": format_size(row["bytes"]), **row} for row in rows]
    emit_table(table[:40])
    if len(table) > 40:
        say(f"... and {len(table) - 40} more kinds; --json shows all")
