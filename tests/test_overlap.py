"""The overlap of submission and device: against a simulation, and against bounds that hold for any queue."""

import math

import naive_queue
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zpmodel.devices.overlap import bound_by, mva_rate, rate_bound, round_rate, steady_rate

times = st.floats(1e-7, 1e-3)
depths = st.integers(1, 64)


@pytest.mark.parametrize(
    ("cpu", "link", "latency", "depth"),
    [
        (10e-6, 10e-6, 0.0, 2),
        (10e-6, 30e-6, 50e-6, 1),
        (10e-6, 30e-6, 50e-6, 4),
        (30e-6, 10e-6, 200e-6, 16),
        (5e-6, 5e-6, 20e-6, 8),
    ],
)
def test_mva_agrees_with_the_simulation(cpu, link, latency, depth):
    rates = [naive_queue.one_by_one_rate(cpu, link, latency, depth, 20_000, seed) for seed in range(6)]
    mean = sum(rates) / len(rates)
    deviation = (sum((r - mean) ** 2 for r in rates) / (len(rates) - 1) / len(rates)) ** 0.5
    assert abs(mva_rate(cpu, link, latency, depth) - mean) < 4 * deviation + 0.002 * mean


@pytest.mark.nojit
@given(times, times, st.integers(1, 3000))
def test_without_latency_it_is_a_ring_of_two_queues_however_many_are_in_flight(cpu, link, depth):
    """The number at the busier one is a birth-death chain, so its share of time is a quotient of two sums."""
    quick, busy = sorted((cpu, link))
    powers = [(quick / busy) ** k for k in range(depth + 1)]
    expected = math.fsum(powers[:-1]) / math.fsum(powers) / busy
    assert mva_rate(cpu, link, 0.0, depth) == pytest.approx(expected, rel=1e-12)


@pytest.mark.nojit
@given(times, times, st.floats(0, 1e-3), depths)
def test_rounds_agree_with_the_simulation(cpu, link, latency, depth):
    assert round_rate(cpu, link, latency, depth) == pytest.approx(
        naive_queue.round_rate(cpu, link, latency, depth), rel=1e-9
    )


@pytest.mark.nojit
@given(times, times, st.floats(0, 1e-3), depths, st.floats(0, 1))
def test_no_rate_passes_the_asymptotic_bound(cpu, link, latency, depth, rounds):
    assert steady_rate(cpu, link, latency, depth, rounds) <= rate_bound(cpu, link, latency, depth) * (1 + 1e-9)


@pytest.mark.nojit
@given(times, times, st.floats(0, 1e-3), depths, st.floats(0, 1))
def test_more_in_flight_is_never_slower(cpu, link, latency, depth, rounds):
    assert steady_rate(cpu, link, latency, depth + 1, rounds) >= steady_rate(cpu, link, latency, depth, rounds) * (
        1 - 1e-9
    )


@pytest.mark.nojit
@given(times, times, st.floats(0, 1e-3), st.floats(0, 1))
def test_one_in_flight_overlaps_nothing(cpu, link, latency, rounds):
    assert steady_rate(cpu, link, latency, 1, rounds) == pytest.approx(1 / (cpu + link + latency), rel=1e-9)


@given(times, st.floats(1.5, 10))
def test_cheaper_submission_gains_nothing_behind_a_busy_device(link, factor):
    # Deep enough a queue, the CPU well below the device: half its cost changes the rate by nothing.
    slow = steady_rate(link / factor, link, link, 256, 1.0)
    fast = steady_rate(link / factor / 2, link, link, 256, 1.0)
    assert fast / slow == pytest.approx(1, abs=0.01)


@pytest.mark.nojit
def test_what_bounds_a_loop():
    assert bound_by(10e-6, 5e-6, 1e-6, 8) == "submission"
    assert bound_by(5e-6, 10e-6, 1e-6, 8) == "device"
    assert bound_by(5e-6, 10e-6, 1e-3, 8) == "latency"
