"""What a click means: a step, a story, a key of the footer; and small manners of keys and questions."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpeaks_tui.cockpit import commands, picture, strips
from rlpeaks_tui.cockpit.axes import linear
from rlpeaks_tui.cockpit.card import Card
from rlpeaks_tui.cockpit.cells import Cells, in_ascii
from rlpeaks_tui.cockpit.chart import Chart, Mark, draw
from rlpeaks_tui.cockpit.form import Blank, Question, begin, insert, press
from rlpeaks_tui.cockpit.panels import BY_ID
from rlpeaks_tui.cockpit.screens.ask import Confirm
from rlpeaks_tui.cockpit.screens.dialog import Dialog
from rlpeaks_tui.cockpit.screens.enlarged import Enlarged
from rlpeaks_tui.cockpit.screens.help import Help
from rlpeaks_tui.run.mailbox import waiting
from tests.cockpit_fakes import FakeRun, steered_run
from tests.cockpit_pilot import app_of, opened, screen, until, until_seen


@pytest.fixture
def run(tmp_path: Path) -> FakeRun:
    run = steered_run(tmp_path / "quickstart", steps=200)
    run.settings(learning_rate=1e-4, beta=0.0)
    return run


# A step under the mouse


@given(st.integers(1, 5000), st.integers(20, 200), st.data())
def test_a_click_on_a_mark_of_a_chart_means_its_step(last: int, width: int, data: st.DataObject) -> None:
    step = data.draw(st.integers(0, last))
    chart = Chart((0, last), linear(0.0, 1.0, 4), marks=[Mark(1, step)])
    cells = Cells(width + 10, 20)
    cells.blit(3, 7, draw(chart, width, 12))
    (column,) = {x for x in range(cells.width) if chr(cells.chars[5, x]) == "┆"}
    (plot,) = in_ascii(cells).plots
    found = plot.step(column, 5)
    assert found is not None and abs(found - step) <= last / plot.width + 1
    assert (
        plot.step(plot.x - 1, 5) is None and plot.step(plot.x, 2) is None and plot.step(plot.x + plot.width, 5) is None
    )
    assert plot.step(plot.x, 5) == 0 and plot.step(plot.x + plot.width - 1, 5) == last


async def test_a_click_in_a_chart_or_on_the_timeline_moves_the_cursor_there(run: FakeRun) -> None:
    async with opened(run.layout.root) as pilot:
        app = app_of(pilot)
        surface = app.screen.query_one("#entropy")
        (plot,) = surface._plots  # type: ignore[attr-defined]
        x = next(x for x in range(plot.x, plot.x + plot.width) if plot.step(x, plot.y) >= 100)
        await pilot.click("#entropy", offset=(x, plot.y + 2))
        assert app.view.panel == "entropy" and app.view.cursor == plot.step(x, plot.y)
        await until_seen(pilot, f"shown: step {app.view.cursor}")
        (line,) = app.screen.query_one("#timeline")._plots  # type: ignore[attr-defined]
        await pilot.click("#timeline", offset=(line.x, line.y))
        assert app.view.cursor == 0
        await pilot.click("#timeline", offset=(line.width - 1, line.y))
        assert app.view.cursor is None, "what lies ahead is the present"
        assert not isinstance(app.screen, Enlarged)


async def test_a_click_in_a_chart_says_what_it_did_and_another_there_undoes_it(run: FakeRun) -> None:
    async with opened(run.layout.root) as pilot:
        app = app_of(pilot)
        (plot,) = app.screen.query_one("#entropy")._plots  # type: ignore[attr-defined]
        x = next(x for x in range(plot.x, plot.x + plot.width) if plot.step(x, plot.y) >= 100)
        step = plot.step(x, plot.y)
        await pilot.click("#entropy", offset=(x, plot.y + 2))
        await until_seen(pilot, f"at step {step}, live goes on; g, or the same click again, returns")
        assert "● live" not in screen(app)
        await pilot.press("2")
        await until(pilot, lambda: screen(app).splitlines()[-1].strip().startswith("g back to newest"), "the way back")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, Enlarged), "out")
        await pilot.click("#entropy", offset=(x, plot.y + 2))
        await until(pilot, lambda: app.view.cursor is None, "live")
        await until_seen(pilot, "● live")
        assert "back to newest" not in screen(app)


async def test_a_click_on_a_heading_enlarges_and_one_there_goes_back_and_time_stays(run: FakeRun) -> None:
    async with opened(run.layout.root) as pilot:
        app = app_of(pilot)
        for panel, at in (("kl", (4, 0)), ("sparsity", (10, 0)), ("console", (2, 0))):
            await pilot.click(f"#{panel}", offset=at)
            await until(pilot, lambda panel=panel: app.enlarged == panel, "enlarged")  # type: ignore[misc]
            await pilot.click("#panel", offset=(3, 0))
            await until(pilot, lambda: not isinstance(app.screen, Enlarged), "back")
        # Beside the plot, over the numbers of the axis: a panel that is seen, not a step.
        await pilot.click("#reward", offset=(1, 3))
        assert app.view.panel == "reward" and app.view.cursor is None


# Keys in the footer, stories


async def test_a_click_on_a_key_of_the_footer_does_what_the_key_does(run: FakeRun) -> None:
    async with opened(run.layout.root) as pilot:
        app = app_of(pilot)
        footer = screen(app).splitlines()[-1]
        await pilot.click("#footer", offset=(footer.index("pause") - 1, 1))
        await until_seen(pilot, "Pause the training")
        await pilot.press("enter")
        await until(pilot, lambda: bool(waiting(run.layout.root)), "sent")
        await until_seen(pilot, "pause sent")
        await pilot.click("#footer", offset=(2, 1))
        await until_seen(pilot, "\\? help")
        assert not isinstance(app.screen, Help), "the first click takes away what was said"
        await pilot.click("#footer", offset=(2, 1))
        await until(pilot, lambda: isinstance(app.screen, Help), "help")


@given(st.integers(1, 250))
def test_a_click_means_the_hint_that_is_drawn_there(width: int) -> None:
    hints = commands.hints({})
    row = strips.footer(hints, width).rows()[0]
    for hint in hints:
        text = f"{hint.key} {hint.word}"
        at = f"   {row}".find(f"   {text}")
        if at >= 0 and len(row) >= at + len(text):
            assert strips.pressed(hints, width, at) == hint
            assert strips.pressed(hints, width, at + len(text) - 1) == hint
            assert strips.pressed(hints, width, at + len(text)) is None
    assert strips.pressed(hints, width, width + 300) is None


async def test_a_click_on_the_name_of_a_story_tells_it(run: FakeRun) -> None:
    titles = [story.title for story in BY_ID["kl"].stories]
    async with opened(run.layout.root) as pilot:
        app = app_of(pilot)
        await pilot.press("3", "z")
        await until_seen(pilot, " +".join(titles[1:]))
        row = next(line for line in screen(app).splitlines() if titles[1] in line)
        for at in (2, 0, 1):
            await pilot.click("#tabs", offset=(row.index(titles[at]) - 1, 0))
            assert app.view.story == at
        await pilot.click("#tabs", offset=(0, 0))
        assert app.view.story == 1


# Small manners


async def test_the_first_escape_closes_the_card_also_when_something_was_said(run: FakeRun) -> None:
    async with opened(run.layout.root) as pilot:
        app = app_of(pilot)
        app.aftermath.card = Card("a", "a card", ("line",))
        app.say("it is too early to tell")
        await until_seen(pilot, "a card")
        await pilot.press("escape")
        await until(pilot, lambda: "a card" not in screen(app) and "too early" not in screen(app), "closed")


def question(start: str) -> Question:
    blanks = (Blank("a", "a", start), Blank("b", "b"))
    return Question("t", lambda values: [], lambda values: ["note", values["a"]], "yes", blanks)


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ("x", "x"),
        ("xy", "xy"),
        (["backspace"], ""),
        (["delete"], ""),
        (["end", "x"], "0.5x"),
        (["left", "x"], "0.x5"),
        (["home", "x"], "x0.5"),
        (["tab", "tab", "x"], "x"),
        (["tab", "tab"], "0.5"),
        (["x", "tab", "tab", "y"], "y"),
    ],
)
def test_what_is_typed_takes_the_place_of_what_was_filled_in(keys: list[str], text: str) -> None:
    form = begin(question("0.5"))
    for key in keys:
        form = press(form, key, key if len(key) == 1 else None)
    assert form.values["a"] == text


def test_what_is_pasted_takes_its_place_too() -> None:
    assert insert(begin(question("0.5")), "0.7").values["a"] == "0.7"


@pytest.mark.parametrize(("key", "kind"), [("e", Dialog), ("s", Confirm)])
async def test_a_question_to_a_run_that_has_ended_is_closed_and_that_is_said(
    run: FakeRun, key: str, kind: type
) -> None:
    async with opened(run.layout.root) as pilot:
        app = app_of(pilot)
        await pilot.press(key)
        await until(pilot, lambda: isinstance(app.screen, kind), "asked")
        run.state("finished")
        run.exit(0)
        await until_seen(pilot, "the run has ended meanwhile: it is finished; the question is closed")
        assert not isinstance(app.screen, kind)
    assert not waiting(run.layout.root)


# A picture


async def test_a_picture_never_takes_the_place_of_another(
    run: FakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.chmod(run.layout.root, 0o500)
    async with opened(run.layout.root, (80, 24), readonly=True) as pilot:
        await pilot.press("S")
        await until_seen(pilot, "saved /.*")
        await pilot.press("escape", "S")
        await until(pilot, lambda: len([*tmp_path.glob("*.svg")]) == 2, "saved twice")
    os.chmod(run.layout.root, 0o700)
    assert {path.name for path in tmp_path.glob("*.svg")} == {
        "rlpeaks-quickstart-200.svg",
        "rlpeaks-quickstart-200-2.svg",
    }


def test_a_run_of_any_name_is_pictured_in_the_folder_alone(tmp_path: Path) -> None:
    path = picture.save(tmp_path, "../../etc/\x00\x1bevil" * 30, 3, "<svg/>")
    assert path.parent == tmp_path and path.read_text() == "<svg/>"
