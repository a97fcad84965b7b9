"""Published series: what was not fitted is predicted, and the flat one comes out flat."""

import pandas as pd
import pytest

from zpmodel.base import shipped
from zpmodel.validation.series import predict_published, slopes


@pytest.fixture(scope="module")
def figures():
    return pd.read_csv(shipped.data("published", "figures.csv"))


@pytest.fixture(scope="module")
def found(figures):
    return predict_published(figures)


@pytest.mark.parametrize(
    ("series", "bar", "points"),
    [
        ("nullblk-iovec-copy", 0.05, 3),
        ("nullblk-iovec-reuse", 0.05, 3),
        ("iommu-strict-slat", 0.10, 1),
        ("iommu-strict-slat-pinned", 0.10, 1),
        ("iommu-premapped-slat", 0.10, 1),
        ("zeroout-dm-thin", 0.05, 2),
    ],
)
def test_the_middle_is_predicted_from_the_ends(found, series, bar, points):
    rows = found[(found["series"] == series) & found["bar"].notna()]
    assert len(rows) == points
    assert rows["error"].abs().max() < bar
    assert rows["inside"].all()


def test_by_hand_from_the_published_ends(found):
    # 1e9 / 1208000 = 827.8 ns with 1 vector, 1e9 / 699000 = 1430.6 ns with 16: 1109.1 ns with 8.
    row = found[(found["series"] == "nullblk-iovec-copy") & found["truth"].str.endswith("32 KiB")].iloc[0]
    assert row["predicted"] == pytest.approx(1e9 / 1109.1, rel=1e-4)
    assert row["measured"] == 863000


def test_the_flat_series_is_flat_and_its_twin_is_not():
    table = slopes().set_index("series")
    flat, strict = table.loc["iommu-premapped-slat"], table.loc["iommu-strict-slat"]
    assert flat["low"] < 0 < flat["high"]
    assert strict["low"] > 0
    assert flat["value"] < 0.05 * strict["value"]


def test_a_series_that_is_not_linear_fails_its_bar(figures):
    bent = figures.copy()
    bent.loc[(bent["case"] == "iommu-strict-slat") & (bent["input_value"] == "16384"), "value"] = 3200.0
    rows = predict_published(bent)
    assert not rows[(rows["series"] == "iommu-strict-slat") & rows["bar"].notna()]["inside"].any()


def test_a_flat_series_that_rises_is_found_out(figures):
    risen = figures.copy()
    chosen = risen["case"] == "iommu-premapped-slat"
    risen.loc[chosen, "value"] = [1500.0, 1900.0, 3500.0]
    rows = predict_published(risen)
    assert not rows[rows["truth"] == "cost per vector: none"]["inside"].iloc[0]


def test_every_row_names_its_source(found):
    assert found["source"].str.len().min() > 10
    assert set(found["inside"]) <= {True, False}
