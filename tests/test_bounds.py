"""A cost that data don't move is unknown, and one that they bound on one side has a limit. All sets are real, cut."""

import cut_sets
import numpy as np
import pytest

from zpmodel.base.estimate import DEVIATIONS
from zpmodel.base.units import GIB, MIB
from zpmodel.calibration.bounds import AT_LEAST, AT_MOST, UNKNOWN, VALUE, told_of
from zpmodel.calibration.calibrate import calibrate
from zpmodel.calibration.groups import group
from zpmodel.calibration.identify import cost_table, doubts
from zpmodel.calibration.walk import walked
from zpmodel.datasets import read_data_set
from zpmodel.devices.base import DATA_PATH
from zpmodel.devices.closed_loop import closed_loop
from zpmodel.study.scenario import Scenario, predict
from zpmodel.timing.events import on_path

DRAWS = 300
WRITES = {
    "one block and depth": lambda p: p.block_bytes == MIB and p.depth == 4,
    "one block": lambda p: p.block_bytes == MIB,
    "one depth": lambda p: p.depth == 4,
    "all": lambda _: True,
}
BY_NAME = {parameter.name: parameter for parameter in DATA_PATH}


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    found = {}
    for name, keep in WRITES.items():
        folder = tmp_path_factory.mktemp("bounds") / "set"
        cut_sets.cut(folder, lambda p, keep=keep: p.operation == "write" and not p.reference and keep(p))
        data = read_data_set(folder)
        found[name] = data, calibrate(data, resamples=DRAWS)
    return found


def device_rows(model):
    return {row["cost of"]: row for row in cost_table(model) if row["part"] == "device"}


def test_where_a_fit_began_is_no_cost(machines):
    _, model = machines["one block and depth"]
    rows, notes = device_rows(model), " ".join(doubts(model))
    for name in ("cold", "cache", "rounds", "cold_segment"):
        row, parameter = rows[name], BY_NAME[name]
        assert np.isnan(row["value"])
        assert row["says"].startswith("can't be known from this set: measure ")
        if not parameter.is_share:  # as far as nothing but its prior says
            assert np.log(row["high"] / row["low"]) > 2 * (DEVIATIONS - 0.5) * parameter.prior
    assert notes.count("can't be known from this set: measure") == 4
    # One time was measured: whichever of these it is, each is at most that, and may be nothing.
    for name in ("latency", "request", "segment"):
        assert np.isnan(rows[name]["value"])
        assert rows[name]["says"].startswith("at most ")
    some = [row for row in rows.values() if not np.isnan(row["value"])]
    assert all(row["cost of"] == "mebibyte" for row in some)


def test_at_one_depth_nobody_knows_what_requests_spend_beside_others(machines):
    # Whether 4 in flight wait beside each other, or one after the other for all that come back together, is the same.
    _, model = machines["one depth"]
    rows = device_rows(model)
    assert rows["latency"]["says"].startswith("at most ")
    assert rows["rounds"]["says"].startswith("can't be known from this set: measure depth 1 and deeper queues")


def test_draws_of_what_is_unknown_agree_with_what_was_measured(machines):
    for name in ("one block and depth", "one block", "one depth"):
        data, model = machines[name]
        groups = group(data)
        paths = np.maximum(model.cpu.path_draws @ on_path(groups.events, groups.load.depth, model.device.best).T, 1e-9)
        rates = closed_loop(model.device.draws.path(), groups.load._replace(path=paths))
        measured = np.array([np.median(data.writes["rate"].to_numpy()[rows]) for rows in groups.rows])
        off = np.log(rates / measured)
        assert np.abs(np.median(off, axis=0)).max() < 0.15
        assert np.quantile(np.abs(off), 0.9) < 0.5


def test_a_prediction_is_as_wide_as_what_it_rests_on(machines):
    widths = {
        name: np.log(found.high / found.low)
        for name, (_, model) in machines.items()
        for found in [predict(Scenario(model, GIB, "page")).elapsed_s]
    }
    assert widths["one block and depth"] > 2.3  # a factor of 10: it says nothing
    assert widths["one block and depth"] > widths["one block"] > widths["all"]
    assert widths["all"] < 0.5


def test_what_a_whole_set_tells_has_a_value(machines):
    _, model = machines["all"]
    assert all(row["says"] == "" and not np.isnan(row["value"]) for row in device_rows(model).values())
    cpu = {row["cost of"]: row for row in cost_table(model) if row["part"] == "submitting thread"}
    assert cpu["request"]["value"] == 0  # best at its bound: a limit
    assert cpu["request"]["says"] == f"at most {cpu['request']['high']:,.0f}"
    assert cpu["wait"]["says"] == ""
    assert cpu["cold vector"]["says"] == "not known: no run has any"


@pytest.mark.parametrize(
    ("name", "low", "high", "told"),
    [
        ("cache", 0.01, 3000.0, UNKNOWN),
        ("cache", 3.0, 3000.0, AT_LEAST),
        ("cache", 0.01, 5.0, AT_MOST),
        ("cache", 3.0, 5.0, VALUE),
        ("cold", 1e-8, 1e-2, UNKNOWN),
        ("cold", 1e-8, 5e-5, AT_MOST),
        ("cold", 1e-5, 5e-5, VALUE),
        ("rounds", 0.001, 0.999, UNKNOWN),
        ("rounds", 0.7, 0.99, VALUE),
    ],
)
def test_what_draws_say(name, low, high, told):
    even = np.linspace(0, 1, 1001)
    draws = low + (high - low) * even if name == "rounds" else low * (high / low) ** even
    assert told_of(float(np.median(draws)), draws, BY_NAME[name]) == told


def test_a_cpu_cost_whose_best_value_no_draw_reaches_has_a_limit():
    draws = np.linspace(1.0, 2.0, 1001)
    assert [told_of(best, draws) for best in (0.0, 1.5, 2.0)] == [AT_MOST, VALUE, AT_MOST]


def test_walkers_find_a_bent_valley():
    # Two costs of which the sum is known: each may be nothing, neither more than it; and one that nothing is known of.
    width = np.array([4.0, 4.0, 4.0])

    def misfit(free, of):
        off = (np.log(np.exp(free[:, 0]) + np.exp(free[:, 1])) - of * 0) / 0.05
        return off**2 + np.sum((free / width) ** 2, axis=1)

    start = np.random.default_rng(0).normal([-0.7, -0.7, 0.0], 0.1, (600, 3))
    free = walked(start, misfit, width, 600, seed=1)
    assert np.abs(np.log(np.exp(free[:, 0]) + np.exp(free[:, 1]))).mean() < 0.08
    for column in (0, 1):
        low, high = np.quantile(free[:, column], [0.05, 0.95])
        assert high == pytest.approx(0.03, abs=0.08)
        assert low == pytest.approx(-DEVIATIONS * 4, abs=1.2)
    assert np.std(free[:, 2]) == pytest.approx(4, rel=0.15)
    assert np.mean(free[:, 2]) == pytest.approx(0, abs=0.6)
