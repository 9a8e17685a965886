"""The first screen: everything that fits, and the rest one key away."""

from __future__ import annotations

from collections.abc import Iterable

from .. import plan, strips
from ..cells import Cells
from ..panels import BY_ID, completion
from ..plan import Places
from ..scene import Scene
from ..theme import Palette
from .stage import Show, Stage


class Overview(Stage):
    """All panels that have room; on a small screen the one that the person chose or the verdict speaks of."""

    def __init__(self, palette: Palette) -> None:
        super().__init__(palette)
        self.shown = "reward"
        self.before_first = False

    def panels(self) -> Iterable[str]:
        return (*BY_ID, "sparks", "strip")

    def plan(self, width: int, height: int) -> Places:
        if self.before_first:
            return plan.before_first(width, height, self._verdict_rows)
        return plan.overview(width, height, self._verdict_rows, self.shown)

    def draw(self, name: str, scene: Scene, width: int, height: int) -> Cells:
        if name == "sparks":
            return strips.sparks(scene, strips.others(self.shown), width)
        if name == "strip":
            return completion.strip(scene, width)
        return BY_ID[name].draw(scene, width, height)

    def paint(self, show: Show) -> None:
        before_first = not show.scene.snapshot.step
        if before_first != self.before_first:
            self.before_first = before_first
            self._show = None
            self.replan()
        super().paint(show)

    def feature(self, panel: str) -> None:
        """Draw `panel` where there is room for only one."""
        if panel != self.shown:
            self.shown = panel
            self._show = None
            self.replan()

    def restart(self) -> None:
        self.shown, self.before_first = "reward", False
        super().restart()
