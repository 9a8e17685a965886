"""What became of each held-out prompt, of those the base finds easy and of those it cannot do (after 2605.28388).

A mean hides that some prompts are learned while others are lost. The classes and their thresholds are ours. Every
prompt is in exactly one class, so that the shares add up to 1.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike, NDArray

from rlpeaks_tui.stats.summaries import Floats

Class = Literal["learned", "forgotten", "kept", "stuck", "dead"]
CLASSES: tuple[Class, ...] = get_args(Class)

CLEAR = 2.0
"""Standard errors of the difference beyond which a rate has changed."""

SOLVED = 0.8
"""Mean of both rates from which on an unchanged prompt counts as kept and below which as stuck."""


class Difficulty(Struct, frozen=True):
    """The class of each of P prompts.

    learned: the rate of success rose by more than CLEAR standard errors. forgotten: it fell by as much. dead: none of
    the samples of either is right. kept: unchanged, and SOLVED or more in the mean of both. stuck: unchanged, below
    SOLVED, solved at least once by either.

    Attributes:
        index: shape [P], position of each prompt's class in CLASSES.
        change: shape [P], the policy's rate - the base's.
    """

    index: NDArray[np.int8]
    change: Floats

    @property
    def classes(self) -> tuple[Class, ...]:
        """The class of each prompt by name, length P."""
        return tuple(CLASSES[i] for i in self.index)

    @property
    def shares(self) -> dict[Class, float]:
        """Share of the prompts in each class; they add up to 1, or are nan where there are no prompts."""
        count = np.bincount(self.index, minlength=len(CLASSES))
        return {
            name: float(count[i] / self.index.size) if self.index.size else np.nan for i, name in enumerate(CLASSES)
        }

    def metrics(self) -> dict[str, float]:
        """Values under the names they are journaled by."""
        return {f"eval/{name}": share for name, share in self.shares.items() if name != "kept"}


def difficulty(base_right: ArrayLike, now_right: ArrayLike, n: ArrayLike) -> Difficulty:
    """Sort prompts by how the policy's rate of success compares with the base's.

    The standard error of a difference of rates is that of Agresti and Caffo (2000): one success and one failure are
    added to each, since the plain one is 0 where all samples agree.

    Args:
        base_right: right samples of the base, shape [P].
        now_right: right samples of the policy, shape [P].
        n: samples that each of both drew, a number or shape [P], >= 1.

    Raises:
        ValueError: the shapes differ, or some count is outside 0..n.
    """
    base, now = np.asarray(base_right, np.int64), np.asarray(now_right, np.int64)
    samples = np.asarray(n, np.int64)
    if base.ndim != 1 or base.shape != now.shape or samples.shape not in ((), base.shape):
        raise ValueError(f"counts of shape {base.shape} and {now.shape} and samples of {samples.shape} do not fit")
    if (samples < 1).any() or (np.minimum(base, now) < 0).any() or (np.maximum(base, now) > samples).any():
        raise ValueError("each prompt needs 0 <= right <= n and n >= 1")
    then, later = (base + 1) / (samples + 2), (now + 1) / (samples + 2)
    error = np.sqrt((then * (1 - then) + later * (1 - later)) / (samples + 2))
    moved = later - then
    conditions = [moved > CLEAR * error, -moved > CLEAR * error, base + now == 0, base + now >= 2 * SOLVED * samples]
    order = [CLASSES.index(name) for name in ("learned", "forgotten", "dead", "kept")]
    index = np.select(conditions, order, CLASSES.index("stuck"))
    return Difficulty(index.astype(np.int8), (now - base) / samples)
