"""virtio_blk, loop and dm-linear: every counted row, halves left out, and machines that have them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_machine_files import GOOD

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.base.units import GIB
from zpmodel.calibration.machine_file import load_machine
from zpmodel.kernel_cpu.instructions import fit_work, read_table, work_of
from zpmodel.kernel_cpu.mapping import block_costs, stack_costs
from zpmodel.kernel_cpu.stacks import STACKS, fit_stacks, row_structure, stack_work
from zpmodel.queue.limits import UINT_MAX, QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure import count
from zpmodel.study.compare import compare
from zpmodel.study.scenario import Scenario

PAGE, STATIC = ZeroPage.named("page"), ZeroPage.named("static")
PARTS = [f"{part}_instructions" for part in ("prepare", "add", "detach", "unmap")]


@pytest.fixture(scope="module")
def virtio() -> pd.DataFrame:
    return pd.read_csv(shipped.data("kernel", "virtio-instructions.csv"))


@pytest.fixture(scope="module")
def stacked() -> pd.DataFrame:
    return pd.read_csv(shipped.data("kernel", "stacked-instructions.csv"))


def tiny():
    return fit_work(read_table(shipped.data("kernel", "zeroout-instructions-7.3-tiny.csv")))


def test_structure_gives_the_requests_that_were_counted(virtio: pd.DataFrame) -> None:
    assert [row_structure(row).requests for _, row in virtio.iterrows()] == virtio["requests"].tolist()


def test_null_blk_alone_is_what_another_run_of_it_was(stacked: pd.DataFrame) -> None:
    bare = stacked[stacked["device"] == "nullb0"]
    found = np.array([work_of(row_structure(row)) @ block_costs((7, 3)).costs for _, row in bare.iterrows()])
    assert np.abs(found / bare["instructions"] - 1).max() < 0.01


@pytest.mark.parametrize(("stack", "indirect"), [("virtio-blk", 1), ("virtio-blk-no-indirect", 0)])
@pytest.mark.parametrize("half", [0, 1])
def test_half_of_the_folios_predict_virtio_of_the_others(virtio, stacked, stack, indirect, half) -> None:
    out = virtio["zero_page_bytes"].isin(sorted(virtio["zero_page_bytes"].unique())[half::2])
    costs = fit_stacks(virtio[~out], stacked, tiny())[stack].costs
    rest = virtio[out & (virtio["indirect"] == indirect) & (virtio["adds"] == virtio["requests"])]
    assert len(rest) >= 7
    found = np.array([stack_work(stack, row_structure(row)) @ costs for _, row in rest.iterrows()])
    assert np.abs(found / rest[PARTS].sum(axis=1) - 1).max() < 0.03


@pytest.mark.parametrize("half", [0, 1])
def test_half_of_the_folios_predict_a_stack_of_the_others(virtio, stacked, half) -> None:
    out = stacked["zero_page_bytes"].isin(sorted(stacked["zero_page_bytes"].unique())[half::2])
    block = tiny()
    costs = fit_stacks(virtio, stacked[~out], block)
    loop = stacked[out & (stacked["device"] == "loop0")]
    shapes = [row_structure(row) for _, row in loop.iterrows()]
    found = np.array([work_of(s) @ block.costs + stack_work("loop", s) @ costs["loop"].costs for s in shapes])
    off = np.abs(found / loop["instructions"] - 1)
    assert off.max() < 0.05
    assert (off < 0.03).mean() > 0.85
    clones = stacked[out & (stacked["device"] == "dm-0")].assign(max_sectors_kb=1024)
    shapes = [row_structure(row) for _, row in clones.iterrows()]
    found = np.array([work_of(s) @ block.costs + stack_work("dm-linear", s) @ costs["dm-linear"].costs for s in shapes])
    assert np.abs(found / clones["instructions"] - 1).max() < 0.015


def test_the_kept_costs_fit_every_counted_row() -> None:
    for stack in STACKS:
        assert stack_costs(stack).worst < 0.035
        assert (stack_costs(stack).costs > 0).all()


def test_work_by_hand() -> None:
    queue = QueueLimits(256, 254, UINT_MAX)
    page, static = (count(each, queue, 0, GIB) for each in (PAGE, STATIC))
    assert stack_work("virtio-blk", page).tolist() == [8192, 262144, 8192]
    assert stack_work("virtio-blk", static).tolist() == [8192, 8192, 0]
    assert stack_work("loop", page).tolist() == [1, 8192, 262144, 0]
    assert stack_work("loop", static).tolist() == [1, 8192, 8192, 8192]
    assert stack_work("dm-linear", page).tolist() == [1024, 7168]
    with pytest.raises(InputError, match="Write Zeroes"):
        stack_work("loop", count(PAGE, QueueLimits(256, 254, UINT_MAX, write_zeroes_max_bytes=GIB), 0, GIB))


def machine(folder: Path, **driver: str):
    lines = [line for line in GOOD.splitlines() if not line.startswith(("mdts", "sgl", "iommu"))]
    at = lines.index("[driver]") + 1
    lines[at:at] = [f"{name} = {value}" for name, value in driver.items()]
    path = folder / "stack.toml"
    path.write_text("\n".join(lines))
    return load_machine(path)


@pytest.mark.parametrize("stack", STACKS)
def test_a_machine_with_a_stack_costs_more_cpu_and_gains(stack: str, tmp_path: Path) -> None:
    limits = {"limits": '"loop"' if stack == "loop" else '"virtio-blk"'}
    bare, more = machine(tmp_path, **limits), machine(tmp_path, **limits, stack=f'"{stack}"')
    for plain, found in zip(compare(Scenario(bare)), compare(Scenario(more)), strict=True):
        assert found.prediction.cpu_s.value > plain.prediction.cpu_s.value
        assert found.cpu_saved_s.value >= plain.cpu_saved_s.value
        names = {term.name for term in found.prediction.terms}
        assert any(name.startswith(stack) for name in names)


def test_what_has_limits_of_its_own_is_not_put_on_nvme(tmp_path: Path) -> None:
    assert machine(tmp_path, mdts="5", stack='"dm-linear"')
    for stack, said in (("loop", "dm-linear"), ("raid1", "raid1")):
        with pytest.raises(InputError, match=said) as caught:
            machine(tmp_path, mdts="5", stack=f'"{stack}"')
        assert caught.value.field == "driver.stack"
