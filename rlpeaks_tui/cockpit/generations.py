"""What studies need of many generations: each is read once, and only what is made of it is kept.

A block of completions can be megabytes, and a study is asked again with every step of a live run, so the second
answer must not cost what the first did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import numpy as np

from rlpeaks_tui.run.follow import Follower, Snapshot
from rlpeaks_tui.run.rollouts import Rollouts

Made = TypeVar("Made")


class Generations(Generic[Made]):
    """Remembers what `make` gave for each generation that was asked for, as long as the run does not go back.

    Args:
        make: reduces one generation to what is kept of it.
    """

    def __init__(self, make: Callable[[Rollouts], Made]) -> None:
        self._make = make
        self._made: dict[int, Made | None] = {}
        self._branches = 0

    def newest_first(self, follower: Follower, snapshot: Snapshot, step: int) -> Iterator[Made]:
        """Of the generations at or before `step` that led to it and can be read, the newest first."""
        for at in steps_of(snapshot, step)[::-1]:
            found = self._one(follower, snapshot, at)
            if found is not None:
                yield found

    def oldest_first(self, follower: Follower, snapshot: Snapshot, step: int) -> Iterator[Made]:
        """The same from the other end."""
        for at in steps_of(snapshot, step):
            found = self._one(follower, snapshot, at)
            if found is not None:
                yield found

    def _one(self, follower: Follower, snapshot: Snapshot, at: int) -> Made | None:
        if self._branches != len(snapshot.branches):
            self._branches = len(snapshot.branches)
            self._made.clear()
        if at not in self._made:
            read = follower.rollouts(at)
            # Where a block is damaged the follower has nothing, not an older generation.
            self._made[at] = self._make(read) if read is not None and read.step == at else None
        return self._made[at]


def steps_of(snapshot: Snapshot, step: int) -> list[int]:
    """The steps at or before `step` that have a generation, ascending."""
    steps = np.asarray(snapshot.rollout_steps)
    return [int(at) for at in np.unique(steps[steps <= step])]
