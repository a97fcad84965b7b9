"""Facts about the machine: as the system states them, and absent where it doesn't."""

import os
import re
import tomllib
from pathlib import Path

import pytest
from scratch_devices import loop_device, missing, mounted

from zpmodel.host import block, device_facts, machine, meminfo, mounts
from zpmodel.host.safety import Target, open_target
from zpmodel.measure import told

MIB = 1 << 20
needs_loop = pytest.mark.skipif(bool(missing()), reason=missing() or "-")


def test_meminfo_in_bytes() -> None:
    text = Path("/proc/meminfo").read_text()
    (total,) = re.findall(r"MemTotal:\s+(\d+) kB", text)
    found = meminfo.read_meminfo()
    assert found["MemTotal"] == int(total) * 1024
    if "HugePages_Total" in text:
        assert found["HugePages_Total"] < 10**6  # a count and not kB
    assert 0 < meminfo.available_bytes() <= found["MemTotal"]


def test_a_line_of_mountinfo() -> None:
    line = r"36 35 98:0 /mnt1 /a\040b\134c rw,noatime master:1 shared:2 - ext3 /dev/root\011x rw,errors=continue"
    assert mounts._parse(line) == mounts.Mount(
        36, "98:0", "/mnt1", Path("/a b\\c"), "ext3", "/dev/root\tx", ("rw", "noatime", "rw", "errors=continue")
    )
    bare = mounts._parse("1 0 0:1 / / rw -  none rw")
    assert bare is not None
    assert bare.file_system == ""
    assert mounts._parse("") is None
    fd = os.open("/proc/self/status", os.O_RDONLY)
    try:
        here = mounts.mount_of(fd)
    finally:
        os.close(fd)
    assert here is not None
    assert here.file_system == "proc"


@pytest.mark.root
@needs_loop
def test_what_a_loop_device_stands_on(tmp_path: Path) -> None:
    with loop_device(tmp_path / "disk", 4 * MIB) as device:
        status = (tmp_path / "disk").stat()
        (backing,) = [found for name, found, _ in block.bound_loops() if name == device.name]
        assert backing == (status.st_dev, status.st_ino, 0)
        with open_target(device, MIB, destroy=True) as target:
            facts = machine.describe(target, "fio-3.1")
        if os.major(status.st_dev):
            assert facts["target"]["stacked_on"] == [f"{Path('/sys/dev/block', number(status.st_dev)).resolve().name}"]
        assert facts["target"]["loop_direct_io"] is False
        assert "virtio_features" not in facts["target"]
        assert "nvme_mdts" not in facts["target"]
        assert "iommu" not in facts["target"]
        assert tomllib.loads(machine.write_toml(facts))["target"] == facts["target"]


def number(device: int) -> str:
    return f"{os.major(device)}:{os.minor(device)}"


def fake_virtio(tmp_path: Path, *bits: int) -> Path:
    parent = tmp_path / "virtio0"
    (parent / "block/vdz").mkdir(parents=True)
    (parent / "features").write_text("".join("01"[bit in bits] for bit in range(64)) + "\n")
    (parent / "block/vdz/device").symlink_to(parent)
    return parent / "block/vdz"


@pytest.mark.parametrize(("bits", "indirect"), [((9, 32), False), ((9, 28, 32), True)])
def test_virtio_says_whether_descriptors_are_indirect(bits: tuple[int, ...], indirect: bool, tmp_path: Path) -> None:
    facts = device_facts.device_facts(fake_virtio(tmp_path, *bits))
    assert facts["virtio_indirect_descriptors"] is indirect
    assert facts["iommu"] == "none"  # without VIRTIO_F_ACCESS_PLATFORM


@pytest.mark.parametrize(
    ("kind", "kernel", "mode"),
    [
        ("DMA", (6, 1), "strict"),
        ("DMA-FQ", (6, 1), "lazy"),
        ("identity", (5, 4), "passthrough"),
        ("DMA", (5, 4), None),
        ("blocked", (6, 1), None),
    ],
)
def test_iommu_mode(
    kind: str, kernel: tuple[int, int], mode: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = fake_virtio(tmp_path, 33)
    (tmp_path / "virtio0/iommu_group").mkdir()
    (tmp_path / "virtio0/iommu_group/type").write_text(f"{kind}\n")
    monkeypatch.setattr(device_facts, "_kernel", lambda: kernel)
    assert device_facts.iommu_mode(device) == mode


def test_identify_controller() -> None:
    answer = bytearray(4096)
    answer[77], answer[536] = 5, 1
    found = {"nvme_mdts": 5, "nvme_sgls": 1, "nvme_sgl_supported": True}
    assert device_facts.nvme_controller_facts(bytes(answer)) == found
    answer[536:540] = b"\0\0\1\0"  # a bit bucket alone is no support
    assert device_facts.nvme_controller_facts(bytes(answer))["nvme_sgl_supported"] is False


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")
def test_limits_that_nobody_knows_are_told(tmp_path: Path) -> None:
    with (
        mounted("none", tmp_path / "memory", "-t", "tmpfs", "-o", "size=4m") as folder,
        open_target(folder, MIB) as target,
    ):
        assert "no block device" in told.about_limits(block.device_under(target.fd), target)
        assert machine.describe(target, "x")["limits"] == {}
    fd = os.open("/", os.O_RDONLY)
    try:
        device = block.device_under(fd)
        known = device is not None and (device / "queue/max_segments").exists()
        assert (told.about_limits(device, Target("new file", Path("/"), fd, 0)) == "") == known
    finally:
        os.close(fd)
