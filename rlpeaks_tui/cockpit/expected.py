"""What a mix of tasks would be worth now, in words: its expected pass rate, by the run's recent completions.

The rate is that of the policy as it was while they were written, a few steps ago, and says nothing about a task that
was not drawn meanwhile; so both, how many completions and what part of the mix they speak for, stand beside it.
"""

from __future__ import annotations

from collections.abc import Mapping

from rlpeaks_tui.stats.preview import TaskRate, expected_rate

from .words import percent

EVERY = 16
"""Generations after which the recent completions are looked at again, while somebody asks."""

Rates = Mapping[str, TaskRate]
"""Pass rates of the tasks of which completions are known."""


def expected(mix: Mapping[str, float], rates: Rates | None) -> str:
    """The expected pass rate of a mix (weights by task), in words; `rates` is None while they are read."""
    if rates is None:
        return "reading this run's recent completions"
    known = {task: weight for task, weight in mix.items() if task in rates}
    found = expected_rate(known, rates) if known else None
    if found is None:
        return "not known: none of its tasks was drawn and checked recently"
    count = sum(rates[task].n for task in known)
    said = f"{found.rate:.2f} right ({found.low:.2f} to {found.high:.2f}), from {count:,} recent completions"
    share = sum(known.values()) / sum(mix.values())
    return said if share > 0.999 else f"{said}; {percent(1 - share)} of the mix was not drawn"
