"""A whole curve in one row of cells: the raster of the big charts, four dots high."""

from __future__ import annotations

import numpy as np

from .axes import Floats, span_of
from .cells import Cells
from .raster import Frame, Ints, Raster


def spark(steps: Ints, values: Floats, x: tuple[int, int], width: int, ink: int, ascii_only: bool = False) -> Cells:
    """One row of `width` cells, scaled to the extremes of what it shows; blank without data."""
    first, last = np.searchsorted(steps, [x[0], x[1] + 1]) if (steps[1:] >= steps[:-1]).all() else (0, len(steps))
    span = span_of(values[first:last])
    if span is None or width <= 0:
        return Cells(width, 1)
    low, high = span
    if low == high:
        low, high = low - 1, high + 1
    raster = Raster(width, 1, Frame(x[0], x[1], low, high), ascii_only)
    raster.line(steps, values, ink)
    return raster.cells
