"""What NVMe makes of requests: PRP entries or SGL descriptors (``nvme_map_data`` in drivers/nvme/host/pci.c)."""

from dataclasses import dataclass

import numpy as np

from zpmodel.structure.count import Structure

PRP_PAGE = 4096
"""The controller page that a PRP entry points to [byte]."""

SGL_THRESHOLD = 32 * 1024
"""Average segment from which the driver prefers SGLs [byte]; module parameter ``sgl_threshold``."""

_ENTRIES_PER_LIST = 512


@dataclass(frozen=True)
class NvmeDescriptors:
    """Descriptors of all requests of a range.

    :ivar commands: NVMe commands, one a request.
    :ivar prp_commands: commands that describe their data with PRP entries.
    :ivar prp_entries: 4 KiB entries of those, the two inside a command included.
    :ivar prp_lists: list pages allocated for those.
    :ivar sgl_commands: commands that use SGLs.
    :ivar sgl_descriptors: descriptors of those, the one inside a command included.
    """

    commands: int
    prp_commands: int
    prp_entries: int
    prp_lists: int
    sgl_commands: int
    sgl_descriptors: int


def descriptors(structure: Structure, *, sgl: bool = True, sgl_threshold: int = SGL_THRESHOLD) -> NvmeDescriptors:
    """Count PRP entries and SGL descriptors.

    One segment of at most two controller pages goes into the command as PRPs; otherwise SGLs are used where the
    controller has them and the average segment is at least the threshold (a single larger segment: always); else PRPs,
    one entry per 4 KiB whatever lies together in memory.

    :param structure: counts of a range of written zero pages; data-less requests have no descriptors.
    :param sgl: whether the controller has SGLs.
    :param sgl_threshold: average segment size from which SGLs are used [byte]; 0: never.
    """
    size, segments, start, number = structure.request_table.T
    data = segments > 0
    pages = (start + size + PRP_PAGE - 1) // PRP_PAGE
    small = (segments == 1) & (start + size <= 2 * PRP_PAGE)
    average = -(-size // np.maximum(segments, 1))
    by_sgl = data & ~small & ((segments == 1) | (average >= sgl_threshold)) & (sgl and sgl_threshold > 0)
    by_prp = data & ~by_sgl
    # The command holds the first entry, and the second where there are just two; a full list's last entry points to
    # the next list.
    listed = np.where(pages > 2, pages - 1, 0)
    lists = np.where(
        listed > _ENTRIES_PER_LIST, -(-(listed - 1) // (_ENTRIES_PER_LIST - 1)), (listed > 0).astype(np.int64)
    )
    return NvmeDescriptors(
        commands=int(number.sum()),
        prp_commands=int(number[by_prp].sum()),
        prp_entries=int((pages * number)[by_prp].sum()),
        prp_lists=int((lists * number)[by_prp].sum()),
        sgl_commands=int(number[by_sgl].sum()),
        sgl_descriptors=int((segments * number)[by_sgl].sum()),
    )
