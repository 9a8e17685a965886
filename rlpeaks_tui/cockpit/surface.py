"""The one widget that draws: it puts a grid of cells on screen and writes only the rows that changed.

Textual sends whatever region it is told to refresh, without looking for differences, so the difference is found
here, in the cells.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from .cells import Cells, Chars, Inks, Plot
from .stretches import settle, stretches
from .theme import Palette


class Surface(Widget, can_focus=False):
    """Shows `Cells`. Give it new ones with `show`; nothing is written where nothing changed."""

    DEFAULT_CSS = """
    Surface { width: 1fr; height: 1fr; }
    """

    class Pressed(Message):
        """Somebody clicked on a surface."""

        def __init__(self, surface: Surface, x: int, y: int) -> None:
            super().__init__()
            self.surface, self.x, self.y = surface, x, y

    def __init__(self, palette: Palette, *, name: str | None = None, id: str | None = None) -> None:
        super().__init__(name=name, id=id)
        self._palette = palette
        self._styles_of: dict[int, Style] = {}
        self._chars: Chars = np.zeros((0, 0), np.uint32)
        self._inks: Inks = np.zeros((0, 0), np.uint16)
        self._strips: dict[int, Strip] = {}
        self._plots: Sequence[Plot] = ()

    def step_at(self, x: int, y: int) -> int | None:
        """The step that a drawing has at a cell, None where it has none."""
        steps = [plot.step(x, y) for plot in self._plots]
        return next((step for step in steps if step is not None), None)

    def show(self, cells: Cells, most: int = sys.maxsize) -> tuple[int, int]:
        """Put `cells` on screen, from the upper left corner on, at most so many of the rows that changed; gives the
        number of those that will be written and of those that are left for the next time."""
        inks = settle(cells)
        self._plots = cells.plots
        if cells.chars.shape != self._chars.shape:
            self._chars, self._inks = cells.chars.copy(), inks.copy()
            self._strips.clear()
            self.refresh()
            return cells.height, 0
        changed = np.flatnonzero(((cells.chars != self._chars) | (inks != self._inks)).any(axis=1)).tolist()
        changed, left = changed[: max(0, most)], changed[max(0, most) :]
        if not changed:
            return 0, len(left)
        self._chars[changed], self._inks[changed] = cells.chars[changed], inks[changed]
        for y in changed:
            self._strips.pop(y, None)
        self.refresh(*(Region(0, y, cells.width, 1) for y in changed))
        return len(changed), len(left)

    def recolour(self, palette: Palette) -> None:
        """Show the same cells in another palette."""
        self._palette = palette
        self._styles_of.clear()
        self._strips.clear()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        if y >= self._chars.shape[0]:
            return Strip.blank(self.size.width, self._style(0))
        strip = self._strips.get(y)
        if strip is None:
            strip = self._strips[y] = self._strip(self._chars[y], self._inks[y])
        return strip

    def on_click(self, event: events.Click) -> None:
        self.post_message(self.Pressed(self, event.x, event.y))

    def _strip(self, chars: Chars, inks: Inks) -> Strip:
        return Strip([Segment(text, self._style(ink)) for text, ink in stretches(chars, inks)], len(inks))

    def _style(self, ink: int) -> Style:
        style = self._styles_of.get(ink)
        if style is None:
            style = self._styles_of[ink] = self._palette.style(ink)
        return style
