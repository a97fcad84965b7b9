"""What of the machine a test run must leave as it found it."""

import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

MARK = "ZPMODEL_TEST_RUN"
"""Set in the environment of the run, and so of every process that it starts, whoever adopts it."""


def snapshot() -> dict[str, set[str]]:
    """Return what there is, by kind: huge pages, loop devices, mounts, trace instances, nodes, files, our processes."""
    traces = Path("/sys/kernel/tracing/instances"), Path("/sys/kernel/debug/tracing/instances")
    temporary = Path(tempfile.gettempdir())
    return {
        "huge pages": {_text("/proc/sys/vm/nr_hugepages")},
        "loop devices": {
            f"{p.name} {_text(p / 'loop/backing_file')}".strip() for p in Path("/sys/block").glob("loop*")
        },
        "mounts": {
            " ".join(line.split()[2:5]) for line in _text("/proc/self/mountinfo").splitlines() if _ours_or_tests(line)
        },
        "trace instances": {path.name for folder in traces for path in folder.glob("zpmodel-*")},
        "nodes": {str(path) for path in Path("/dev").glob("loop*")},
        "temporary files": {
            str(path) for folder in (temporary, Path("/var/tmp"), Path("/run")) for path in folder.glob("*zpmodel-*")
        },
        "processes": marked_processes(),
    }


def differences(before: dict[str, set[str]], *, patience_s: float = 5.0) -> list[str]:
    """Compare with now, and say what is new or gone; what is only slow to go is waited for."""
    end = time.monotonic() + patience_s
    while True:
        now = snapshot()
        found = [f"{kind}: new {item}" for kind in before for item in sorted(now[kind] - before[kind])]
        # More loop numbers are made by the kernel when they are needed, and stay: only those in use matter.
        found = [
            line for line in found if not line.startswith(("loop devices: new loop", "nodes: new")) or _matters(line)
        ]
        found += [f"mounts: gone {item}" for item in sorted(before["mounts"] - now["mounts"])]
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.2)


def _matters(line: str) -> bool:
    name = line.split("loop")[-1].split()[0]
    return "/" in line.partition("new loop")[2] or (name.isdigit() and 7000 <= int(name) < 8000)


def _ours_or_tests(line: str) -> bool:
    return "zpmodel" in line or "pytest" in line


def marked_processes() -> set[str]:
    mark = f"{MARK}={os.environ.get(MARK)}".encode()
    own, found = _ancestors(), set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if process.name not in own and mark in (process / "environ").read_bytes().split(b"\0"):
                found.add(f"{process.name} {(process / 'comm').read_text().strip()}")
    return found


def _ancestors() -> set[str]:
    found, pid = set(), str(os.getpid())
    while pid not in ("0", "") and pid not in found:
        found.add(pid)
        pid = (
            _text(f"/proc/{pid}/stat").rpartition(")")[2].split()[1:2][0] if Path(f"/proc/{pid}/stat").exists() else ""
        )
    return found


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text(errors="replace").strip()
    except OSError:
        return ""
