"""Every metric that the run records, as it is, one a row."""

from __future__ import annotations

from ..cells import Cells, Ink
from ..filtering import filtered
from ..scene import Scene
from ..words import plural
from .parts import Row, heading, metric_table, nothing, scrolled


def enlarged(scene: Scene, width: int, height: int) -> Cells:
    cells = Cells(width, height)
    names, note = filtered(scene.snapshot.columns.names(), scene.view.filter)
    heading(cells, scene, "", "", "Metrics", Ink.TEXT, plural(len(names), "metric"), note, "as recorded")
    if not names:
        return nothing(cells, "no metric matches" if scene.view.filter else "nothing recorded yet")
    rows: list[Row] = [(name, name, Ink.TEXT) for name in names]
    room = height - 4
    top = scrolled(cells, len(rows), room, scene.view.scroll)
    cells.blit(2, 0, metric_table(scene, rows[top : top + room], width, height - 3))
    return cells
