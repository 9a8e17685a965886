"""What a mix of tasks would earn now, judged by the run's own recent completions.

Completions of one prompt resemble each other, so an interval over completions as if each were a trial of its own is too
narrow. Wilson's interval is taken of the effective number of completions instead (see `effective_trials`). The policy
learns while the completions are gathered, which no interval knows: look back no farther than needed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike

from rlpeaks_tui.stats.summaries import effective_trials, wilson


class Expected(Struct, frozen=True):
    """A share of right completions with its 95 % interval, all within [0, 1]."""

    rate: float
    low: float
    high: float


class TaskRate(Expected, frozen=True):
    """The pass rate of one task.

    Attributes:
        right, n: completions that were right, and that are known to be right or wrong.
        prompts: how many they answered.
        first, last: the training steps that they are from.
    """

    right: int
    n: int
    prompts: int
    first: int
    last: int


def task_rate(step: ArrayLike, prompt: ArrayLike, correct: ArrayLike) -> TaskRate | None:
    """The pass rate of one task's completions; None where no outcome is known.

    Args:
        step: shape [n], the training step of each completion.
        prompt: shape [n], which prompt it answers; one that is asked again has the same number.
        correct: shape [n], 1 right, 0 wrong, nan unknown; in between, right from 0.5 on.
    """
    outcome = np.asarray(correct, np.float64)
    known = ~np.isnan(outcome)
    steps, prompts = np.asarray(step, np.int64)[known], np.asarray(prompt, np.int64)[known]
    right = outcome[known] >= 0.5
    if not right.size:
        return None
    _, cluster = np.unique(prompts, return_inverse=True)
    hits, count = np.bincount(cluster, right), np.bincount(cluster)
    rate, size = float(right.mean()), effective_trials(hits, count)
    low, high = wilson(rate * size, size)
    return TaskRate(
        rate=rate,
        low=float(low),
        high=float(high),
        right=int(right.sum()),
        n=right.size,
        prompts=count.size,
        first=int(steps.min()),
        last=int(steps.max()),
    )


def expected_rate(weights: Mapping[str, float], rates: Mapping[str, TaskRate | None]) -> Expected | None:
    """The pass rate of a mix of tasks, with an interval; None where some task of it has no rate.

    The interval puts together those of the tasks (variance estimates recovery: Zou, Huang and Zhang 2009, Comput. Stat.
    Data Anal. 53), which keeps it within [0, 1] and gives the task's own interval for a mix of one.

    Args:
        weights: above 0, one for each task of the mix, in any scale.
        rates: what is known of each task.
    """
    total = math.fsum(weights.values())
    rate, below, above = 0.0, 0.0, 0.0
    for task, weight in weights.items():
        known = rates.get(task)
        if known is None:
            return None
        share = weight / total
        rate += share * known.rate
        below += (share * (known.rate - known.low)) ** 2
        above += (share * (known.high - known.rate)) ** 2
    return Expected(rate, max(0.0, rate - math.sqrt(below)), min(1.0, rate + math.sqrt(above)))
