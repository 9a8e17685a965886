"""Calibration by source of confidence and by difficulty: the same diagram several times, beside the same figures.

One error for everything can hide that easy prompts are undersold and hard ones oversold. And what a policy states,
how sure its tokens are, and how far its group agrees are three things that only happen to be called confidence.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from rlpeaks_tui.run.measured import Reliability
from rlpeaks_tui.stats.confidence import METRIC, SOURCES
from rlpeaks_tui.stats.summaries import combined

from ..axes import linear, span_of
from ..cells import BOLD, Cells, Ink, fit
from ..chart import Line, draw
from ..scene import Scene
from ..words import signed
from .calibration import ECE, diagram, verdict_of
from .confidence_study import EASY, HARD, Part, Parts
from .parts import chart, clauses, heading, nothing, ticks_for

NARROWEST = 26
"""Columns that a diagram takes at least."""
SPLIT = 0.05
"""Difference of mean confidence between easy and hard prompts from which on the policy counts as telling them apart."""
TOGETHER = "±: 95 % by prompt, all rows together"
INKS = (Ink.CALIBRATION, Ink.SERIES_1, Ink.SERIES_4)


def sources(scene: Scene, width: int, height: int) -> Cells:
    """The three sources side by side, and the error of each over time."""
    cells = Cells(width, height)
    parts = _ready(cells, scene)
    if parts is None:
        return cells
    value, note = closest(parts)
    unit = f"the run's own: {parts.source}"
    heading(cells, scene, "", "", "Calibration by source", Ink.CALIBRATION, value, note, unit)
    said = ["each source means something else: compare their errors, not their levels", TOGETHER]
    cells.put(1, 0, clauses(said, width, 1)[0], Ink.FAINT)
    rest = height - 3 - _body(cells, scene, [_as_journaled(scene, parts, part) for part in parts.by_source], 3, height)
    if rest >= 8:
        y = height - rest + 1
        cells.put(y, 0, "calibration error by source over time, as journaled", Ink.FAINT)
        cells.blit(y + 1, 0, _history(scene, parts, width, min(rest - 2, 20)))
    return cells


def _as_journaled(scene: Scene, parts: Parts, part: Part) -> Part:
    """The run's own source with the interval that the run has told: another draw of it would be another one."""
    if part.name != parts.source or part.found.n != scene.value("calibration/n"):
        return part
    told = {name: scene.value(f"calibration/{name}") for name in ("ece_debiased", "ece_low", "ece_high")}
    return replace(part, found=replace(part.found, **told))


def difficulty(scene: Scene, width: int, height: int) -> Cells:
    """Hard, medium and easy prompts side by side, by what the rest of the group achieved."""
    cells = Cells(width, height)
    parts = _ready(cells, scene)
    if parts is None:
        return cells
    title, ink = "Calibration by difficulty", Ink.CALIBRATION
    heading(cells, scene, "", "", title, ink, point(parts), parts.source, _window(parts))
    said = [f"by the share right of the others in the group: hard to {HARD:g}, easy from {EASY:g}", TOGETHER]
    cells.put(1, 0, clauses(said, width, 1)[0], Ink.FAINT)
    _body(cells, scene, parts.by_difficulty, 3, height)
    return cells


def closest(parts: Parts) -> tuple[str, str]:
    """The source with clearly the least error and that error, or that there is none."""
    errors = {part.name: part.found.ece for part in parts.by_source if part.found.ece is not None}
    if not errors:
        return "no source has enough rollouts", ""
    if len(errors) > 1 and not parts.closest:
        return "no source is clearly closer", ""
    name = parts.closest or next(iter(errors))
    return f"{'closest' if len(errors) > 1 else 'only'}: {name}", f"ECE {errors[name]:.2f}"


def point(parts: Parts) -> str:
    """Whether confidence follows difficulty: the means on hard and on easy prompts, and what they come to.

    That it does takes a difference beyond chance, that it does not an interval of the difference that lies below SPLIT.
    """
    hard, _, easy = (part.said for part in parts.by_difficulty)
    if not hard.n or not easy.n:
        return "too few prompts are hard, or easy"
    apart = combined((easy, hard), (1.0, -1.0))
    if apart.mean + apart.half < SPLIT:
        words = "does not know what is hard"
    elif apart.sign() > 0:
        words = "states less where it is hard"
    else:
        words = "unclear whether it knows what is hard"
    return f"{words}: {hard.mean:.2f} hard, {easy.mean:.2f} easy"


def said_of(part: Part, looks: int = 1) -> tuple[str, int]:
    """Over- or underconfident with the interval between prompts, one of `looks` that hold together, and its ink."""
    gap, spread = part.found.gap.mean, part.found.gap.half_among(looks)
    if not np.isfinite(gap):
        return "no outcomes", Ink.UNKNOWN
    if not np.isfinite(spread):
        return f"{signed(gap, 2)}, one prompt", Ink.UNKNOWN
    if spread >= 1:
        return f"{signed(gap, 2)}, too few prompts", Ink.UNKNOWN
    words = verdict_of(gap, spread)
    # The direction is in the word.
    size = f"{abs(gap):.2f}" if words.endswith("confident") else signed(gap, 2)
    ink = {"overconfident": Ink.WARN, "underconfident": Ink.WARN, "about right": Ink.GOOD}.get(words, Ink.UNKNOWN)
    return f"{words} {size} ±{spread:.2f}", ink


def _ready(cells: Cells, scene: Scene) -> Parts | None:
    if isinstance(scene.study, Parts):
        return scene.study
    heading(cells, scene, "", "", "Calibration", Ink.UNKNOWN)
    known = scene.reliability is not None
    nothing(cells, "no completions of this window are kept, or they are being read" if known else scene.why(ECE))
    return None


def _window(parts: Parts) -> str:
    return f"rollouts of steps {parts.first:,} to {parts.last:,}"


def _body(cells: Cells, scene: Scene, parts: Sequence[Part], y: int, bottom: int) -> int:
    """The table and, over it where there is room, the diagrams; gives the rows used."""
    width, table = cells.width, len(parts) + 1
    tall = min(bottom - y - table - 2, 22)
    pitch = width // len(parts)
    used = 0
    if pitch >= NARROWEST and tall >= 6:
        for i, part in enumerate(parts):
            wide = min(pitch - 2 if pitch > NARROWEST + 2 else pitch, 70)
            cells.put(y, i * pitch + 4, fit(part.name, wide - 4), INKS[i] | BOLD)
            cells.blit(y + 1, i * pitch, _diagram(scene, part, wide, tall - 1))
        used = tall + 1
    _table(cells, y + used, parts)
    return used + table


def _diagram(scene: Scene, part: Part, width: int, height: int) -> Cells:
    bins = part.found.reliability
    if bins is None:
        return nothing(Cells(width, height), part.found.why.get("reliability", "no rollouts"))
    found = Reliability(0, bins.edges, bins.count, bins.confidence, bins.accuracy, part.name, 0.0, size=bins.size)
    return diagram(scene, found, width, height)


def _table(cells: Cells, y: int, parts: Sequence[Part]) -> None:
    """One row a part, in figures; columns that have no room are left out."""
    columns = {"n": 6, "ECE": 6, "stated": 7, "correct": 8, "AUROC": 8, "debiased, 95 %": 22, "prompts": 9}
    name, words = max(len(part.name) for part in parts), 35
    while name + sum(columns.values()) + words > cells.width and len(columns) > 2:
        columns.popitem()
    stops: dict[str, int] = {}
    x = name
    for title, wide in columns.items():
        x = stops[title] = x + wide
        cells.put_right(y, x, title, Ink.FAINT)
    for row, part in enumerate(parts, y + 1):
        cells.put(row, 0, part.name, INKS[row - y - 1])
        found = part.found
        interval = f"{_two(found.ece_debiased)}, {_two(found.ece_low)} to {_two(found.ece_high)}"
        texts = {
            "n": f"{found.n:,}",
            "prompts": f"{found.clusters:,}",
            "stated": _two(found.confidence),
            "correct": _two(found.accuracy),
            "ECE": _two(found.ece),
            "AUROC": _two(found.auroc),
            "debiased, 95 %": interval if found.ece_debiased is not None else "-",
        }
        for title, stop in stops.items():
            cells.put_right(row, stop, texts[title], Ink.TEXT if title == "ECE" else Ink.DIM)
        said, ink = said_of(part, len(parts))
        cells.put(row, x + 2, fit(said, cells.width - x - 2), ink)


def _history(scene: Scene, parts: Parts, width: int, height: int) -> Cells:
    lines = []
    for ink, source in zip(INKS, SOURCES, strict=True):
        name = ECE if source == parts.source else METRIC.get(source, "")
        series = scene.series(name)
        if len(series):
            lines.append(Line(series.steps, series.values, ink, source.split(" ")[0], behind=scene.behind(name)))
    if not lines:
        return nothing(Cells(width, height), scene.why(ECE))
    _, top = span_of(*(line.values for line in lines)) or (0.0, 0.1)
    axis = linear(0.0, top, ticks_for(height - 1), floor=0.0, ceiling=1.0)
    return draw(chart(scene, lines, axis, labels=11), width, height)


def _two(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
