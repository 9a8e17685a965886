"""Where in a run's logs its training was changed: the rows before a command and the rows after it.

Rows have no time of their own, and steps do not order them: after a rollback they fall. What orders them is the
order of logging, in which every branch is one stretch that begins where the run went back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from rlpeaks_tui.stats.rule import Steps

CHANGING = frozenset({"reset", "sync-ref", "rollback", "phase", "set", "undo"})
"""Commands that change weights or settings."""

RETURNING = frozenset({"rollback", "undo"})
"""Commands that may take the run back to an earlier step."""

WINDOW = 50
"""Rows on each side of a command, at most."""


class Sent(Protocol):
    """A command, as `run.marks.CommandMark` is."""

    @property
    def id(self) -> str: ...
    @property
    def verb(self) -> str: ...
    @property
    def args(self) -> tuple[str, ...]: ...
    @property
    def status(self) -> str: ...
    @property
    def step(self) -> int | None: ...
    @property
    def t(self) -> float: ...


class Returned(Protocol):
    """The run went from `step` back to `at`, as `run.entries.Branch` says."""

    @property
    def step(self) -> int: ...
    @property
    def at(self) -> int: ...
    @property
    def t(self) -> float: ...


class Entered(Protocol):
    """`step` is the first one in another phase, as `run.entries.Phase` says."""

    @property
    def step(self) -> int: ...
    @property
    def t(self) -> float: ...


class Place(Struct, frozen=True, order=True):
    """Where the training was changed.

    Attributes:
        branch: how many times the run had gone back before.
        back: the run went back here, to the branch `branch + 1`.
        step: the last one before the change.
    """

    branch: int
    back: bool
    step: int


class Rows(Struct, frozen=True):
    """Rows [start, stop) of one metric's series, on one side of a command.

    Attributes:
        cut: fewer than WINDOW, because the training was changed there another time.
    """

    start: int
    stop: int
    cut: bool


def places(
    commands: Sequence[Sent], branches: Sequence[Returned], phases: Sequence[Entered]
) -> tuple[list[tuple[Sent, Place]], list[Place]]:
    """The applied commands that changed the training, each with its place, and every place at which it was changed.

    Places are sorted and without repetition: what was changed at one step was changed at one place, and so was what
    was changed just before the run went back, and just after.

    Args:
        commands, branches, phases: in the order of the journal.
    """
    applied = [c for c in commands if c.verb in CHANGING and c.status == "applied" and c.step is not None]
    returning = [c for c in applied if c.verb in RETURNING]
    owner: dict[str, int] = {}
    for number, branch in enumerate(branches):
        free = [c for c in returning if c.id not in owner]
        if free:
            owner[min(free, key=lambda c: abs(c.t - branch.t)).id] = number
    told = [
        (c, Place(owner[c.id], True, branches[owner[c.id]].step) if c.id in owner else _place(c.step, c.t, branches))
        for c in applied
        if c.step is not None
    ]
    back = {Place(number, True, branch.step) for number, branch in enumerate(branches)}

    def merged(place: Place) -> Place:
        """A change just before the run went back, with nothing trained in between, is one with going back."""
        going = replace(place, back=True)
        return going if going in back else place

    told = [(c, merged(place)) for c, place in told]
    found = {place for _, place in told} | back
    for phase in phases[1:]:
        place = merged(_place(phase.step - 1, phase.t, branches))
        # A command that switched the phase, and the phase that it switched to, are one change.
        if not any(place.branch == p.branch and abs(place.step - p.step) <= 1 for p in found):
            found.add(place)
    return told, sorted(found)


def _place(step: int, t: float, branches: Sequence[Returned]) -> Place:
    branch = sum(b.t <= t for b in branches)
    if branch and step <= branches[branch - 1].at:
        return Place(branch - 1, True, branches[branch - 1].step)
    return Place(branch, False, step)


def branch_starts(steps: Steps, branches: Sequence[Returned]) -> list[int]:
    """The row at which each branch begins, the run's own beginning first; `len(steps)` where none was logged yet.

    A branch begins where steps fall; or where they repeat the first one past the step that the run went back to, since
    a step that was measured twice repeats anywhere; or, for a metric that is logged too seldom for either, where they
    first exceed the step at which the run went back.

    Args:
        steps: in the order of logging, shape [n].
    """
    starts = [0]
    for branch in branches:
        rest = steps[starts[-1] :]
        before = np.concatenate([[branch.at], rest[:-2]])[: max(rest.size - 1, 0)]  # the row but one before
        rise = np.diff(rest)
        again = (rise == 0) & (rest[1:] > branch.at) & (before <= branch.at)
        back = 1 + _first((rise < 0) | again, rest.size)
        start = min(back, _first(rest > branch.step, rest.size))
        starts.append(starts[-1] + min(start, rest.size))
    return starts


def windows(steps: Steps, starts: list[int], place: Place, others: Sequence[Place]) -> tuple[Rows, Rows]:
    """Rows before and after a change: WINDOW at most, up to the neighbouring changes, its own step left out.

    Args:
        steps: of the metric's finite values in the order of logging, shape [n].
        starts: of its branches, from `branch_starts`.
        place: of the change.
        others: every place at which the training was changed, sorted.
    """
    end, begin = _bounds(steps, starts, place)
    earlier = [p for p in others if p < place]
    later = [p for p in others if p > place]
    first = _bounds(steps, starts, earlier[-1])[1] if earlier else 0
    last = _bounds(steps, starts, later[0])[0] if later else steps.size
    start, stop = max(first, end - WINDOW), min(last, begin + WINDOW)
    return (
        Rows(min(start, end), end, first > max(end - WINDOW, 0)),
        Rows(begin, max(stop, begin), last < min(begin + WINDOW, steps.size)),
    )


def _bounds(steps: Steps, starts: list[int], place: Place) -> tuple[int, int]:
    """The end of the rows before a change and the start of those after it."""
    low = starts[place.branch]
    high = starts[place.branch + 1] if place.branch + 1 < len(starts) else steps.size
    own = steps[low:high]
    end = low + int(np.searchsorted(own, place.step, side="left"))
    return end, high if place.back else low + int(np.searchsorted(own, place.step, side="right"))


def _first(flags: np.ndarray, none: int) -> int:
    return int(np.argmax(flags)) if flags.any() else none
