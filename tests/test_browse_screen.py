"""The completions browser by its keys."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from textual.widgets import Input

from rlpeaks_tui.cockpit import walk
from rlpeaks_tui.cockpit.keyed import BROWSER, WITHIN
from rlpeaks_tui.cockpit.screens.ask import Filter
from rlpeaks_tui.cockpit.screens.browser import Browser
from rlpeaks_tui.cockpit.screens.enlarged import Enlarged
from rlpeaks_tui.cockpit.screens.overview import Overview
from tests.browse_fakes import block, browse, traced
from tests.cockpit_fakes import FakeRun
from tests.cockpit_pilot import app_of, opened, screen, until, until_seen


@pytest.fixture
def run(tmp_path: Path) -> FakeRun:
    """Ten generations of a run that goes on; the last one has tokens, and the first prompt was asked three times."""
    made = FakeRun(tmp_path / "quickstart", max_steps=100)
    made.state("running")
    made.probes = False
    for step in range(1, 11):
        made.advance(1)
        generation(made, step)
    return made


def generation(made: FakeRun, step: int) -> None:
    texts = [f"answer {step} {i}" for i in range(8)]
    prompts = ["asked again" if step in (2, 5, 10) else f"{step}+1=", f"{step}+2="]
    pieces = ["an", "swer", " ", "now", "\n", "done"]
    made.rollouts.append(block(step, texts, prompts=prompts, tokens=[traced(0, pieces)] if step == 10 else []))


def at(app: Any) -> str:
    """The row that is picked."""
    return next((line for line in screen(app).split("\n") if line.startswith(" ▸")), "")


async def test_the_panel_of_completions_opens_the_browser_and_escape_leaves_it(run: FakeRun) -> None:
    async with opened(run.layout.root, (120, 40)) as pilot:
        app = app_of(pilot)
        await pilot.press("7", "z")
        await until_seen(pilot, "80 found in 10 generations")
        assert isinstance(app.screen, Browser)
        await until_seen(pilot, r"▸ +10 +1 +1\.00 +\+0\.75 +right")
        await until_seen(pilot, "correct 1.00  brevity 0.00")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, Overview), "back")
        await pilot.press("2", "2", "7")
        await until(pilot, lambda: isinstance(app.screen, Browser), "over an enlarged panel")
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, Enlarged) and app.screen.panel == "kl", "another panel")
        names = [thread.name for thread in threading.enumerate()]
        await until(pilot, lambda: "rlpeaks-finder" not in [t.name for t in threading.enumerate()], f"ended: {names}")


async def test_each_layer_opens_with_enter_and_closes_with_escape(run: FakeRun) -> None:
    async with opened(run.layout.root, (80, 24)) as pilot:
        app = await browse(pilot)
        await pilot.press("down", "down", "up")
        await until(pilot, lambda: "answer 10 1" in at(app), "second row")
        await pilot.press("enter")
        await until_seen(pilot, "Group 1 of 2, step 10")
        await until_seen(pilot, r"▸   2 +0\.00 +−0\.25 +wrong")
        await pilot.press("left", "enter")
        await until_seen(pilot, "Tokens  step 10  group 1  1 of 4")
        await until_seen(pilot, r"an +.*swer|answer now")
        await until_seen(pilot, r'▸ +1 +"an"')
        await pilot.press("right", "right")
        await until_seen(pilot, r'▸ +3 +" "')
        await pilot.press("down")
        await until_seen(pilot, r'▸ +6 +"done"')
        for name in ("KL k1", "JS", "advantage", "log p", "entropy"):
            await pilot.press("v")
            await until_seen(pilot, f"\n {name} ")
        await pilot.press("V")
        await until_seen(pilot, "\n log p ")
        await pilot.press("escape")
        await until_seen(pilot, "Group 1 of 2")
        await pilot.press("left")
        await until_seen(pilot, "prompt in full")
        await pilot.press("escape")
        await until_seen(pilot, "Completions")
        assert "answer 10 1" in at(app)


async def test_a_mistake_is_said_and_the_line_stays_until_it_is_right(run: FakeRun) -> None:
    async with opened(run.layout.root, (80, 24)) as pilot:
        app = await browse(pilot)
        await pilot.press("slash")
        await until_seen(pilot, r"step:100-200 .*\n.*reward:>0\.5")
        field = app.screen.query_one(Input)
        field.value = "reward:high"
        await pilot.press("enter")
        await until_seen(pilot, "reward:high is no range; write it as reward:0.5-1")
        field.value = "step:3-4 correct:yes"
        await pilot.press("enter")
        await until_seen(pilot, "4 found in 10 generations")
        await until_seen(pilot, "/ step:3-4 correct:yes")
        assert "answer 4 0" in at(app)
        await pilot.press("slash", "escape")
        await until_seen(pilot, "/ step:3-4 correct:yes")
        walk.read(app, "task:other")
        await until_seen(pilot, "no task is called other; there are: .*add.*sort")
        walk.read(app, "reward:nothing")
        await until_seen(pilot, "reward:nothing is no range")


async def test_a_query_is_searched_as_it_is_typed_and_escape_gives_the_former_back(run: FakeRun) -> None:
    async with opened(run.layout.root, (80, 24)) as pilot:
        app = await browse(pilot, "correct:yes")
        await until_seen(pilot, r"\d+ found in 10 generations")
        before = at(app)
        await pilot.press("slash")
        await until_seen(pilot, "a filter has a colon; searched as you type; enter keeps it, esc undoes it")
        field = app.screen.query_one(Input)
        field.value = "step:3-4 correct:yes"
        await until_seen(pilot, "4 found in 10 generations")
        assert isinstance(app.screen, Filter), "nothing was entered"
        field.value = "step:3-4 correct:"
        await pilot.press("escape")
        await until(pilot, lambda: at(app) == before and "/ correct:yes" in screen(app), "the former list")
        await pilot.press("enter")
        await until_seen(pilot, "Group ")
        await pilot.press("slash")
        await until(pilot, lambda: isinstance(app.screen, Filter), "asked")
        app.screen.query_one(Input).value = "step:3-4"
        await until_seen(pilot, "/ step:3-4")
        await pilot.press("escape")
        await until_seen(pilot, "Group ")


async def test_another_panel_can_ask_for_what_stands_behind_a_number(run: FakeRun) -> None:
    async with opened(run.layout.root, (120, 40)) as pilot:
        app = await browse(pilot, "conf:0.8-1 step:3-4")
        await until_seen(pilot, "2 found")
        assert "0.88" in at(app) and "answer 4 7" in at(app)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, Overview), "back where it came from")


async def test_the_list_shows_the_run_at_the_cursor(run: FakeRun) -> None:
    async with opened(run.layout.root, (120, 40)) as pilot:
        app = await browse(pilot)
        await pilot.press("left_curly_bracket", "left_curly_bracket")
        await until_seen(pilot, "at or before step 8")
        await until(pilot, lambda: "answer 8 0" in at(app), "older")
        await pilot.press("left")
        await until_seen(pilot, "at or before step 7")
        await pilot.press("g")
        await until(pilot, lambda: "answer 10 0" in at(app), "newest")
        app.go_to(4)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, Overview), "left")
        await browse(pilot)
        await until_seen(pilot, "at or before step 4")
        assert "answer 4 0" in at(app)


async def test_new_generations_come_at_the_top_and_never_move_what_is_read(run: FakeRun) -> None:
    async with opened(run.layout.root, (80, 24)) as pilot:
        app = await browse(pilot)
        run.advance(1)
        generation(run, 11)
        await until(pilot, lambda: "answer 11 0" in at(app), "at the top")
        await pilot.press("pagedown")
        await until(pilot, lambda: "answer 11 0" not in at(app), "moved")
        before = screen(app).split("\n")[6:22]
        run.advance(1)
        generation(run, 12)
        await until_seen(pilot, "1 newer generation, home shows it")
        assert screen(app).split("\n")[6:22] == before
        await pilot.press("home")
        await until(pilot, lambda: "answer 12 0" in at(app), "followed again")


async def test_rows_that_arrive_late_do_not_move_what_is_read(run: FakeRun) -> None:
    async with opened(run.layout.root, (80, 24)) as pilot:
        app = await browse(pilot)
        await pilot.press("pagedown", "pagedown", "up")
        await until(pilot, lambda: "answer 10 0" not in screen(app), "moved")
        before = screen(app).split("\n")[6:22]
        assert "▸" in "".join(before)
        found = app.screen._list.found
        late = tuple(replace(row, number=99, step=11, text=f"late {row.index}") for row in found.rows[:8])
        # The search for them had begun while the list was still at its top.
        app.screen.post_message(Browser.Answered(replace(found, rows=(*late, *found.rows))))
        await until(pilot, lambda: app.screen._list.found is not found, "taken")
        assert screen(app).split("\n")[6:22] == before
        await pilot.press("home")
        await until(pilot, lambda: "late 0" in at(app), "there they are")


async def test_a_held_view_keeps_the_list_as_it_is(run: FakeRun) -> None:
    async with opened(run.layout.root, (80, 24)) as pilot:
        app = await browse(pilot)
        await pilot.press("down", "space")
        await until_seen(pilot, "held at 10")
        assert "answer 10 1" in at(app)
        await pilot.press("home")
        run.advance(1)
        generation(run, 11)
        await until_seen(pilot, "1 newer generation, space shows it")
        assert "answer 10 0" in at(app)
        await pilot.press("space")
        await until(pilot, lambda: "answer 11 0" in at(app), "followed again")


async def test_a_click_picks_a_row_and_a_second_one_opens_it(run: FakeRun) -> None:
    async with opened(run.layout.root, (80, 24)) as pilot:
        app = await browse(pilot)
        y = next(y for y, line in enumerate(screen(app).split("\n")) if "answer 10 3" in line)
        await pilot.click(offset=(20, y))
        await until(pilot, lambda: "answer 10 3" in at(app), "picked")
        await pilot.click(offset=(20, y))
        await until_seen(pilot, "Group 1 of 2, step 10")
        await until_seen(pilot, "▸   4")
        # In the footer a click is the key that stands there, not the one of the overview.
        for key, then in (("enter tokens", "Tokens  step 10"), ("esc back", "Group 1"), ("esc back", "80 found")):
            x = screen(app).split("\n")[-1].index(key)
            await pilot.click(offset=(x + 1, 23))
            await until_seen(pilot, then)
        await pilot.click(offset=(screen(app).split("\n")[-1].index("? help"), 23))
        await until_seen(pilot, "Keys .*esc closes")


async def test_x_marks_one_and_compares_it_with_another_of_another_step(run: FakeRun) -> None:
    async with opened(run.layout.root, (120, 40)) as pilot:
        app = await browse(pilot)
        await until_seen(pilot, "brevity")
        await pilot.press("x")
        await until_seen(pilot, "marked; x on another")
        await pilot.press("x")
        await until_seen(pilot, "no longer marked")
        await pilot.press("x")
        walk.read(app, "step:3")
        await until_seen(pilot, "8 found")
        await until_seen(pilot, "brevity 0.00")
        assert "x compare" in screen(app)
        await pilot.press("enter", "right", "x")
        await until_seen(pilot, r"only in−\]  step 10  group 1  1 of 4")
        await until_seen(pilot, r"only in\+\}  step 3  group 1  2 of 4")
        await until_seen(pilot, re.escape("answer [−10 0−]{+3 1+}") + "|" + re.escape("answer [−10−]{+3+} [−0−]{+1+}"))
        await pilot.press("escape")
        await until_seen(pilot, "Group 1 of 2, step 3")


async def test_o_shows_the_prompt_through_time(run: FakeRun) -> None:
    async with opened(run.layout.root, (120, 40)) as pilot:
        app = await browse(pilot)
        await until_seen(pilot, "brevity")
        await pilot.press("o")
        await until_seen(pilot, "answered in 3 generations")
        rows = [line for line in screen(app).split("\n") if "1 of 4" in line]
        assert [line.replace("▸", " ").split()[:4] for line in rows] == [
            [s, "4", "0.25", "1"] for s in ("10", "5", "2")
        ]
        assert "here" in rows[0] and "answer 5 0" in rows[1]
        await pilot.press("down", "enter")
        await until_seen(pilot, "Group 1 of 2, step 5")
        await pilot.press("o")
        await until_seen(pilot, "answered in 3 generations")
        await pilot.press("escape", "escape", "escape", "o")
        await until_seen(pilot, "answered in 3 generations")
        await pilot.press("escape")
        await until_seen(pilot, "80 found")


async def test_the_help_and_the_footer_name_the_keys(run: FakeRun) -> None:
    async with opened(run.layout.root, (80, 24)) as pilot:
        app = await browse(pilot)
        footer = screen(app).split("\n")[-1]
        for hint in ("esc back", "enter group", "/ find", "q leave", "? help"):
            assert hint in footer
        await pilot.resize_terminal(160, 45)
        await pilot.press("question_mark")
        await until_seen(pilot, BROWSER)
        for own in WITHIN:
            if own.where == BROWSER and own.listed:
                await until_seen(pilot, re.escape(own.title))


async def test_the_palette_means_the_browser_while_it_is_open(run: FakeRun) -> None:
    async with opened(run.layout.root, (120, 40)) as pilot:
        app = await browse(pilot)
        app.action_command("filter")
        await until(pilot, lambda: bool(app.screen.query(Input)), "asked")
        await pilot.press("escape")
        app.action_command("story")
        await until_seen(pilot, "Tokens  step 10")
        app.action_command("enlarge")
        await until(pilot, lambda: isinstance(app.screen, Overview), "back")
