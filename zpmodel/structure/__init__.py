"""Exactly which bios, splits, requests and segments the block layer makes of a range; integers, no costs."""

from zpmodel.structure.count import Structure, count
from zpmodel.structure.nvme import NvmeDescriptors, descriptors
from zpmodel.structure.vectors import Vectors, merge_pages

__all__ = [
    "NvmeDescriptors",
    "Structure",
    "Vectors",
    "count",
    "descriptors",
    "merge_pages",
]
