"""Every key and what it does, made from the table of commands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from textual import events
from textual.app import ComposeResult
from textual.screen import Screen

from .. import mouse
from ..cells import BOLD, Cells, Ink, fit, in_ascii, width_of
from ..commands import BY_ID, LEAVE, STEER, TABLE, TIME, VIEW, Command
from ..keyed import BROWSER, QUESTION, Keyed, Within, meanings, shown
from ..plan import Place, Places
from ..surface import Surface
from ..theme import Palette
from .board import Board

KEYS = 8
COLUMN = 58
NO_KEY = "by name"
"""In place of keys; a row with none is a heading."""
SCROLLS = {"down": 1, "up": -1, "page.down": 1000, "live": 1000, "page.up": -1000, "browser.first": -1000}
"""Rows by which a command scrolls here."""


def draw(
    width: int,
    height: int,
    scroll: int = 0,
    refused: Mapping[str, str] | None = None,
    table: Sequence[Keyed] = TABLE,
) -> Cells:
    """Commands under their groups, in two columns where they fit; scrolled by `scroll` rows where they do not.

    What is `refused` now, by title, is grey and says why. `table` has the keys in force.
    """
    cells = Cells(width, height)
    cells.put(0, 0, "Keys", Ink.TEXT | BOLD)
    named = shown(table)
    closes, scrolls = f"{named['back']} closes", f"{named['down'].split()[-1]} {named['up'].split()[-1]} scroll"
    rows, last = rows_of(width), scroll + max(0, height - 2)
    where = f"{scroll + 1}-{min(last, rows)} of {rows}"
    cells.put_right(0, width, closes if rows <= last - scroll else f"{where}   {scrolls}   {closes}", Ink.DIM)
    reasons = Counter((refused or {}).values()).most_common(1)
    # What holds for many is said once, beside the heading of those that steer.
    shared = reasons[0][0] if reasons and reasons[0][1] > 2 else ""
    columns = _columns(width, table)
    column_width = width // len(columns)
    for i, lines in enumerate(columns):
        x = i * column_width
        for row, (keys, title) in enumerate(lines[scroll : scroll + height - 2], 2):
            if keys:
                why = (refused or {}).get(title, "")
                usable = keys != NO_KEY and not why
                cells.put_right(row, x + KEYS, keys, Ink.KEY | BOLD if usable else Ink.FAINT)
                room = column_width - KEYS - 4
                end = cells.put(row, x + KEYS + 2, fit(title, room), Ink.UNKNOWN if why else Ink.TEXT)
                if why and why != shared and x + KEYS + 2 + room - end > 12:
                    cells.put(row, end + 2, fit(why, x + KEYS + room - end), Ink.FAINT)
            else:
                end = cells.put(row, x, title, Ink.ACCENT | BOLD)
                if title == STEER:
                    cells.put(row, end + 2, fit(shared, x + column_width - end - 4), Ink.FAINT)
    return cells


def rows_of(width: int) -> int:
    """Rows that the help takes in this width."""
    return max(len(lines) for lines in _columns(width))


def _columns(width: int, table: Sequence[Keyed] = TABLE) -> list[list[tuple[str, str]]]:
    """Keys and title of every row; a row without keys is the heading of a group, or empty."""
    groups: dict[str, dict[str, list[str]]] = {group: {} for group in (VIEW, BROWSER, TIME, STEER, LEAVE, QUESTION)}
    for each in table:
        if isinstance(each, Command | Within) and each.listed:
            groups[each.group].setdefault(each.title, []).append(_fitting(each))
    blocks = [
        [("", group), *((_together(keys) or NO_KEY, title) for title, keys in rows.items()), ("", "")]
        for group, rows in groups.items()
    ]
    blocks.append([("", "Mouse"), *mouse.MEANT, ("", "")])
    parts = [blocks] if width < 2 * COLUMN else [blocks[:2], blocks[2:]]
    return [[row for block in part for row in block][:-1] for part in parts]


def _fitting(each: Keyed) -> str:
    """The keys that captions name, and of the others as many as the column has room for."""
    named = each.shown
    for key in each.every.split()[len(named.split()) :]:
        if width_of(f"{named} {key}") <= KEYS:
            named = f"{named} {key}"
    return named


def _together(keys: Sequence[str]) -> str:
    """The keys of what shares a row: the first of each where there are several."""
    return keys[0] if len(keys) == 1 else " ".join(each.split()[0] for each in keys)


class Help(Screen[None]):
    """The help as a screen. It takes every key for itself: one that steers is read here, not pressed."""

    AUTO_FOCUS = ""

    def __init__(self, palette: Palette, ascii_only: bool, refused: Mapping[str, str], table: Sequence[Keyed]) -> None:
        super().__init__()
        self._table = table
        self._refused = {BY_ID[name].title: why for name, why in refused.items()}
        self._surface = Surface(palette, id="help")
        self._ascii_only = ascii_only
        self._scroll = 0

    def compose(self) -> ComposeResult:
        yield Board(self._plan, self._surface)

    def on_mount(self) -> None:
        self._paint()

    def on_resize(self) -> None:
        self._paint()

    def on_key(self, event: events.Key) -> None:
        event.stop()
        event.prevent_default()
        match meanings(self._table).get(event.key, ""):
            case "quit" if event.key.startswith("ctrl+"):
                self.app.action_command("quit")  # type: ignore[attr-defined]
            # A key right behind the one that closed it closes nothing more.
            case "back" | "help" | "quit" | "open" if self.is_active:
                self.dismiss(None)
            case name if name in SCROLLS:
                self._turn(SCROLLS[name])

    def _turn(self, rows: int) -> None:
        place = self._plan(*self.app.size)["help"]
        self._scroll = max(0, min(self._scroll + rows, rows_of(place.width) - (place.height - 2)))
        self._paint()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._turn(-1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._turn(1)

    def _plan(self, width: int, height: int) -> Places:
        inset = 2 if width >= 60 else 0
        return {"help": Place(inset, min(1, inset), width - 2 * inset, height - min(1, inset))}

    def _paint(self) -> None:
        place = self._plan(*self.app.size)["help"]
        if place.width > 0 and place.height > 0:
            cells = draw(place.width, place.height, self._scroll, self._refused, self._table)
            self._surface.show(in_ascii(cells) if self._ascii_only else cells)
