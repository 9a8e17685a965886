"""The sigmoid in compute: recovery of what was planted, scipy on clean data, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from rlpeaks_tui.stats.scaling import NARROW, PASSED, Sigmoid, fit_sigmoid


def _sigmoid(c, ceiling, middle, exponent, first=0.2):
    return first + (ceiling - first) / (1 + (middle / c) ** exponent)


def _fit(reach: float, seed: int, *, n: int = 25, noise: float = 0.01, exponent: float = 1.9) -> Sigmoid:
    """A run up to `reach` midpoints of compute, A = .8, C_mid = 1, as in the simulations behind the gate."""
    rng = np.random.default_rng(seed)
    c = np.linspace(reach / n, reach, n)
    y = np.clip(_sigmoid(c, 0.8, 1.0, exponent) + rng.normal(0, noise, n), 0, 1)
    return fit_sigmoid(c, y, np.full(n, noise), 0.2, rng)


def test_the_ceiling_is_recovered_once_four_midpoints_are_spent():
    found = [_fit(reach, seed) for reach in (4, 6, 10) for seed in range(20)]
    assert all(each.identified for each in found)
    close = [abs(each.asymptote - 0.8) <= 0.02 for each in found]
    assert np.mean(close) >= 0.95
    assert np.mean([abs(each.midpoint - 1) < 0.15 for each in found]) >= 0.9
    assert all(each.low <= each.asymptote <= each.high for each in found)


def test_nothing_is_identified_before_two_midpoints_are_spent():
    for reach in (0.5, 1.0, 1.5):
        found = [_fit(reach, seed, exponent=exponent) for seed in range(20) for exponent in (1.2, 1.9, 3.0)]
        assert np.mean([each.identified for each in found]) <= 0.02
        assert all(
            "times as far as the middle of its rise" in each.why or "fit about as well" in each.why for each in found
        )


def test_most_intervals_hold_the_ceiling():
    """Nominally 80 %; blocks of so short a series cost some of it."""
    found = [_fit(5, seed) for seed in range(60)]
    assert 0.6 <= np.mean([each.low <= 0.8 <= each.high for each in found]) <= 0.95
    assert all(each.high - each.low < NARROW for each in found)


@pytest.mark.parametrize(("ceiling", "exponent"), [(0.61, 1.92), (0.645, 1.7), (0.95, 1.2), (0.8, 4.0)])
def test_on_clean_data_it_is_least_squares(ceiling, exponent):
    c = np.linspace(500, 50_000, 60)
    y = _sigmoid(c, ceiling, 2542.0, exponent) + 1e-4 * np.sin(np.arange(60))
    found = fit_sigmoid(c, y, np.full(60, 0.001), 0.2, np.random.default_rng(0))
    expected, _ = curve_fit(_sigmoid, c, y, p0=[0.7, 3000.0, 1.5], bounds=([0.2, 100.0, 0.3], [1.0, 40_000.0, 8.0]))
    assert (found.asymptote, found.midpoint, found.exponent) == pytest.approx(tuple(expected), rel=2e-3)
    assert found.identified


def test_outliers_do_not_draw_the_ceiling():
    rng = np.random.default_rng(0)
    c = np.linspace(0.2, 8, 40)
    y = _sigmoid(c, 0.8, 1.0, 1.9) + rng.normal(0, 0.01, 40)
    y[[24, 30, 36]] = 0.4
    found = fit_sigmoid(c, y, np.full(40, 0.01), 0.2, rng)
    plain, _ = curve_fit(_sigmoid, c, y, p0=[0.7, 1.0, 1.5], bounds=([0.2, 0.01, 0.3], [1.0, 50.0, 8.0]))
    assert abs(found.asymptote - 0.8) < 0.015 < abs(plain[0] - 0.8)


def test_a_falling_accuracy_has_no_ceiling():
    c = np.arange(1.0, 31)
    y = np.concatenate((np.linspace(0.2, 0.8, 20), np.linspace(0.78, 0.5, 10)))
    found = fit_sigmoid(c, y, np.full(30, 0.02), 0.2, np.random.default_rng(0))
    assert not found.identified
    assert found.why.startswith("accuracy is falling: 0.5")
    assert np.isnan([found.asymptote, found.low, found.high, found.midpoint, found.exponent]).all()


@pytest.mark.parametrize(
    ("y", "first", "why"),
    [
        ([0.3, 0.4, 0.5], 0.2, "3 of the 6 evaluations that it takes"),
        ([0.3, 0.4, np.nan, np.nan, np.nan, 0.5], 0.2, "3 of the 6 evaluations that it takes"),
        ([0.21, 0.2, 0.22, 0.2, 0.21, 0.2], 0.2, "accuracy has not risen above its start by two standard errors"),
        ([0.3, 0.4, 0.5, 0.55, 0.6, 0.6], np.nan, "the accuracy before training is not known"),
        ([0.3, 0.4, 0.5, 0.55, 0.6, 0.6], -1e308, "the accuracy before training is not known"),
    ],
)
def test_what_is_missing_is_said(y, first, why):
    c = np.arange(1.0, len(y) + 1)
    found = fit_sigmoid(c, y, np.full(len(y), 0.02), first, np.random.default_rng(0))
    assert (found.identified, found.why) == (False, why)


def test_the_start_itself_is_passed_over():
    c, y = np.arange(0.0, 21), np.concatenate(([0.2], _sigmoid(np.arange(1.0, 21), 0.7, 3.0, 2.0)))
    with_start = fit_sigmoid(c, y, np.full(21, 0.01), 0.2, np.random.default_rng(0))
    assert with_start == fit_sigmoid(c[1:], y[1:], np.full(20, 0.01), 0.2, np.random.default_rng(0))


@settings(max_examples=20, deadline=None)
@given(st.floats(1e-3, 1e9), st.integers(0, 2**32 - 1))
def test_the_unit_of_compute_does_not_matter(unit, seed):
    rng = np.random.default_rng(seed)
    c = np.linspace(0.3, 6, 30)
    y = np.clip(_sigmoid(c, 0.8, 1.0, 1.9) + rng.normal(0, 0.02, 30), 0, 1)
    one, other = (fit_sigmoid(c * scale, y, np.full(30, 0.02), 0.2, np.random.default_rng(0)) for scale in (1.0, unit))
    assert other.asymptote == pytest.approx(one.asymptote, abs=1e-3)
    assert other.midpoint == pytest.approx(one.midpoint * unit, rel=0.01)
    assert other.identified == one.identified


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.01, 1e6), st.floats(0, 1), st.floats(0, 0.3)), min_size=0, max_size=40),
    st.floats(0, 1),
)
def test_any_course_gives_an_answer(rows, first):
    c, y, se = (np.array([row[i] for row in rows]) for i in range(3))
    found = fit_sigmoid(c, y, se, first, np.random.default_rng(0), 20)
    assert found.why
    if found.identified:
        assert 0 <= found.low <= found.high <= 1.0 + 1e-9
        assert c.max() >= PASSED * found.midpoint * (1 - 1e-9)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="do not fit together"):
        fit_sigmoid([1, 2], [0.1], [0.1], 0.1, np.random.default_rng(0))
    with pytest.raises(ValueError, match="between 0 and 1"):
        fit_sigmoid([1, 2], [0.1, 1.2], [0.1, 0.1], 0.1, np.random.default_rng(0))


def test_the_curve_is_least_squares_and_its_band_holds_it():
    c = np.linspace(500, 50_000, 60)
    y = _sigmoid(c, 0.8, 2542.0, 1.9) + 1e-4 * np.sin(np.arange(60))
    found = fit_sigmoid(c, y, np.full(60, 0.001), 0.2, np.random.default_rng(0))
    expected, _ = curve_fit(_sigmoid, c, y, p0=[0.7, 3000.0, 1.5])
    further = np.geomspace(100, 200_000, 30)
    middle, low, high = found.over(further)
    assert middle == pytest.approx(_sigmoid(further, *expected), abs=1e-3)
    assert (low <= middle).all() and (middle <= high).all()


def test_most_bands_hold_the_true_curve_and_grow_beyond_the_data():
    held = []
    for seed in range(40):
        found = _fit(5, seed)
        _, low, high = found.over([1.0, 4.0, 20.0])
        truth = _sigmoid(np.array([1.0, 4.0, 20.0]), 0.8, 1.0, 1.9)
        held.append((low <= truth) & (truth <= high))
        assert high[2] - low[2] > high[1] - low[1]
    assert (np.mean(held, axis=0) >= 0.5).all()


def test_without_a_fit_there_is_no_curve():
    assert all(
        np.isnan(part).all() for part in fit_sigmoid([1], [0.5], [0.1], 0.2, np.random.default_rng(0)).over([1, 2])
    )
