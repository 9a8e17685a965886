"""Two small questions: is that really meant, and what is to be looked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from ..keyed import bound, shown


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
        bound("question.yes", "answer(True)"),
        bound("question.no", "answer(False)"),
        bound("question.leave", "answer(False)"),
    ]

    def __init__(self, title: str, says: str, yes: str, no: str) -> None:
        super().__init__()
        self._title, self._says, self._yes, self._no = title, says, yes, no

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(self._title, classes="title", markup=False)
            yield Static(self._says, markup=False)
            keys = shown(self.app.table)  # type: ignore[attr-defined]
            offered = f"{keys['question.yes']}  {self._yes}      {keys['question.leave']}  {self._no}"
            yield Static(offered, classes="keys", markup=False)

    def action_answer(self, yes: bool) -> None:
        # A key right behind the one that closed it is no second answer.
        if self.is_active:
            self.dismiss(yes)


SOON = 0.12
"""Seconds of typing that one drawing answers."""

OF_LISTS = (
    "text or a regular expression; ! in front: what does not match",
    "acts as you type; enter keeps it, esc undoes it",
)
"""How the filter of a list is written."""


class Line(Input):
    """A line that is typed and taken."""

    BINDINGS: ClassVar[list[BindingType]] = [bound("question.send", "submit")]


class Filter(ModalScreen[str | None]):
    """One line for a filter, at the bottom of the screen, that acts as it is typed; escape gives back the old one.

    Args:
        before: what is filtered by now.
        typed: is told the line while it is typed, and at last the old one where the person leaves.
        grammar: lines above it that say how it is written.
        mistake: what is wrong with a line; empty when nothing is. A line with a mistake is not taken.
    """

    DEFAULT_CSS = """
    Filter { align: left bottom; background: transparent; }
    Filter > Vertical { height: auto; padding: 0 1; background: $surface; }
    Filter Horizontal { height: 1; }
    Filter .sign { width: auto; margin-right: 1; text-style: bold; }
    Filter .grammar { color: $foreground 70%; }
    Filter .mistake { text-style: bold; color: $warning; display: none; }
    Filter Input { border: none; height: 1; padding: 0; background: $surface; width: 1fr; }
    Filter Input:focus { border: none; background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [bound("question.leave", "leave")]

    def __init__(
        self,
        before: str,
        typed: Callable[[str], object],
        grammar: Sequence[str] = OF_LISTS,
        mistake: Callable[[str], str] = lambda line: "",
    ) -> None:
        super().__init__()
        self._before, self._typed, self._grammar, self._mistake = before, typed, grammar, mistake
        self._told = before
        self._due = False

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(classes="mistake", markup=False)
            for line in self._grammar:
                yield Static(line, classes="grammar", markup=False)
            with Horizontal():
                yield Static("/", classes="sign", markup=False)
                yield Line(self._before)

    def on_input_changed(self) -> None:
        self.query_one(".mistake", Static).display = False
        if not self._due:
            self._due = True
            self.set_timer(SOON, self._tell_typed)

    def _tell_typed(self) -> None:
        self._due = False
        if self.is_active:
            self._tell(self.query_one(Input).value.strip())

    def _tell(self, line: str) -> None:
        if line != self._told:
            self._told = line
            self._typed(line)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        line = event.value.strip()
        mistake = self._mistake(line)
        if not mistake:
            if self.is_active:
                self.dismiss(line)
            return
        said = self.query_one(".mistake", Static)
        said.update(mistake)
        said.display = True

    def action_leave(self) -> None:
        if self.is_active:
            self._tell(self._before)
            self.dismiss(None)
