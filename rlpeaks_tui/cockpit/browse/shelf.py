"""What the finder has fetched for the layers: asked for when it is needed, and at hand until something else is."""

from __future__ import annotations

from rlpeaks_tui.run.rollouts import Rollouts, TokenTrace

from .compare import Difference
from .finder import Compared, Finder, Moment, Opened, Through
from .layers import Place
from .tokens import trace_of

KEPT = 4
"""Generations that were read and are still at hand."""


class Shelf:
    """Everything is None until it has arrived; asking for it again and again asks the finder once."""

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self._blocks: dict[int, Rollouts | None] = {}
        self._awaited: int | None = None
        self._through: Through | None = None
        self._prompt: str | None = None
        self._compared: Compared | None = None
        self._comparing: tuple[str, str] | None = None

    def take(self, answer: Opened | Through | Compared) -> None:
        match answer:
            case Opened(number, rollouts):
                self._awaited = None
                self._blocks.pop(number, None)
                self._blocks[number] = rollouts
                while len(self._blocks) > KEPT:
                    self._blocks.pop(next(iter(self._blocks)))
            case Through():
                self._through = answer
            case Compared():
                self._compared = answer

    def block(self, number: int) -> Rollouts | None:
        """A generation; None also when it is damaged or not kept any more. They are read one at a time."""
        if number in self._blocks:
            # What was looked at last stays longest.
            self._blocks[number] = self._blocks.pop(number)
            return self._blocks[number]
        if self._awaited is None:
            self._awaited = number
            self._finder.open(number)
        return None

    def trace(self, place: Place) -> TokenTrace | None:
        block = self.block(place[0])
        return trace_of(block, place[1]) if block is not None else None

    def difference(self, places: tuple[Place, Place]) -> Difference | None:
        one, other = (self._text(place) for place in places)
        if one is None or other is None:
            return None
        if self._compared is not None and self._compared.texts == (one, other):
            return self._compared.difference
        if self._comparing != (one, other):
            self._comparing = (one, other)
            self._finder.compare(one, other)
        return None

    def _text(self, place: Place) -> str | None:
        block = self.block(place[0])
        return block.completions[place[1]] if block is not None and place[1] < len(block.completions) else None

    def look_through(self, prompt: str | None) -> None:
        """Look for a prompt through time; None: no more."""
        if prompt != self._prompt:
            self._prompt, self._through = prompt, None
            self._finder.through(prompt)

    @property
    def through(self) -> Through | None:
        """How far that search is."""
        return self._through if self._through and self._through.prompt == self._prompt else None

    def moment(self, at: int) -> Moment | None:
        """One of the generations that it found."""
        moments = self.through.moments if self.through else ()
        return moments[at] if at < len(moments) else None
