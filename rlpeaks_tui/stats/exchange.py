"""What reward costs in drift: how much is bought for each nat, and whether the price rises.

Early drift buys reward cheaply and late drift dearly, in nearly every run; a single quotient since the start hides
that. So the way is cut into stretches of equal drift, and each is paid from one mean to the next. Rows of a run are
autocorrelated, so a mean of many of them is worth fewer (see summaries.effective_size).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rlpeaks_tui.stats.summaries import Z95, effective_size

LEAST = 5
"""Rows that a stretch takes on each of its sides."""


@dataclass(frozen=True)
class Stretch:
    """A part of the way, in which the drift grew by as much as in the others.

    Attributes:
        low, high: drift at its ends, nats a token.
        first, last: steps of its rows.
        rows: how many.
        drift, reward: means over the rows.
        error: standard error of the mean reward.
    """

    low: float
    high: float
    first: int
    last: int
    rows: int
    drift: float
    reward: float
    error: float


@dataclass(frozen=True)
class Price:
    """Reward bought for each nat a token between two means, with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def told(self) -> bool:
        """Whether it differs from 0."""
        return self.low > 0 or self.high < 0


def stretches(steps: ArrayLike, drift: ArrayLike, reward: ArrayLike, parts: int) -> tuple[Stretch, ...]:
    """The way cut into `parts` stretches of equal drift, those left out that have fewer than LEAST rows.

    Args:
        steps: shape [n], rising.
        drift: of the policy from its start at each step, smoothed, nats a token, shape [n]. The furthest that it has
            been so far counts, so that a stretch is a stretch of time as well.
        reward: as recorded, shape [n]; rows where either is not finite are passed over.
        parts: at least 1.

    Raises:
        ValueError: the lengths differ, or `parts` is below 1.
    """
    x, k, r = (np.asarray(column, np.float64).ravel() for column in (steps, drift, reward))
    if not x.size == k.size == r.size:
        raise ValueError(f"{x.size} steps, {k.size} drifts and {r.size} rewards do not fit together")
    if parts < 1:
        raise ValueError(f"parts must be at least 1, got {parts}")
    known = np.isfinite(k) & np.isfinite(r)
    x, k, r = x[known], k[known], r[known]
    if not x.size:
        return ()
    furthest = np.maximum.accumulate(np.maximum(k, 0.0))
    top = float(furthest[-1])
    if not top > 0:
        return ()
    index = np.minimum((furthest / top * parts).astype(np.int64), parts - 1)
    found = []
    for part in range(parts):
        rows = np.flatnonzero(index == part)
        if rows.size >= LEAST:
            mine = r[rows]
            found.append(
                Stretch(
                    low=top * part / parts,
                    high=top * (part + 1) / parts,
                    first=int(x[rows[0]]),
                    last=int(x[rows[-1]]),
                    rows=rows.size,
                    drift=float(k[rows].mean()),
                    reward=float(mine.mean()),
                    error=float(mine.std(ddof=1)) / math.sqrt(effective_size(mine)),
                )
            )
    return tuple(found)


def price(before: Stretch, after: Stretch) -> Price | None:
    """What was paid on the way from one stretch to another; None where the drift did not grow."""
    apart = after.drift - before.drift
    if not apart > 0:
        return None
    value = (after.reward - before.reward) / apart
    half = Z95 * math.hypot(before.error, after.error) / apart
    return Price(value, value - half, value + half)
