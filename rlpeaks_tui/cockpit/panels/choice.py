"""Where the entropy is and which way it goes: forking tokens against the others, and the covariance that moves it.

To first order a step of policy gradient changes entropy by minus the learning rate times the covariance of
log-probability and advantage (2505.22617): where likely tokens are paid more than unlikely ones, choice is lost.
"""

from __future__ import annotations

import math

import numpy as np

from rlpeaks_tui.stats.forecast import Forecast, foresee
from rlpeaks_tui.stats.longrun import series_mean
from rlpeaks_tui.stats.rules_training import SPENT
from rlpeaks_tui.stats.summaries import smooth
from rlpeaks_tui.stats.tokens import FORKING_SHARE, TOP_SHARE

from ..axes import Floats, linear
from ..cells import SOFT, Cells, Ink
from ..chart import Line, draw
from ..raster import Ints
from ..scene import Scene
from ..words import number, percent, signed
from .budget import is_over, last_change, of_entropy, outlook
from .parts import Row, axis_over, chart, metric_table, nothing, raw_and_smooth, ticks_for, typical_span
from .story import Part, Told, both, level, plus_minus, tell, until, untold

ALL, FORKS, OVERLAP = "entropy", "entropy/forking", "entropy/forking_overlap"
COVARIANCE, TOP = "cov/logp_advantage", "cov/top_share"
CHANCE = FORKING_SHARE / (2 - FORKING_SHARE)
"""Overlap of two random fifths."""
RECENT = 50
"""Rows since the last change of the training over which it is told which way entropy goes."""


def classes(scene: Scene, width: int, height: int) -> Cells:
    """Entropy of forks and of all other tokens, how much of it the forks hold, and how many the base shares."""
    forks, everywhere = scene.value(FORKS), scene.value(ALL)
    if forks is None or everywhere is None:
        return untold("Entropy by token", scene.why(FORKS), scene, width, height)
    rest = float(others(everywhere, forks))
    note = f"at forks, {number(rest)} at the other tokens"
    rows: list[Row] = [
        ("all tokens", ALL, Ink.ENTROPY),
        ("forking tokens", FORKS, Ink.SERIES_1),
        ("forks shared with the base", OVERLAP, Ink.SERIES_4),
    ]
    parts = [
        Part("nats a token", lambda w, h: _by_class(scene, w, h)),
        Part("overlap of forks with the base's", lambda w, h: _overlap(scene, w, h)),
        Part("share of all entropy in the forks", lambda w, h: _held(scene, w, h)),
        Part("now and over the run", lambda w, h: metric_table(scene, rows, w, h), len(rows) + 2),
    ]
    caption = ["forks: the fifth of a step's tokens with the most entropy", "others: what is left of the mean"]
    unit = "nats/token"
    told = Told("Entropy by token", Ink.ENTROPY, number(forks), note, unit, _classes_said(scene, rest), caption, parts)
    return tell(told, scene, width, height)


def others(everywhere: float | Floats, forks: float | Floats) -> Floats:
    """Mean entropy of the tokens that are no forks, from the means of all and of the forks; not below 0."""
    return np.maximum(0.0, (np.asarray(everywhere) - FORKING_SHARE * np.asarray(forks)) / (1 - FORKING_SHARE))


def _classes_said(scene: Scene, rest: float) -> list[str]:
    everywhere, forks = scene.value(ALL), scene.value(FORKS)
    first, first_forks = scene.start(ALL), scene.start(FORKS)
    said = []
    if everywhere and forks is not None:
        said.append(f"forks hold {percent(min(1.0, FORKING_SHARE * forks / everywhere))} of all entropy")
    if first and first_forks and forks is not None:
        start = float(others(first, first_forks))
        moved = f"since the start forks have {_moved(first_forks, forks)}"
        said.append(f"{moved}, the others {_moved(start, rest)}" if start > 0 else moved)
    overlap = scene.value(OVERLAP)
    if overlap is not None:
        told = "mostly the same choices" if overlap > 0.5 else "mostly other choices"
        said.append(f"{overlap:.2f} of the forks of either are forks of both (chance {CHANCE:.2f}): {told}")
    return said


def _moved(start: float, now: float) -> str:
    share = now / start - 1
    return f"lost {percent(-share)}" if share < 0 else f"gained {percent(share)}"


def _paired(scene: Scene) -> tuple[Ints, Floats, Floats]:
    """Steps at which both are known, entropy of all tokens, entropy of forks."""
    return both(scene, ALL, FORKS)


def _by_class(scene: Scene, width: int, height: int) -> Cells:
    steps, everywhere, forks = _paired(scene)
    rest = others(everywhere, forks)
    lines = [
        Line(steps, rest, Ink.SERIES_0 | SOFT),
        Line(steps, smooth(rest, scene.half_life), Ink.SERIES_0, "others"),
        *raw_and_smooth(scene, FORKS, Ink.SERIES_1, "forks"),
        Line(scene.series(ALL).steps, scene.smoothed(ALL), Ink.ENTROPY, "all", heavy=True),
    ]
    _, high = typical_span(lines) or (0.0, 1.0)
    axis = linear(0.0, high, ticks_for(height - 1), floor=0.0)
    return draw(chart(scene, lines, axis, labels=8 if width >= 40 else 0), width, height)


def _held(scene: Scene, width: int, height: int) -> Cells:
    steps, everywhere, forks = _paired(scene)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        share = np.minimum(FORKING_SHARE * forks / everywhere, 1.0)
    lines = [
        Line(steps, share, Ink.SERIES_1 | SOFT),
        Line(steps, smooth(share, scene.half_life), Ink.SERIES_1, "in forks", heavy=True),
    ]
    return draw(chart(scene, lines, axis_over(lines, ticks_for(height - 1), 0.0, 1.0), labels=10), width, height)


def _overlap(scene: Scene, width: int, height: int) -> Cells:
    if not len(scene.series(OVERLAP)):
        return nothing(Cells(width, height), scene.why(OVERLAP))
    lines = [level(scene, CHANCE, Ink.DIM, "chance"), *raw_and_smooth(scene, OVERLAP, Ink.SERIES_4, "shared")]
    axis = linear(0.0, 1.0, ticks_for(height - 1), 0.0, 1.0)
    return draw(chart(scene, lines, axis, labels=8 if width >= 40 else 0), width, height)


def covariance(scene: Scene, width: int, height: int) -> Cells:
    """Covariance of log-probability and advantage, what it says of entropy, and what entropy has done."""
    if scene.value(COVARIANCE) is None:
        return untold("Covariance", scene.why(COVARIANCE), scene, width, height)
    mean, half = recent_mean(scene, COVARIANCE)
    value = f"{signed(mean)} {plus_minus(half)}".strip()
    parts = [
        Part("covariance of log-probability and advantage", lambda w, h: _covariance(scene, w, h)),
        Part("entropy, nats a token", lambda w, h: _entropy(scene, w, h)),
        Part(f"share of it in {100 * TOP_SHARE:.1g} % of the tokens", lambda w, h: _top(scene, w, h)),
        Part(
            "now and over the run",
            lambda w, h: metric_table(scene, _ROWS, w, h),
            len(_ROWS) + 2,
        ),
    ]
    caption = [
        f"mean of at most {RECENT} steps since a change, with 95 % interval",
        "thin: as recorded",
        "heavy: smoothed",
    ]
    unit = "log-probability and advantage, over all tokens of a step"
    told = Told(
        "Covariance", Ink.ENTROPY, value, direction(mean, half), unit, _moves(scene, mean, half), caption, parts
    )
    return tell(told, scene, width, height)


_ROWS: list[Row] = [
    ("covariance", COVARIANCE, Ink.ENTROPY),
    ("held by the largest terms", TOP, Ink.SERIES_1),
    ("entropy", ALL, Ink.ENTROPY),
    ("learning rate", "learning_rate", Ink.TEXT),
]


def recent_mean(scene: Scene, name: str) -> tuple[float, float]:
    """Mean of the recent rows and the half-width of its 95 % interval; nan where they are too few, or too alike."""
    found = series_mean(_recent(scene, name)[1])
    return found.mean, found.half


def direction(mean: float, half: float) -> str:
    """Which way the updates push entropy, to first order: what it does is told beside it."""
    if not math.isfinite(half):
        return "not enough steps yet"
    if abs(mean) <= half:
        return "no direction told"
    return "pushes entropy down" if mean > 0 else "pushes entropy up"


def slope_of(scene: Scene, name: str) -> Forecast:
    """The trend of the recent rows."""
    steps, values = _recent(scene, name)
    return foresee(steps, values, 0.0, floor=True)


def _recent(scene: Scene, name: str) -> tuple[Ints, Floats]:
    """Steps and values of the last RECENT rows, none of them from before the last change of the training."""
    steps, values = until(scene, name)
    since = np.searchsorted(steps, last_change(scene), side="right")
    return steps[since:][-RECENT:], values[since:][-RECENT:]


def _moves(scene: Scene, mean: float, half: float) -> list[str]:
    said = []
    if math.isfinite(half) and abs(mean) > half:
        said.append(
            "likely tokens are paid more than unlikely ones, which makes them likelier still"
            if mean > 0
            else "unlikely tokens are paid more than likely ones, which opens choices"
        )
    trend = slope_of(scene, ALL)
    if math.isfinite(trend.slope):
        told = trend.slope_low > 0 or trend.slope_high < 0
        moved = f"{signed(trend.slope)} nats a step (95 % {signed(trend.slope_low)} to {signed(trend.slope_high)})"
        said.append(f"entropy over the same steps: {moved if told else 'no trend beyond chance'}")
    share = scene.value(TOP)
    if share is not None:
        found = scene.rollouts
        tokens = 0 if found is None else int(found.length.sum())
        count = max(1, math.ceil(TOP_SHARE * tokens)) if tokens else 0
        few = f" (about {count} of {tokens:,} tokens)" if count else ""
        said.append(f"the largest {100 * TOP_SHARE:.1g} % of terms{few} hold {percent(share)} of all that is positive")
    floor = of_entropy(scene)
    if floor is not None:
        when = outlook(floor, scene.step, scene.snapshot.max_steps, is_over(scene))
        said.append(f"down to {percent(SPENT)} of its start: {when}")
    said.append("first order only: optimizer, clipping and shared weights move entropy as well")
    return said


def _covariance(scene: Scene, width: int, height: int) -> Cells:
    lines = [level(scene, 0.0, Ink.DIM, "none"), *raw_and_smooth(scene, COVARIANCE, Ink.ENTROPY, "cov")]
    return draw(
        chart(scene, lines, axis_over(lines, ticks_for(height - 1)), labels=6 if width >= 40 else 0), width, height
    )


def _entropy(scene: Scene, width: int, height: int) -> Cells:
    lines = raw_and_smooth(scene, ALL, Ink.ENTROPY)
    _, high = typical_span(lines) or (0.0, 1.0)
    return draw(chart(scene, lines, linear(0.0, high, ticks_for(height - 1), floor=0.0)), width, height)


def _top(scene: Scene, width: int, height: int) -> Cells:
    if not len(scene.series(TOP)):
        return nothing(Cells(width, height), scene.why(TOP))
    lines = raw_and_smooth(scene, TOP, Ink.SERIES_1)
    return draw(chart(scene, lines, axis_over(lines, ticks_for(height - 1), 0.0, 1.0)), width, height)
