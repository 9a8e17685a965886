"""A sliding window of rollouts with a confidence and an outcome, from which calibration is computed.

Where completions state a confidence, that is what is judged; where none does, the mean probability that the
policy gave its own tokens stands in, and the source is named with every figure, for the two mean different
things.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from ...stats.calibration import Calibration, calibrate

STATED = "stated confidence"
TOKENS = "mean token probability"


class ConfidenceWindow:
    """The last `size` rollouts of the run."""

    def __init__(self, size: int) -> None:
        self._rows: deque[tuple[float, float, int]] = deque(maxlen=size)
        self._clusters = 0
        self.source = STATED

    def add(
        self,
        stated: list[float | None],
        correct: list[float | None],
        group_size: int,
        logp: list[float | None],
        length: list[int],
    ) -> None:
        """Take the n completions of one generation, `group_size` to a prompt."""
        source = STATED if any(value is not None for value in stated) else TOKENS
        if source != self.source:
            # Two kinds of confidence in one window would be no measurement of either.
            self._rows.clear()
            self.source = source
        if source == TOKENS:
            stated = [_probability(total, n) for total, n in zip(logp, length, strict=True)]
        for i, (q, c) in enumerate(zip(stated, correct, strict=True)):
            self._rows.append((_nan(q), _nan(c), self._clusters + i // group_size))
        self._clusters += math.ceil(len(correct) / group_size)

    def calibrate(self, rng: np.random.Generator) -> Calibration:
        table = np.array(self._rows, dtype=np.float64).reshape(-1, 3)
        return calibrate(table[:, 0], table[:, 1], table[:, 2], rng)


def _probability(logp_sum: float | None, length: int) -> float | None:
    if logp_sum is None or length == 0:
        return None
    return min(1.0, math.exp(min(0.0, logp_sum / length)))


def _nan(value: float | None) -> float:
    return math.nan if value is None else float(value)
