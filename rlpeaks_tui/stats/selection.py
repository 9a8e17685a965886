"""Which format wins because it is paid more, and which is merely frequent?

A share that grows is no proof of selection, and a large share even less: it may have been large from the start. By
the replicator equation (after the mixture argument of 2504.07912) selection moves the share s_f of a format by
s_f (a_f - mean a), its advantage over what all formats earn. So what happened to a share is put beside what it was
paid while it had competitors, and a format counts as selected only where both are clear.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from rlpeaks_tui.stats.summaries import Floats

Kind = Literal["selected", "rises unpaid", "merely frequent", "rare", "falls, not paid less", "selected against"]

SPAN = 20
"""Steps at each end that a share is averaged over."""

CLEAR = 2.0
"""Standard errors beyond which a share has moved, or a format was paid differently."""


@dataclass(frozen=True)
class Selection:
    """F formats over n steps.

    Attributes:
        start, now: shape [F], mean share at both ends.
        paid: shape [F], mean advantage over what all formats earned, weighted by the format's share; nan for one
            that had no advantage that is known.
        force: shape [F, n], running sum of s_f (a_f - mean a): what selection alone would move, up to its speed.
        kinds: of each format.
    """

    start: Floats
    now: Floats
    paid: Floats
    force: Floats
    kinds: tuple[Kind, ...]


def selection(shares: ArrayLike, advantages: ArrayLike) -> Selection:
    """Sort formats by whether they were selected.

    Args:
        shares: of each format at each step, shape [F, n], n >= 1; nan counts as 0.
        advantages: mean advantage of its completions, shape [F, n]; nan where it has none, which moves nothing.

    Raises:
        ValueError: the shapes differ, or there is no step.
    """
    s, a = np.nan_to_num(np.asarray(shares, np.float64)), np.asarray(advantages, np.float64)
    if s.ndim != 2 or s.shape != a.shape or not s.shape[1]:
        raise ValueError(f"shares of shape {s.shape} and advantages of shape {a.shape} do not fit together")
    known = np.isfinite(a) & (s > 0)
    weight = np.where(known, s, 0.0)
    earned = np.where(known, a, 0.0)
    total = weight.sum(axis=0)
    mean = np.divide((weight * earned).sum(axis=0), total, out=np.zeros_like(total), where=total > 0)
    push = weight * (earned - mean)  # [F, n]
    span = max(1, min(SPAN, s.shape[1] // 2))
    first, last = s[:, :span], s[:, -span:]
    start, now = first.mean(axis=1), last.mean(axis=1)
    error = np.sqrt((first.var(axis=1) + last.var(axis=1)) / span)
    spread = push.std(axis=1) / np.sqrt(push.shape[1])
    moved = np.where(np.abs(now - start) > CLEAR * error, np.sign(now - start), 0.0)
    pushed = np.where(np.abs(push.mean(axis=1)) > CLEAR * spread, np.sign(push.mean(axis=1)), 0.0)
    sums = weight.sum(axis=1)
    return Selection(
        start=start,
        now=now,
        paid=np.divide(push.sum(axis=1), sums, out=np.full(len(s), np.nan), where=sums > 0),
        force=np.cumsum(push, axis=1),
        kinds=tuple(
            _kind(int(up), int(more), share >= 1 / len(s))
            for up, more, share in zip(moved.tolist(), pushed.tolist(), now.tolist(), strict=True)
        ),
    )


def _kind(moved: int, pushed: int, frequent: bool) -> Kind:
    if moved > 0:
        return "selected" if pushed > 0 else "rises unpaid"
    if moved < 0:
        return "selected against" if pushed < 0 else "falls, not paid less"
    return "merely frequent" if frequent else "rare"
