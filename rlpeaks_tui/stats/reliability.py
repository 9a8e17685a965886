"""What was said against what came true, by bin of confidence, with intervals that count prompts and not rollouts.

Rollouts of one prompt mostly succeed or fail together. How much so is seen from how often two of them that are in one
bin have the same outcome, and what a bin is worth in independent rollouts follows from that. Of ten bins one lies out
by chance in two windows of five: a claim is called too high or too low only beyond what all bins together do by chance.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike, NDArray

from rlpeaks_tui.stats.student import student95
from rlpeaks_tui.stats.summaries import Floats, effective_trials, wilson

Index = NDArray[np.intp]


class ReliabilityTable(Struct, frozen=True):
    """A reliability diagram as it is estimated.

    What a run's journal holds of one, read with the doubt that anything on disk deserves, is
    `run.measured.Reliability`: neither of the two packages imports the other.

    Bins are [lo, hi), and 1.0 belongs to the last. An empty bin has nan means and the interval (0, 1).

    Attributes:
        edges: shape [bins + 1], from 0 to 1.
        count: rollouts per bin, shape [bins].
        size: how many independent rollouts those are worth, shape [bins]; at most `count`.
        confidence: mean stated confidence per bin.
        accuracy: share correct per bin.
        low, high: Wilson 95 % interval of the accuracy of `size` rollouts.
    """

    edges: Floats
    count: NDArray[np.int64]
    size: Floats
    confidence: Floats
    accuracy: Floats
    low: Floats
    high: Floats


def reliability(
    confidence: ArrayLike, correct: ArrayLike, *, cluster: ArrayLike | None = None, bins: int = 10
) -> ReliabilityTable:
    """Counts, mean confidence and accuracy by equal-width bin of confidence.

    Args:
        confidence: stated probability of being correct, shape [n], each in [0, 1].
        correct: outcome, shape [n], each 0 or 1.
        cluster: shape [n], the prompt of each rollout; None takes rollouts as independent.
        bins: number of bins.

    Raises:
        ValueError: shapes differ, or a value is outside its range.
    """
    q, y = checked(confidence, correct)
    index = bin_of(q, bins)
    count = np.bincount(index, minlength=bins)
    hits = np.bincount(index, y, bins)
    said = np.bincount(index, q, bins)
    accuracy = np.divide(hits, count, out=np.full(bins, np.nan), where=count > 0)
    size = count.astype(np.float64) if cluster is None else _sizes(y, index, cluster, accuracy)
    low, high = interval(accuracy, size)
    return ReliabilityTable(
        edges=edges(bins),
        count=count,
        size=size,
        confidence=np.divide(said, count, out=np.full(bins, np.nan), where=count > 0),
        accuracy=accuracy,
        low=low,
        high=high,
    )


def interval(accuracy: Floats, size: ArrayLike, looks: int = 1) -> tuple[Floats, Floats]:
    """Wilson's 95 % interval of each bin's share correct, shape [bins] twice; (0, 1) for an empty bin.

    Args:
        accuracy: shape [bins], nan for an empty bin.
        size: independent rollouts that each is worth, shape [bins].
        looks: intervals that are to hold all together in 95 of 100 cases (Bonferroni).
    """
    worth = np.asarray(size, np.float64)
    return wilson(np.nan_to_num(accuracy) * worth, worth, student95(np.inf, looks))


def misses(confidence: Floats, accuracy: Floats, size: Floats) -> NDArray[np.int8]:
    """Which claims were not kept: 1 where too much was claimed, -1 where too little, 0 where chance can make it.

    Of a policy that is calibrated any bin is told in at most about 5 % of windows, all bins together.

    Args:
        confidence, accuracy, size: as in `ReliabilityTable`, shape [bins].
    """
    filled = np.isfinite(confidence) & np.isfinite(accuracy) & (size > 0)
    low, high = interval(accuracy, size, int(filled.sum()))
    said = np.where(filled, confidence, 0.5)
    return np.where(filled, (said > high).astype(np.int8) - (said < low), 0).astype(np.int8)


def edges(bins: int) -> Floats:
    """Of `bins` bins of equal width, shape [bins + 1]."""
    # k / bins, not linspace: linspace puts 0.30000000000000004 for 3 / 10 and so moves a stated 0.3 one bin down.
    return np.arange(bins + 1) / bins


def bin_of(q: Floats, bins: int) -> Index:
    """The bin of each confidence, shape of `q`."""
    return np.minimum(np.searchsorted(edges(bins), q, side="right") - 1, bins - 1)


def checked(confidence: ArrayLike, correct: ArrayLike) -> tuple[Floats, Floats]:
    """Confidence and outcome as float64 of shape [n], refused where they cannot be that."""
    q = np.asarray(confidence, np.float64).ravel()
    y = np.asarray(correct, np.float64).ravel()
    if q.size != y.size:
        raise ValueError(f"confidence has {q.size} values and correct has {y.size}")
    if not ((q >= 0) & (q <= 1)).all():
        raise ValueError("confidence must lie in [0, 1]; divide percentages by 100 and drop nan first")
    if not ((y == 0) | (y == 1)).all():
        raise ValueError("correct must be 0 or 1 for every rollout")
    return q, y


def by_cluster(values: Floats, index: Index, cluster: ArrayLike, bins: int) -> tuple[Floats, Floats]:
    """Sum of the values and number of rollouts of each prompt in each bin, shape [prompts, bins] twice."""
    labels, group = np.unique(np.asarray(cluster).ravel(), return_inverse=True)
    cell, cells = group * bins + index, labels.size * bins
    total = np.bincount(cell, values, cells)
    count = np.bincount(cell, minlength=cells).astype(np.float64)
    return np.asarray(total.reshape(-1, bins)), np.asarray(count.reshape(-1, bins))


def _sizes(y: Floats, index: Index, cluster: ArrayLike, accuracy: Floats) -> Floats:
    """What each bin is worth in independent rollouts, shape [bins]."""
    hits, count = by_cluster(y, index, cluster, accuracy.size)
    # A bin holds few prompts, and one in which all happen to agree shows no error at all: so how alike rollouts of one
    # prompt are is taken from all bins together.
    alike = _alike(hits, count, np.nan_to_num(accuracy))
    return np.array([effective_trials(hits[:, i], count[:, i], alike) for i in range(accuracy.size)])


def _alike(hits: Floats, count: Floats, accuracy: Floats) -> float:
    """Correlation of the outcomes of two rollouts of one prompt in one bin, in [0, 1]; 1 where no pair could tell."""
    total = hits - count * accuracy
    squares = hits * np.square(1.0 - accuracy) + (count - hits) * np.square(accuracy)
    possible = float((count * (count - 1.0) * accuracy * (1.0 - accuracy)).sum())
    return float(np.clip((np.square(total) - squares).sum() / possible, 0.0, 1.0)) if possible > 0 else 1.0
