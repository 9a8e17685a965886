"""The runs of a folder: live and over, one row each, enter opens one in place of the run that is shown.

The screen takes every key for itself. A key that steers must not reach a run that cannot be seen.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from textual import events
from textual.app import ComposeResult
from textual.message import Message
from textual.screen import Screen

from .. import roster, strips
from ..cells import Cells, in_ascii
from ..keyed import Keyed, meanings, shown
from ..plan import MARGIN, Place, Places
from ..roster import Line
from ..roster_reader import RosterReader
from ..strips import Hint
from ..surface import Surface
from ..theme import Palette
from .ask import Filter
from .board import Board


def hints(table: Sequence[Keyed]) -> list[Hint]:
    """Of the footer, by the keys in force; the command of a hint is the key that a click on it presses."""
    keys, named = {each.id: each.keys[0] for each in table if each.keys}, shown(table)
    rows = f"{named['up'].split()[0]} {named['down'].split()[0]}"
    return [
        Hint(named["open"], "open", 0, command=keys["open"]),
        Hint(rows, "choose", 1),
        Hint(named["filter"], "filter", 2, command=keys["filter"]),
        Hint(named["back"], "back", 0, command=keys["back"]),
        Hint(named["help"], "help", 3, command=keys["help"]),
    ]


class Runs(Screen[Path | None]):
    """Gives the directory of the run to open, or None.

    Args:
        palette: of the terminal.
        ascii_only: no sign beyond ASCII.
        folder: of runs.
        shown: the run that the cockpit shows.
    """

    AUTO_FOCUS = ""

    class Read(Message):
        """The reader has lines, or could not go on."""

        def __init__(self, lines: list[Line] | Exception) -> None:
            super().__init__()
            self.lines = lines

    def __init__(self, palette: Palette, ascii_only: bool, folder: Path, shown: Path) -> None:
        super().__init__()
        self._surfaces = {name: Surface(palette, id=name) for name in ("title", "list", "footer")}
        self._ascii_only = ascii_only
        self._shown = shown
        self._chosen = shown
        self._top = 0
        self._filter = ""
        self._all: list[Line] = []
        self._reader = RosterReader(folder, self._deliver)

    def _deliver(self, lines: list[Line] | Exception) -> None:
        """Called by the reader in its thread."""
        self.post_message(self.Read(lines))

    def compose(self) -> ComposeResult:
        yield Board(self._plan, *self._surfaces.values())

    def on_mount(self) -> None:
        self._reader.start()
        self.paint()

    def on_unmount(self) -> None:
        self._reader.let_go()

    def on_runs_read(self, message: Runs.Read) -> None:
        if isinstance(message.lines, Exception):
            raise message.lines
        self._all = message.lines
        self.paint()

    def on_resize(self) -> None:
        self.paint()

    @property
    def _lines(self) -> list[Line]:
        return roster.ordered(roster.fitting(self._all, self._filter))

    @property
    def _table(self) -> Sequence[Keyed]:
        """The keys in force."""
        table: Sequence[Keyed] = self.app.table  # type: ignore[attr-defined]
        return table

    @property
    def _rows(self) -> int:
        """Lines of the list that fit."""
        place = self._plan(*self.app.size).get("list")
        return max(1, place.height - 1) if place else 1

    def on_key(self, event: events.Key) -> None:
        event.stop()
        event.prevent_default()
        if not self.is_active:
            # A key right behind the one that closed it.
            return
        far = len(self._all)
        by = {"up": -1, "down": 1, "page.up": -self._rows, "page.down": self._rows, "browser.first": -far, "live": far}
        match meanings(self._table).get(event.key, ""):
            case "help":
                self.app.open_help()  # type: ignore[attr-defined]
            case "open":
                self._open()
            case "filter":
                self._ask()
            case "back" if self._filter:
                self._narrow("")
            case "quit" if event.key.startswith("ctrl+"):
                self.app.action_command("quit")  # type: ignore[attr-defined]
            case "back" | "quit" | "runs":
                self.dismiss(None)
            case name if name in by:
                self._move(by[name])

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._move(-1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._move(1)

    def on_surface_pressed(self, message: Surface.Pressed) -> None:
        """A click chooses a run, another one opens it."""
        message.stop()
        if message.surface.id == "footer":
            hint = strips.pressed(hints(self._table), message.surface.size.width, message.x)
            if hint is not None and hint.command:
                self.app.simulate_key(hint.command)
            return
        at = self._top + message.y - 1
        lines = self._lines
        if message.surface.id == "list" and message.y > 0 and at < len(lines):
            again = lines[at].path == self._chosen
            self._chosen = lines[at].path
            if again:
                self._open()
            self.paint()

    def _open(self) -> None:
        line = next((line for line in self._lines if line.path == self._chosen), None)
        if line is not None and line.state != "unreadable":
            self.dismiss(line.path)

    def _ask(self) -> None:
        chosen = self._chosen

        def entered(pattern: str | None) -> None:
            if pattern is None:
                # What was typed may have hidden it for a while.
                self._chosen = chosen
            self._narrow(self._filter if pattern is None else pattern)

        self.app.push_screen(Filter(self._filter, self._narrow), entered)

    def _narrow(self, pattern: str) -> None:
        self._filter = pattern
        self.paint()

    def _move(self, by: int) -> None:
        lines = self._lines
        if lines:
            self._chosen = lines[max(0, min(self._at(lines) + by, len(lines) - 1))].path
            self.paint()

    def _at(self, lines: list[Line]) -> int:
        """Where the chosen run stands now: runs come and go while one looks."""
        return next((i for i, line in enumerate(lines) if line.path == self._chosen), 0)

    def _plan(self, width: int, height: int) -> Places:
        left = MARGIN if width >= 60 else 0
        wide = width - 2 * left
        if wide < 2 or height < 4:
            return {}
        return {
            "title": Place(left, 0, wide, 1),
            "list": Place(left, 2, wide, height - 3),
            "footer": Place(left, height - 1, wide, 1),
        }

    def paint(self) -> None:
        lines = self._lines
        at = self._at(lines)
        if lines:
            self._chosen = lines[at].path
        self._top = roster.window(self._top, at, self._rows, len(lines))
        self._reader.look_at(tuple(line.path for line in lines[self._top : self._top + self._rows]))
        for name, place in self._plan(*self.app.size).items():
            cells = self._draw(name, lines, at, place.width, place.height)
            self._surfaces[name].show(in_ascii(cells) if self._ascii_only else cells)

    def _draw(self, name: str, lines: list[Line], at: int, width: int, height: int) -> Cells:
        if name == "title":
            return roster.summary(lines, len(self._all) - len(lines), self._filter, width)
        if name == "footer":
            return strips.footer(hints(self._table), width)
        return roster.draw(lines, at, self._top, time.time(), width, height, self._shown, self._ascii_only)
