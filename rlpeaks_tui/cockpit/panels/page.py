"""A page of parts under each other, longer than the screen where need be, and scrolled."""

from __future__ import annotations

from collections.abc import Sequence

from ..cells import Cells
from ..scene import Scene
from .parts import scrolled


def lay(cells: Cells, scene: Scene, parts: Sequence[Cells], top: int = 2) -> None:
    """Put `parts` under each other from row `top` on, with a blank row between, as far as the view is scrolled."""
    shown = [part for part in parts if part.height]
    whole = Cells(cells.width, sum(part.height + 1 for part in shown) - 1 if shown else 0)
    y = 0
    for part in shown:
        whole.blit(y, 0, part)
        y += part.height + 1
    room = cells.height - top
    if whole.height > room:
        # The last row says how much is left below.
        room -= 1
    first = scrolled(cells, whole.height, room, scene.view.scroll)
    window = Cells(cells.width, max(0, min(room, whole.height - first)))
    window.blit(0, 0, _from(whole, first))
    cells.blit(top, 0, window)


def _from(cells: Cells, row: int) -> Cells:
    rest = Cells(cells.width, max(0, cells.height - row))
    rest.chars[:], rest.inks[:] = cells.chars[row:], cells.inks[row:]
    return rest
