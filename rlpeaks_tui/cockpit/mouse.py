"""What a click means: it does what lies under it, as the key for it would."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import commands, strips, verdict, walk
from .panels import BY_ID
from .screens.enlarged import Enlarged
from .surface import Surface

if TYPE_CHECKING:
    from .app import Cockpit


def pressed(app: Cockpit, message: Surface.Pressed) -> None:
    """A key of the footer, a story, the card, a step of a chart, what the verdict speaks of, or a panel."""
    name = message.surface.id or ""
    step = message.surface.step_at(message.x, message.y)
    if name == "footer":
        hints = commands.hints(commands.refusals(app), app.table)
        hint = strips.pressed(hints, message.surface.size.width, message.x)
        if not app.hush() and hint is not None and hint.command:
            app.action_command(hint.command)
    elif name == "tabs" and isinstance(app.stage, Enlarged):
        app.stage.tell(message.x)
    elif name == "card":
        app.hush()
    elif step is not None:
        if name in BY_ID and not isinstance(app.stage, Enlarged):
            app.chosen = True
            app.overview.feature(name)
            app.look_at(panel=name)
        app.go_to(step)
    elif name == "verdict":
        reading = app.reading
        panel = verdict.speaks_of(reading.snapshot, reading.health) if reading else ""
        if panel:
            walk.select(app, panel)
    elif name in BY_ID:
        walk.select(app, name)
