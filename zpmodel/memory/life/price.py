"""The memory that a zero page costs: bytes held x time, as a share of RAM, and when that is reasonable."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from zpmodel.base.errors import InputError
from zpmodel.base.units import GIB, MIB, format_size
from zpmodel.queue.zeropage import PMD_BYTES

LEAST_SHARE = 1e-12
"""The least share of RAM that can be asked about [1]: below a page of any memory, and dividing by it gives a number."""

REASONABLE_SHARE = 0.001
"""A zero page is called reasonable when it holds at most this share of RAM [1]: a thousandth, 2 MiB from 2,000 MiB on.

A convention, made to be changed. For scale: the kernel's page descriptors (64 bytes for 4 KiB) take 1.6 %, and the
kernel itself leaves transparent huge pages off below 512 MiB of RAM, where one PMD folio of 2 MiB is 0.4 %.
"""

RAM_BYTES = (512 * MIB, 1 * GIB, 2 * GIB, 64 * GIB)


@dataclass(frozen=True)
class Price:
    """What holding a zero page costs.

    :ivar held_bytes: mean memory held [byte].
    :ivar ram_share: of all RAM [1].
    :ivar byte_hours: bytes x hours held over the time asked for [byte h].
    :ivar reasonable: whether the peak, not the mean, is within the threshold.
    :ivar smallest_ram_bytes: RAM from which it would be [byte].
    """

    held_bytes: float
    ram_share: float
    byte_hours: float
    reasonable: bool
    smallest_ram_bytes: float


def price(
    folio_bytes: int,
    ram_bytes: int,
    *,
    held_share: float = 1.0,
    hours: float = 24.0,
    threshold: float = REASONABLE_SHARE,
) -> Price:
    """Price one zero page.

    :param folio_bytes: the folio [byte].
    :param ram_bytes: the machine's memory [byte].
    :param held_share: share of the time for which it exists: 1 for static, ``Outcome.held_share`` for on-demand [1].
    :param hours: time that is counted [h].
    :param threshold: largest share of RAM that counts as reasonable [1]. It judges the folio while it exists: memory
        must be there when it is wanted, whatever the mean.
    :raises InputError: on sizes that are not positive, shares out of range.
    """
    for field, value in (("folio_bytes", folio_bytes), ("ram_bytes", ram_bytes), ("threshold", threshold)):
        if not value > 0:
            raise InputError("price", field, value, "a positive number")
    if not LEAST_SHARE <= threshold <= 1:
        raise InputError("price", "threshold", threshold, f"a share of RAM, {LEAST_SHARE:g} to 1")
    if not 0 <= held_share <= 1:
        raise InputError("price", "held_share", held_share, "a share, 0 to 1")
    if not hours >= 0:
        raise InputError("price", "hours", hours, "0 or more")
    held = folio_bytes * held_share
    fine = held_share == 0 or folio_bytes <= threshold * ram_bytes
    return Price(held, held / ram_bytes, held * hours, fine, folio_bytes / threshold)


def price_of(
    folio_bytes: int,
    ram_bytes: Sequence[int] = RAM_BYTES,
    *,
    threshold: float = REASONABLE_SHARE,
    held_share: float = 1.0,
) -> pd.DataFrame:
    """One zero page against each amount of RAM.

    :return: ``folio_bytes ram_bytes ram_share reasonable smallest_ram_bytes``.
    :raises InputError: as :func:`price`.
    """
    rows = []
    for ram in ram_bytes:
        cost = price(folio_bytes, ram, threshold=threshold, held_share=held_share)
        rows.append((folio_bytes, ram, cost.ram_share, cost.reasonable, cost.smallest_ram_bytes))
    return pd.DataFrame(rows, columns=["folio_bytes", "ram_bytes", "ram_share", "reasonable", "smallest_ram_bytes"])


def price_table(
    ram_bytes: Sequence[int] = RAM_BYTES, *, threshold: float = REASONABLE_SHARE, held_share: float = 1.0
) -> pd.DataFrame:
    """A zero page of each architecture and page size with a PMD, against each amount of RAM.

    :return: ``architecture page_bytes folio_bytes ram_bytes ram_share reasonable smallest_ram_bytes``.
    :raises InputError: as :func:`price`.
    """
    tables = []
    for (architecture, page_bytes), folio in PMD_BYTES.items():
        table = price_of(folio, ram_bytes, threshold=threshold, held_share=held_share)
        table.insert(0, "page_bytes", page_bytes)
        table.insert(0, "architecture", architecture)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def rule(threshold: float = REASONABLE_SHARE) -> str:
    """The rule in words, with its threshold."""
    example = format_size(2 * MIB / threshold)
    return f"reasonable when the folio is at most {threshold:.3%} of RAM: 2 MiB from {example} on"
