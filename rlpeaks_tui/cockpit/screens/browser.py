"""The completions browser: a list that is searched while it is read, and layers over it, each closer to the text.

Keys act on what has been read already and ask the finder, a thread of its own, for the rest. What a layer shows is
decided by pure functions in `browse`; this screen keeps where the person is, and hands them what has arrived.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from msgspec.structs import replace
from textual import events
from textual.binding import BindingType
from textual.message import Message

from rlpeaks_tui.run import present
from rlpeaks_tui.run.layout import Layout

from .. import plan, strips
from ..browse import compare, group, keys, listing, query, through, tokens
from ..browse.columns import scrolled
from ..browse.finder import Answer, Compared, Finder, Found, Opened, Through
from ..browse.layers import DifferenceLayer, GroupLayer, Layer, Place, ThroughLayer, TokenLayer
from ..browse.shelf import Shelf
from ..browse.sought import Sought
from ..cells import Cells
from ..keyed import bound, shown
from ..plan import Places
from ..scene import Scene
from ..strips import Hint
from ..surface import Surface
from ..theme import Palette
from ..words import plural
from .ask import Filter
from .stage import Show, Stage

if TYPE_CHECKING:
    from ..app import Cockpit


class Browser(Stage):
    """Completions of the run whose files lie at `layout`. `line` is the query that it opens with.

    Raises:
        query.Mistake: the line is no query.
    """

    class Answered(Message):
        """The finder has something, or could not go on."""

        def __init__(self, answer: Answer | Exception) -> None:
            super().__init__()
            self.answer = answer

    BINDINGS: ClassVar[list[BindingType]] = [bound(name, action) for name, action in keys.ACTIONS.items()]

    def __init__(self, palette: Palette, layout: Layout, line: str = "") -> None:
        super().__init__(palette)
        self._list = Sought(line)
        self._finder = Finder(layout.rollouts, self._deliver)
        self._open: list[Layer] = []
        self._shelf = Shelf(self._finder)
        self._shade = 0
        self._marked: tuple[Place, str] | None = None
        self._area = (0, 0)
        self._held = False
        self._generations = 0
        self._version = 0
        """Of everything that this screen knows besides the scene."""

    # What the stage asks

    def panels(self) -> Iterable[str]:
        return ("panel",)

    def plan(self, width: int, height: int) -> Places:
        return plan.enlarged(width, height, self._verdict_rows)

    def on_mount(self) -> None:
        self._finder.start()

    def on_unmount(self) -> None:
        self._finder.let_go()

    def paint(self, show: Show) -> None:
        scene = show.scene
        self._held, cursor = scene.view.held, scene.view.cursor
        if cursor is not None or not self._held:
            self._look_for(cursor)
        elif self._list.asked is None:
            # Opened in a held view, it shows what the view shows; a list that is open already just stops growing.
            self._look_for(scene.snapshot.step)
        self._generations = len(show.now.snapshot.rollout_steps)
        if self._following and self._newer:
            self._finder.follow()
        super().paint(replace(show, hints=self._hints))

    def key(self, show: Show) -> object:
        return super().key(show), self._version, self._newer

    def draw(self, name: str, scene: Scene, width: int, height: int) -> Cells:
        self._area = (width, height)
        look = scene.look
        match self._layer:
            case None:
                return self._draw_list(scene, width, height)
            case GroupLayer() as layer:
                block = self._shelf.block(layer.number)
                marked = self._marked[0] if self._marked else (-1, -1)
                mark = marked[1] if marked[0] == layer.number else None
                cells, top = group.draw(block, layer.group, layer.index, layer.scroll, mark, width, height)
                self._settle(replace(layer, scroll=top))
            case TokenLayer() as layer:
                number, index = layer.place
                block = self._shelf.block(number)
                told = group.named(block, index) if block is not None else ""
                cells, top = tokens.draw(
                    block, index, told, layer.token, self._shade, layer.scroll, look, width, height
                )
                self._settle(replace(layer, scroll=top))
            case ThroughLayer() as layer:
                layer = replace(layer, top=scrolled(layer.at, layer.top, through.room(height)))
                self._settle(layer)
                if (moment := self._shelf.moment(layer.at)) is not None:
                    self._shelf.block(moment.number)
                cells = through.draw(
                    self._shelf.through,
                    layer.prompt,
                    layer.here,
                    layer.at,
                    layer.top,
                    look.ascii_only,
                    width,
                    height,
                    present.left_generations(scene.snapshot),
                )
            case DifferenceLayer() as layer:
                cells, top = compare.draw(
                    self._shelf.difference(layer.places), layer.names, layer.scroll, width, height
                )
                self._settle(replace(layer, scroll=top))
        return cells

    def _draw_list(self, scene: Scene, width: int, height: int) -> Cells:
        self._list.settle(height)
        at, row = self._list, self._list.row
        block = self._shelf.block(row.number) if row is not None else None
        marked = self._marked[0] if self._marked else None
        newer, find = self._told_newer(scene.look.hold), self._shown["browser.find"]
        step, left = scene.snapshot.step, present.left_generations(scene.snapshot)
        return listing.draw(
            at.found, at.line, at.until, step, at.at, at.top, marked, newer, block, width, height, find, left
        )

    def _settle(self, layer: Layer) -> None:
        """Remember where a drawing really is, so that the next key moves from there."""
        self._open[-1] = layer

    @property
    def _layer(self) -> Layer | None:
        return self._open[-1] if self._open else None

    @property
    def _hints(self) -> list[Hint]:
        return keys.hints(self._layer.name if self._layer else "list", self._marked is not None, self._shown)

    @property
    def _shown(self) -> dict[str, str]:
        """The keys in force."""
        return shown(self._cockpit.table)

    @property
    def _cockpit(self) -> Cockpit:
        from ..app import Cockpit

        assert isinstance(self.app, Cockpit)
        return self.app

    def _changed(self) -> None:
        """Draw again, although the run is the same."""
        self._version += 1
        self._cockpit.repaint()

    # What is looked for

    def find(self, line: str) -> None:
        """Show the list of what a line asks for.

        Raises:
            query.Mistake: the line is no query.
        """
        self._list.write(line)
        self._open.clear()
        self._look_through()
        self._look_for(self._list.until)
        self._moved()

    def _look_for(self, until: int | None) -> None:
        """Search, when what is wanted or the cursor's step has changed."""
        if (wanted := self._list.search(until)) is not None:
            self._version += 1
            self._finder.ask(wanted)

    @property
    def _following(self) -> bool:
        """Whether new generations appear at the top: the list is at its top, and shows the run as it is now."""
        return self._list.at_top and self._list.until is None and not self._held and not self._open

    @property
    def _newer(self) -> int:
        """Generations that are not in the list because they came later."""
        return max(0, self._generations - self._list.found.generations)

    def _deliver(self, answer: Answer | Exception) -> None:
        """Called by the finder in its thread."""
        self.post_message(self.Answered(answer))

    def _told_newer(self, hold: str) -> str:
        if not self._newer or self._following or self._list.until is not None:
            return ""
        key = hold if self._held else self._shown["browser.first"]
        return f"{plural(self._newer, 'newer generation')}, {key} shows {'it' if self._newer == 1 else 'them'}"

    def on_browser_answered(self, message: Browser.Answered) -> None:
        match message.answer:
            case Exception() as error:
                raise error
            case Found() as found if found.wanted == self._list.asked:
                self._list.take(found, self._following)
            case Opened() | Through() | Compared() as fetched:
                self._shelf.take(fetched)
        self._changed()

    # Keys

    def action_down(self, by: int) -> None:
        match self._layer:
            case None:
                self._list.go_to(self._list.at + by)
            case TokenLayer() as layer if trace := self._shelf.trace(layer.place):
                token = tokens.moved(trace.pieces, self._area[0], layer.token, by)
                self._settle(replace(layer, token=token))
            case ThroughLayer() as layer:
                last = len(self._shelf.through.moments) - 1 if self._shelf.through else 0
                self._settle(replace(layer, at=max(0, min(layer.at + by, last))))
            case layer:
                self._settle(replace(layer, scroll=max(0, layer.scroll + by)))
        self._moved()

    def action_right(self, by: int) -> None:
        match self._layer:
            case None:
                self._cockpit.go_to(self._cockpit.step + by)
                return
            case GroupLayer() as layer:
                block = self._shelf.block(layer.number)
                if block is not None:
                    self._settle(replace(layer, index=group.beside(block, layer.group, layer.index, by), scroll=0))
            case TokenLayer() as layer if trace := self._shelf.trace(layer.place):
                self._settle(replace(layer, token=max(0, min(layer.token + by, len(trace.pieces) - 1))))
        self._moved()

    def action_page(self, by: int) -> None:
        height = self._area[1]
        rows = listing.room(height) if self._layer is None else height
        self.action_down(by * max(1, rows - 2))

    def action_edge(self, last: bool) -> None:
        far = 1 << 30
        self.action_down(far if last else -far)

    def action_enter(self) -> None:
        match self._layer:
            case None if (row := self._list.row) is not None:
                self._open_group(row.number, row.group, row.index)
            case GroupLayer():
                self.action_shade(0)
            case ThroughLayer() as layer if moment := self._shelf.moment(layer.at):
                self._open_group(moment.number, moment.group, moment.best)

    def action_shade(self, by: int) -> None:
        """Open the tokens; when they are open, shade them by the next thing that was measured."""
        layer = self._layer
        if isinstance(layer, TokenLayer):
            block = self._shelf.block(layer.place[0])
            if block is not None:
                self._shade = tokens.next_shade(block, layer.place[1], self._shade, by)
        elif (place := self._picked) is not None:
            self._open.append(TokenLayer(place))
        self._moved()

    def action_mark(self) -> None:
        """Mark a completion, or show how it differs from the one marked before."""
        place = self._picked
        if place is None:
            return
        block = self._shelf.block(place[0])
        if block is None:
            self._cockpit.say("that completion is still being read")
            return
        name = group.named(block, place[1])
        if self._marked is None:
            self._marked = (place, name)
            self._cockpit.say(f"marked; {self._shown['browser.mark']} on another completion shows how they differ")
        elif self._marked[0] == place:
            self._marked = None
            self._cockpit.say("no longer marked")
        else:
            self._open.append(DifferenceLayer((self._marked[0], place), (self._marked[1], name)))
            self._marked = None
            self._moved()
            return
        self._changed()

    def action_through(self) -> None:
        """The prompt of what is picked, through time."""
        layer, place = self._layer, self._picked
        number = layer.number if isinstance(layer, GroupLayer) else place[0] if place is not None else None
        if isinstance(layer, ThroughLayer) or number is None:
            return
        block = self._shelf.block(number)
        if block is None:
            self._cockpit.say("that completion is still being read")
            return
        of = layer.group if isinstance(layer, GroupLayer) else block.group[place[1]] if place is not None else 0
        self._open.append(ThroughLayer(block.prompts[of], number))
        self._look_through()
        self._moved()

    def action_ask(self) -> None:
        """One line for the query, searched as it is typed; a mistake in it is said while it can be put right."""
        before, layers = self._list.line, list(self._open)

        def typed(line: str) -> None:
            # Half a filter is no mistake yet: what was found before stays.
            if line == before or not (query.mistake(line) or query.unfinished(line)):
                self.find(line)
            if line == before and layers:
                self._open += layers
                self._look_through()
                self._moved()

        def entered(line: str | None) -> None:
            if line is not None:
                self.find(line)

        self.app.push_screen(Filter(before, typed, query.GRAMMAR, query.mistake), entered)

    def action_out(self) -> None:
        """One layer out: what was said, the layers, then the browser."""
        if self._cockpit.hush():
            return
        if self._open:
            self._open.pop()
            self._look_through()
            self._moved()
        else:
            self._cockpit.action_command("back")

    def _look_through(self) -> None:
        """Look for the prompt of the layer that shows one through time, and no further when there is none."""
        prompts = [layer.prompt for layer in self._open if isinstance(layer, ThroughLayer)]
        self._shelf.look_through(prompts[-1] if prompts else None)

    async def on_surface_pressed(self, message: Surface.Pressed) -> None:
        """A click picks a row, and opens the one that is picked; on a key in the footer it is that key."""
        if message.surface.id == "footer":
            message.stop()
            hint = strips.pressed(self._hints, message.surface.size.width, message.x)
            if not self._cockpit.hush() and hint is not None and hint.command:
                await self.run_action(hint.command)
        elif message.surface.id == "panel" and self._layer is None:
            row = listing.row_at(message.y, self._list.top, self._area[1])
            if row == self._list.at:
                self.action_enter()
            elif row is not None and row < len(self._list.found.rows):
                self._list.go_to(row)
                self._moved()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self.action_down(-1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self.action_down(1)

    def _moved(self) -> None:
        self._version += 1
        self._cockpit.say("")

    def _open_group(self, number: int, of: int, index: int) -> None:
        self._open.append(GroupLayer(number, of, index))
        self._moved()

    @property
    def _picked(self) -> Place | None:
        """The completion that a key acts on."""
        match self._layer:
            case None:
                return self._list.row.place if self._list.row is not None else None
            case GroupLayer() as layer if layer.index != group.PROMPT:
                return layer.number, layer.index
            case TokenLayer() as layer:
                return layer.place
            case ThroughLayer() as layer if moment := self._shelf.moment(layer.at):
                return moment.number, moment.best
        return None
