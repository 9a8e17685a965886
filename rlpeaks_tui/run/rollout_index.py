"""The index of the completions: one record of fixed size a generation, and the names of the tasks in it.

A record says what can be in its block (rewards, tasks, right and wrong) and where the block and the filter of its
texts lie, so that most questions pass over most blocks without opening a pack. Records stay when the oldest packs
are dropped.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from .layout import open_regular, replace_file
from .text import clean_line

RECORD = np.dtype(
    [
        ("step", "<i8"),
        ("pack", "<i4"),
        ("length", "<i4"),
        ("offset", "<i8"),
        ("checksum", "<u4"),
        ("completions", "<i4"),
        ("reward", "<f8"),
        ("reward_low", "<f8"),
        ("reward_high", "<f8"),
        ("tasks", "<u8"),
        ("right", "<i4"),
        ("wrong", "<i4"),
        ("filter_offset", "<i8"),
        ("filter_length", "<i4"),
        ("filter_checksum", "<u4"),
    ]
)
"""`reward` is the mean; NaN where no reward is known. Bit i of `tasks` is the i-th name, the last one any other."""

NAMED_TASKS = 63
ANY_TASK = (1 << 64) - 1
RIGHT = 0.5
"""A completion is right from this on, wrong below, and neither when its correctness is not known."""

_names = msgspec.json.Decoder(list[str])
_BIGGEST_NAMES = 4 << 20


def task_names(folder: Path) -> list[str] | None:
    """The tasks that have a bit of their own, cleaned; None when the file is missing or damaged."""
    try:
        with open_regular(folder / "tasks.json") as file:
            names = _names.decode(file.read(_BIGGEST_NAMES))
    except (OSError, ValueError, RecursionError):
        return None
    return [clean_line(name) for name in names[:NAMED_TASKS]]


def task_bits(task: str, names: list[str] | None, index: NDArray[np.void]) -> int:
    """The bits of which a record has one when its block can hold `task`."""
    # A run that was copied while it grew can have records newer than its names.
    if names is None or _beyond(names, index):
        return ANY_TASK
    return 1 << names.index(task) if task in names else 1 << NAMED_TASKS


def _beyond(names: list[str], index: NDArray[np.void]) -> bool:
    """Whether a record has the bit of a name that is not among `names`."""
    said = int(np.bitwise_or.reduce(index["tasks"]))
    return (said & ~(1 << NAMED_TASKS)) >> len(names) > 0


class Tasks:
    """The names of the tasks so far, on the writer's side.

    Args:
        folder: where tasks.json lies.
        index: the records so far. When their names are lost, no bit can be given a name any more.
    """

    def __init__(self, folder: Path, index: NDArray[np.void]) -> None:
        self._folder = folder
        self._names = task_names(folder)
        self.size = 0 if self._names is None else len(msgspec.json.encode(self._names))
        """Bytes of tasks.json."""
        if self._names is None and not len(index):
            self._names = []
        elif self._names is not None and _beyond(self._names, index):
            self._names = None

    def bits(self, tasks: set[str]) -> int:
        """The mask for a block with `tasks`; new names are on disk before it is given.

        Raises:
            OSError: the names could not be written.
        """
        if self._names is None:
            return ANY_TASK
        cleaned = {clean_line(task) for task in tasks}
        new = sorted(cleaned.difference(self._names))[: NAMED_TASKS - len(self._names)]
        if new or not self.size:
            data = msgspec.json.encode(self._names + new)
            replace_file(self._folder / "tasks.json", data)
            self._names, self.size = self._names + new, len(data)
        known = [1 << self._names.index(task) for task in cleaned if task in self._names]
        return sum(known) | (1 << NAMED_TASKS if len(known) < len(cleaned) else 0)


def figures(reward: list[float | None], correct: list[float | None]) -> dict[str, float]:
    """What a record says of a block's rewards and outcomes."""
    rewards, outcomes = np.array(reward, np.float64), np.array(correct, np.float64)
    known = rewards[~np.isnan(rewards)]
    has = len(known) > 0
    with np.errstate(invalid="ignore"):
        mean = float(known.mean()) if has else np.nan
    return {
        "reward": mean,
        "reward_low": float(known.min()) if has else np.nan,
        "reward_high": float(known.max()) if has else np.nan,
        "right": int((outcomes >= RIGHT).sum()),
        "wrong": int((outcomes < RIGHT).sum()),
    }
