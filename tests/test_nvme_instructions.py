"""The NVMe driver's counted instructions: every row, groups left out, and the command that answers from them."""

import json

import numpy as np
import pandas as pd
import pytest

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.kernel_cpu import in_flight, nvme
from zpmodel.kernel_cpu.cases import answer_cases
from zpmodel.kernel_cpu.mapping import fit_all
from zpmodel.kernel_cpu.nvme import Host, NvmeCosts, expected_events, fit_nvme, row_structure

TRANSLATING = ("lazy", "strict")


@pytest.fixture(scope="module")
def counted() -> pd.DataFrame:
    return pd.read_csv(shipped.data("kernel", "nvme-instructions.csv"))


@pytest.fixture(scope="module")
def own() -> pd.DataFrame:
    """The same kernel in a build of our own, slow paths counted."""
    return pd.read_csv(shipped.data("kernel", "nvme-instructions-7.3-own.csv"))


@pytest.fixture(scope="module")
def six() -> pd.DataFrame:
    return pd.read_csv(shipped.data("kernel", "nvme-instructions-6.12.csv"))


@pytest.fixture(scope="module")
def costs(counted: pd.DataFrame, own: pd.DataFrame) -> NvmeCosts:
    return fit_nvme(counted, fit_nvme(own))


def errors(costs: NvmeCosts, table: pd.DataFrame) -> np.ndarray:
    """Relative errors of prepare and unmap, shape (rows, 2), with the events of slow paths where they were counted."""
    rows = table.to_dict("records")
    found = [[e.value for e in costs.predict(*row_structure(row), in_flight.counted(row))] for row in rows]
    return np.array(found) / table[["prepare_instructions", "unmap_instructions"]].to_numpy() - 1


def cheapest(table: pd.DataFrame) -> pd.DataFrame:
    """Of rows that ask for the same requests, the one that the IOVA allocator's slow path disturbed least."""
    same = [
        [*row_structure(row)[0].request_table.ravel(), row["iommu"], row["sgl"]] for row in table.to_dict("records")
    ]
    return table.loc[table.groupby([str(key) for key in same])["prepare_instructions"].idxmin()]


def test_structure_gives_the_requests_that_were_counted(counted: pd.DataFrame) -> None:
    assert [row_structure(row)[0].requests for row in counted.to_dict("records")] == counted["requests"].tolist()


def test_every_row_without_the_allocator_s_slow_path_is_within_3_percent(
    costs: NvmeCosts, counted: pd.DataFrame
) -> None:
    assert np.abs(errors(costs, counted[~counted["iommu"].isin(TRANSLATING)])).max() < 0.03
    # What a row lies above its cheapest twin, or above the fit where it has none, is the allocator's.
    off = np.abs(errors(costs, cheapest(counted)))
    assert (off < 0.03).mean() > 0.98
    assert off.max() < 0.11


def test_what_the_tree_of_addresses_adds_is_within_what_can_be_in_flight(
    costs: NvmeCosts, counted: pd.DataFrame
) -> None:
    for row in counted.to_dict("records"):
        structure, host = row_structure(row)
        prepare, _ = costs.predict(structure, host)
        over = row["prepare_instructions"] - prepare.value
        most = expected_events(structure, host).high.tree * costs.prepare.events[0]
        assert -0.03 * prepare.value < over < most + 0.03 * prepare.value, row


@pytest.mark.parametrize("version", ["own", "six"])
def test_with_its_slow_paths_counted_nearly_every_row_is_within_3_percent(
    version: str, request: pytest.FixtureRequest
) -> None:
    table = request.getfixturevalue(version)
    off = np.abs(errors(fit_nvme(table), table))
    assert (off < 0.03).mean() > 0.98
    assert off.max() < 0.065
    without = table.drop(columns=[name for name in in_flight.COLUMNS if name in table])
    assert (np.abs(errors(fit_nvme(without), without)) >= 0.03).sum() > 1.5 * (off >= 0.03).sum()


def test_what_was_kept_back_follows_from_what_was_counted_before(counted: pd.DataFrame, own: pd.DataFrame) -> None:
    """Passthrough, no SGLs behind an IOMMU, MDTS of 512 KiB and 1 MiB, folios of 8, 16 and 256 KiB, odd requests."""
    form = ["iommu", "sgl", "mdts", "zero_page_bytes", "max_sectors_kb"]
    known = own[form].apply(tuple, axis=1).isin(set(counted[form].apply(tuple, axis=1)))
    assert known.sum() > 150 < (~known).sum()
    off = np.abs(errors(fit_nvme(own[known]), own[~known]))
    assert (off < 0.03).mean() > 0.995
    assert (off > 0.05).sum() <= 1  # the pool of PRP pages grew in that call


@pytest.mark.parametrize(("column", "ends"), [("zero_page_bytes", (4096, 2 << 20)), ("max_sectors_kb", (4, 128, 2048))])
@pytest.mark.parametrize("half", [0, 1])
def test_half_of_the_sizes_predict_the_others(own: pd.DataFrame, column: str, ends: tuple[int, ...], half: int) -> None:
    """The ends stay in: what happens to a single page, or to fewer requests than the lazy queue holds, is nowhere
    else."""
    between = [size for size in sorted(own[column].unique()) if size not in ends]
    out = own[column].isin(between[half::2])
    off = np.abs(errors(fit_nvme(own[~out]), own[out]))
    assert (off < 0.03).mean() > 0.98
    assert (off > 0.05).sum() <= 2


@pytest.mark.parametrize("kib", [16, 32, 64, 256, 512, 1024, 2048])
def test_request_sizes_left_out_are_within_5_percent(counted: pd.DataFrame, kib: int) -> None:
    out = counted["max_sectors_kb"] == kib
    off = errors(fit_nvme(counted[~out]), counted[out & ~counted["iommu"].isin(TRANSLATING)])
    assert np.abs(off).max() < 0.05


def test_large_mdts_predicts_small(counted: pd.DataFrame) -> None:
    out = (counted["mdts"] == 5) & ~counted["iommu"].isin(TRANSLATING)
    assert np.abs(errors(fit_nvme(counted[counted["mdts"] != 5]), counted[out])).max() < 0.05


def test_intervals_hold_the_counts(costs: NvmeCosts, counted: pd.DataFrame) -> None:
    inside = []
    for row in counted.to_dict("records"):
        prepare, unmap = costs.predict(*row_structure(row))
        inside += [prepare.low <= row["prepare_instructions"] <= prepare.high]
        inside += [unmap.low <= row["unmap_instructions"] <= unmap.high]
    assert np.mean(inside) >= 0.88


def test_intervals_hold_unmapping_whatever_was_in_flight(six: pd.DataFrame) -> None:
    costs, inside, near = fit_nvme(six), [], []
    for row in six.to_dict("records"):
        _, unmap = costs.predict(*row_structure(row))
        inside.append(unmap.low <= row["unmap_instructions"] <= unmap.high)
        near.append(abs(unmap.value / row["unmap_instructions"] - 1))
    assert np.mean(inside) > 0.9
    assert np.max(near) < 0.25


@pytest.mark.parametrize("left_out", ["none", "passthrough", "lazy", "strict"])
def test_preparing_behind_any_iommu_follows_from_the_others(left_out: str, six: pd.DataFrame) -> None:
    out = six["iommu"] == left_out
    assert np.abs(errors(fit_nvme(six[~out]), six[out])[:, 0]).max() < 0.05


def test_passthrough_costs_what_no_iommu_costs(costs: NvmeCosts, counted: pd.DataFrame) -> None:
    structure, _ = row_structure(counted.iloc[5].to_dict())
    assert costs.predict(structure, Host("passthrough")) == costs.predict(structure, Host("none"))


def test_a_translating_iommu_makes_one_descriptor_of_many_pages(counted: pd.DataFrame) -> None:
    row = counted[(counted["iommu"] == "strict") & (counted["max_sectors_kb"] == 128)].iloc[0].to_dict()
    structure, host = row_structure(row)
    names = dict(zip(nvme.PREPARE, nvme.prepare_work(structure, host) / structure.requests, strict=True))
    assert names["link"] == 32
    assert names["entry"] == names["list"] == names["sgl_list"] == 0
    without = dict(zip(nvme.PREPARE, nvme.prepare_work(structure, Host("strict", sgl=False)), strict=True))
    assert without["entry"] == 32 * structure.requests
    assert without["list"] == structure.requests


def line(**changed: object) -> str:
    case = {"kernel": "7.3.4", "zero_page_bytes": 4096, "length_bytes": 1 << 20, "mdts": 5, **changed}
    return json.dumps({name: value for name, value in case.items() if value is not None})


def test_cases_answer_with_intervals() -> None:
    (found,) = answer_cases([line(), "\n"])
    for name in ("prepare_instructions", "unmap_instructions", "instructions"):
        assert found[f"{name}_low"] <= found[name] <= found[f"{name}_high"]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"iommu": "amd"}, "iommu"),
        ({"zero_page_bytes": "4096"}, "zero_page_bytes"),
        ({"zero_page_bytes": 5000}, "size"),
        ({"kernel": None}, "kernel"),
        ({"kernel": "seven"}, "kernel"),
        ({"kernel": "9.1"}, "kernel"),
        ({"sgl": 2}, "sgl"),
        ({"mdts": None}, "mdts"),
        ({"mdts": 21}, "mdts"),
        ({"length_bytes": 1000}, "length"),
        ({"limits": {}}, "mdts"),
        ({"mdts": None, "limits": {"max_segments": 1}}, "max_segment_size"),
    ],
)
def test_bad_lines_name_file_line_and_field(changed: dict[str, object], field: str) -> None:
    with pytest.raises(InputError, match=f"^questions line 2: {field}: "):
        list(answer_cases([line(), line(**changed)], source="questions"))


@pytest.mark.parametrize("text", ["{", "[]", "1", '{"kernel": "\\ud800"}'])
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^cases line 1: "):
        list(answer_cases([text]))


def test_the_costs_that_are_kept_are_those_that_fit_the_counts() -> None:
    # Where this fails: python tools/fit_costs.py, and look at what changed.
    kept = json.loads(shipped.data("kernel", "costs.json").read_text())
    for family, drivers in fit_all().items():
        for driver, found in drivers.items():
            parts = found if family == "nvme" else {"": found}
            for name, costs in parts.items():
                mine = kept[family][driver][name] if name else kept[family][driver]
                assert mine["costs"] == pytest.approx(costs["costs"], rel=1e-3, abs=0.05)
