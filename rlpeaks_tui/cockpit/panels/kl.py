"""How far the policy has moved from its starting weights, in nats a token, and how well that is known.

Sampled estimates exist at every step and are noisy; the exact one over the full vocabulary exists where a probe
took it, and is drawn as a point with its interval. Where both are there they should agree.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..axes import Axis, linear, span_of
from ..cells import SOFT, Cells, Ink
from ..chart import Line, Points, draw
from ..scene import Scene
from ..words import number
from .parts import Row, chart, chart_over_table, heading, nothing, raw_and_smooth, ticks_for, typical_span

OLD = 0.25
"""An exact value older than this share of the steps so far is history, and the headline is the estimate of now."""

EXACT, K3, K1, FORWARD, REFERENCE = "kl/base", "kl/base_k3", "kl/base_k1", "kl/base_forward", "kl/ref"


def overview(scene: Scene, width: int, height: int) -> Cells:
    cells = Cells(width, height)
    if not _known(scene):
        heading(cells, scene, "kl", "3", "KL drift", Ink.UNKNOWN)
        return nothing(cells, scene.why(EXACT))
    value, note = headline(scene)
    heading(cells, scene, "kl", "3", "KL drift", Ink.KL, value, note, "nats/token from start")
    lines, points = _lines(scene, False), _points(scene, intervals=False)
    axis = _axis(lines, points, ticks_for(height - 2))
    cells.blit(1, 0, draw(chart(scene, lines, axis, points), width, height - 1))
    return cells


def enlarged(scene: Scene, width: int, height: int) -> Cells:
    """Adds every estimator, the other direction, the distance to the reference, and reward gained for each nat."""
    cells = Cells(width, height)
    if not _known(scene):
        heading(cells, scene, "", "", "KL drift", Ink.UNKNOWN)
        return nothing(cells, scene.why(EXACT))
    value, note = headline(scene)
    heading(
        cells, scene, "", "", "KL drift", Ink.KL, value, note, "nats/token between the policy and its starting weights"
    )
    rows: list[Row] = [
        ("exact, full vocabulary", EXACT, Ink.KL),
        ("estimate k3 (never negative)", K3, Ink.KL),
        ("estimate k1 (unbiased)", K1, Ink.SERIES_0),
        ("start to policy (forward)", FORWARD, Ink.SERIES_2),
        ("to the reference", REFERENCE, Ink.SERIES_1),
        ("as the trainer penalises it", "kl", Ink.TEXT),
    ]
    sign = "*" if scene.ascii_only else "◆"
    caption = f"{sign} exact, with its 95 % interval; lines: smoothed over a half-life of {scene.half_life:.0f} steps"
    bought = gain(scene)
    caption += f"; reward gained for each nat: {bought}" if bought else ""
    lines, points = _lines(scene, True), _points(scene)
    chart_over_table(cells, scene, lines, lambda count: _axis(lines, points, count), rows, caption, points)
    return cells


def headline(scene: Scene) -> tuple[str, str]:
    """The exact value with its error and its step where a probe took one lately, otherwise the sampled estimate."""
    exact, estimate = scene.value(EXACT), scene.value(K3)
    if exact is None:
        taken = _taken(scene, K3)
        return number(estimate), f"k3 estimate at {taken:,}" if taken >= 0 and _old(scene, taken) else "k3 estimate"
    taken = _taken(scene, EXACT)
    if _old(scene, taken) and not _old(scene, _taken(scene, K3)):
        return number(estimate), f"k3, exact {number(exact)} at {taken:,}"
    error = scene.value("kl/base_se")
    note = f"exact ±{1.96 * error:.1g}" if error is not None else "exact"
    return number(exact), note if taken == scene.step else f"{note} at {taken:,}"


def _taken(scene: Scene, name: str) -> int:
    """The step whose value counts at the step shown; -1 where there is none."""
    series = scene.series(name)
    known = series.steps[(series.steps <= scene.step) & np.isfinite(series.values)]
    return int(known[-1]) if len(known) else -1


def _old(scene: Scene, taken: int) -> bool:
    return scene.step - taken > OLD * scene.step


def gain(scene: Scene) -> str:
    """Reward bought so far for each nat a token of drift; empty while there is no drift to speak of."""
    exact, estimate = scene.value(EXACT), scene.value(K3)
    newer = _taken(scene, K3) > _taken(scene, EXACT) and _old(scene, _taken(scene, EXACT))
    drift = estimate if exact is None or newer else exact
    reward, start = scene.value("reward"), scene.start("reward")
    if drift is None or reward is None or start is None or drift < 1e-4:
        return ""
    return number((reward - start) / drift)


def _known(scene: Scene) -> bool:
    return any(scene.value(name) is not None for name in (EXACT, K3, K1))


def _lines(scene: Scene, everything: bool) -> list[Line]:
    lines: list[Line] = []
    if everything:
        for name, ink, label in ((REFERENCE, Ink.SERIES_1, "reference"), (K1, Ink.SERIES_0, "k1")):
            series = scene.series(name)
            if len(series):
                lines.append(Line(series.steps, scene.smoothed(name), ink, label))
    series = scene.series(K3)
    if len(series):
        lines += raw_and_smooth(scene, K3, Ink.KL, "k3")
    elif len(exact := scene.series(EXACT)):
        lines.append(Line(exact.steps, exact.values, Ink.KL | SOFT, behind=scene.behind(EXACT)))
    return lines


def _points(scene: Scene, intervals: bool = True) -> list[Points]:
    exact, error = scene.series(EXACT), scene.series("kl/base_se")
    if not len(exact):
        return []
    known = intervals and len(error) == len(exact)
    half = 1.96 * error.values if known else np.full(len(exact), np.nan)
    return [Points(exact.steps, exact.values, Ink.KL, "◆", exact.values - half, exact.values + half)]


def _axis(lines: Sequence[Line], points: Sequence[Points], count: int) -> Axis:
    """From 0, or from below where a sampled estimate went far below."""
    low, high = typical_span(lines) or (0.0, 0.0)
    low_exact, high_exact = span_of(*(point.values for point in points)) or (low, high or 1.0)
    low, high = min(low, low_exact), max(high, high_exact)
    floor = 0.0 if low > -0.1 * high else None
    return linear(min(0.0, low), high, count, floor=floor)
