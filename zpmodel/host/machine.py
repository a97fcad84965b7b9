"""The machine, the device and the software of a measurement: facts as the system states them, no names of
hosts, no serial numbers.
"""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from zpmodel.host.block import device_under, size_bytes
from zpmodel.host.cputime import kernel_threads, kernel_threads_spent, machine_seconds
from zpmodel.host.device_facts import device_facts
from zpmodel.host.meminfo import read_meminfo
from zpmodel.host.mounts import mount_of
from zpmodel.host.safety import Target
from zpmodel.queue.limits import SYSFS_NAMES

_LIMITS = (*SYSFS_NAMES, "rotational", "write_cache", "rq_affinity", "wbt_lat_usec")
_CPU_FLAGS = (
    "erms",
    "fsrm",
    "fzrm",
    "fsrs",
    "fsrc",
    "clzero",
    "avx2",
    "avx512f",
    "pdpe1gb",
    "hypervisor",
    "constant_tsc",
)
_BOOT_OPTIONS = re.compile(
    r"(mitigations|nopti|pti|nospectre\w*|spectre\w*|spec_store\w*|l1tf|mds|retbleed|iommu\S*|intel_iommu|amd_iommu|swiotlb"
    r"|transparent_hugepage|hugepages|default_hugepagesz|hugepagesz|isolcpus|nohz\w*|idle|processor\.max_cstate"
    r"|intel_idle\.max_cstate|cpuidle\S*|preempt|threadirqs)(=|$)"
)
# Options that name a server, a user or a path rather than say how the file system behaves.
_PRIVATE_OPTION = re.compile(r"addr|user|domain|dir=|subvol|uid=|gid=|source|device|name|label|uuid|journal_|@|/")


def describe(target: Target, fio_version: str) -> dict[str, Any]:
    """Return what does not change during a measurement: CPU, kernel, memory, fio, target, queue limits.

    :param target: the open target.
    """
    device = device_under(target.fd)
    return {
        "zpmodel": version("zpmodel"),
        "fio": fio_version,
        "cpu": _cpu(),
        "memory": _memory(),
        "kernel": _kernel(),
        "target": _target(target, device),
        "limits": _limits(device),
    }


def changing_facts() -> dict[str, Any]:
    """Return what may change while measuring, for a look before and one after: load, counters of huge zero pages."""
    counters = dict(line.split() for line in _text("/proc/vmstat").splitlines() if line.startswith("thp_"))
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "loadavg": list(os.getloadavg()),
        **{
            name: int(counters[name])
            for name in ("thp_zero_page_alloc", "thp_zero_page_alloc_failed")
            if name in counters
        },
        "nr_hugepages": int(_text("/proc/sys/vm/nr_hugepages") or 0),
    }


def background(seconds: float = 0.3) -> dict[str, float]:
    """Watch the machine while nothing is measured.

    :return: how many CPUs were busy, and how many kernel threads kept busy (1.0 is one CPU all the time).
    """
    threads, machine, clock = kernel_threads(), machine_seconds(), time.monotonic()
    time.sleep(seconds)
    elapsed = time.monotonic() - clock
    after = machine_seconds()
    busy = sum(after[s] - machine[s] for s in machine if s not in ("idle", "iowait"))
    spent = sum(kernel_threads_spent(threads, kernel_threads()).values())
    return {"busy_cpus": round(busy / elapsed, 4), "kernel_thread_cpus": round(spent / elapsed, 6)}


def write_toml(table: Mapping[str, Any]) -> str:
    """Write nested tables of strings, numbers, booleans and flat lists as TOML."""
    return "\n".join(_toml_lines(table, "")).lstrip("\n") + "\n"


def _toml_lines(table: Mapping[str, Any], prefix: str) -> list[str]:
    inner = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    rows = {k: v for k, v in table.items() if isinstance(v, list) and v and all(isinstance(i, Mapping) for i in v)}
    lines = [f"{_key(k)} = {_value(v)}" for k, v in table.items() if k not in inner and k not in rows and v is not None]
    for key, value in inner.items():
        lines += ["", f"[{prefix}{_key(key)}]", *_toml_lines(value, f"{prefix}{_key(key)}.")]
    for key, items in rows.items():
        for item in items:
            lines += ["", f"[[{prefix}{_key(key)}]]", *_toml_lines(item, f"{prefix}{_key(key)}.")]
    return lines


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return json.dumps(value)


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text(errors="replace").strip()
    except OSError:
        return ""


def _chosen(text: str) -> str:
    """Return the setting in brackets: ``none [mq-deadline]`` is mq-deadline."""
    match = re.search(r"\[([^]]+)\]", text)
    return match[1] if match else text


def _number(text: str) -> int | str:
    return int(text) if re.fullmatch(r"-?\d+", text) else text


def _cpu() -> dict[str, Any]:
    first: dict[str, str] = {}
    for line in _text("/proc/cpuinfo").split("\n\n")[0].splitlines():
        name, _, value = line.partition(":")
        first[name.strip()] = value.strip()
    flags = set(first.get("flags", first.get("Features", "")).split())
    caches = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        kind = {"Data": "d", "Instruction": "i"}.get(_text(folder / "type"), "")
        caches[f"l{_text(folder / 'level')}{kind}"] = _text(folder / "size")
    frequency = Path("/sys/devices/system/cpu/cpu0/cpufreq")
    vulnerabilities = Path("/sys/devices/system/cpu/vulnerabilities")
    return {
        "model": first.get("model name", first.get("CPU part", "")),
        "vendor": first.get("vendor_id", first.get("CPU implementer", "")),
        "family": _number(first.get("cpu family", "")),
        "model_number": _number(first.get("model", "")),
        "stepping": _number(first.get("stepping", "")),
        "microcode": first.get("microcode", ""),
        "architecture": os.uname().machine,
        "online_cpus": os.cpu_count(),
        "threads_per_core": len(
            _text("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list").replace("-", ",").split(",")
        ),
        "numa_nodes": len(list(Path("/sys/devices/system/node").glob("node[0-9]*"))),
        "flags": [flag for flag in _CPU_FLAGS if flag in flags],
        "governor": _text(frequency / "scaling_governor") or "none visible",
        "frequency_driver": _text(frequency / "scaling_driver") or "none visible",
        "max_khz": _number(_text(frequency / "cpuinfo_max_freq")),
        "boost": _text("/sys/devices/system/cpu/cpufreq/boost"),
        "cache": caches,
        "vulnerabilities": {file.name: _text(file) for file in sorted(vulnerabilities.glob("*"))},
    }


def _memory() -> dict[str, Any]:
    fields = read_meminfo()
    huge = Path("/sys/kernel/mm/transparent_hugepage")
    return {
        "total_bytes": fields.get("MemTotal", 0),
        "page_bytes": os.sysconf("SC_PAGE_SIZE"),
        "huge_page_bytes": fields.get("Hugepagesize", 0),
        "pmd_bytes": _number(_text(huge / "hpage_pmd_size")),
        "transparent_hugepage": _chosen(_text(huge / "enabled")),
        "use_zero_page": _number(_text(huge / "use_zero_page")),
    }


def _kernel() -> dict[str, Any]:
    groups = Path("/sys/kernel/iommu_groups")
    return {
        "release": os.uname().release,
        "version": os.uname().version,
        "boot_options": [word for word in _text("/proc/cmdline").split() if _BOOT_OPTIONS.match(word)],
        "clocksource": _text("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        "iommus": len(list(Path("/sys/class/iommu").glob("*"))),
        "iommu_group_types": sorted({_text(file) for file in groups.glob("*/type")}),
        "io_uring_disabled": _number(_text("/proc/sys/kernel/io_uring_disabled")),
    }


def _target(target: Target, device: Path | None) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": target.kind, "written_bytes": target.size_bytes}
    if target.kind != "device":
        mount = mount_of(target.fd)
        if mount is not None:
            found["file_system"] = mount.file_system
            options = dict.fromkeys(mount.options)
            found["mount_options"] = [option for option in options if option and not _PRIVATE_OPTION.search(option)]
        extents = _extents(target)
        if extents is not None:
            found["file_extents"] = extents
    if device is None:
        found["device"] = "none: not on a block device of this machine"
        return found
    found["device"] = device.name
    found["device_bytes"] = size_bytes(device)
    found["device_model"] = _text(device / "device/model")
    found |= device_facts(device)
    return {key: value for key, value in found.items() if value != ""}


def _extents(target: Target) -> int | None:
    program = shutil.which("filefrag")
    if program is None:
        return None
    done = subprocess.run(
        [program, target.filename], pass_fds=[target.fd], capture_output=True, text=True, errors="replace"
    )
    match = re.search(r"(\d+) extents? found", done.stdout)
    return int(match[1]) if match else None


def _limits(device: Path | None) -> dict[str, Any]:
    if device is None:
        return {}
    return {name: _number(_chosen(text)) for name in _LIMITS if (text := _text(device / "queue" / name))}
