"""Whether the weights move along a straight line, and whether the features that they make stay rich.

"RLVR moves the weights linearly, R^2 > 0.7" (2601.04537) is a weaker statement than it sounds: a random walk, seen
from its starting point, is fitted by a line just as well. So R^2 is given together with what a random walk
would give at the same times, and beside it stands the cosine between one stretch of the way and the next, which is 0
for a random walk in many dimensions.
"""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike, NDArray

from rlpeaks_tui.stats.summaries import Floats

DORMANT = 0.025
"""A unit that varies by less than this share of the mean unit counts as dead; the threshold is a choice."""


class Straightness(Struct, frozen=True):
    """The fit of displacement = v * t, pooled over coordinates.

    Attributes:
        r2: 1 - residual / total sum of squares, about 0 and not about the mean, since the line must pass through
            the start; nan when nothing moved or nothing was measured.
        walk: what a random walk gives at the same times, as a ratio of expectations; 0.80 for many even times.
        times: how many times.
        coordinates: how many coordinates.
    """

    r2: float
    walk: float
    times: int
    coordinates: int


class Features(Struct, frozen=True):
    """How rich the hidden states of a batch are: proxies of plasticity, not measurements of it.

    Attributes:
        stable_rank: sum of squared singular values over the greatest, mean removed; nan when nothing varies.
        dead: share of units whose standard deviation is below 0.025 of the mean unit's; nan when nothing varies.
        n: positions; those that are not finite are left out.
        units: width of the hidden state.
    """

    stable_rank: float
    dead: float
    n: int
    units: int


def straightness(times: ArrayLike, displacement: NDArray[np.floating]) -> Straightness:
    """How well one velocity explains the way of the weights since the start (2601.04537).

    Args:
        times: steps since the start, each > 0, shape [m].
        displacement: theta(t_i) - theta(0) at sampled coordinates, shape [m, d]; float32 is read as it is.

    Raises:
        ValueError: the shapes do not fit, or a time is not positive.
    """
    t = np.asarray(times, np.float64).ravel()
    rows = np.asarray(displacement)
    if rows.ndim != 2 or len(rows) != t.size:
        raise ValueError(f"{t.size} times and displacements of shape {rows.shape}; expected [times, coordinates]")
    if not (t > 0).all():
        raise ValueError("times count from the start of training, where the displacement is 0, and must be above 0")
    # One row at a time: all of them in float64 would be many times the memory of what was kept.
    along, total = np.zeros(rows.shape[1]), 0.0  # [d]
    for time, row in zip(t.tolist(), rows, strict=True):
        moved = row.astype(np.float64)
        along += time * moved
        total += _dot(moved, moved)
    square = float(t @ t)
    known = total > 0 and math.isfinite(total)
    r2 = _dot(along, along) / square / total if known else math.nan
    walk = float(t @ np.minimum.outer(t, t) @ t) / square / float(t.sum()) if t.size else math.nan
    return Straightness(r2, walk, t.size, rows.shape[1])


def window_cosines(displacement: NDArray[np.floating]) -> Floats:
    """Cosine between the velocity of each stretch of the way and that of the next.

    Dividing by the time of a stretch does not turn its direction, so times are not needed.

    Args:
        displacement: as in `straightness`, shape [m, d], times rising; the first stretch begins at 0.

    Returns:
        Shape [max(m - 1, 0)]; nan beside a stretch without movement. Chance is 0 with standard deviation d^-1/2.

    Raises:
        ValueError: `displacement` is not two-dimensional.
    """
    rows = np.asarray(displacement)
    if rows.ndim != 2:
        raise ValueError(f"displacements of shape {rows.shape}; expected [times, coordinates]")
    cosines = np.full(max(len(rows) - 1, 0), np.nan)
    before, last = np.zeros(rows.shape[1]), np.zeros(rows.shape[1])
    for i, row in enumerate(rows):
        here = row.astype(np.float64)
        stretch = here - before
        product = math.sqrt(_dot(last, last)) * math.sqrt(_dot(stretch, stretch))
        if i and product > 0 and math.isfinite(product):
            cosines[i - 1] = min(max(_dot(last, stretch) / product, -1.0), 1.0)
        before, last = here, stretch
    return cosines


def features(hidden: NDArray[np.floating]) -> Features:
    """Stable rank and dead units of hidden states, the cheap proxies of lost plasticity.

    The mean is removed first: a direction that all positions share would be the largest and hide the rest. A
    unit is measured by how much it varies, where 2302.12902 takes the mean activation, because the units of
    a residual stream need not be 0 to carry nothing. Costs one eigenvalue problem of the smaller side.

    Args:
        hidden: one row a position, shape [n, d].

    Raises:
        ValueError: `hidden` is not two-dimensional.
    """
    x = np.asarray(hidden)
    if x.ndim != 2:
        raise ValueError(f"hidden states of shape {x.shape}; expected [positions, units]")
    x = x[np.isfinite(x).all(axis=1)].astype(np.float64)
    n, units = x.shape
    nothing = Features(math.nan, math.nan, n, units)
    if n < 2 or not units:
        return nothing
    still = x.min(axis=0) == x.max(axis=0)
    x -= x.mean(axis=0)
    x[:, still] = 0.0  # the mean of equal numbers may be off by a rounding, which would pass for variation
    scale = float(np.abs(x).max())
    if not scale > 0:
        return nothing
    x /= scale
    gram = x @ x.T if n < units else x.T @ x
    spread = x.std(axis=0)
    return Features(
        stable_rank=float(np.trace(gram) / np.linalg.eigvalsh(gram)[-1]),
        dead=int(np.count_nonzero(spread < DORMANT * spread.mean())) / units,
        n=n,
        units=units,
    )


def _dot(a: Floats, b: Floats) -> float:
    # Not `a @ b`: BLAS would wake its threads for it, which wait on those of the training beside them.
    return float((a * b).sum())
