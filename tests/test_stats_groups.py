"""Groups against loops, sklearn and closed forms, with rewards that are missing and groups of any size."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from rlpeaks_tui.stats.catalog import lookup
from rlpeaks_tui.stats.groups import agreement_confidence, expected_zero_variance, groups

NAN = math.nan

rollouts = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.5, 1.0, NAN]),  # reward
        st.integers(0, 5),  # group
        st.sampled_from([0.0, 1.0, NAN]),  # correct
        st.sampled_from([-1.0, 0.0, 0.5, 2.0, NAN]),  # advantage
    ),
    max_size=60,
)


def _groups(rows):
    reward, group, correct, advantage = zip(*rows, strict=True) if rows else ((), (), (), ())
    return groups(reward, group, correct, advantage)


def _share(values):
    values = list(values)
    return sum(values) / len(values) if values else NAN


@settings(max_examples=60)
@given(rollouts)
def test_groups_are_what_a_loop_finds(rows):
    found = _groups(rows)
    by_label = {label: [row for row in rows if row[1] == label] for label in sorted({row[1] for row in rows})}
    assert found.label.tolist() == list(by_label)
    assert found.size.tolist() == [len(members) for members in by_label.values()]
    kinds = []
    for members, rate in zip(by_label.values(), found.pass_rate, strict=True):
        known = [row[0] for row in members if not math.isnan(row[0])]
        outcomes = [row[2] for row in members]
        judged = [c for c in outcomes if not math.isnan(c)]
        assert rate == pytest.approx(_share(judged), nan_ok=True)
        if known:
            equal = len(set(known)) == 1
            right, wrong = equal and set(outcomes) == {1.0}, equal and set(outcomes) == {0.0}
            kinds.append((equal, right, wrong, equal and not right and not wrong))
    assert found.groups == len(kinds)
    for i, name in enumerate(("zero_variance", "all_right", "all_wrong", "all_equal_unknown")):
        assert getattr(found, name) == pytest.approx(_share(kind[i] for kind in kinds), nan_ok=True)
    if kinds:
        assert found.zero_variance == pytest.approx(found.all_right + found.all_wrong + found.all_equal_unknown)
    known = [row[3] for row in rows if not math.isnan(row[3])]
    assert found.no_gradient == pytest.approx(_share(a == 0 for a in known), nan_ok=True)


@settings(max_examples=60)
@given(rollouts)
def test_agreement_is_the_area_under_the_curve_within_groups(rows):
    wins = pairs = 0.0
    for label in {row[1] for row in rows}:
        members = [row for row in rows if row[1] == label and not math.isnan(row[0]) and not math.isnan(row[2])]
        outcome = [row[2] for row in members]
        if len(set(outcome)) == 2:
            size = outcome.count(1.0) * outcome.count(0.0)
            wins += size * roc_auc_score(outcome, [row[0] for row in members])
            pairs += size
    assert _groups(rows).agreement == pytest.approx(wins / pairs if pairs else NAN, nan_ok=True)


def test_agreement_tells_a_reward_of_correctness_from_one_of_something_else():
    rng = np.random.default_rng(0)
    group, correct = np.repeat(np.arange(50), 8), rng.integers(0, 2, 400).astype(float)
    zero = np.zeros(400)
    assert groups(correct, group, correct, zero).agreement == 1.0
    assert groups(-correct, group, correct, zero).agreement == 0.0
    assert groups(rng.random(400), group, correct, zero).agreement == pytest.approx(0.5, abs=0.1)


@given(st.integers(1, 64))
def test_rounding_is_no_gradient(size):
    """Float32 leaves 1e-8 where a mean of equal rewards is taken off, which TRL divides by 1e-4."""
    reward = np.full(size, 0.7, np.float32)
    advantage = (reward - np.float32(0.70000005)) / np.float32(1e-4)
    found = groups(reward, np.zeros(size), np.ones(size), advantage)
    assert advantage[0] != 0
    assert found.no_gradient == 1.0 and found.zero_variance == 1.0 and found.all_right == 1.0
    # A small advantage where rewards differ is one.
    mixed = groups([0.0, 1.0], [0, 0], [0, 1], [1e-3, -1e-3])
    assert mixed.no_gradient == 0.0


@pytest.mark.parametrize("size", [8, 16, 32, 64])
def test_one_success_weighs_as_the_closed_form_says(size):
    """Sample-standardised, one success of G has (G - 1) / sqrt(G); beside it a group with half right."""
    reward = np.zeros(2 * size)
    reward[0] = 1
    reward[size : size + size // 2] = 1
    group = np.repeat([0, 1], size)
    advantage = np.concatenate([(r - r.mean()) / r.std(ddof=1) for r in (reward[:size], reward[size:])])
    found = groups(reward, group, reward, advantage)
    lucky = (size - 1) / math.sqrt(size)
    half = size / 2 * math.sqrt((size - 1) / size)
    assert found.rare_success_share == pytest.approx(lucky / (lucky + half))
    assert found.pass_rate.tolist() == [1 / size, 0.5]


def test_a_success_cannot_be_rare_in_a_small_group():
    found = groups([1, 0, 0, 0], [0] * 4, [1, 0, 0, 0], [1.5, -0.5, -0.5, -0.5])
    assert math.isnan(found.rare_success_share)
    two = groups([1, 1, *[0] * 6], [0] * 8, [1, 1, *[0] * 6], [1.5, 1.5, *[-0.5] * 6])
    assert two.rare_success_share == 0.0
    correct = [1, 1, *[0] * 14]
    assert groups(correct, [0] * 16, correct, np.subtract(correct, 0.125)).rare_success_share == 1.0


def test_rewards_that_are_all_missing_leave_what_is_known():
    found = groups(np.full(6, NAN), [0, 0, 0, 1, 1, 1], [1, 1, 0, 0, 0, 0], np.full(6, NAN))
    assert found.groups == 0
    assert all(math.isnan(value) for value in found.metrics().values())
    assert math.isnan(found.zero_variance) and math.isnan(found.agreement)
    assert found.pass_rate.tolist() == pytest.approx([2 / 3, 0.0])
    nothing = groups([], [], [], [])
    assert nothing.n == nothing.groups == 0 and nothing.label.size == 0


def test_a_group_of_one_teaches_nothing():
    found = groups([1.0, 0.0], ["a", "b"], [1.0, 0.0], [0.0, 0.0])
    assert (found.zero_variance, found.all_right, found.all_wrong) == (1.0, 0.5, 0.5)
    assert found.expected_zero_variance == 1.0


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="lengths differ: reward 2, correct 1"):
        groups([1, 0], [0, 0], [1], [0, 0])
    with pytest.raises(ValueError, match="do not fit"):
        agreement_confidence(["1"], [0, 0])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.integers(2, 64))
def test_expected_share_is_the_binomial_of_none_and_all(rates, size):
    # Exact, since scipy's own probabilities overflow at the smallest of rates.
    exact = [Fraction(p) ** size + (1 - Fraction(p)) ** size for p in rates]
    expected = float(sum(exact) / len(exact))
    assert expected_zero_variance(rates, size) == pytest.approx(expected, abs=1e-9)
    assert expected_zero_variance([*rates, NAN], size) == pytest.approx(expected, abs=1e-9)


def test_expected_share_in_the_figures_that_are_quoted():
    for p, share in ((0.01, 0.92), (0.05, 0.66), (0.1, 0.43), (0.9, 0.43), (0.3, 0.06)):
        assert expected_zero_variance([p], 8) == pytest.approx(share, abs=0.005)
    assert math.isnan(expected_zero_variance([NAN], 8))
    assert expected_zero_variance([0.5, 0.5], [1, 2]) == 0.75  # one rollout never differs from itself


def test_prompts_of_one_difficulty_meet_the_expectation_and_others_exceed_it():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(4000), 8)
    same = (rng.random(32_000) < 0.3).astype(float)
    found = groups(same, group, same, np.zeros(32_000))
    assert found.zero_variance == pytest.approx(found.expected_zero_variance, abs=0.01)
    mixed = (rng.random(32_000) < np.repeat(rng.choice([0.02, 0.98], 4000), 8)).astype(float)
    found = groups(mixed, group, mixed, np.zeros(32_000))
    assert found.zero_variance > 0.8 > 0.1 > found.expected_zero_variance


@given(st.lists(st.tuples(st.sampled_from(["7", "8", "", None]), st.integers(0, 3)), max_size=30))
def test_confidence_is_the_share_of_the_group_that_agrees(rows):
    answers, group = ([row[i] for row in rows] for i in (0, 1))
    found = agreement_confidence(answers, group)
    sizes, votes = Counter(group), Counter(rows)
    for confidence, row in zip(found, rows, strict=True):
        expected = NAN if row[0] is None or sizes[row[1]] == 1 else votes[row] / sizes[row[1]]
        assert confidence == pytest.approx(expected, nan_ok=True)


def test_the_journaled_names_are_in_the_catalog():
    found = groups([1.0, 0.0], [0, 0], [1.0, 0.0], [1.0, -1.0])
    assert all(lookup(name) for name in found.metrics())
    assert found.metrics()["rollouts/no_gradient"] == 0.0
