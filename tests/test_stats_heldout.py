"""Held-out evaluation against counting by hand, and recoveries against the algebra they stand for."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpeaks_tui.stats.heldout import against_base, ks_of, rates, summary
from rlpeaks_tui.stats.routing import recovery

NAN = math.nan


@st.composite
def outcomes(draw: st.DrawFn) -> np.ndarray:
    """[P, n] outcomes, some of them unknown."""
    prompts, samples = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    cells = st.sampled_from([0.0, 1.0, 1.0, NAN] if draw(st.booleans()) else [0.0, 1.0])
    return np.array(draw(st.lists(cells, min_size=prompts * samples, max_size=prompts * samples))).reshape(prompts, -1)


@given(outcomes())
def test_pass_at_k_is_the_share_of_draws_that_hold_a_success(table: np.ndarray) -> None:
    found = summary(table)
    whole = [row for row in table.tolist() if not any(map(math.isnan, row))]
    for k in ks_of(table.shape[1]):
        shares = [np.mean([max(draw) for draw in combinations(row, k)]) for row in whole]
        expected = np.mean(shares) if shares else NAN
        assert found[f"eval/pass@{k}"] == pytest.approx(expected, nan_ok=True)
    each = [float(np.mean(row)) for row in whole]
    error = np.std(each, ddof=1) / math.sqrt(len(each)) if len(each) > 1 else NAN
    assert found["eval/pass@1_se"] == pytest.approx(error, nan_ok=True, abs=1e-12)


def test_ks_are_the_powers_of_two_that_there_are_samples_for() -> None:
    assert (ks_of(1), ks_of(2), ks_of(12)) == ([1], [1, 2], [1, 2, 4, 8])


def test_tasks_have_their_own_accuracy_and_unknown_prompts_count_for_none() -> None:
    table = [[1, 1], [0, 1], [NAN, 1], [0, 0]]
    found = summary(table, ["a", "a", "b", ""])
    assert {n: v for n, v in found.items() if "accuracy" in n} == {"eval/accuracy/a": 0.75}
    assert rates(table).tolist()[:2] == [1.0, 0.5] and math.isnan(rates(table)[2])


def test_the_policy_is_compared_with_its_base_prompt_by_prompt() -> None:
    base = np.array([[1] * 10, [1] * 9 + [0], [0] * 10, [1] + [0] * 9, [NAN] * 10])
    now = np.array([[1] * 10, [0] * 10, [1] * 5 + [0] * 5, [0] * 10, [1] * 10])
    found = against_base(now, base, np.random.default_rng(0))
    assert found["eval/base_pass@1"] == pytest.approx((1 + 0.9 + 0 + 0.1) / 4)
    # Able before are the first two, of which the first is kept.
    assert found["eval/kept"] == pytest.approx(0.5) and found["eval/kept_se"] == pytest.approx(0.5)
    assert (found["eval/policy_only"], found["eval/base_only"]) == (0.25, 0.5)
    assert found["eval/mcnemar"] == 1.0
    assert (found["eval/learned"], found["eval/forgotten"]) == (0.25, 0.25)
    # Ten samples are steady up to k = 4: one success in ten is found by four draws in 4 of 10 cases.
    assert found["eval/gain"] == pytest.approx(np.mean([0, -1, 1 - math.comb(5, 4) / math.comb(10, 4), -0.4]))
    assert found["eval/gain_low"] < found["eval/gain"] < found["eval/gain_high"]
    assert against_base(now[4:], base[4:], np.random.default_rng(0)) == {}


def test_a_recovery_is_a_share_of_the_gap() -> None:
    base = np.zeros(40)
    policy = np.ones(40)
    hybrid = np.repeat([1.0, 0.0], [30, 10])
    found = recovery(base, policy, hybrid, np.random.default_rng(0))
    assert found.value == pytest.approx(0.75) and found.prompts == 40 and not found.why
    # Of so plain a case the interval is that of a binomial share.
    spread = 1.645 * math.sqrt(0.75 * 0.25 / 40)
    assert found.low == pytest.approx(0.75 - spread, abs=0.04) and found.high == pytest.approx(0.75 + spread, abs=0.04)


@pytest.mark.parametrize(
    ("base", "policy", "said"),
    [([0, 1] * 20, [0, 1] * 20, "less than two standard errors"), ([1] * 9 + [0], [0] * 10, "does worse"),
     ([NAN] * 5, [1] * 5, "fewer than two"), ([0] * 10, [1] + [0] * 9, "less than two standard errors")],
)  # fmt: skip
def test_no_recovery_is_given_where_there_is_hardly_a_gap(base: list[float], policy: list[float], said: str) -> None:
    found = recovery(base, policy, base, np.random.default_rng(0))
    assert math.isnan(found.value) and math.isnan(found.low) and said in found.why


@given(st.integers(0, 2**32 - 1))
def test_the_whole_and_nothing_of_the_gap_are_one_and_zero(seed: int) -> None:
    rng = np.random.default_rng(seed)
    base, policy = (rng.random(50) < p for p in (0.2, 0.8))
    assert recovery(base, policy, policy, rng).value == pytest.approx(1)
    assert recovery(base, policy, base, rng).value == pytest.approx(0)
