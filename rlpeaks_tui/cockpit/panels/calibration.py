"""Whether stated confidence means what it says: what was said against what came true, by bin.

A bar that ends below its mark is a claim that was not kept. The error of a finite sample is never zero, so the
number stands beside its interval and the count it rests on.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rlpeaks_tui.run.follow import Reliability
from rlpeaks_tui.stats.summaries import wilson

from ..axes import linear, span_of
from ..bars import STANDING, stand
from ..cells import BOLD, SOFT, Cells, Ink, fit
from ..chart import GUTTER, Band, Line, draw
from ..scene import Scene
from .parts import Row, chart, heading, metric_table, nothing, ticks_for

ECE = "calibration/ece"
FEW = 10
"""Bins with fewer rollouts are drawn quietly: their height says little."""


def overview(scene: Scene, width: int, height: int) -> Cells:
    cells = Cells(width, height)
    found = scene.snapshot.reliability(scene.step)
    if found is None:
        heading(cells, scene, "calibration", "4", "Calibration", Ink.UNKNOWN)
        return nothing(cells, scene.why(ECE))
    value, note = headline(scene)
    unit = f"at step {found.step:,}" if scene.view.cursor is not None else ""
    heading(cells, scene, "calibration", "4", "Calibration", Ink.CALIBRATION, value, verdict(found) or note, unit)
    cells.blit(1, 0, diagram(scene, found, width, height - 1))
    return cells


def enlarged(scene: Scene, width: int, height: int) -> Cells:
    """Adds every bin in figures with its interval, the error over time, and the scores that the error alone hides."""
    cells = Cells(width, height)
    found = scene.snapshot.reliability(scene.step)
    if found is None:
        heading(cells, scene, "", "", "Calibration", Ink.UNKNOWN)
        return nothing(cells, scene.why(ECE))
    value, note = headline(scene)
    source = f"confidence: {found.source}, at step {found.step:,}" if found.source else f"at step {found.step:,}"
    over = overclaim(found)
    said = f"{verdict(found)} by {abs(over):.2f}" if over is not None and abs(over) >= 0.02 else verdict(found)
    heading(cells, scene, "", "", "Calibration", Ink.CALIBRATION, value, f"{note}  {said}", source)
    rows: list[Row] = [
        ("calibration error (ECE)", ECE, Ink.CALIBRATION),
        ("debiased ECE", "calibration/ece_debiased", Ink.CALIBRATION),
        ("Brier score", "calibration/brier", Ink.SERIES_0),
        ("right from wrong (AUROC)", "calibration/auroc", Ink.SERIES_4),
        ("spread of confidence", "calibration/confidence_std", Ink.TEXT),
        ("share correct", "calibration/accuracy", Ink.TEXT),
        ("rollouts in the window", "calibration/n", Ink.TEXT),
    ]
    table_height = min(len(rows) + 1, max(4, height // 3))
    body = height - table_height - 2
    left = max(38, width * 9 // 20)
    cells.blit(1, 0, diagram(scene, found, left, body))
    right = width - left - 3
    table = _bins(found, right)
    shown = min(table.height, max(0, body - 8))
    if right >= 30:
        cells.blit(1, left + 3, table)
        over_time = body - shown - 1
        if over_time >= 5:
            cells.put(shown + 2, left + 3, "error over time; thin: debiased, dotted: its 95 % interval", Ink.FAINT)
            cells.blit(shown + 3, left + 3, _history(scene, right, over_time - 1))
    y = height - table_height
    cells.blit(y, 0, metric_table(scene, rows, width, table_height))
    return cells


def headline(scene: Scene) -> tuple[str, str]:
    """The error as it is, and without the bias of a finite sample, to which the interval belongs."""
    value = scene.value(ECE)
    low, high = scene.value("calibration/ece_low"), scene.value("calibration/ece_high")
    debiased = scene.value("calibration/ece_debiased")
    interval = f"debiased {debiased:.2f}" if debiased is not None else ""
    if low is not None and high is not None:
        interval += f", 95 % {low:.2f} to {high:.2f}"
    return (f"ECE {value:.2f}" if value is not None else "ECE -"), interval


def overclaim(found: Reliability) -> float | None:
    """Mean stated confidence less the share correct; positive when the policy claims too much."""
    total = int(found.count.sum())
    if not total:
        return None
    filled = found.count > 0
    weight = found.count[filled] / total
    return float((weight * (found.confidence[filled] - found.accuracy[filled])).sum())


def verdict(found: Reliability) -> str:
    """In words: claims too much, too little, or about right."""
    over = overclaim(found)
    if over is None:
        return ""
    if abs(over) < 0.02:
        return "about right"
    return "overconfident" if over > 0 else "underconfident"


def diagram(scene: Scene, found: Reliability, width: int, height: int) -> Cells:
    """Bars of the share correct by bin, a mark at what was stated, a row of counts, and the confidence axis."""
    cells = Cells(width, height)
    bins = len(found.count)
    step = (width - GUTTER) // bins
    plot = height - 2
    if step < 2 or plot < 2:
        return nothing(cells, "too small for a diagram")
    bar = max(1, step - 1)
    for share, label in ((1.0, "1.0"), (0.5, "0.5"), (0.0, "0.0")):
        if share != 0.5 or plot >= 7:
            cells.put_right(round((1 - share) * (plot - 1)), GUTTER - 1, label, Ink.DIM)
    biggest = max(1, int(found.count.max()))
    for i in range(bins):
        x = GUTTER + i * step
        count = int(found.count[i])
        middle = (found.edges[i] + found.edges[i + 1]) / 2
        said = float(found.confidence[i]) if count else float(middle)
        if count:
            ink = Ink.CALIBRATION if count >= FEW else Ink.CALIBRATION | SOFT
            stand(cells, x, bar, plot - 1, plot, float(found.accuracy[i]), ink, scene.ascii_only)
            # At most six eighths, so that the counts never grow into the bars above them.
            level = max(1, round(count / biggest * 6))
            mark = str(min(9, round(count / biggest * 9))) if scene.ascii_only else STANDING[level]
            cells.fill(plot, x, bar, mark, Ink.FAINT)
        row = min(plot - 1, max(0, int((1 - said) * plot)))
        for column in range(x, x + bar):
            under = chr(int(cells.chars[row, column]))
            if under in " " or under in STANDING[1:4]:
                cells.put(row, column, "-" if scene.ascii_only else "╌", Ink.TEXT if count else Ink.FAINT)
            else:
                cells.inks[row, column] = Ink.TEXT
                cells.chars[row, column] = ord("=" if scene.ascii_only else "━")
    end = GUTTER + bins * step - 1
    row = height - 1
    cells.put(row, GUTTER, "0", Ink.DIM)
    cells.put_right(row, end, "1", Ink.DIM)
    total = f"n {int(found.count.sum()):,}"
    label = f"stated confidence, {total}"
    if end - GUTTER < len(label) + 6:
        label = total
    cells.put(row, GUTTER + (end - GUTTER - len(label)) // 2, label, Ink.DIM)
    return cells


def _bins(found: Reliability, width: int) -> Cells:
    """One row a bin: its range, what was said, what came true with its interval, and how many."""
    bins = len(found.count)
    cells = Cells(width, bins + 1)
    for stop, title in ((11, "stated"), (19, "mean"), (28, "correct"), (42, "95 %"), (50, "n")):
        cells.put_right(0, stop, title, Ink.FAINT)
    filled = found.count > 0
    hits = np.where(filled, np.nan_to_num(found.accuracy) * found.count, 0.0)
    low, high = wilson(hits, np.maximum(found.count, 1))
    for i in range(bins):
        y = i + 1
        cells.put_right(y, 11, f"{found.edges[i]:.1f} to {found.edges[i + 1]:.1f}", Ink.DIM)
        if not filled[i]:
            cells.put_right(y, 50, "0", Ink.FAINT)
            continue
        over = found.confidence[i] - found.accuracy[i]
        ink = Ink.TEXT | BOLD if low[i] > found.confidence[i] or high[i] < found.confidence[i] else Ink.TEXT
        cells.put_right(y, 19, f"{found.confidence[i]:.2f}", Ink.TEXT)
        cells.put_right(y, 28, f"{found.accuracy[i]:.2f}", ink)
        cells.put_right(y, 42, f"{low[i]:.2f} to {high[i]:.2f}", Ink.DIM)
        cells.put_right(y, 50, f"{int(found.count[i]):,}", Ink.DIM)
        outside = ink != Ink.TEXT
        if outside:
            cells.put(y, 53, fit("too high" if over > 0 else "too low", width - 53), Ink.WARN)
    return cells


def _history(scene: Scene, width: int, height: int) -> Cells:
    series, debiased = scene.series(ECE), scene.series("calibration/ece_debiased")
    low, high = scene.series("calibration/ece_low"), scene.series("calibration/ece_high")
    bands = [Band(low.steps, low.values, high.values, Ink.FAINT)] if len(low) == len(high) else []
    lines = [
        Line(debiased.steps, debiased.values, Ink.CALIBRATION | SOFT),
        Line(series.steps, series.values, Ink.CALIBRATION, heavy=True, behind=scene.behind(ECE)),
    ]
    _, top = span_of(series.values, high.values) or (0.0, 0.1)
    axis = linear(0.0, top, ticks_for(height - 1), floor=0.0, ceiling=1.0)
    return draw(replace(chart(scene, lines, axis), bands=bands), width, height)
