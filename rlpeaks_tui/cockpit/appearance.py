"""How the screen looks, and a picture of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from . import picture
from .theme import PALETTES

if TYPE_CHECKING:
    from .app import Cockpit


def switch_axis(app: Cockpit) -> None:
    app.look_at(log=not app.view.log)


def switch_theme(app: Cockpit) -> None:
    if app.palette.ground is None:
        app.say("this terminal has too few colours for themes")
    else:
        app.recolour(PALETTES["light" if app.palette.name == "dark" else "dark"])


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
