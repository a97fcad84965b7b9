"""Facts about a block device that a later question needs: how it is reached, what it can do, what it stands on.

What is not known is left out, never guessed.
"""

import ctypes
import fcntl
import os
import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from zpmodel.host import block
from zpmodel.host.block import read_text

_INDIRECT_DESCRIPTORS, _ACCESS_PLATFORM = 28, 33  # linux/virtio_ring.h, linux/virtio_config.h
_NVME_ADMIN_COMMAND = 0xC0484E41  # linux/nvme_ioctl.h, NVME_IOCTL_ADMIN_CMD
_IDENTIFY_BYTES = 4096
# What /sys/kernel/iommu_groups/*/type says (Documentation/ABI/testing/sysfs-kernel-iommu_groups).
_IOMMU_MODES = {"DMA": "strict", "DMA-FQ": "lazy", "identity": "passthrough"}


def device_facts(device: Path) -> dict[str, Any]:
    """Return the facts of a whole block device.

    :param device: its folder under /sys.
    """
    found: dict[str, Any] = {
        "driver": driver(device),
        "stacked_on": stacked_on(device),
        "iommu_group_type": _group_type(device),
        "iommu": iommu_mode(device),
        **_virtio(device),
        **_nvme(device),
        **_loop(device),
    }
    return {name: value for name, value in found.items() if value not in ("", None)}


def driver(device: Path) -> str:
    """Return the name of the driver, or what the device's name begins with (``loop``, ``dm``)."""
    with suppress(OSError):
        return next(_ancestors(device, "driver")).resolve(strict=True).name
    return re.sub(r"[\d-]+.*$", "", device.name)


def stacked_on(device: Path) -> list[str]:
    """Return the names of the devices directly below (RAID, device mapper, loop)."""
    names = {folder.name for folder in device.glob("slaves/*")}
    backing = block.backing_of(device.name)
    if backing is not None and (below := block.folder_of(backing.rdev or backing.device)) is not None:
        names.add(below.name)
    return sorted(names)


def iommu_mode(device: Path) -> str | None:
    """Return how the device's DMA is mapped: "none", "passthrough", "lazy" or "strict"; None where it can't be told."""
    features = _virtio_features(device)
    if features is not None and not _bit(features, _ACCESS_PLATFORM):
        return "none"  # such a device is given physical addresses (vring_use_map_api() in drivers/virtio/virtio_ring.c)
    if (kind := _group_type(device)) is not None:
        # Before Linux 5.15 "DMA" stood for lazy as well.
        return None if kind == "DMA" and _kernel() < (5, 15) else _IOMMU_MODES.get(kind)
    groups, iommus = Path("/sys/kernel/iommu_groups"), Path("/sys/class/iommu")
    hardware = (device / "device").exists()
    nothing = groups.is_dir() and not any(groups.iterdir()) and not (iommus.is_dir() and any(iommus.iterdir()))
    return "none" if hardware and nothing else None


def nvme_controller_facts(identify: bytes) -> dict[str, Any]:
    """Read an Identify Controller data structure (NVM Express Base Specification 2.0, figure 275).

    :return: ``nvme_mdts`` (a power of two of the controller's smallest page; 0: no limit), ``nvme_sgls`` (the field as
        it is) and ``nvme_sgl_supported``.
    """
    (sgls,) = struct.unpack_from("<I", identify, 536)
    return {"nvme_mdts": identify[77], "nvme_sgls": sgls, "nvme_sgl_supported": sgls & 3 != 0}


def _nvme(device: Path) -> dict[str, Any]:
    if not device.name.startswith("nvme"):
        return {}
    found: dict[str, Any] = {"nvme_transport": read_text(device / "device/transport")}
    threshold = read_text(Path("/sys/module/nvme/parameters/sgl_threshold"))
    if threshold.isdigit():
        found["nvme_sgl_threshold_bytes"] = int(threshold)
    identify = _identify(device)
    return found | (nvme_controller_facts(identify) if identify is not None else {})


def _identify(device: Path) -> bytes | None:
    """Ask the controller what it is (Identify, which changes nothing); None where this user may not."""
    answer = ctypes.create_string_buffer(_IDENTIFY_BYTES)
    # opcode 6, no namespace, data in, CNS 1: the controller; a second at most
    command = struct.pack(
        "=BBHIIIQQIIIIIIIIII",
        6,
        *[0] * 6,
        ctypes.addressof(answer),
        0,
        _IDENTIFY_BYTES,
        1,
        *[0] * 5,
        1000,
        0,
    )
    with suppress(OSError):
        fd = os.open(f"/dev/{device.name}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if fcntl.ioctl(fd, _NVME_ADMIN_COMMAND, bytearray(command)) == 0:
                return answer.raw
        finally:
            os.close(fd)
    return None


def _virtio(device: Path) -> dict[str, Any]:
    features = _virtio_features(device)
    if features is None:
        return {}
    return {"virtio_features": features, "virtio_indirect_descriptors": _bit(features, _INDIRECT_DESCRIPTORS)}


def _virtio_features(device: Path) -> str | None:
    """Return the negotiated features, a character for each bit, the lowest first; None where it is no virtio device."""
    with suppress(OSError):
        text = next(_ancestors(device, "features")).read_text().strip()
        if re.fullmatch(r"[01]{34,}", text):
            return text
    return None


def _bit(features: str, number: int) -> bool:
    return features[number] == "1"


def _loop(device: Path) -> dict[str, Any]:
    direct = read_text(device / "loop/dio")
    return {"loop_direct_io": direct == "1"} if direct in ("0", "1") else {}


def _group_type(device: Path) -> str | None:
    with suppress(OSError):
        return (next(_ancestors(device, "iommu_group")) / "type").read_text().strip() or None
    return None


def _ancestors(device: Path, name: str) -> Iterator[Path]:
    here = (device / "device").resolve()
    while here != here.parent:
        if (here / name).exists():
            yield here / name
        here = here.parent
    yield Path("/nonexistent")


def _kernel() -> tuple[int, int]:
    match = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (int(match[1]), int(match[2])) if match else (0, 0)
