"""What a group of rollouts of one prompt can teach, and what part of the step teaches nothing.

Group-normalised methods learn only from differences within a group: one whose rewards are all equal gives no
gradient, whether it is solved or hopeless. So the share of such groups is split by which of the two it is, and
stands beside what chance alone would give. Standard-score normalisation also multiplies a lucky hit: one success
among G rollouts has the advantage (G - 1) / sqrt(G), which is why its part in the step is watched.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike, NDArray

from rlpeaks_tui.stats.summaries import Floats

EQUAL = 1e-8
"""Rewards of a group that differ by no more count as equal, as TRL counts their spread as zero."""

RARE_OF = 8
"""A success is rare when at most one rollout in eight succeeds; groups of fewer than eight cannot show it."""

_ROUNDING = 1e-2
"""Advantage that rounding can leave in a group of equal rewards: float32's error over TRL's 1e-4 in the divisor."""


class Groups(Struct, frozen=True):
    """One step's rollouts by group. Shares are nan where nothing is known to take a share of.

    The groups without spread are three kinds: zero_variance = all_right + all_wrong + all_equal_unknown.

    Attributes:
        n: rollouts.
        groups: groups with at least one known reward, of which the shares are taken.
        zero_variance: share of groups whose known rewards are all equal; a group of one is such a group.
        all_right: share of groups with equal rewards whose every rollout is known to be right.
        all_wrong: the same, all known to be wrong.
        all_equal_unknown: the same, but right and wrong mixed, or not all known.
        expected_zero_variance: share of groups that would be all right or all wrong if every prompt were as hard
            as the step's mean: what is observed beyond it says that prompts differ.
        no_gradient: share of rollouts with advantage 0; where rewards are equal, up to what rounding leaves.
        rare_success_share: share of positive advantage in groups with one success or more, but at most one in
            eight; over groups of eight or more with known outcomes.
        agreement: chance that of a right and a wrong rollout of one group the right one earned more, ties counting
            one half; 1 for a reward that is correctness, below it where other rewards outbid it.
        label: shape [g], the label of each group, sorted.
        size: shape [g], its rollouts.
        pass_rate: shape [g], share right of its rollouts with a known outcome; nan when there are none.
    """

    n: int
    groups: int
    zero_variance: float
    all_right: float
    all_wrong: float
    all_equal_unknown: float
    expected_zero_variance: float
    no_gradient: float
    rare_success_share: float
    agreement: float
    label: NDArray[np.generic]
    size: NDArray[np.int64]
    pass_rate: Floats

    def metrics(self) -> dict[str, float]:
        """Values under the names they are journaled by."""
        return {
            "groups/all_right": self.all_right,
            "groups/all_wrong": self.all_wrong,
            "groups/expected_zero_variance": self.expected_zero_variance,
            "groups/rare_success": self.rare_success_share,
            "rollouts/no_gradient": self.no_gradient,
        }


def groups(reward: ArrayLike, group: ArrayLike, correct: ArrayLike, advantage: ArrayLike) -> Groups:
    """Sort one step's rollouts into groups and say what each kind of group is worth.

    Args:
        reward: total reward of each rollout, shape [n]; nan where it has none.
        group: label of the prompt of each rollout, shape [n], of any sortable kind.
        correct: 1 for right, 0 for wrong, shape [n]; nan where it is not known.
        advantage: as the loss uses it, shape [n]; nan where it is not known.

    Raises:
        ValueError: the lengths differ.
    """
    r = np.asarray(reward, np.float64).ravel()
    c = np.asarray(correct, np.float64).ravel()
    a = np.asarray(advantage, np.float64).ravel()
    names = np.asarray(group).ravel()
    if not r.size == c.size == a.size == names.size:
        raise ValueError(f"lengths differ: reward {r.size}, correct {c.size}, advantage {a.size}, group {names.size}")
    label, index = np.unique(names, return_inverse=True)
    count = label.size
    size = np.bincount(index, minlength=count)

    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    rewarded = ~np.isnan(r)
    np.minimum.at(low, index[rewarded], r[rewarded])
    np.maximum.at(high, index[rewarded], r[rewarded])
    known = np.isfinite(low) & np.isfinite(high)
    equal = known & (high - np.where(known, low, 0.0) <= EQUAL)

    judged = ~np.isnan(c)
    outcomes = np.bincount(index[judged], minlength=count)
    right = _total(index[judged], c[judged], count)
    pass_rate = np.divide(right, outcomes, out=np.full(count, np.nan), where=outcomes > 0)
    whole = equal & (outcomes == size)
    all_right, all_wrong = whole & (pass_rate == 1), whole & (pass_rate == 0)

    gradient = np.abs(a) > np.where(equal[index], _ROUNDING, 0.0)
    scored = ~np.isnan(a)
    base = right.sum() / outcomes.sum() if outcomes.any() else math.nan
    return Groups(
        n=r.size,
        groups=int(known.sum()),
        zero_variance=_share(equal, known),
        all_right=_share(all_right, known),
        all_wrong=_share(all_wrong, known),
        all_equal_unknown=_share(equal & ~all_right & ~all_wrong, known),
        expected_zero_variance=expected_zero_variance(np.full(int(known.sum()), base), size[known]),
        no_gradient=_share(~gradient, scored),
        rare_success_share=_rare(_total(index[scored], np.maximum(a[scored], 0.0), count), right, outcomes),
        agreement=_agreement(r, c, index),
        label=label,
        size=size,
        pass_rate=pass_rate,
    )


def expected_zero_variance(pass_rate: ArrayLike, size: ArrayLike) -> float:
    """Mean over groups of p^G + (1 - p)^G: the share of groups that are all right or all wrong by chance alone.

    The pass rates must come from elsewhere than the groups that they are compared with (another step, the base, or
    the step's mean): a rate of the group itself is 0 or 1 exactly when the group is all wrong or all right.

    Args:
        pass_rate: of each group's prompt, in [0, 1]; nan entries are passed over.
        size: rollouts of each group, broadcast against `pass_rate`.

    Returns:
        nan when no pass rate is known.
    """
    p, g = np.broadcast_arrays(np.asarray(pass_rate, np.float64), np.asarray(size, np.float64))
    chance = p**g + (1 - p) ** g
    chance = np.where(g < 2, np.where(np.isnan(p), np.nan, 1.0), chance)  # one rollout never differs from itself
    return float(np.nanmean(chance)) if np.isfinite(chance).any() else math.nan


def agreement_confidence(answers: Sequence[str | None], group: ArrayLike) -> Floats:
    """Self-consistency as confidence: the share of a rollout's group that gives the same answer (2203.11171).

    The rollout itself is counted, so it is never below 1 / G and calibrated only for large groups. A rollout
    without an answer counts in its group's size and has no confidence itself, nor has one that is alone in its
    group: there is nobody to agree with.

    Args:
        answers: of each rollout, None where there is none; length n.
        group: label of the prompt of each rollout, shape [n].

    Returns:
        Shape [n], each in (0, 1] or nan.

    Raises:
        ValueError: the lengths differ.
    """
    names = np.asarray(group).ravel()
    if names.size != len(answers):
        raise ValueError(f"{len(answers)} answers and {names.size} groups do not fit together")
    if not names.size:
        return np.empty(0)
    numbers: dict[str | None, int] = {None: 0}
    answer = np.fromiter((numbers.setdefault(text, len(numbers)) for text in answers), np.int64, names.size)
    _, index = np.unique(names, return_inverse=True)
    size = np.bincount(index)[index]
    _, same, alike = np.unique(index * len(numbers) + answer, return_inverse=True, return_counts=True)
    result: Floats = np.where((answer > 0) & (size > 1), alike[same] / size, np.nan)
    return result


def _total(index: NDArray[np.intp], values: Floats, count: int) -> Floats:
    """Sum of the values of each group, shape [count]."""
    return np.bincount(index, values, count).astype(np.float64)


def _share(of: NDArray[np.bool_], among: NDArray[np.bool_]) -> float:
    total = int(np.count_nonzero(among))
    return int(np.count_nonzero(of & among)) / total if total else math.nan


def _rare(positive: Floats, right: Floats, outcomes: NDArray[np.int64]) -> float:
    """Share of positive advantage, summed by group in `positive`, that lies in groups with a rare success."""
    large = outcomes >= RARE_OF
    total = float(positive[large].sum())
    rare = large & (right >= 1) & (right <= outcomes // RARE_OF)
    return float(positive[rare].sum()) / total if total > 0 else math.nan


def _agreement(reward: Floats, correct: Floats, index: NDArray[np.intp]) -> float:
    """Mann and Whitney's statistic within groups, pooled over all pairs of a right and a wrong rollout."""
    known = ~(np.isnan(reward) | np.isnan(correct))
    r, c, g = reward[known], correct[known], index[known]
    if not g.size:
        return math.nan
    # Sorted by group and then reward, a run of one reward shares the mean of its ranks.
    order = np.lexsort((r, g))
    r, c, g = r[order], c[order], g[order]
    new = np.concatenate(([True], (r[1:] != r[:-1]) | (g[1:] != g[:-1])))
    run = np.cumsum(new) - 1
    length = np.bincount(run)
    rank = (np.cumsum(length) - (length - 1) / 2)[run]
    size = np.bincount(g)
    rank = rank - (np.cumsum(size) - size)[g]  # counted from 1 within the group
    right = np.bincount(g, c)
    wins = np.bincount(g, rank * c) - right * (right + 1) / 2
    pairs = float((right * (size - right)).sum())
    return float(wins.sum()) / pairs if pairs else math.nan
