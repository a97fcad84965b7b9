"""``zpmodel read``: a CPU that reads zeroes, from 4 KiB, from 2 MiB or from a virtual 2 MiB."""

from typing import Any

import click

from zpmodel.commands.output import emit_json, emit_table, json_option, say


@click.command("read")
@click.argument("work", default="copy")
@click.option("--machine", metavar="NAME|FILE", help="A shipped machine file or your own (.toml); all measured ones.")
@click.option("--folio", default="2MiB", show_default=True, help="Size of the large zero page.")
@click.option("--target", default="4KiB", show_default=True, help="Destination that is written again and again (copy).")
@click.option("--chunk", help="What one call reads; by default calls cost nothing. A 4 KiB page gives 4 KiB a call.")
@click.option("--crc", default="folding", show_default=True, help="How a CRC is made: tables, instruction or folding.")
@click.option("--without", multiple=True, metavar="NAME", help="Know nothing of this CPU, to see what is said then.")
@json_option
def command(
    work: str,
    machine: str | None,
    folio: str,
    target: str,
    chunk: str | None,
    crc: str,
    without: tuple[str, ...],
    as_json: bool,
) -> None:
    """A CPU that reads zeroes: WORK is copy, sum or crc. From 4 KiB, 2 MiB, and a virtual 2 MiB (one page 512 times).

    \b
    zpmodel read copy
    zpmodel read crc --chunk 64KiB --crc instruction --machine epyc-milan
    zpmodel read copy --machine my-cpu.toml --target 1MiB

    "times 4 KiB" is the bandwidth over that from a 4 KiB page; below 1 a larger page loses. A device that reads by DMA
    gains nothing from a virtual page: its vectors are those of 4 KiB pages.
    """
    from zpmodel.base.units import format_size, parse_size
    from zpmodel.memory.machines import read_machine
    from zpmodel.memory.reading.cpus import known_readers
    from zpmodel.memory.reading.model import SOURCES

    sizes = {"folio_bytes": parse_size(folio, field="--folio"), "target_bytes": parse_size(target, field="--target")}
    chunk_bytes = None if chunk is None else parse_size(chunk, field="--chunk")
    asked = {**sizes, "chunk_bytes": chunk_bytes, "crc": crc, "left_out": without}
    names = known_readers() if machine is None else [machine]
    rows = [_row(read_machine(name), work, source, asked) for name in names for source in SOURCES]
    if as_json:
        emit_json({"work": work, **sizes, "chunk_bytes": chunk_bytes, "reading": rows})
        return
    from zpmodel.base.estimate import Estimate

    say(f"{work} of zeroes, folio of {format_size(sizes['folio_bytes'])}, one core, 90 % intervals")
    shown = []
    for row in rows:
        rate = Estimate(row["bandwidth_bytes_per_s"], row["low_bytes_per_s"], row["high_bytes_per_s"])
        ratio = Estimate(row["against_page"], row["against_page_low"], row["against_page_high"])
        shown.append(
            {
                "machine": row["machine"],
                "from": row["zero_page"],
                "GB/s": str(rate.scaled(1e-9)),
                "times 4 KiB": "-" if row["zero_page"] == "page" else str(ratio),
                "verdict": row["verdict"],
                "cache taken": format_size(row["llc_bytes"]),
                "rests on": row["source"],
                "not measured": row["missing"] or None,
            }
        )
    emit_table(shown)


def _row(machine: Any, work: Any, source: Any, asked: dict[str, Any]) -> dict[str, Any]:
    from zpmodel.memory.reading.cpus import read_zeroes

    found = read_zeroes(machine, work, source, **asked)
    rate, ratio = found.bandwidth, found.against_page
    return {
        "machine": machine.name,
        "model": machine.model,
        "zero_page": source,
        "bandwidth_bytes_per_s": rate.value,
        "low_bytes_per_s": rate.low,
        "high_bytes_per_s": rate.high,
        **ratio.columns("against_page"),
        "verdict": found.verdict,
        "llc_bytes": found.llc_bytes,
        "source": rate.source,
        "missing": found.missing,
    }
