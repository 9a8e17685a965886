"""Going through time: events of every kind in order, each said when it is reached, none from a branch that was left."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from rlpeaks_tui.cockpit.panels import BY_ID, timeline
from rlpeaks_tui.cockpit.scene import View
from rlpeaks_tui.cockpit.travel import KINDS, Stop, stops
from rlpeaks_tui.run.entries import Probe
from tests.cockpit_fakes import FakeRun, scene_of
from tests.cockpit_pilot import app_of, opened, screen, until_seen


@pytest.fixture
def run(tmp_path: Path) -> FakeRun:
    run = FakeRun(tmp_path / "quickstart", probes=False)
    run.state("running", "generating")
    for step, happens in (
        (30, lambda: run.phase("hard", 1)),
        (40, lambda: run.alert("collapse", "entropy falls")),
        (50, lambda: run.checkpoint("auto-50")),
        (60, lambda: run.alert("collapse", "entropy falls", on=False)),
        (70, lambda: run.note("look here")),
        (80, lambda: run.command("a", "set", "beta=0.1")),
        (85, lambda: run.command("b", "pause", status="refused", why="no")),
        (90, lambda: run.journal.write(Probe(t=run.t, step=90, name="eval", v={"eval/pass@1": 0.5}))),
        (100, lambda: None),
    ):
        run.advance(step - run.step)
        happens()
    return run


def by_kind(found: Iterable[Stop]) -> dict[str, list[int]]:
    kinds: dict[str, list[int]] = {kind: [] for kind in KINDS}
    for stop in found:
        kinds[stop.kind].append(stop.step)
    return kinds


def test_every_kind_of_event_has_its_stops(run: FakeRun) -> None:
    scene = scene_of(run.layout.root)
    found = by_kind(stops(scene))
    # What was refused changed nothing, and the end of an alert is no finding.
    assert found["command"] == [80] and found["alert"] == [40] and found["evaluation"] == [90] and found["note"] == [70]
    assert 30 in found["phase"] and 50 in found["checkpoint"]
    for kind in KINDS:
        assert [stop.step for stop in stops(scene, kind)] == found[kind]


def test_what_was_left_by_a_rollback_is_no_stop(run: FakeRun) -> None:
    run.roll_back(50, "auto-50")
    run.advance(10)
    found = by_kind(stops(scene_of(run.layout.root)))
    assert (found["alert"], found["checkpoint"], found["phase"]) == ([40], [50], [30])
    assert (found["command"], found["note"], found["evaluation"]) == ([], [], [])


async def test_n_goes_from_event_to_event_and_says_what_it_is(run: FakeRun) -> None:
    async with opened(run.layout.root) as pilot:
        app = app_of(pilot)
        await pilot.press("N")
        assert app.view.cursor == 90
        await until_seen(pilot, "step 90: evaluation held-out problems")
        await pilot.press("N")
        assert app.view.cursor == 80
        await until_seen(pilot, "step 80: command 1: set beta=0.1")
        app.action_command("prev.alert")
        assert app.view.cursor == 40
        await until_seen(pilot, "step 40: alert: entropy falls")
        app.action_command("next.checkpoint")
        assert app.view.cursor == 50
        app.action_command("next.checkpoint")
        await until_seen(pilot, "there is no checkpoint after step 50")
        assert app.view.cursor == 50
        await pilot.press("n")
        assert app.view.cursor == 70


async def test_a_jump_in_an_empty_run_says_that_there_is_nothing(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "quickstart")
    run.state("running", "generating")
    run.advance(3)
    async with opened(run.layout.root) as pilot:
        app_of(pilot).action_command("next.note")
        await until_seen(pilot, "there is no note after step")


def test_the_timeline_shows_what_had_happened_at_the_cursor(run: FakeRun) -> None:
    now = "\n".join(timeline.overview(scene_of(run.layout.root), 118, 12).rows())
    assert "set beta=0.1" in now and "look here" in now and "entropy falls" in now
    then = "\n".join(timeline.overview(scene_of(run.layout.root, View(cursor=60)), 118, 12).rows())
    assert "set beta=0.1" not in then and "look here" not in then and "entropy falls" in then


@pytest.mark.parametrize("steps", [100, 998, 1000])
def test_the_sign_of_the_present_cuts_no_number(tmp_path: Path, steps: int) -> None:
    run = FakeRun(tmp_path / "quickstart", probes=False)
    run.advance(steps - 2)
    run.command("a", "pause")
    run.advance(2)
    run.command("b", "resume")
    for width in (78, 118, 198):
        row = timeline.line(scene_of(run.layout.root), width).rows()[0]
        numbers = re.findall(r"#[\d-]+", row)
        assert numbers in (["#1-2"], ["#1", "#2"]) and row.count("●") == 1, row


async def test_v_goes_from_story_to_story_where_there_are_several(run: FakeRun) -> None:
    async with opened(run.layout.root, (120, 40)) as pilot:
        app = app_of(pilot)
        several = [panel for panel in BY_ID.values() if len(panel.stories) > 1]
        for panel in several:
            await pilot.press("escape", panel.key)
            if app.stage is app.overview:
                await pilot.press("z")
            for story in (*panel.stories[1:], panel.stories[0]):
                await pilot.press("v")
                await until_seen(pilot, story.title)
                assert panel.story(app.view) is story
            await pilot.press("V")
            assert panel.story(app.view) is panel.stories[-1]
        await pilot.press("escape", "i", "i", "v")
        assert "one view only" in screen(app)
