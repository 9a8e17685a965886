"""pass@k against the hypergeometric distribution and brute force."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hypergeom

from rlpeaks_tui.stats.passk import pass_at_k, pass_curve

counts = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n)))


@given(st.lists(counts, min_size=1, max_size=8))
def test_it_is_the_hypergeometric_chance(rows):
    n, c, ks = (np.array(column) for column in zip(*rows, strict=True))
    found = pass_at_k(n, c, ks)
    assert found.shape == (len(rows), len(rows))
    for i in range(len(rows)):
        for j, k in enumerate(ks):
            if k > n[i]:
                assert np.isnan(found[i, j])
            else:
                assert found[i, j] == pytest.approx(1 - hypergeom.pmf(0, n[i], c[i], k), abs=1e-9)


def test_brute_force():
    outcomes = [1, 0, 0, 1, 0]
    chosen = list(combinations(outcomes, 3))
    assert pass_at_k([5], [2], [3])[0, 0] == pytest.approx(sum(map(any, chosen)) / len(chosen))


def test_ends_are_exact():
    assert pass_at_k([1000, 1000, 4], [0, 1000, 1], [1, 4]).tolist() == [[0, 0], [1, 1], [0.25, 1]]


def test_it_is_unbiased():
    rng = np.random.default_rng(0)
    found = pass_at_k(np.full(200_000, 16), rng.binomial(16, 0.1, 200_000), [1, 4, 8]).mean(axis=0)
    np.testing.assert_allclose(found, 1 - 0.9 ** np.array([1, 4, 8]), atol=0.003)


def test_interval_covers_by_resampling_problems():
    rng = np.random.default_rng(1)
    truth = 1 - np.mean((1 - rng.beta(0.5, 1, 100_000)) ** 4)
    covered = too_narrow = 0
    for _ in range(150):
        solved = rng.binomial(32, rng.beta(0.5, 1, 80))
        curve = pass_curve(np.full(80, 32), solved, [4], rng, 400)
        covered += curve.low[0] <= truth <= curve.high[0]
        half = 1.96 * np.sqrt(curve.mean[0] * (1 - curve.mean[0]) / (80 * 32))  # as if samples were independent
        too_narrow += abs(curve.mean[0] - truth) <= half
    assert covered >= 0.88 * 150
    assert too_narrow < 0.5 * 150


def test_curve_says_what_it_cannot_know():
    rng = np.random.default_rng(2)
    curve = pass_curve([8, 16], [1, 2], [1, 4, 8, 16], rng)
    assert curve.steady.tolist() == [True, True, False, False]
    assert np.isnan(curve.mean).tolist() == [False, False, False, True]
    assert np.isnan(curve.low).tolist() == np.isnan(curve.high).tolist() == [False, False, False, True]
    assert (np.diff(curve.mean[:3]) >= 0).all()
    assert np.isnan(pass_curve([8], [1], [1], rng).low).all()


@pytest.mark.parametrize(
    ("n", "c", "k"), [([4], [5], [1]), ([4], [-1], [1]), ([4], [2], [0]), ([4], [2], []), ([4, 4], [2], [1])]
)
def test_nonsense_is_refused(n, c, k):
    with pytest.raises(ValueError):
        pass_at_k(n, c, k)


def test_no_problems_is_refused():
    with pytest.raises(ValueError, match="no problems"):
        pass_curve([], [], [1], np.random.default_rng(0))
