"""Token statistics against numpy, scipy, sklearn and loops, over any mask, ties, and completions of one token."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import jaccard_score

from rlpeaks_tui.stats import tokens


def _batches(elements):
    """([B, T] values, [B, T] mask), empty batches and completions without tokens included."""
    shapes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9)
    return shapes.flatmap(lambda s: st.tuples(hnp.arrays(np.float64, s, elements=elements), hnp.arrays(np.bool_, s)))


few = st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0, math.nan])  # few values, hence ties


@settings(max_examples=50)
@given(_batches(few), st.floats(0.01, 1.0))
def test_forks_are_the_top_share_and_ties_go_to_the_first(batch, share):
    entropy, mask = batch
    threshold, forks = tokens.forking(entropy, mask, share)
    order = [
        (-entropy[i, j], i, j) for i, j in np.ndindex(*entropy.shape) if mask[i, j] and not np.isnan(entropy[i, j])
    ]
    count = math.ceil(round(share * len(order), 6))
    expected = {(i, j) for _, i, j in sorted(order)[:count]}
    assert {tuple(place) for place in np.argwhere(forks).tolist()} == expected
    if expected:
        assert threshold == min(entropy[place] for place in expected)
    else:
        assert math.isnan(threshold)


@pytest.mark.parametrize(("n", "share", "count"), [(5, 0.2, 1), (12_345, 0.2, 2469), (100, 0.07, 7), (6, 0.2, 2)])
def test_a_share_is_rounded_up_but_not_for_the_rounding_of_the_product(n, share, count):
    """0.07 * 100 is a hair above 7 in floating point, which must not add a token."""
    _, forks = tokens.forking(np.arange(n, dtype=float)[None], np.ones((1, n)), share)
    assert forks.sum() == count
    assert forks[0, -1]


def test_a_share_must_be_a_share():
    for share in (0.0, -0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="share"):
            tokens.forking(np.ones((1, 2)), np.ones((1, 2)), share)
    with pytest.raises(ValueError, match="must both be"):
        tokens.forking(np.ones((1, 2)), np.ones((2, 2)))


@settings(max_examples=50)
@given(hnp.arrays(np.bool_, hnp.array_shapes(max_dims=2, max_side=20)), st.randoms(use_true_random=False))
def test_overlap_is_jaccard(a, random):
    b = np.array([random.random() < 0.5 for _ in range(a.size)], bool).reshape(a.shape)
    if (a | b).any():
        assert tokens.overlap(a, b) == pytest.approx(jaccard_score(a.ravel(), b.ravel()))
    else:
        assert math.isnan(tokens.overlap(a, b))
    assert tokens.overlap(a | True, a | True) == 1.0
    with pytest.raises(ValueError, match="same tokens"):
        tokens.overlap(a, np.ones(a.size + 1, bool))


def test_random_forks_overlap_as_the_docstring_says():
    rng = np.random.default_rng(0)
    mask = np.ones((1, 20_000))
    found = tokens.overlap(*(tokens.forking(rng.random(mask.shape), mask)[1] for _ in range(2)))
    assert found == pytest.approx(0.2 * 0.2 / (0.4 - 0.2 * 0.2), abs=0.01)
    assert round(0.2 * 0.2 / (0.4 - 0.2 * 0.2), 2) == 0.11


@settings(max_examples=50)
@given(_batches(st.floats(-20, 0)), st.integers(0, 2**32 - 1))
def test_covariance_is_numpys(batch, seed):
    logp, mask = batch
    advantage = np.random.default_rng(seed).normal(0, 1, len(logp))
    found = tokens.covariance(logp, advantage, mask)
    x, y = logp[mask], np.repeat(advantage, mask.sum(axis=1))
    assert found.n == x.size
    if not x.size:
        assert math.isnan(found.mean)
        return
    assert found.mean == pytest.approx(np.cov(x, y, ddof=0)[0, 1], abs=1e-12)
    assert found.spread == pytest.approx(np.std(x), abs=1e-12)


@settings(max_examples=50)
@given(_batches(st.floats(-20, 0)), st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_sums_of_ranks_give_the_covariance_of_all(batch, seed, ranks):
    logp, mask = batch
    advantage = np.random.default_rng(seed).normal(0, 1, len(logp))
    parts = np.array_split(np.arange(len(logp)), ranks)
    sums = sum(tokens.moments(logp[part], advantage[part], mask[part]) for part in parts)
    assert sums.shape == (5,)
    found, whole = tokens.covariance_from_moments(sums), tokens.covariance(logp, advantage, mask)
    assert found.n == whole.n
    assert found.mean == pytest.approx(whole.mean, abs=1e-9, nan_ok=True)
    assert found.spread == pytest.approx(whole.spread, abs=1e-6, nan_ok=True)
    assert math.isnan(found.top_share)


def test_one_runaway_token_holds_the_covariance():
    rng = np.random.default_rng(0)
    logp = rng.normal(-0.1, 0.01, (10, 100))
    advantage = np.tile([1.0, -1.0], 5)
    even = tokens.covariance(logp, advantage, np.ones_like(logp))
    logp[1, 7] = -12.0  # unlikely, and punished
    found = tokens.covariance(logp, advantage, np.ones_like(logp))
    terms = np.sort(((logp - logp.mean()) * advantage[:, None]).ravel())[::-1]
    assert found.top_mean == pytest.approx(terms[:2].mean())  # 0.2 % of 1,000 tokens
    assert found.top_share == pytest.approx(terms[:2].sum() / terms[terms > 0].sum())
    assert found.top_share > 0.5 > 10 * even.top_share


def test_no_covariance_out_of_rounding():
    logp = np.full((3, 7), -0.1)  # whose mean is not quite -0.1
    assert tokens.covariance(logp, [0.3, -0.1, 0.7], np.ones_like(logp)).mean == 0.0
    found = tokens.covariance(np.random.default_rng(0).random((3, 7)), [0.1, 0.1, 0.1], np.ones_like(logp))
    assert found.mean == 0.0
    assert math.isnan(found.top_share)


@settings(max_examples=50)
@given(hnp.arrays(np.float64, st.integers(0, 50), elements=st.floats(0, 1e300)))
def test_effective_sample_size_lies_between_one_sample_and_all(weights):
    found = tokens.effective_sample_size(weights)
    if not weights.any():
        assert math.isnan(found)
        return
    exact = [Fraction(w) for w in weights.tolist()]  # whose sums cannot overflow
    assert found == pytest.approx(float(sum(exact) ** 2 / (len(exact) * sum(w * w for w in exact))))
    assert 1 / weights.size - 1e-12 <= found <= 1 + 1e-12


def test_effective_sample_size_in_closed_form():
    assert tokens.effective_sample_size([1, 1, 0, 0]) == 0.5
    assert tokens.effective_sample_size([5.0] * 7) == pytest.approx(1.0)
    assert tokens.effective_sample_size([1.0, math.nan]) == 1.0
    # Lognormal weights of variance v leave exp(-v) of the samples.
    delta = np.random.default_rng(0).normal(0, 0.5, 200_000)
    assert tokens.effective_sample_size(np.exp(delta)) == pytest.approx(math.exp(-0.25), rel=0.02)


@settings(max_examples=50)
@given(_batches(few), st.integers(1, 12))
def test_means_by_position_are_what_a_loop_finds(batch, bins):
    values, mask = batch
    means, counts = tokens.by_position(values, mask, bins)
    found = [[] for _ in range(bins)]
    for row, use in zip(values, mask, strict=True):
        inside = row[use]
        for j, value in enumerate(inside.tolist()):
            if not math.isnan(value):
                found[j * bins // len(inside)].append(value)
    assert counts.tolist() == [len(part) for part in found]
    np.testing.assert_allclose(means, [np.mean(part) if part else np.nan for part in found])


def test_position_is_relative_to_each_completion():
    mask = np.array([[1] * 10, [1] * 5 + [0] * 5, [1] + [0] * 9])
    values = np.where(mask, np.arange(10.0), 1e9)
    means, counts = tokens.by_position(values, mask)
    assert counts.tolist() == [3, 1, 2, 1, 2, 1, 2, 1, 2, 1]
    assert means[0] == 0.0 and means[8] == (8 + 4) / 2
    with pytest.raises(ValueError, match="bins"):
        tokens.by_position(values, mask, 0)


def test_shapes_that_do_not_fit_are_refused():
    ones = np.ones((2, 3))
    with pytest.raises(ValueError, match="2 completions and 3 advantages"):
        tokens.covariance(ones, np.ones(3), ones)
