"""What a click means: it does what lies under it, as the key for it would.

Only a click inside a plot means a step: time never moves for somebody who wanted to see a panel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import commands, strips, verdict, walk
from .panels import BY_ID
from .screens.enlarged import Enlarged
from .surface import Surface

if TYPE_CHECKING:
    from .app import Cockpit


MEANT = (
    ("click", "In a chart: that step; there again: live"),
    ("click", "On a panel's heading: enlarge it, and back"),
    ("click", "On a key in the footer: what the key does"),
)
"""For the help."""


def pressed(app: Cockpit, message: Surface.Pressed) -> None:
    """A key of the footer, a story, the card, a step of a chart, what the verdict speaks of, a heading, or a panel."""
    name = message.surface.id or ""
    step = message.surface.step_at(message.x, message.y)
    if name not in ("card", "footer"):
        app.aftermath.close()
    if name == "footer":
        hint = strips.pressed(commands.hints_now(app), message.surface.size.width, message.x)
        on_keys = message.y == message.surface.size.height - 1
        if not app.hush() and on_keys and hint is not None and hint.command:
            app.action_command(hint.command)
    elif name == "tabs" and isinstance(app.stage, Enlarged):
        story = app.stage.story_at(message.x)
        if story is not None:
            walk.turn_to(app, app.stage.panel, story)
    elif name == "card":
        app.hush()
    elif step is not None:
        if name in BY_ID and not isinstance(app.stage, Enlarged):
            app.chosen = True
            app.overview.feature(name)
            app.look_at(panel=name)
        _travel(app, step)
    elif name == "verdict":
        reading = app.reading
        panel = verdict.speaks_of(reading.snapshot, reading.health) if reading else ""
        if panel:
            walk.select(app, panel)
    elif name == "panel" and message.y == 0:
        app.action_command("enlarge")
    elif name in BY_ID and message.y == 0:
        app.chosen = True
        walk.open_panel(app, name)
    elif name in BY_ID:
        walk.select(app, name)


def _travel(app: Cockpit, step: int) -> None:
    """To a step, and say so; from there, where it was clicked again, back."""
    if step == app.view.cursor:
        app.look_at(cursor=None)
        return
    app.go_to(step)
    if app.view.cursor is not None and app.snapshot is not None:
        on = ", live goes on" if app.snapshot.live else ""
        app.say(f"at step {app.view.cursor:,}{on}; {app.look.live}, or the same click again, returns")
