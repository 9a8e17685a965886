"""A sliding window of rollouts with a confidence and an outcome, from which calibration is computed.

Each source of confidence has a window of its own, and the source is named with every figure.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike, NDArray

from ...stats.calibration import Calibration, calibrate
from ...stats.summaries import Floats


class _Taken(Struct, frozen=True):
    """One generation of n completions: its step, then confidence, outcome and prompt of each, shape [n]."""

    step: int
    confidence: Floats
    correct: Floats
    prompt: NDArray[np.int64]


class ConfidenceWindow:
    """The newest generations that hold `size` rollouts together: whole ones, so that their steps say what is in it."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._generations: deque[_Taken] = deque()

    @property
    def first(self) -> int | None:
        """Step of the oldest generation; None where there is none."""
        return self._generations[0].step if self._generations else None

    def add(self, step: int, confidence: ArrayLike, correct: ArrayLike, prompt: NDArray[np.int64]) -> None:
        """Take the n completions of one generation.

        Args:
            step: that it was generated for.
            confidence: in [0, 1], shape [n]; nan where there is none.
            correct: 0 or 1, shape [n]; nan where it is not known.
            prompt: a label, shape [n]: the same in every generation, so that a prompt that comes again is no new one.
        """
        taken = _Taken(step, np.array(confidence, np.float64), np.array(correct, np.float64), prompt)
        self._generations.append(taken)
        total = sum(len(each.correct) for each in self._generations)
        while total - len(self._generations[0].correct) >= self._size:
            total -= len(self._generations.popleft().correct)

    def clear(self) -> None:
        """What was taken so far is no longer what the policy says."""
        self._generations.clear()

    def calibrate(self, rng: np.random.Generator) -> Calibration:
        kept = self._generations
        return calibrate(
            np.concatenate([np.empty(0), *(each.confidence for each in kept)]),
            np.concatenate([np.empty(0), *(each.correct for each in kept)]),
            np.concatenate([np.empty(0, np.int64), *(each.prompt for each in kept)]),
            rng,
        )
