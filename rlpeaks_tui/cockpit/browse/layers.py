"""What can lie over the list: where in it a person is, and nothing else."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

Place = tuple[int, int]
"""A completion: its generation in the index, and its place in it."""


class GroupLayer(Struct, frozen=True):
    """The answers to one prompt side by side; `index` is the completion picked, or group.PROMPT."""

    name: ClassVar[str] = "group"
    number: int
    group: int
    index: int
    scroll: int = 0


class TokenLayer(Struct, frozen=True):
    """One completion by token; `scroll` is for a text of which no tokens were kept."""

    name: ClassVar[str] = "tokens"
    place: Place
    token: int = 0
    scroll: int = 0


class ThroughLayer(Struct, frozen=True):
    """One prompt through time, seen from generation `here`."""

    name: ClassVar[str] = "through"
    prompt: str
    here: int
    at: int = 0
    top: int = 0


class DifferenceLayer(Struct, frozen=True):
    """Two completions, by place and by name."""

    name: ClassVar[str] = "difference"
    places: tuple[Place, Place]
    names: tuple[str, str]
    scroll: int = 0


Layer = GroupLayer | TokenLayer | ThroughLayer | DifferenceLayer
