"""What the texts of a generation say without any model: reward by task, and the shares of solution formats."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence


def reward_by_task(tasks: Sequence[str], reward: Sequence[float | None]) -> dict[str, float]:
    """Mean reward of each task that occurs, as `reward/<task>`."""
    values: dict[str, list[float]] = defaultdict(list)
    for task, value in zip(tasks, reward, strict=True):
        if value is not None:
            values[task].append(value)
    return {f"reward/{task}": sum(found) / len(found) for task, found in sorted(values.items())}


def format_shares(formats: Sequence[str], known: set[str]) -> dict[str, float]:
    """Share of each format as `format/<name>`, and their entropy in nats as `format/entropy` (2504.07912).

    `known` collects the names seen so far: a format that has died out is reported as 0 rather than left out.
    """
    known.update(formats)
    counts = Counter(formats)
    shares = {name: counts[name] / len(formats) for name in sorted(known)}
    entropy = -sum(share * math.log(share) for share in shares.values() if share > 0)
    return {**{f"format/{name}": share for name, share in shares.items()}, "format/entropy": entropy}
