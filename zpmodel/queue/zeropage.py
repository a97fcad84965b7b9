"""The zero page a kernel writes from: which policy provides it, how large it is, and what its users owe for it."""

from dataclasses import dataclass
from typing import Literal

from zpmodel.base.errors import InputError
from zpmodel.base.units import KIB, MIB, format_size, is_power_of_two, parse_size

Policy = Literal["page", "on-demand", "static", "folio"]

POLICIES: tuple[Policy, ...] = ("page", "on-demand", "static")
"""The policies that are compared; ``folio`` is a zero page of any other size, kept for ever like the static one."""

LARGEST_BYTES = 512 * MIB
"""The largest zero page modelled [byte]: a PMD of arm64 with 64 KiB pages."""

PMD_BYTES: dict[tuple[str, int], int] = {
    ("x86_64", 4 * KIB): 2 * MIB,
    ("arm64", 4 * KIB): 2 * MIB,
    ("arm64", 16 * KIB): 32 * MIB,
    ("arm64", 64 * KIB): 512 * MIB,
    ("ppc64-radix", 64 * KIB): 2 * MIB,
    ("ppc64-hash", 64 * KIB): 16 * MIB,
    ("riscv64", 4 * KIB): 2 * MIB,
    ("s390x", 4 * KIB): 1 * MIB,
}
"""PMD size [byte] by architecture and base page size [byte]. Source: ``PMD_SHIFT`` in ``arch/*/include/asm``."""


@dataclass(frozen=True)
class ZeroPage:
    """A zero page.

    :ivar policy: who provides it.
    :ivar size_bytes: its size when there is one [byte].
    :ivar base_page_bytes: the kernel's PAGE_SIZE [byte].
    """

    policy: Policy
    size_bytes: int
    base_page_bytes: int = 4 * KIB

    def __post_init__(self) -> None:
        if not is_power_of_two(self.size_bytes) or not self.base_page_bytes <= self.size_bytes <= LARGEST_BYTES:
            raise InputError(
                "zero page",
                "size",
                self.size_bytes,
                f"a power of two from {format_size(self.base_page_bytes)} to {format_size(LARGEST_BYTES)}",
            )

    @classmethod
    def named(cls, name: str, *, architecture: str = "x86_64", base_page_bytes: int = 4 * KIB) -> "ZeroPage":
        """The zero page of a policy's name (``page``, ``on-demand``, ``static``) or of a size (``64KiB``).

        :raises InputError: on other names, and on architectures whose PMD size is not in :data:`PMD_BYTES`.

        >>> ZeroPage.named("static").size_bytes, ZeroPage.named("64KiB").size_bytes
        (2097152, 65536)
        """
        if name == "page":
            return cls("page", base_page_bytes, base_page_bytes)
        if name in ("on-demand", "static"):
            policy: Policy = "static" if name == "static" else "on-demand"
            return cls(policy, pmd_bytes(architecture, base_page_bytes), base_page_bytes)
        if not name[:1].isdigit():
            raise InputError("zero page", "name", name, "page, on-demand, static, or a size such as 64KiB")
        return cls("folio", parse_size(name, where="zero page"), base_page_bytes)

    @property
    def needs_mm(self) -> bool:
        """Whether the caller must have an mm to hang the reference on."""
        return self.policy == "on-demand"

    @property
    def needs_destructor(self) -> bool:
        """Whether the caller must give the reference back when its I/O ends (in the bio's destructor)."""
        return self.policy == "on-demand"

    @property
    def fallback_bytes(self) -> int | None:
        """The page used instead when the allocation fails [byte]; None where nothing can fail.

        On-demand fails at any time that no free order-9 block is at hand; static only once, at boot.
        """
        return None if self.policy == "page" else self.base_page_bytes

    @property
    def held(self) -> str:
        """How long its memory is held: ``for ever`` or ``while used``."""
        return "while used" if self.policy == "on-demand" else "for ever"

    def __str__(self) -> str:
        return f"{self.policy} ({format_size(self.size_bytes)})"


def pmd_bytes(architecture: str = "x86_64", base_page_bytes: int = 4 * KIB) -> int:
    """The size that one PMD entry maps [byte].

    :raises InputError: for a pair that is not in :data:`PMD_BYTES`.
    """
    try:
        return PMD_BYTES[architecture, base_page_bytes]
    except KeyError:
        known = ", ".join(f"{name} with {format_size(size)} pages" for name, size in PMD_BYTES)
        given = f"{architecture} with {format_size(base_page_bytes)} pages"
        raise InputError("zero page", "architecture", given, known) from None
