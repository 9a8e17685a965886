"""Which format wins because it is paid more, and which is merely frequent?

A share that grows is no proof of selection, and a large share even less: it may have been large from the start. By
the replicator equation (after the mixture argument of 2504.07912) selection moves the share s_f of a format by
s_f (a_f - mean a), its advantage over what all formats earn. So what happened to a share is put beside what it was
paid while it had competitors, and a format counts as selected only where both are clear.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike

from rlpeaks_tui.stats.longrun import freedom, long_run_variance, persistence
from rlpeaks_tui.stats.student import student95
from rlpeaks_tui.stats.summaries import Z95, Floats

Kind = Literal[
    "too few steps",
    "selected",
    "rises unpaid",
    "merely frequent",
    "rare",
    "falls, not paid less",
    "selected against",
]

SPAN = 20
"""Steps at each end that a share is averaged over."""

LEAST = 2 * SPAN
"""Steps below which nothing is said: both ends would be the same few."""

CLEAR = 2.5
"""Standard errors beyond which a share has moved, or a format was paid differently: of several formats, whose shares
drift by chance, hardly one run in twenty then has one that is called selected."""


class Selection(Struct, frozen=True):
    """F formats over n steps.

    Attributes:
        span: steps that either end is averaged over.
        start, now: shape [F], mean share at both ends.
        paid: shape [F], mean advantage over what all formats earned, weighted by the format's share; nan for one
            that had no advantage that is known.
        force: shape [F, n], running sum of s_f (a_f - mean a): what selection alone would move, up to its speed.
        kinds: of each format.
    """

    span: int
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
    sums = weight.sum(axis=1)
    return Selection(
        span=span,
        start=start,
        now=now,
        paid=np.divide(push.sum(axis=1), sums, out=np.full(len(s), np.nan), where=sums > 0),
        force=np.cumsum(push, axis=1),
        kinds=_kinds(first, last, push),
    )


def _kinds(first: Floats, last: Floats, push: Floats) -> tuple[Kind, ...]:
    """Of F formats from their shares at both ends, shape [F, SPAN], and what moved them, shape [F, n]."""
    formats, steps = push.shape
    if steps < LEAST:
        return tuple("too few steps" for _ in range(formats))
    moved = _clear(last.mean(axis=1) - first.mean(axis=1), first, last)
    pushed = _clear(push.mean(axis=1), push)
    frequent = (last.mean(axis=1) >= 1 / formats).tolist()
    return tuple(map(_kind, moved, pushed, frequent))


def _clear(differences: Floats, *of: Floats) -> list[int]:
    """The sign of each difference, 0 where chance can make it: a sum of means of autocorrelated rows, shape [F, n]."""
    found = []
    for i, difference in enumerate(differences.tolist()):
        # A trend is no noise: what selection did fades when it has won.
        rows = [_detrended(each[i]) for each in of]
        rho = persistence(*rows)
        error = math.sqrt(sum(long_run_variance(row, rho) / row.size for row in rows))
        degrees = freedom(sum(row.size for row in rows), 2 * len(rows), rho)
        clear = abs(difference) > CLEAR / Z95 * student95(degrees) * error
        found.append(int(np.sign(difference)) if clear else 0)
    return found


def _detrended(row: Floats) -> Floats:
    """Residuals of a straight line, shape [n]."""
    t = np.arange(row.size) - (row.size - 1) / 2
    centred = row - row.mean()
    return np.asarray(centred - t * float(t @ centred) / float(t @ t))


def _kind(moved: int, pushed: int, frequent: bool) -> Kind:
    if moved > 0:
        return "selected" if pushed > 0 else "rises unpaid"
    if moved < 0:
        return "selected against" if pushed < 0 else "falls, not paid less"
    return "merely frequent" if frequent else "rare"
