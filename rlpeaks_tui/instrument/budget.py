"""A budget, not a schedule: costly probes run when what they cost still fits into the share of time for measuring.

A probe says how many steps apart it wants to be at the least. What may be spent is dealt out among the probes in
proportion to what each would cost by its own wish, so that where it does not suffice all are stretched by the same
factor, and the cheap and frequent do not starve the dear and rare. What costs next to nothing is charged but never put
off. A probe's first run pays for warming up as well: it is counted in what is shown and not held against later runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from msgspec import Struct


class _Account(Struct):
    every: int
    cheap: bool
    waits: bool = False
    last: int | None = None
    cost: float | None = None
    """Seconds of a warm run; None until there has been one."""
    purse: float = 0.0
    """Seconds saved up, or owed when negative."""


class Budget:
    """Decides which probes are due.

    Args:
        share: of training time, 0 to 1; 0 measures nothing, and 1 sets no limit.
        every: steps between two runs of each probe, at the least.
        cheap: probes that run whenever they want to; they are charged like the others.
        later: dear probes that must be saved up for from the first run on, by what `expect` says of them. They wait as
            many steps for it as they want between two.
        clock: seconds.
    """

    def __init__(
        self,
        share: float,
        every: dict[str, int],
        cheap: frozenset[str] = frozenset(),
        later: frozenset[str] = frozenset(),
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.share = share
        self._accounts = {name: _Account(steps, name in cheap, waits=name in later) for name, steps in every.items()}
        self._clock = clock
        self.spent = 0.0
        """Seconds measured so far, since training began."""
        self.trained = 0.0
        """Seconds of training so far, measuring included, pauses excluded."""
        self._step_spent = 0.0
        self._step_cheap = 0.0

    def due(self, name: str, step: int) -> bool:
        """Whether `name` should run at `step`: its first two times when it wants to, afterwards when it can pay."""
        account = self._accounts[name]
        if self.share == 0:
            return False
        if account.last is None and not account.waits:
            return True
        if step - (account.last or 0) < account.every:
            return False
        if account.cheap or self.share >= 1:
            return True
        if account.cost is None:
            return not account.waits
        return account.purse >= account.cost

    @contextmanager
    def running(self, name: str, step: int) -> Iterator[None]:
        """Measures what one run of `name` costs."""
        account = self._accounts[name]
        first = account.last is None
        account.last = step
        began = self._clock()
        try:
            yield
        finally:
            seconds = self._clock() - began
            self.spent += seconds
            self._step_spent += seconds
            if not first or account.waits:
                account.cost = seconds if account.cost is None else (account.cost + seconds) / 2
                if account.cheap:
                    self._step_cheap += seconds
                else:
                    account.purse -= seconds

    def step_done(self, seconds: float) -> float:
        """A training step of `seconds` (pauses excluded) is over; gives the seconds it spent on measuring."""
        self.trained += seconds
        payers = [account for account in self._accounts.values() if not account.cheap and account.cost is not None]
        wishes = [(account.cost or 0.0) / account.every for account in payers]
        left = self.share * seconds - self._step_cheap
        for account, wish in zip(payers, wishes, strict=True):
            if sum(wishes) > 0:
                # Nobody saves up more than one run: what is not needed is not spent.
                account.purse = min(account.purse + left * wish / sum(wishes), account.cost or 0.0)
        spent, self._step_spent, self._step_cheap = self._step_spent, 0.0, 0.0
        return spent

    def expect(self, name: str, seconds: float) -> None:
        """What a run of `name` will cost, before there has been one."""
        account = self._accounts[name]
        if account.cost is None:
            account.cost = seconds

    def went_back(self, step: int) -> None:
        """The training goes on from an earlier step: nothing has run after it."""
        for account in self._accounts.values():
            if account.last is not None:
                account.last = min(account.last, step)

    def affords(self, name: str) -> bool:
        """Whether one more run of `name`, whose cost is known, would leave the whole run within its share."""
        cost = self._accounts[name].cost
        return cost is not None and self.spent + cost <= self.share * self.trained

    def last(self, name: str) -> int | None:
        """The step at which `name` ran last."""
        return self._accounts[name].last

    def cost(self, name: str) -> float | None:
        """Seconds a run of `name` takes, or None before its first."""
        return self._accounts[name].cost
