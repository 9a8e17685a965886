"""What is still to be told about commands: whether they helped, once enough steps have passed to say."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from rlpeaks_tui.run.follow import Snapshot
from rlpeaks_tui.run.marks import CommandMark
from rlpeaks_tui.stats.effect import LEAST

from .card import Card
from .cells import fit
from .effects import tells
from .questions import CHANGING
from .steering import LONGEST
from .words import asked

MEASURED = (*CHANGING, "undo")
SHOWN = 30.0
"""Seconds for which a card lies over the panels at most: who only watches sees them again."""


class Aftermath:
    """Commands wait here for their card: those answered while this viewer looks, whoever sent them, and those of which
    it was too early to tell when it began to. Any can be called back.

    Attributes:
        card: what is shown now.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.card: Card | None = None
        self._clock = clock
        self._came = 0.0
        self._met: set[str] | None = None
        self._awaited: set[str] = set()
        self._recalled = ""

    @property
    def wanted(self) -> tuple[str, ...]:
        """The commands that the reader is to look at, by id."""
        shown = self.card.id if self.card is not None else ""
        return tuple(sorted({*self._awaited, self._recalled, shown} - {""}))

    def meet(self, snapshot: Snapshot) -> None:
        """Take note of the commands that were answered by now."""
        marks = [mark for mark in snapshot.commands if _measured(mark)]
        if self._met is None:
            fresh = [
                mark for mark in marks[-1:] if snapshot.live and 0 <= snapshot.step - (mark.effective or 0) < LEAST
            ]
        else:
            fresh = [mark for mark in marks if mark.id not in self._met]
        self._awaited.update(mark.id for mark in fresh)
        self._met = {mark.id for mark in marks}

    def recall(self, snapshot: Snapshot | None) -> str:
        """Want the card of the newest command, or of the one before that which is shown; gives why there is none."""
        marks = [mark.id for mark in snapshot.commands if _measured(mark)] if snapshot else []
        if not marks:
            return "no command has changed anything yet"
        before = marks.index(self.card.id) if self.card is not None and self.card.id in marks else len(marks)
        if before == 0:
            return "no command before that one changed anything"
        self._recalled = marks[before - 1]
        return ""

    def close(self) -> None:
        """Put away what is shown; what was called and has not come yet is not wanted any more."""
        self.card, self._recalled = None, ""

    def take(self, snapshot: Snapshot, found: Mapping[str, tuple[str, ...] | None], over: bool, key: str) -> str:
        """Lines by id as the reader has them, None where it is too early; gives what to tell instead of a card.

        A card that nobody asked for comes only where it may lie `over` the panels, and with something to tell;
        elsewhere, and when it has been there for long, the `key` for it is told. One that is there follows what is
        known.
        """
        told = ""
        if self.card is not None and self._clock() - self._came >= SHOWN:
            told = f"{self.card.title}: {key} shows what became of it"
            self.card = None
        for mark in snapshot.commands:
            if mark.id not in found or mark.id not in self.wanted:
                continue
            lines = found[mark.id]
            asked_for = mark.id == self._recalled
            if lines is not None:
                self._awaited.discard(mark.id)
            if self.card is not None and self.card.id == mark.id and not asked_for:
                self.card = self.card.with_lines(lines or self.card.lines)
            elif lines is None:
                if asked_for:
                    told = f"it is too early to tell what {asked(mark)} did: that takes {LEAST} steps after it"
            elif asked_for or (over and tells(lines)):
                where = f"  at step {mark.step:,}" if mark.step is not None else ""
                self.card, self._came = Card(mark.id, f"{mark.number}  {asked(mark)}{where}", lines), self._clock()
            elif tells(lines):
                told = ready(mark.number, asked(mark), key)
            if asked_for:
                self._recalled = ""
        return told


def ready(number: int, command: str, key: str) -> str:
    """That there is a card to be called."""
    return f"what became of command {number}, {fit(command, LONGEST)}: {key} shows it"


def _measured(mark: CommandMark) -> bool:
    return mark.status == "applied" and mark.verb in MEASURED
