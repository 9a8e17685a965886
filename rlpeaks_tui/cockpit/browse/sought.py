"""The list of the browser: what is asked for, how far the search is, and where in its rows a person is."""

from __future__ import annotations

from msgspec.structs import replace

from rlpeaks_tui.run.search import Wanted

from . import listing, query
from .columns import scrolled
from .finder import Found, Row


class Sought:
    """Begins with what a line of the query asks for.

    Attributes:
        line: as typed.
        until: the last step that is searched; None for all of them.
        asked: what is searched for now, None before the first search.
        found: how far that is.
        at, top: the picked row, and the first one on screen.

    Raises:
        query.Mistake: the line is no query.
    """

    def __init__(self, line: str) -> None:
        self.line, self._wanted = line, query.parse(line)
        self.until: int | None = None
        self.asked: Wanted | None = None
        self.found = Found(self._wanted)
        self.at = self.top = 0

    @property
    def row(self) -> Row | None:
        """The picked one."""
        return self.found.rows[self.at] if self.found.rows else None

    @property
    def at_top(self) -> bool:
        return self.at == 0 and self.top == 0

    def write(self, line: str) -> None:
        """Ask for something else.

        Raises:
            query.Mistake: the line is no query.
        """
        self._wanted, self.line = query.parse(line), line
        self.asked = None

    def search(self, until: int | None) -> Wanted | None:
        """What to search for now, up to a step; None where that is under way."""
        low, high = self._wanted.steps or (float("-inf"), float("inf"))
        steps = self._wanted.steps if until is None else (low, min(high, float(until)))
        wanted = replace(self._wanted, steps=steps)
        if wanted == self.asked:
            return None
        self.until, self.asked = until, wanted
        self.found = Found(wanted, generations=self.found.generations)
        self.at = self.top = 0
        return wanted

    def take(self, found: Found, following: bool) -> None:
        """What is read stays where it is, also when rows have come above it, unless the list follows the run."""
        before = self.found.rows
        if before and found.rows and found.rows[0] != before[0] and not following:
            moved = next((i for i, row in enumerate(found.rows) if row.place == before[self.at].place), self.at)
            self.top = max(0, self.top + moved - self.at)
            self.at = moved
        self.found = found

    def go_to(self, row: int) -> None:
        """Pick a row, or the nearest that there is."""
        self.at = max(0, min(row, len(self.found.rows) - 1))

    def settle(self, height: int) -> None:
        """Have the picked row on screen, in a drawing of this height."""
        self.go_to(self.at)
        self.top = scrolled(self.at, self.top, listing.room(height))
