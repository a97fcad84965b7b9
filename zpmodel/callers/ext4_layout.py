"""How mke2fs lays out inode tables: groups, and blocks of a table (lib/ext2fs/initialize.c of e2fsprogs)."""

from dataclasses import dataclass

from zpmodel.base.errors import InputError
from zpmodel.base.units import KIB

RESERVED_INODES = 11
"""Inodes in use on a fresh file system: ten reserved, and lost+found."""

_DESCRIPTOR_BYTES = 64  # of a group, with the 64bit feature, which is on by default
_SPARE_BLOCKS = 50  # a last group with less than this beyond its own needs is left out


@dataclass(frozen=True)
class InodeTables:
    """The inode tables of a file system.

    :ivar groups: block groups.
    :ivar blocks: blocks of each group's table.
    :ivar inodes: inodes of each group.
    """

    groups: int
    blocks: int
    inodes: int


def _ceil(a: int, b: int) -> int:
    return -(-a // b)


def _has_backup(group: int) -> bool:
    """Whether a group holds a copy of the superblock (sparse_super): 0, 1, and powers of 3, 5 and 7."""
    if group <= 1:
        return True
    for base in (3, 5, 7):
        power = base
        while power < group:
            power *= base
        if power == group:
            return True
    return False


def _reserved_descriptor_blocks(blocks: int, first: int, per_group: int, per_block: int, block_bytes: int) -> int:
    """Blocks kept for growing the file system 1024 times (resize_inode; ``calc_reserved_gdt_blocks``)."""
    most = min(blocks * 1024, 0xFFFFFFFF)
    used = _ceil(_ceil(blocks - first, per_group), per_block)
    return min(_ceil(_ceil(most - first, per_group), per_block) - used, block_bytes // 4)


def inode_tables(filesystem_bytes: int, block_bytes: int, inode_ratio: int, inode_bytes: int) -> InodeTables:
    """Lay out a file system as ``mke2fs -b BLOCK -i RATIO -I INODE`` does, with its default features.

    :raises InputError: where mke2fs would refuse.
    """
    total = filesystem_bytes // block_bytes
    if block_bytes < 4 * KIB:
        total -= total % (4 * KIB // block_bytes)  # whole pages
    first = 1 if block_bytes == KIB else 0
    wanted = max(total * block_bytes // inode_ratio, RESERVED_INODES + 1)
    per_group = min(8 * block_bytes, (1 << 16) - 8)
    if wanted > 0xFFFFFFFF or wanted * inode_bytes >= total * block_bytes:
        raise InputError("sb_issue_zeroout", "inode_ratio", inode_ratio, "fewer inodes than that (mke2fs refuses)")
    while True:
        groups = _ceil(total - first, per_group)
        if groups < 1:
            raise InputError("sb_issue_zeroout", "filesystem_bytes", filesystem_bytes, "room for one block group")
        inodes = _ceil(wanted, groups)
        if inodes > 8 * block_bytes:
            per_group -= 8
            continue
        inodes = min(inodes, (1 << 16) - block_bytes // inode_bytes)
        table = _ceil(inodes * inode_bytes, block_bytes)
        inodes = max(table * block_bytes // inode_bytes, 8) & ~7
        table = _ceil(inodes * inode_bytes, block_bytes)
        last = (total - first) % per_group
        needs = 2 + table
        if _has_backup(groups - 1):
            per_block = block_bytes // _DESCRIPTOR_BYTES
            needs += 1 + _ceil(groups, per_block)
            needs += _reserved_descriptor_blocks(total, first, per_group, per_block, block_bytes)
        if last and last < needs + (0 if groups == 1 else _SPARE_BLOCKS):
            if groups == 1:
                raise InputError("sb_issue_zeroout", "filesystem_bytes", filesystem_bytes, "room for one block group")
            total -= last
            continue
        return InodeTables(groups, table, inodes)
