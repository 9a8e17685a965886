"""What the overview and an enlarged panel have in common: header, verdict, footer, and panels between them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace
from textual.app import ComposeResult
from textual.screen import Screen

from rlpeaks_tui.run.text import clean_line

from .. import strips, verdict
from ..card import Card
from ..cells import Cells, Ink, fit, in_ascii
from ..plan import Place, Places
from ..scene import Scene
from ..strips import Hint
from ..surface import Surface
from ..theme import Palette
from .board import Board

FRAME = ("header", "verdict", "footer")


class Show(Struct, frozen=True):
    """What a stage draws.

    Attributes:
        scene: for the panels; in a held view it is older than the run.
        now: the run as it is, for the frame.
        notice: words to the person.
        size: of the screen.
        settled: the checks in `now` are those of the step shown; they are not for a moment after the cursor moved.
        hints: the keys that the footer names.
        card: what lies over the panels until the next key: whether a command helped.
        rows: of the panels that may be written in this drawing.
    """

    scene: Scene
    now: Scene
    notice: str
    size: tuple[int, int]
    settled: bool
    hints: Sequence[Hint]
    card: Card | None
    rows: int = sys.maxsize


class Stage(Screen[None]):
    """Draws a scene. Subclasses say where things lie and how their panels are drawn."""

    AUTO_FOCUS = ""

    def __init__(self, palette: Palette) -> None:
        super().__init__()
        self._palette = palette
        self._surfaces: dict[str, Surface] = {}
        self._show: Show | None = None
        self._turn = 0
        self.failed: dict[str, Exception] = {}
        """What could not be drawn, and why."""
        self.whole = True
        """Whether everything that is known is on screen."""
        self._key: object = None
        self._verdict_rows = 1
        self._card: Card | None = None
        self._placed: Places = {}

    def panels(self) -> Iterable[str]:
        """The ids of everything that this stage may place, besides the frame."""
        raise NotImplementedError

    def plan(self, width: int, height: int) -> Places:
        """Where things lie on a screen of this size."""
        raise NotImplementedError

    def draw(self, name: str, scene: Scene, width: int, height: int) -> Cells:
        """The cells of one panel."""
        raise NotImplementedError

    def key(self, show: Show) -> object:
        """Equal keys: everything but the frame is drawn the same."""
        return show.scene.key, show.size

    def compose(self) -> ComposeResult:
        self._surfaces = {name: Surface(self._palette, id=name) for name in (*FRAME, *self.panels())}
        self._surfaces["card"] = Surface(_raised(self._palette), id="card")
        yield Board(self._places, *self._surfaces.values())

    def on_mount(self) -> None:
        # Before Textual lays it out and paints it for the first time, so that what it paints is not empty.
        self.app.repaint()  # type: ignore[attr-defined]

    def _compositor_refresh(self) -> None:
        # Textual writes what a new layout shows, and right after it the whole screen where that was asked for too.
        if not self._repaint_required:
            super()._compositor_refresh()

    def _places(self, width: int, height: int) -> Places:
        """What the plan says, with the card over it."""
        places = self.plan(width, height)
        return {**places, "card": self._card.place(width, height)} if self._card is not None else places

    def paint(self, show: Show) -> None:
        """Draw what changed since the last time. `show` is what is to be seen now.

        Where there is more to write than `show.rows` allows, the next drawing goes on with it.
        """
        size = self.app.size
        if not size.width or not size.height or not self._surfaces:
            return
        before, self._show = self._show, show
        self._verdict_rows, self._card = verdict.rows(show.now, size.width), show.card
        places = self._places(size.width, size.height)
        if places != self._placed:
            # A stage that is painted for the first time is about to be laid out anyway.
            if self._placed:
                self.replan()
            self._placed = places
        same, self._key = self.key(show) == self._key, self.key(show)
        room, whole = show.rows, True
        for name in self._order(places, show.scene.view.panel):
            place = places[name]
            if name == "verdict" and not show.settled and before is not None:
                continue
            if name not in (*FRAME, "card") and before is not None and same:
                continue
            cells = self._drawn(name, show, place)
            if show.scene.ascii_only:
                cells = in_ascii(cells)
            written, left = self._surfaces[name].show(cells, sys.maxsize if name in FRAME else room)
            room, whole = room - written, whole and not left
        if not whole:
            self._key, self._turn = None, self._turn + 1
        self.whole = whole

    def _drawn(self, name: str, show: Show, place: Place) -> Cells:
        """The cells of one surface. What fails on a run such as nobody thought of says so in its place: a person who
        steers needs the other panels all the more."""
        try:
            if name in FRAME:
                return self._strip(name, show, place.width, place.height)
            if name == "card" and show.card is not None:
                return show.card.draw(place.width, place.height, show.scene.look.effect)
            return self.draw(name, show.scene, place.width, place.height)
        except Exception as error:
            self.failed[name] = error
            cells = Cells(place.width, place.height)
            said = f"{name} cannot be drawn: {type(error).__name__}: {error}"
            cells.put(min(1, place.height - 1), 0, fit(clean_line(said), place.width), Ink.BAD)
            return cells

    def _order(self, places: Places, focused: str) -> list[str]:
        """The frame, which says what a key did, then the panel that the person looks at, then the others by turns."""
        first = [name for name in places if name in (*FRAME, "card", "tabs", focused)]
        others = [name for name in places if name not in first]
        turn = self._turn % max(1, len(others))
        return [*first, *others[turn:], *others[:turn]]

    def replan(self) -> None:
        """Lay everything out again, because what is shown where has changed."""
        if "header" not in self._surfaces:
            return
        # A widget that asks for layout has its parent's arrangement forgotten, and every surface lies on the board.
        self._surfaces["header"].refresh(layout=True)

    def restart(self) -> None:
        """Nothing of the run before is left: another one is shown from now on."""
        self._show, self._card, self._verdict_rows, self._placed = None, None, 1, {}
        self.replan()

    def recolour(self, palette: Palette) -> None:
        self._palette = palette
        for name, surface in self._surfaces.items():
            surface.recolour(_raised(palette) if name == "card" else palette)

    def _strip(self, name: str, show: Show, width: int, height: int) -> Cells:
        if name == "header":
            return strips.header(show.scene, show.now.snapshot.step, width)
        if name == "verdict":
            return verdict.strip(show.now, width, height)
        return strips.footer(show.hints, width, show.notice, height)


def _raised(palette: Palette) -> Palette:
    return replace(palette, ground=palette.raised)
