"""What panels share: a heading, a line that says why there is nothing, a table of related metrics, a metric's curve."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from rlpeaks_tui.stats.catalog import format_value, lookup

from ..axes import Axis, Floats, linear, logarithmic, span_of, span_without_spikes
from ..cells import BOLD, SOFT, Cells, Ink, fit, width_of, wrap
from ..chart import Chart, Line, Points, draw
from ..scene import Scene
from ..spark import spark
from ..words import number

NUMBER, LONGEST = re.compile(r"[−+]?\d+\.\d+(e[−-]\d+)?"), 7
"""A number within a text that is no count, and the cells that `words.number` fills at most."""

EMPTY: Mapping[str, float | None] = MappingProxyType({})

Row = tuple[str, str, int]
"""A metric in a table: its label, its name, its ink."""


def heading(
    cells: Cells,
    scene: Scene,
    panel: str,
    key: str,
    title: str,
    ink: int,
    value: str = "",
    note: str = "",
    unit: str = "",
) -> None:
    """The first row: key, title and unit on the left, the value and what it means on the right.

    Where the row is too short, the unit goes first, then the note; the value is never run into the title. Whether the
    unit has room is told for the longest numbers, so that it does not come and go with theirs.
    """
    width = cells.width
    left = 0
    if key:
        focused = scene.view.panel == panel
        cells.put(0, 0, key, Ink.CURSOR | BOLD if focused else Ink.FAINT)
        left = len(key) + 1
    end = cells.put(0, left, title, ink | BOLD)
    room = width - end - 2
    for shown_unit, shown_note in ((unit, note), ("", note), ("", "")):
        right = width_of(value) + (width_of(shown_note) + 2 if shown_note else 0)
        if shown_unit:
            right = _widest(value) + (_widest(shown_note) + 2 if shown_note else 0) + width_of(shown_unit) + 1
        if right <= room:
            if shown_unit:
                cells.put(0, end + 1, shown_unit, Ink.FAINT)
            at = cells.put_right(0, width, shown_note, Ink.DIM) if shown_note else width + 2
            cells.put_right(0, at - 2, value, Ink.TEXT | BOLD)
            return


def _widest(text: str) -> int:
    """The cells that a text takes when each of its numbers is as long as one can be."""
    return width_of(NUMBER.sub(lambda found: found.group().ljust(LONGEST), text))


def nothing(cells: Cells, reason: str) -> Cells:
    """Grey words in the middle that say why there is nothing to see."""
    text = fit(reason, cells.width - 2)
    cells.put(max(1, cells.height // 2), max(0, (cells.width - width_of(text)) // 2), text, Ink.UNKNOWN)
    return cells


def written(name: str, value: float | None) -> str:
    """A value as the catalog writes it, or with three digits where the catalog does not know the metric."""
    known = lookup(name)
    return format_value(known, value).replace("-", "−") if known else number(value)


def clauses(parts: Sequence[str], width: int, rows: int) -> list[str]:
    """As many `parts`, in order, as fit into `rows` rows: a clause is there whole or not at all."""
    lines = [""]
    for part in parts:
        longer = f"{lines[-1]}, {part}" if lines[-1] else part
        if width_of(longer) <= width:
            lines[-1] = longer
        elif len(lines) < rows and width_of(part) <= width:
            lines.append(part)
        else:
            break
    return lines


def scrolled(cells: Cells, total: int, room: int, scroll: int) -> int:
    """The first line to show of a list of `total` lines in `room` rows; tells how many are left, on screen too."""
    top = max(0, min(scroll, total - room))
    cells.below = max(0, total - room - top)
    if cells.below:
        cells.put_right(cells.height - 1, cells.width, f"{cells.below:,} more", Ink.FAINT)
    return top


def misleading(name: str, width: int, rows: int, what: str = "it") -> list[str]:
    """How a metric deceives, from the catalog; `what` names it where several are spoken of."""
    known = lookup(name)
    return wrap(f"how {what} misleads: {known.misleads}", width, rows) if known and known.misleads else []


def metric_table(
    scene: Scene, rows: Sequence[Row], width: int, height: int, starts: Mapping[str, float | None] = EMPTY
) -> Cells:
    """Metrics one a row: label, value at the step shown and at the start, extremes, and the whole curve.

    A metric without a value says why instead. `starts` are those that are not a metric's own first value.
    """
    cells = Cells(width, height)
    label_width = min(30, max([width_of(label) for label, _, _ in rows], default=0) + 2)
    # A column that does not fit is left out: half a number is a wrong one.
    stops = [stop for i in range(4) if (stop := label_width + 11 * (i + 1) - 1) <= width or i == 0]
    now = "now" if scene.view.cursor is None else f"at {scene.step:,}"
    for stop, title in zip(stops, (now, "start", "lowest", "highest"), strict=False):
        cells.put_right(0, stop, title, Ink.FAINT)
    for y, (label, name, ink) in enumerate(rows[: height - 1], 1):
        cells.put(y, 0, fit(label, label_width - 1), ink)
        series = scene.series(name)
        value = scene.value(name)
        if value is None:
            cells.put(y, label_width + 2, fit(scene.why(name), width - label_width - 2), Ink.UNKNOWN)
            continue
        low, high = span_of(series.values) or (value, value)
        start = starts[name] if name in starts else scene.start(name)
        for stop, item in zip(stops, (value, start, low, high), strict=False):
            cells.put_right(y, stop, written(name, item), Ink.TEXT if stop == stops[0] else Ink.DIM)
        room = min(width - stops[-1] - 3, 100)
        if room >= 8:
            cells.blit(y, stops[-1] + 3, spark(series.steps, series.values, scene.x, room, ink, scene.ascii_only))
    return cells


def raw_and_smooth(scene: Scene, name: str, ink: int, label: str = "") -> list[Line]:
    """A metric twice: as recorded, quietly, and smoothed over it."""
    series = scene.series(name)
    return [
        Line(series.steps, series.values, ink | SOFT),
        Line(series.steps, scene.smoothed(name), ink, label, heavy=True, behind=scene.behind(name, smoothed=True)),
    ]


def axis_over(lines: Sequence[Line], count: int, floor: float | None = None, ceiling: float | None = None) -> Axis:
    """An axis that holds the values of `lines` except for spikes; from 0 to 1 when there is none."""
    low, high = typical_span(lines) or (0.0, 1.0)
    return linear(low, high, count, floor, ceiling)


def typical_span(lines: Sequence[Line]) -> tuple[float, float] | None:
    """What the values of `lines` span, spikes apart. A branch that was left has no say: it may have gone far away."""
    spans = [span for line in lines if (span := span_without_spikes(line.values))]
    return (min(low for low, _ in spans), max(high for _, high in spans)) if spans else None


def ticks_for(height: int) -> int:
    """How many ticks a plot of `height` rows takes without crowding."""
    return 2 if height < 4 else 3 if height < 6 else 4 if height < 9 else 5 if height < 14 else 6


def chart(scene: Scene, lines: Sequence[Line], axis: Axis, points: Sequence[Points] = (), labels: int = 0) -> Chart:
    """`lines` over the scene's steps, with its commands and its cursor."""
    note = ""
    if scene.view.log and (found := _logarithmic(lines, points, len(axis.ticks))):
        axis, note = found, ZEROS if any(_often_zero(line.values) for line in lines) else ""
    return Chart(
        x=scene.x,
        y=axis,
        lines=lines,
        points=points,
        labels=labels,
        marks=scene.marks,
        cursor=scene.view.cursor,
        ascii_only=scene.ascii_only,
        note=note,
    )


ZEROS = "zero and less: not shown"


def _often_zero(values: Floats) -> bool:
    """Whether a log axis leaves out more than the first value, and more than one in a hundred."""
    return int((values <= 0).sum()) > max(1, len(values) / 100)


def _logarithmic(lines: Sequence[Line], points: Sequence[Points], count: int) -> Axis | None:
    """A log axis over the positive values, spikes apart; None where there are none."""
    values = [line.values for line in lines] + [point.values for point in points]
    spans = [span for array in values if (span := span_without_spikes(np.log10(array[array > 0])))]
    if not spans:
        return None
    return logarithmic(10.0 ** min(low for low, _ in spans), 10.0 ** max(high for _, high in spans), count)


def chart_over_table(
    cells: Cells,
    scene: Scene,
    lines: Sequence[Line],
    axis: Callable[[int], Axis],
    rows: Sequence[Row],
    caption: str,
    points: Sequence[Points] = (),
    starts: Mapping[str, float | None] = EMPTY,
) -> None:
    """The body of an enlarged curve: lines with their names, how to read them, and the metrics that belong to them.

    `axis` makes the y axis for a number of ticks; `starts` are for `metric_table`.
    """
    table_height = min(len(rows) + 1, max(4, cells.height // 3))
    warnings = misleading(rows[0][1], cells.width, 2 if cells.height >= 24 else 0)
    plot_height = cells.height - table_height - 4 - len(warnings)
    labels = max((width_of(line.label) for line in lines), default=0) + 2
    plan = chart(scene, lines, axis(ticks_for(plot_height)), points, labels)
    cells.blit(1, 0, draw(plan, cells.width, plot_height + 1))
    if any(line.behind for line in lines):
        caption = f"dashed: a branch that was left; {caption}"
    cells.put(plot_height + 2, 0, fit(caption, cells.width), Ink.FAINT)
    for y, line in enumerate(warnings, plot_height + 3):
        cells.put(y, 0, line, Ink.DIM)
    y = cells.height - table_height
    cells.blit(y, 0, metric_table(scene, rows, cells.width, table_height, starts))
