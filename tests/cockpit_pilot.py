"""The cockpit in a terminal that is none, driven by keys."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from rlpeaks_tui.cockpit.app import Cockpit

RATE = 20.0


def screen(app: Cockpit) -> str:
    """What the terminal would show."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


async def until(pilot: Pilot[int], true: Callable[[], bool], what: str = "") -> None:
    """Let the cockpit work until something is so."""
    for _ in range(400):
        if true():
            return
        await pilot.pause(0.01)
    raise AssertionError(f"never {what or 'so'}:\n{screen(pilot.app)}")  # type: ignore[arg-type]


async def until_seen(pilot: Pilot[int], pattern: str) -> None:
    await until(pilot, lambda: re.search(pattern, screen(pilot.app)) is not None, f"seen {pattern!r}")  # type: ignore[arg-type]


async def until_read(pilot: Pilot[int], app: Cockpit) -> None:
    """Until the whole run as it is now is on screen."""
    await until(pilot, lambda: app._newest is not None and not app._newest.loading, "read")
    await until_seen(pilot, "quickstart")


@contextlib.asynccontextmanager
async def opened(root: Path, size: tuple[int, int] = (160, 45), **options: Any) -> AsyncIterator[Pilot[int]]:
    """The cockpit on a run, once it shows it."""
    app = Cockpit(root, rate=RATE, **options)
    async with app.run_test(size=size) as pilot:
        await until_read(pilot, app)
        yield pilot
        # A drawing that fails is told on screen and ends nothing; here it is a fault.
        assert not app.overview.failed and not app.magnifier.failed
        assert app.reading is None or "could not be worked out" not in app.reading.trouble


def app_of(pilot: Pilot[int]) -> Cockpit:
    assert isinstance(pilot.app, Cockpit)
    return pilot.app
