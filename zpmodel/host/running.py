"""Which zero page the running kernel writes from."""

import gzip
import os
import re
from pathlib import Path

from zpmodel.queue.zeropage import ZeroPage

_OPTION = re.compile(r"^CONFIG_PERSISTENT_HUGE_ZERO_FOLIO=y$", re.MULTILINE)


def kernel_config(root: Path = Path("/")) -> str | None:
    """Return the text of the running kernel's configuration, None where it is not to be had."""
    release = os.uname().release
    for path in (root / "proc/config.gz", root / f"boot/config-{release}", root / f"lib/modules/{release}/config"):
        try:
            raw = path.read_bytes()
        except OSError:
            continue
        return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode(errors="replace")
    return None


def running_zero_page(largest_bio_bytes: int | None = None, *, root: Path = Path("/")) -> tuple[ZeroPage, str]:
    """Say which zero page the kernel uses to zero devices, and how that is known.

    :param largest_bio_bytes: the largest bio seen when a range of some MiB was zeroed [byte]; used where there is no
        configuration: 256 vectors of a 4 KiB page can't be more than 1 MiB.
    """
    page = os.sysconf("SC_PAGE_SIZE")
    small = ZeroPage("page", page, page)
    config = kernel_config(root)
    if config is not None and not _OPTION.search(config):
        return small, "the kernel's configuration (no CONFIG_PERSISTENT_HUGE_ZERO_FOLIO)"
    if config is None and largest_bio_bytes is None:
        return small, "assumed: the kernel's configuration is not to be had"
    if config is None and largest_bio_bytes is not None and largest_bio_bytes <= 256 * page:
        return small, "the size of its bios; the kernel's configuration is not to be had"
    pmd = int((root / "sys/kernel/mm/transparent_hugepage/hpage_pmd_size").read_text())
    how = "the size of its bios" if config is None else "the kernel's configuration (CONFIG_PERSISTENT_HUGE_ZERO_FOLIO)"
    return ZeroPage("static", pmd, page), how
