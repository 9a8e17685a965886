"""Means, intervals, smoothing and slopes that do not pretend to more data than there are.

Rollouts of one prompt resemble each other and steps of one run follow each other, so the textbook standard
error is nearly always too small here. What is in this module counts clusters, or corrects for
autocorrelation, and says how many independent pieces the answer rests on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike, NDArray

from rlpeaks_tui.stats.student import student95

Floats = NDArray[np.float64]

Z95 = 1.959963984540054
"""Half-width of a 95 % interval in standard errors."""


class Estimate(Struct, frozen=True):
    """A mean with what it rests on.

    Attributes:
        mean: the weighted mean; nan when nothing was measured.
        se: its standard error; nan with fewer than two clusters.
        n: how many values went in.
        clusters: how many independent clusters they came from.
        degrees: of freedom of `se`; None for one less than there are clusters.
    """

    mean: float
    se: float
    n: int
    clusters: int
    degrees: float | None = None

    @property
    def freedom(self) -> float:
        """Degrees of freedom of `se`."""
        return self.clusters - 1.0 if self.degrees is None else self.degrees

    @property
    def half(self) -> float:
        """Half-width of the 95 % interval of the mean, by Student's quantile; nan where `se` is."""
        return self.half_among(1)

    def half_among(self, looks: int) -> float:
        """The same for one of several intervals that are to hold all together in 95 of 100 cases (Bonferroni)."""
        return student95(self.freedom, looks) * self.se

    def sign(self, looks: int = 1) -> int:
        """Of the mean where its interval leaves out 0; 0 where it does not, or is not known."""
        return int(np.sign(self.mean)) if abs(self.mean) > self.half_among(looks) else 0


UNMEASURED = Estimate(math.nan, math.nan, 0, 0)


def wilson(successes: ArrayLike, n: ArrayLike, z: float = Z95) -> tuple[Floats, Floats]:
    """Wilson's score interval of a binomial share, elementwise.

    Args:
        successes: counts, any shape.
        n: trials, broadcast against `successes`; an entry of 0 gives (0, 1), nothing being known.
        z: half-width in standard errors of the normal distribution.

    Returns:
        Lower and upper ends, each within [0, 1]. Trials are taken as independent: with clustered trials
        the interval is too narrow (see `effective_trials`).
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
        return UNMEASURED
    se = float(x.std(ddof=1) / np.sqrt(n)) if n > 1 else np.nan
    return Estimate(float(x.mean()), se, n, n)


def ratio_mean(sums: ArrayLike, counts: ArrayLike) -> Estimate:
    """Mean over all values of clusters of unequal size, with the standard error between clusters.

    What matters is how much whole clusters differ, however many values each holds: the error is the jackknife's, which
    leaves out one cluster at a time (Cochran, Sampling Techniques, section 6.17). A cluster that holds most of the
    values pulls the mean to itself and seems to agree with it; without it the mean shows what it did. The degrees of
    freedom are Satterthwaite's for cluster means of one variance (Bell and McCaffrey 2002), C - 1 for clusters of one
    size and hardly more than 1 where one cluster holds nearly everything.

    Args:
        sums: sum of the values of each cluster, shape [C].
        counts: number of values of each cluster, shape [C]; clusters without any are passed over.
    """
    total = np.asarray(sums, np.float64)
    count = np.asarray(counts, np.float64)
    total, count = total[count > 0], count[count > 0]
    clusters = count.size
    if clusters == 0:
        return UNMEASURED
    n = count.sum()
    mean = total.sum() / n
    if clusters == 1:
        return Estimate(float(mean), np.nan, int(n), 1)
    without = (total - mean * count) / (n - count)
    se = np.sqrt((clusters - 1) / clusters * np.square(without).sum())
    return Estimate(float(mean), float(se), int(n), clusters, _jackknife_degrees(count / n))


def _jackknife_degrees(share: Floats) -> float:
    """Twice the squared mean of the jackknife's variance over its variance, when cluster means are normal and alike.

    The variance is a sum of squares of g_c (x_c - mean) with g = share / (1 - share), so what is needed are the trace
    of their covariance matrix, g_c g_d ([c = d] - share_c - share_d + s) with s the sum of squared shares, and that of
    its square; neither takes the matrix itself.

    Args:
        share: of all values that each cluster holds, shape [C], C > 1.
    """
    g2 = np.square(share / (1.0 - share))
    s = float(share @ share)
    own, rest = 1.0 + s - 2.0 * share, s - 2.0 * share
    a, b, c = float(g2.sum()), float(g2 @ share), float(g2 @ np.square(share))
    trace = float(g2 @ own)
    square = float(np.square(g2) @ (np.square(own) - np.square(rest))) + (s * a - 2.0 * b) ** 2
    square += 2.0 * (a * c - b * b)
    return max(trace * trace / square, 1.0)


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


def combined(estimates: Sequence[Estimate], weights: Sequence[float]) -> Estimate:
    """A weighted sum of means of different values; with weights 1 and -1 the difference of two (Welch 1947).

    The degrees are Satterthwaite's. Means are taken as independent: what they have in common makes the interval of a
    difference wider than it need be where it makes them alike.
    """
    mean = math.fsum(weight * each.mean for each, weight in zip(estimates, weights, strict=True))
    variances = [(weight * each.se) ** 2 for each, weight in zip(estimates, weights, strict=True)]
    variance = math.fsum(variances)
    least = min(each.freedom for each in estimates)
    degrees = least
    if least > 0 and variance > 0:
        spent = math.fsum(v * v / each.freedom for v, each in zip(variances, estimates, strict=True))
        degrees = variance * variance / spent
    clusters = sum(each.clusters for each in estimates)
    return Estimate(mean, math.sqrt(variance), sum(each.n for each in estimates), clusters, degrees)


def effective_trials(hits: ArrayLike, counts: ArrayLike, alike: float = 0.0) -> float:
    """How many independent trials those of some clusters are worth, for Wilson's interval of their share.

    As many as would give the error between clusters, fewer by the square of how far Student's quantile lies beyond the
    normal one, since few clusters hardly tell that error (Korn and Graubard 1998, Survey Methodology 24). Not fewer
    than if all trials of a cluster had one outcome, which is the most that clusters can do.

    Args:
        hits: successes of each cluster, shape [C].
        counts: trials of each, shape [C]; clusters without any are passed over.
        alike: least correlation of two trials of one cluster that is reckoned with, where more than these clusters
            tells of it.
    """
    count = np.asarray(counts, np.float64)
    found = ratio_mean(hits, counts)
    if not found.n:
        return 0.0
    together = float(count @ count) / found.n
    size = found.n / (1.0 + (together - 1.0) * alike)
    if found.se > 0:
        size = min(size, found.mean * (1.0 - found.mean) / found.se**2)
    elif not alike:
        size = 0.0
    # One cluster has no error that is known.
    size = size * (Z95 / student95(found.freedom)) ** 2 if found.freedom >= 1 else 0.0
    return min(max(size, found.n / together), float(found.n))


def beyond_the_rest(values: ArrayLike, part: ArrayLike, cluster: ArrayLike) -> Floats:
    """Each value less the mean of what the other parts of its own cluster hold.

    The clustered mean over one part then says by how much that part exceeds the rest: what a cluster has in common
    drops out of the comparison.

    Args:
        values: shape [n].
        part: shape [n], a label of any sortable kind: which part of its cluster each value belongs to.
        cluster: shape [n], a label of any sortable kind.

    Returns:
        Shape [n]; nan where `values` is, and where a cluster has no other part.
    """
    x = np.asarray(values, np.float64).ravel()
    parts, of = np.unique(np.asarray(part).ravel(), return_inverse=True)
    _, group = np.unique(np.asarray(cluster).ravel(), return_inverse=True)
    _, cell = np.unique(group * parts.size + of, return_inverse=True)
    known = ~np.isnan(x)
    filled = np.where(known, x, 0.0)
    rest = np.bincount(group, filled)[group] - np.bincount(cell, filled)[cell]
    count = np.bincount(group, known)[group] - np.bincount(cell, known)[cell]
    others: Floats = np.divide(rest, count, out=np.full(x.size, np.nan), where=count > 0)
    return np.asarray(x - others)


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
