"""Opening the cockpit: what was asked for, what the environment says, and the person's settings, in this order."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

from rlpeaks_tui.run.facts import NotARun
from rlpeaks_tui.terminal import only_ascii

from . import background, settings
from .app import Cockpit

SWITCH = 0.0005
"""Seconds for which the reader may keep the interpreter from a key that has been pressed."""
RARELY = (10_000, 20, 20)
"""Thresholds of the collector: it goes through everything that lives, for 60 ms at a time, in which no key is seen."""


def watch(directory: Path, *, readonly: bool = False, ascii_only: bool = False, theme: str | None = None) -> int:
    """Show the run at `directory` until the person leaves. Gives the exit status: 0, or 2 when there is no such run.

    What is asked for here has the first word, then the environment, then the person's settings file. `RLPEAKS_FPS` sets
    how often it draws at most, `RLPEAKS_ASCII=1` keeps it to ASCII, also a locale that has no more (which
    `RLPEAKS_ASCII=0` overrules), `RLPEAKS_THEME` names a theme; `NO_COLOR` is respected.
    """
    chosen, mistakes = settings.read(settings.place())
    chosen = settings.over(chosen, os.environ)
    try:
        cockpit = Cockpit(
            directory,
            readonly=readonly,
            ascii_only=ascii_only or chosen.ascii or only_ascii(),
            theme_name=background.theme(theme or chosen.theme),
            rate=chosen.fps,
            notify=chosen.notify,
            keys=chosen.keys,
            notice=settings.in_short(mistakes),
        )
    except NotARun as error:
        print(error)
        return 2
    sys.setswitchinterval(SWITCH)
    # What was imported stays to the end, so that the collector need not go through it.
    gc.freeze()
    gc.set_threshold(*RARELY)
    cockpit.run()
    settings.tell(mistakes)
    return cockpit.return_code or 0
