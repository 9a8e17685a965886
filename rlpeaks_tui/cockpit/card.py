"""The card that says whether a command helped: a corner of the screen, over the panels, until the next key.

It takes no key from the panels, and hides them from nobody for long: whatever is pressed closes it, and it goes by
itself. A narrow screen, most of which it would cover, has a line instead until it is asked for.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from .cells import BOLD, Cells, Ink, fit, width_of, wrap
from .plan import Place

WIDEST = 70
ROOMY = 100
"""Columns from which on it comes by itself."""
LINE_ROWS = 2


class Card(Struct, frozen=True):
    """What is said about one command: its id, a title, lines, and the rows that these took at most so far."""

    id: str
    title: str
    lines: tuple[str, ...]
    least: int = 0

    def with_lines(self, lines: tuple[str, ...]) -> Card:
        """The card as more is known. It never gets lower: its edge would go up and down with every step."""
        return replace(self, lines=lines, least=max(self.least, len(self._rows(WIDEST))))

    def place(self, width: int, height: int) -> Place:
        """The lower right corner above the footer."""
        wide = min(WIDEST, width)
        tall = min(max(self.least, len(self._rows(wide))) + 5, max(1, height - 2))
        return Place(width - wide, max(0, height - 1 - tall), wide, tall)

    def draw(self, width: int, height: int, key: str = "d") -> Cells:
        """The card; `key` goes on to that of the command before, and shows the newest once this one is closed."""
        cells = Cells(width, height)
        for y in range(height):
            cells.put(y, 0, "┃", Ink.ACCENT)
        cells.put(1, 3, fit(self.title, width - 5), Ink.TEXT | BOLD)
        for y, row in enumerate(self._rows(width)[: max(0, height - 5)], 3):
            cells.put(y, 3, row, Ink.TEXT)
        x = 3
        for name, word in (("any key", "closes this"), (key, "shows the command before")):
            x = cells.put(height - 1, x, name, Ink.KEY | BOLD) + 1
            x = cells.put(height - 1, x, word, Ink.DIM) + 3
        return cells

    def _rows(self, width: int) -> list[str]:
        return [row for line in self.lines for row in _broken(line, width - 5)]


def _broken(line: str, room: int) -> list[str]:
    """A line that fits as it is, since its columns stand under those of another; else its rows, indented alike."""
    if width_of(line) <= room:
        return [line]
    indent = line[: len(line) - len(line.lstrip())]
    return [indent + row for row in wrap(line, room - len(indent), LINE_ROWS)]
