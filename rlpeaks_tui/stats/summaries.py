"""Means, intervals, smoothing and slopes that do not pretend to more data than there are.

Rollouts of one prompt resemble each other and steps of one run follow each other, so the textbook standard
error is nearly always too small here. What is in this module counts clusters, or corrects for
autocorrelation, and says how many independent pieces the answer rests on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

Z95 = 1.959963984540054
"""Half-width of a 95 % interval in standard errors."""


@dataclass(frozen=True)
class Estimate:
    """A mean with what it rests on.

    Attributes:
        mean: the weighted mean; nan when nothing was measured.
        se: its standard error; nan with fewer than two clusters.
        n: how many values went in.
        clusters: how many independent clusters they came from.
    """

    mean: float
    se: float
    n: int
    clusters: int


def wilson(successes: ArrayLike, n: ArrayLike, z: float = Z95) -> tuple[Floats, Floats]:
    """Wilson's score interval of a binomial share, elementwise.

    Args:
        successes: counts, any shape.
        n: trials, broadcast against `successes`; an entry of 0 gives (0, 1), nothing being known.
        z: half-width in standard errors of the normal distribution.

    Returns:
        Lower and upper ends, each within [0, 1]. Trials are taken as independent: with clustered trials
        the interval is too narrow.
    """
    k = np.asarray(successes, np.float64)
    trials = np.asarray(n, np.float64)
    safe = np.maximum(trials, 1.0)
    share = k / safe
    shrink = 1.0 + z * z / safe
    centre = (share + z * z / (2.0 * safe)) / shrink
    half = z / shrink * np.sqrt(share * (1.0 - share) / safe + z * z / (4.0 * safe * safe))
    known = trials > 0
    # At k = 0 and k = n the exact ends are 0 and 1; rounding must not move them inside.
    low = np.where(known & (k > 0), np.maximum(centre - half, 0.0), 0.0)
    high = np.where(known & (k < trials), np.minimum(centre + half, 1.0), 1.0)
    return low, high


def mean_se(values: ArrayLike) -> Estimate:
    """Mean and standard error of independent values; nan entries are passed over."""
    x = np.asarray(values, np.float64).ravel()
    x = x[~np.isnan(x)]
    n = x.size
    if n == 0:
        return Estimate(np.nan, np.nan, 0, 0)
    se = float(x.std(ddof=1) / np.sqrt(n)) if n > 1 else np.nan
    return Estimate(float(x.mean()), se, n, n)


def ratio_mean(sums: ArrayLike, counts: ArrayLike) -> Estimate:
    """Mean over all values of clusters of unequal size, with the standard error between clusters.

    The linearised variance of a ratio of sums (Cochran, Sampling Techniques, section 6.4), corrected by
    C / (C - 1): what matters is how much whole clusters differ, however many values each holds.

    Args:
        sums: sum of the values of each cluster, shape [C].
        counts: number of values of each cluster, shape [C]; clusters without any are passed over.
    """
    total = np.asarray(sums, np.float64)
    count = np.asarray(counts, np.float64)
    total, count = total[count > 0], count[count > 0]
    clusters = count.size
    if clusters == 0:
        return Estimate(np.nan, np.nan, 0, 0)
    n = count.sum()
    mean = total.sum() / n
    if clusters == 1:
        return Estimate(float(mean), np.nan, int(n), 1)
    residual = total - mean * count
    se = np.sqrt(clusters / (clusters - 1) * np.square(residual).sum()) / n
    return Estimate(float(mean), float(se), int(n), clusters)


def clustered_mean(values: ArrayLike, cluster: ArrayLike) -> Estimate:
    """Mean of values that come in clusters (rollouts of one prompt), with the standard error between them.

    Args:
        values: shape [n]; nan entries are passed over.
        cluster: shape [n], a label of any sortable kind for each value.
    """
    x = np.asarray(values, np.float64).ravel()
    labels = np.asarray(cluster).ravel()
    keep = ~np.isnan(x)
    _, index = np.unique(labels[keep], return_inverse=True)
    return ratio_mean(np.bincount(index, x[keep]), np.bincount(index))


def effective_size(values: ArrayLike) -> float:
    """How many independent values an autocorrelated series is worth for its mean.

    n over the integrated autocorrelation time, summed over Geyer's initial monotone positive sequence
    (Geyer 1992, section 3.3). A trend counts as autocorrelation, so a drifting series is worth few values.

    Args:
        values: shape [n], evenly logged; nan entries are passed over.

    Returns:
        Between 1 and n; n itself for fewer than four values or a constant series.
    """
    x = np.asarray(values, np.float64).ravel()
    x = x[~np.isnan(x)]
    n = x.size
    if n < 4:
        return float(n)
    x = x - x.mean()
    spectrum = np.fft.rfft(x, 1 << (2 * n - 1).bit_length())
    covariance = np.fft.irfft(np.square(np.abs(spectrum)))[:n]
    if covariance[0] <= np.finfo(np.float64).tiny:
        return float(n)
    rho = covariance / covariance[0]
    pairs = rho[: n - n % 2].reshape(-1, 2).sum(axis=1)
    negative = np.flatnonzero(pairs <= 0)
    pairs = np.minimum.accumulate(pairs[: negative[0] if negative.size else pairs.size])
    time = 2.0 * pairs.sum() - 1.0
    return float(np.clip(n / time if time > 0 else n, 1.0, n))


def smooth(values: ArrayLike, half_life: float, *, centred: bool = False) -> Floats:
    """Exponential moving average that knows gaps and has no start-up bias.

    Args:
        values: shape [n]; nan is a gap, which stays a gap and weighs nothing.
        half_life: number of values after which a weight has halved, > 0.
        centred: weigh both sides, for a finished run; otherwise only the past is used, so that a value
            never changes when more arrive.

    Returns:
        Weighted means, shape [n], nan where `values` is nan.

    Raises:
        ValueError: `half_life` is not positive.
    """
    if not half_life > 0:
        raise ValueError(f"half_life must be positive, got {half_life}")
    x = np.asarray(values, np.float64)
    present = ~np.isnan(x)
    filled = np.where(present, x, 0.0)
    weight = present.astype(np.float64)
    decay = 0.5 ** (1.0 / half_life)
    top, bottom = _decayed_sum(filled, decay), _decayed_weight(weight, decay)
    if centred:
        top += _decayed_sum(filled[::-1], decay)[::-1] - filled
        bottom += _decayed_weight(weight[::-1], decay)[::-1] - weight
    result: Floats = np.divide(top, bottom, out=np.full(x.shape, np.nan), where=present)
    return result


def _decayed_sum(x: Floats, decay: float) -> Floats:
    """y[t] = sum over i <= t of decay**(t - i) * x[i], by doubling: log2 of the memory passes, no loop over t."""
    y = x.copy()
    step = 1
    while step < y.size and (factor := decay**step) > 1e-17:
        y[step:] += factor * y[:-step]
        step *= 2
    return y


def _decayed_weight(weight: Floats, decay: float) -> Floats:
    """The same of weights of 0 and 1; without gaps the sum of a geometric series, which no pass is needed for."""
    if not weight.all():
        return _decayed_sum(weight, decay)
    return np.asarray((1.0 - np.exp(np.log(decay) * np.arange(1.0, weight.size + 1.0))) / (1.0 - decay))


def theil_sen(x: ArrayLike, y: ArrayLike, limit: int = 400) -> float:
    """Median of all pairwise slopes: a trend that a few wild points cannot tilt.

    Args:
        x: shape [n], for example steps.
        y: shape [n]; points with nan are passed over.
        limit: above this many points an even subset is taken, since the number of pairs grows with n * n.

    Returns:
        Change of y per unit of x; nan with fewer than two distinct x.
    """
    a = np.asarray(x, np.float64).ravel()
    b = np.asarray(y, np.float64).ravel()
    keep = ~(np.isnan(a) | np.isnan(b))
    a, b = a[keep], b[keep]
    if a.size > limit:
        subset = np.linspace(0, a.size - 1, limit).round().astype(np.intp)
        a, b = a[subset], b[subset]
    first, second = np.triu_indices(a.size, 1)
    run = a[second] - a[first]
    rise = (b[second] - b[first])[run != 0]
    return float(np.median(rise / run[run != 0])) if rise.size else np.nan
