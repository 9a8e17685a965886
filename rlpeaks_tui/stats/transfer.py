"""Transfer between the phases of a curriculum: what training on one task did to the others.

The matrix and its summaries are those of GEM (1706.08840, section 2), where every stage trains one task. A stage here
may train a mix and a task may return, so "when it was learned" is the last stage that trained it, and "before it was
trained" is the stage before the first; with one task a stage both are GEM's.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from msgspec import Struct

from rlpeaks_tui.stats.summaries import Floats


class Stage(Struct, frozen=True):
    """One phase of the curriculum.

    Attributes:
        step: the last one before it began; 0 for the first.
        name: of the phase.
        tasks: that it trains.
    """

    step: int
    name: str
    tasks: Collection[str]


class Transfer(Struct, frozen=True):
    """Accuracy by task at the end of each stage, and what follows from it.

    Attributes:
        stages: in their order, S of them.
        tasks: in the order in which they were first trained, then those that never were, K of them.
        matrix: R, shape [S, K]: accuracy at the end of a stage; nan where nothing was measured within it.
        base: shape [K]: accuracy before the first stage; nan where nothing was measured then.
    """

    stages: tuple[Stage, ...]
    tasks: tuple[str, ...]
    matrix: Floats
    base: Floats

    def backward(self) -> Floats:
        """Accuracy at the end less accuracy when the task was learned, shape [K].

        nan for a task that the last stage trains, or that none did.
        """
        found = np.full(len(self.tasks), np.nan)
        for k, trained in self._left():
            found[k] = self.matrix[-1, k] - self.matrix[trained[-1], k]
        return found

    def forgotten(self) -> Floats:
        """The greatest accuracy at the end of any stage less that of the last, shape [K]; nan as in `backward`."""
        found = np.full(len(self.tasks), np.nan)
        for k, _ in self._left():
            if np.isfinite(self.matrix[-1, k]):
                found[k] = np.nanmax(self.matrix[:, k]) - self.matrix[-1, k]
        return found

    def forward(self) -> Floats:
        """Accuracy just before the task was first trained less the base's, shape [K].

        nan for a task that the first stage trains, or that none did.
        """
        found = np.full(len(self.tasks), np.nan)
        for k, trained in enumerate(self._trained()):
            if trained and trained[0] > 0:
                found[k] = self.matrix[trained[0] - 1, k] - self.base[k]
        return found

    @property
    def bwt(self) -> float:
        """Mean of `backward` over its tasks; nan without any."""
        return _mean(self.backward())

    @property
    def forgetting(self) -> float:
        """Mean of `forgotten` over its tasks; nan without any."""
        return _mean(self.forgotten())

    @property
    def fwt(self) -> float:
        """Mean of `forward` over its tasks; nan without any."""
        return _mean(self.forward())

    def metrics(self) -> dict[str, float]:
        """Under the names by which they are journaled; nan where there is none."""
        return {"transfer/bwt": self.bwt, "transfer/forgetting": self.forgetting, "transfer/fwt": self.fwt}

    def _trained(self) -> list[list[int]]:
        """The stages that train each task."""
        return [[i for i, stage in enumerate(self.stages) if task in stage.tasks] for task in self.tasks]

    def _left(self) -> list[tuple[int, list[int]]]:
        """The tasks that were trained and are no longer, each with the stages that trained it."""
        last = len(self.stages) - 1
        return [(k, trained) for k, trained in enumerate(self._trained()) if trained and trained[-1] < last]


def transfer(evaluations: Sequence[tuple[int, Mapping[str, float]]], stages: Sequence[Stage]) -> Transfer:
    """The transfer of a run so far; the last stage ends with the last evaluation.

    Args:
        evaluations: step and accuracy by task, always on the same prompts, in the order of training. One at the step at
            which a stage begins is of the end of the stage before.
        stages: at least one, in order.

    Raises:
        ValueError: there is no stage, or their steps fall.
    """
    begins = [stage.step for stage in stages]
    if not begins or begins != sorted(begins):
        raise ValueError(f"stages must be one or more in the order of their steps, got {begins}")
    names = [task for stage in stages for task in stage.tasks]
    names += [task for _, accuracy in evaluations for task in accuracy]
    tasks = tuple(dict.fromkeys(names))
    base = np.full(len(tasks), np.nan)
    matrix = np.full((len(stages), len(tasks)), np.nan)
    for step, accuracy in evaluations:
        number = sum(begin < step for begin in begins)
        row = matrix[number - 1] if number else base
        row[:] = [accuracy.get(task, np.nan) for task in tasks]
    return Transfer(tuple(stages), tasks, matrix, base)


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else math.nan
