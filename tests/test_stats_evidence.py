"""What a rule that fires says of itself must be what made it fire, also while it goes on after the worst is over."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from rlpeaks_tui.stats.evaluator import Evaluator
from rlpeaks_tui.stats.health import CLEAR_AFTER, Finding, evaluate

N = 260


@dataclass
class Logged:
    steps: NDArray[np.int64]
    values: NDArray[np.float64]


def logged(**metrics: NDArray[np.float64]) -> dict[str, Logged]:
    return {name: Logged(np.arange(len(values)), values) for name, values in metrics.items()}


def numbers(text: str) -> list[float]:
    return [float(found) for found in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?:e[-+]\d+)?(?!\w)", text.replace("%", " "))]


def spikes() -> dict[str, Logged]:
    norm = 0.5 + 0.02 * np.random.default_rng(0).random(N)
    norm[100:104], norm[180] = 9.0, 9.0
    return logged(grad_norm=norm)


def leaps() -> dict[str, Logged]:
    chance = np.random.default_rng(1)
    kl, reward = 0.02 + 0.002 * chance.random(N), 0.5 + 0.05 * chance.random(N)
    kl[120:126], kl[200:203] = 0.9, 0.4
    return logged(**{"kl/base_k3": kl, "reward": reward})


def idle_groups() -> dict[str, Logged]:
    chance = np.random.default_rng(2)
    share = np.clip(0.5 + 0.25 * np.sin(np.arange(N) / 30) + 0.1 * chance.normal(size=N), 0, 1)
    return logged(frac_reward_zero_std=share, reward=0.5 + 0.01 * chance.random(N))


def truncated() -> dict[str, Logged]:
    share = np.zeros(N)
    share[90:110] = 0.4
    return logged(**{"completions/clipped_ratio": share})


CASES: list[tuple[str, Callable[[], dict[str, Logged]], Callable[[str], bool]]] = [
    ("gradient", spikes, lambda said: (x := numbers(said))[0] > 5 * x[1]),
    ("kl-blow-up", leaps, lambda said: (x := numbers(said.partition("token")[2]))[0] < x[1] and _now(said) > x[1]),
    ("zero-variance", idle_groups, lambda said: numbers(said)[1] > 10 and numbers(said)[2] == 20),
    ("truncation", truncated, lambda said: numbers(said)[0] > 5),
]


def _now(said: str) -> float:
    return float(said.split(" nats/token")[0].split()[-1])


def found(columns: dict[str, Logged], rule: str, step: int) -> Finding:
    return next(each for each in evaluate(columns, step) if each.rule.id == rule)


@pytest.mark.parametrize(("rule", "course", "bears_out"), CASES)
def test_what_a_firing_rule_says_bears_it_out(
    rule: str, course: Callable[[], dict[str, Logged]], bears_out: Callable[[str], bool]
) -> None:
    columns = course()
    evaluator, over, firing = Evaluator(), 0, 0
    for step in range(N):
        one = found(columns, rule, step)
        grown = {name: Logged(each.steps[: step + 1], each.values[: step + 1]) for name, each in columns.items()}
        assert one == next(each for each in evaluator.evaluate(grown, step) if each.rule.id == rule)
        if one.state == "firing":
            firing += 1
            assert bears_out(one.evidence.partition(" (at step")[0]), (step, one.evidence)
            then = re.search(r"\(at step (\d+); within bounds since\)", one.evidence)
            if then:
                over += 1
                assert 0 < step - int(then[1]) < CLEAR_AFTER
        else:
            assert "within bounds" not in one.evidence
    assert firing > 3 and over > 0


def test_gradients_after_none_at_all_are_no_spike() -> None:
    norm = np.zeros(N)
    norm[150:153] = 0.6
    assert found(logged(grad_norm=norm), "gradient", 152).state == "ok"
