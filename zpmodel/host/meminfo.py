"""What /proc/meminfo says (proc(5))."""

from pathlib import Path

from zpmodel.base.units import KIB

_FILE = Path("/proc/meminfo")


def read_meminfo() -> dict[str, int]:
    """Return its fields by name: memory [byte] (the file has kB), counts such as HugePages_Free as they are.

    Empty where there is no such file; a field that this kernel does not have is absent.
    """
    try:
        lines = _FILE.read_text().splitlines()
    except OSError:
        return {}
    found = {}
    for line in lines:
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            found[name] = int(words[0]) * (KIB if words[1:] == ["kB"] else 1)
    return found


def available_bytes() -> int:
    """Return how much memory can be taken without swapping, as the kernel estimates it [byte]; 0 where it doesn't."""
    return read_meminfo().get("MemAvailable", 0)
