"""The curriculum: which phase a prompt belongs to, and which problem it is.

A prompt is numbered, and its number alone, with the seed, decides its phase and its problem. So the phase
on a prompt's label is true whatever was fetched ahead of time, every rank agrees without talking, and a run
can be repeated exactly.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from ..config import Phase


class Curriculum:
    """Phases in order, each for a number of steps; the last goes on to the end.

    Args:
        phases: at least one.
        prompts_per_step: prompts (groups) that one training step uses.
    """

    def __init__(self, phases: Sequence[Phase], prompts_per_step: int) -> None:
        self.phases = list(phases)
        self._prompts_per_step = prompts_per_step
        self._ends = list(accumulate(phase.steps or 0 for phase in self.phases[:-1]))

    def phase_of(self, prompt: int) -> int:
        """The index of the phase of prompt number `prompt` (from 0)."""
        return bisect_right(self._ends, prompt // self._prompts_per_step)

    def rows(
        self, numbers: Sequence[int], seed: int, draw: Callable[[str, np.random.Generator], dict[str, Any]]
    ) -> dict[str, list[Any]]:
        """The dataset rows of prompts `numbers`, column by column; `draw` makes one problem of a task."""
        made: dict[int, dict[str, Any]] = {}
        for number in dict.fromkeys(numbers):
            phase = self.phases[self.phase_of(number)]
            rng = np.random.default_rng([seed, number])
            weights = np.array(list(phase.tasks.values()), dtype=np.float64)
            task = list(phase.tasks)[int(rng.choice(len(weights), p=weights / weights.sum()))]
            made[number] = {**draw(task, rng), "task": task, "phase": phase.name}
        columns = list(made[numbers[0]]) if numbers else []
        return {column: [made[number][column] for number in numbers] for column in columns}
