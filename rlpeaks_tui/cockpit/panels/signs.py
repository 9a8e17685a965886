"""What an update does to right and to wrong answers: is the policy pushed up on the one, or only down on the other?

The log-probability of the step's own completions is measured again after the update. Where wrong answers lose and
right ones gain nothing, or lose as well, because they share tokens with wrong ones, the likelihood that is taken
away goes somewhere that nobody judged: lazy likelihood displacement (2505.18830).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rlpeaks_tui.stats.longrun import series_mean
from rlpeaks_tui.stats.summaries import Estimate

from ..cells import SOFT, Cells, Ink, fit, wrap
from ..chart import Line, Points, draw
from ..scene import Scene
from ..words import number, signed
from .parts import Row, axis_over, chart, clauses, heading, metric_table, misleading, nothing, ticks_for

RIGHT, WRONG = "dlogp/right", "dlogp/wrong"
POSITIVE, NEGATIVE, COSINE = "gradient/positive", "gradient/negative", "gradient/cosine"
WINDOW = 20
"""Probes that are averaged for what is said in words: one alone is mostly noise."""
ROWS: tuple[Row, ...] = (
    ("right, nats/token an update", RIGHT, Ink.GOOD),
    ("wrong, nats/token an update", WRONG, Ink.BAD),
    ("gradient of positive", POSITIVE, Ink.SERIES_2),
    ("gradient of negative", NEGATIVE, Ink.SERIES_3),
    ("cosine of both", COSINE, Ink.TEXT),
)
PEAKS: tuple[Row, ...] = (
    ("peaks", "peaks/ratio", Ink.TEXT),
    ("peaks, shuffled gold", "peaks/control", Ink.DIM),
    ("peak height", "peaks/aom", Ink.TEXT),
)


def overview(scene: Scene, width: int, height: int) -> Cells:
    cells = Cells(width, height)
    if not len(scene.series(RIGHT)) and not len(scene.series(WRONG)):
        heading(cells, scene, "signs", "f", "Right and wrong", Ink.UNKNOWN)
        return nothing(cells, scene.why(RIGHT))
    said, _ = verdict(recent(scene, RIGHT), recent(scene, WRONG), apart(scene))
    heading(cells, scene, "signs", "f", "Right and wrong", Ink.REWARD, said, figures(scene), "log-prob change")
    cells.blit(1, 0, _changes(scene, width, height - 1))
    return cells


def changes(scene: Scene, width: int, height: int) -> Cells:
    """The change of log-probability through each measured update, of right and of wrong completions."""
    cells = Cells(width, height)
    if not len(scene.series(RIGHT)) and not len(scene.series(WRONG)):
        heading(cells, scene, "", "", "Right and wrong", Ink.UNKNOWN)
        return nothing(cells, scene.why(RIGHT))
    right, wrong = recent(scene, RIGHT), recent(scene, WRONG)
    difference = apart(scene)
    said, more = verdict(right, wrong, difference)
    unit = "log-probability through one update"
    heading(cells, scene, "", "", "Right and wrong", Ink.REWARD, said, "nats/token", unit)
    rows = _rows(scene)
    table = min(len(rows) + 1, max(3, height // 3))
    warnings = misleading(RIGHT, width, 2 if height >= 24 else 0)
    y = height - table - len(warnings) - 1
    told = wrap(more, width, 2)
    for at, line in enumerate(told, 1):
        cells.put(at, 0, line, Ink.TEXT)
    top = 1 + len(told)
    cells.blit(top, 0, _changes(scene, width, y - 2 - top))
    caption = [f"mean of the last {max(right.n, wrong.n)}: {figures(scene)}", "±: 95 % interval"]
    if difference.n:
        caption.append(f"right less wrong {_mean(difference)}")
    caption.append("points: each update")
    for line in clauses(caption, width, 1):
        cells.put(y - 1, 0, line, Ink.FAINT)
    for at, line in enumerate(warnings, y):
        cells.put(at, 0, line, Ink.DIM)
    cells.blit(height - table, 0, metric_table(scene, rows, width, table))
    return cells


def gradients(scene: Scene, width: int, height: int) -> Cells:
    """How hard both halves of the objective pull, and whether they pull apart."""
    cells = Cells(width, height)
    if all(scene.value(name) is None for name in (COSINE, POSITIVE, NEGATIVE)):
        heading(cells, scene, "", "", "Gradients by sign", Ink.UNKNOWN)
        return nothing(cells, scene.why(COSINE))
    ratios, angles = pulls(scene), _known(scene, COSINE)[1][-WINDOW:]
    said = balance(float(np.median(ratios))) if len(ratios) else "one part is not known"
    cosine = f"cosine {signed(float(np.median(angles)))}, " if len(angles) else ""
    note = f"{cosine}medians of the last {max(len(ratios), len(angles))}"
    heading(cells, scene, "", "", "Gradients by sign", Ink.REWARD, said, note, "of positive and negative advantage")
    rows = _rows(scene)
    table = min(len(rows) + 1, max(3, height // 3))
    warnings = misleading(COSINE, width, 2 if height >= 24 else 0)
    room = height - table - len(warnings) - 3
    norms = [
        _line(scene, POSITIVE, Ink.SERIES_2, "positive"),
        _line(scene, NEGATIVE, Ink.SERIES_3, "negative"),
    ]
    caption = "norm of each part's gradient"
    angle = "cosine: below 0 the parts cancel"
    upper = room - room // 2 if room >= 14 else room
    cells.put(1, 0, fit(caption if upper < room else f"{caption}; {angle}", width), Ink.FAINT)
    axis = axis_over(norms, ticks_for(upper - 2), 0.0)
    cells.blit(2, 0, draw(chart(scene, norms, axis, labels=10), width, upper - 1))
    if upper < room:
        lines = [_zero(scene), _line(scene, COSINE, Ink.REWARD, "cosine")]
        cells.put(upper + 1, 0, fit(angle, width), Ink.FAINT)
        axis = axis_over(lines, ticks_for(room - upper - 1), -1.0, 1.0)
        cells.blit(upper + 2, 0, draw(chart(scene, lines, axis, labels=10), width, room - upper - 1))
    for at, line in enumerate(warnings, height - table - len(warnings)):
        cells.put(at, 0, line, Ink.DIM)
    cells.blit(height - table, 0, metric_table(scene, rows, width, table))
    return cells


def recent(scene: Scene, name: str) -> Estimate:
    """Mean of the last WINDOW values up to the step shown; its error counts that neighbours resemble each other."""
    return series_mean(_known(scene, name)[1][-WINDOW:])


def apart(scene: Scene) -> Estimate:
    """By how much right answers gain more than wrong ones: mean difference of the last WINDOW probes that have both.

    Much of what moves one side through an update moves the other alike, and is not in the difference.
    """
    (at_right, right), (at_wrong, wrong) = (_known(scene, name) for name in (RIGHT, WRONG))
    _, i, j = np.intersect1d(at_right, at_wrong, return_indices=True)
    return series_mean((right[i] - wrong[j])[-WINDOW:])


def verdict(right: Estimate, wrong: Estimate, difference: Estimate) -> tuple[str, str]:
    """In a few words and in a sentence: on which answers the policy is moved, and what that may mean.

    Which of two that move the same way moves more is told by `difference`, right less wrong, beyond its own error.
    """
    if not right.n or not wrong.n:
        return "one side is not known", ""
    match right.sign(), wrong.sign(), difference.sign():
        case 1, -1, _:
            return "right up, wrong down", "Right answers are pushed up and wrong ones down: both signs teach."
        case 1, 1, more:
            which = {1: "the right ones by more", -1: "the right ones by less, which is no learning"}
            return "both up", f"Right and wrong answers gain, {which.get(more, 'neither clearly more')}."
        case 1, _, _:
            return "right up", "Right answers are pushed up; wrong ones do not clearly change."
        case -1, -1, 1:
            return (
                "right ones fall too",
                "Wrong answers fall and take right ones with them: lazy likelihood displacement (arXiv:2505.18830).",
            )
        case -1, -1, 0:
            return "both fall", "Right and wrong answers lose, neither clearly more."
        case -1, 1, _:
            return (
                "right down, wrong up",
                "Right answers lose and wrong ones gain: look at the reward and the advantages.",
            )
        case -1, _, -1:
            return "right ones fall", "Right answers lose more than wrong ones: look at the advantages."
        case -1, _, _:
            return "right ones fall", "Right answers lose; wrong ones do not clearly change."
        case _, -1, _:
            return (
                "wrong down",
                "Wrong answers are pushed down, right ones gain nothing clear: near displacement (arXiv:2505.18830).",
            )
        case _, 1, _:
            return "wrong up", "Wrong answers gain, right ones not clearly: look at the reward."
    return "no clear change", "Neither side clearly changes through an update: noise is larger."


def figures(scene: Scene) -> str:
    """Both means with the half-width of their 95 % interval."""
    return "  ".join(f"{word} {_mean(recent(scene, name))}" for word, name in (("right", RIGHT), ("wrong", WRONG)))


def pulls(scene: Scene) -> NDArray[np.float64]:
    """Gradient of the negative part over that of the positive one, of the last WINDOW probes that have both."""
    (at_positive, positive), (at_negative, negative) = (_known(scene, name) for name in (POSITIVE, NEGATIVE))
    _, i, j = np.intersect1d(at_positive, at_negative, return_indices=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.asarray(negative[j] / positive[i])
    return ratios[~np.isnan(ratios)][-WINDOW:]


def balance(ratio: float) -> str:
    """Which part of the objective has the larger gradient, by the median ratio: single ones are many times as large."""
    if not 0 < ratio < np.inf:
        return "one part has no gradient"
    larger, times = ("negative", ratio) if ratio > 1 else ("positive", 1 / ratio)
    return "both pull alike" if times < 1.5 else f"{larger} pulls {times:.1f} times as hard"


def _known(scene: Scene, name: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Steps and values, shape [n] each, of the probes up to the step shown that found something."""
    series = scene.series(name)
    known = (series.steps <= scene.step) & np.isfinite(series.values)
    return series.steps[known], series.values[known]


def _mean(found: Estimate) -> str:
    if not found.n:
        return "-"
    spread = f" ±{number(found.half)}" if np.isfinite(found.half) else ""
    return f"{signed(found.mean)}{spread}"


def _rows(scene: Scene) -> list[Row]:
    """The table; the peaks only where the run records them."""
    return [*ROWS, *(row for row in PEAKS if len(scene.series(row[1])))]


def _line(scene: Scene, name: str, ink: int, label: str) -> Line:
    series = scene.series(name)
    return Line(series.steps, series.values, ink, label, behind=scene.behind(name))


def _zero(scene: Scene) -> Line:
    return Line(np.array(scene.x, np.int64), np.zeros(2), Ink.DIM, "0")


def _changes(scene: Scene, width: int, height: int) -> Cells:
    lines, points = [_zero(scene)], []
    for name, ink, label, sign in ((RIGHT, Ink.GOOD, "right", "•"), (WRONG, Ink.BAD, "wrong", "x")):
        series = scene.series(name)
        smooth = scene.smoothed(name)
        behind = scene.behind(name, smoothed=True)
        lines.append(Line(series.steps, smooth, ink, label, heavy=True, behind=behind))
        points.append(Points(series.steps, series.values, ink | SOFT, sign))
    spans = [Line(one.steps, one.values, one.ink) for one in points] + lines
    axis = axis_over(spans, ticks_for(height - 1))
    return draw(chart(scene, lines, axis, points, labels=7), width, height)
