"""Numbers as shades: a table of cells that each carry glyph and number, and a dense map in half blocks.

A shade never stands alone: the table prints the number beside it, and the dense map comes with its scale.
Sixteen levels are enough for an eye and keep the bytes of a redraw low.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .cells import BLANK, HEAT, HEAT_LEVELS, TINT, Cells, Ink, heat

SHADES = " ░▒▓█"
ASCII_SHADES = " .:+#"
MAP_SHADES, MAP_ASCII = "·░▒▓█", ".-:+#"
"""Where no number stands beside a shade: nothing at all would look like nothing known."""


def levels(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.int64]:
    """Heat level 0 to 15 of each value over [low, high]; -1 where there is none."""
    known = np.isfinite(values)
    share = (np.where(known, values, low) - low) / (high - low or 1.0)
    scaled = np.clip(share * HEAT_LEVELS, 0, HEAT_LEVELS - 1).astype(np.int64)
    return np.where(known, scaled, -1)


def shade(share: float, ascii_only: bool = False) -> str:
    """The glyph of a share: five shades over 0 to 1."""
    glyphs = ASCII_SHADES if ascii_only else SHADES
    return glyphs[min(4, max(0, int(share * 5)))]


def shaded(
    cells: Cells, y: int, x: int, value: float, width: int = 2, ascii_only: bool = False, top: float = 1.0
) -> int:
    """One entry of a table: `width` cells of shade on the scale of 0 to `top`, a space, the number in four cells.

    Gives the column after it.
    """
    end = x + width + 5
    if not math.isfinite(value):
        cells.put_right(y, end, "-".rjust(4), Ink.UNKNOWN)
        return end
    share = min(1.0, max(0.0, value / (top or 1.0)))
    level = min(HEAT_LEVELS - 1, int(share * HEAT_LEVELS))
    cells.put(y, x, shade(share, ascii_only) * width, heat(level))
    texts = [f"{value:.{decimals}f}" for decimals in (2, 1, 0)]
    cells.put_right(y, end, next((text for text in texts if len(text) <= 4), texts[-1]), Ink.TEXT)
    return end


def half_blocks(
    values: NDArray[np.float64], low: float, high: float, flat: bool = False, ascii_only: bool = False
) -> Cells:
    """A map of float64[rows, columns], two rows a cell: the upper half is the foreground, the lower the ground.

    With `flat`, for a terminal without colours for it, one shaded glyph stands for the mean of both.
    """
    rows, columns = values.shape
    if rows % 2:
        values = np.vstack([values, np.full((1, columns), np.nan)])
    level = levels(values, low, high)
    above, below = level[0::2], level[1::2]
    cells = Cells(columns, above.shape[0])
    if flat:
        glyphs = np.array([ord(glyph) for glyph in (MAP_ASCII if ascii_only else MAP_SHADES)], np.uint32)
        known = (above >= 0).astype(np.int64) + (below >= 0)
        mean = (np.maximum(above, 0) + np.maximum(below, 0)) / np.maximum(known, 1)
        cells.chars[:] = np.where(known > 0, glyphs[(mean * 5 / HEAT_LEVELS).astype(np.int64)], BLANK)
        return cells
    half = np.where(above < 0, ord("▄"), np.where(above == below, ord("█"), ord("▀")))
    cells.chars[:] = np.where((above < 0) & (below < 0), BLANK, half)
    front = np.where(above < 0, below, above)
    both = (above >= 0) & (below >= 0) & (above != below)
    inks = HEAT | np.maximum(front, 0) | np.where(both, below << 4 | TINT, 0)
    cells.inks[:] = np.where((above < 0) & (below < 0), 0, inks)
    return cells
