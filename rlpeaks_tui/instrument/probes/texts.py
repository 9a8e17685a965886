"""What a generation says without any model: means by task, and shares and advantages of solution formats."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


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
    entropy = -sum(share * math.log(share) for share in shares.values() if share > 0)
    return {**{f"format/{name}": share for name, share in shares.items()}, "format/entropy": entropy}


def by_format(formats: Sequence[str], advantages: Sequence[float]) -> dict[str, float]:
    """Mean advantage of each format that occurs, as `advantage/<name>`: what will grow next (2504.07912)."""
    found: dict[str, list[float]] = defaultdict(list)
    for name, advantage in zip(formats, advantages, strict=True):
        found[name].append(advantage)
    return {f"advantage/{name}": sum(values) / len(values) for name, values in sorted(found.items())}
