"""How much of two budgets is spent, and when they will be: drift from the base, and entropy.

The bounds are those of the health rules: beyond them growth of KL, or a fall of entropy, is a fault where no reward is
bought with it. Neither is a law. A forecast is a straight line through the steps since the last change of the
training, with an interval, or it is not made.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from rlpeaks_tui.stats.catalog import called
from rlpeaks_tui.stats.causal import EARLY, began
from rlpeaks_tui.stats.forecast import LEAST, Forecast, foresee
from rlpeaks_tui.stats.rules_training import FAR, SPENT
from rlpeaks_tui.stats.steered import CHANGING
from rlpeaks_tui.stats.summaries import smooth

from ..axes import linear
from ..bars import lying
from ..cells import BOLD, SOFT, Cells, Ink
from ..chart import Band, Line, draw
from ..scene import Scene
from ..words import number, percent, plural, signed
from .kl import EXACT, drift_metric
from .parts import chart, nothing, raw_and_smooth, ticks_for, typical_span
from .story import Part, Told, tell, until, untold

ENTROPY = "entropy"
SHARE = 3
"""The line is laid through the last third of the steps so far, or what came since the last change."""
MOST = 4000
"""Rows that the line rests on at most: more tell little more, and it is laid with every drawing."""


class Budget(Struct, frozen=True):
    """One quantity and its bound.

    Attributes:
        name, metric, ink: what it is.
        bound: where the budget ends.
        floor: the quantity falls towards its bound.
        began: where the quantity began, at which nothing is spent.
        since: the first step that the line may rest on; `changed` tells whether a change of the training set it.
        spent: since which step the smoothed quantity has been beyond the bound; None where it is not.
        level: now, by the line, or smoothed where there is none.
        forecast: the line.
    """

    name: str
    metric: str
    ink: int
    bound: float
    floor: bool
    began: float
    since: int
    changed: bool
    spent: int | None
    level: float
    forecast: Forecast

    @property
    def used(self) -> float:
        """Share of the budget that is spent."""
        return (self.level - self.began) / (self.bound - self.began)


def of_drift(scene: Scene) -> Budget | None:
    """Nats a token from the base; None where no drift was recorded."""
    metric = drift_metric(scene)
    return _budget(scene, called(metric), metric, Ink.KL, FAR, False, 0.0)


def of_entropy(scene: Scene) -> Budget | None:
    """Entropy down to a share of what it began with; None where none was recorded."""
    first = began(*until(scene, ENTROPY))
    if not first > 0:
        return None
    return _budget(scene, "entropy", ENTROPY, Ink.ENTROPY, SPENT * first, True, first)


def _budget(scene: Scene, name: str, metric: str, ink: int, bound: float, floor: bool, began: float) -> Budget | None:
    steps, values = until(scene, metric)
    if not len(steps):
        return None
    change = last_change(scene)
    since = max(change, scene.step - scene.step // SHARE)
    if len(steps) > MOST:
        since = max(since, int(steps[-MOST - 1]))
    recent = steps > since
    forecast = foresee(steps[recent], values[recent], bound, floor=floor)
    smoothed = smooth(values, scene.half_life)
    within = np.flatnonzero(smoothed > bound if floor else smoothed < bound)
    first = int(within[-1]) + 1 if len(within) else 0
    spent = int(steps[first]) if first < len(steps) else None
    level = forecast.level if np.isfinite(forecast.level) else float(smoothed[-1])
    return Budget(name, metric, ink, bound, floor, began, since, since == change > 0, spent, level, forecast)


def last_change(scene: Scene) -> int:
    """The step of the last command or phase that changed weights or settings, at or before the one shown; 0: none."""
    changing = {command.number for command in scene.snapshot.commands if command.verb in CHANGING}
    steps = [mark.step for mark in scene.marks if mark.number in changing]
    steps += [phase.step for phase in scene.phases]
    return max([0, *(step for step in steps if step <= scene.step)])


def is_over(scene: Scene) -> bool:
    """Whether the step shown is the last that the run will have."""
    return not scene.snapshot.live and scene.step >= scene.snapshot.step


def outlook(budget: Budget, now: int, end: int, over: bool = False) -> str:
    """When the budget is spent, in words; `end` is the last step of the run, or 0, and `over` that it came to one."""
    found = budget.forecast
    if found.state == "beyond" or (found.state == "too few" and budget.spent is not None):
        return "spent" if budget.spent is None else f"spent since step {budget.spent:,}"
    rows = f"{plural(found.rows, 'row')} since {'the change at ' if budget.changed else ''}step {budget.since:,}"
    match found.state:
        case "too few":
            return f"not foreseeable: {rows}, {LEAST} are needed"
        case "unclear":
            return f"not foreseeable: no trend beyond chance over {rows}"
        case "away":
            return f"not foreseeable: it leads away from the bound ({signed(found.slope)} a step)"
    when = f"spent by step {found.at:,.0f} (95 % {found.low:,.0f} to {found.high:,.0f})"
    if over:
        return f"would have been {when}; the run is over"
    if not end or end <= now:
        return when
    left = f"{end - now:,} steps left"
    if found.high <= end:
        return f"{when}, within the {left}"
    return f"{when}, after the {left}" if found.low > end else f"{when}, perhaps within the {left}"


def in_short(budget: Budget, end: int, over: bool) -> str:
    """The same in a few words, after the share that is spent."""
    found = budget.forecast
    if found.state == "ahead":
        if over:
            return "spent when the run ended"
        if 0 < end < found.low:
            return f"spent now, not all by the last step, {end:,}, if it goes on"
        return f"spent now, all by step {found.at:,.0f}, if it goes on"
    when = outlook(budget, 0, 0)
    return when if when.startswith("spent") else "end not foreseeable"


def story(scene: Scene, width: int, height: int) -> Cells:
    """The gauge, and both quantities with their bounds and where they lead."""
    drift, entropy = of_drift(scene), of_entropy(scene)
    if drift is None:
        return untold("KL budget", scene.why(EXACT), scene, width, height)
    end = scene.snapshot.max_steps
    value = f"{spent_share(drift.used)} of {FAR:g} nats"
    ended = is_over(scene)
    note = in_short(drift, end, ended)
    budgets = [budget for budget in (drift, entropy) if budget is not None]
    parts = [Part("share of the budgets that is spent", lambda w, h: _gauges(scene, budgets, w, h), len(budgets) + 2)]
    parts += [
        Part(f"{budget.name}, nats/token, with its bound", partial(_chart, scene, budget, _reach(scene, budgets)))
        for budget in budgets
    ]
    if len(budgets) > 1:
        # The gauge has a row of its own at the bottom, which a table needs less of.
        parts = [*parts[1:], parts[0]]
    caption = [
        "level: the bound",
        "line and dotted: trend with its 95 % band, straight on",
        "bounds: the health rules'",
    ]
    said = [f"{budget.name}: {outlook(budget, scene.step, end, ended)}" for budget in budgets]
    said.append(f"{FAR:g} nats is the target of verl's controller, folklore: what counts is what drift buys")
    said.append(
        f"the floor of entropy is {percent(SPENT)} of its first {EARLY} steps; its budget is the way down to there"
    )
    told = Told("KL budget", Ink.KL, value, note, "nats/token to base", said, caption, parts)
    return tell(told, scene, width, height)


def spent_share(used: float) -> str:
    """The share of a budget that is spent, in words where it is none or many times what there was."""
    if used < 0:
        return "none"
    return percent(used) if used < 10 else f"{number(used)} times"


def _gauges(scene: Scene, budgets: Sequence[Budget], width: int, height: int) -> Cells:
    cells = Cells(width, height)
    bar = min(60, width - 58)
    for y, budget in enumerate(budgets[:height]):
        used = budget.used
        cells.put(y, 0, budget.name, budget.ink)
        full = budget.ink | BOLD if used < 1 else Ink.WARN | BOLD
        x = 12
        if bar >= 8:
            cells.fill(y, x, bar, "." if scene.ascii_only else "·", Ink.FAINT)
            cells.put(y, x, lying(min(max(used, 0.0), 1.0), bar, scene.ascii_only).rstrip(), full)
            x += bar + 1
        cells.put_right(y, x + 9, spent_share(used), full)
        bound = f"floor {number(budget.bound)}" if budget.floor else f"bound {number(budget.bound)}"
        cells.put(y, x + 10, f"of the budget  {number(budget.level)}, {bound}", Ink.DIM)
    return cells


def _reach(scene: Scene, budgets: Sequence[Budget]) -> tuple[int, int]:
    """The steps of both charts: on to the end of the run where some budget is foreseen to be spent before it."""
    end = scene.snapshot.max_steps
    ahead = any(budget.forecast.state == "ahead" and budget.forecast.at <= end for budget in budgets)
    return (scene.x[0], max(scene.x[1], end)) if ahead else scene.x


def _chart(scene: Scene, budget: Budget, x: tuple[int, int], width: int, height: int) -> Cells:
    lines = raw_and_smooth(scene, budget.metric, budget.ink)
    if not lines:
        return nothing(Cells(width, height), scene.why(budget.metric))
    low, high = typical_span(lines) or (0.0, 1.0)
    bound = np.full(2, budget.bound)
    lines.insert(0, Line(np.array(x, np.int64), bound, Ink.WARN, f"bound {number(budget.bound)}"))
    bands = []
    found = budget.forecast
    if found.state != "too few":
        steps = np.unique(np.linspace(max(1, found.first), x[1], 2 * max(2, width)).astype(np.int64))
        line, below, above = found.over(steps)
        bands.append(Band(steps, below, above, budget.ink | SOFT))
        lines.append(Line(steps, line, Ink.ACCENT, "trend"))
    axis = linear(min(0.0, low), max(high, budget.bound), ticks_for(height - 1), floor=0.0)
    plan = replace(chart(scene, lines, axis, labels=14 if width >= 40 else 0), bands=bands, x=x)
    return draw(plan, width, height)
