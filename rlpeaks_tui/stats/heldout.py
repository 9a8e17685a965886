"""What repeated samples on held-out prompts say of a policy, and of it beside its base.

Prompts are the independent units: samples of one prompt share its difficulty. A prompt with a sample whose
outcome is not known is left out whole, so that every rate rests on the same number of samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from rlpeaks_tui.stats.difficulty import difficulty
from rlpeaks_tui.stats.paired import compare
from rlpeaks_tui.stats.passk import pass_at_k
from rlpeaks_tui.stats.summaries import Floats

ABLE = 0.8
"""Share of its samples above which the base counts as able to solve a prompt."""


def ks_of(samples: int) -> list[int]:
    """Powers of two up to `samples`: the k at which pass@k is reported."""
    return [1 << i for i in range(samples.bit_length())]


def summary(outcomes: ArrayLike, tasks: Sequence[str] = ()) -> dict[str, float]:
    """pass@k by k, the standard error of pass@1 between prompts, and pass@1 by task, as they are journaled.

    Args:
        outcomes: 1 right, 0 wrong, nan unknown, shape [P, n].
        tasks: of each prompt, empty where it has none.
    """
    table = np.asarray(outcomes, np.float64)
    whole = np.isfinite(table).all(axis=1)
    rate = table[whole].mean(axis=1)
    values = _passes(table[whole], "eval/pass@")
    values["eval/pass@1_se"] = _error(rate)
    names = np.array(tasks, dtype=object)[whole] if len(tasks) else np.empty(0, dtype=object)
    for name in sorted({str(name) for name in names if name}):
        values[f"eval/accuracy/{name}"] = float(rate[names == name].mean())
    return values


def against_base(outcomes: ArrayLike, base: ArrayLike, rng: np.random.Generator) -> dict[str, float]:
    """The policy beside its base, prompt by prompt, under the names they are journaled by; nan without any prompt.

    Args:
        outcomes, base: as for `summary`, of the same prompts, shape [P, n] each.
        rng: source of the resamples.
    """
    now, then = np.asarray(outcomes, np.float64), np.asarray(base, np.float64)
    whole = np.isfinite(now).all(axis=1) & np.isfinite(then).all(axis=1)
    now, then = now[whole], then[whole]
    samples = now.shape[1]
    if not len(now):
        return {}
    right, right_then = now.sum(axis=1).astype(np.int64), then.sum(axis=1).astype(np.int64)
    kept = now.mean(axis=1)[then.mean(axis=1) > ABLE]
    return {
        **_passes(then, "eval/base_pass@"),
        **compare(right_then, right, samples, ks_of(samples), rng).metrics(),
        **difficulty(right_then, right, samples).metrics(),
        "eval/kept": float(kept.mean()) if kept.size else math.nan,
        "eval/kept_se": _error(kept),
    }


def rates(outcomes: ArrayLike) -> Floats:
    """Shape [P]: share right of each prompt's samples; nan where an outcome is not known."""
    return np.asarray(np.asarray(outcomes, np.float64).mean(axis=1))


def _passes(table: Floats, prefix: str) -> dict[str, float]:
    samples = table.shape[1]
    ks = ks_of(samples)
    each = pass_at_k(np.full(len(table), samples), table.sum(axis=1).astype(np.int64), ks)  # [P, K]
    return {f"{prefix}{k}": float(each[:, i].mean()) if len(table) else math.nan for i, k in enumerate(ks)}


def _error(values: Floats) -> float:
    return float(values.std(ddof=1)) / math.sqrt(values.size) if values.size > 1 else math.nan
