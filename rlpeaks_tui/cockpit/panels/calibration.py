"""Whether stated confidence means what it says: what was said against what came true, by bin.

A bar that ends below its mark is a claim that was not kept. The error of a finite sample is never zero, so the
number stands beside its interval and the count it rests on.
"""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from rlpeaks_tui.run.measured import Reliability
from rlpeaks_tui.stats.confidence import METRIC
from rlpeaks_tui.stats.reliability import interval, misses

from ..axes import Floats, linear, span_of
from ..bars import STANDING, stand
from ..cells import BOLD, SOFT, Cells, Ink, fit
from ..chart import GUTTER, Band, Line, draw
from ..scene import Scene
from .confidence_study import Parts, window
from .parts import Row, chart, clauses, heading, metric_table, nothing, ticks_for
from .picking import between, first_shown, picked, raise_row

ECE = "calibration/ece"
FEW = 10
"""Bins with fewer rollouts are drawn quietly: their height says little."""
WHISKER = 3
"""Columns a bin from which on its interval has one of its own."""
RIGHT, WIDE = 0.02, 0.1
"""Mean overclaim below which a policy may be about right, and half-width of its interval that leaves it open."""


def overview(scene: Scene, width: int, height: int) -> Cells:
    cells = Cells(width, height)
    found = scene.reliability
    if found is None:
        heading(cells, scene, "calibration", "4", "Calibration", Ink.UNKNOWN)
        return nothing(cells, scene.why(ECE))
    value, note = headline(scene)
    if outlived(scene, found) or scene.stale(ECE) is not None:
        heading(cells, scene, "calibration", "4", "Calibration", Ink.UNKNOWN, "", f"{value} at step {found.step:,}")
        why = scene.snapshot.columns.why(ECE) if scene.view.cursor is None else None
        cells.blit(1, 0, diagram(scene, found, width, height - 1 - bool(why)))
        cells.inks[1:] = Ink.UNKNOWN
        if why:
            cells.put(height - 1, 0, fit(f"since: {why}", width), Ink.DIM)
        return cells
    unit = f"at step {found.step:,}" if scene.view.cursor is not None else ""
    heading(cells, scene, "calibration", "4", "Calibration", Ink.CALIBRATION, value, verdict(found) or note, unit)
    cells.blit(1, 0, diagram(scene, found, width, height - 1))
    return cells


def enlarged(scene: Scene, width: int, height: int) -> Cells:
    """Adds the interval of every bin, the bins in figures, the error over time, and the scores that it alone hides."""
    cells = Cells(width, height)
    found = sized(scene)
    if found is None:
        heading(cells, scene, "", "", "Calibration", Ink.UNKNOWN)
        return nothing(cells, scene.why(ECE))
    value, note = headline(scene)
    when = f"last at step {found.step:,}" if outlived(scene, found) else f"at step {found.step:,}"
    source = f"confidence: {found.source}, {when}" if found.source else when
    said, over = verdict(found), overclaim(found)
    if over is not None and said.endswith("confident"):
        said += f" by {abs(over):.2f}"
    heading(cells, scene, "", "", "Calibration", Ink.CALIBRATION, f"{value}  {said}", note, source)
    cells.put(1, 0, clauses(_reading(found, scene.look.open), width, 1)[0], Ink.FAINT)
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
    body = height - table_height - 3
    filled = np.flatnonzero(found.count > 0)
    at = picked(cells, scene, len(filled))
    left = max(38, width * 9 // 20)
    pick = int(filled[at]) if len(filled) else None
    cells.blit(2, 0, diagram(scene, found, left, body, pick))
    right = width - left - 3
    if right >= 30:
        table = bin_table(found, right, min(len(filled) + 1, max(0, body - 7 if body >= 18 else body)), at)
        cells.blit(2, left + 3, table)
        over_time = body - table.height - 1
        if over_time >= 6:
            cells.put(
                table.height + 3, left + 3, "error over time; thin: debiased, dotted: its 95 % interval", Ink.FAINT
            )
            cells.blit(table.height + 4, left + 3, _history(scene, right, over_time - 1))
    y = height - table_height
    cells.blit(y, 0, metric_table(scene, rows, width, table_height))
    return cells


def _reading(found: Reliability, key: str) -> list[str]:
    known = found.size is not None
    return [
        "bars: share correct",
        "dashes: what was stated",
        f"│ 95 % interval {'by prompt' if known else 'as if rollouts were independent'}",
        *(["too high, too low: beyond chance over all bins"] if known else []),
        f"▲ picked, {key} shows its completions",
        "shades below: how many",
    ]


def query(scene: Scene) -> str:
    """Exactly the completions that the picked bin counts.

    Only what a completion states is kept with it, so that no other source of confidence can be asked for.
    """
    found = scene.reliability
    if found is None or not (found.count > 0).any() or found.source in METRIC:
        return ""
    filled = np.flatnonzero(found.count > 0)
    at = int(filled[min(scene.view.scroll, len(filled) - 1)])
    low, high = float(found.edges[at]), float(found.edges[at + 1])
    snapshot, numbers = scene.snapshot, window(scene.snapshot, found)
    if not len(numbers):
        return ""
    steps = snapshot.rollout_steps
    first, last = int(steps[numbers[0]]), int(steps[numbers[-1]])
    # A bin holds its lower end only, unless it is the last.
    to = ".." if at + 1 == len(found.count) else "..<"
    asked = f"conf:{low!r}{to}{high!r} judged:yes {between(first, last)}"
    # A step that was trained again has generations that are none of these.
    again = int(((steps >= first) & (steps <= last)).sum()) > len(numbers)
    return f"{asked} generation:{numbers[0]}-{numbers[-1]}" if again else asked


def outlived(scene: Scene, found: Reliability) -> bool:
    """Whether calibration was measured again since, in vain: what is shown is the last that there was."""
    steps = scene.series(ECE).steps
    return bool((steps[steps <= scene.step] > found.step).any())


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
    """In words, whether claims are on average too much or too little."""
    over = overclaim(found)
    return "" if over is None else verdict_of(over, found.half)


def verdict_of(over: float, half: float) -> str:
    """The same of a mean overclaim and the half-width of its interval by prompt, nan where that is not known.

    Beyond the interval it is one of both; within it "perhaps", unless so little is claimed beyond what came true, and
    so narrow the interval, that it is about right.
    """
    direction = "overconfident" if over > 0 else "underconfident"
    if abs(over) > half:
        return direction
    if abs(over) < RIGHT:
        return "about right" if half < WIDE else "not clear"
    return f"perhaps {direction}"


def diagram(scene: Scene, found: Reliability, width: int, height: int, pick: int | None = None) -> Cells:
    """Bars of the share correct by bin, a mark at what was stated, a row of counts, and the confidence axis.

    The 95 % interval of each share stands beside its bar where there is room. `pick` is the bin that is pointed at.
    """
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
    low, high = intervals(found)
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
            mark = " .:-=+#"[level] if scene.ascii_only else STANDING[level]
            cells.fill(plot, x, bar, mark, Ink.FAINT)
            if step >= WHISKER and plot >= 7:
                rows = [min(plot - 1, max(0, int((1 - float(end)) * plot))) for end in (high[i], low[i])]
                for row in range(rows[0], rows[1] + 1):
                    cells.put(row, x + bar, "│", Ink.TEXT if count >= FEW else Ink.DIM)
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
    total = f"n {int(found.count.sum()):,}"
    label = f"{found.source or 'confidence'}, {total}"
    if end - GUTTER < len(label) + 6:
        label = total
    if pick is None:
        cells.put(row, GUTTER + (end - GUTTER - len(label)) // 2, label, Ink.DIM)
    cells.put(row, GUTTER, "0", Ink.DIM)
    cells.put_right(row, end, "1", Ink.DIM)
    if pick is not None:
        cells.put(row, GUTTER + pick * step + (bar - 1) // 2, "▲", Ink.CURSOR)
    return cells


def sized(scene: Scene) -> Reliability | None:
    """The diagram with what its bins are worth, which the kept completions tell where the run did not."""
    found = scene.reliability
    if found is None or found.size is not None or not isinstance(scene.study, Parts):
        return found
    tables = [part.found.reliability for part in scene.study.by_source if part.name == found.source]
    table = tables[0] if tables else None
    same = table is not None and np.array_equal(table.count, found.count)
    return replace(found, size=table.size) if table is not None and same else found


def intervals(found: Reliability) -> tuple[Floats, Floats]:
    """float64[bins] twice: the 95 % interval of each bin's share correct, by prompt where the run counted prompts."""
    return interval(found.accuracy, found.count if found.size is None else found.size)


def off(found: Reliability) -> NDArray[np.int8]:
    """Which bins claim too much (1) or too little (-1) beyond chance; none where the run did not count prompts."""
    if found.size is None:
        return np.zeros(len(found.count), np.int8)
    return misses(found.confidence, found.accuracy, found.size)


def bin_table(found: Reliability, width: int, height: int, at: int) -> Cells:
    """One row a filled bin: its range, what was said, what came true with its interval, how many, and what that means.

    `at` is the picked row. Columns that have no room are left out.
    """
    cells = Cells(width, height)
    columns = {"stated": 12, "correct": 9, "mean": 7, "n": 7, "": 11, "95 %": 14}
    while sum(columns.values()) > width and len(columns) > 2:
        columns.popitem()
    stops: dict[str, int] = {}
    x = 0
    for name in ("stated", "mean", "correct", "95 %", "n", ""):
        if name in columns:
            x = stops[name] = x + columns[name]
            cells.put_right(0, x, name, Ink.FAINT)
    (low, high), told = intervals(found), off(found)
    filled = np.flatnonzero(found.count > 0).tolist()
    top = first_shown(at, len(filled), height - 1)
    for y, i in enumerate(filled[top : top + height - 1], 1):
        said, right = float(found.confidence[i]), float(found.accuracy[i])
        texts = {
            "stated": (f"{found.edges[i]:.1f} to {found.edges[i + 1]:.1f}", Ink.DIM),
            "mean": (f"{said:.2f}", Ink.TEXT),
            "correct": (f"{right:.2f}", Ink.TEXT | BOLD if told[i] else Ink.TEXT),
            "95 %": (f"{low[i]:.2f} to {high[i]:.2f}", Ink.DIM),
            "n": (f"{int(found.count[i]):,}", Ink.DIM),
            "": (("", "too high", "too low")[told[i]], Ink.WARN),
        }
        for name, stop in stops.items():
            cells.put_right(y, stop, texts[name][0], texts[name][1])
        if top + y - 1 == at:
            raise_row(cells, y, 0, x)
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
