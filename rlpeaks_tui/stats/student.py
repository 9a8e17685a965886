"""Quantiles of Student's t: what a standard error from few independent pieces has to be multiplied by.

With the substitution t = sqrt(d) tan(a) the distribution is an integral of cos(a)^(d - 1), which a few nodes give to
nearly all digits for any number of degrees, whole or not, down to the single one that two clusters leave.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

_ROUNDS = 100
_NORMAL = 1e7
"""Degrees from which on the difference from the normal distribution is below 1e-6."""


def degrees_between(pieces: int) -> float:
    """Degrees of freedom of the standard error between so many pieces; without end where 0, it not being known."""
    return pieces - 1.0 if pieces else math.inf


def student95(degrees: float, looks: int = 1) -> float:
    """Half-width of a 95 % interval in standard errors: the 97.5 % quantile of Student's t.

    Args:
        degrees: of freedom, at least 1; whole or not.
        looks: intervals that are to hold all together in 95 of 100 cases (Bonferroni: each gets its share of the 5 %).

    Returns:
        nan below one degree. Within 1e-5 of itself up to 300, and within 1 % up to 3,000, which only less than two
        degrees and many looks give.
    """
    return _quantile(0.05 / max(looks, 1), float(degrees))


@lru_cache(maxsize=1)
def _gauss() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes and weights; found when first asked for, since a viewer that starts needs none."""
    return np.polynomial.legendre.leggauss(64)


@lru_cache(maxsize=4096)
def _quantile(outside: float, degrees: float) -> float:
    """The t that |T| passes with chance `outside`."""
    if not degrees >= 1:
        return math.nan
    normal = NormalDist().inv_cdf(1 - outside / 2)
    if degrees > _NORMAL:
        return normal
    scale = 2 * math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)) / math.sqrt(math.pi)
    nodes, weights = _gauss()
    # The integral rises ever more slowly and t lies beyond the normal quantile: Newton comes from the left and stays.
    angle = math.atan(normal / math.sqrt(degrees))
    for _ in range(_ROUNDS):
        inside = scale * angle / 2 * float(weights @ np.cos(angle / 2 * (nodes + 1)) ** (degrees - 1))
        step = (1 - outside - inside) / (scale * math.cos(angle) ** (degrees - 1))
        angle += step
        if step <= 1e-14 * angle:
            break
    return math.sqrt(degrees) * math.tan(angle)
