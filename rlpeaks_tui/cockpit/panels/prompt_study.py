"""What the panel of prompts asks for: the held-out prompts by text, and the groups of the newest generations."""

from __future__ import annotations

from itertools import islice

import numpy as np
from msgspec import Struct

from rlpeaks_tui.run.follow import Follower, Snapshot
from rlpeaks_tui.run.heldout import HeldOutPrompts, read_held_out
from rlpeaks_tui.run.layout import Layout
from rlpeaks_tui.run.rollouts import Rollouts
from rlpeaks_tui.stats.groups import groups

from ..generations import Generations
from ..scene import Scene

LONGEST = 400
"""Characters of a prompt or the name of a task that a row or a query can need."""

RECENT, ENOUGH = 24, 96
"""Generations whose groups are listed at most, and groups after which no more are read."""


class Group(Struct, frozen=True):
    """One group: its step, its prompt, its task, how many completions it has, and the share of them that is right."""

    step: int
    prompt: str
    task: str
    size: int
    rate: float

    @property
    def kind(self) -> str:
        if self.rate != self.rate:
            return "unknown"
        return "all right" if self.rate == 1 else "all wrong" if self.rate == 0 else "mixed"


def groups_of(rollouts: Rollouts) -> tuple[Group, ...]:
    """The groups of one generation; of a prompt as much as a row and a query need."""
    found = groups(rollouts.reward, rollouts.group, rollouts.correct, rollouts.advantage)
    first = np.unique(rollouts.group, return_index=True)[1]
    told = zip(
        rollouts.group[first].tolist(), first.tolist(), found.size.tolist(), found.pass_rate.tolist(), strict=True
    )
    return tuple(
        Group(rollouts.step, rollouts.prompts[label][:LONGEST], rollouts.task[at][:LONGEST], size, rate)
        for label, at, size, rate in told
    )


class Asked(Struct, frozen=True, eq=False):
    """The answer: the held-out prompts, None where the run has none, and groups of training, the newest first."""

    held_out: HeldOutPrompts | None
    groups: tuple[Group, ...]


class Prompts:
    """Reads both; the held-out prompts are written once, so that they are read once."""

    def __init__(self) -> None:
        self._held_out: HeldOutPrompts | None = None
        self._generations = Generations(groups_of)

    def __call__(self, follower: Follower, snapshot: Snapshot, step: int) -> Asked:
        if self._held_out is None:
            self._held_out = read_held_out(Layout(snapshot.directory))
        found: list[Group] = []
        for made in islice(self._generations.newest_first(follower, snapshot, step), RECENT):
            found += made
            if len(found) >= ENOUGH:
                break
        return Asked(self._held_out, tuple(found))


def groups_at(scene: Scene) -> tuple[Group, ...]:
    """The groups that were read for the step shown; none until they are."""
    return scene.study.groups if isinstance(scene.study, Asked) else ()
