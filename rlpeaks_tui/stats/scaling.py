"""Where held-out accuracy will level off: the sigmoid in compute of 2510.13786, with its doubts.

R(C) - R_0 = (A - R_0) / (1 + (C_mid / C)^B). Before a run has passed its midpoint the data hold next to nothing about
the ceiling A (estimates of .42 to .78 for a true .8 at half of C_mid), and least squares gives one all the same. So A
is profiled over a grid, which shows how wide the range of ceilings is that fit about as well, and nothing counts as
identified before that range is narrow and the midpoint lies well behind.

For given A and given R_0 the curve is a logistic line in log C with two parameters. A coarse grid of them gives the
start of a few damped Gauss-Newton steps, which are taken for all values of A at once, and then, with A free as well,
for all resamples at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from rlpeaks_tui.stats.summaries import Floats

GRID = 0.005
"""Distance between two ceilings that are tried."""

LEAST = 6
"""Evaluations that it takes, for three parameters."""

PASSED = 2.0
"""How many times as far as the middle of its rise a run must have gone, in compute."""

NARROW = 0.1
"""Width of the range of ceilings that fit, below which the ceiling is identified."""

HUBER = 1.345
"""Standard errors beyond which a residual counts linearly; 95 % efficient when there are no outliers."""

_LIKELY = 2.705543454095404  # 90 % point of chi-squared with one degree of freedom
_GENTLEST, _STEEPEST = 0.3, 8.0  # bounds of the exponent
_MIDPOINTS, _STEEPNESSES = 32, 16  # of the coarse grid
_STEPS = 8


@dataclass(frozen=True)
class Sigmoid:
    """A fitted curve. Numbers are nan where there is none.

    Attributes:
        asymptote: A, the accuracy at which the curve levels off.
        low, high: 80 % interval of it, moving-block bootstrap of the residuals. In simulations with independent noise
            it covers in 60 to 80 % of cases.
        midpoint: C_mid, compute at which half of the gain is reached, in the unit of the fit.
        exponent: B, how sudden the rise is.
        identified: whether the data say where the ceiling is; if not, the numbers are one guess among many.
        why: one line, of what is known or of what is missing.
        first: R_0, as it was given.
        resampled: height A - R_0, log C_mid and log B of each curve that was fitted to a resample, shape [3, R].
    """

    asymptote: float
    low: float
    high: float
    midpoint: float
    exponent: float
    identified: bool
    why: str
    first: float = np.nan
    resampled: Floats = field(default_factory=lambda: np.empty((3, 0)), compare=False, repr=False)

    def over(self, compute: ArrayLike) -> tuple[Floats, Floats, Floats]:
        """The curve and its 80 % band (by the resamples, each c on its own) at each c > 0, shape [n] each.

        nan where there is no fit.
        """
        x = np.log(np.asarray(compute, np.float64).ravel())
        if not self.resampled.size:
            return (np.full(x.size, np.nan),) * 3
        height, middle, steep = self.resampled[:, :, None]
        low, high = np.quantile(self.first + height * _curve(x, middle, steep), [0.1, 0.9], axis=0)
        rise = _curve(x, np.log([self.midpoint]), np.log([self.exponent]))
        return self.first + (self.asymptote - self.first) * rise, low, high


def fit_sigmoid(
    compute: ArrayLike,
    accuracy: ArrayLike,
    error: ArrayLike,
    first: float,
    rng: np.random.Generator,
    resamples: int = 200,
) -> Sigmoid:
    """Fit the sigmoid, and say whether its ceiling is identified.

    Weights 1 / SE^2, Huber's loss, A on a grid from the best accuracy less two standard errors up to 1.

    Args:
        compute: C of each evaluation, shape [n], in any unit that grows with training (steps, tokens); those at 0 or
            below, the start itself, are passed over, as are accuracies that are not finite.
        accuracy: R(C), shape [n], in [0, 1].
        error: its standard errors, shape [n]; one of 0 or nan is taken as their median.
        first: R_0, accuracy before training.
        rng: source of the resamples; the same state gives the same interval.
        resamples: number of bootstrap samples.

    Raises:
        ValueError: the shapes differ, or an accuracy is outside [0, 1].
    """
    c, y, se = (np.asarray(x, np.float64).ravel() for x in (compute, accuracy, error))
    if not c.size == y.size == se.size:
        raise ValueError(f"{c.size} values of compute, {y.size} accuracies and {se.size} errors do not fit together")
    known = np.isfinite(y) & np.isfinite(c) & (c > 0)
    order = np.argsort(c[known], kind="stable")
    c, y, se = c[known][order], y[known][order], se[known][order]
    if ((y < 0) | (y > 1)).any():
        raise ValueError("accuracy must be between 0 and 1")
    if c.size < LEAST:
        return _nothing(f"{c.size} of the {LEAST} evaluations that it takes")
    if not 0 <= first <= 1:
        return _nothing("the accuracy before training is not known")
    usable = np.isfinite(se) & (se > 0)
    usual = float(np.median(se[usable])) if usable.any() else 0.01
    se = np.maximum(np.where(usable, se, usual), 0.1 * usual)
    best = int(y.argmax())
    lowest = float(y[best] - 2 * se[best])
    if lowest <= first:
        return _nothing("accuracy has not risen above its start by two standard errors")
    if why := _falling(y, se):
        return _nothing(why)
    return _fit(np.log(c), y, se, first, lowest, rng, resamples)


def _nothing(why: str) -> Sigmoid:
    return Sigmoid(np.nan, np.nan, np.nan, np.nan, np.nan, False, why)


def _falling(y: Floats, se: Floats) -> str:
    """Why no curve that only rises fits: the last quarter lies below some stretch before, by more than chance.

    By medians, so that a few wild evaluations do not decide it; three standard errors, since the best of many stretches
    is compared.
    """
    span = max(3, y.size // 4)
    medians = np.median(np.lib.stride_tricks.sliding_window_view(y, span), axis=1)
    now, before = float(medians[-1]), float(medians[:-span].max())
    # A median's error is 1.2533 times that of a mean, and two are compared.
    if now < before - 3 * 1.2533 * np.sqrt(2 * np.square(se).mean() / span):
        return f"accuracy is falling: {now:.3f} over the last {span} evaluations, {before:.3f} at its best"
    return ""


def _fit(x: Floats, y: Floats, se: Floats, first: float, lowest: float, rng: np.random.Generator, r: int) -> Sigmoid:
    """The fit in x = log C, [n], with r resamples and ceilings from `lowest` up."""
    n = x.size
    ceilings = GRID * np.arange(min(np.ceil(lowest / GRID), round(1 / GRID)), round(1 / GRID) + 1, dtype=np.float64)
    fits, loss = _refine(x, y - first, se, _start(x, y - first, se, ceilings - first))  # [3, G], [G]
    a = int(loss.argmin())
    spread = max(1.0, 2 * float(loss[a]) / (n - 3))  # evaluations that scatter more than their errors say
    likely = ceilings[2 * (loss - loss[a]) <= _LIKELY * spread]
    bounds = (lowest - first, 1 - first)
    best = _refine(x, y - first, se, fits[:, a : a + 1], bounds)[0]  # [3, 1], between the points of the grid
    fitted = best[0] * _curve(x, best[1], best[2])  # [n]
    block = int(np.ceil(n ** (1 / 3)))
    # The fit has taken three of about n / block slow movements out of the residuals, which are given back.
    off = np.clip((y - first - fitted) / se, -3 * np.sqrt(spread), 3 * np.sqrt(spread))
    off *= np.sqrt(n / max(n - 3 * block, block))
    begins = rng.integers(0, n - block + 1, (r, -(-n // block)))
    drawn = (begins[:, :, None] + np.arange(block)).reshape(r, -1)[:, :n]  # [R, n]
    again = _refine(x, fitted + se * off[drawn], se, np.repeat(best, r, axis=1), bounds)[0]  # [3, R]
    low, high = first + np.quantile(again[0], [0.1, 0.9])
    c, midpoint = float(np.exp(x[-1])), float(np.exp(best[1, 0]))
    passed, narrow = c >= PASSED * midpoint, likely[-1] - likely[0] < NARROW
    gone = f"{c / midpoint:.1f} times as far as the middle of its rise"
    if not passed:
        why = f"the run is only {gone}; told from {PASSED:g} times on"
    elif not narrow:
        why = f"ceilings from {likely[0]:.3f} to {likely[-1]:.3f} fit about as well"
    else:
        why = f"{gone}; ceilings from {likely[0]:.3f} to {likely[-1]:.3f} fit"
    return Sigmoid(
        asymptote=float(first + best[0, 0]),
        low=float(low),
        high=float(high),
        midpoint=midpoint,
        exponent=float(np.exp(best[2, 0])),
        identified=bool(passed and narrow),
        why=why,
        first=first,
        resampled=again,
    )


def _curve(x: Floats, middle: Floats, steep: Floats) -> Floats:
    """Share of the gain that is reached, 1 / (1 + (C_mid / C)^B), for log C_mid and log B; broadcasts."""
    rise: Floats = 1 / (1 + np.exp(np.clip(np.exp(steep) * (middle - x), -500, 500)))
    return rise


def _start(x: Floats, gain: Floats, se: Floats, height: Floats) -> Floats:
    """For each height A - R_0 [G] the best of a coarse grid of curves, as height, log C_mid and log B, [3, G].

    Reweighted a few times by Huber's weights at the best of all, so that outliers do not draw it.
    """
    middle = np.linspace(x[0] - 1, x[-1] + np.log(8), _MIDPOINTS).repeat(_STEEPNESSES)  # [S]
    steep = np.tile(np.log(np.geomspace(_GENTLEST, _STEEPEST, _STEEPNESSES)), _MIDPOINTS)  # [S]
    curve = _curve(x, middle[:, None], steep[:, None])  # [S, n]
    square, weight = np.square(curve), 1 / np.square(se)
    for _ in range(3):
        loss = np.square(height)[:, None] * (square @ weight) - 2 * height[:, None] * (
            curve @ (weight * gain)
        )  # [G, S]
        at = loss.argmin(axis=1)
        a = int(loss[np.arange(height.size), at].argmin())
        weight = _huber_weight((gain - height[a] * curve[at[a]]) / se) / np.square(se)
    return np.stack((height, middle[at], steep[at]))


def _huber_weight(off: Floats) -> Floats:
    size = np.abs(off)
    return np.where(size <= HUBER, 1.0, HUBER / np.maximum(size, HUBER))


def _huber(off: Floats) -> Floats:
    """Huber's loss summed over the last axis."""
    size = np.abs(off)
    each = np.where(size <= HUBER, 0.5 * np.square(size), HUBER * (size - 0.5 * HUBER))
    total: Floats = each.sum(axis=-1)
    return total


def _refine(
    x: Floats, gain: Floats, se: Floats, at: Floats, free: tuple[float, float] | None = None
) -> tuple[Floats, Floats]:
    """Levenberg-Marquardt steps on Huber's loss for many curves at once.

    Args:
        x, se: log C and standard errors, shape [n].
        gain: R - R_0, shape [n] or a row for each curve [G, n].
        at: height A - R_0, log C_mid and log B to begin with, [3, G].
        free: bounds of the height; None keeps it as it is.

    Returns:
        The curves as `at`, and their loss, [G].
    """
    fixed = 0 if free else 1
    bounds = np.array([*(free or (0, 1)), x[0] - 3, x[-1] + 5, np.log(_GENTLEST), np.log(_STEEPEST)]).reshape(3, 2, 1)[
        fixed:
    ]
    damping = np.full(at.shape[1], 1e-2)
    rise = _curve(x, at[1][:, None], at[2][:, None])  # [G, n]
    off = (gain - at[0][:, None] * rise) / se
    loss = _huber(off)
    for _ in range(_STEPS):
        slope = at[0][:, None] * rise * (1 - rise) * np.exp(at[2])[:, None] / se
        by = np.stack((rise / se, -slope, slope * (x - at[1][:, None])), 1)[:, fixed:]  # [G, 2 or 3, n]
        weighted = by * _huber_weight(off)[:, None]
        normal = weighted @ by.transpose(0, 2, 1)
        diagonal = np.einsum("gii->gi", normal)
        diagonal += damping[:, None] * diagonal + 1e-9
        step = np.linalg.solve(normal, weighted @ off[:, :, None])[:, :, 0].T
        new = at.copy()
        new[fixed:] = np.clip(at[fixed:] + step, bounds[:, 0], bounds[:, 1])
        new_rise = _curve(x, new[1][:, None], new[2][:, None])
        new_off = (gain - new[0][:, None] * new_rise) / se
        new_loss = _huber(new_off)
        better = new_loss < loss
        at, loss = np.where(better, new, at), np.where(better, new_loss, loss)
        rise, off = np.where(better[:, None], new_rise, rise), np.where(better[:, None], new_off, off)
        damping *= np.where(better, 0.2, 10)
    return at, loss
