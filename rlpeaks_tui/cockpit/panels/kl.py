"""How far the policy has moved from its starting weights, in nats a token, and how well that is known.

Sampled estimates exist at every step and are noisy; the exact one over the full vocabulary exists where a probe
took it, and is drawn as a point with its interval. Where both are there they should agree.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlpeaks_tui.stats.longrun import series_mean
from rlpeaks_tui.stats.student import degrees_between, student95

from ..axes import Axis, Floats, linear, span_of
from ..cells import SOFT, Cells, Ink, width_of
from ..chart import Line, Points, draw
from ..raster import Ints
from ..scene import Scene
from ..words import number, plural
from .parts import Row, chart, heading, metric_table, nothing, raw_and_smooth, ticks_for, typical_span
from .story import ROOMY, Part, Told, how_drawn, tell, until, untold

RECENT = 50
"""Steps over which the sampled estimates are held against each other."""

OLD = 0.25
"""An exact value older than this share of the steps so far is history, and the headline is the estimate of now."""

NOISE = 2.5
"""How much higher than what is steady the axis may go for the sake of what is not."""
WORDY = 68
"""Columns in which the heading says from where, whatever else it says."""

EXACT, K3, K1, FORWARD, REFERENCE = "kl/base", "kl/base_k3", "kl/base_k1", "kl/base_forward", "kl/ref"


def overview(scene: Scene, width: int, height: int) -> Cells:
    cells = Cells(width, height)
    if not _known(scene):
        heading(cells, scene, "kl", "3", "KL drift", Ink.UNKNOWN)
        return nothing(cells, scene.why(EXACT))
    value, note = headline(scene)
    unit = "nats/token from start" if width >= WORDY else "nats/token"
    heading(cells, scene, "kl", "3", "KL drift", Ink.KL, value, note, unit)
    lines, points = _lines(scene, False), _points(scene, intervals=False)
    axis = _axis(lines, points, ticks_for(height - 2))
    cells.blit(1, 0, draw(chart(scene, lines, axis, points), width, height - 1))
    return cells


def enlarged(scene: Scene, width: int, height: int) -> Cells:
    """Adds every estimator and why they differ, the other direction, and the distance to the reference."""
    if not _known(scene):
        return untold("KL drift", scene.why(EXACT), scene, width, height)
    value, note = headline(scene)
    rows: list[Row] = [
        ("exact, full vocabulary", EXACT, Ink.KL),
        ("estimate k3 (never negative)", K3, Ink.KL),
        ("estimate k1 (unbiased)", K1, Ink.SERIES_0),
        ("start to policy (forward)", FORWARD, Ink.SERIES_2),
        ("to the reference", REFERENCE, Ink.SERIES_1),
        ("as the trainer penalises it", "kl", Ink.TEXT),
    ]
    sign = "*" if scene.ascii_only else "◆"
    lines = _lines(scene, True)
    caption = how_drawn(scene, lines, f"{sign} exact, 95 % interval", "lines")
    parts = [
        Part("policy to start, by every estimator", lambda w, h: _chart(scene, lines, _points(scene), w, h)),
    ]
    if len(scene.series(FORWARD)):
        parts.append(Part("start to policy, on what the start wrote", lambda w, h: _forward(scene, w, h)))
    table = Part("now and over the run", lambda w, h: metric_table(scene, rows, w, h), len(rows) + 2)
    parts.insert(len(parts) if width >= ROOMY else 1, table)
    unit = "nats/token between the policy and its starting weights"
    return tell(
        Told("KL drift", Ink.KL, value, note, unit, why_they_differ(scene), caption, parts), scene, width, height
    )


def why_they_differ(scene: Scene) -> list[str]:
    """What each estimator is, the two sampled ones over the same steps first."""
    said = []
    _, one, three = _common(scene)
    if len(one) >= 5:
        told = "they differ by more than chance" if series_mean(three - one).sign() else "they agree"
        said.append(f"last {len(one)} steps: k1 {number(float(one.mean()))}, k3 {number(float(three.mean()))}: {told}")
    probe = scene.probe("kl")
    of = f" of {plural(probe.n, 'completion')}" if probe is not None and probe.n else ""
    said.append(f"exact: the whole vocabulary at every token{of}, least noise")
    said.append("k1: log p − log p0 of the tokens written, may be negative")
    said.append("k3: never negative, but one token that the policy has left can raise a step")
    if scene.value(FORWARD) is not None:
        said.append("forward: the base's view on its own text, the better predictor of forgetting")
    return said


def _common(scene: Scene) -> tuple[Ints, Floats, Floats]:
    """The last RECENT steps up to the one shown with both sampled estimates, k1 and k3."""
    (at, one), (also, three) = until(scene, K1), until(scene, K3)
    steps, of_one, of_three = np.intersect1d(at, also, return_indices=True)
    return steps[-RECENT:], one[of_one][-RECENT:], three[of_three][-RECENT:]


def _chart(scene: Scene, lines: Sequence[Line], points: Sequence[Points], width: int, height: int) -> Cells:
    axis = _axis(lines, points, ticks_for(height - 1))
    labels = max((width_of(line.label) for line in lines), default=0) + 2
    return draw(chart(scene, lines, axis, points, labels if width >= 40 else 0), width, height)


def _forward(scene: Scene, width: int, height: int) -> Cells:
    series, error = scene.series(FORWARD), scene.series(f"{FORWARD}_se")
    half = quantile(scene) * error.values if len(error) == len(series) else np.full(len(series), np.nan)
    points = [Points(series.steps, series.values, Ink.SERIES_2, "◆", series.values - half, series.values + half)]
    return _chart(scene, [Line(series.steps, series.values, Ink.SERIES_2 | SOFT)], points, width, height)


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
    note = f"exact ±{quantile(scene) * error:.1g}" if error is not None else "exact"
    return number(exact), note if taken == scene.step else f"{note} at {taken:,}"


def quantile(scene: Scene) -> float:
    """Half-width of the 95 % interval of the exact value in its standard errors, which are those between completions;
    each probe takes as many.
    """
    probe = scene.probe("kl")
    return student95(degrees_between(0 if probe is None else probe.n))


def _taken(scene: Scene, name: str) -> int:
    """The step whose value counts at the step shown; -1 where there is none."""
    series = scene.series(name)
    known = series.steps[(series.steps <= scene.step) & np.isfinite(series.values)]
    return int(known[-1]) if len(known) else -1


def _old(scene: Scene, taken: int) -> bool:
    return scene.step - taken > OLD * scene.step


def drift_metric(scene: Scene) -> str:
    """The drift that exists at most steps: k1, which is noisy but light-tailed, so that a trend in it can be trusted;
    else k3, else the exact value. One k3 of a token that the policy has left would tilt any line.
    """
    return next((name for name in (K1, K3) if len(until(scene, name)[0])), EXACT)


def _known(scene: Scene) -> bool:
    return any(scene.value(name) is not None for name in (EXACT, K3, K1))


def _lines(scene: Scene, everything: bool) -> list[Line]:
    """The last ones lie over the others: an estimate that is noisy would hide those that are not."""
    lines: list[Line] = []
    series = scene.series(K3)
    if len(series):
        lines += raw_and_smooth(scene, K3, Ink.KL, "k3")
    elif len(exact := scene.series(EXACT)):
        lines.append(Line(exact.steps, exact.values, Ink.KL | SOFT, behind=scene.behind(EXACT)))
    if everything:
        for name, ink, label in ((REFERENCE, Ink.SERIES_1, "reference"), (K1, Ink.SERIES_0, "k1")):
            series = scene.series(name)
            if len(series):
                lines.append(Line(series.steps, scene.smoothed(name), ink, label))
    return lines


def _points(scene: Scene, intervals: bool = True) -> list[Points]:
    exact, error = scene.series(EXACT), scene.series("kl/base_se")
    if not len(exact):
        return []
    known = intervals and len(error) == len(exact)
    half = quantile(scene) * error.values if known else np.full(len(exact), np.nan)
    return [Points(exact.steps, exact.values, Ink.KL, "◆", exact.values - half, exact.values + half)]


def _axis(lines: Sequence[Line], points: Sequence[Points], count: int) -> Axis:
    """From 0, or from below where a sampled estimate went far below; up to where the noise of one hides nothing that is
    steady, which is what is exact or else smoothed."""
    low, high = typical_span(lines) or (0.0, 0.0)
    smooth = typical_span([line for line in lines if not line.ink & SOFT]) or (low, high or 1.0)
    low_steady, high_steady = span_of(*(point.values for point in points)) or smooth
    low, high = min(low, low_steady), max(min(high, NOISE * high_steady), high_steady)
    floor = 0.0 if low > -0.1 * high else None
    return linear(min(0.0, low), high, count, floor=floor)
