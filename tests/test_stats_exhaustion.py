"""The law of accuracy and entropy, against numpy's own line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import linregress

from rlpeaks_tui.stats.exhaustion import exhaustion


@given(st.integers(5, 40), st.floats(0.01, 2), st.floats(0, 1), st.floats(0, 0.1), st.integers(0, 2**32 - 1))
def test_it_is_the_line_of_numpy(n, a, b, noise, seed):
    rng = np.random.default_rng(seed)
    entropy = np.sort(rng.uniform(0, 1.5, n))[::-1]
    accuracy = -a * np.exp(entropy) + b + rng.normal(0, noise, n)
    found = exhaustion(entropy, accuracy)
    slope, intercept = np.polyfit(np.exp(entropy), accuracy, 1)
    assert (found.a, found.b) == pytest.approx((-slope, intercept), rel=1e-6, abs=1e-9)
    assert found.r2 == pytest.approx(linregress(np.exp(entropy), accuracy).rvalue ** 2, abs=1e-9)
    assert found.points == n
    if found.a > 0:
        # What is left is what the line gives at entropy 0 less what it gives now.
        line = lambda h: found.b - found.a * np.exp(h)  # noqa: E731
        assert found.left == pytest.approx(line(0.0) - line(entropy[-1]), abs=1e-9)
        assert not found.why
    else:
        assert np.isnan(found.left) and "law" in found.why


def test_the_table_of_a_real_small_run():
    """Token entropy and sampled accuracy at steps 0, 20, 50 and 100 of one small GRPO run, and a made-up step 35."""
    found = exhaustion([0.195, 0.098, 0.07, 0.045, 0.027], [0.694, 0.846, 0.885, 0.920, 0.943])
    assert found.r2 > 0.99
    assert 0.02 < found.left < 0.06
    assert found.metrics() == {"exhaustion/left": found.left, "exhaustion/r2": found.r2}


@pytest.mark.parametrize(
    ("entropy", "accuracy", "why"),
    [
        ([], [], "0 of the 5 evaluations that it takes"),
        ([0.5, 0.4, np.nan, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4, 0.5], "4 of the 5 evaluations that it takes"),
        ([0.3] * 6, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], "entropy is the same at every evaluation"),
        ([0.1, 0.2, 0.3, 0.4, 0.5], [0.1, 0.2, 0.3, 0.4, 0.5], "accuracy has not risen as entropy fell"),
        ([0.5, 0.4, 0.3, 0.2, 0.1], [0.3] * 5, "accuracy has not risen as entropy fell"),
    ],
)
def test_what_is_missing_is_said(entropy, accuracy, why):
    found = exhaustion(entropy, accuracy)
    assert np.isnan(found.left)
    assert found.why.startswith(why)


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="do not fit together"):
        exhaustion([0.1], [0.1, 0.2])


def test_the_error_of_what_is_left_is_that_of_scipys_slope():
    rng = np.random.default_rng(0)
    h = np.linspace(1.0, 0.2, 12)
    r = 1.2 - 0.4 * np.exp(h) + rng.normal(0, 0.02, 12)
    found = exhaustion(h, r)
    assert found.error == pytest.approx(linregress(np.exp(h), r).stderr * np.expm1(h[-1]))
    assert np.isnan(exhaustion(h[:2], r[:2]).error)
