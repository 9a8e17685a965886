"""A question about a command, over the run: it stays as current as the run is while somebody thinks about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace
from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen

from .. import form
from ..cells import in_ascii
from ..form import Blank, Question, Values
from ..keyed import QUESTION, Keyed, shown, usual
from ..surface import Surface
from ..theme import Palette

WIDEST = 84
SMALL = (48, 14)
"""Columns and rows below which there is no empty space around what is asked."""


class Dialog(ModalScreen[tuple[str, ...] | None]):
    """Gives the command in words, or None when the person leaves.

    Args:
        palette: of the terminal.
        ascii_only: no sign beyond ASCII.
        make: the question as it is now.
        given: what is filled in already.
    """

    DEFAULT_CSS = """
    Dialog { align: center middle; }
    Dialog > Vertical { width: auto; height: auto; padding: 1 3; background: $surface; border-left: outer $accent; }
    Dialog.ascii > Vertical { border-left: ascii $accent; }
    Dialog.small > Vertical { padding: 0 1; }
    """
    AUTO_FOCUS = ""

    def __init__(
        self, palette: Palette, ascii_only: bool, make: Callable[[], Question], given: Values | None = None
    ) -> None:
        super().__init__(classes="ascii" if ascii_only else "")
        self._make = make
        self._ascii_only = ascii_only
        self._surface = Surface(replace(palette, ground=palette.tint))
        self._form = form.begin(make(), given)

    @property
    def rates(self) -> bool:
        """Whether it shows how recent completions did."""
        return self._form.question.rates

    def compose(self) -> ComposeResult:
        with Vertical():
            yield self._surface

    def on_mount(self) -> None:
        self._paint()

    def on_resize(self) -> None:
        self._paint()

    def renew(self) -> None:
        """The run has moved on."""
        self._form = form.again(self._form, self._make())
        self._paint()

    def on_key(self, event: events.Key) -> None:
        event.stop()
        event.prevent_default()
        if not self.is_active:
            # A key right behind the one that closed it: it must not send the command a second time.
            return
        match self._usual(event):
            case "escape":
                self.dismiss(None)
            case "enter":
                words, _ = form.command(self._form)
                if words:
                    self.dismiss(tuple(words))
            case key:
                self._form = form.press(self._form, key, event.character)
                self._paint()

    def _usual(self, event: events.Key) -> str:
        """The key that does here what the one pressed does by the table in force; a character of a line is itself."""
        if isinstance(self._form.field, Blank) and event.is_printable:
            return event.key
        return usual(self._table, QUESTION).get(event.key, event.key)

    @property
    def _table(self) -> Sequence[Keyed]:
        table: Sequence[Keyed] = self.app.table  # type: ignore[attr-defined]
        return table

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._turn("up")

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._turn("down")

    def _turn(self, key: str) -> None:
        self._form = form.press(self._form, key)
        self._paint()

    def on_paste(self, event: events.Paste) -> None:
        event.stop()
        self._form = form.insert(self._form, event.text)
        self._paint()

    def _paint(self) -> None:
        width, height = self.app.size
        small = width < SMALL[0] or height < SMALL[1]
        self.set_class(small, "small")
        wide, room = min(WIDEST, width - (4 if small else 8)), height - (1 if small else 3)
        if wide < 1 or room < 1:
            return
        cells = form.draw(self._form, wide, room, shown(self._table))
        self._surface.styles.width, self._surface.styles.height = cells.width, cells.height
        self._surface.show(in_ascii(cells) if self._ascii_only else cells)
