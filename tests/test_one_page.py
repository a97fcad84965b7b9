"""The gain that was timed without the patch: sessions and what came before a run are told apart."""

import itertools

import pandas as pd
import pytest

from zpmodel.base.units import KIB, MIB
from zpmodel.validation.one_page import gain_by_length, one_page_runs


def test_an_interval_spans_all_sessions_and_a_busy_disk_is_no_idle_one():
    rows = []
    for session, repeat, before in itertools.product((1, 2), range(9), ("busy", "idle")):
        gain = {1: 1.5, 2: 1.8}[session] if before == "busy" else 1.2
        gain += 0.01 * (repeat % 3 - 1)
        rows += [(session, MIB, page, before, repeat, ns) for page, ns in ((4 * KIB, 1e6 * gain), (2 * MIB, 1e6))]
    columns = ["session", "length_bytes", "page_bytes", "before", "repeat", "elapsed_ns"]
    busy, idle = gain_by_length(pd.DataFrame(rows, columns=columns)).to_dict("records")
    assert (busy["before"], busy["pairs"], busy["static_s"]) == ("busy", 18, pytest.approx(1e-3))
    assert 1.48 < busy["low"] <= 1.5
    assert 1.8 <= busy["high"] < 1.82
    assert 1.18 < idle["low"] <= idle["gain"] <= idle["high"] < 1.22


def test_what_is_shipped_has_both_and_fio_beside_it():
    pairs = {"kvm-zen3-virtio": 80, "kvm-zen3-virtio-in-turn": 100}
    assert [path.parent.name for path in one_page_runs()] == list(pairs)
    for path, number in zip(one_page_runs(), pairs.values(), strict=True):
        table = gain_by_length(pd.read_csv(path))
        assert table.groupby("before")["length_bytes"].count().to_dict() == {"busy": 6, "idle": 6}
        assert (table["pairs"] == number).all()
