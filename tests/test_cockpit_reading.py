"""From a number to the text: enter on a picked row opens the completions that it counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlpeaks_tui.cockpit.browse.query import parse
from rlpeaks_tui.cockpit.panels import PANELS
from rlpeaks_tui.cockpit.screens.browser import Browser
from tests.cockpit_fakes import FakeRun, steered_run
from tests.cockpit_pilot import app_of, opened, until, until_seen


@pytest.fixture
def run(tmp_path: Path) -> FakeRun:
    return steered_run(tmp_path / "quickstart", steps=200)


LISTS = [(panel.id, i) for panel in PANELS for i, story in enumerate(panel.stories) if story.query is not None]


@pytest.mark.parametrize(("panel", "story"), LISTS)
async def test_enter_reads_the_completions_of_the_picked_row(run: FakeRun, panel: str, story: int) -> None:
    key = next(known.key for known in PANELS if known.id == panel)
    async with opened(run.layout.root, (120, 40)) as pilot:
        app = app_of(pilot)
        await pilot.press(key)
        await pilot.press(*(() if app.enlarged else ("z",)), *("v" * story))
        await until(pilot, lambda: app.reading is not None and app.reading.wanted.panel == panel, "read")
        picked = next(known for known in PANELS if known.id == panel).stories[story]
        assert picked.query is not None and app.scene is not None
        wanted = picked.query(app.scene)
        await pilot.press("down", "up", "enter")
        if not wanted:
            await until_seen(pilot, "no completion that is kept belongs to this row")
            return
        parse(wanted)
        await until(pilot, lambda: isinstance(app.stage, Browser), "opened")
        await until_seen(pilot, "found|no completion")
        await pilot.press("escape")
        await until(pilot, lambda: app.enlarged == panel, "back where it was")
