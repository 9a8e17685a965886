"""How the screen looks, and a picture of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from . import picture
from .keyed import Keyed, shown
from .scene import Look
from .theme import PALETTES, Palette, textual_theme

if TYPE_CHECKING:
    from .app import Cockpit


def look(palette: Palette, ascii_only: bool, table: Sequence[Keyed]) -> Look:
    """What drawings may use, and the keys in force that they may name."""
    named = shown(table)
    return Look(
        ascii_only,
        palette.flat,
        act=named["remedy"],
        story=named["story"],
        checks=named["panel.checks"],
        stack=named["stack"],
        live=named["live"],
        clock=named["panel.cost"],
        hold=named["hold"],
        effect=named["effect"],
        open=named["open"],
        pause=named["pause"],
        console=named["panel.console"],
    )


def colour(app: Cockpit, palette: Palette) -> None:
    """Give Textual's own widgets the colours of a palette."""
    theme = textual_theme(palette)
    if theme.name not in app.available_themes:
        app.register_theme(theme)
    app.theme = theme.name


def switch_axis(app: Cockpit) -> None:
    app.look_at(log=not app.view.log)


def switch_theme(app: Cockpit) -> None:
    if app.palette.ground is None:
        app.say("this terminal has too few colours for themes")
    else:
        app.palette = PALETTES["light" if app.palette.name == "dark" else "dark"]
        colour(app, app.palette)
        for stage in (app.overview, app.magnifier):
            stage.recolour(app.palette)


def save_picture(app: Cockpit) -> None:
    snapshot = app.snapshot
    name = snapshot.info.name if snapshot else "run"
    folder = Path.cwd()
    try:
        path = picture.save(folder, name, app.step, app.picture())
    except OSError as error:
        app.say(f"the picture could not be saved in {folder}: {error.strerror}")
        return
    app.say(f"saved {path}")
