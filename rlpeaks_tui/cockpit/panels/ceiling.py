"""Where held-out accuracy will level off: the fitted sigmoid and its band where they are identified, else why not.

A curve is drawn only once the data say where it ends. Before that, any ceiling fits about as well as any other, and a
drawn one would be believed.
"""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace

from rlpeaks_tui.stats.scaling import Sigmoid

from ..axes import linear, span_of
from ..cells import SOFT, Cells, Ink
from ..chart import Band, Line, Points, draw
from ..scene import Scene
from ..words import number, plural, signed
from .earned import Earned
from .heldout import BASE, ONCE, evaluations
from .parts import chart, nothing, ticks_for
from .story import Part, Told, level, tell, until, untold

CEILING = "eval/ceiling"
LAW = "R − R0 = (A − R0) / (1 + (Cmid / C)^B)"


def story(scene: Scene, width: int, height: int) -> Cells:
    """The evaluations with the curve through them, and how the fitted ceiling has moved from fit to fit."""
    once = scene.value(ONCE)
    if once is None:
        return untold("Ceiling", scene.why(ONCE), scene, width, height)
    if not isinstance(scene.study, Earned):
        return untold("Ceiling", "the curve is being fitted", scene, width, height)
    fit = scene.study.ceiling
    known = fit is not None and fit.identified
    if fit is not None and fit.identified:
        value, note = number(fit.asymptote), f"80 % {number(fit.low)} to {number(fit.high)}, {_left(fit, once)}"
    else:
        value, note = "not identified yet", ""
    sign = "*" if scene.ascii_only else "◆"
    caption = [f"{sign} held-out pass@1, 95 % interval"]
    caption += [f"line: {LAW}", "dotted: its 80 % band"] if known else ["no curve is drawn before its end is known"]
    parts = [Part("held-out accuracy and where it leads", lambda w, h: _curve(scene, fit if known else None, w, h))]
    if len(until(scene, CEILING)[0]) > 1:
        parts.append(Part("the ceiling as each evaluation had it", lambda w, h: _history(scene, w, h)))
    unit = "of held-out pass@1, fitted to compute in optimizer steps"
    return tell(Told("Ceiling", Ink.REWARD, value, note, unit, _said(scene, fit), caption, parts), scene, width, height)


def _left(fit: Sigmoid, once: float) -> str:
    """How far the ceiling is from what is held now."""
    apart = fit.asymptote - once
    if apart > 0:
        return f"{signed(apart)} from now"
    return "reached" if once >= fit.high else "not above what is held now"


def _said(scene: Scene, fit: Sigmoid | None) -> list[str]:
    if fit is None:
        return ["no evaluation up to this step"]
    if not fit.identified:
        takes = "6 evaluations, twice the compute of the middle of its rise, and a range below 0.1"
        return [f"why: {fit.why}", f"it takes {takes}"]
    when = f"half of the gain was reached at step {fit.midpoint:,.0f}"
    said = [f"{when}, exponent B {fit.exponent:.1f}", fit.why]
    left = scene.snapshot.max_steps
    if left and left > scene.step:
        middle, low, high = (float(each[0]) for each in fit.over([left]))
        said.append(f"at the last step {left:,}: {number(middle)} (80 % {number(low)} to {number(high)})")
    said.append("for this recipe on these prompts: another phase, loss or length limit has another ceiling")
    return said


def _curve(scene: Scene, fit: Sigmoid | None, width: int, height: int) -> Cells:
    points = evaluations(scene)
    lines, bands = [], []
    base = scene.value(BASE)
    if base is not None:
        lines.append(level(scene, base, Ink.DIM, f"base {base:.2f}"))
    if fit is not None:
        first = max(1, scene.x[0])
        steps = np.unique(np.linspace(first, scene.x[1], 2 * max(2, width)).astype(np.int64))
        middle, low, high = fit.over(steps)
        lines.append(level(scene, fit.asymptote, Ink.ACCENT, f"ceiling {fit.asymptote:.2f}"))
        lines.append(Line(steps, middle, Ink.ACCENT, f"fit {middle[-1]:.2f}", heavy=True))
        bands.append(Band(steps, low, high, Ink.ACCENT | SOFT))
    span = span_of(*(line.values for line in lines), *points.ends)
    axis = linear(*(span or (0.0, 1.0)), ticks_for(height - 1), 0.0, 1.0)
    labels = 14 if lines and width >= 40 else 0
    return draw(replace(chart(scene, lines, axis, [points], labels), bands=bands), width, height)


def _history(scene: Scene, width: int, height: int) -> Cells:
    ceiling, low, high = (scene.series(f"{CEILING}{end}") for end in ("", "_low", "_high"))
    if not np.isfinite(ceiling.values).any():
        return nothing(Cells(width, height), scene.why(CEILING))
    ends = len(low) == len(high) == len(ceiling)
    nowhere = np.full(len(ceiling), np.nan)
    points = [
        Points(
            ceiling.steps,
            ceiling.values,
            Ink.ACCENT,
            "◆",
            low.values if ends else nowhere,
            high.values if ends else nowhere,
        )
    ]
    once = scene.series(ONCE)
    lines = [Line(once.steps, once.values, Ink.REWARD, "pass@1")]
    span = span_of(once.values, ceiling.values, *((low.values, high.values) if ends else ()))
    axis = linear(*(span or (0.0, 1.0)), ticks_for(height - 1), 0.0, 1.0)
    known = int(np.isfinite(ceiling.values).sum())
    drawn = draw(chart(scene, lines, axis, points, 8 if width >= 40 else 0), width, height)
    if width >= 40:
        drawn.put(0, 8, f"identified in {plural(known, 'fit')} of {len(ceiling)}", Ink.DIM)
    return drawn
