"""A sliding window of rollouts with a confidence and an outcome, from which calibration is computed.

There are three sources of confidence, and they mean different things: what a completion states, the mean
probability that the policy gave its own tokens, and the share of its group that came to the same answer.
Each has a window of its own, and the source is named with every figure.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from ...stats.calibration import Calibration, calibrate

STATED = "stated confidence"
TOKENS = "mean token probability"
AGREEMENT = "agreement of the group"


class ConfidenceWindow:
    """The last `size` rollouts of the run."""

    def __init__(self, size: int) -> None:
        self._rows: deque[tuple[float, float, int]] = deque(maxlen=size)
        self._clusters = 0

    @property
    def filled(self) -> bool:
        return bool(self._rows)

    def add(self, confidence: list[float | None], correct: list[float | None], group_size: int) -> None:
        """Take the n completions of one generation, `group_size` to a prompt."""
        for i, (q, c) in enumerate(zip(confidence, correct, strict=True)):
            self._rows.append((_nan(q), _nan(c), self._clusters + i // group_size))
        self._clusters += math.ceil(len(correct) / group_size)

    def calibrate(self, rng: np.random.Generator) -> Calibration:
        table = np.array(self._rows, dtype=np.float64).reshape(-1, 3)
        return calibrate(table[:, 0], table[:, 1], table[:, 2], rng)


def _nan(value: float | None) -> float:
    return math.nan if value is None else float(value)
