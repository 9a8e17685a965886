"""A sliding window of rollouts with a confidence and an outcome, from which calibration is computed.

There are three sources of confidence, and they mean different things: what a completion states, the mean
probability that the policy gave its own tokens, and the share of its group that came to the same answer.
Each has a window of its own, and the source is named with every figure.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...stats.calibration import Calibration, calibrate

STATED = "stated confidence"
TOKENS = "mean token probability"
AGREEMENT = "agreement of the group"


@dataclass(frozen=True)
class _Taken:
    """One generation: its step, and float64[n, 3] of confidence, outcome and prompt."""

    step: int
    rows: NDArray[np.float64]


class ConfidenceWindow:
    """The newest generations that hold `size` rollouts together: whole ones, so that their steps say what is in it."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._generations: deque[_Taken] = deque()
        self._clusters = 0

    @property
    def first(self) -> int | None:
        """Step of the oldest generation; None where there is none."""
        return self._generations[0].step if self._generations else None

    def add(self, step: int, confidence: list[float | None], correct: list[float | None], group_size: int) -> None:
        """Take the n completions of one generation, `group_size` to a prompt."""
        prompt = self._clusters + np.arange(len(correct)) // group_size
        self._generations.append(_Taken(step, np.array([confidence, correct, prompt], dtype=np.float64).T))
        self._clusters += math.ceil(len(correct) / group_size)
        total = sum(len(taken.rows) for taken in self._generations)
        while total - len(self._generations[0].rows) >= self._size:
            total -= len(self._generations.popleft().rows)

    def clear(self) -> None:
        """What was taken so far is no longer what the policy says."""
        self._generations.clear()

    def calibrate(self, rng: np.random.Generator) -> Calibration:
        table = np.concatenate([np.empty((0, 3)), *(taken.rows for taken in self._generations)])
        return calibrate(table[:, 0], table[:, 1], table[:, 2], rng)
