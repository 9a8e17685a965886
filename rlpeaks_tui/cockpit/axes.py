"""Ticks, ranges and labels: which numbers stand beside a chart, and how wide they are.

Ranges move in steps. An axis that followed the data exactly would redraw the whole chart with every point; one
that grows by a tenth at a time redraws its right edge, which is what a slow link can carry and an eye can
follow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Floats = NDArray[np.float64]

GROWTH = (
    *(1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9),
    *(2.0, 2.2, 2.4, 2.6, 2.8, 3.0, 3.2, 3.4, 3.6, 3.8, 4.0, 4.2, 4.4, 4.6, 4.8),
    *(5.0, 5.5, 6.0, 6.5, 7.0, 7.5, 8.0, 9.0, 10.0),
)
"""Where a time axis ends, by powers of ten: round numbers, about a tenth from one to the next."""


SAMPLE = 5000
"""Values from which it is told what is usual; the extremes themselves are always exact."""


class Axis(Struct, frozen=True):
    """The range of an axis and the values that it names, in order, with their labels, all equally wide."""

    low: float
    high: float
    ticks: tuple[float, ...]
    labels: tuple[str, ...]
    log: bool = False


def linear(
    low: float,
    high: float,
    count: int,
    floor: float | None = None,
    ceiling: float | None = None,
) -> Axis:
    """An axis around [low, high] with at most `count` ticks, at multiples of 1, 2 or 5 times a power of ten.

    Its ends lie on a finer grid than its ticks, so that data fill it and it moves seldom.

    `floor` and `ceiling` are bounds that the quantity has: the axis never goes beyond them, and ends on one that the
    data come near to.
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        low, high = 0.0, 1.0
    if floor is not None:
        low, high = max(low, floor), max(high, floor)
    if ceiling is not None:
        low, high = min(low, ceiling), min(high, ceiling)
    if high - low <= max(1e-12, 1e-9 * max(abs(low), abs(high))):
        spread = abs(high) * 0.1 if abs(high) > 1e-12 else (1.0 if ceiling is None else ceiling) * 0.5
        low, high = low - spread, high + spread
        if floor is not None:
            low = max(low, floor)
        if ceiling is not None:
            high = min(high, ceiling)
    span = high - low
    if floor is not None and low - floor < span:
        low = floor
    if ceiling is not None and ceiling - high < span / 4:
        high = ceiling
    fine = nice_step((high - low) / 5)
    first, last = math.floor(low / fine + 1e-9), math.ceil(high / fine - 1e-9)
    low, high = round(first * fine, 12), round(last * fine, 12)
    step = fine
    while len(ticks := _multiples(low, high, step)) > count:
        step = nice_step(step * 1.01)
    if len(ticks) < 2:
        ticks, step = (low, high), fine
    return Axis(low, high, ticks, labels_of(ticks, step))


def nice_step(least: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is not below `least`."""
    magnitude = 10.0 ** math.floor(math.log10(least) + 1e-9)
    return next(factor * magnitude for factor in (1.0, 2.0, 5.0, 10.0) if factor * magnitude >= least * (1 - 1e-9))


def _multiples(low: float, high: float, step: float) -> tuple[float, ...]:
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(round(i * step, 12) for i in range(first, last + 1))


def logarithmic(low: float, high: float, count: int) -> Axis:
    """A log axis around [low, high], both positive, that ends on 1, 2 or 5 times a power of ten.

    It names about `count` powers of ten, or, where it holds fewer than two, what else has room.
    """
    # Below it powers of ten lose their digits, and then are 0.
    low, high = max(low, 1e-300), max(high, 1e-299)
    first, last = math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1
    grid = [factor * 10.0**power for power in range(first, last + 1) for factor in (1.0, 2.0, 5.0)]
    start = max(i for i, tick in enumerate(grid) if tick <= low * (1 + 1e-9))
    end = max(start + 1, min(i for i, tick in enumerate(grid) if tick >= high * (1 - 1e-9)))
    powers = [tick for i, tick in enumerate(grid[start : end + 1], start) if i % 3 == 0]
    ticks = powers if len(powers) > 1 else grid[start : end + 1]
    named = tuple(ticks[:: max(1, math.ceil(len(ticks) / count))])
    width = max(len(scientific(tick)) for tick in named)
    return Axis(grid[start], grid[end], named, tuple(scientific(tick).rjust(width) for tick in named), log=True)


def scientific(value: float) -> str:
    """A tick of a log axis: 0.05, 10, 2e-05."""
    if 1e-3 <= value < 1e4:
        return f"{value:.10f}".rstrip("0").rstrip(".")
    return f"{value:.0e}"


def labels_of(ticks: Sequence[float], step: float) -> tuple[str, ...]:
    """Ticks with as many decimals as their step needs, padded to one width."""
    biggest = max(abs(tick) for tick in ticks)
    if biggest and (biggest < 1e-4 or step < 1e-5):
        texts = [f"{tick:.1e}" if tick else "0" for tick in ticks]
    elif biggest >= 1e5:
        texts = [compact(tick) for tick in ticks]
    else:
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        texts = [f"{tick:,.{decimals}f}" for tick in ticks]
    texts = [text.replace("-", "−") for text in texts]
    width = max(len(text) for text in texts)
    return tuple(text.rjust(width) for text in texts)


def compact(value: float) -> str:
    """A count in at most five characters: 950, 12.5k, 1.2M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size * 0.9995:
            scaled = value / size
            return f"{scaled:.0f}{unit}" if abs(scaled) >= 99.95 or scaled == int(scaled) else f"{scaled:.1f}{unit}"
    return f"{value:.0f}"


def extent(first: int, last: int, limit: int | None) -> tuple[int, int]:
    """The steps that a chart shows when data reach from `first` to `last` in a run of at most `limit` steps.

    The end grows by a tenth at a time: between two growths only the right edge of a chart changes, and little stays
    empty. It is the limit as soon as that is near; a run that is over has its last step as limit.
    """
    length = max(1, last - first)
    magnitude = 10.0 ** math.floor(math.log10(length))
    end = first + next(math.ceil(g * magnitude) for g in GROWTH if math.ceil(g * magnitude) >= length)
    if length < 20:
        end = first + 20
    if limit is not None and last <= limit < end * 1.1:
        end = limit
    return first, max(end, first + 1)


def span_without_spikes(values: Floats) -> tuple[float, float] | None:
    """The span of `values` without the rare ones that would flatten all others; None when there are none.

    The two furthest at either end count as spikes, or one value in two hundred, when they lie further out than twice
    what the rest spans. Of fewer than twenty values none is rare, and one level cannot be flattened.
    """
    finite = values[np.isfinite(values)]
    if len(finite) < 20:
        return span_of(finite)
    sample = finite[:: max(1, len(finite) // SAMPLE)]
    rare = min(max(2, math.ceil(len(sample) / 200)), len(sample) // 10)
    ordered = np.partition(sample, (rare, len(sample) - 1 - rare))
    low, high = float(ordered[rare]), float(ordered[-1 - rare])
    least, most = float(finite.min()), float(finite.max())
    room = high - low or math.inf
    return (
        low - room / 4 if low - least > 2 * room else least,
        high + room / 4 if most - high > 2 * room else most,
    )


def span_of(*parts: Floats) -> tuple[float, float] | None:
    """Smallest and largest finite value, or None when there is none."""
    lows, highs = [], []
    for values in parts:
        finite = values[np.isfinite(values)]
        if len(finite):
            lows.append(float(finite.min()))
            highs.append(float(finite.max()))
    return (min(lows), max(highs)) if lows else None
