"""The policies, their sizes and what their users owe."""

import pytest

from zpmodel.base.errors import InputError
from zpmodel.base.units import KIB, MIB, format_size, parse_size
from zpmodel.queue.zeropage import PMD_BYTES, ZeroPage, pmd_bytes


@pytest.mark.parametrize(
    ("name", "size", "mm", "destructor", "fallback", "held"),
    [
        ("page", 4 * KIB, False, False, None, "for ever"),
        ("on-demand", 2 * MIB, True, True, 4 * KIB, "while used"),
        ("static", 2 * MIB, False, False, 4 * KIB, "for ever"),
        ("64KiB", 64 * KIB, False, False, 4 * KIB, "for ever"),
    ],
)
def test_what_each_policy_owes(name, size, mm, destructor, fallback, held):
    page = ZeroPage.named(name)
    assert (page.size_bytes, page.needs_mm, page.needs_destructor) == (size, mm, destructor)
    assert (page.fallback_bytes, page.held) == (fallback, held)


def test_pmd_by_architecture():
    assert pmd_bytes() == 2 * MIB
    assert ZeroPage.named("static", architecture="arm64", base_page_bytes=64 * KIB).size_bytes == 512 * MIB
    assert PMD_BYTES["s390x", 4096] == MIB
    with pytest.raises(InputError, match="x86_64 with 4 KiB pages"):
        pmd_bytes("x86_64", 16 * KIB)


@pytest.mark.parametrize("name", ["", "huge", "3KiB", "2KiB", "1GiB", "0", "4KiB ", "-4096"])
def test_zero_pages_that_do_not_exist(name):
    if name == "4KiB ":
        assert ZeroPage.named(name).size_bytes == 4096
        return
    with pytest.raises(InputError):
        ZeroPage.named(name)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096", 4096),
        ("4k", 4096),
        ("64KiB", 65536),
        ("2 MB", 2_000_000),
        ("1TiB", 1 << 40),
        ("7b", 7),
        (12, 12),
        ("1GB", 10**9),
        ("1G", 1 << 30),
        ("1gib", 1 << 30),
        ("3kB", 3000),
        ("1TB", 10**12),
    ],
)
def test_sizes_as_people_write_them(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "-1", "1.5M", "4 kk", "0x10", "MiB", True, None, -3, "8EiB", 1 << 63, "9" * 25])
def test_sizes_that_are_none(text):
    with pytest.raises(InputError):
        parse_size(text)


def test_sizes_are_written_short():
    assert [format_size(n) for n in (512, 130560, 2 * MIB, 3 << 40)] == ["512 B", "127.5 KiB", "2 MiB", "3 TiB"]
