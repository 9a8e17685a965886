"""Every metric that the run records, one a row; the picked one drawn large, with what the catalog says about it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from rlpeaks_tui.stats.catalog import lookup
from rlpeaks_tui.stats.metric import Metric

from ..axes import Axis, span_of
from ..cells import Cells, Ink, fit
from ..chart import Line
from ..filtering import filtered
from ..scene import Scene
from ..words import plural
from .parts import Row, axis_over, heading, metric_table, nothing, raw_and_smooth, written
from .picking import first_shown, pick, picked, raise_row
from .story import Part, Told, how_drawn, lines_chart, tell, untold


def overview(scene: Scene, width: int, height: int) -> Cells:
    """As many as have room, from the first on."""
    cells = Cells(width, height)
    names = _headed(cells, scene, "0")
    rows: list[Row] = [(name, name, Ink.TEXT) for name in names[: height - 2]]
    if rows:
        cells.blit(1, 0, metric_table(scene, rows, width, height - 1))
    return cells


def enlarged(scene: Scene, width: int, height: int) -> Cells:
    """The list; one of it is picked."""
    cells = Cells(width, height)
    names = _headed(cells, scene, "")
    if not names:
        return cells
    room = height - 4
    at = picked(cells, scene, len(names))
    top = first_shown(at, len(names), room)
    rows: list[Row] = [(f"  {name}", name, Ink.TEXT) for name in names[top : top + room]]
    cells.blit(2, 0, metric_table(scene, rows, width, height - 3))
    raise_row(cells, 3 + at - top, 0, width)
    left = len(names) - top - len(rows)
    cells.put(
        height - 1, 0, fit(f"{scene.look.open}: the picked one as a chart, and what it means", width - 12), Ink.FAINT
    )
    cells.put_right(height - 1, width, f"{left:,} more" if left > 0 else "", Ink.FAINT)
    return cells


def large(scene: Scene, width: int, height: int) -> Cells:
    """The picked metric: its curve, what it is made of, what is in order, and how it misleads."""
    names, note = _listed(scene)
    name = pick(scene, names)
    if name is None:
        return untold("Metrics", _none(scene), scene, width, height)
    value, known = scene.value(name), lookup(name)
    if value is None:
        cells = untold(name, scene.why(name), scene, width, height)
    else:
        place = f"{names.index(name) + 1} of {plural(len(names), 'metric')}"
        lines = raw_and_smooth(scene, name, Ink.SERIES_1)
        told = Told(
            name,
            Ink.TEXT,
            written(name, value),
            f"{place}, {note}" if note else place,
            known.unit if known else "",
            [*_meaning(known), _course(scene, name)],
            how_drawn(scene, lines, "thin: as recorded", "thick"),
            [Part("", partial(lines_chart, scene, lines, partial(_axis, lines, known)))],
        )
        cells = tell(told, scene, width, height)
    # Up and down go on through the list.
    picked(cells, scene, len(names))
    return cells


def _headed(cells: Cells, scene: Scene, key: str) -> list[str]:
    """Draw the heading, and why there is nothing where there is; gives the names to list."""
    names, note = _listed(scene)
    heading(cells, scene, "metrics", key, "Metrics", Ink.TEXT, plural(len(names), "metric"), note, "as recorded")
    if not names:
        nothing(cells, _none(scene))
    return names


def _listed(scene: Scene) -> tuple[list[str], str]:
    """The names that the filter keeps, and what it says."""
    return filtered(scene.snapshot.columns.names(), scene.view.filter)


def _none(scene: Scene) -> str:
    return "no metric matches" if scene.view.filter else "nothing recorded yet"


def _course(scene: Scene, name: str) -> str:
    low, high = span_of(scene.series(name).values) or (None, None)
    return f"first {written(name, scene.start(name))}, lowest {written(name, low)}, highest {written(name, high)}"


def _meaning(known: Metric | None) -> list[str]:
    if known is None:
        return ["the catalog does not know it: a metric of the trainer's or of a script's own"]
    return [
        f"{known.title}: {known.formula}",
        f"how it misleads: {known.misleads}",
        f"in order: {known.healthy}",
        f"measured: {known.estimator}",
    ]


def _axis(lines: Sequence[Line], known: Metric | None, count: int) -> Axis:
    floor, ceiling = known.bounds if known else (None, None)
    return axis_over(lines, count, floor, ceiling)
