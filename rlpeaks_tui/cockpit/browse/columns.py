"""Tables whose numbers stay under each other, and the words and numbers that every one of them writes alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from msgspec import Struct

from rlpeaks_tui.run.rollout_index import RIGHT

from ..cells import BOLD, RAISED, Cells, Ink, fit, width_of
from .texts import lined

T = TypeVar("T")

GAP = 2
MARGIN = 2
"""Cells for the sign at the left."""


class Column(Struct, Generic[T], frozen=True):
    """One column of a table.

    Attributes:
        title: above it.
        width: in cells; with `fits` at most, and only as many as its values need, none where all are empty.
        rank: the column with the highest goes first where there is no room.
        show: text and ink of a row.
        left: whether it is text; numbers stand at the right.
    """

    title: str
    width: int
    rank: int
    show: Callable[[T], tuple[str, int]]
    left: bool = False
    fits: bool = False


Sized = list[tuple[Column[T], int]]


def fitting(columns: Sequence[Column[T]], rows: Sequence[T], width: int) -> Sized[T]:
    """The columns that have room in `width` cells, each with its own width."""
    sized = []
    for column in columns:
        if not column.fits:
            sized.append((column, column.width))
        elif need := max((width_of(column.show(row)[0]) for row in rows), default=0):
            sized.append((column, min(column.width, max(need, width_of(column.title)))))
    while sized and MARGIN + sum(size + GAP for _, size in sized) > width:
        sized.remove(max(sized, key=lambda item: item[0].rank))
    return sized


def put_titles(cells: Cells, y: int, sized: Sized[T]) -> int:
    """The row of titles; gives the column after it."""
    x = MARGIN
    for column, size in sized:
        text = fit(column.title, size)
        cells.put(y, x if column.left else x + size - width_of(text), text, Ink.FAINT)
        x += size + GAP
    return x


def put_row(cells: Cells, y: int, sized: Sized[T], row: T, picked: bool, marked: bool = False) -> int:
    """One row, with a sign where it is picked or marked; gives the column after it."""
    ground = RAISED if picked else 0
    cells.fill(y, 0, cells.width, ink=ground)
    cells.put(y, 0, "x" if marked else "▸" if picked else " ", (Ink.WARN if marked else Ink.CURSOR) | BOLD | ground)
    x = MARGIN
    for column, size in sized:
        text, ink = column.show(row)
        text = fit(text, size)
        cells.put(y, x if column.left else x + size - width_of(text), text, ink | ground)
        x += size + GAP
    return x


def scrolled(at: int, top: int, rows: int) -> int:
    """The first row on screen so that the picked one is among `rows`, moved as little as can be."""
    return max(0, min(max(top, at - rows + 1), at))


def paragraph(cells: Cells, y: int, x: int, text: str, width: int, rows: int, ink: int, scroll: int = 0) -> int:
    """Lines of `text` from `scroll` on in at most `rows` rows; gives how many. An ellipsis says that there is more."""
    if rows < 1 or width < 1:
        return 0
    _, shown, more = lined(text, width).window(scroll, rows)
    for i, line in enumerate(shown):
        last = more and i == len(shown) - 1
        cells.put(y + i, x, f"{fit(line, width - 2, more='')} …" if last else line, ink)
    return len(shown)


def decimal(value: float, sign: bool = False, digits: int = 2) -> str:
    """A number with fixed digits, so that points stand under each other; - where it is not known."""
    if not math.isfinite(value):
        return "-"
    kind = f"{digits}f" if abs(value) < 1000 else "0e"
    text = f"{value:{'+' if sign else ''}.{kind}}"
    # What rounds to nothing has no direction either.
    return f"{0.0:.{kind}}" if float(text) == 0 else text.replace("-", "−")


def verdict(correct: float) -> tuple[str, int]:
    """Right or wrong as a word."""
    if math.isnan(correct):
        return "-", Ink.UNKNOWN
    return ("right", Ink.GOOD) if correct >= RIGHT else ("wrong", Ink.BAD)


def known(value: float, sign: bool = False, ink: int = Ink.TEXT) -> tuple[str, int]:
    """A number in its ink, grey where it is not known."""
    return decimal(value, sign), ink if math.isfinite(value) else Ink.UNKNOWN
