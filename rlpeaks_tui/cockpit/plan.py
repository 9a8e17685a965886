"""Where everything goes on a screen of a given size: one pure function for every size there is.

Three arrangements: one chart with the rest in rows beneath it, charts in two columns, charts in a row of four.
What does not fit is left out from the end, never squeezed: below its smallest useful size a panel is one key
away instead.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

MARGIN = 1
GAP = 3
"""Columns between two panels; space separates them, no lines."""


class Place(Struct, frozen=True):
    """A rectangle of the screen."""

    x: int
    y: int
    width: int
    height: int


Places = Mapping[str, Place]


def overview(width: int, height: int, verdict_rows: int = 1, shown: str = "reward") -> Places:
    """Places by name for the overview: `header`, `verdict`, `footer`, panels by id, and on small screens `sparks` and
    `strip` (the completion in two rows).

    Args:
        width, height: of the screen.
        verdict_rows: rows that the verdict needs now; a traceback needs several.
        shown: the panel that a small screen draws.
    """
    if width < 2 or height < 1:
        return {}
    frame = _Frame(width, height, verdict_rows)
    if width < 108 or height < 34:
        return _one(frame, shown)
    return _two(frame) if width < 150 or height < 42 else _four(frame)


def before_first(width: int, height: int, verdict_rows: int = 1) -> Places:
    """Places before the first step: there is nothing to chart yet, so what the run has printed gets the room."""
    if width < 2 or height < 1:
        return {}
    frame = _Frame(width, height, verdict_rows)
    if frame.width >= 100:
        frame.row(0, frame.rows, ("console", 7), ("facts", 5))
    else:
        frame.put("console", 0, frame.width, frame.rows)
    return frame.places


def enlarged(width: int, height: int, verdict_rows: int = 1, tabs: bool = False) -> Places:
    """Places for one `panel` on its own, under the row of `tabs` that names its stories where it has several."""
    if width < 2 or height < 1:
        return {}
    frame = _Frame(width, height, verdict_rows)
    row = int(tabs and frame.rows >= 10)
    if row:
        frame.put("tabs", 0, frame.width, 1)
    frame.put("panel", 0, frame.width, frame.rows - row, row)
    return frame.places


def nearest(places: Places, panel: str, right: int, down: int) -> str:
    """The panel that one arrow leads to: the closest one in that direction, or the same when there is none."""
    here = places.get(panel)
    if here is None:
        return next(iter(places), panel)
    x, y = here.x + here.width / 2, here.y + here.height / 2
    best, least = panel, float("inf")
    for name, place in places.items():
        dx, dy = place.x + place.width / 2 - x, place.y + place.height / 2 - y
        ahead, aside = (dx * right, abs(dy)) if right else (dy * down, abs(dx))
        beyond = (
            (place.x >= here.x + here.width if right > 0 else place.x + place.width <= here.x)
            if right
            else (place.y >= here.y + here.height if down > 0 else place.y + place.height <= here.y)
        )
        if name != panel and beyond and ahead + 2 * aside < least:
            best, least = name, ahead + 2 * aside
    return best


class _Frame:
    """The strips that every screen has, and the rows that are left between them."""

    def __init__(self, width: int, height: int, verdict_rows: int) -> None:
        self.left = MARGIN if width >= 60 else 0
        self.width = width - 2 * self.left
        self.places: dict[str, Place] = {"header": Place(self.left, 0, self.width, 1)}
        self.bottom = height - 1
        if height >= 4:
            # Where there is room a row above the keys stays free, which a long notice takes.
            rows = 1 + (height >= 20)
            self.bottom = height - rows
            self.places["footer"] = Place(self.left, self.bottom, self.width, rows)
        self.top = 1
        if height >= 3:
            rows = max(1, min(verdict_rows, height // 3))
            air = int(height >= 16)
            # One row that is too short goes on in the air below it.
            self.places["verdict"] = Place(self.left, 1, self.width, rows + air if rows == 1 else rows)
            self.top = 1 + rows + air

    @property
    def rows(self) -> int:
        return max(0, self.bottom - self.top)

    def put(self, name: str, x: int, width: int, height: int, y: int = 0) -> None:
        """Place `name` relative to the free area."""
        if width > 0 and height > 0:
            self.places[name] = Place(self.left + x, self.top + y, width, height)

    def row(self, y: int, height: int, *parts: tuple[str, float]) -> None:
        """Panels side by side, with widths in these proportions."""
        free = self.width - GAP * (len(parts) - 1)
        total = sum(share for _, share in parts)
        x = 0
        for i, (name, share) in enumerate(parts):
            width = self.width - x if i == len(parts) - 1 else round(free * share / total)
            self.put(name, x, width, height, y)
            x += width + GAP


def _one(frame: _Frame, shown: str) -> Places:
    rows = frame.rows
    below: list[tuple[str, int]] = []
    for name, height, least in (("timeline", 2, 9), ("sparks", 1, 8), ("strip", 2, 10)):
        used = sum(part + 1 for _, part in below)
        if rows - used - height - 1 >= least:
            below.append((name, height))
    order = [part for part in (("sparks", 1), ("strip", 2), ("timeline", 2)) if part in below]
    if shown in ("timeline", "completion"):
        order = [part for part in order if part[0] != {"timeline": "timeline", "completion": "strip"}[shown]]
    main = rows - sum(height + 1 for _, height in order)
    frame.put(shown, 0, frame.width, main)
    y = main + 1
    for name, height in order:
        frame.put(name, 0, frame.width, height, y)
        y += height + 1
    return frame.places


def _two(frame: _Frame) -> Places:
    timeline = 4
    low = max(10, min(14, frame.rows * 7 // 20))
    charts = frame.rows - timeline - low - 2
    upper = (charts - 1) // 2
    frame.row(0, upper, ("reward", 1), ("entropy", 1))
    frame.row(upper + 1, charts - upper - 1, ("kl", 1), ("calibration", 1))
    y = charts + 1
    frame.row(y, low, ("sparsity", 19), ("completion", 12))
    frame.row(y + low + 1, timeline, ("timeline", 1))
    return frame.places


def _four(frame: _Frame) -> Places:
    timeline = 4 if frame.rows < 44 else 5
    bottom = max(7, min(10, frame.rows // 6))
    middle = max(12, min(16, frame.rows // 4))
    charts = frame.rows - timeline - bottom - middle - 3
    frame.row(0, charts, ("reward", 1), ("entropy", 1), ("kl", 1), ("calibration", 1))
    y = charts + 1
    frame.row(y, middle, ("sparsity", 8), ("formats", 3.4), ("completion", 5))
    y += middle + 1
    frame.row(y, timeline, ("timeline", 1))
    y += timeline + 1
    parts: tuple[tuple[str, float], ...] = (("console", 8), ("cost", 4))
    if frame.width >= 180:
        parts = (("console", 8), ("facts", 4.5), ("cost", 4))
    frame.row(y, bottom, *parts)
    return frame.places
