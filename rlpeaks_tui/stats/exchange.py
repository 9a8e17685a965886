"""What reward costs in drift: how much is bought for each nat, and whether the price rises.

Early drift buys reward cheaply and late drift dearly, in nearly every run; a single quotient since the start hides
that. So the way is cut into stretches of equal drift, and each has a price of its own.

Drift is an estimate itself, and a line of reward on a noisy drift is too flat: a price that seems to fall may be
nothing but noise. So both are held against time, which has no noise: the price is how fast reward rises over how fast
drift does (Wald's instrumental variable), and its interval is Fieller's, which knows that the divisor is uncertain
too. Rows of a run are autocorrelated, which widens it (see longrun).
"""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike

from rlpeaks_tui.stats.longrun import automatic_bandwidth, dot, freedom, persistence
from rlpeaks_tui.stats.student import student95
from rlpeaks_tui.stats.summaries import Floats

LEAST = 20
"""Rows that an interval takes: from fewer its error is itself too uncertain, and it holds the truth too rarely."""

CLEAR = 3.2
"""Standard errors by which drift must have risen: an F of 10, below which a quotient misleads (Staiger and Stock 1997).
Where drift falls there is no price: what reward did then was not bought.
"""


class Price(Struct, frozen=True):
    """Reward bought for each nat a token, with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def told(self) -> bool:
        """Whether it differs from 0."""
        return self.low > 0 or self.high < 0


class Stretch(Struct, frozen=True):
    """A part of the way, in which the drift grew by as much as in the others.

    Attributes:
        low, high: drift at its ends, nats a token.
        first, last: steps of its rows.
        rows: how many.
        within: how many of them have a smoothed drift within its ends: one that fell back leaves its stretch.
        reward: mean over the rows.
        price: None where there are too few rows, or the drift did not clearly rise.
    """

    low: float
    high: float
    first: int
    last: int
    rows: int
    within: int
    reward: float
    price: Price | None


class Bought(Struct, frozen=True):
    """What the whole way has bought: the mean of its last rows against that of as many first ones.

    Attributes:
        rows: at each end.
        reward, drift: change between the ends.
        price: None where the drift did not clearly rise.
    """

    rows: int
    reward: float
    drift: float
    price: Price | None


def stretches(
    steps: ArrayLike, drift: ArrayLike, reward: ArrayLike, smoothed: ArrayLike, parts: int
) -> tuple[Stretch, ...]:
    """The way cut into `parts` stretches of equal drift; those without any row are left out.

    Args:
        steps: shape [n], rising.
        drift: of the policy from its start at each step, as recorded, nats a token, shape [n].
        reward: as recorded, shape [n]; rows where one of the three is not finite are passed over.
        smoothed: the drift that the way is cut by, shape [n]. The furthest that it has been so far counts, so that a
            stretch is a stretch of time as well.
        parts: at least 1.

    Raises:
        ValueError: the lengths differ, or `parts` is below 1.
    """
    x, k, r, s = (np.asarray(column, np.float64).ravel() for column in (steps, drift, reward, smoothed))
    if not x.size == k.size == r.size == s.size:
        raise ValueError(f"{x.size} steps, {k.size} and {s.size} drifts and {r.size} rewards do not fit together")
    if parts < 1:
        raise ValueError(f"parts must be at least 1, got {parts}")
    known = np.isfinite(k) & np.isfinite(r) & np.isfinite(s)
    x, k, r, s = x[known], k[known], r[known], s[known]
    if not x.size:
        return ()
    furthest = np.maximum.accumulate(np.maximum(s, 0.0))
    top = float(furthest[-1])
    if not top > 0:
        return ()
    ends = np.searchsorted(furthest, top * np.arange(1, parts) / parts)
    found = []
    for part, (first, last) in enumerate(zip(np.append(0, ends), np.append(ends, x.size), strict=True)):
        if last > first:
            rows = slice(first, last)
            found.append(
                Stretch(
                    low=top * part / parts,
                    high=top * (part + 1) / parts,
                    first=int(x[first]),
                    last=int(x[last - 1]),
                    rows=int(last - first),
                    within=int((s[rows] >= top * part / parts).sum()) if part else int(last - first),
                    reward=float(r[rows].mean()),
                    price=price(x[rows], k[rows], r[rows]),
                )
            )
    return tuple(found)


def price(steps: Floats, drift: Floats, reward: Floats) -> Price | None:
    """The rise of reward over that of drift, shape [n] each, in the order of training; None where drift has no rise."""
    n = steps.size
    apart = steps - steps.mean()
    spread = dot(apart, apart)
    if n < LEAST or not spread > 0:
        return None
    both = np.stack([reward, drift], axis=1)  # [n, 2]
    rise = np.einsum("n,ni->i", apart, both) / spread
    covariance, rho = _long_run_covariance(_around_a_bend(apart, both))
    return _quotient(rise, covariance / spread, freedom(n, 3, rho))


def bought(steps: ArrayLike, drift: ArrayLike, reward: ArrayLike) -> Bought | None:
    """What was bought from the first tenth of the rows to the last one, shape [n] each, all finite.

    None with fewer than LEAST rows in each.
    """
    x, k, r = (np.asarray(column, np.float64).ravel() for column in (steps, drift, reward))
    rows = max(LEAST, x.size // 10)
    if x.size < 2 * rows:
        return None
    means, covariances, pieces = [], [], 0.0
    for end in (slice(rows), slice(x.size - rows, None)):
        both = np.stack([r[end], k[end]], axis=1)  # [rows, 2]
        covariance, rho = _long_run_covariance(_around_a_bend(x[end] - x[end].mean(), both))
        means.append(both.mean(axis=0))
        covariances.append(covariance / rows)
        pieces += freedom(rows, 3, rho)
    change = means[1] - means[0]
    return Bought(rows, float(change[0]), float(change[1]), _quotient(change, covariances[0] + covariances[1], pieces))


def _around_a_bend(apart: Floats, both: Floats) -> Floats:
    """What a parabola in time, shape [n], leaves of two series, shape [n, 2]: that a way bends is no noise."""
    bend = np.vander(apart / max(float(np.abs(apart).max()), 1e-300), 3)  # [n, 3], within [-1, 1]
    normal, right = np.einsum("ni,nj->ij", bend, bend), np.einsum("ni,nj->ij", bend, both)
    return np.asarray(both - np.einsum("ni,ij->nj", bend, np.linalg.pinv(normal) @ right))


def _long_run_covariance(residuals: Floats) -> tuple[Floats, float]:
    """Of two series from their residuals after a curve, shape [n, 2], and the autocorrelation that was taken out first.

    Prewhitened by the larger persistence of both, so that Bartlett's kernel over one bandwidth gives a covariance.
    """
    rho = max(persistence(residuals[:, 0]), persistence(residuals[:, 1]))
    innovations = residuals[1:] - rho * residuals[:-1]
    n = innovations.shape[0]
    bandwidth = max(automatic_bandwidth(innovations[:, 0]), automatic_bandwidth(innovations[:, 1]))
    total = np.einsum("ni,nj->ij", innovations, innovations)
    for lag in range(1, min(bandwidth, n - 1) + 1):
        across = np.einsum("ni,nj->ij", innovations[lag:], innovations[:-lag])
        total = total + (1.0 - lag / (bandwidth + 1.0)) * (across + across.T)
    return total / (n - 2) / (1.0 - rho) ** 2, rho


def _quotient(change: Floats, covariance: Floats, degrees: float) -> Price | None:
    """change[0] / change[1] with Fieller's interval; None where the divisor is not clearly above 0.

    The quotients q for which change[0] - q * change[1] is within its own error of 0: the roots of a square.
    """
    top, bottom = float(change[0]), float(change[1])
    t = student95(degrees)
    if not bottom > max(t, CLEAR) * math.sqrt(covariance[1, 1]):
        return None
    square = bottom * bottom - t * t * covariance[1, 1]
    middle = (top * bottom - t * t * covariance[0, 1]) / square
    rest = (top * top - t * t * covariance[0, 0]) / square
    half = math.sqrt(max(middle * middle - rest, 0.0))
    return Price(top / bottom, middle - half, middle + half)
