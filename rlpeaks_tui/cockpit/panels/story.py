"""What the stories of the enlarged panels share: a heading, parts side by side, what is to be said, how to read it.

A story names its parts with the most important first. As many are shown as have room to be read, in a grid; the rest
are left out rather than squeezed. Sentences are there whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from ..axes import Axis, Floats, linear
from ..cells import Cells, Ink, fit, width_of, wrap
from ..chart import Chart, Line, draw
from ..raster import Ints
from ..scene import Scene
from .parts import Row, chart, clauses, heading, metric_table, nothing, raw_and_smooth, ticks_for

Draw = Callable[[int, int], Cells]

WIDE, TALL, COMFORT = 46, 9, 14
"""Columns that a part takes to stand beside another, rows to stand over one, and rows that are as many as it likes."""
TABLE = 6
"""Rows of a table that are worth its title."""
AIR = 3
ROOMY = 2 * WIDE + AIR
"""Columns from which on two parts stand beside each other."""


class Part(Struct, frozen=True):
    """One drawing with a title of its own.

    Attributes:
        most: rows that are of use to it, with its title, where it is a table.
        least: columns that it takes to stand beside another.
    """

    title: str
    draw: Draw
    most: int = 1000
    least: int = WIDE


class Told(Struct, frozen=True):
    """A story in words and parts.

    Attributes:
        title, ink: of the heading.
        value, note, unit: the main point, what it means, and what it is measured in.
        said: clauses, the most needed first.
        caption: clauses on how to read it, in one line.
        parts: the most important first.
    """

    title: str
    ink: int
    value: str
    note: str
    unit: str
    said: Sequence[str]
    caption: Sequence[str] = ()
    parts: Sequence[Part] = ()


def tell(told: Told, scene: Scene, width: int, height: int) -> Cells:
    """The heading, the parts, up to three lines of what is said, and a line on how to read it."""
    cells = Cells(width, height)
    heading(cells, scene, "", "", told.title, told.ink, told.value, told.note, told.unit)
    lines = sentences([said for said in told.said if said], width, 1 if height < 14 else 2 if height < 26 else 3)
    caption = clauses(told.caption, width, 1)[0] if height >= 8 else ""
    bottom = height - len(lines) - bool(caption)
    _lay(cells, 1, bottom, told.parts)
    for y, line in enumerate(lines, bottom):
        cells.put(y, 0, line, Ink.DIM)
    if caption:
        cells.put(height - 1, 0, caption, Ink.FAINT)
    return cells


def tell_by_kind(
    told: Told,
    rows: Sequence[Row],
    kinds: Sequence[tuple[str, Sequence[Row]]],
    axis: Callable[[Sequence[Line], int], Axis],
    scene: Scene,
    width: int,
    height: int,
) -> Cells:
    """The story of the first metric of `rows`: its curve, those of its parts by kind, and a table of all the rows."""
    label, name, ink = rows[0]
    curve = raw_and_smooth(scene, name, ink, label)
    drawn = [(title, smoothed(scene, some)) for title, some in kinds if some]
    if width >= ROOMY or not drawn:
        drawn.insert(0, ("as recorded and smoothed", curve))
    else:
        drawn = [("as recorded and smoothed, and its parts", [*(line for _, lines in drawn for line in lines), *curve])]
    parts = [Part(title, partial(lines_chart, scene, lines, partial(axis, lines))) for title, lines in drawn]
    parts.append(Part("now and over the run", partial(metric_table, scene, rows), len(rows) + 2))
    caption = how_drawn(scene, curve, "thin: as recorded", "the others")
    return tell(replace(told, caption=caption, parts=parts), scene, width, height)


def sentences(parts: Sequence[str], width: int, rows: int) -> list[str]:
    """As many `parts`, in order, as fit into `rows` rows, each whole; one that is longer than a row goes on."""
    lines: list[str] = []
    for part in parts:
        if lines and width_of(lines[-1]) + 2 + width_of(part) <= width:
            lines[-1] = f"{lines[-1]}; {part}"
        elif len(broken := wrap(part, width, rows + 1)) <= rows - len(lines):
            lines += broken
    return lines


def untold(title: str, reason: str, scene: Scene, width: int, height: int) -> Cells:
    """A story that has nothing to tell yet, and why."""
    cells = Cells(width, height)
    heading(cells, scene, "", "", title, Ink.UNKNOWN)
    return nothing(cells, reason)


def _lay(cells: Cells, top: int, bottom: int, parts: Sequence[Part]) -> None:
    """As many parts as can be read, row by row; a last row that is short has wider ones."""
    rows_there = bottom - top
    if rows_there < 2 or not parts:
        return
    across = _columns(parts, cells.width, rows_there)
    down = _down(parts, across, rows_there)
    shown = parts[: across * down]
    across = -(-len(shown) // down)
    rows = [shown[i * across : (i + 1) * across] for i in range(down)]
    y = top
    for i, (row, tall) in enumerate(zip(rows, _heights(rows, rows_there), strict=True)):
        titled = len(shown) > 1 or rows_there >= TALL
        for j, part in enumerate(row):
            x = j * (cells.width + AIR) // len(row)
            width = (j + 1) * (cells.width + AIR) // len(row) - AIR - x
            if titled:
                cells.put(y, x, fit(part.title, width), Ink.FAINT)
            drawn = part.draw(width, tall - titled - (i + 1 < down))
            cells.blit(y + titled, x, drawn)
            cells.below = max(cells.below, drawn.below)
        y += tall


def _columns(parts: Sequence[Part], width: int, height: int) -> int:
    """Two where there is room beside each other, and more only where the parts would not be high enough."""
    most = 1
    while most < len(parts) and (width + AIR) // (most + 1) - AIR >= max(part.least for part in parts[: most + 1]):
        most += 1
    return next((n for n in range(2, most) if height // -(-len(parts) // n) >= COMFORT), most)


def _down(parts: Sequence[Part], across: int, height: int) -> int:
    """How many rows of parts can be read in `height` rows of cells; a table with fewer lines than it has, as well."""
    used = TALL
    for i in range(1, -(-len(parts) // across)):
        used += max(TALL if part.most > height else TABLE for part in parts[i * across : (i + 1) * across])
        if used > height:
            return i
    return -(-len(parts) // across)


def _heights(rows: Sequence[Sequence[Part]], there: int) -> list[int]:
    """Rows of cells for each row of parts: even, but what tables do not need goes to the others."""
    most = [max(part.most for part in row) + (i + 1 < len(rows)) for i, row in enumerate(rows)]
    if there // len(rows) < TALL:
        most = [TABLE if tall <= there else tall for tall in most]
    heights = [0] * len(rows)
    for i in sorted(range(len(rows)), key=most.__getitem__):
        left = len(rows) - sum(1 for height in heights if height)
        heights[i] = min(most[i], (there - sum(heights)) // left)
    # Rounding, and what tables alone leave, is the last row's.
    if max(most) >= there:
        heights[most.index(max(most))] += there - sum(heights)
    return heights


def until(scene: Scene, name: str) -> tuple[Ints, Floats]:
    """Steps and finite values of a metric up to the step shown."""
    series = scene.series(name)
    use = (series.steps <= scene.step) & np.isfinite(series.values)
    return series.steps[use], series.values[use]


def both(scene: Scene, one: str, other: str) -> tuple[Ints, Floats, Floats]:
    """Steps at which two metrics were recorded, and their values there; mostly they were always recorded together."""
    a, b = scene.series(one), scene.series(other)
    if np.array_equal(a.steps, b.steps):
        return a.steps, a.values, b.values
    steps, at_a, at_b = np.intersect1d(a.steps, b.steps, return_indices=True)
    return steps, a.values[at_a], b.values[at_b]


def level(scene: Scene, value: float, ink: int, label: str = "") -> Line:
    """A horizontal line over all steps."""
    return Line(np.array(scene.x, np.int64), np.full(2, value), ink, label)


def from_zero(top: float, width: int) -> Axis:
    """A horizontal axis from 0 to about `top`."""
    axis = linear(0.0, max(top, 1e-6), max(3, width // 14), floor=0.0)
    return replace(axis, labels=tuple(label.strip() for label in axis.labels))


def smoothed(scene: Scene, rows: Sequence[Row]) -> list[Line]:
    """A labelled line for each of `rows` that is recorded."""
    return [
        Line(series.steps, scene.smoothed(name), ink, label, behind=scene.behind(name, smoothed=True))
        for label, name, ink in rows
        if len(series := scene.series(name))
    ]


def how_drawn(scene: Scene, lines: Sequence[Line], first: str, others: str) -> list[str]:
    """How to read smoothed lines: a clause of the panel's own, what the `others` are, and what is dashed, if any is."""
    read = [first, f"{others}: smoothed over a half-life of {scene.half_life:.0f} values"]
    return ["dashed: a branch that was left", *read] if any(line.behind for line in lines) else read


def lines_chart(scene: Scene, lines: Sequence[Line], axis: Callable[[int], Axis], width: int, height: int) -> Cells:
    """Lines with their names on an axis that is made for a number of ticks."""
    labels = max((width_of(line.label) for line in lines), default=0)
    plan = chart(scene, lines, axis(ticks_for(height - 1)), labels=labels + 2 if labels and width >= 40 else 0)
    return draw(plan, width, height)


def across(scene: Scene, x: Axis, y: Axis) -> Chart:
    """A chart over another quantity than steps, to be filled with `replace`."""
    return Chart(x=scene.x, y=y, across=x, ascii_only=scene.ascii_only)


def fixed(value: float, half: float, decimals: int = 2) -> str:
    """A signed number with the half-width of its interval, all with as many decimals, for a column of a table."""
    if not np.isfinite(value):
        return "-"
    text = f"{value:+.{decimals}f}".replace("-", "−")
    return f"{text} ±{half:.{decimals}f}" if np.isfinite(half) else text


def plus_minus(value: float) -> str:
    """A half-width of an interval, for after a number: ±0.03; empty where it is not known."""
    if not np.isfinite(value):
        return ""
    return f"±{value:.2f}" if value >= 0.0095 else f"±{value:.1g}"
