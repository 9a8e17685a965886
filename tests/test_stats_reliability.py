"""Reliability diagrams of rollouts that come in groups: coverage, and words of a calibrated policy, counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from rlpeaks_tui.stats.reliability import interval, misses, reliability
from rlpeaks_tui.stats.summaries import wilson

GROUP = 8


def window(rng: np.random.Generator, prompts: int, concentration: float, group: int = GROUP):
    """Calibrated rollouts whose prompts succeed at Beta(c q, c (1 - q)), q what is stated.

    Returns confidence, outcome and prompt of each rollout.
    """
    q = rng.integers(0, 10, prompts) / 10 + 0.05
    rate = rng.beta(concentration * q, concentration * (1 - q)) if np.isfinite(concentration) else q
    y = rng.random((prompts, group)) < rate[:, None]
    return np.repeat(q, group), y.ravel().astype(float), np.repeat(np.arange(prompts), group)


def constant(rng: np.random.Generator, prompts: int, shape: float, group: int = GROUP):
    """The same of a policy that always states 0.5, of prompts that succeed at Beta(shape, shape)."""
    y = rng.random((prompts, group)) < rng.beta(shape, shape, prompts)[:, None]
    return np.full(y.size, 0.5), y.ravel().astype(float), np.repeat(np.arange(prompts), group)


def spread(rng: np.random.Generator, prompts: int, alike: float, group: int = GROUP):
    """Calibrated rollouts that state confidences of their own, so that a prompt lies in several bins.

    Outcomes of one prompt lean on one another by a normal copula of correlation `alike`.
    """
    middle = rng.beta(2, 2, (prompts, 1)) + rng.normal(0, 0.08, (prompts, group))
    q = (np.floor(10 * np.clip(middle, 0, 0.99)) + 0.5) / 10
    own = np.sqrt(alike) * rng.normal(size=(prompts, 1)) + np.sqrt(1 - alike) * rng.normal(size=(prompts, group))
    return q.ravel(), (own < norm.ppf(q)).ravel().astype(float), np.repeat(np.arange(prompts), group)


CASES = [
    (window, 64, 1.0),
    (window, 32, 1.0),
    (window, 16, 1.0),
    (window, 200, 1.0),
    (window, 64, 4.0),
    (window, 64, np.inf),
    (spread, 64, 0.7),
    (spread, 200, 0.7),
    (spread, 64, 0.95),
    (constant, 8, 0.5),
    (constant, 64, 0.5),
]


@pytest.mark.parametrize(("draw", "prompts", "alike"), CASES)
def test_intervals_of_bins_hold_the_truth_and_a_calibrated_policy_is_hardly_ever_blamed(draw, prompts, alike):
    """Coverage bin by bin of at least 92 %, and words in any bin in about 5 % of windows, where 95 % and 5 % are meant.

    As if rollouts were independent the same intervals hold 60 to 85 % of clustered bins and blame in up to 98 %.
    """
    rng, draws = np.random.default_rng(21), 2000
    held = bins = blamed = 0
    for _ in range(draws):
        q, y, prompt = draw(rng, prompts, alike)
        table = reliability(q, y, cluster=prompt)
        used = table.count > 0
        held += int(((table.low <= table.confidence) & (table.confidence <= table.high))[used].sum())
        bins += int(used.sum())
        blamed += bool(misses(table.confidence, table.accuracy, table.size).any())
    assert held >= 0.92 * bins
    assert blamed <= 0.07 * draws  # 5 % and three times the error of counting


def test_as_if_rollouts_were_independent_a_calibrated_policy_is_blamed_nearly_always():
    rng, blamed = np.random.default_rng(22), 0
    for _ in range(100):
        q, y, _ = window(rng, 64, 1.0)
        table = reliability(q, y)
        blamed += bool(((table.low > table.confidence) | (table.high < table.confidence)).any())
    assert blamed >= 90


def test_a_claim_that_is_not_kept_is_told_with_its_direction():
    rng, found = np.random.default_rng(23), []
    for _ in range(100):
        q, y, prompt = window(rng, 200, 4.0)
        table = reliability(np.where(q > 0.6, 0.95, 0.05), y, cluster=prompt)
        found.append(misses(table.confidence, table.accuracy, table.size)[[0, 9]].tolist())
    assert sum(each == [-1, 1] for each in found) >= 95


def test_independent_rollouts_have_wilsons_interval_and_copies_are_worth_one():
    rng = np.random.default_rng(24)
    q, y = rng.integers(0, 10, 400) / 10, (rng.random(400) < 0.5).astype(float)
    alone, plain = reliability(q, y, cluster=np.arange(400)), reliability(q, y)
    copies = reliability(np.repeat(q, 8), np.repeat(y, 8), cluster=np.repeat(np.arange(400), 8))
    expected = [
        binomtest(int(y[q == k / 10].sum()), int((q == k / 10).sum())).proportion_ci(0.95, "wilson") for k in range(10)
    ]
    for table in (plain, copies):
        np.testing.assert_allclose(table.size, plain.count)
        np.testing.assert_allclose(table.low, [each.low for each in expected], atol=1e-9)
        np.testing.assert_allclose(table.high, [each.high for each in expected], atol=1e-9)
    assert (alone.size == plain.count).all()


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.integers(0, 5)), min_size=1, max_size=50),
    st.integers(1, 12),
)
def test_a_bin_is_worth_between_its_prompts_and_its_rollouts(rows, bins):
    q, y, prompt = np.array(rows, float).T
    table = reliability(q, y, cluster=prompt, bins=bins)
    index = np.minimum(np.searchsorted(np.arange(bins + 1) / bins, q, side="right") - 1, bins - 1)
    for i in range(bins):
        each = np.unique(prompt[index == i], return_counts=True)[1]
        assert table.count[i] == each.sum()
        if each.size:
            assert each.sum() ** 2 / np.square(each).sum() - 1e-9 <= table.size[i] <= each.sum() + 1e-9
        else:
            assert (table.size[i], table.low[i], table.high[i]) == (0, 0, 1)
    assert (misses(table.confidence, table.accuracy, table.size)[table.count == 0] == 0).all()


def test_intervals_of_several_bins_that_hold_together_are_wilsons_at_a_smaller_error():
    accuracy, size = np.array([0.3, 0.5, np.nan]), np.array([20.0, 31.5, 0.0])
    low, high = interval(accuracy, size, 10)
    expected = wilson(np.array([6.0, 15.75, 0.0]), size, float(norm.isf(0.025 / 10)))
    np.testing.assert_allclose((low, high), expected)
    one = binomtest(6, 20).proportion_ci(1 - 0.05 / 10, "wilson")
    assert (low[0], high[0]) == pytest.approx((one.low, one.high))
