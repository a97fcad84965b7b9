"""The users of zero pages, all listed in one place; a user's file is imported when it is asked for."""

import importlib
from collections.abc import Iterator
from typing import cast

from zpmodel.base.errors import InputError
from zpmodel.callers.base import Caller

CALLERS = {
    "blkdev_issue_zero_pages": "zero_pages",
    "sb_issue_zeroout": "ext4_lazy_init",
    "iomap_dio_zero": "iomap_dio_zero",
    "fscrypt_zeroout_range": "fscrypt_zeroout",
    "dm_kcopyd_zero": "dm_kcopyd",
    "zero_iter": "zero_iter",
    "rxperf_process_call": "rxperf",
    "bch2_checksum_update": "bch2_checksum",
    "nvme_tcp_try_send_data": "nvme_tcp",
    "fio_write": "fio_write",
}
"""File by the kernel's name of the user."""

_ALIASES = {
    "blkdev_issue_zeroout": "blkdev_issue_zero_pages",
    "__blkdev_issue_zero_pages": "blkdev_issue_zero_pages",
    "fscrypt_zeroout_range_inline_crypt": "fscrypt_zeroout_range",
    "bch2_checksum_merge": "bch2_checksum_update",
    "nvme-tcp": "nvme_tcp_try_send_data",
}


def find_caller(name: str, where: str = "caller") -> Caller:
    """The user of a name, the kernel's (some have two).

    :raises InputError: on other names, listing those there are.
    """
    file = CALLERS.get(_ALIASES.get(name, name))
    if file is None:
        raise InputError(where, "user", name, f"one of {', '.join(CALLERS)}")
    return cast(Caller, importlib.import_module(f"zpmodel.callers.{file}").CALLER)


def all_callers() -> Iterator[Caller]:
    """Every user, in the list's order."""
    return (find_caller(name) for name in CALLERS)
