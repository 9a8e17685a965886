"""The list of runs: read a little at a time, drawn at any size, and a way from one run to another that leaves nothing
of the first behind."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from rlpeaks_tui.cli import main
from rlpeaks_tui.cockpit import roster
from rlpeaks_tui.cockpit.app import Cockpit
from rlpeaks_tui.cockpit.roster import Line
from rlpeaks_tui.cockpit.roster_reader import RosterReader
from rlpeaks_tui.cockpit.scene import Finding, Health
from rlpeaks_tui.cockpit.screens.help import Help
from rlpeaks_tui.cockpit.screens.runs import Runs
from rlpeaks_tui.run.facts import RunInfo, write_facts
from rlpeaks_tui.run.follow import Follower
from rlpeaks_tui.run.mailbox import waiting
from tests.cockpit_fakes import FakeRun
from tests.cockpit_pilot import app_of, opened, screen, until, until_seen


def made(folder: Path, name: str, steps: int, ended: str = "", age: float = 0.0) -> FakeRun:
    run = FakeRun(folder / name, max_steps=100, probes=False)
    run.info = renamed(run, name, age)
    run.state("running")
    if steps:
        run.advance(steps)
    if ended:
        run.state(ended)
        run.exit(1 if ended == "failed" else 0)
    return run


def renamed(run: FakeRun, name: str, age: float) -> RunInfo:
    info = msgspec.structs.replace(run.info, name=name, created=run.began - age)
    write_facts(run.layout, info)
    return info


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three runs: the newest is over, an older one lives, the oldest failed."""
    made(tmp_path, "quickstart", 40, age=7200)
    made(tmp_path, "over", 100, "finished")
    made(tmp_path, "broken", 7, "failed", age=90_000)
    return tmp_path


async def test_the_list_has_live_runs_first_and_what_became_of_the_others(folder: Path) -> None:
    async with opened(folder / "quickstart") as pilot:
        app = app_of(pilot)
        await pilot.press("R")
        await until_seen(pilot, "broken.*exit status 1")
        await until_seen(pilot, "over .*100/100")
        rows = [line for line in screen(app).splitlines() if re.search("running|finished|failed", line)]
        assert [re.search(r"[!●◆] \w+ +(\w+)", row)[1] for row in rows] == ["quickstart", "over", "broken"]  # type: ignore[index]
        assert "▸ + ● running" in rows[0] and "40/100" in rows[0] and "2h 00m" in rows[0]
        assert "3 runs" in screen(app) and "1 live" in screen(app)


async def test_keys_in_the_list_steer_nothing(folder: Path) -> None:
    async with opened(folder / "quickstart") as pilot:
        await pilot.press("R")
        await until_seen(pilot, "broken")
        await pilot.press("p", "s", "r", "enter")
        assert waiting(folder / "quickstart") == []


async def test_keys_in_the_help_steer_nothing(folder: Path) -> None:
    async with opened(folder / "quickstart") as pilot:
        app = app_of(pilot)
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, Help), "help")
        await pilot.press("p", "s", "r", "R")
        assert isinstance(app.screen, Help) and waiting(folder / "quickstart") == []
        await pilot.press("q")
        await until(pilot, lambda: not isinstance(app.screen, Help), "closed")


async def test_the_list_of_runs_has_help_too(folder: Path) -> None:
    async with opened(folder / "quickstart") as pilot:
        app = app_of(pilot)
        await pilot.press("R")
        await until_seen(pilot, r"\? help")
        await pilot.press("question_mark")
        await until_seen(pilot, "All runs: live and over")
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, Runs), "back at the list")
        await until_seen(pilot, r"\? help")


async def test_another_run_takes_the_place_of_the_first_and_nothing_of_that_is_left(folder: Path) -> None:
    async with opened(folder / "quickstart") as pilot:
        app = app_of(pilot)
        await pilot.press("p", "enter")
        await until_seen(pilot, "pause sent, waiting")
        app.action_command("panel.kl")
        app.action_command("enlarge")
        app.action_command("back.10")
        before = (app._reader, app._follower, app.steering, app.aftermath)
        await pilot.press("R")
        await until_seen(pilot, "over .*100/100")
        await pilot.press("down", "enter")
        await until_seen(pilot, "FINISHED  after 100 steps")
        assert len(app.screen_stack) == 1 and app.directory.name == "over"
        assert app.view.cursor is None and app.view.panel == "reward" and not app.aftermath.wanted
        assert "pause" not in screen(app).splitlines()[1]
        assert not {*before} & {app._reader, app._follower, app.steering, app.aftermath}
        before[0].join(5)
        assert not before[0].is_alive()


async def test_an_answer_to_the_first_run_is_not_told_in_the_second(folder: Path) -> None:
    first = FakeRun(folder / "first", max_steps=100, probes=False)
    first.state("running")
    first.advance(5)
    async with opened(folder / "first") as pilot:
        app = app_of(pilot)
        await pilot.press("m", *"hello", "enter")
        await until(pilot, lambda: bool(waiting(first.layout.root)), "sent")
        ident = waiting(first.layout.root)[0].id
        app.open_run(folder / "quickstart")
        first.command(ident, "note", "hello", status="refused", why="no such thing")
        # A reading of the first run that was under way arrives late.
        late = app._newest
        app.post_message(Cockpit.Fresh(ValueError("of the first run"), Follower(first.layout.root)))
        await until(pilot, lambda: app._newest is not late and app._newest is not None, "read")
        await until_seen(pilot, "step +40 / 100")
        assert "no such thing" not in screen(app)


async def test_a_run_that_is_gone_by_then_leaves_the_first_on_screen(folder: Path) -> None:
    async with opened(folder / "quickstart") as pilot:
        app = app_of(pilot)
        app.open_run(folder / "nothing")
        await until_seen(pilot, "nothing is not there")
        assert app.directory == folder / "quickstart" and app._reader.is_alive()


async def test_a_filter_narrows_the_list_and_escape_takes_it_away_first(folder: Path) -> None:
    async with opened(folder / "quickstart", (80, 24)) as pilot:
        app = app_of(pilot)
        await pilot.press("R")
        await until_seen(pilot, "broken")
        await pilot.press("slash", *"fail", "enter")
        await until_seen(pilot, "filter fail  hides 2")
        assert "broken" in screen(app) and "quickstart" not in screen(app)
        await pilot.press("escape")
        await until_seen(pilot, "quickstart")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, Runs), "back")


async def test_the_list_narrows_as_it_is_typed_and_escape_widens_it_again(folder: Path) -> None:
    async with opened(folder / "quickstart", (80, 24)) as pilot:
        app = app_of(pilot)
        await pilot.press("R")
        await until_seen(pilot, "broken")
        await pilot.press("slash", *"fail")
        await until_seen(pilot, "filter fail  hides 2")
        await pilot.press("escape")
        await until(pilot, lambda: "hides" not in screen(app) and "▸ + ● running" in screen(app), "all again")
        assert isinstance(app.screen, Runs)


async def test_a_click_chooses_and_another_opens(folder: Path) -> None:
    async with opened(folder / "quickstart") as pilot:
        app = app_of(pilot)
        await pilot.press("R")
        await until_seen(pilot, "over .*100/100")
        await pilot.click("#list", offset=(20, 2))
        await until_seen(pilot, "▸   ◆ finished")
        await pilot.click("#list", offset=(20, 2))
        await until_seen(pilot, "FINISHED  after 100 steps")
        assert app.directory.name == "over"


@pytest.mark.parametrize("size", [(160, 45), (96, 24)])
async def test_the_list_names_its_reward_which_is_that_of_ls(
    folder: Path, capsys: pytest.CaptureFixture[str], size: tuple[int, int]
) -> None:
    assert main(["ls", "--json", "--runs", str(folder)]) == 0
    rows = {row["run"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    async with opened(folder / "quickstart", size) as pilot:
        await pilot.press("R")
        await until_seen(pilot, f"over .*{rows['over']['reward']:.3f}")
        await until_seen(pilot, f"quickstart .*{rows['quickstart']['reward']:.3f}")
        assert "reward, mean of last 20" in screen(app_of(pilot))


def read_to_the_end(reader: RosterReader, visible: tuple[Path, ...]) -> dict[str, Line]:
    """What the thread would do, without the thread."""
    reader._list()
    reader.look_at(visible)
    for _ in range(200):
        due = reader._next(time.monotonic())
        if due is None:
            break
        due.read(time.monotonic())
    return {watched.path.name: watched.line for watched in reader._watched.values()}


def test_only_what_is_seen_is_read_and_what_is_over_is_read_once(folder: Path) -> None:
    reader = RosterReader(folder, lambda lines: None)
    lines = read_to_the_end(reader, (folder / "over",))
    assert lines["over"].read and lines["over"].step == 100 and len(lines["over"].curve[0]) == roster.CURVE
    assert not lines["quickstart"].read and not lines["broken"].read
    # Without its journal, the run's own signs of life tell its state and its step.
    assert (lines["quickstart"].state, lines["quickstart"].step) == ("running", 40)
    assert (lines["broken"].state, lines["broken"].says[0]) == ("failed", "not read yet")
    over = reader._watched[folder / "over"]
    assert over.over and over.follower is None and reader._next(time.monotonic() + 100) is None
    live = read_to_the_end(reader, (folder / "quickstart", folder / "over"))["quickstart"]
    assert live.read and live.live and reader._next(time.monotonic()) is None
    assert reader._next(time.monotonic() + 100) is reader._watched[folder / "quickstart"]


def test_a_long_journal_does_not_hold_up_a_short_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, "long", 4000, "finished")
    made(tmp_path, "short", 3, "finished", age=100)
    monkeypatch.setattr("rlpeaks_tui.cockpit.roster_reader.SLICE", 0.0)
    reader = RosterReader(tmp_path, lambda lines: None)
    reader._list()
    reader.look_at((tmp_path / "long", tmp_path / "short"))
    for _ in range(40):
        due = reader._next(time.monotonic())
        if due is None:
            break
        due.read(time.monotonic())
        if due.path.name == "short" and due.line.read:
            break
    assert reader._watched[tmp_path / "short"].line.read
    assert not reader._watched[tmp_path / "long"].line.read


def test_a_folder_in_disorder_is_listed(folder: Path) -> None:
    (folder / "over" / "run.json").write_text("{")
    lines = read_to_the_end(RosterReader(folder, lambda lines: None), (folder / "over",))
    assert lines["over"].state == "unreadable" and "damaged" in lines["over"].says[0]
    assert roster.draw([*lines.values()], 0, 0, 0.0, 80, 10, folder).rows()


def test_whatever_is_wrong_with_one_run_the_others_are_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def glance(path: Path, *known: object) -> Line:
        if path.name == "over":
            raise OverflowError("too large")
        return roster.glance(path, *known)  # type: ignore[arg-type]

    def line_of(path: Path, *known: object) -> Line:
        if path.name == "broken":
            raise IndexError
        return roster.line_of(path, *known)  # type: ignore[arg-type]

    monkeypatch.setattr("rlpeaks_tui.cockpit.roster_reader.glance", glance)
    monkeypatch.setattr("rlpeaks_tui.cockpit.roster_reader.line_of", line_of)
    lines = read_to_the_end(RosterReader(folder, lambda lines: None), tuple(folder.iterdir()))
    assert {name: (line.state, line.why) for name, line in lines.items() if not line.live} == {
        "over": ("unreadable", "too large"),
        "broken": ("unreadable", "IndexError"),
    }
    assert lines["quickstart"].read


@pytest.mark.parametrize("pattern", ["x{99999999999999999999}", "(" * 3000 + ")" * 3000, "(x|x)+$"])
def test_a_filter_that_is_no_safe_expression_is_looked_for_as_it_stands(pattern: str) -> None:
    lines = [Line(Path("/runs") / name, "running") for name in ("one", pattern[:200], "x" * 40 + "!")]
    assert roster.fitting(lines, pattern[:200]) == lines[1:2] and roster.fitting(lines, pattern) in ([], lines[1:2])


HOSTILE = Line(Path("/runs/\x1b]0;x\x07\u202e長い名前"), "running", step=3, max_steps=10, read=True)
SICK = Health((Finding("r", "entropy falls faster than reward rises", "critical"), Finding("s", "x", "warn")))


@pytest.mark.parametrize("width", [2, 10, 30, 60, 80, 100, 120, 200])
def test_rows_fit_any_width(width: int) -> None:
    lines = [
        HOSTILE,
        replace(HOSTILE, health=SICK),
        replace(HOSTILE, state="failed", why="killed by SIGKILL", created=1.0),
        replace(HOSTILE, state="failed", why="killed by SIGKILL", health=SICK, created=1.0),
    ]
    for height in (1, 2, 20):
        cells = roster.draw(lines, 1, 0, 100.0, width, height, Path("/runs"))
        assert len(cells.rows()) == height and "\x1b" not in "".join(cells.rows())
    if width >= 80:
        text = "\n".join(roster.draw(lines, 1, 0, 100.0, width, 20, Path("/runs")).rows())
        assert "entropy falls" in text and "killed by SIG" in text and "3/10" in text
        assert re.search("kil.*; (before that )?entropy", text), "what killed it and what it had, at any width"
    if width >= 200:
        assert "killed by SIGKILL; before that entropy falls" in text


@pytest.mark.parametrize(
    ("top", "at", "rows", "count", "expected"), [(0, 0, 5, 3, 0), (0, 9, 5, 10, 5), (5, 2, 5, 10, 2), (8, 9, 5, 10, 5)]
)
def test_the_chosen_row_is_on_screen(top: int, at: int, rows: int, count: int, expected: int) -> None:
    assert roster.window(top, at, rows, count) == expected
