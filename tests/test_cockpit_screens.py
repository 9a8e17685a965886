"""Whole screens as pictures in tests/goldens: a few, because any change of a panel changes them.

`RENEW=1 pytest tests/test_cockpit_screens.py` takes them anew; look at the pictures that the diff names before they are
committed. Nothing in them depends on the machine: the run says another host, another year and another process.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from textual.pilot import Pilot

from rlpeaks_tui.cockpit.app import Cockpit
from tests import cockpit_fakes
from tests.cockpit_fakes import FakeRun, steered_run
from tests.cockpit_pilot import until, until_read, until_seen
from tests.renewed import compare

THEN = 4_102_444_800.0
"""The year 2100, so that no sign of life ever looks old."""

SCREENS: tuple[tuple[str, tuple[int, int], Sequence[str], str], ...] = (
    ("overview-80x24", (80, 24), (), "Reward"),
    ("overview-120x40", (120, 40), (), "Reward"),
    ("overview-200x60", (200, 60), (), "Console"),
    ("reward-120x40", (120, 40), ("z",), "how it misleads"),
    ("back-in-time-120x40", (120, 40), ("{", "{"), "shown: step"),
    ("help-120x40", (120, 40), ("question_mark",), "Show every key"),
)
"""File name, size, keys, and what is then seen."""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRun]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr(cockpit_fakes, "time", SimpleNamespace(time=lambda: THEN))
    monkeypatch.setattr(cockpit_fakes, "socket", SimpleNamespace(gethostname=lambda: "node7"))
    monkeypatch.setattr(cockpit_fakes, "os", SimpleNamespace(getpid=lambda: 4711))
    run = steered_run(Path("quickstart"))
    run.alert("entropy_collapse", "entropy is falling fast")
    run.roll_back(330, "auto-200")
    run.advance(60)
    yield run
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(("name", "size", "keys", "seen"), SCREENS, ids=[screen[0] for screen in SCREENS])
async def test_a_screen_looks_as_it_was_judged(
    run: FakeRun, name: str, size: tuple[int, int], keys: Sequence[str], seen: str
) -> None:
    app = Cockpit(run.layout.root, rate=20.0)
    async with app.run_test(size=size) as pilot:
        await until_read(pilot, app)
        await pilot.press(*keys)
        await until_seen(pilot, seen)
        await settled(pilot, app)
        compare(f"{name}.svg", app.picture())


async def settled(pilot: Pilot[int], app: Cockpit) -> None:
    """Until what was read for the step and the panel shown is on screen."""

    def read() -> bool:
        found = app.reading
        return found is not None and (found.wanted.step, found.wanted.panel) == (app.view.cursor, app.enlarged)

    await until(pilot, read, "read")
    await pilot.pause()
