"""What became of each prompt, and policy against base: hand cases, scipy, brute force."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from rlpeaks_tui.stats.catalog import lookup
from rlpeaks_tui.stats.difficulty import CLASSES, difficulty
from rlpeaks_tui.stats.paired import compare, mcnemar
from rlpeaks_tui.stats.passk import pass_at_k


@st.composite
def tables(draw):
    n = draw(st.integers(1, 64))
    counts = st.lists(st.tuples(st.integers(0, n), st.integers(0, n)), min_size=1, max_size=20)
    base, now = zip(*draw(counts), strict=True)
    return np.array(base), np.array(now), n


@pytest.mark.parametrize(
    ("base", "now", "expected"),
    [
        (0, 0, "dead"),
        (0, 32, "learned"),
        (4, 28, "learned"),
        (28, 4, "forgotten"),
        (32, 0, "forgotten"),
        (32, 32, "kept"),
        (27, 25, "kept"),  # .81 in the mean of both
        (26, 25, "stuck"),  # .797
        (10, 12, "stuck"),
        (0, 1, "stuck"),  # one hit in 32 is no change, and no longer never
        (1, 0, "stuck"),
        (2, 6, "stuck"),  # adjusted rates 3/34 and 7/34, difference .118, standard error .084
        (2, 9, "learned"),  # 3/34 and 10/34, difference .206, standard error .092
    ],
)
def test_classes_by_hand(base, now, expected):
    found = difficulty([base], [now], 32)
    assert found.classes == (expected,)
    assert found.shares[expected] == 1.0
    assert found.change[0] == pytest.approx((now - base) / 32)


def test_with_few_samples_only_a_large_change_is_clear():
    assert difficulty([0, 0, 2], [4, 2, 4], 4).classes == ("learned", "stuck", "stuck")


@given(tables())
def test_every_prompt_is_in_one_class(table):
    base, now, n = table
    found = difficulty(base, now, n)
    assert sum(found.shares.values()) == pytest.approx(1.0)
    counted = {name: found.classes.count(name) / base.size for name in CLASSES}
    assert found.shares == pytest.approx(counted)
    assert [name == "dead" for name in found.classes] == ((base == 0) & (now == 0)).tolist()
    assert set(found.metrics()) == {f"eval/{name}" for name in ("learned", "forgotten", "stuck", "dead")}
    assert all(lookup(name).name == name for name in found.metrics())


@given(tables())
def test_learned_and_forgotten_are_mirror_images(table):
    base, now, n = table
    mirror = {"learned": "forgotten", "forgotten": "learned"}
    back = [mirror.get(name, name) for name in difficulty(now, base, n).classes]
    assert list(difficulty(base, now, n).classes) == back
    each = difficulty(base, now, np.full(base.size, n))  # a count for each prompt says the same
    assert each.classes == difficulty(base, now, n).classes


@given(st.integers(1, 64), st.data())
def test_more_success_never_makes_a_prompt_less_learned(n, data):
    base = data.draw(st.integers(0, n))
    rank = {"forgotten": 0, "dead": 1, "stuck": 1, "kept": 1, "learned": 2}
    along = [rank[name] for name in difficulty(np.full(n + 1, base), np.arange(n + 1), n).classes]
    assert along == sorted(along)


def test_unchanged_prompts_seldom_count_as_changed():
    rng = np.random.default_rng(0)
    rate = rng.beta(0.5, 0.5, 4000)
    shares = difficulty(rng.binomial(32, rate), rng.binomial(32, rate), 32).shares
    assert shares["learned"] < 0.03
    assert shares["forgotten"] < 0.03


@pytest.mark.parametrize(
    ("base", "now", "n"), [([1], [1, 2], 4), ([5], [1], 4), ([-1], [0], 4), ([0], [0], 0), ([0, 0], [0, 0], [4])]
)
def test_counts_that_cannot_be_are_refused(base, now, n):
    with pytest.raises(ValueError):
        difficulty(base, now, n)


def test_no_prompts_have_no_shares():
    assert np.isnan(list(difficulty([], [], 8).shares.values())).all()


# policy against base


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_binomial_test(first, second):
    expected = binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(expected, abs=1e-12)


def test_mcnemar_by_hand():
    assert mcnemar(5, 0) == 2 / 32
    assert mcnemar(0, 0) == 1.0
    with pytest.raises(ValueError, match="negative"):
        mcnemar(-1, 3)


@given(tables())
def test_the_gain_is_the_difference_of_both_curves(table):
    base, now, n = table
    found = compare(base, now, n, [1, 2, 4, 8, 16, 32], np.random.default_rng(0), 50)
    ks = [k for k in (1, 2, 4, 8, 16, 32) if n >= 2 * k]
    assert found.k == max(ks, default=0)
    if ks:
        samples = np.full(base.size, n)
        policy, start = (pass_at_k(samples, right, [found.k]).mean() for right in (now, base))
        assert found.gain == pytest.approx(policy - start, abs=1e-12)
    else:
        assert np.isnan([found.gain, found.low, found.high]).all()
    solved = list(zip((base > 0).tolist(), (now > 0).tolist(), strict=True))
    assert found.policy_only == solved.count((False, True)) / base.size
    assert found.base_only == solved.count((True, False)) / base.size
    assert all(lookup(name).name == name for name in found.metrics())


def test_the_interval_is_the_bootstrap_over_prompts():
    """Three prompts have 27 equally likely resamples."""
    base, now = np.array([0, 2, 8]), np.array([4, 2, 6])
    means = sorted(np.mean([(now - base)[list(drawn)] for drawn in product(range(3), repeat=3)], axis=1) / 8)
    found = compare(base, now, 8, [1], np.random.default_rng(0), 20_000)
    assert found.low == pytest.approx(np.quantile(means, 0.05, method="inverted_cdf"), abs=0.02)
    assert found.high == pytest.approx(np.quantile(means, 0.95, method="inverted_cdf"), abs=0.02)


def test_pairing_sees_what_two_intervals_would_not():
    rng = np.random.default_rng(1)
    rate = rng.beta(0.5, 0.5, 64)
    base, now = rng.binomial(32, rate), rng.binomial(32, np.minimum(rate + 0.08, 1))
    found = compare(base, now, 32, [1], rng)
    assert found.low > 0
    unpaired = np.hypot((base / 32).std(), (now / 32).std()) / np.sqrt(64)
    assert 1.645 * unpaired > found.gain


def test_one_prompt_has_no_interval_and_none_is_refused():
    found = compare([1], [2], 8, [1, 4], np.random.default_rng(0))
    assert (found.k, found.prompts) == (4, 1)
    assert np.isnan([found.low, found.high]).all()
    for base, now in (([], []), ([1], [1, 2])):
        with pytest.raises(ValueError, match="prompts"):
            compare(base, now, 8, [1], np.random.default_rng(0))
