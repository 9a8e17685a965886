"""A chart as cells: series on shared axes, with the commands that a person gave and the cursor in time.

All charts of the cockpit are composed here, so that they agree on where a step lies: the same gutter, the same
row for steps, the same dashed line through every chart for one command. That is what lets an eye go from a
cause in one to an effect in another.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from .axes import Axis, Floats, linear
from .cells import BLANK, BOLD, MEANING, SOFT, Cells, Ink, Plot, width_of
from .raster import Across, Frame, Ints, Raster

GUTTER = 6
"""Columns left of the plot: five for a label, one for air. Wider only where labels are."""


class Behind(Struct, frozen=True):
    """A branch of a series that the run has left: `steps` and `values` of what is not on the present one, its name."""

    steps: Ints
    values: Floats
    name: str


class Line(Struct, frozen=True):
    """A series: steps[n], which do not decrease, and values float64[n], NaN where there is none.

    `heavy` lines are thicker: what is smoothed, so that weight and not only hue tells it from what was recorded.
    `behind` is what a rollback undid: dashed and quiet, under everything else.
    """

    steps: Across
    values: Floats
    ink: int
    label: str = ""
    heavy: bool = False
    behind: tuple[Behind, ...] = ()


class Band(Struct, frozen=True):
    """The area between two series over the same steps."""

    steps: Across
    low: Floats
    high: Floats
    ink: int


class Points(Struct, frozen=True):
    """Single measurements, each with its own sign; `low` and `high` give an interval where one is known."""

    steps: Across
    values: Floats
    ink: int
    sign: str = "◆"
    low: Floats | None = None
    high: Floats | None = None

    @property
    def ends(self) -> tuple[Floats, ...]:
        """The values and the ends of their intervals."""
        return tuple(part for part in (self.values, self.low, self.high) if part is not None)


class Dots(Struct, frozen=True):
    """A cloud of measurements: x and y float64[n], each one dot of the raster."""

    x: Floats
    y: Floats
    ink: int


class Tag(Struct, frozen=True):
    """Words beside a place on the plot: right of it, or left where there is no room.

    They may cover what is drawn softly, and are left out rather than cover anything else.
    """

    x: float
    y: float
    text: str
    ink: int


class Mark(Struct, frozen=True):
    """A command: its number, and the step at which it took effect."""

    number: int
    step: int


class Chart(Struct, frozen=True):
    """What to draw.

    `x` is the first and last step shown, `labels` the room for names right of the plot, `note` words put at its foot
    where that is free.

    With `across` the horizontal axis is that of another quantity than steps, and `x` is not used.
    """

    x: tuple[int, int]
    y: Axis
    lines: Sequence[Line] = ()
    bands: Sequence[Band] = ()
    dots: Sequence[Dots] = ()
    points: Sequence[Points] = ()
    tags: Sequence[Tag] = ()
    marks: Sequence[Mark] = ()
    cursor: int | None = None
    labels: int = 0
    ascii_only: bool = False
    across: Axis | None = None
    note: str = ""


def draw(chart: Chart, width: int, height: int) -> Cells:
    """The chart in width x height cells; the last row holds the steps. Nothing where there is no room for a plot."""
    cells = Cells(width, height)
    gutter = max(GUTTER, *(width_of(label) + 1 for label in chart.y.labels))
    plot_width, plot_height = width - gutter - chart.labels, height - 1
    if plot_width < 4 or plot_height < 1:
        return cells
    first, last = chart.x if chart.across is None else (chart.across.low, chart.across.high)
    frame = Frame(first, last, chart.y.low, chart.y.high, chart.y.log)
    raster = Raster(plot_width, plot_height, frame, chart.ascii_only)
    for band in chart.bands:
        raster.band(band.steps, band.low, band.high, band.ink)
    for dots in chart.dots:
        raster.dots(dots.x, dots.y, dots.ink)
    for line in chart.lines:
        for branch in line.behind:
            raster.line(branch.steps, branch.values, Ink.FAINT, dashed=True)
    for line in chart.lines:
        raster.line(line.steps, line.values, line.ink, line.heavy)
    for line in chart.lines:
        for branch in line.behind:
            _beyond(raster, branch.steps, branch.values, Ink.FAINT, every=2)
    for line in chart.lines:
        _beyond(raster, line.steps, line.values, line.ink)
    for points in chart.points:
        _points(raster, points)
    if chart.labels:
        _branch_names(raster, chart.lines)
    for tag in chart.tags:
        _tag(raster, tag)
    if chart.note:
        _note(raster, chart.note)
    _rules(raster, chart)
    cells.blit(0, gutter, raster.cells)
    _y_labels(cells, raster, chart.y, gutter)
    if chart.across is None:
        _x_labels(cells, raster, chart, gutter, plot_width)
        cells.plots.append(Plot(gutter, 0, plot_width, height, first, last))
    else:
        _ticks_below(cells, raster, chart.across, gutter)
    if chart.labels:
        _names(cells, raster, chart.lines, gutter + plot_width + 1)
    return cells


def _beyond(raster: Raster, steps: Across, values: Floats, ink: int, every: int = 1) -> None:
    """An arrow at the edge for each value that lies outside of the frame: a spike may be cut off, never hidden.

    With `every` 2 they stand in every other cell, as a dashed line does.
    """
    for outside, row, sign in (
        (values > raster.frame.y1 * (1 + 1e-9), 0, "^" if raster.ascii_only else "▲"),
        (values < raster.frame.y0 - abs(raster.frame.y0) * 1e-9, -1, "v" if raster.ascii_only else "▼"),
    ):
        cut = steps[outside & (values > 0)] if raster.frame.log else steps[outside]
        for column in {raster.cell(step) // every * every for step in cut[-raster.columns :].tolist()}:
            if 0 <= column < raster.cells.width:
                raster.cells.put(row % raster.cells.height, column, sign, ink)


def _branch_names(raster: Raster, lines: Sequence[Line]) -> None:
    """The name of each branch that was left, once, beside its end or the arrows above it, where the cells are free."""
    named: set[str] = set()
    for branch in (branch for line in lines if line.label for branch in line.behind):
        known = np.flatnonzero(np.isfinite(branch.values))
        if branch.name in named or not len(known):
            continue
        row = raster.row(float(np.clip(branch.values[known[-1]], raster.frame.y0, raster.frame.y1)))
        text = f"left branch: {branch.name}"
        if row is not None and _beside(raster, row, raster.cell(int(branch.steps[known[-1]])) + 2, text):
            named.add(branch.name)


def _beside(raster: Raster, row: int, column: int, text: str) -> bool:
    """Write from a cell on, or as far to the left as it takes, in a row nearby; False where nothing is free."""
    length = width_of(text)
    start = min(column, raster.cells.width - length)
    for y in (row, row - 1, row + 1) if start == column else (row - 1, row + 1, row - 2, row + 2):
        inside = start >= 0 and 0 <= y < raster.cells.height
        if inside and (raster.cells.chars[y, max(0, start - 1) : start + length + 1] == BLANK).all():
            raster.cells.put(y, start, text, Ink.DIM)
            return True
    return False


def _points(raster: Raster, points: Points) -> None:
    """One sign a cell, over one interval a column that spans those of all its points: there may be very many."""
    chars, inks = raster.cells.chars, raster.cells.inks
    columns = raster.columns_of(points.steps)
    shown = columns >= 0
    if points.low is not None and points.high is not None:
        frame = raster.frame
        tops = raster.rows_of(np.minimum(points.high, frame.y1))
        ends = raster.rows_of(np.maximum(points.low, frame.y0))
        known = shown & np.isfinite(points.low) & np.isfinite(points.high) & (tops >= 0) & (ends >= 0)
        first, last = np.full(chars.shape[1], chars.shape[0]), np.full(chars.shape[1], -1)
        np.minimum.at(first, columns[known], tops[known])
        np.maximum.at(last, columns[known], ends[known])
        rows = np.arange(chars.shape[0])[:, None]
        covered = (rows >= first) & (rows <= last)
        chars[covered], inks[covered] = ord("|" if raster.ascii_only else "│"), points.ink
    rows = raster.rows_of(points.values)
    shown &= rows >= 0
    at = rows[shown], columns[shown]
    chars[at], inks[at] = ord("*" if raster.ascii_only else points.sign), points.ink


def _tag(raster: Raster, tag: Tag) -> None:
    row, column, length = raster.row(tag.y), raster.cell(tag.x), width_of(tag.text)
    if row is None:
        return
    for y in (row, row - 1, row + 1):
        for start in (column + 2, column - 1 - length):
            inside = 0 <= y < raster.cells.height and start >= 0 and start + length <= raster.cells.width
            part = np.s_[y, max(0, start - 1) : start + length + 1]
            if inside and ((raster.cells.chars[part] == BLANK) | (raster.cells.inks[part] & SOFT > 0)).all():
                raster.cells.put(y, start, tag.text, tag.ink)
                return


def _note(raster: Raster, text: str) -> None:
    """Write in the first free place of the lowest rows, from the left; nothing where there is none."""
    length, cells = width_of(text), raster.cells
    for y in range(cells.height - 1, max(-1, cells.height - 4), -1):
        for start in range(1, cells.width - length):
            if (cells.chars[y, start - 1 : start + length + 1] == BLANK).all():
                cells.put(y, start, text, Ink.DIM)
                return


def _rules(raster: Raster, chart: Chart) -> None:
    """Lines that are no data stand behind the data: they take only cells that are still blank, and none in a name."""
    chars, inks = raster.cells.chars, raster.cells.inks
    blank = (chars == BLANK) & (inks == 0)
    for mark in chart.marks:
        column = raster.cell(mark.step)
        if 0 <= column < raster.cells.width:
            free = blank[:, column]
            chars[free, column], inks[free, column] = ord(":" if chart.ascii_only else "┆"), Ink.MARK
    if chart.cursor is not None:
        column = raster.cell(chart.cursor)
        if 0 <= column < raster.cells.width:
            free = blank[:, column] | (inks[:, column] == Ink.MARK)
            chars[free, column] = ord("|" if chart.ascii_only else "│")
            inks[:, column] = Ink.CURSOR | BOLD


def _y_labels(cells: Cells, raster: Raster, axis: Axis, gutter: int) -> None:
    taken: set[int] = set()
    for value, label in zip(axis.ticks, axis.labels, strict=True):
        row = raster.row(value)
        if row is not None and row not in taken:
            taken.add(row)
            cells.put_right(row, gutter - 1, label, Ink.DIM)
    if axis.log:
        # Above the labels where they leave room; the row of steps is always free left of the plot.
        free = next(row for row in range(cells.height) if row not in taken)
        cells.put_right(free, gutter - 1, "log", Ink.DIM)


def _x_labels(cells: Cells, raster: Raster, chart: Chart, gutter: int, width: int) -> None:
    """The cursor's step, the commands' numbers, both ends, and round steps between, each where it still has room."""
    row = cells.height - 1
    taken = np.zeros(width + 2, np.bool_)

    def place(start: int, text: str, ink: int) -> bool:
        """Write when the place is free with a cell of air on both sides."""
        start = min(max(0, start), width - len(text))
        if start < 0 or taken[max(0, start - 1) : start + len(text) + 1].any():
            return False
        cells.put(row, gutter + start, text, ink)
        taken[start : start + len(text)] = True
        return True

    if chart.cursor is not None:
        text = f"{chart.cursor:,}"
        column = raster.cell(chart.cursor)
        if 0 <= column < width:
            place(column - len(text) // 2, text, Ink.CURSOR | BOLD)
    for column, text in clusters([(raster.cell(mark.step), mark.number) for mark in chart.marks], width):
        place(column, text, Ink.MARK | BOLD)
    place(0, f"{chart.x[0]:,}", Ink.DIM)
    end = f"{chart.x[1]:,}"
    place(width - len(end), end, Ink.DIM)
    if width >= 60:
        for tick in linear(chart.x[0], chart.x[1], width // 16).ticks:
            text = f"{tick:,.0f}"
            if tick == int(tick):
                place(raster.cell(tick) - len(text) // 2, text, Ink.FAINT)


def clusters(marks: Sequence[tuple[int, int]], width: int) -> list[tuple[int, str]]:
    """Column and text of each mark's number; numbers that would touch share one text under the first of their lines.

    The sign tells them from the steps that they stand among. Where they have room they are all named, #2-4 #7, with a
    range for what stands there without a gap; else the first one is, #2…
    """
    groups: list[tuple[int, list[int]]] = []
    for column, number in sorted(mark for mark in marks if 0 <= mark[0] < width):
        groups.append((column, [number]))
        while len(groups) > 1 and _start(groups[-1], width) <= _start(groups[-2], width) + len(_brief(groups[-2][1])):
            _, numbers = groups.pop()
            groups[-1][1].extend(numbers)
    found: list[tuple[int, str]] = []
    free = 0
    for i, group in enumerate(groups):
        column, numbers = group
        last = i + 1 == len(groups)
        end = width if last else _start(groups[i + 1], width) - 1
        start, text = min(column, end - len(_named(numbers))), _named(numbers)
        # Only the end of the axis moves a label away from its line.
        if start < free or (start < column and not last):
            start, text = _start(group, width), _brief(numbers)
        if start >= 0:
            found.append((start, text))
            free = start + len(text) + 1
    return found


def _start(group: tuple[int, list[int]], width: int) -> int:
    return min(group[0], width - len(_brief(group[1])))


def _brief(numbers: Sequence[int]) -> str:
    """All numbers where they are one or without a gap; else the first, and that there are more."""
    named = _named(numbers)
    return named if " " not in named else f"#{min(numbers)}…"


def _named(numbers: Sequence[int]) -> str:
    """Numbers as ranges: #2-4 #7."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return " ".join(f"#{run[0]}" if len(run) == 1 else f"#{run[0]}-{run[-1]}" for run in runs)


def _ticks_below(cells: Cells, raster: Raster, axis: Axis, gutter: int) -> None:
    """The ticks of a horizontal axis that is none of steps, each under its place as far as it has room."""
    free, end = gutter, gutter + raster.cells.width
    for value, label in zip(axis.ticks, axis.labels, strict=True):
        text = label.strip()
        start = max(gutter, min(gutter + raster.cell(value) - len(text) // 2, end - len(text)))
        if start >= free:
            free = cells.put(cells.height - 1, start, text, Ink.DIM) + 2


def _names(cells: Cells, raster: Raster, lines: Sequence[Line], x: int) -> None:
    """The name of each line beside its last value, moved apart where two would share a row."""
    wanted: list[tuple[int, float, Line]] = []
    for line in lines:
        known = np.flatnonzero(np.isfinite(line.values))
        # A name without a curve, because others lie over all of it, would be that of the wrong one.
        if line.label and len(known) and (raster.cells.inks & MEANING == line.ink & MEANING).any():
            last = float(np.clip(line.values[known[-1]], raster.frame.y0, raster.frame.y1))
            wanted.append((raster.row(last) or 0, -last, line))
    wanted.sort(key=lambda name: name[:2])
    rows = spread([row for row, _, _ in wanted], raster.cells.height)
    for row, (_, _, line) in zip(rows, wanted, strict=False):
        cells.put(row, x, line.label, line.ink)


def spread(rows: Sequence[int], height: int) -> list[int]:
    """Ascending rows moved as little as needed to be different and below `height`; what has no room is cut."""
    placed: list[int] = []
    for row in rows[:height]:
        placed.append(max(row, placed[-1] + 1) if placed else max(0, row))
    limit = height - 1
    for i in range(len(placed) - 1, -1, -1):
        placed[i] = min(placed[i], limit)
        limit = placed[i] - 1
    return placed
