"""The tasks of a run, and the one colour that each has in every story."""

from __future__ import annotations

from ..cells import SERIES
from ..scene import Scene
from .choice import FORKS, OVERLAP

PREFIXES = ("reward/", "entropy/", "eval/accuracy/")


def tasks(scene: Scene) -> list[str]:
    """The names of all tasks that the run measures, in the order in which it first did."""
    found = (
        name.removeprefix(prefix)
        for name in scene.snapshot.columns.names()
        for prefix in PREFIXES
        if name.startswith(prefix) and name not in (FORKS, OVERLAP)
    )
    return list(dict.fromkeys(found))


def task_ink(scene: Scene, task: str) -> int:
    """The colour of a task; those of reward and entropy themselves come last."""
    known = tasks(scene)
    return SERIES[(known.index(task) + 2 if task in known else 0) % len(SERIES)]
