"""When a drifting metric will reach a bound, if it goes on as it does: with an interval, or a plain no.

A straight line through recent rows is no law, so it is only asked over rows that one and the same training wrote. The
interval is Fieller's (1954): all steps at which the bound lies within the 95 % band of the line. It is finite exactly
where the slope differs from 0, and where it does not nothing is foreseen. Rows of a run are autocorrelated, which
widens the band (see longrun).
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike

from rlpeaks_tui.stats.longrun import freedom, long_run_variance, persistence
from rlpeaks_tui.stats.student import student95
from rlpeaks_tui.stats.summaries import Floats

LEAST = 20
"""Rows that a line takes."""

State = Literal["too few", "beyond", "unclear", "away", "ahead"]


class Forecast(Struct, frozen=True):
    """What the line says. Numbers are nan where there are none.

    Attributes:
        state: "too few" rows for a line; "beyond": the line is past the bound at the last row; "unclear": the slope may
            be 0; "away": it leads away from the bound; "ahead": it leads there.
        rows: finite rows that the line was fitted to.
        level: of the line at the last row.
        slope, slope_low, slope_high: change a step with its 95 % interval.
        at, low, high: the step at which the line meets the bound, with its 95 % interval; only where it is ahead.
        first, last: steps of the first and last row.
    """

    state: State
    rows: int
    level: float = math.nan
    slope: float = math.nan
    slope_low: float = math.nan
    slope_high: float = math.nan
    first: float = math.nan
    last: float = math.nan
    _middle: float = math.nan
    _spread: float = math.nan
    _square: float = math.nan
    at: float = math.nan
    low: float = math.nan
    high: float = math.nan

    def over(self, steps: ArrayLike) -> tuple[Floats, Floats, Floats]:
        """The line at each step and the ends of its 95 % band (of the line, not of single rows), shape [n] each."""
        x = np.asarray(steps, np.float64)
        line = self.level + self.slope * (x - self.last)
        half = np.sqrt(self._square * (1 / max(self.rows, 1) + np.square(x - self._middle) / self._spread))
        return line, line - half, line + half


def foresee(steps: ArrayLike, values: ArrayLike, bound: float, *, floor: bool = False) -> Forecast:
    """Continue a least-squares line through the values to `bound`.

    Args:
        steps: shape [n], rising.
        values: shape [n]; nan entries are passed over.
        bound: what is not to be passed.
        floor: values should stay above `bound` rather than below it.

    Raises:
        ValueError: the lengths differ.
    """
    x, y = np.asarray(steps, np.float64).ravel(), np.asarray(values, np.float64).ravel()
    if x.size != y.size:
        raise ValueError(f"{x.size} steps and {y.size} values do not fit together")
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    n = x.size
    if n < LEAST or x[0] == x[-1]:
        return Forecast("too few", n)
    middle, mean = float(x.mean()), float(y.mean())
    spread = float(np.square(x - middle).sum())
    slope = float((x - middle) @ (y - mean)) / spread
    residuals = y - mean - slope * (x - middle)
    rho = persistence(residuals)
    # What rounding leaves of a straight line is no noise, but must not count as none either.
    noise = max(long_run_variance(residuals, rho), (1e-12 * float(np.abs(y).max(initial=1e-300))) ** 2)
    quantile = student95(freedom(n, 2, rho))
    half = quantile * math.sqrt(noise / spread)
    level = mean + slope * (float(x[-1]) - middle)
    square = quantile * quantile * noise
    line = (n, level, slope, slope - half, slope + half, float(x[0]), float(x[-1]), middle, spread, square)
    if level <= bound if floor else level >= bound:
        return Forecast("beyond", *line)
    if abs(slope) <= half:
        return Forecast("unclear", *line)
    if (slope > 0) == floor:
        return Forecast("away", *line)
    low, high = _fieller(slope, mean - bound, square, n, spread)
    last = float(x[-1])
    return Forecast("ahead", *line, middle + (bound - mean) / slope, max(last, middle + low), middle + high)


def _fieller(slope: float, above: float, square: float, n: int, spread: float) -> tuple[float, float]:
    """The u between which (above + slope u)^2 <= square (1 / n + u^2 / spread), for a slope that differs from 0."""
    a = slope * slope - square / spread
    b = slope * above
    c = above * above - square / n
    root = math.sqrt(max(b * b - a * c, 0.0))
    return (-b - root) / a, (-b + root) / a
