"""What reward costs in drift: how much is bought for each nat, and whether the price rises.

Early drift buys reward cheaply and late drift dearly, in nearly every run; a single quotient since the start hides
that. So the way is cut into stretches of equal drift, and each has a price of its own: the slope of a least-squares
line of reward on drift. Rows of a run are autocorrelated, which widens its interval (see longrun). Drift that is not
smoothed flattens the slope, as any noise in what a line is laid over does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rlpeaks_tui.stats.longrun import freedom, long_run_variance, persistence, student95
from rlpeaks_tui.stats.summaries import Floats

LEAST = 8
"""Rows that a line takes."""


@dataclass(frozen=True)
class Price:
    """Reward bought for each nat a token, with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def told(self) -> bool:
        """Whether it differs from 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Stretch:
    """A part of the way, in which the drift grew by as much as in the others.

    Attributes:
        low, high: drift at its ends, nats a token.
        first, last: steps of its rows.
        rows: how many.
        reward: mean over the rows.
        price: None where there are too few rows, or the drift did not change.
    """

    low: float
    high: float
    first: int
    last: int
    rows: int
    reward: float
    price: Price | None


def stretches(steps: ArrayLike, drift: ArrayLike, reward: ArrayLike, parts: int) -> tuple[Stretch, ...]:
    """The way cut into `parts` stretches of equal drift; those without any row are left out.

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
        if rows.size:
            found.append(
                Stretch(
                    low=top * part / parts,
                    high=top * (part + 1) / parts,
                    first=int(x[rows[0]]),
                    last=int(x[rows[-1]]),
                    rows=rows.size,
                    reward=float(r[rows].mean()),
                    price=price(k[rows], r[rows]),
                )
            )
    return tuple(found)


def price(drift: Floats, reward: Floats) -> Price | None:
    """The slope of reward on drift over rows in the order of training, shape [n] each; None where there is none."""
    n = drift.size
    apart = drift - drift.mean()
    spread = float(apart @ apart)
    if n < LEAST or not spread > 0:
        return None
    slope = float(apart @ (reward - reward.mean())) / spread
    residuals = reward - reward.mean() - slope * apart
    rho = persistence(residuals)
    half = student95(freedom(n, 2, rho)) * math.sqrt(long_run_variance(residuals, rho) / spread)
    return Price(slope, slope - half, slope + half)
