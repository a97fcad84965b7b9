"""Telling independent estimates apart, against draws of them."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zpmodel.base.estimate import DEVIATIONS, Estimate
from zpmodel.study.apart import alike, quotient, ranked


def lognormal(middle, sd):
    return Estimate(middle, middle * math.exp(-DEVIATIONS * sd), middle * math.exp(DEVIATIONS * sd))


def test_a_quotient_has_the_interval_of_its_draws():
    rng, n = np.random.default_rng(1), 200_000
    for a, b in itertools.product([(2.0, 0.1), (1.0, 0.4)], [(1.5, 0.05), (1.0, 0.3)]):
        draws = rng.lognormal(math.log(a[0]), a[1], n) / rng.lognormal(math.log(b[0]), b[1], n)
        drawn, found = Estimate.of(a[0] / b[0], draws), quotient(lognormal(*a), lognormal(*b))
        assert found.value == pytest.approx(drawn.value)
        assert found.low == pytest.approx(drawn.low, rel=0.01)
        assert found.high == pytest.approx(drawn.high, rel=0.01)


def test_lopsided_intervals_keep_their_sides():
    # What lies above is told from what lies below only by the halves that face each other.
    wide_above, wide_below = Estimate(2.0, 1.95, 9.0), Estimate(1.5, 0.2, 1.53)
    assert not alike(wide_above, wide_below)
    assert alike(Estimate(2.0, 0.5, 2.02), wide_below)


positive = st.floats(0.01, 100)


@given(positive, st.floats(0, 2), positive, st.floats(0, 2))
def test_two_are_alike_whichever_comes_first(a, a_sd, b, b_sd):
    one, other = lognormal(a, a_sd), lognormal(b, b_sd)
    back = quotient(other, one).inverse()
    found = quotient(one, other)
    assert (found.low, found.value, found.high) == pytest.approx((back.low, back.value, back.high))
    assert alike(one, one)


def test_the_largest_comes_first_with_those_like_it():
    found = [Estimate(1.0, 0.9, 1.1), Estimate(3.0, 2.9, 3.1), Estimate(1.05, 0.9, 1.2)]
    assert ranked(found) == [(1, []), (2, [0]), (0, [2])]
    assert ranked([]) == []


def test_a_quotient_is_of_positive_numbers():
    with pytest.raises(ValueError, match="positive"):
        quotient(Estimate(1.0, 0.0, 2.0), Estimate(1.0, 1.0, 1.0))
