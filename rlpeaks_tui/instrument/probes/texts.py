"""What a generation says without any model: means by task, and shares and advantages of solution formats."""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ...stats.texts import replicator

WINDOW = 20
"""Generations whose shares and advantages are averaged before selection is looked for: one alone is mostly chance."""


def mean_by_task(
    prefix: str, tasks: Sequence[str], values: ArrayLike, weights: ArrayLike | None = None
) -> dict[str, float]:
    """Mean of `values` [n] over the completions of each task, as `<prefix>/<task>`; NaN values do not count.

    With `weights`, values are sums over that many tokens each, and the mean is per token.
    """
    kinds = np.array(tasks)
    given = np.asarray(values, dtype=np.float64)
    size = np.ones_like(given) if weights is None else np.asarray(weights, dtype=np.float64)
    found: dict[str, float] = {}
    for task in sorted(set(tasks)):
        chosen = (kinds == task) & np.isfinite(given)
        if size[chosen].sum():
            found[f"{prefix}/{task}"] = float(given[chosen].sum() / size[chosen].sum())
    return found


def format_shares(formats: Sequence[str], known: set[str]) -> dict[str, float]:
    """Share of each format as `format/<name>`, and their entropy in nats as `format/entropy` (2504.07912).

    `known` collects the names seen so far: a format that has died out is reported as 0 rather than left out.
    """
    known.update(formats)
    counts = Counter(formats)
    shares = {name: counts[name] / len(formats) for name in sorted(known)}
    entropy = sum(-share * math.log(share) for share in shares.values() if 0 < share < 1)
    named = {f"format/{name}": share for name, share in shares.items()}
    return {**named, "format/entropy": entropy, "format/effective": math.exp(entropy)}


class Selection:
    """How far shares of formats follow what each was paid for, over the last two windows of generations."""

    def __init__(self) -> None:
        self._shares: deque[dict[str, float]] = deque(maxlen=2 * WINDOW)
        self._advantages: deque[dict[str, float]] = deque(maxlen=2 * WINDOW)

    def add(self, formats: Sequence[str], advantages: Sequence[float]) -> dict[str, float]:
        """Take a generation; gives the fit of the replicator equation once there are two windows (2504.07912)."""
        counts = Counter(formats)
        self._shares.append({name: count / len(formats) for name, count in counts.items()})
        self._advantages.append({n.removeprefix("advantage/"): a for n, a in by_format(formats, advantages).items()})
        if len(self._shares) < 2 * WINDOW:
            return {}
        names = sorted({name for shares in self._shares for name in shares})
        shares = np.array([[step.get(name, 0.0) for name in names] for step in self._shares])  # [2 W, formats]
        paid = [[step[name] for step in list(self._advantages)[:WINDOW] if name in step] for name in names]
        found = replicator(
            dict(zip(names, shares[:WINDOW].mean(0).tolist(), strict=True)),
            {name: float(np.mean(given)) for name, given in zip(names, paid, strict=True) if given},
            dict(zip(names, shares[WINDOW:].mean(0).tolist(), strict=True)),
        )
        # From the middle of one window to the middle of the next are as many generations as a window has.
        return {"format/selection_rate": found.rate / WINDOW, "format/selection_residual": found.residual}


def by_format(formats: Sequence[str], advantages: Sequence[float]) -> dict[str, float]:
    """Mean advantage of each format that occurs, as `advantage/<name>`: what will grow next (2504.07912)."""
    found: dict[str, list[float]] = defaultdict(list)
    for name, advantage in zip(formats, advantages, strict=True):
        found[name].append(advantage)
    return {f"advantage/{name}": sum(values) / len(values) for name, values in sorted(found.items())}
