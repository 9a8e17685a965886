"""Two small questions: is that really meant, and what is to be looked for."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static


class Confirm(ModalScreen[bool]):
    """Says what will happen and waits for a yes. Every other way out is a no."""

    DEFAULT_CSS = """
    Confirm { align: center middle; }
    Confirm > Vertical {
        width: 64; max-width: 96%; height: auto; padding: 1 3; background: $surface; border-left: outer $warning;
    }
    Confirm .title { text-style: bold; margin-bottom: 1; }
    Confirm .keys { margin-top: 1; text-style: bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", show=False),
        Binding("n,escape,q", "answer(False)", show=False),
    ]

    def __init__(self, title: str, says: str, yes: str, no: str) -> None:
        super().__init__()
        self._title, self._says, self._yes, self._no = title, says, yes, no

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(self._title, classes="title", markup=False)
            yield Static(self._says, markup=False)
            yield Static(f"y  {self._yes}      esc  {self._no}", classes="keys", markup=False)

    def action_answer(self, yes: bool) -> None:
        # A key right behind the one that closed it is no second answer.
        if self.is_active:
            self.dismiss(yes)


class Filter(ModalScreen[str | None]):
    """One line for a filter, at the bottom of the screen; escape leaves the old one."""

    DEFAULT_CSS = """
    Filter { align: left bottom; background: transparent; }
    Filter > Horizontal { height: 1; padding: 0 1; background: $surface; }
    Filter Static { width: auto; margin-right: 1; text-style: bold; }
    Filter Input { border: none; height: 1; padding: 0; background: $surface; width: 1fr; }
    Filter Input:focus { border: none; background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", show=False)]

    def __init__(self, before: str) -> None:
        super().__init__()
        self._before = before

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Static("/", markup=False)
            yield Input(self._before, placeholder="regular expression, ! in front for what does not match")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if self.is_active:
            self.dismiss(event.value.strip())

    def action_leave(self) -> None:
        if self.is_active:
            self.dismiss(None)
