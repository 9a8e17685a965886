"""Running probes so that training neither waits for them long nor ever falls with one.

A probe that raises is journaled with its traceback and, after three times, switched off; training goes on.
All ranks take part in a probe that the first one decides on, because a probe may need them.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import nullcontext

from ..run.entries import Probe, Value, finite
from .alerts import Alerts
from .budget import Budget
from .ranks import Ranks
from .recorder import Recorder

STRIKES = 3


class Probing:
    """Schedules, guards and reports the probes of one training.

    Args:
        recorder: where results go; on ranks other than the first it takes nothing.
        alerts: told about every result.
        ranks: who takes part.
        budget: decides, on the first rank, which probes are due.
    """

    def __init__(self, recorder: Recorder, alerts: Alerts, ranks: Ranks, budget: Budget) -> None:
        self._recorder = recorder
        self._alerts = alerts
        self._ranks = ranks
        self._strikes: dict[str, int] = defaultdict(int)
        self.budget = budget
        self.told: dict[str, Probe] = {}
        """The last result of every probe that ran on this rank."""

    def due(self, names: tuple[str, ...], step: int) -> set[str]:
        """Which of `names` run now, as the first rank decides it; one message to the others for all of them."""
        decided = self._ranks.decide([self.due_here(name, step) for name in names])
        return {name for name, runs in zip(names, decided, strict=True) if runs}

    def due_here(self, name: str, step: int) -> bool:
        """Whether a probe that takes only this rank runs now."""
        return self._strikes[name] < STRIKES and self.budget.due(name, step)

    def allowed(self, name: str) -> bool:
        """Whether what runs whenever it can has not been switched off, as the first rank decides it."""
        return self._ranks.decide([self._strikes[name] < STRIKES])[0]

    def run(self, name: str, step: int, work: Callable[[], None], asked: bool = False) -> None:
        """Run one probe. What it raises is journaled and goes no further.

        It is charged for the time it takes, unless a person `asked` for it.
        """
        self._recorder.doing("probing")
        with nullcontext() if asked else self.budget.running(name, step):
            try:
                work()
            except Exception as error:
                self.failed(name, error)

    def failed(self, name: str, error: Exception) -> None:
        """Take note of a failure of a part, and switch the part off at the third."""
        self._strikes[name] += 1
        self._recorder.error(f"probe {name}", error)
        if self._strikes[name] == STRIKES:
            text = f"rlpeaks: the {name} measurement failed {STRIKES} times and is off now; training goes on"
            print(text, file=sys.stderr)

    def tell(
        self,
        name: str,
        step: int,
        measured: Mapping[str, float | None],
        reasons: Mapping[str, str] | None = None,
        n: int = 0,
        began: float = 0.0,
        facts: dict[str, Value] | None = None,
        arrays: dict[str, list[float | None]] | None = None,
    ) -> None:
        """Journal what a probe found; `began` is the moment of `time.perf_counter` when it started."""
        seconds = time.perf_counter() - began
        values, why = finite({**measured, f"probes/{name}": seconds}, reasons or {})
        told = Probe(
            t=time.time(),
            name=name,
            step=step,
            v=values,
            why=why,
            n=n,
            seconds=seconds,
            facts=facts or {},
            arrays=arrays or {},
        )
        self.told[name] = told
        self._recorder.write(told)
        self._alerts.take(told)
