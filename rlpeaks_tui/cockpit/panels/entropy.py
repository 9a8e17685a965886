"""How much choice the policy has left: the entropy of its next token, and how much of the start's it has spent."""

from __future__ import annotations

from collections.abc import Sequence

from rlpeaks_tui.stats.causal import EARLY, began

from ..axes import Axis, linear
from ..cells import Cells, Ink
from ..chart import Line, draw
from ..scene import Scene
from ..words import number, percent
from .parts import Row, chart, heading, misleading, nothing, raw_and_smooth, ticks_for, typical_span
from .story import Told, tell_by_kind, until, untold
from .tasks import task_ink, tasks

NAME, PREFIX = "entropy", "entropy/"


def overview(scene: Scene, width: int, height: int) -> Cells:
    cells = Cells(width, height)
    value = scene.value(NAME)
    if value is None:
        heading(cells, scene, "entropy", "2", "Entropy", Ink.UNKNOWN)
        return nothing(cells, scene.why(NAME))
    heading(cells, scene, "entropy", "2", "Entropy", Ink.ENTROPY, number(value), spent(scene, value), "nats/token")
    lines = raw_and_smooth(scene, NAME, Ink.ENTROPY)
    cells.blit(1, 0, draw(chart(scene, lines, _axis(lines, ticks_for(height - 2))), width, height - 1))
    return cells


def enlarged(scene: Scene, width: int, height: int) -> Cells:
    """Adds the entropy of each task, and what ran along with it."""
    value = scene.value(NAME)
    if value is None:
        return untold("Entropy", scene.why(NAME), scene, width, height)
    found = scene.snapshot.columns.names()
    known = tasks(scene)
    of_tasks: list[Row] = [
        (task, name, task_ink(scene, task))
        for name in found
        if name.startswith(PREFIX) and (task := name.removeprefix(PREFIX)) in known
    ]
    rows: list[Row] = [("entropy", NAME, Ink.ENTROPY), *of_tasks]
    rows += [
        ("reward", "reward", Ink.REWARD),
        ("format entropy", "format/entropy", Ink.FORMAT),
        ("tokens a completion", "completions/mean_length", Ink.TEXT),
        ("learning rate", "learning_rate", Ink.TEXT),
    ]
    unit = "nats/token, exact, mean over the tokens of a step's completions"
    told = Told("Entropy", Ink.ENTROPY, number(value), against_start(scene, value), unit, misleading(NAME, 1000, 1))
    return tell_by_kind(told, rows, [("by task", of_tasks)], _axis, scene, width, height)


def spent(scene: Scene, value: float) -> str:
    """What became of the starting entropy, in short."""
    start = began(*until(scene, NAME))
    if not start > 0:
        return ""
    if value > start:
        return f"{percent(value / start)} of start"
    return f"{percent(1 - value / start)} spent"


def against_start(scene: Scene, value: float) -> str:
    """The same with what the start is, which budget and checks count from as well."""
    start = began(*until(scene, NAME))
    if not start > 0:
        return ""
    share = value / start - 1
    return f"{percent(abs(share))} {'above' if share > 0 else 'below'} its first {EARLY} steps"


def _axis(lines: Sequence[Line], count: int) -> Axis:
    _, high = typical_span(lines) or (0.0, 1.0)
    return linear(0.0, high, count, floor=0.0)
