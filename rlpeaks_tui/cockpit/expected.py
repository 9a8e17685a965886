"""What a mix of tasks would be worth now: its expected pass rate, from what the run's recent completions earned.

The rate is that of the policy as it was while they were written, a few steps ago, and says nothing about a task that
was not drawn meanwhile; so both, how many completions and what part of the mix they speak for, stand beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from rlpeaks_tui.run.rollouts import Rollouts

from .words import percent

RECENT = 16
"""Generations that are looked at."""


@dataclass(frozen=True)
class Tally:
    """Of one task: how many completions were checked, and how many of them were right."""

    right: float
    n: int


def tally(rollouts: Rollouts) -> dict[str, Tally]:
    """Right and checked completions of one generation, by task."""
    found: dict[str, Tally] = {}
    if len(rollouts.task) != len(rollouts.correct):
        return found
    tasks = np.array(rollouts.task)
    for task in dict.fromkeys(rollouts.task):
        known = rollouts.correct[(tasks == task) & np.isfinite(rollouts.correct)]
        if len(known):
            found[task] = Tally(float(known.sum()), len(known))
    return found


def pooled(tallies: Iterable[Mapping[str, Tally]]) -> dict[str, Tally]:
    """The tallies of several generations together."""
    found: dict[str, Tally] = {}
    for each in tallies:
        for task, one in each.items():
            before = found.get(task, Tally(0.0, 0))
            found[task] = Tally(before.right + one.right, before.n + one.n)
    return found


def expected(mix: Mapping[str, float], rates: Mapping[str, Tally] | None) -> str:
    """The expected pass rate of a mix (weights by task), in words; `rates` is None while they are read."""
    if rates is None:
        return "reading this run's recent completions"
    total = sum(mix.values())
    known = {task: weight for task, weight in mix.items() if task in rates}
    if not known or total <= 0:
        return "not known: none of its tasks was drawn and checked recently"
    share = sum(known.values())
    rate = sum(weight * rates[task].right / rates[task].n for task, weight in known.items()) / share
    said = f"{rate:.2f} right, from {sum(rates[task].n for task in known):,} recent completions"
    return said if share > 0.999 * total else f"{said}; {percent(1 - share / total)} of the mix was not drawn"
