"""``zpmodel price``: the memory that a zero page holds."""

from typing import Any

import click

from zpmodel.commands.output import emit_json, emit_table, json_option, say


@click.command("price")
@click.option("--folio", help="Size of the zero page; by default the PMD of each architecture and page size.")
@click.option("--ram", multiple=True, help="A machine's memory, may be repeated; 512MiB, 1GiB, 2GiB and 64GiB.")
@click.option("--held-share", type=click.FloatRange(0, 1), default=1.0, show_default=True,
              help="Share of the time for which it exists: 1 is static.")  # fmt: skip
@click.option("--threshold", type=float, default=0.001, show_default=True, help="Share of RAM that is reasonable.")
@json_option
def command(folio: str | None, ram: tuple[str, ...], held_share: float, threshold: float, as_json: bool) -> None:
    """A zero page as a share of RAM, and from how much RAM on it is reasonable.

    \b
    zpmodel price
    zpmodel price --folio 32MiB --ram 8GiB --ram 64GiB --threshold 0.004

    What is reasonable is a convention: at most so large a share of RAM (--threshold) while it exists.
    """
    from zpmodel.base.units import format_size, parse_size
    from zpmodel.memory.life.price import RAM_BYTES, price_of, price_table, rule

    amounts = [parse_size(text, field="--ram") for text in ram] or list(RAM_BYTES)
    if folio is None:
        table = price_table(amounts, threshold=threshold, held_share=held_share)
    else:
        table = price_of(parse_size(folio, field="--folio"), amounts, threshold=threshold, held_share=held_share)
    rows: list[dict[str, Any]] = [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
    if as_json:
        emit_json({"threshold": threshold, "held_share": held_share, "rule": rule(threshold), "price": rows})
        return
    say(rule(threshold))
    shown = []
    for row in rows:
        sizes = {name.removesuffix("_bytes"): value for name, value in row.items() if name.endswith("_bytes")}
        rest = {name: value for name, value in row.items() if not name.endswith("_bytes") and name != "architecture"}
        head = {"architecture": row["architecture"]} if "architecture" in row else {}
        rest["ram_share"] = f"{rest['ram_share']:.4%}"
        shown.append({**head, **{name: format_size(value) for name, value in sizes.items()}, **rest})
    emit_table(shown)
