"""How much of the gap between base and policy a hybrid of the two closes, and when that may be said.

A recovery is a ratio whose denominator is the gap itself, so it explodes where there is hardly a gap: it is
only given where the gap is at least two of its standard errors, and its interval resamples prompts.
"""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike

RESAMPLES = 1000


class Recovery(Struct, frozen=True):
    """Rec = (hybrid - base) / (policy - base), of accuracies on the same prompts (2510.07364; 2603.22446).

    Attributes:
        value: nan where it cannot be said; `why` says why.
        low, high: 90 % interval, resampling prompts; nan with `value`.
        prompts: how many prompts had a known outcome under all three.
    """

    value: float
    low: float
    high: float
    prompts: int
    why: str = ""


def recovery(base: ArrayLike, policy: ArrayLike, hybrid: ArrayLike, rng: np.random.Generator) -> Recovery:
    """Compare outcomes prompt by prompt.

    Args:
        base, policy, hybrid: 1 right, 0 wrong, nan unknown, shape [P] each.
        rng: source of the resamples.

    Raises:
        ValueError: the shapes differ.
    """
    table = np.stack([np.asarray(x, np.float64).ravel() for x in (base, policy, hybrid)])  # [3, P]
    table = table[:, np.isfinite(table).all(axis=0)]
    prompts = table.shape[1]

    def unknown(why: str) -> Recovery:
        return Recovery(math.nan, math.nan, math.nan, prompts, why)

    if prompts < 2:
        return unknown("fewer than two held-out prompts have an outcome that is known")
    gap = table[1] - table[0]
    error = float(gap.std(ddof=1)) / math.sqrt(prompts)
    if gap.mean() < 0:
        return unknown(
            f"the policy does worse than its base by {-gap.mean():.3f} on {prompts} prompts: nothing to recover"
        )
    if not gap.mean() >= max(2 * error, 1 / prompts):
        return unknown(
            f"policy and base differ by {gap.mean():+.3f} on {prompts} prompts, which is less than two standard "
            f"errors ({error:.3f}): a share of so small a gap says nothing"
        )
    value = float((table[2] - table[0]).mean() / gap.mean())
    weight = rng.multinomial(prompts, np.full(prompts, 1 / prompts), RESAMPLES) / prompts  # [R, P]
    gaps = weight @ gap
    # A resample without a gap has no share of it; there are few, since the gap is two standard errors wide.
    shares = (weight @ (table[2] - table[0]))[gaps > 0] / gaps[gaps > 0]
    low, high = np.quantile(shares, [0.05, 0.95])
    return Recovery(value, float(low), float(high), prompts)
