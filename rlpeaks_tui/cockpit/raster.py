"""Lines on a grid of braille dots, drawn from exact extremes rather than from samples.

A terminal chart has a few hundred columns of dots and a run has up to a million points, so the work is to say,
for each column of dots, which stretch of the line falls into it. That is answered exactly: the smallest and
largest recorded value there, and where the line between two points crosses the column's borders. No outlier is
lost whatever the zoom, and the cost is that of one pass over the visible values and a search for each column.

A column lights the dots that hold a recorded extreme, and of the line in between those whose middle it passes;
that keeps slopes one dot thin without holes.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from .cells import BLANK, Cells

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Across = Ints | Floats
"""Where values lie on the horizontal axis: steps, or another quantity; never decreasing along a line."""
Mask = NDArray[np.bool_]

ON_THE_BORDER = 1e-9
"""In columns: what lies on the border of two belongs to the right one, whichever way its place was rounded."""

ON_THE_EDGE = 1e-6
"""In rows of dots."""

# The bit of each dot in a braille cell, 4 rows of 2.
BRAILLE = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], np.uint8)

# What 3 stacked dots look like in ASCII, by their bits (1 is the upper one), and the same for a heavy line.
ASCII = np.array([ord(char) for char in " '-|.||!"], np.uint32)
ASCII_HEAVY = np.array([ord(char) for char in ' "=#_###'], np.uint32)


class Frame(Struct, frozen=True):
    """The part of the plane that a grid of dots shows: x0 in the middle of the first column, x1 in that of the last.

    y0 is the lower edge of the lowest row, y1 the upper edge of the highest. With `log` both are positive
    and the rows are even in log10 y.
    """

    x0: float
    x1: float
    y0: float
    y1: float
    log: bool = False

    def column(self, x: float, columns: int) -> int:
        """The dot column of `x` among `columns`; outside of 0 to columns - 1 when x is not shown."""
        if self.x1 <= self.x0:
            return 0 if x <= self.x0 else columns
        return int(np.floor((x - self.x0) / (self.x1 - self.x0) * (columns - 1) + 0.5 + ON_THE_BORDER))

    def columns_of(self, x: Across, columns: int) -> Floats:
        """`column` of each x, float64[n]: of any size where it is not shown."""
        if self.x1 <= self.x0:
            return np.where(x <= self.x0, 0.0, float(columns))
        return np.floor((x - self.x0) / (self.x1 - self.x0) * (columns - 1) + 0.5 + ON_THE_BORDER)

    def height(self, y: Floats, rows: int) -> Floats:
        """Distance of each y from the upper edge, in dot rows; NaN where y is NaN or, on a log axis, not positive.

        What lies on the border of two rows lies there exactly: rounding would put one tick above its border and the
        next below, and rows of equal steps would not be equally far apart.
        """
        if self.log:
            with np.errstate(divide="ignore", invalid="ignore"):
                y = np.where(y > 0, np.log10(y), np.nan)
            y0, y1 = np.log10(self.y0), np.log10(self.y1)
        else:
            y0, y1 = self.y0, self.y1
        span = y1 - y0 or 1.0
        height = np.asarray((y1 - y) / span * rows, np.float64)
        border = np.round(height)
        return np.where(np.abs(height - border) < ON_THE_EDGE, border, height)


def line_mask(steps: Across, values: Floats, frame: Frame, columns: int, rows: int) -> Mask:
    """bool[rows, columns]: the dots of one line. `steps` must not decrease; NaN values are gaps."""
    lowest, highest, touched = _extents(steps, values, frame, columns, rows)
    index = np.arange(rows)[:, None]
    mask: Mask = touched & (index >= lowest) & (index <= highest)
    return mask


def _extents(steps: Across, values: Floats, frame: Frame, columns: int, rows: int) -> tuple[Ints, Ints, Mask]:
    """First and last lit row of each column, and whether it has any."""
    borders = np.arange(columns + 1) - 0.5 - ON_THE_BORDER
    middles = frame.x0 + (frame.x1 - frame.x0) / max(1, columns - 1) * borders
    if frame.x1 <= frame.x0:
        middles = np.full(columns + 1, np.inf)
        middles[0] = -np.inf
    at = np.searchsorted(steps, middles, side="left")

    # Recorded extremes. Larger values are higher up, which is a smaller row.
    bottom, top = np.full(columns, np.nan), np.full(columns, np.nan)
    visible = values[at[0] : at[-1]]
    if len(visible):
        if frame.log:
            visible = np.where(visible > 0, visible, np.nan)
        filled = np.flatnonzero(at[1:] > at[:-1])
        starts = at[filled] - at[0]
        bottom[filled] = frame.height(np.fmin.reduceat(visible, starts), rows)
        top[filled] = frame.height(np.fmax.reduceat(visible, starts), rows)

    # Where the line crosses the border on the left of each column, and of the one past the end.
    crossing = np.full(columns + 1, np.nan)
    inner = (at > 0) & (at < len(steps))
    right = at[inner]
    if len(right):
        left = right - 1
        y_left, y_right = frame.height(values[left], rows), frame.height(values[right], rows)
        x_left, x_right = steps[left].astype(np.float64), steps[right].astype(np.float64)
        share = (middles[inner] - x_left) / np.maximum(x_right - x_left, 1e-12)
        crossing[inner] = y_left + (y_right - y_left) * share

    path = np.stack([bottom, top, crossing[:-1], crossing[1:]])
    seen = np.isfinite(path).any(axis=0)
    with np.errstate(invalid="ignore"):
        upper = np.fmin.reduce(path, axis=0)
        lower = np.fmax.reduce(path, axis=0)
    upper, lower = np.where(seen, upper, 0.0), np.where(seen, lower, 0.0)
    start = np.ceil(upper - 0.5)
    end = np.ceil(lower - 0.5) - 1
    middle = np.floor((upper + lower) / 2)
    thin = end < start
    start, end = np.where(thin, middle, start), np.where(thin, middle, end)
    # A value on an edge of the frame belongs to the row inside of it.
    start = np.fmin(start, _inside(top, rows))
    end = np.fmax(end, _inside(bottom, rows))
    flat_low = seen & (lower == rows) & (start >= rows)
    start, end = np.where(flat_low, rows - 1, start), np.where(flat_low, rows - 1, end)
    touched = seen & (end >= 0) & (start < rows)
    limit = 4.0 * rows
    return (
        np.clip(start, -limit, limit).astype(np.int64),
        np.clip(end, -limit, limit).astype(np.int64),
        np.asarray(touched),
    )


def _inside(height: Floats, rows: int) -> Floats:
    return np.where(height == rows, rows - 1.0, np.floor(height))


def band_mask(steps: Across, low: Floats, high: Floats, frame: Frame, columns: int, rows: int) -> Mask:
    """bool[rows, columns]: all dots between two lines over the same steps, which must not decrease."""
    start_high, end_high, seen_high = _extents(steps, high, frame, columns, rows)
    start_low, end_low, seen_low = _extents(steps, low, frame, columns, rows)
    index = np.arange(rows)[:, None]
    start, end = np.minimum(start_high, start_low), np.maximum(end_high, end_low)
    return np.asarray((seen_high | seen_low) & (index >= start) & (index <= end))


def braille(mask: Mask) -> NDArray[np.uint32]:
    """uint32[h, w] characters of a mask of 4h rows by 2w columns; a cell without a dot is a blank."""
    dots = mask.view(np.uint8)
    codes = np.zeros((mask.shape[0] // 4, mask.shape[1] // 2), np.uint8)
    for (row, column), bit in np.ndenumerate(BRAILLE):
        codes |= dots[row::4, column::2] * bit
    return np.where(codes, 0x2800 + codes.astype(np.uint32), np.uint32(BLANK))


def ascii_dots(mask: Mask, heavy: bool = False) -> NDArray[np.uint32]:
    """uint32[h, w] characters of a mask of 3h rows by w columns, for a terminal without braille."""
    rows, columns = mask.shape
    cells = mask.reshape(rows // 3, 3, columns)
    codes = cells[:, 0] * 1 + cells[:, 1] * 2 + cells[:, 2] * 4
    return np.asarray((ASCII_HEAVY if heavy else ASCII)[codes], np.uint32)


class Raster:
    """Draws lines into a region of cells. What is drawn later hides what lies under it, cell by cell.

    Cells are not merged: a cell has one ink, and two lines in one braille cell would look like a third.
    """

    def __init__(self, width: int, height: int, frame: Frame, ascii_only: bool = False) -> None:
        self.cells = Cells(width, height)
        self.frame = frame
        self.ascii_only = ascii_only
        self.columns = width if ascii_only else 2 * width
        self.rows = 3 * height if ascii_only else 4 * height

    def cell(self, x: float) -> int:
        """The column of cells of `x`; outside of the grid when x is not shown."""
        column = self.frame.column(x, self.columns)
        return column if self.ascii_only else column // 2

    def row(self, y: float) -> int | None:
        """The row of cells of `y`, or None when y is not shown."""
        height = float(self.frame.height(np.array([y]), self.rows)[0])
        if not 0 <= height <= self.rows:
            return None
        return min(int(height), self.rows - 1) // (3 if self.ascii_only else 4)

    def columns_of(self, x: Across) -> Ints:
        """`cell` of each x, int64[n]; -1 where it is not shown."""
        across = self.frame.columns_of(x, self.columns)
        inside = (across >= 0) & (across < self.columns)
        return np.where(inside, across, -1).astype(np.int64) // (1 if self.ascii_only else 2)

    def rows_of(self, y: Floats) -> Ints:
        """`row` of each y, int64[n]; -1 where it is not shown."""
        heights = self.frame.height(y, self.rows)
        inside = (heights >= 0) & (heights <= self.rows)
        rows = np.minimum(np.where(inside, heights, 0).astype(np.int64), self.rows - 1)
        return np.where(inside, rows // (3 if self.ascii_only else 4), -1)

    def line(self, steps: Across, values: Floats, ink: int, heavy: bool = False, dashed: bool = False) -> None:
        """One series whose steps do not decrease: two dots thick when `heavy`, every other cell blank when `dashed`."""
        if not self.columns or not self.rows:
            return
        mask = line_mask(steps, values, self.frame, self.columns, self.rows)
        if heavy and not self.ascii_only:
            mask[1:] |= mask[:-1].copy()
        if dashed:
            mask[:, np.arange(self.columns) // (1 if self.ascii_only else 2) % 2 == 1] = False
        self._stamp(mask, ink, heavy)

    def dots(self, x: Floats, y: Floats, ink: int) -> None:
        """One dot for each finite pair that lies in the frame."""
        if not self.columns or not self.rows or self.frame.x1 <= self.frame.x0:
            return
        across = (x - self.frame.x0) / (self.frame.x1 - self.frame.x0) * (self.columns - 1)
        down = self.frame.height(y, self.rows)
        inside = np.isfinite(across) & (across >= -0.5) & (across <= self.columns - 0.5)
        inside &= np.isfinite(down) & (down >= 0) & (down <= self.rows)
        mask = np.zeros((self.rows, self.columns), np.bool_)
        row = np.minimum(down[inside].astype(np.int64), self.rows - 1)
        column = np.clip(np.floor(across[inside] + 0.5 + ON_THE_BORDER).astype(np.int64), 0, self.columns - 1)
        mask[row, column] = True
        self._stamp(mask, ink)

    def band(self, steps: Across, low: Floats, high: Floats, ink: int) -> None:
        """The area between two series, in every fourth dot, so that a line stays readable on it."""
        if not self.columns or not self.rows:
            return
        row, column = np.arange(self.rows)[:, None], np.arange(self.columns)
        sparse = (row + 2 * (column % 2) + column // 2 * 2) % 4 == 0
        self._stamp(band_mask(steps, low, high, self.frame, self.columns, self.rows) & sparse, ink)

    def _stamp(self, mask: Mask, ink: int, heavy: bool = False) -> None:
        chars = ascii_dots(mask, heavy) if self.ascii_only else braille(mask)
        lit = chars != BLANK
        self.cells.chars[lit] = chars[lit]
        self.cells.inks[lit] = ink
