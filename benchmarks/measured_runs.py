"""What the cockpit's measurements share: the line of the table that each gives, and a run that is long."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rlpeaks_tui.run.entries import Metrics, State
from rlpeaks_tui.run.facts import RunInfo, write_facts
from rlpeaks_tui.run.journal import JournalWriter
from rlpeaks_tui.run.layout import SCHEMA, Layout

LONG, WIDE = 100_000, 40


@dataclass(frozen=True)
class Figure:
    """One line of the table; without `bound`, a figure to know and not one that is promised."""

    what: str
    value: float
    unit: str
    bound: float | None = None
    note: str = ""

    def line(self) -> str:
        if self.bound is None:
            judged = ""
        elif self.bound:
            judged = f"{self.bound:>9,.4g} {self.value / self.bound:>6.2f}"
        else:
            judged = f"{0:>9} {'held' if not self.value else 'broken':>6}"
        return f"{self.what:<58}{self.value:>10,.4g} {self.unit:<5}{judged:<18}{self.note}".rstrip()


class LongRun:
    """A run of `WIDE` metrics at every step, and nothing else; with `gaps` each step reports most of them, as in a
    real run, whose formats and phases come and go.
    """

    NAMES = (
        "reward", "reward_std", "entropy", "kl/base_k3", "kl/base_k1", "rewards/correct/mean", "rewards/format/mean",
        "reward/two operands", "frac_reward_zero_std", "completions/mean_length", "loss", "grad_norm", "time/step",
        "format/column", "format/direct",
    )  # fmt: skip

    def __init__(self, root: Path, gaps: bool = False) -> None:
        layout = Layout(root)
        layout.create()
        write_facts(
            layout, RunInfo(schema=SCHEMA, name="long", created=time.time(), max_steps=2 * LONG, pid=os.getpid())
        )
        self._journal = JournalWriter(layout.journal, "trainer")
        self._journal.write(State(t=time.time(), state="running", pid=os.getpid()))
        self._names = [*self.NAMES, *(f"other/metric_{i}" for i in range(WIDE - len(self.NAMES)))]
        self._random = np.random.default_rng(0)
        # [sets, metrics]: which metrics a step reports
        self._sets = self._random.random((100 if gaps else 1, WIDE)) >= 0.1 * gaps
        self._step = 0

    def advance(self, steps: int) -> None:
        while steps > 0:
            count = min(steps, 1000)
            values = np.abs(0.5 + self._random.normal(0, 0.05, (count, WIDE))).tolist()
            now = time.time()
            self._journal.write(
                *(
                    Metrics(t=now, step=self._step + i, v=self._reported(self._step + i, row), phase="")
                    for i, row in enumerate(values, 1)
                )
            )
            self._step += count
            steps -= count

    def _reported(self, step: int, row: list[float]) -> dict[str, float | None]:
        chosen = self._sets[step * 7 % len(self._sets)]
        return {name: value for name, value, there in zip(self._names, row, chosen, strict=True) if there}
