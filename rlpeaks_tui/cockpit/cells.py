"""A screen area as two arrays: what stands in each cell, and in which ink.

Everything the cockpit shows is first drawn here, by pure functions, without Textual: a drawing can be compared,
printed and tested as text, and the widget that shows it needs to know nothing but which rows changed. Inks are
meanings ("entropy", "warn"), never colours; the theme decides what a meaning looks like on a terminal.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import Final

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray
from rich.cells import get_character_cell_size

from rlpeaks_tui.terminal import ASCII

Chars = NDArray[np.uint32]
Inks = NDArray[np.uint16]

BLANK: Final = 0x20
FOLLOWS: Final = 0
"""In `chars`: the right half of the wide character to its left."""


class Ink(IntEnum):
    """What a cell means. Six bits; the flags below are added with `|`."""

    TEXT = 0
    DIM = 1
    FAINT = 2
    RULE = 3
    GOOD = 4
    WARN = 5
    BAD = 6
    ACCENT = 7
    UNKNOWN = 8
    MARK = 9
    CURSOR = 10
    KEY = 11
    REWARD = 16
    ENTROPY = 17
    KL = 18
    CALIBRATION = 19
    SPARSITY = 20
    FORMAT = 21
    SERIES_0 = 32
    SERIES_1 = 33
    SERIES_2 = 34
    SERIES_3 = 35
    SERIES_4 = 36
    SERIES_5 = 37
    SERIES_6 = 38
    SERIES_7 = 39


SERIES: Final = tuple(Ink(Ink.SERIES_0 + i) for i in range(8))
"""Inks for lines without a meaning of their own, such as one per task, in the order that tells them apart best."""

MEANING: Final = 0x3F
BOLD: Final = 1 << 6
SOFT: Final = 1 << 7
"""The same meaning, quieter: raw values behind their smoothed line."""
REVERSE: Final = 1 << 8
TINT: Final = 1 << 9
"""On a tinted ground: a band, or a phase."""
RAISED: Final = 1 << 10
"""On the ground of a selected line."""
UNDERLINE: Final = 1 << 11
HEAT: Final = 1 << 15
HEAT_LEVELS: Final = 16


def heat(upper: int, lower: int | None = None) -> int:
    """The ink of a heat cell: foreground level `upper` on background level `lower`, each 0 to 15; None: no ground.

    Of the flags only UNDERLINE may be added to it.
    """
    ground = 0 if lower is None else (lower & 15) << 4 | TINT
    return HEAT | (upper & 15) | ground


class Plot(Struct, frozen=True):
    """A rectangle of cells whose columns are steps, from `first` in the first column to `last` in the last one."""

    x: int
    y: int
    width: int
    height: int
    first: float
    last: float

    def step(self, x: int, y: int) -> int | None:
        """The step that lies at a cell, None outside."""
        if not (self.x <= x < self.x + self.width and self.y <= y < self.y + self.height):
            return None
        return round(self.first + (x - self.x) / max(1, self.width - 1) * (self.last - self.first))


class Cells:
    """A grid of height x width cells. Writing outside of it is allowed and does nothing there."""

    __slots__ = ("below", "chars", "inks", "plots")

    def __init__(self, width: int, height: int) -> None:
        shape = (max(0, height), max(0, width))
        self.chars: Chars = np.full(shape, BLANK, np.uint32)
        self.inks: Inks = np.zeros(shape, np.uint16)
        self.below = 0
        """Lines of a list that did not fit, in the direction in which it scrolls."""
        self.plots: list[Plot] = []
        """Where a click means a step."""

    @property
    def width(self) -> int:
        return int(self.chars.shape[1])

    @property
    def height(self) -> int:
        return int(self.chars.shape[0])

    def put(self, y: int, x: int, text: str, ink: int = Ink.TEXT) -> int:
        """Write `text` from column `x` on and return the column after it, whether or not that is inside.

        A wide character that an edge would halve is left out. What it covers of an older wide character is blanked.
        """
        codes = _codes(text)
        height, width = self.chars.shape
        end = x + len(codes)
        if not len(codes) or not 0 <= y < height or end <= 0 or x >= width:
            return end
        left, right = max(0, x), min(width, end)
        part = codes[left - x : right - x]
        if part[0] == FOLLOWS:
            part = part.copy()
            part[0] = BLANK
        if right < end and codes[right - x] == FOLLOWS:
            part = part.copy()
            part[-1] = BLANK
        row = self.chars[y]
        if row[left] == FOLLOWS and left > 0:
            row[left - 1] = BLANK
        if right < width and row[right] == FOLLOWS:
            row[right] = BLANK
        row[left:right] = part
        self.inks[y, left:right] = ink
        return end

    def put_right(self, y: int, end: int, text: str, ink: int = Ink.TEXT) -> int:
        """Write `text` so that it ends before column `end`, and return the column where it starts."""
        start = end - width_of(text)
        self.put(y, start, text, ink)
        return start

    def fill(self, y: int, x: int, width: int, char: str = " ", ink: int = Ink.TEXT) -> None:
        """Repeat one narrow character over `width` columns of a row."""
        if 0 <= y < self.height:
            left, right = max(0, x), max(0, x + width)
            self.chars[y, left:right] = ord(char)
            self.inks[y, left:right] = ink

    def blit(self, y: int, x: int, other: Cells) -> None:
        """Copy `other` in, with its upper left corner at (y, x)."""
        self.plots += [replace(plot, x=plot.x + x, y=plot.y + y) for plot in other.plots]
        top, left = max(0, y), max(0, x)
        bottom, right = min(self.height, y + other.height), min(self.width, x + other.width)
        if top < bottom and left < right:
            source = np.s_[top - y : bottom - y, left - x : right - x]
            self.chars[top:bottom, left:right] = other.chars[source]
            self.inks[top:bottom, left:right] = other.inks[source]

    def rows(self) -> list[str]:
        """The text of each row, as wide on screen as the grid."""
        return [text_of(row) for row in self.chars]

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Cells)
            and np.array_equal(self.chars, other.chars)
            and np.array_equal(self.inks, other.inks)
        )

    __hash__ = None  # type: ignore[assignment]


def in_ascii(cells: Cells) -> Cells:
    """The same drawing with every sign that is not ASCII replaced by one that is, or by a question mark."""
    foreign = cells.chars > 0x7E
    if not foreign.any():
        return cells
    plain = Cells(cells.width, cells.height)
    plain.inks, plain.plots = cells.inks, cells.plots
    plain.chars = cells.chars.copy()
    # What takes two signs has one cell and the blank before it.
    for sign, two in _TWO.items():
        y, x = np.nonzero((cells.chars[:, 1:] == sign) & (cells.chars[:, :-1] == BLANK))
        plain.chars[y, x], plain.chars[y, x + 1] = two
        foreign[y, x + 1] = False
    plain.chars[foreign] = [_ASCII.get(code, ord("?")) for code in cells.chars[foreign].tolist()]
    plain.chars[plain.chars == FOLLOWS] = ord("?")
    return plain


_TWO = {ord(sign): (ord(plain[0]), ord(plain[1])) for sign, plain in ASCII.items() if len(plain) == 2}
_ASCII = {ord(sign): ord(plain[0]) for sign, plain in ASCII.items()} | {ord("→"): ord(">")}
"""Where there is no blank before it, a half of an arrow is still one."""


def text_of(codes: Chars) -> str:
    """The text of a stretch of cells."""
    if not codes.all():
        codes = codes[codes != FOLLOWS]
    return codes.astype("<u4", copy=False).tobytes().decode("utf-32-le")


def size_of(char: str) -> int:
    """The cells that one character takes here: 0, 1 or 2.

    Skin tones and the letters of flags merge with their neighbour on some terminals and not on others, so that no width
    would be right; they are left out.
    """
    if "\U0001f1e6" <= char <= "\U0001f1ff" or "\U0001f3fb" <= char <= "\U0001f3ff":
        return 0
    return get_character_cell_size(char)


def width_of(text: str) -> int:
    """The cells that `text` takes when put into a grid."""
    return len(text) if text.isascii() else sum(size_of(char) for char in text)


# The same labels, units and numbers come again with every drawing.
@lru_cache(maxsize=2048)
def _codes(text: str) -> Chars:
    """One code a cell; what takes no cell of its own (a joiner, a combining mark) is left out. Not to be written to."""
    if text.isascii():
        return np.frombuffer(text.encode("ascii"), np.uint8).astype(np.uint32)
    codes: list[int] = []
    for char in text:
        size = size_of(char)
        if size:
            codes.append(ord(char))
            codes.extend([FOLLOWS] * (size - 1))
    return np.array(codes, np.uint32)


def fit(text: str, width: int, more: str = "…") -> str:
    """`text` cut to at most `width` cells, with `more` at the end where something is missing."""
    if width_of(text) <= width:
        return text
    room = width - width_of(more)
    if room < 0:
        return ""
    used = 0
    for at, char in enumerate(text):
        used += size_of(char)
        if used > room:
            return text[:at] + more
    return text


def _last_space(text: str, upto: int) -> int:
    """The last space at or before `upto` that no number follows, if the half of the row before it has one; -1 for none
    at all."""
    last = at = text.rfind(" ", 0, upto + 1)
    while at > upto // 2 and (text[at + 1].isdigit() or text[at + 1] in "−+("):
        at = text.rfind(" ", 0, at)
    return at if at > upto // 2 else last


def wrap(text: str, width: int, limit: int) -> list[str]:
    """`text` broken at spaces, or within a word that is too long, into at most `limit` lines of `width` cells.

    A number stays with the word before it. The last line ends in an ellipsis where more text would have followed.
    """
    lines: list[str] = []
    # No more of the text than could be shown: a character takes a quarter of a cell at least, on average.
    rest = " ".join(text[: 4 * max(0, width) * max(0, limit) + 4].split())
    while rest and width > 0 and len(lines) < limit:
        if width_of(rest) <= width:
            return [*lines, rest]
        if len(lines) == limit - 1:
            return [*lines, fit(rest, width)]
        head = fit(rest, width, more="")
        cut = _last_space(rest, len(head))
        if cut <= 0 or width_of(rest[cut + 1 :].partition(" ")[0]) > width:
            cut = max(1, len(head))
        lines.append(rest[:cut])
        rest = rest[cut:].lstrip()
    return lines
