"""What studies need of many generations: each is read once, and only what is made of it is kept.

A block of completions can be megabytes, and a study is asked again with every step of a live run, so the second
answer must not cost what the first did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from rlpeaks_tui.run import present
from rlpeaks_tui.run.follow import Follower, Snapshot
from rlpeaks_tui.run.rollouts import Rollouts

Made = TypeVar("Made")


class Generations(Generic[Made]):
    """Remembers what `make` gave for each generation of the last walk, and nothing of walks before.

    Args:
        make: reduces one generation to what is kept of it.
    """

    def __init__(self, make: Callable[[Rollouts], Made]) -> None:
        self._make = make
        self._made: dict[int, Made | None] = {}

    def newest_first(self, follower: Follower, snapshot: Snapshot, step: int) -> Iterator[Made]:
        """Of the generations at or before `step` that led to it and can be read, the newest first."""
        return self._walk(follower, snapshot, step, -1)

    def oldest_first(self, follower: Follower, snapshot: Snapshot, step: int) -> Iterator[Made]:
        """The same from the other end."""
        return self._walk(follower, snapshot, step, 1)

    def _walk(self, follower: Follower, snapshot: Snapshot, step: int, order: int) -> Iterator[Made]:
        known = self._made
        kept: dict[int, Made | None] = {}
        self._made = kept
        numbers, steps = present.generations(snapshot, step)
        for number, at in zip(numbers[::order].tolist(), steps[::order].tolist(), strict=True):
            if number in known:
                made = known[number]
            else:
                read = follower.generation(number)
                made = self._make(read) if read is not None and read.step == at else None
            kept[number] = made
            if made is not None:
                yield made
