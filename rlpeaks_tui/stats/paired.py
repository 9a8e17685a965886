"""Policy against base on the same held-out prompts: is more solved, or only the same more often (2504.13837)?

Prompts differ far more in difficulty than policies do in skill. Comparing both on each prompt takes that out, which
two separate intervals would not.
"""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike

from rlpeaks_tui.stats.passk import pass_at_k


class Comparison(Struct, frozen=True):
    """Policy against base over P prompts.

    Attributes:
        k: the largest k asked for with at least 2k samples; 0 when there is none, and `gain` is nan.
        gain: mean over prompts of pass@k of the policy - pass@k of the base.
        low, high: 90 % interval of it, resampling prompts; nan with fewer than two.
        policy_only, base_only: share of prompts that only one of the two solved in n samples, at least once.
        mcnemar: exact two-sided p of McNemar's test on these two.
        prompts: P.
    """

    k: int
    gain: float
    low: float
    high: float
    policy_only: float
    base_only: float
    mcnemar: float
    prompts: int

    def metrics(self) -> dict[str, float]:
        """Values under the names they are journaled by."""
        return {
            "eval/gain": self.gain,
            "eval/gain_low": self.low,
            "eval/gain_high": self.high,
            "eval/policy_only": self.policy_only,
            "eval/base_only": self.base_only,
            "eval/mcnemar": self.mcnemar,
        }


def compare(
    base_right: ArrayLike,
    now_right: ArrayLike,
    n: int,
    ks: ArrayLike,
    rng: np.random.Generator,
    resamples: int = 1000,
) -> Comparison:
    """Compare policy and base at the largest steady k, and by which prompts each can solve at all.

    Args:
        base_right, now_right: right samples of base and policy on each prompt, shape [P].
        n: samples that each drew on each prompt. The same for both, since whoever tries more often solves more.
        ks: values of k to choose from, each >= 1.
        rng: source of the resamples; the same state gives the same interval.
        resamples: number of bootstrap samples.

    Raises:
        ValueError: there are no prompts, the shapes differ, some count is outside 0..n, or some k is below 1.
    """
    base, now = np.asarray(base_right, np.int64).ravel(), np.asarray(now_right, np.int64).ravel()
    if not base.size or base.size != now.size:
        raise ValueError(
            f"{base.size} prompts of the base and {now.size} of the policy: needs as many, and one at least"
        )
    prompts = base.size
    samples = np.full(prompts, n)
    steady = [int(k) for k in np.asarray(ks, np.int64).ravel() if 2 * k <= n]
    k = max(steady, default=0)
    each = (pass_at_k(samples, now, [max(k, 1)]) - pass_at_k(samples, base, [max(k, 1)]))[:, 0]  # [P]
    gain, low, high = (float(each.mean()), math.nan, math.nan) if k else (math.nan,) * 3
    if k and prompts > 1:
        weight = rng.multinomial(prompts, np.full(prompts, 1 / prompts), resamples) / prompts  # [R, P]
        low, high = (float(end) for end in np.quantile(weight @ each, [0.05, 0.95]))
    policy_only = int(((now > 0) & (base == 0)).sum())
    base_only = int(((base > 0) & (now == 0)).sum())
    return Comparison(
        k, gain, low, high, policy_only / prompts, base_only / prompts, mcnemar(policy_only, base_only), prompts
    )


def mcnemar(first_only: int, second_only: int) -> float:
    """Exact two-sided p of McNemar's test: the chance that a fair coin splits as unevenly as this, 1 for no prompts.

    Args:
        first_only, second_only: prompts that only one of the two solved; those that both or neither solved say
            nothing.

    Raises:
        ValueError: a count is negative.
    """
    if min(first_only, second_only) < 0:
        raise ValueError(f"counts must not be negative, got {first_only} and {second_only}")
    total = first_only + second_only
    tail = sum(math.comb(total, i) for i in range(min(first_only, second_only) + 1))
    return min(1.0, 2 * tail / (1 << total))
