"""Intervals, clustered errors, smoothing and slopes against scipy, pandas-free loops and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import binomtest, sem, ttest_ind
from scipy.stats import t as student_t

from rlpeaks_tui.stats import summaries
from rlpeaks_tui.stats.longrun import series_mean
from rlpeaks_tui.stats.student import degrees_between, student95

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


@pytest.mark.parametrize("looks", [1, 2, 10, 40])
@pytest.mark.parametrize("degrees", [1, 1.3, 2, 2.5, 3, 4, 5.5, 8, 20, 100, 1e6, 1e9])
def test_quantiles_are_students(degrees, looks):
    assert student95(degrees, looks) == pytest.approx(student_t.isf(0.025 / looks, degrees), rel=1e-5)


def test_less_than_one_degree_gives_no_interval():
    assert np.isnan(student95(0)) and np.isnan(student95(0.9)) and np.isnan(student95(np.nan))


def test_the_error_between_some_pieces_has_one_degree_less_and_that_of_unknown_many_is_normal():
    assert student95(degrees_between(8)) == pytest.approx(student_t.isf(0.025, 7), rel=1e-5)
    assert student95(degrees_between(0)) == pytest.approx(summaries.Z95) and np.isnan(student95(degrees_between(1)))
    assert np.isnan(summaries.clustered_mean([1.0, 2.0], ["a", "a"]).half)
    assert summaries.clustered_mean([1.0, 2.0], ["a", "a"]).sign() == 0


@given(st.lists(st.integers(1, 30), min_size=2, max_size=8), st.integers(0, 2**32 - 1))
def test_the_error_of_a_ratio_is_that_of_leaving_out_one_cluster_at_a_time(counts, seed):
    n = np.array(counts, float)
    total = np.random.default_rng(seed).normal(size=n.size) * n
    found = summaries.ratio_mean(total, n)
    without = np.array([np.delete(total, c).sum() / np.delete(n, c).sum() for c in range(n.size)])
    assert found.se == pytest.approx(np.sqrt((n.size - 1) / n.size * np.square(without - found.mean).sum()))
    # The variance is x' m x of the cluster means x; Satterthwaite's degrees for such a form of normal variables.
    share = n / n.sum()
    g = (np.eye(n.size) - share) * (share / (1 - share))[:, None]
    m = g @ g.T
    assert found.freedom == pytest.approx(np.trace(m) ** 2 / np.trace(m @ m))
    if len(set(counts)) == 1:
        assert found.freedom == pytest.approx(n.size - 1)


@pytest.mark.parametrize("counts", [[1, 1], [5, 5, 5], [1, 1, 1, 1, 1], [20, 3, 2], [9, 5, 4, 1]])
@pytest.mark.parametrize("alike", [0.0, 0.5, 1.0])
def test_intervals_of_few_clusters_hold_the_truth_and_those_of_the_normal_do_not(counts, alike):
    rng = np.random.default_rng(11)
    n, draws, outside, normal = np.array(counts, float), 4000, 0, 0
    own = rng.normal(size=(draws, n.size)) * np.sqrt(alike) * n
    for total in own + rng.normal(size=(draws, n.size)) * np.sqrt((1 - alike) * n):
        found = summaries.ratio_mean(total, n)
        outside += abs(found.mean) > found.half
        normal += abs(found.mean) > summaries.Z95 * found.se
    assert outside <= 0.06 * draws  # 5 % and three times the error of counting
    if len(set(counts)) == 1:
        assert outside >= 0.04 * draws and normal >= 0.1 * draws


def test_intervals_that_hold_together_are_wider_by_students_quantile():
    found = summaries.mean_se([1.0, 2.0, 3.0, 5.0])
    low, high = student_t.interval(1 - 0.05 / 7, 3, found.mean, found.se)
    assert found.half_among(7) == pytest.approx((high - low) / 2)
    assert [found.sign(), found.sign(7), summaries.mean_se([-4.0, -4.1, -4.2]).sign()] == [1, 0, -1]


@given(st.integers(2, 9), st.integers(2, 9), st.floats(0.1, 10), st.integers(0, 2**32 - 1))
def test_a_difference_of_means_is_welchs(n, m, scale, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(1, 1, n), rng.normal(0, scale, m)
    found = summaries.combined((summaries.mean_se(a), summaries.mean_se(b)), (1.0, -1.0))
    expected = ttest_ind(a, b, equal_var=False)
    assert found.freedom == pytest.approx(expected.df)
    low, high = expected.confidence_interval()
    assert (found.mean - found.half, found.mean + found.half) == pytest.approx((low, high), rel=1e-5, abs=1e-6)


@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0, 2.5, np.nan]), st.integers(0, 2), st.integers(0, 2)), max_size=25))
def test_each_value_is_held_against_the_other_parts_of_its_cluster(rows):
    values, part, cluster = ([row[i] for row in rows] for i in range(3))
    found = summaries.beyond_the_rest(values, part, cluster)
    for i, (value, mine, owner) in enumerate(rows):
        others = [v for v, p, c in rows if c == owner and p != mine and not np.isnan(v)]
        expected = value - sum(others) / len(others) if others else np.nan
        assert found[i] == pytest.approx(expected, nan_ok=True)


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(1, 8)), min_size=1, max_size=12))
def test_trials_are_worth_at_least_their_clusters_and_at_most_themselves(rows):
    counts = np.array([n for _, n in rows])
    hits = np.minimum([k for k, _ in rows], counts)
    size = summaries.effective_trials(hits, counts)
    assert counts.sum() ** 2 / np.square(counts).sum() - 1e-9 <= size <= counts.sum() + 1e-9
    assert summaries.effective_trials(hits > 0, np.ones(len(rows))) == pytest.approx(len(rows))
    copied = summaries.effective_trials(8 * (hits > 0), np.full(len(rows), 8))
    assert copied == pytest.approx(len(rows))


def test_the_mean_of_a_few_rows_holds_also_where_they_resemble_each_other():
    """Counted coverage; the normal quantile over Geyer's size holds 81 % of six rows with an autocorrelation of 0.3."""
    rng = np.random.default_rng(12)
    cases = {(4, 0.0): 0.95, (6, 0.0): 0.95, (20, 0.0): 0.95, (6, 0.3): 0.92, (20, 0.3): 0.92, (20, 0.6): 0.9}
    for (n, rho), least in cases.items():
        noise = rng.normal(size=(1500, n)) * np.sqrt(1 - rho**2)
        noise[:, 0] /= np.sqrt(1 - rho**2)
        for i in range(1, n):
            noise[:, i] += rho * noise[:, i - 1]
        covered = np.mean([abs(found.mean) <= found.half for found in map(series_mean, noise)])
        assert covered >= least - 0.01, (n, rho)
    assert np.isnan(series_mean([1.0, 2.0, 3.0]).half) and np.isnan(series_mean([]).mean)
    assert series_mean(np.arange(30.0)).clusters == 2


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
