"""What the policy earns: the mean reward of each step, as recorded and smoothed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from rlpeaks_tui.run.columns import LATELY

from ..axes import Axis, linear, span_of
from ..cells import Cells, Ink
from ..chart import Line, draw
from ..scene import Scene
from ..words import number, percent
from .parts import Row, chart, heading, misleading, nothing, raw_and_smooth, ticks_for, typical_span
from .story import Told, tell_by_kind, until, untold
from .tasks import task_ink

NAME = "reward"
FUNCTIONS = (Ink.SERIES_1, Ink.SERIES_7, Ink.SERIES_6, Ink.SERIES_5)
"""Of the reward functions: the tasks begin with others."""
LEAST = 5
"""Steps at each end that a change is told from; up to LATELY where there are more."""


def overview(scene: Scene, width: int, height: int) -> Cells:
    cells = Cells(width, height)
    value = scene.value(NAME)
    if value is None:
        heading(cells, scene, "reward", "1", "Reward", Ink.UNKNOWN)
        return nothing(cells, scene.why(NAME))
    heading(cells, scene, "reward", "1", "Reward", Ink.REWARD, number(value), _change(scene), "mean")
    lines = raw_and_smooth(scene, NAME, Ink.REWARD)
    axis = _axis(scene, lines, ticks_for(height - 2))
    cells.blit(1, 0, draw(chart(scene, lines, axis), width, height - 1))
    return cells


def enlarged(scene: Scene, width: int, height: int) -> Cells:
    """Adds a line for every reward function and every task, and what share of the groups was without signal."""
    value = scene.value(NAME)
    if value is None:
        return untold("Reward", scene.why(NAME), scene, width, height)
    functions, tasks = components(scene)
    rows: list[Row] = [("reward", NAME, Ink.REWARD), *functions, *tasks]
    rows += [
        ("spread within groups", "reward_std", Ink.TEXT),
        ("groups without signal", "frac_reward_zero_std", Ink.TEXT),
        ("tokens a completion", "completions/mean_length", Ink.TEXT),
        ("cut off at the limit", "completions/clipped_ratio", Ink.TEXT),
    ]
    unit = f"mean of a step's completions; means: of up to {LATELY} steps at either end"
    told = Told("Reward", Ink.REWARD, number(value), _change(scene), unit, misleading(NAME, 1000, 1))
    kinds = [("by task", tasks), ("by function", functions)]
    return tell_by_kind(told, rows, kinds, partial(_axis, scene), scene, width, height)


def components(scene: Scene) -> tuple[list[Row], list[Row]]:
    """The reward's parts that the run records: by function, and by task."""
    names = scene.snapshot.columns.names()
    functions = [name for name in names if name.startswith("rewards/") and name.endswith("/mean")]
    tasks = [name for name in names if name.startswith("reward/")]
    return (
        [
            (name.removeprefix("rewards/").removesuffix("/mean"), name, FUNCTIONS[i % len(FUNCTIONS)])
            for i, name in enumerate(functions)
        ],
        [(task, name, task_ink(scene, task)) for name in tasks if (task := name.removeprefix("reward/"))],
    )


def _change(scene: Scene) -> str:
    idle = scene.value("frac_reward_zero_std")
    if idle is not None and idle > 0.5:
        return f"{percent(idle)} of groups without signal"
    _, rewards = until(scene, NAME)
    # A single step is mostly noise, at either end.
    rows = min(LATELY, len(rewards) // 2)
    if rows < LEAST:
        return ""
    return f"means {number(float(rewards[:rows].mean()))} → {number(float(rewards[-rows:].mean()))}"


def _axis(scene: Scene, lines: Sequence[Line], count: int) -> Axis:
    """From 0 to 1 for rewards that stay within; otherwise around what there is. What a reward began with is no spike:
    where it was lost at once, that level is the whole story."""
    span = span_of(scene.series(NAME).values)
    bounded = span is not None and span[0] >= 0 and span[1] <= 1
    usual = typical_span(lines) or (0.0, 1.0)
    first = span_of(*(line.values[np.isfinite(line.values)][:1] for line in lines)) or usual
    low, high = min(usual[0], first[0]), max(usual[1], first[1])
    return linear(low, high, count, 0.0 if bounded else None, 1.0 if bounded else None)
