"""Runs that break: what is told of them must not be learned from what they have become, and it must last.

The courses have the shapes of real collapses: within the first steps by a rate that is far too high, to a uniform
policy by one beyond all sense, and in the middle of a healthy run by one that was raised.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from rlpeaks_tui.stats.causal import began
from rlpeaks_tui.stats.health import RULES, Finding, evaluate, history

UNIFORM = np.log(28)
"""Entropy that no policy over 28 tokens can exceed, in nats."""


@dataclass(frozen=True)
class Series:
    steps: np.ndarray
    values: np.ndarray


def _series(values) -> Series:
    x = np.asarray(values, np.float64)
    return Series(np.arange(1, x.size + 1, dtype=np.int64), x)


def _find(columns, rule: str, step: int) -> Finding:
    return next(found for found in evaluate(columns, step) if found.rule.id == rule)


def _fired(columns, rule: str) -> np.ndarray:
    """Steps at which a rule fires."""
    steps, levels = history(next(each for each in RULES if each.id == rule), columns)
    return steps[levels > 0]


def _from_the_start(n: int = 400, level: float = 10.0):
    """The first update already breaks the policy; there is one value of each metric from before it."""
    rng = np.random.default_rng(0)
    t = np.arange(n)
    kl = level * (1 - 0.5 * np.exp(-t / 5)) * np.exp(rng.normal(0, 0.05, n))
    kl[0] = 0.0
    return {
        "kl/base_k1": _series(kl),
        "kl/base_k3": _series(kl * np.exp(rng.normal(0, 0.2, n))),
        "reward": _series(np.where(t == 0, 0.34, 0.0)),
        "entropy": _series(np.where(t == 0, 0.37, UNIFORM - 0.002)),
    }


def _halfway(n: int = 330, at: int = 108, seed: int = 0):
    """Healthy up to step `at`, then reward falls to 0 while KL climbs from 0.05 to 4 nats a token."""
    rng = np.random.default_rng(seed)
    t = np.arange(1, n + 1)
    since = np.maximum(t - at, 0)
    kl = (0.05 * np.sqrt(t / at) + 4 / (1 + np.exp(-(since - 35) / 6)) * (since > 0)) * np.exp(rng.normal(0, 0.25, n))
    reward = np.clip((0.35 + 0.5 * np.minimum(t, at) / at) * np.exp(-since / 6) + rng.normal(0, 0.05, n), 0, 1)
    return {"kl/base_k3": _series(kl), "reward": _series(np.where(since > 30, 0.0, reward))}


def _in_order(seed: int, n: int = 400):
    """A healthy run whose k3 has the tails that it really has: now and then one token makes up all of it."""
    rng = np.random.default_rng(seed)
    t = np.arange(n)
    kl = 0.2 * (1 - np.exp(-t / 150)) * np.exp(rng.normal(0, 0.4, n))
    kl[rng.random(n) < 0.03] *= 30
    reward = np.clip(0.35 + 0.4 * (1 - np.exp(-t / 150)) + rng.normal(0, 0.1, n), 0, 1)
    entropy = (0.08 + 0.28 * np.exp(-t / 40)) * np.exp(rng.normal(0, 0.15, n))
    return {"kl/base_k3": _series(kl), "reward": _series(reward), "entropy": _series(entropy)}


def test_a_policy_that_is_lost_at_once_is_told_at_once_and_to_the_end() -> None:
    columns = _from_the_start()
    fired = _fired(columns, "left-start")
    assert fired[0] <= 10 and fired.size == 400 - fired[0] + 1
    found = _find(columns, "left-start", 400)
    assert (found.severity, found.remedy) == ("critical", "set learning_rate=VALUE")
    assert found.since is not None and found.since <= 8
    assert found.evidence.endswith(
        "on average, more than 1 at 5 of its last 5 values; reward 0, up to 0.34 in its first 5 steps"
    )
    growth = _find(columns, "kl-blow-up", 400)
    assert growth.state == "firing" and growth.line == 1.0


@pytest.mark.parametrize("seed", range(5))
def test_a_policy_that_is_lost_halfway_stays_told_while_it_is(seed: int) -> None:
    columns = _halfway(seed=seed)
    leaps, left = _fired(columns, "kl-blow-up"), _fired(columns, "left-start")
    assert 108 < leaps[0] < left[0] < 160, "a leap is told before the policy is lost"
    assert leaps[-1] == left[-1] == 330
    assert left.size == 330 - left[0] + 1
    for step in range(int(leaps[0]), 331):
        said = _find(columns, "kl-blow-up", step).evidence
        assert "rising" not in said


def test_what_is_told_of_a_lost_policy_clears_once_it_is_back() -> None:
    columns = _halfway()
    back = {"kl/base_k3": np.full(40, 0.02), "reward": np.full(40, 0.4)}
    whole = {name: _series(np.concatenate((series.values, back[name]))) for name, series in columns.items()}
    assert {_find(whole, rule, 370).state for rule in ("left-start", "kl-blow-up")} == {"ok"}


def test_far_from_the_start_with_more_reward_is_no_fault() -> None:
    """Answers of one token may take many nats: from 2 in 100 to certain is log 50."""
    t = np.arange(300)
    kl = np.log(50) * (1 - np.exp(-t / 100))
    columns = {"kl/base_k1": _series(kl), "reward": _series(0.02 + 0.9 * (1 - np.exp(-t / 100)))}
    assert kl[-1] > 3 and not _fired(columns, "left-start").size
    assert not _fired({"kl/base_k3": columns["kl/base_k1"], "reward": columns["reward"]}, "kl-blow-up").size


@pytest.mark.parametrize("rule", ["left-start", "entropy-explosion"])
def test_runs_in_order_are_not_accused(rule: str) -> None:
    assert sum(bool(_fired(_in_order(seed), rule).size) for seed in range(300)) == 0


def test_entropy_that_explodes_in_the_second_step_is_held_against_the_first() -> None:
    columns = _from_the_start()
    found = _find(columns, "entropy-explosion", 20)
    assert found.state == "firing" and found.line == pytest.approx(2 * 0.37)
    assert found.line < UNIFORM, "a line that can be reached"
    assert _fired(columns, "entropy-explosion")[-1] == 400


def test_where_a_metric_began_leaves_out_what_is_not_of_its_kind() -> None:
    steps = np.arange(1, 9)
    alike = np.array([0.37, 0.30, 0.39, 0.32, 0.38, 9.0, 9.0, 9.0])
    assert began(steps, alike) == pytest.approx(np.mean([0.37, 0.30, 0.39, 0.32, 0.38]))
    assert began(steps, np.where(steps == 1, 0.37, 3.33)) == 0.37  # exploded
    assert began(steps, np.where(steps == 1, 0.37, 0.01)) == 0.37  # collapsed
    assert began(10 * steps, alike) == 0.37  # logged too seldom for a second one in five steps
    assert np.isnan(began(steps[:0], alike[:0])) and began(steps, np.zeros(8)) == 0.0
