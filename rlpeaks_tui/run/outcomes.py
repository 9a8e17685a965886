"""How the newest completions of one task came out, from the completions that a run keeps."""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from .rollout_index import task_bits, task_names
from .rollouts import RolloutReader


class Outcomes(Struct, frozen=True):
    """Completions of one task, newest generation first.

    Attributes:
        step: int64[n], the training step of each.
        prompt: int64[n], which prompt it answers: the same number for the same text, in this process.
        correct: float64[n], 1 right, 0 wrong, NaN unknown.
    """

    step: NDArray[np.int64]
    prompt: NDArray[np.int64]
    correct: NDArray[np.float64]


def recent_outcomes(
    reader: RolloutReader, task: str, numbers: NDArray[np.int64] | None = None, generations: int = 20
) -> Outcomes:
    """Of the newest `generations` that have completions of `task`, those completions; of `numbers` only, where given.

    A task that was trained on long ago has a history too: the steps say how old it is. Generations that are not kept
    any more or cannot be read are passed over.
    """
    steps: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    prompts: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    outcomes: list[NDArray[np.float64]] = [np.empty(0)]
    if len(reader.index):
        bits = task_bits(task, task_names(reader.folder), reader.index)
        possible = reader.kept & (reader.index["tasks"] & np.uint64(bits) > 0)
        found = np.flatnonzero(possible)
        for number in (found if numbers is None else np.intersect1d(found, numbers))[::-1].tolist():
            if len(steps) > generations:
                break
            block = reader.read(number)
            of_task = np.array([name == task for name in block.task], bool) if block else np.empty(0, bool)
            if block is None or not of_task.any():
                continue
            steps.append(np.full(int(of_task.sum()), block.step))
            # A prompt that comes again is no further one.
            prompts.append(np.array([hash(text) for text in block.prompts], np.int64)[block.group[of_task]])
            outcomes.append(block.correct[of_task])
    return Outcomes(np.concatenate(steps), np.concatenate(prompts), np.concatenate(outcomes))
