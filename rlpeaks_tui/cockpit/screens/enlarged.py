"""One panel on a screen of its own, where it shows more than in the overview."""

from __future__ import annotations

from collections.abc import Iterable

from textual import events

from .. import plan, strips
from ..cells import Cells
from ..panels import BY_ID
from ..plan import Places
from ..scene import Scene
from ..theme import Palette
from .stage import Stage


class Enlarged(Stage):
    """Shows `panel`, which may change while the screen is open."""

    def __init__(self, palette: Palette, panel: str) -> None:
        super().__init__(palette)
        self.panel = panel
        self.below = 0
        """Lines of its list that did not fit."""

    def panels(self) -> Iterable[str]:
        return ("tabs", "panel")

    def plan(self, width: int, height: int) -> Places:
        tabs = len(BY_ID[self.panel].stories) > 1
        return plan.enlarged(width, height, self._verdict_rows, tabs)

    def draw(self, name: str, scene: Scene, width: int, height: int) -> Cells:
        if name == "tabs":
            return strips.tabs(
                [story.title for story in BY_ID[self.panel].stories], scene.view.story, width, scene.look.story
            )
        cells = BY_ID[self.panel].story(scene.view).draw(scene, width, height)
        self.below = cells.below
        return cells

    def story_at(self, x: int) -> int | None:
        """The story whose name stands at column `x` of the tabs."""
        assert self._show is not None
        stories = BY_ID[self.panel].stories
        return strips.tab_at([story.title for story in stories], x, self._show.scene.look.story)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self.app.action_command("up")  # type: ignore[attr-defined]

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self.app.action_command("down")  # type: ignore[attr-defined]
