"""Pass rates of tasks and of mixes against scipy, hand cases and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from rlpeaks_tui.stats.preview import TaskRate, expected_rate, task_rate


def rate(right: int, n: int) -> TaskRate:
    """Of completions that each answer a prompt of their own."""
    found = task_rate(np.ones(n), np.arange(n), [1.0] * right + [0.0] * (n - right))
    assert found is not None
    return found


@given(st.integers(0, 300), st.integers(1, 300))
def test_completions_of_prompts_of_their_own_have_wilsons_interval(right: int, n: int) -> None:
    right = min(right, n)
    found = rate(right, n)
    expected = binomtest(right, n).proportion_ci(0.95, method="wilson")
    # Between prompts the error has one degree of freedom less, which makes the interval the wider by sqrt(n / (n - 1)).
    assert found.rate == right / n and (found.right, found.n, found.prompts) == (right, n, n)
    assert found.low <= expected.low + 1e-9 and found.high >= expected.high - 1e-9
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.6 / n)


def test_copies_of_one_completion_are_worth_one() -> None:
    outcomes = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 1.0])
    once = task_rate([1, 1, 1, 2, 2, 2], range(6), outcomes)
    copied = task_rate(np.repeat([1, 1, 1, 2, 2, 2], 8), np.repeat(range(6), 8), np.repeat(outcomes, 8))
    assert once is not None and copied is not None
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high), abs=0.02)
    assert (copied.right, copied.n, copied.prompts, copied.first, copied.last) == (32, 48, 6, 1, 2)


def test_prompts_that_are_asked_in_every_step_are_no_more_prompts() -> None:
    """Of each of 8 prompts the policy solves all or none, step after step."""
    solved = np.arange(8) % 2.0
    one = task_rate([1] * 8, range(8), solved)
    many = task_rate(np.repeat(range(20), 8), np.tile(range(8), 20), np.tile(solved, 20))
    assert one is not None and many is not None
    assert (many.prompts, many.low, many.high) == (8, pytest.approx(one.low), pytest.approx(one.high))


def test_prompts_that_are_all_alike_are_worth_no_more_than_prompts() -> None:
    found = task_rate([4] * 8, [0] * 4 + [1] * 4, [1.0] * 8)
    expected = binomtest(2, 2).proportion_ci(0.95, method="wilson")
    assert found is not None and (found.low, found.high) == pytest.approx((expected.low, 1.0))


def test_nothing_known_is_no_rate_and_unknown_outcomes_do_not_count() -> None:
    assert task_rate([], [], []) is None
    assert task_rate([1, 2], [0, 0], [np.nan, np.nan]) is None
    found = task_rate([1, 2, 3], [0, 0, 0], [1.0, np.nan, 0.0])
    assert found is not None and (found.right, found.n, found.first, found.last) == (1, 2, 1, 3)


@given(st.integers(0, 30), st.integers(1, 30), st.floats(0.01, 100))
def test_a_mix_of_one_task_is_that_task(right: int, n: int, weight: float) -> None:
    alone = rate(min(right, n), n)
    mix = expected_rate({"a": weight}, {"a": alone})
    assert mix is not None
    assert (mix.rate, mix.low, mix.high) == pytest.approx((alone.rate, alone.low, alone.high), abs=1e-12)


weights = st.dictionaries(st.sampled_from("abcd"), st.floats(0.01, 100), min_size=1)


@given(weights, st.lists(st.tuples(st.integers(0, 30), st.integers(1, 30)), min_size=4, max_size=4))
def test_a_mix_is_the_weighted_mean_within_its_tasks_intervals(
    mix: dict[str, float], counts: list[tuple[int, int]]
) -> None:
    rates = {task: rate(min(right, n), n) for task, (right, n) in zip("abcd", counts, strict=True)}
    found = expected_rate(mix, rates)
    assert found is not None
    w = list(mix.values())
    assert found.rate == pytest.approx(np.average([rates[t].rate for t in mix], weights=w))
    lowest, highest = (np.average([getattr(rates[t], end) for t in mix], weights=w) for end in ("low", "high"))
    assert lowest - 1e-9 <= found.low <= found.rate + 1e-9 and found.rate - 1e-9 <= found.high <= highest + 1e-9


def test_a_task_without_history_leaves_the_mix_unknown() -> None:
    assert expected_rate({"a": 1, "b": 1}, {"a": rate(3, 4), "b": None}) is None
    assert expected_rate({"a": 1, "b": 1}, {"a": rate(3, 4)}) is None


def test_the_interval_of_a_mix_covers_its_true_rate() -> None:
    """Tasks of prompts that differ in difficulty, each answered several times: 95 % is meant, 400 tries tell 2 %."""
    rng = np.random.default_rng(0)
    mix = {"a": 2.0, "b": 1.0}
    shapes = {"a": (1.0, 2.0), "b": (4.0, 1.0)}
    truth = sum(w * shapes[t][0] / sum(shapes[t]) for t, w in mix.items()) / 3
    covered = 0
    for _ in range(400):
        rates = {}
        for task in mix:
            difficulty = rng.beta(*shapes[task], size=30)
            outcomes = rng.random((30, 8)) < difficulty[:, None]
            rates[task] = task_rate(np.ones(240), np.repeat(np.arange(30), 8), outcomes.ravel())
        found = expected_rate(mix, rates)
        assert found is not None
        covered += found.low <= truth <= found.high
    assert 0.92 <= covered / 400 <= 0.98
