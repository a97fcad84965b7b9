import math
from dataclasses import replace

import naive_lifetime
import numpy as np
import pytest

from zpmodel.base.errors import InputError
from zpmodel.memory.life.closed_form import Life, Users, absent_share, closed_form, delay_quantile
from zpmodel.memory.life.simulate import simulate, simulate_day

BUSY = Life(Users(20.0, 0.05), scans_per_s=2.0, failure=0.4)


def random_lives(count: int) -> list[Life]:
    rng = np.random.default_rng(20)
    lives = []
    for _ in range(count):
        users = 10 ** rng.uniform(-1, 2)
        hold = 10 ** rng.uniform(-2, 0.3) / users
        shape = ["exponential", "fixed", "lognormal"][rng.integers(3)]
        life = Life(Users(users, hold, shape), users * 10 ** rng.uniform(-2, 1), rng.uniform(0.05, 0.95))
        lives.append(life)
    return lives


def test_simulation_and_closed_form_agree_on_50_random_parameter_sets() -> None:
    outside = []
    for i, life in enumerate(random_lives(50)):
        exact = closed_form(life)
        # Bonferroni: three quantities, together at 99 %.
        found = simulate(
            life, seconds=2000 * 3600 / exact.allocations_per_hour, seed=i, confidence=1 - 0.01 / 3
        ).intervals
        fine = [row.low <= getattr(exact, row.name) <= row.high for row in found.itertuples(index=False)]
        if not all(fine):
            outside.append((i, life))
    # 99 % intervals leave out 0.5 of 50 on average; more than 3 has a probability of 0.2 %.
    assert len(outside) <= 3, outside


@pytest.mark.parametrize("shape", ["exponential", "fixed"])
def test_simulation_agrees_with_the_slow_version(shape: str) -> None:
    life = replace(BUSY, users=Users(20.0, 0.05, shape))
    slow = [naive_lifetime.simulate(life, 500.0, seed) for seed in range(12)]
    fast = simulate(life, seconds=50_000.0)
    for row in fast.intervals.itertuples(index=False):
        values = np.array([run[row.name] for run in slow])
        error = values.std(ddof=1) / math.sqrt(len(values)) + (row.high - row.low) / 5
        assert abs(values.mean() - row.value) < 4 * error, row.name


def test_no_pressure_is_static() -> None:
    calm = replace(BUSY, scans_per_s=0.0)
    assert closed_form(calm).huge_share == 1
    assert closed_form(calm).held_bytes == calm.folio_bytes
    simulated = simulate(calm, seconds=10_000.0).outcome
    assert simulated.allocations_per_hour * 10_000 / 3600 == pytest.approx(1)
    assert simulated.held_share > 0.999


def test_failing_allocation_is_the_4_kib_page() -> None:
    lost = replace(BUSY, failure=1.0, scans_per_s=100.0)
    for outcome in (closed_form(lost), simulate(lost, seconds=1000.0).outcome):
        assert outcome.fallback_share == 1
        assert outcome.held_bytes == 0
        assert outcome.cleared_bytes_per_hour == 0


def test_a_reference_per_cpu_is_never_freed() -> None:
    kept = replace(BUSY, users=Users.per_cpu(20.0), scans_per_s=10.0)
    assert closed_form(kept).held_share == 1
    assert simulate(kept, seconds=3600.0).outcome.allocations_per_hour == pytest.approx(1)


def test_absence_by_hand() -> None:
    # u = s = 1/s, hold = ln 2 so that exp(u h) - 1 = 1: present/absent = 1/2 x (1 + 2 x 1) = 3/2.
    assert absent_share(Life(Users(1.0, math.log(2)), 1.0, 0.5)) == pytest.approx(1 / 2.5)


def test_long_holds_do_not_overflow() -> None:
    assert absent_share(Life(Users(1e6, 1e3), 1.0, 0.5)) == 0


def test_delay_quantiles_match_drawn_delays() -> None:
    life = replace(BUSY, clear_ns=90.0, allocate_ns=40.0, fail_ns=70.0)
    rng = np.random.default_rng(3)
    kind = rng.choice(3, p=[0.5, 0.2, 0.3], size=400_000)
    drawn = np.select(
        [kind == 0, kind == 1], [0.0, 90 + rng.exponential(40, kind.size)], rng.exponential(70, kind.size)
    )
    for quantile in (0.6, 0.9, 0.99, 0.999):
        assert delay_quantile(life, 0.2, 0.3, quantile) == pytest.approx(np.quantile(drawn, quantile), rel=0.03)
    assert delay_quantile(life, 0.2, 0.3, 0.5) == 0


def test_pressure_at_night_is_between_calm_and_pressure() -> None:
    calm, pressed = replace(BUSY, scans_per_s=0.01), replace(BUSY, scans_per_s=5.0)
    day = simulate_day([calm] * 3 + [pressed] * 3, seconds_each=600.0, runs=4)
    got = day.intervals.set_index("name").loc["fallback_share"]
    low, high = closed_form(calm).fallback_share, closed_form(pressed).fallback_share
    assert low < got["low"] < (low + high) / 2 < got["high"] < high


def test_same_seed_same_result() -> None:
    assert simulate(BUSY, seconds=100.0).outcome == simulate(BUSY, seconds=100.0).outcome
    assert simulate(BUSY, seconds=100.0).outcome != simulate(BUSY, seconds=100.0, seed=2).outcome


@pytest.mark.parametrize(
    "change", [{"failure": 1.5}, {"scans_per_s": -1.0}, {"clear_ns": math.nan}, {"folio_bytes": 0}]
)
def test_impossible_conditions_are_named(change: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(change))):
        replace(BUSY, **change)


def test_a_day_needs_one_kind_of_user() -> None:
    with pytest.raises(InputError, match="same hold times"):
        simulate_day([BUSY, replace(BUSY, users=Users(20.0, 1.0))])
