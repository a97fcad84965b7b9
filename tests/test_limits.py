"""Reading queue limits, refusing impossible ones, and the presets."""

import json

import pytest

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.queue.limits import UINT_MAX, QueueLimits
from zpmodel.queue.presets import find_limits, nvme, preset_names
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure import count

GOOD = {"max_segments": 128, "max_segment_size": 65536, "max_sectors_kb": 1280}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"max_segments": 0}, "1 to 65535"),
        ({"max_segments": 70000}, "1 to 65535"),
        ({"max_segments": "many"}, "whole number"),
        ({"max_segments": None}, "max_segments: None .* whole number"),
        ({"chunk_sectors": None}, "chunk_sectors: None .* whole number"),
        ({"max_segments": -1}, "whole number"),
        ({"max_segments": True}, "whole number"),
        ({"max_segment_size": 512}, "4096"),
        ({"max_sectors_kb": 2}, "at least 8 sectors"),
        ({"max_sectors_kb": 4, "logical_block_size": 8192, "physical_block_size": 8192}, "at least 16 sectors"),
        ({"max_hw_sectors_kb": 512}, "at most max_hw_sectors"),
        ({"logical_block_size": 520}, "power of two"),
        ({"logical_block_size": 131072}, "65536"),
        ({"physical_block_size": 520}, "power of two"),
        ({"zoned": "host-managed"}, "not modelled"),
        ({"seg_boundary_mask": 511}, "at least 4095"),
        ({"seg_boundary_mask": 65536}, "power of two less 1"),
        ({"virt_boundary_mask": 4096}, "power of two less 1"),
        ({"chunk_sectors": 9, "physical_block_size": 4096}, "multiple of the physical block"),
        ({"write_zeroes_max_bytes": 1000}, "multiple of 512"),
        ({"nomerges": 3}, "0, 1 or 2"),
        ({"nr_requests": 0}, "at least 1"),
        ({"nr_requests": 10**400}, "at most 4294967295"),
        ({"scheduler": ""}, "mq-deadline"),
        ({"max_segmets": 5}, "max_segments"),
        ({"chunk_sector": 5}, "chunk_sectors"),
    ],
)
def test_what_the_kernel_would_refuse(change, says):
    values = {**GOOD, **change}
    if "max_segmets" in change:
        del values["max_segments"]
    with pytest.raises(InputError, match=says):
        QueueLimits.from_mapping(values, source="queue")


@pytest.mark.parametrize("name", ["max_segments", "max_segment_size", "max_sectors_kb"])
def test_what_has_no_default_must_be_given(name):
    with pytest.raises(InputError, match=rf"{name}.*missing"):
        QueueLimits.from_mapping({key: value for key, value in GOOD.items() if key != name})


def test_values_that_only_other_tools_know_are_passed_over():
    assert QueueLimits.from_mapping({**GOOD, "rotational": 0, "io_timeout": 30000}).max_sectors == 2560


@pytest.mark.parametrize(
    "change",
    [
        # a loop device with blocks of 4 KiB: UINT_MAX rounded down to sectors
        {"logical_block_size": 4096, "physical_block_size": 4096, "write_zeroes_max_bytes": 4294966784},
        # NVMe with blocks of 16 KiB and PRPs
        {"logical_block_size": 16384, "physical_block_size": 16384, "virt_boundary_mask": 4095, "max_segments": 128},
        {"max_segments": 1, "max_segment_size": 4294967295},
        {"max_sectors_kb": 120, "max_hw_sectors_kb": 120, "physical_block_size": 4096},
        {"chunk_sectors": 3 * 1024, "physical_block_size": 4096},
        {"logical_block_size": 4096, "physical_block_size": 512},
        {"scheduler": "adios", "zoned": "none"},
    ],
)
def test_what_real_devices_have_is_taken(change):
    limits = QueueLimits.from_mapping({**GOOD, **change})
    assert count(ZeroPage.named("static"), limits, 0, 1 << 30).length == 1 << 30


def test_the_half_kib_that_sysfs_rounds_away():
    assert (
        QueueLimits.from_mapping(
            {**GOOD, "max_sectors": 255, "max_sectors_kb": 127, "max_hw_sectors_kb": 127}
        ).max_sectors
        == 255
    )
    assert QueueLimits.from_mapping({**GOOD, "max_sectors_kb": 127}).max_sectors == 254


def test_the_kernel_rounds_requests_down_to_logical_blocks():
    limits = QueueLimits(255, 128, 65536, logical_block_size=4096, physical_block_size=4096)
    assert limits.max_sectors == 248


def copy_queue(folder, **values):
    folder.mkdir(parents=True)
    for name, value in values.items():
        (folder / name).write_text(f"{value}\n")


def test_a_directory_copied_from_another_machine(tmp_path):
    copy_queue(
        tmp_path / "nvme0n1" / "queue", **GOOD, max_hw_sectors_kb=2048, scheduler="[none] mq-deadline", rotational=0
    )
    limits = QueueLimits.from_directory(tmp_path / "nvme0n1")
    assert (limits.max_sectors, limits.scheduler, limits.max_hw_sectors) == (2560, "none", 4096)
    assert QueueLimits.from_directory(tmp_path / "nvme0n1" / "queue") == QueueLimits.from_directory(
        tmp_path / "nvme0n1" / "queue"
    )


def test_null_blk_is_known_by_its_127_kib(tmp_path):
    copy_queue(tmp_path / "queue", **{**GOOD, "max_sectors_kb": 127}, max_hw_sectors_kb=127)
    assert QueueLimits.from_directory(tmp_path).max_sectors == 255


def test_round_trip_through_json_and_toml(tmp_path):
    limits = QueueLimits(2560, 128, 65536, chunk_sectors=16, physical_block_size=4096, write_zeroes_max_bytes=1 << 20)
    (tmp_path / "a.json").write_text(json.dumps(limits.to_sysfs()))
    (tmp_path / "a.toml").write_text(
        "[limits]\n" + "\n".join(f"{k} = {json.dumps(v)}" for k, v in limits.to_sysfs().items())
    )
    assert QueueLimits.from_file(tmp_path / "a.json") == limits == QueueLimits.from_file(tmp_path / "a.toml")


@pytest.mark.parametrize("text", ["{", "[1, 2]", "", "\x00", "[" * 100_000])
def test_files_that_hold_no_limits(tmp_path, text):
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(InputError, match=r"bad\.json"):
        QueueLimits.from_file(tmp_path / "bad.json")


def test_a_directory_that_is_no_queue(tmp_path):
    with pytest.raises(InputError, match="/sys/block/DEV"):
        find_limits(str(tmp_path))


@pytest.mark.parametrize("name", ["nvme", "../devices/loop", "sda9", "", "nvme-mdts99", "/dev/null"])
def test_names_that_nobody_knows(name):
    with pytest.raises(InputError):
        find_limits(name)


def test_every_preset_can_be_used_and_names_its_source():
    for name in preset_names():
        if "[" not in name:
            assert find_limits(name).source == name
            assert "source" in shipped.data("devices", f"{name}.toml").read_text()


@pytest.mark.parametrize(
    ("mdts", "kernel", "iommu", "segments", "kib"),
    [
        (5, (6, 2), False, 127, 128),
        (5, (7, 2), False, 33, 128),
        (7, (7, 2), False, 129, 512),
        (9, (7, 2), False, 256, 2048),
        (9, (6, 12), False, 128, 1280),
        (9, (6, 17), False, 256, 2048),
        (0, (6, 1), False, 127, 1280),
        (0, (6, 18), False, 256, 4096),
        (9, (6, 18), True, 256, 128),
    ],
)
def test_nvme_by_kernel_and_mdts(mdts, kernel, iommu, segments, kib):
    limits = nvme(mdts, kernel, translating_iommu=iommu)
    assert (limits.max_segments, limits.max_sectors) == (segments, 2 * kib)
    assert limits.max_segment_size == UINT_MAX


def test_limits_compare_by_what_they_say(tmp_path):
    copy_queue(tmp_path / "vda" / "queue", **GOOD)
    found = QueueLimits.from_directory(tmp_path / "vda")
    given = QueueLimits.from_mapping(GOOD, source="calibration")
    assert found.source != given.source
    assert found == given
    assert hash(found) == hash(given)
    assert found != QueueLimits.from_mapping({**GOOD, "max_segments": 127})


def test_controllers_known_by_name():
    ebs = find_limits("ebs")
    assert (ebs, ebs.source) == (nvme(6), "ebs")
    assert (ebs.max_sectors, ebs.max_segments, ebs.write_zeroes_max_bytes) == (512, 65, 0)
    assert find_limits("ebs@6.12") == nvme(6, (6, 12))
    assert find_limits("debian-intel-lazy@6.12").max_sectors == 256
    assert {"ebs[@KERNEL]", "debian-intel-lazy[@KERNEL]"} <= set(preset_names())


def test_kernels_newer_than_the_table_are_as_its_last():
    assert find_limits("nvme-mdts5@7.3") == nvme(5, (7, 2))


def test_the_presets_agree_with_traced_devices():
    traced = {}
    for line in shipped.data("kernel", "zeroout-7.2.jsonl").read_text().splitlines():
        case = json.loads(line)
        limits = case["limits"]
        traced.setdefault((case["driver"], limits["max_hw_sectors_kb"]), set()).add(
            (limits["max_segments"], limits["max_segment_size"])
        )
    for mdts, kib in ((5, 128), (7, 512), (9, 2048)):
        model = nvme(mdts)
        assert traced["nvme", kib] == {(model.max_segments, model.max_segment_size)}
    null = find_limits("null_blk")
    assert traced["null_blk", 127] == {(null.max_segments, null.max_segment_size)}
