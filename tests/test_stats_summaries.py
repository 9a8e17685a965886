"""Intervals, clustered errors, smoothing and slopes against scipy, pandas-free loops and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import binomtest, sem, theilslopes

from rlpeaks_tui.stats import summaries

finite = st.floats(-1e6, 1e6, allow_subnormal=False)


@given(st.integers(0, 500), st.integers(1, 500))
def test_wilson_is_scipys(k, n):
    k = min(k, n)
    low, high = summaries.wilson(k, n)
    expected = binomtest(k, n).proportion_ci(0.95, method="wilson")
    assert (float(low), float(high)) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert (low == 0) == (k == 0)
    assert (high == 1) == (k == n)


def test_wilson_knows_nothing_without_trials():
    low, high = summaries.wilson([0, 3], [0, 3])
    assert (low[0], high[0], high[1]) == (0.0, 1.0, 1.0)


@given(hnp.arrays(np.float64, st.integers(2, 40), elements=finite))
def test_mean_se_is_scipys(x):
    found = summaries.mean_se(np.append(x, np.nan))
    assert found.mean == pytest.approx(x.mean())
    assert found.se == pytest.approx(sem(x), abs=1e-6)
    assert found.n == x.size


def test_nothing_has_no_mean():
    for found in (summaries.mean_se([]), summaries.clustered_mean([np.nan], ["a"]), summaries.ratio_mean([0], [0])):
        assert np.isnan(found.mean)
        assert found.n == found.clusters == 0


def test_clustered_mean_equals_the_plain_one_for_clusters_of_one_and_ignores_copies():
    x = np.random.default_rng(0).normal(size=50)
    plain = summaries.mean_se(x)
    assert summaries.clustered_mean(x, np.arange(50)).se == pytest.approx(plain.se)
    copied = summaries.clustered_mean(np.repeat(x, 8), [f"prompt {i}" for i in range(50) for _ in range(8)])
    assert (copied.mean, copied.se) == pytest.approx((plain.mean, plain.se))
    assert (copied.n, copied.clusters) == (400, 50)


def test_effective_size_of_an_autoregression_is_that_of_theory():
    rng = np.random.default_rng(1)
    for rho in (0.0, 0.5, 0.9):
        found = []
        for _ in range(20):
            noise = rng.normal(size=4000)
            x = np.empty(4000)
            x[0] = noise[0] / np.sqrt(1 - rho**2)
            for t in range(1, 4000):
                x[t] = rho * x[t - 1] + noise[t]
            found.append(summaries.effective_size(x))
        assert np.mean(found) == pytest.approx(4000 * (1 - rho) / (1 + rho), rel=0.15)


@given(hnp.arrays(np.float64, st.integers(0, 60), elements=st.one_of(finite, st.just(np.nan))))
def test_effective_size_is_between_one_and_n(x):
    n = int((~np.isnan(x)).sum())
    assert min(n, 1) <= summaries.effective_size(x) <= n


def test_a_trend_is_worth_few_values():
    assert summaries.effective_size(np.arange(1000.0)) < 20


@given(
    hnp.arrays(np.float64, st.integers(1, 80), elements=st.one_of(st.floats(-100, 100), st.just(np.nan))),
    st.floats(0.1, 50),
    st.booleans(),
)
def test_smoothing_is_the_weighted_mean_it_claims_to_be(x, half_life, centred):
    found = summaries.smooth(x, half_life, centred=centred)
    at = np.arange(x.size)
    for t in range(x.size):
        if np.isnan(x[t]):
            assert np.isnan(found[t])
            continue
        use = ~np.isnan(x) if centred else ~np.isnan(x) & (at <= t)
        weight = 0.5 ** (np.abs(at - t)[use] / half_life)
        assert found[t] == pytest.approx(np.average(x[use], weights=weight), abs=1e-9)


@given(hnp.arrays(np.float64, st.integers(2, 50), elements=st.floats(-100, 100)), st.integers(1, 49))
def test_trailing_smoothing_never_looks_ahead(x, cut):
    cut = min(cut, x.size)
    np.testing.assert_allclose(summaries.smooth(x, 5.0)[:cut], summaries.smooth(x[:cut], 5.0), atol=1e-9)


def test_smoothing_a_constant_leaves_it_and_nonsense_is_refused():
    assert summaries.smooth(np.full(1000, 3.0), 20.0) == pytest.approx(np.full(1000, 3.0))
    with pytest.raises(ValueError, match="half_life"):
        summaries.smooth([1.0], 0.0)


@given(hnp.arrays(np.float64, st.integers(2, 40), elements=finite), st.integers(0, 2**32 - 1))
def test_slope_is_scipys(y, seed):
    x = np.random.default_rng(seed).choice(1000, y.size, replace=False).astype(float)
    assert summaries.theil_sen(x, y) == pytest.approx(theilslopes(y, x).slope, abs=1e-9)


def test_slope_survives_wild_points_gaps_and_length():
    x = np.arange(5000.0)
    y = 0.25 * x
    y[::7] = 1e9
    y[3::11] = np.nan
    assert summaries.theil_sen(x, y) == pytest.approx(0.25)
    assert np.isnan(summaries.theil_sen([1.0, 1.0], [2.0, 3.0]))
    assert np.isnan(summaries.theil_sen([], []))
