"""A budget, not a schedule: costly probes run when what they cost still fits into the share of time allowed
for measuring.

A probe says how many steps apart it wants to be at the least; the budget stretches that by what the probe
was measured to cost. On several ranks the first decides and tells the others, because a probe may meet the
other ranks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class _Account:
    every: int
    last: int | None = None
    cost: float | None = None


class Budget:
    """Decides which probes are due.

    Args:
        share: of training time, 0 to 1.
        every: steps between two runs of each probe, at the least.
        clock: seconds.
    """

    def __init__(self, share: float, every: dict[str, int], clock: Callable[[], float] = time.perf_counter) -> None:
        self.share = share
        self._accounts = {name: _Account(steps) for name, steps in every.items()}
        self._clock = clock
        self.spent = 0.0
        """Seconds measured so far, since training began."""
        self.trained = 0.0
        """Seconds of training so far, measuring included, pauses excluded."""
        self.step_spent = 0.0

    def due(self, name: str, step: int) -> bool:
        """Whether `name` should run at `step`: its first time always, afterwards when it fits."""
        account = self._accounts[name]
        if account.last is None:
            return self.share > 0
        if step - account.last < account.every:
            return False
        return self.spent + (account.cost or 0.0) <= self.share * self.trained

    @contextmanager
    def running(self, name: str, step: int) -> Iterator[None]:
        """Measures what one run of `name` costs."""
        account = self._accounts[name]
        account.last = step
        began = self._clock()
        try:
            yield
        finally:
            seconds = self._clock() - began
            self.spent += seconds
            self.step_spent += seconds
            # Half old, half new: the first run pays for warming up and must not forbid the second for long.
            account.cost = seconds if account.cost is None else (account.cost + seconds) / 2

    def step_done(self, seconds: float) -> float:
        """A training step of `seconds` (pauses excluded) is over; gives the seconds it spent on measuring."""
        self.trained += seconds
        spent, self.step_spent = self.step_spent, 0.0
        return spent

    def last(self, name: str) -> int | None:
        """The step at which `name` ran last."""
        return self._accounts[name].last

    def cost(self, name: str) -> float | None:
        """Seconds a run of `name` takes, or None before its first."""
        return self._accounts[name].cost
