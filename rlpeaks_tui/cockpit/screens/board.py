"""A part of the screen whose children lie where a pure function says, without style sheets."""

from __future__ import annotations

from collections.abc import Callable

from textual.geometry import NULL_OFFSET, NULL_SPACING, Region, Size
from textual.layout import Layout, WidgetPlacement
from textual.widget import Widget

from ..plan import Places

Planner = Callable[[int, int], Places]


class _Placed(Layout):
    """Children by id, at their places; a child without a place is not shown."""

    name = "placed"

    def __init__(self, plan: Planner) -> None:
        self._plan = plan

    def arrange(self, parent: Widget, children: list[Widget], size: Size, greedy: bool = True) -> list[WidgetPlacement]:
        places = self._plan(size.width, size.height)
        return [
            WidgetPlacement(Region(place.x, place.y, place.width, place.height), NULL_OFFSET, NULL_SPACING, child)
            for child in children
            if child.id is not None and (place := places.get(child.id)) is not None
        ]


class Board(Widget):
    """Holds surfaces."""

    DEFAULT_CSS = """
    Board { width: 100%; height: 100%; overflow: hidden; }
    """

    def __init__(self, plan: Planner, *children: Widget) -> None:
        super().__init__(*children)
        self._placed = _Placed(plan)

    @property
    def layout(self) -> Layout:
        return self._placed
