"""The cockpit: it asks the reader for the run once a tick, and puts what changed on screen.

The clock is its own, not the data's: however fast a run writes, a tick draws the newest state once. A key acts
on what is known at once and asks the reader for the rest, so that it never waits for a file system.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

from msgspec.structs import replace
from textual import events
from textual.app import App
from textual.binding import BindingType
from textual.driver import Driver
from textual.message import Message

from rlpeaks_tui.run.facts import NotARun
from rlpeaks_tui.run.follow import Follower, Snapshot
from rlpeaks_tui.run.marks import CommandMark
from rlpeaks_tui.run.stacks import NoStack, Stack

from . import acts, appearance, by_name, commands, mouse, picture, travel, walk, whereabouts
from .aftermath import Aftermath
from .herald import Herald, Notify
from .link import Pace, asking, behind, leave_if_gone
from .reader import Reader, Reading, Wanted
from .scene import Scene, View
from .screens.dialog import Dialog
from .screens.enlarged import Enlarged
from .screens.help import Help
from .screens.overview import Overview
from .screens.runs import Runs
from .screens.stage import Show, Stage
from .steering import STILL_READ, Steering
from .surface import Surface
from .theme import Palette, choose

RATE = 4.0
PATIENCE = 0.5
"""Seconds for which nothing is sent before there is something to see."""
LOOK_AGAIN = 0.02
"""Seconds until it is looked again whether the terminal has taken the last drawing."""
GO_ON = 0.1
"""Seconds from one part of a drawing to the next on a slow link: long enough for Textual to send the first."""


class Cockpit(App[int]):
    """One run on screen.

    Args:
        directory: of the run.
        readonly: show everything, steer nothing.
        ascii_only: no sign beyond ASCII.
        theme_name: `dark` or `light`, where the terminal has colours for it.
        rate: drawings a second at most.
        notify: how to call a person when the verdict turns bad.
        keys: other keys for commands, by id.
        notice: words to the person, to begin with.

    Raises:
        NotARun: there is no run at `directory`.
    """

    class Fresh(Message):
        """The reader has an answer, or could not go on; `follower` tells of which run."""

        def __init__(self, reading: Reading | Exception, follower: Follower) -> None:
            super().__init__()
            self.reading, self.follower = reading, follower

    TITLE = "rlpeaks"
    COMMANDS: ClassVar = {by_name.ByName}
    BINDINGS: ClassVar[list[BindingType]] = [*commands.bindings()]
    ENABLE_COMMAND_PALETTE = True
    # Textual insists on a key of its own for the palette; the table of commands has the real ones.
    COMMAND_PALETTE_BINDING = "f24"
    CSS = by_name.STYLE

    def __init__(
        self,
        directory: Path,
        *,
        readonly: bool = False,
        ascii_only: bool = False,
        theme_name: str = "dark",
        rate: float = RATE,
        notify: Notify = "none",
        keys: Mapping[str, str] | None = None,
        notice: str = "",
    ) -> None:
        # Without colours Textual would otherwise paint everything in shades of grey.
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        self._readonly = readonly
        self._begin(directory)
        self.notice = notice
        self._keys = keys or {}
        self.table = commands.in_force(self._keys)
        self.palette: Palette = choose(self.console.color_system, self.no_color, theme_name)
        self.look = appearance.look(self.palette, ascii_only, self.table)
        appearance.colour(self, self.palette)
        self._pace = Pace(rate)
        self._due = False
        self.magnifier = Enlarged(self.palette, self.view.panel)
        self._quiet = ExitStack()
        self._herald = Herald(self._write, notify)

    def _begin(self, directory: Path) -> None:
        """Everything that belongs to one run, from its start: nothing of another run is left.

        Raises:
            NotARun: there is no run at `directory`; nothing has changed.
        """
        follower = Follower(directory)

        def deliver(reading: Reading | Exception) -> None:
            """Called by the reader in its thread."""
            self.post_message(self.Fresh(reading, follower))

        self.directory = directory
        self._follower = follower
        self._reader = Reader(follower, deliver)
        self.steering = Steering(directory, self._readonly)
        self.view = View()
        self.chosen = False
        self.aftermath = Aftermath()
        self._newest: Reading | None = None
        self._shown: Reading | None = None
        self.notice = ""
        self.doubts: list[CommandMark] = []

        def asked(answer: Stack | NoStack) -> None:
            """Called in the thread that asked a rank, which may answer when another run is shown."""
            if self._follower is follower:
                self.post_message(whereabouts.Answered(answer, follower))

        self.whereabouts = whereabouts.Whereabouts(asked)

    def open_run(self, directory: Path) -> None:
        """Show another run in place of this one."""
        reader = self._reader
        try:
            self._begin(directory)
        except NotARun as error:
            self.say(str(error))
            return
        reader.let_go()
        self._herald.forget()
        while not isinstance(self.screen, Overview):
            self.pop_screen()
        for stage in (self.overview, self.magnifier):
            stage.restart()
        self._reader.start()
        self.look_again()

    @property
    def reading(self) -> Reading | None:
        """What was read last."""
        return self._newest

    @property
    def snapshot(self) -> Snapshot | None:
        """The run as it was last read."""
        return self._newest.snapshot if self._newest else None

    def get_driver_class(self) -> type[Driver]:
        return asking(super().get_driver_class())

    def get_default_screen(self) -> Overview:
        return Overview(self.palette)

    def on_mount(self) -> None:
        # Textual paints a new screen several times while it settles, each time whole.
        self._quiet.enter_context(self.batch_update())
        self.set_keymap({name: text for name, text in self._keys.items() if commands.BY_ID[name].keys})
        for command in self.table:
            if command.keys and not commands.BY_ID[command.id].keys:
                # A keymap changes keys and gives none to what had none.
                self.bind(",".join(command.keys), f"command({command.id!r})")
        self.set_timer(PATIENCE, self._quiet.close)
        # Kept when it is left: making a screen takes Textual longer than everything else that a key does.
        self.install_screen(self.magnifier, "enlarged")
        self._reader.start()
        # The first look is not the pace's to put off: what Textual has just written to set the terminal up may still
        # wait there, and tells nothing of the link.
        self.look_again()
        self._tick_later()

    def on_unmount(self) -> None:
        self._herald.restore()
        self._reader.stop()

    def _write(self, sequence: str) -> None:
        """To the terminal, in line with what is drawn, so that a slow link is noticed."""
        if self._driver is not None:
            self._driver.write(sequence)

    def _tick(self) -> None:
        leave_if_gone(self._driver)
        if self._pace.tick(behind(self._driver)):
            self.look_again()
        self._tick_later()

    def _tick_later(self) -> None:
        self.set_timer(self._pace.interval, self._tick)

    def look_again(self) -> None:
        """Ask the reader for what the screen needs now."""
        wanted = Wanted(
            step=self._wanted_step(),
            panel=self.enlarged,
            rates=self._dialog is not None and self._dialog.rates,
            effects=self.aftermath.wanted,
        )
        self._reader.ask(wanted)

    def _wanted_step(self) -> int | None:
        """The step that the screen shows; None for the newest."""
        if self.view.cursor is None and self.view.held and self._shown is not None:
            return self._shown.snapshot.step
        return self.view.cursor

    def on_cockpit_fresh(self, message: Cockpit.Fresh) -> None:
        if message.follower is not self._follower:
            return
        reading = message.reading
        if isinstance(reading, Exception):
            raise reading
        self._newest = reading
        held = self._shown if self.view.held else None
        # A held view keeps its snapshot; what was read for its cursor still arrives.
        self._shown = reading if held is None else replace(reading, snapshot=held.snapshot)
        travel.come_back(self, self._shown)
        acts.hear(self, reading)
        # What a busy terminal is not told now it is told with a later reading.
        if not reading.loading and not behind(self._driver):
            self._herald.tell(reading.snapshot, reading.latest, time.monotonic())
        if self.notice == STILL_READ and not reading.loading:
            self.notice = ""
        walk.feature(self)
        self.repaint()
        self._quiet.close()

    def on_answered(self, message: whereabouts.Answered) -> None:
        if message.follower is self._follower:
            whereabouts.take(self, message.answer)

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self.repaint)

    @property
    def stage(self) -> Stage | None:
        """The topmost screen that draws the run; a question or the help may lie over it."""
        stages = [screen for screen in self.screen_stack if isinstance(screen, Stage)]
        return stages[-1] if stages else None

    @property
    def scene(self) -> Scene | None:
        """What is shown, once anything is."""
        return self._scene(self._shown) if self._shown is not None else None

    @property
    def enlarged(self) -> str:
        """The panel that is enlarged; empty when none is."""
        return self.stage.panel if isinstance(self.stage, Enlarged) else ""

    @property
    def _dialog(self) -> Dialog | None:
        """The question about a command that is open."""
        top = self.screen_stack[-1] if self.screen_stack else None
        return top if isinstance(top, Dialog) else None

    def repaint(self) -> None:
        """Draw what is known now; nothing is written where nothing changed.

        While the terminal has not taken the last drawing, the next waits: one that aged in the queue would only keep
        a newer one from the screen, and a full queue would keep the cockpit from the next key.
        """
        if behind(self._driver):
            self._repaint_soon(LOOK_AGAIN)
            return
        stage = self.stage
        if stage is None or self._shown is None or self._newest is None or isinstance(self.screen, Runs):
            return
        scene = self._scene(self._shown)
        # What a scene works out once is worked out once for the panels and the frame, unless the view is held.
        now = scene if self._shown is self._newest else self._scene(self._newest)
        notice = self.notice or self._newest.trouble
        if not notice and self._newest.loading:
            notice = f"reading the journal, step {now.snapshot.step:,} so far"
        settled = self._newest.wanted.step == self._wanted_step()
        size = (self.size.width, self.size.height)
        stage.paint(
            Show(scene, now, notice, size, settled, commands.hints_now(self), self.aftermath.card, self._pace.rows)
        )
        if not stage.whole:
            self._repaint_soon(GO_ON)

    def _repaint_soon(self, seconds: float) -> None:
        if not self._due:
            self._due = True
            self.set_timer(seconds, self._repaint_due)

    def _repaint_due(self) -> None:
        self._due = False
        self.repaint()

    def _scene(self, reading: Reading) -> Scene:
        return Scene(
            snapshot=reading.snapshot,
            view=self.view,
            look=self.look,
            layers=reading.layers,
            rollouts=reading.rollouts,
            study=reading.study if reading.wanted.panel == self.enlarged else None,
            health=reading.health,
            readonly=self.steering.readonly,
            stack=self.whereabouts.answer,
        )

    def look_at(self, **changes: object) -> None:
        """Change where the person looks, and show it."""
        self.view = replace(self.view, **changes)
        self.notice = ""
        # What is known is drawn and sent first: the reader would compete with it.
        self.repaint()
        self.call_after_refresh(self.look_again)

    @property
    def overview(self) -> Overview:
        return next(screen for screen in self.screen_stack if isinstance(screen, Overview))

    # Commands

    def action_command(self, name: str) -> None:
        """Do a command of the table, or say why it cannot be done."""
        command = commands.BY_ID[name]
        assert isinstance(command, commands.Command), "what one screen does is no command of the cockpit"
        refusal = command.refuse(self)
        # What was said is old news with the next key; escape takes it away itself, and nothing else.
        if name != "back":
            self.notice = ""
        if name not in ("back", "effect"):
            self.aftermath.close()
        if refusal:
            self.say(refusal)
        else:
            command.act(self)

    def say(self, text: str) -> None:
        """Words to the person, in place of the footer until the next key; none where a key had nothing to say."""
        self.notice = text
        if not text:
            self.aftermath.close()
        self.repaint()

    def hush(self) -> bool:
        """Take away what was said last and the card; False when there was neither."""
        if not self.notice and self.aftermath.card is None:
            return False
        self.notice, self.aftermath.card = "", None
        self.repaint()
        return True

    @property
    def step(self) -> int:
        """The step that is shown."""
        if self.view.cursor is not None:
            return self.view.cursor
        return self._shown.snapshot.step if self._shown is not None else 0

    def go_to(self, step: int) -> None:
        """Show a step; the newest one is shown live."""
        if self._shown is not None:
            # While the view is held, the newest step is that of what it holds.
            self.look_at(cursor=None if step >= self._shown.snapshot.step else max(0, step))

    def snap_to_live(self) -> None:
        self._shown = self._newest
        self.look_at(cursor=None, held=False)

    def hold(self) -> None:
        if self.view.held:
            self._shown = self._newest
        self.look_at(held=not self.view.held)

    def open_help(self) -> None:
        self.push_screen(Help(self.palette, self.look.ascii_only, commands.refusals(self), self.table))

    def picture(self) -> str:
        """The screen as SVG."""
        return picture.svg(self.screen._compositor.render_strips(), self.palette.ground)

    def on_surface_pressed(self, message: Surface.Pressed) -> None:
        mouse.pressed(self, message)
