"""Bars in eighths of a cell, lying and standing."""

from __future__ import annotations

import math

from .cells import Cells, Ink

LYING = " ▏▎▍▌▋▊▉█"
STANDING = " ▁▂▃▄▅▆▇█"


def eighths(share: float, cells: int) -> int:
    """The length of a bar of `share` (0 to 1) of `cells`, in eighths of a cell; at least one if there is anything."""
    if not share > 0 or cells <= 0:
        return 0
    return max(1, min(8 * cells, round(share * 8 * cells)))


def lying(share: float, width: int, ascii_only: bool = False) -> str:
    """A bar from the left, exactly `width` cells wide with its blanks."""
    length = eighths(share, width)
    if ascii_only:
        return ("#" * math.ceil(length / 8)).ljust(width) if length else " " * width
    full, rest = divmod(length, 8)
    return ("█" * full + (LYING[rest] if rest else "")).ljust(width)


def stand(
    cells: Cells,
    x: int,
    width: int,
    base: int,
    height: int,
    share: float,
    ink: int = Ink.TEXT,
    ascii_only: bool = False,
) -> None:
    """Draw a bar up from row `base`, at most `height` rows, over `width` columns from `x`."""
    length = eighths(share, height)
    full, rest = divmod(length, 8)
    for i in range(full):
        cells.fill(base - i, x, width, "#" if ascii_only else "█", ink)
    if rest:
        cells.fill(base - full, x, width, "#" if ascii_only else STANDING[rest], ink)
