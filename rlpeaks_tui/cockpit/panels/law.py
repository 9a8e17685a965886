"""What entropy has bought and what is left to buy: held-out accuracy over entropy, and the law R = -a e^H + b.

The law (2505.22617) was found where nothing props entropy up. Where accuracy does not follow entropy it is of no use,
and is not drawn as if it were.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from rlpeaks_tui.run import present
from rlpeaks_tui.stats.exhaustion import HOLDS, LEAST, Exhaustion, exhaustion
from rlpeaks_tui.stats.student import student95

from ..axes import Floats, linear, span_of
from ..cells import BOLD, SOFT, Cells, Ink
from ..chart import Dots, Line, Points, Tag, draw
from ..raster import Ints
from ..scene import Scene
from ..words import number, percent, plural, signed
from .heldout import BASE, ERROR, ONCE, quantile
from .parts import chart, nothing, ticks_for
from .story import Part, Told, across, both, from_zero, plus_minus, tell, until, untold

ENTROPY, REWARD, LEFT = "entropy", "reward", "exhaustion/left"
MOST = 100.0
"""Nats that no choice holds, since no vocabulary has e^100 words: what claims more is no entropy."""


class Bought(Struct, frozen=True):
    """Evaluations up to the step shown: steps, entropy at each, held-out accuracy, its standard error; the line."""

    steps: Ints
    entropy: Floats
    accuracy: Floats
    error: Floats
    law: Exhaustion

    @property
    def holds(self) -> bool:
        """Whether the line is of use."""
        return not self.law.why and self.law.r2 >= HOLDS


def bought(scene: Scene) -> Bought:
    """Each evaluation with the entropy of the training step that it followed, where that is known."""
    steps, accuracy = until(scene, ONCE)
    h, se = (scene.series(name).at_each(steps) for name in (ENTROPY, ERROR))
    known = h <= MOST
    steps, h, accuracy, se = steps[known], h[known], accuracy[known], se[known]
    return Bought(steps, h, accuracy, se, exhaustion(h, accuracy))


def story(scene: Scene, width: int, height: int) -> Cells:
    """Accuracy over entropy with the law through it, the same of training, and the forecast over time."""
    if scene.value(ENTROPY) is None:
        return untold("Reward and entropy", scene.why(ENTROPY), scene, width, height)
    found = bought(scene)
    value, note = _main(found)
    parts = [
        Part("held-out accuracy over entropy", lambda w, h: _held_out(scene, found, w, h)),
        Part("training reward over entropy, a dot a step", lambda w, h: _training(scene, w, h)),
    ]
    if len(until(scene, LEFT)[0]) > 1:
        parts.append(
            Part(
                "what was left to gain, by the law, beside the error of an evaluation", lambda w, h: _left(scene, w, h)
            )
        )
    sign = "*" if scene.ascii_only else "◆"
    caption = [
        f"{sign} held out with 95 % interval",
        "time runs from right to left as entropy is spent",
        "line: R = −a e^H + b",
    ]
    unit = "what entropy buys"
    told = Told("Reward and entropy", Ink.ENTROPY, value, note, unit, _said(scene, found), caption, parts)
    return tell(told, scene, width, height)


def half_width(law: Exhaustion) -> float:
    """Of the 95 % interval of what is left, with evaluations as independent."""
    return student95(law.points - 2.0) * law.error


def _main(found: Bought) -> tuple[str, str]:
    law = found.law
    if found.holds:
        return f"{signed(law.left)} {plus_minus(half_width(law))}".strip(), "accuracy left to gain as entropy goes to 0"
    if law.points < LEAST:
        return "not enough yet", f"{law.points} of the {LEAST} evaluations that a line takes"
    if law.why:
        return "law does not apply", ""
    return "poor fit", f"{percent(law.r2)} of the variance: accuracy does not follow entropy"


def _said(scene: Scene, found: Bought) -> list[str]:
    law = found.law
    if law.points < LEAST:
        return ["the law needs evaluations on held-out prompts at several entropies"]
    said = []
    if found.holds:
        error = found.error[-1]
        of = f"explains {percent(law.r2)} of the variance of {plural(law.points, 'evaluation')}"
        said.append(f"the law ends at {number(law.b - law.a)} and {of}")
        if np.isfinite(error) and law.left + half_width(law) < error:
            said.append(f"what is left is below the error of one evaluation ({number(float(error))}): entropy is spent")
    elif law.why:
        span = span_of(found.entropy)
        at = f", between {number(span[0])} and {number(span[1])} nats" if span else ""
        said.append(f"over {plural(law.points, 'evaluation')}{at}: {law.why}")
    else:
        said.append(
            f"over {plural(law.points, 'evaluation')} the line explains {percent(law.r2)} of the variance; below "
            f"{percent(HOLDS)} nothing is forecast"
        )
        if span := span_of(found.entropy):
            said.append(f"the evaluations lie between {number(span[0])} and {number(span[1])} nats")
    breaks = broken(scene)
    return [breaks, *said] if breaks else [*said, "an entropy bonus or a KL term breaks the law"]


def broken(scene: Scene) -> str:
    """Why the law need not hold in this run at the step shown; empty where nothing is known that breaks it."""
    told = present.upto(scene.snapshot, scene.snapshot.settings, scene.step)
    now = told[-1].v if told else {}
    terms = (("beta", "a KL term"), ("entropy_coef", "an entropy bonus"))
    found = [f"{what} ({name} {now[name]:g})" for name, what in terms if now.get(name)]
    return f"{' and '.join(found)} in force: that breaks the law, and what is left is a guess" if found else ""


def _held_out(scene: Scene, found: Bought, width: int, height: int) -> Cells:
    if not len(found.steps):
        why = "no evaluation after a step whose entropy is known" if len(until(scene, ONCE)[0]) else scene.why(ONCE)
        return nothing(Cells(width, height), why)
    law, first = found.law, scene.start(ENTROPY)
    half = quantile(scene) * found.error
    top = max([first or 0.0, *found.entropy.tolist(), 1e-3])
    order = np.argsort(found.entropy, kind="stable")
    points = [
        Points(
            found.entropy[order],
            found.accuracy[order],
            Ink.ENTROPY,
            "◆",
            (found.accuracy - half)[order],
            (found.accuracy + half)[order],
        )
    ]
    lines, tags, values = [], [], [found.accuracy - np.nan_to_num(half), found.accuracy + np.nan_to_num(half)]
    if found.holds:
        h = np.linspace(0.0, top, 2 * max(2, width))
        line = -law.a * np.exp(h) + law.b
        lines.append(Line(h, line, Ink.ACCENT, heavy=True))
        tags.append(Tag(0.0, law.b - law.a, f"{number(law.b - law.a)} at H = 0", Ink.ACCENT))
        values.append(line)
    base = scene.value(BASE)
    if base is not None and first is not None:
        points.append(Points(np.array([first]), np.array([base]), Ink.DIM, "○"))
        tags.append(Tag(first, base, "base, not in the fit", Ink.DIM))
        values.append(np.array([base]))
    points.append(Points(found.entropy[-1:], found.accuracy[-1:], Ink.ENTROPY | BOLD, "●"))
    tags.append(Tag(float(found.entropy[-1]), float(found.accuracy[-1]), f"step {int(found.steps[-1]):,}", Ink.ENTROPY))
    y = linear(*(span_of(*values) or (0.0, 1.0)), ticks_for(height - 1), 0.0, 1.0)
    return draw(replace(across(scene, from_zero(top, width), y), lines=lines, points=points, tags=tags), width, height)


def _training(scene: Scene, width: int, height: int) -> Cells:
    steps, entropy, reward = both(scene, ENTROPY, REWARD)
    known = (steps <= scene.step) & (entropy <= MOST) & np.isfinite(reward)
    h, r = entropy[known], reward[known]
    if len(h) < 2:
        return nothing(Cells(width, height), "fewer than two steps so far")
    law = exhaustion(h, r)
    top = float(h.max())
    lines, tags = [], []
    if not law.why:
        if law.r2 >= HOLDS:
            grid = np.linspace(0.0, top, 2 * max(2, width))
            lines.append(Line(grid, -law.a * np.exp(grid) + law.b, Ink.ACCENT, heavy=True))
        tags.append(
            Tag(top * 0.6, float(r.max()), f"a line explains {percent(law.r2)} of {len(h):,} steps", Ink.ACCENT)
        )
    y = linear(float(r.min()), float(r.max()), ticks_for(height - 1))
    dots = [Dots(h, r, Ink.REWARD | SOFT)]
    return draw(replace(across(scene, from_zero(top, width), y), dots=dots, lines=lines, tags=tags), width, height)


def _left(scene: Scene, width: int, height: int) -> Cells:
    left, error = scene.series(LEFT), scene.series(ERROR)
    lines = [
        Line(error.steps, error.values, Ink.DIM, "one error"),
        Line(left.steps, left.values, Ink.ACCENT, "left", heavy=True),
    ]
    span = span_of(*(line.values for line in lines))
    axis = linear(*(span or (0.0, 0.1)), ticks_for(height - 1), floor=0.0)
    points = [Points(left.steps, left.values, Ink.ACCENT, "◆")]
    return draw(chart(scene, lines, axis, points, labels=11 if width >= 40 else 0), width, height)
