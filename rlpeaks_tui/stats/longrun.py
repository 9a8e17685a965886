"""How uncertain a mean or a slope of an autocorrelated series is, from few rows.

What a run logs is autocorrelated and short: some tens of rows on each side of a command. There the textbook kernel
estimate of the long-run variance is far too small, so the first-order part of the autocorrelation is taken out
first and put back afterwards (prewhitening), its estimate is corrected for the bias that few rows give it, and
quantiles are Student's with as many degrees of freedom as the rows are worth.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from rlpeaks_tui.stats.summaries import Estimate, Floats

CLOSEST = 0.97
"""Greatest autocorrelation that is put back (Andrews and Monahan 1992): beyond it the variance has no bound."""

FEWEST_FREEDOM = 3.0


def dot(a: Floats, b: Floats) -> float:
    """Sum of products, shape [n] each. Not by BLAS, whose threads wait for each other where the cores are busy with a
    training: on such a machine it takes ten times as long.
    """
    return float(np.einsum("i,i->", a, b))


def bartlett(values: ArrayLike, bandwidth: int) -> float:
    """Long-run variance of a series of mean 0: Bartlett's kernel over `bandwidth` lags (Newey and West 1987).

    (1 / n) * sum over i, j of max(0, 1 - |i - j| / (bandwidth + 1)) * x[i] * x[j], which is never negative.

    Args:
        values: shape [n], n > 0; no nan.
        bandwidth: lags that weigh something, >= 0.
    """
    x = np.asarray(values, np.float64)
    total = dot(x, x)
    for lag in range(1, min(bandwidth, x.size - 1) + 1):
        total += 2.0 * (1.0 - lag / (bandwidth + 1.0)) * dot(x[lag:], x[:-lag])
    return max(total, 0.0) / x.size


def automatic_bandwidth(values: ArrayLike) -> int:
    """Lags for Bartlett's kernel by the first-order plug-in of Andrews (1991), equation 6.4; 0 for white noise.

    Args:
        values: shape [n], of mean 0; no nan.
    """
    x = np.asarray(values, np.float64)
    rho = min(abs(autocorrelation(x)), CLOSEST)
    alpha = 4.0 * rho * rho / ((1.0 - rho) ** 2 * (1.0 + rho) ** 2)
    return min(int(1.1447 * (alpha * x.size) ** (1 / 3)), x.size - 1)


def autocorrelation(residuals: Floats) -> float:
    """Of first order, from residuals of shape [n]; 0 when they are all alike."""
    power = dot(residuals, residuals)
    return dot(residuals[1:], residuals[:-1]) / power if power > 0 else 0.0


def persistence(*sides: Floats) -> float:
    """First-order autocorrelation that stretches of a series share, in [0, CLOSEST].

    Each one's own is corrected for the line that was fitted, which biases it by -(2 + 4 rho) / n (as a mean does by
    -(1 + 3 rho) / n, Kendall 1954). A negative one counts as 0, which errs on the side of caution.

    Args:
        sides: residuals after a line was fitted to each stretch, shape [n] each, n > 4.
    """
    rows = sum(residuals.size for residuals in sides)
    found = 0.0
    for residuals in sides:
        n = residuals.size
        corrected = (n * autocorrelation(residuals) + 2) / (n - 4)
        found += n / rows * min(corrected, 1.0)
    return min(max(found, 0.0), CLOSEST)


def long_run_variance(residuals: Floats, rho: float) -> float:
    """Of a series from its residuals after a line, shape [n], n > 3.

    Prewhitened by `rho`, Bartlett's kernel over what is left (Andrews and Monahan 1992).
    """
    innovations = residuals[1:] - rho * residuals[:-1]
    n = innovations.size
    inner = bartlett(innovations, automatic_bandwidth(innovations))
    return inner * n / (n - 2) / (1.0 - rho) ** 2


def freedom(rows: int, fitted: int, rho: float) -> float:
    """Degrees of freedom: how many independent rows `rows` are worth, less what was fitted."""
    return max(rows * (1.0 - rho) / (1.0 + rho) - fitted, FEWEST_FREEDOM)


def series_mean(values: ArrayLike) -> Estimate:
    """Mean of a few rows that resemble their neighbours.

    The rows are worth n (1 - rho) / (1 + rho) independent ones, rho their first-order autocorrelation, corrected for
    the bias of a fitted mean (Kendall 1954); the error is that of so many values and its degrees one less. A trend
    counts as autocorrelation: rows that drift are worth two, the least that has an error at all.

    Args:
        values: shape [n]; nan entries are passed over.

    Returns:
        `clusters` is what the rows are worth, rounded down; se is nan for fewer than four.
    """
    x = np.asarray(values, np.float64).ravel()
    x = x[~np.isnan(x)]
    n = x.size
    mean = float(x.mean()) if n else math.nan
    if n < 4:
        return Estimate(mean, math.nan, n, n)
    rho = min(max((n * autocorrelation(x - mean) + 1) / (n - 3), 0.0), CLOSEST)
    worth = max(n * (1.0 - rho) / (1.0 + rho), 2.0)
    return Estimate(mean, math.sqrt(float(x.var()) / (worth - 1.0)), n, int(worth), worth - 1.0)
