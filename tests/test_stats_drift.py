"""Straightness and richness against scipy, and against what chance gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import cosine
from scipy.stats import linregress

from rlpeaks_tui.stats.drift import DORMANT, features, straightness, window_cosines

ways = hnp.arrays(
    np.float64, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=6), elements=st.floats(-10, 10, width=32)
)


@given(ways, st.integers(0, 2**32 - 1))
def test_r2_is_that_of_a_regression_through_the_start(displacement, seed):
    """Mirrored at the start a line fitted by linregress passes through it, and its mean is 0."""
    t = np.cumsum(np.random.default_rng(seed).integers(1, 50, len(displacement))).astype(float)
    found = straightness(t, displacement)
    total = np.square(displacement).sum(axis=0)
    assert (found.times, found.coordinates) == displacement.shape
    if not total.sum() > 1e-6:
        return
    r2 = [
        linregress(np.concatenate((-t, t)), np.concatenate((-x, x))).rvalue ** 2 if x.any() else 0.0
        for x in displacement.T
    ]
    assert found.r2 == pytest.approx(np.average(r2, weights=total), abs=1e-9)


def test_a_line_is_straight_and_its_direction_does_not_turn():
    t = np.array([10.0, 20.0, 45.0, 60.0])
    way = t[:, None] * np.random.default_rng(0).normal(0, 1e-4, 1000).astype(np.float32)
    assert straightness(t, way).r2 == pytest.approx(1.0)
    assert window_cosines(way) == pytest.approx([1.0, 1.0, 1.0])
    assert straightness(t, way.astype(np.float32)).r2 == pytest.approx(1.0)


@pytest.mark.parametrize("times", [np.arange(1.0, 41.0), np.array([1.0, 2.0, 5.0, 30.0, 31.0, 80.0]), np.array([3.0])])
def test_a_random_walk_is_as_straight_as_is_said_beside_it(times):
    rng = np.random.default_rng(0)
    steps = rng.normal(0, 1, (times.size, 20_000)) * np.sqrt(np.diff(times, prepend=0.0))[:, None]
    walk = np.cumsum(steps, axis=0)
    found = straightness(times, walk)
    assert found.r2 == pytest.approx(found.walk, abs=0.01)
    cosines = window_cosines(walk)
    assert np.abs(cosines).max(initial=0.0) < 5 / math.sqrt(20_000)


def test_many_even_times_give_a_walk_four_fifths():
    assert straightness(np.arange(1.0, 2001.0), np.ones((2000, 1))).walk == pytest.approx(0.8, abs=0.001)


@given(ways)
def test_cosines_are_scipys(displacement):
    found = window_cosines(displacement)
    stretches = np.diff(displacement, axis=0, prepend=0.0)
    assert found.shape == (len(displacement) - 1,)
    for value, a, b in zip(found, stretches[:-1], stretches[1:], strict=True):
        if np.linalg.norm(a) > 1e-3 and np.linalg.norm(b) > 1e-3:
            assert value == pytest.approx(1 - cosine(a, b), abs=1e-6)
        elif not a.any() or not b.any():
            assert math.isnan(value)


def test_no_movement_has_no_direction():
    still = np.zeros((3, 4))
    assert math.isnan(straightness([1, 2, 3], still).r2)
    assert np.isnan(window_cosines(still)).all()
    assert window_cosines(np.zeros((0, 4))).size == 0
    nothing = straightness([], np.zeros((0, 4)))
    assert math.isnan(nothing.r2) and math.isnan(nothing.walk)
    broken = straightness([1, 2], np.array([[1.0], [np.nan]]))
    assert math.isnan(broken.r2)


def test_times_and_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="2 times and displacements"):
        straightness([1, 2], np.ones((3, 4)))
    with pytest.raises(ValueError, match="above 0"):
        straightness([0, 1], np.ones((2, 4)))
    for function in (window_cosines, features):
        with pytest.raises(ValueError, match="expected"):
            function(np.ones(3))


@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=12),
        elements=st.floats(-100, 100, width=16),
    )
)
def test_stable_rank_is_that_of_the_singular_values(hidden):
    found = features(hidden)
    centred = hidden.astype(float) - hidden.astype(float).mean(axis=0)
    centred[:, (hidden == hidden[0]).all(axis=0)] = 0.0
    s = np.linalg.svd(centred, compute_uv=False)
    if s[0] == 0:
        assert math.isnan(found.stable_rank) and math.isnan(found.dead)
        return
    assert found.stable_rank == pytest.approx(np.square(s).sum() / s[0] ** 2, rel=1e-6)
    assert 1 - 1e-9 <= found.stable_rank <= min(hidden.shape) + 1e-9
    spread = centred.std(axis=0)
    near = np.isclose(spread, DORMANT * spread.mean(), rtol=1e-6)
    assert abs(found.dead * spread.size - np.count_nonzero(spread < DORMANT * spread.mean())) <= near.sum()


def test_dead_units_are_those_that_stand_still_wherever_they_stand():
    hidden = np.random.default_rng(0).normal(0, 1, (500, 20))
    hidden[:, 0] = 0.0
    hidden[:, 1] = 0.1  # whose mean over 500 positions is not quite 0.1
    hidden[:, 2] = 7.0 + 1e-3 * hidden[:, 3]
    assert features(hidden).dead == 3 / 20
    assert features(hidden * 1e-300).dead == 3 / 20  # no scale is too small


def test_a_direction_that_all_positions_share_hides_nothing():
    hidden = np.random.default_rng(0).normal(0, 1, (400, 10))
    assert features(hidden + 1000.0).stable_rank == pytest.approx(features(hidden).stable_rank, rel=1e-6)
    assert features(hidden).stable_rank > 7


def test_positions_that_are_not_finite_are_left_out():
    hidden = np.random.default_rng(0).normal(0, 1, (10, 4))
    broken = np.concatenate((hidden, [[np.nan, 0, 0, 0], [np.inf, 0, 0, 0]]))
    assert features(broken) == features(hidden)
    assert features(hidden).n == 10
    for empty in (np.zeros((0, 4)), np.ones((1, 4)), np.ones((5, 0)), np.full((5, 3), np.nan), np.full((7, 3), 0.1)):
        assert math.isnan(features(empty).stable_rank)
