"""The cockpit as a person uses it: keys, mouse, sizes, steering, and a run that goes on meanwhile."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace
from textual.command import CommandList
from textual.widgets import Input

from rlpeaks_tui.cockpit import commands, walk, watch
from rlpeaks_tui.cockpit.app import Cockpit
from rlpeaks_tui.cockpit.panels import BY_ID, MISSION, PANELS
from rlpeaks_tui.cockpit.reader import Reader, Reading, Wanted
from rlpeaks_tui.cockpit.screens import help
from rlpeaks_tui.cockpit.screens.ask import Confirm
from rlpeaks_tui.cockpit.screens.browser import Browser
from rlpeaks_tui.cockpit.screens.enlarged import Enlarged
from rlpeaks_tui.cockpit.screens.help import Help
from rlpeaks_tui.run.entries import Metrics
from rlpeaks_tui.run.mailbox import waiting
from rlpeaks_tui.stats.catalog import format_value, lookup
from tests.cockpit_fakes import FakeRun, steered_run
from tests.cockpit_pilot import app_of, opened, screen, until, until_seen


@pytest.fixture
def run(tmp_path: Path) -> FakeRun:
    return steered_run(tmp_path / "quickstart", steps=200)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (160, 45), (200, 60)])
async def test_the_first_screen_has_state_verdict_and_mission(run: FakeRun, size: tuple[int, int]) -> None:
    async with opened(run.layout.root, size) as pilot:
        await until_seen(pilot, "● live")
        await until_seen(pilot, "checks? ok|NO VERDICT")
        words = screen(app_of(pilot))
        assert "step 200 / 1,000" in words and "? help" in words
        titles = ("Reward", "entropy", "KL k3", "ECE", "sparsity")
        if size[0] >= 120:
            titles = ("1 Reward", "2 Entropy", "3 KL drift", "4 Calibration", "5 Update sparsity", "7 Completion")
        assert all(title in words for title in titles)


async def test_a_run_that_has_not_stepped_yet_is_shown(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "quickstart")
    run.state("starting", "importing")
    run.console("accelerate launch: 1 process on cpu")
    async with opened(run.layout.root) as pilot:
        await until_seen(pilot, "STARTING  importing")
        await until_seen(pilot, "accelerate launch: 1 process on cpu")
        assert "Reward" not in screen(app_of(pilot))
        run.state("running")
        run.advance(5)
        await until_seen(pilot, r"step\s+5 / 1,000")
        await until_seen(pilot, "1 Reward")


async def test_the_terminal_may_take_any_size(run: FakeRun) -> None:
    async with opened(run.layout.root) as pilot:
        for size in ((80, 24), (20, 6), (3, 2), (1, 1), (240, 70), (121, 41)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
        await until_seen(pilot, "5 Update sparsity")
        lines = screen(app_of(pilot)).split("\n")
        assert len(lines) == 41 and all(len(line) == 121 for line in lines)


async def test_digits_focus_then_enlarge_and_switch_while_enlarged(run: FakeRun) -> None:
    async with opened(run.layout.root) as pilot:
        app = app_of(pilot)
        await pilot.press("2")
        assert app.view.panel == "entropy" and not isinstance(app.screen, Enlarged)
        await pilot.press("2")
        assert isinstance(app.screen, Enlarged)
        await until_seen(pilot, "how it misleads")
        await pilot.press("3")
        await until_seen(pilot, "full vocabulary")
        await pilot.press("escape")
        assert not isinstance(app.screen, Enlarged)
        await until_seen(pilot, "8 Timeline")


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_every_panel_has_a_key_and_enlarges(run: FakeRun, size: tuple[int, int]) -> None:
    async with opened(run.layout.root, size) as pilot:
        app = app_of(pilot)
        for panel in PANELS:
            app.simulate_key(panel.key)
            await until(pilot, lambda panel=panel: app.view.panel == panel.id, "in focus")  # type: ignore[misc]
            if not isinstance(app.screen, Enlarged | Browser):
                app.simulate_key("z")
            await until(pilot, lambda: isinstance(app.screen, Enlarged | Browser), "enlarged")
            await until_seen(pilot, panel.title.split()[0])
            app.simulate_key("escape")
            await until(pilot, lambda: not isinstance(app.screen, Enlarged | Browser), "back")


async def test_a_small_screen_draws_the_chosen_panel(run: FakeRun) -> None:
    async with opened(run.layout.root, (80, 24)) as pilot:
        for key, title in (("2", "2 Entropy"), ("5", "5 Update sparsity"), ("9", "9 Console"), ("1", "1 Reward")):
            await pilot.press(key)
            await until_seen(pilot, title)
            assert not isinstance(app_of(pilot).screen, Enlarged)


async def test_a_small_screen_draws_what_the_verdict_speaks_of_until_one_chooses(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "quickstart", probes=False)
    run.state("running")
    run.advance(60)
    low = [Metrics(t=run.t, step=60 + i, v={"grad_norm": 1.0, "completions/clipped_ratio": 0.9}) for i in range(1, 40)]
    run.journal.write(*low)
    async with opened(run.layout.root, (80, 24)) as pilot:
        await until_seen(pilot, "COMPLETIONS ARE CUT OFF")
        await until_seen(pilot, "7 Completion")
        await pilot.press("1")
        await until_seen(pilot, "1 Reward")


async def test_arrows_move_the_focus(run: FakeRun) -> None:
    async with opened(run.layout.root) as pilot:
        app = app_of(pilot)
        for key, panel in (("right", "entropy"), ("l", "kl"), ("left", "entropy"), ("h", "reward"), ("j", "sparsity")):
            await pilot.press(key)
            assert app.view.panel == panel


async def test_scrubbing_moves_every_panel_while_the_run_goes_on(run: FakeRun) -> None:
    async with opened(run.layout.root) as pilot:
        app = app_of(pilot)
        await pilot.press("left_curly_bracket", "left_curly_bracket", "left_square_bracket")
        assert app.view.cursor == 200 - 20 - 20 - 2
        await until_seen(pilot, "◆ shown: step 158")
        await until_seen(pilot, "at step 150")
        await until_seen(pilot, "step 150, group")
        before = screen(app)
        run.advance(7)
        await until_seen(pilot, "step 207 / 1,000")
        assert app.view.cursor == 158
        value = re.compile(r"Reward +(0\.\d+)")
        assert value.findall(before) == value.findall(screen(app))
        await pilot.press("g")
        await until_seen(pilot, "● live")
        assert app.view.cursor is None
        await until_seen(pilot, "step 207, group")


async def test_scrubbing_stops_at_both_ends(run: FakeRun) -> None:
    async with opened(run.layout.root) as pilot:
        app = app_of(pilot)
        for _ in range(12):
            app.action_command("back.10")
        assert app.view.cursor == 0
        for _ in range(12):
            app.action_command("on.10")
        assert app.view.cursor is None
        await pilot.press("left_square_bracket", "end")
        assert app.view.cursor is None


async def test_in_an_enlarged_panel_arrows_move_by_one_step_and_scroll(run: FakeRun) -> None:
    async with opened(run.layout.root) as pilot:
        app = app_of(pilot)
        await pilot.press("0", "left", "left")
        assert app.view.cursor == 198
        await pilot.press("down", "down", "up")
        assert app.view.scroll == 1
        await pilot.press("right", "right")
        assert app.view.cursor is None


async def test_a_list_scrolls_to_its_end_and_no_further(run: FakeRun) -> None:
    run.console(*(f"line {i}" for i in range(60)))
    async with opened(run.layout.root, (100, 30)) as pilot:
        app = app_of(pilot)
        for panel, there, back in (("metrics", "down", "up"), ("console", "up", "down")):
            walk.select(app, panel)
            if not isinstance(app.screen, Enlarged):
                walk.toggle(app)
            await until_seen(pilot, r"\d+ more")
            for _ in range(300):
                app.action_command(there)
            await until(pilot, lambda: re.search(r"\d+ more", screen(app)) is None, "at the end")
            assert app.view.scroll < 120
            end = app.view.scroll
            app.action_command(back)
            await until(pilot, lambda end=end: app.view.scroll == end - 1, "one line back")


async def test_the_picked_metric_is_drawn_large_with_what_it_means_and_stays_picked(run: FakeRun) -> None:
    async with opened(run.layout.root, (120, 40)) as pilot:
        app = app_of(pilot)
        await pilot.press("slash")
        await until(pilot, lambda: bool(app.screen.query(Input)), "asked")
        await pilot.press(*"^kl/base_k", "enter")
        await until_seen(pilot, r"▸ kl/base_k1\b")
        await pilot.press("down")
        await until_seen(pilot, r"▸ kl/base_k3\b")
        await pilot.press("enter")
        await until_seen(pilot, r"kl/base_k3 nats/token.*2 of 2 metrics, filter \^kl/base_k")
        known = lookup("kl/base_k3")
        assert known is not None
        shown = re.sub(r"\s+", " ", screen(app))
        assert f"{known.title}: {known.formula}" in shown and known.misleads in shown
        last = app.scene.value("kl/base_k3") if app.scene else None
        assert format_value(known, last) in screen(app).split("2 of 2 metrics")[0]
        await pilot.press("up")
        await until_seen(pilot, "kl/base_k1 nats/token.*1 of 2 metrics")
        await pilot.press("v")
        await until_seen(pilot, r"▸ kl/base_k1\b")


async def test_a_metric_that_the_catalog_does_not_know_or_that_has_no_value_says_so(tmp_path: Path) -> None:
    run = steered_run(tmp_path / "quickstart", steps=40)
    own = {"my/own": 1.5, "entropy/forking": None}
    run.journal.write(Metrics(t=run.t, step=41, v=own, why={"entropy/forking": "no model at hand"}))
    async with opened(run.layout.root, (120, 40)) as pilot:
        app = app_of(pilot)
        for name, said in (
            ("my/own", r"my/own +1\.50? (?s:.*)the catalog does not know it"),
            ("entropy/forking", "no model at hand"),
        ):
            walk.select(app, "metrics")
            app.look_at(filter=f"^{name}$", scroll=0, story=1)
            await until_seen(pilot, said)


async def test_space_holds_the_view(run: FakeRun) -> None:
    async with opened(run.layout.root) as pilot:
        await pilot.press("space")
        await until_seen(pilot, "held at 200")
        run.advance(5)
        await until_seen(pilot, "step 205 / 1,000")
        assert "held at 200" in screen(app_of(pilot)) and "step 200, group" in screen(app_of(pilot))
        app_of(pilot).action_command("back.10")
        await until_seen(pilot, "step 150, group")
        app_of(pilot).action_command("on.10")
        await until_seen(pilot, "step 200, group")
        await pilot.press("space")
        await until_seen(pilot, "step 205, group")


async def test_pause_is_sent_shown_as_waiting_and_then_answered(run: FakeRun) -> None:
    async with opened(run.layout.root, (120, 40)) as pilot:
        await pilot.press("p")
        await until_seen(pilot, "At its next safe point .now at step 200. the training holds")
        await until_seen(pilot, "The same key resumes it")
        assert not waiting(run.layout.root)
        await pilot.press("enter")
        await until_seen(pilot, "pause sent, waiting for the next safe point")
        orders = waiting(run.layout.root)
        assert [order.verb for order in orders] == ["pause"]
        run.command(orders[0].id, "pause")
        run.state("paused")
        await until_seen(pilot, r"PAUSED  at step 200 since [0-9:]+  \[p\] resumes")
        await until_seen(pilot, "p resume ")
        await until(pilot, lambda: "waiting for the next safe point" not in screen(app_of(pilot)))
        await pilot.press("p")
        await until(pilot, lambda: [order.verb for order in waiting(run.layout.root)] == ["pause", "resume"])


async def test_a_refusal_says_why(run: FakeRun) -> None:
    async with opened(run.layout.root, (120, 40)) as pilot:
        await pilot.press("p", "enter")
        await until(pilot, lambda: bool(waiting(run.layout.root)))
        run.command(waiting(run.layout.root)[0].id, "pause", status="refused", why="it is already paused")
        await until_seen(pilot, "pause refused at step 200: it is already paused")


async def test_stop_asks_first(run: FakeRun) -> None:
    async with opened(run.layout.root, (80, 24)) as pilot:
        app = app_of(pilot)
        for key in ("escape", "n", "q"):
            await pilot.press("s")
            await until_seen(pilot, "Stop the training")
            assert "exit status 0" in re.sub(r"\s+", " ", screen(app))
            await pilot.press(key)
            assert not isinstance(app.screen, Confirm)
        assert not waiting(run.layout.root)
        await pilot.press("s", "y")
        await until(pilot, lambda: [order.verb for order in waiting(run.layout.root)] == ["stop"])
        await until_seen(pilot, "stop sent")


async def test_read_only_refuses_to_steer_and_says_so(run: FakeRun) -> None:
    async with opened(run.layout.root, readonly=True) as pilot:
        await until_seen(pilot, "read-only")
        for key in ("p", "s"):
            await pilot.press(key)
            await until_seen(pilot, "this viewer is read-only")
            await pilot.press("escape")
        assert not waiting(run.layout.root)


async def test_a_run_that_ended_cannot_be_steered(run: FakeRun) -> None:
    run.state("finished")
    run.exit(0)
    async with opened(run.layout.root) as pilot:
        await until_seen(pilot, "FINISHED")
        await pilot.press("p")
        await until_seen(pilot, "the run is finished; there is no training to steer")
    async with opened(run.layout.root, readonly=True) as pilot:
        await until_seen(pilot, "FINISHED")
        await pilot.press("p")
        await until_seen(pilot, "the run is finished; there is no training to steer")
        assert not waiting(run.layout.root)


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
async def test_leaving_sends_nothing(run: FakeRun, key: str) -> None:
    async with opened(run.layout.root) as pilot:
        await pilot.press(key)
    assert pilot.app.return_value == 0
    assert not waiting(run.layout.root)


@pytest.mark.parametrize("key", ["colon", "ctrl+p"])
async def test_the_palette_finds_commands_by_name(run: FakeRun, key: str) -> None:
    async with opened(run.layout.root) as pilot:
        app = app_of(pilot)
        await pilot.press(key)
        await until(pilot, lambda: len(app.screen_stack) == 2)
        app.screen.query_one(Input).value = "how much choice"
        await until_seen(pilot, "Entropy: how much choice is left")
        await pilot.press("enter")
        await until(pilot, lambda: app.view.panel == "entropy", "focused")


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("note", "Put a note on the timeline"),
        ("checkpoint", "Write a checkpoint"),
        ("phase", "Switch the curriculum"),
        ("eval", "Measure on held-out prompts"),
        ("step", "Train for some steps"),
    ],
)
async def test_the_palette_has_what_acts_before_what_only_looks(run: FakeRun, query: str, first: str) -> None:
    async with opened(run.layout.root) as pilot:
        app = app_of(pilot)
        await pilot.press("colon")
        await until(pilot, lambda: len(app.screen_stack) == 2)
        app.screen.query_one(Input).value = query
        listed = app.screen.query_one(CommandList)
        await until(
            pilot,
            lambda: listed.option_count > 0 and str(listed.get_option_at_index(0).prompt).startswith(first),
            f"{first} first",
        )


async def test_help_names_every_command(run: FakeRun) -> None:
    async with opened(run.layout.root, (160, 45)) as pilot:
        await pilot.press("question_mark")
        assert isinstance(app_of(pilot).screen, Help)
        words = screen(app_of(pilot))
        listed = [command for command in commands.COMMANDS if command.listed]
        assert all(command.title in words and command.shown in words for command in listed)
        assert all(not command.keys for command in commands.COMMANDS if not command.listed)
        assert all(len(each.every.split()) == len(each.keys) for each in commands.TABLE)
        assert "g end  Back to the newest step" in words and "q ctrl+c  Leave the viewer" in words
        await pilot.press("escape")
        assert not isinstance(app_of(pilot).screen, Help)


async def test_help_scrolls_where_it_does_not_fit(run: FakeRun) -> None:
    async with opened(run.layout.root, (80, 24)) as pilot:
        await pilot.press("question_mark")
        await pilot.press("down", "end")
        await until_seen(pilot, "Leave the viewer")
    titles = {command.title for command in commands.COMMANDS if command.listed}
    assert all(title in "\n".join(help.draw(76, 80).rows()) for title in titles)


async def test_filter_narrows_the_metrics(run: FakeRun) -> None:
    async with opened(run.layout.root) as pilot:
        app = app_of(pilot)
        await pilot.press("slash")
        await until(pilot, lambda: bool(app.screen.query(Input)), "asked")
        await pilot.press(*"^kl", "enter")
        await until_seen(pilot, "filter \\^kl")
        assert "kl/base_k3" in screen(app) and "grad_norm" not in screen(app)
        await pilot.press("escape")
        await until_seen(pilot, "grad_norm")
        await pilot.press("escape")
        assert not isinstance(app.screen, Enlarged)


async def test_a_filter_acts_as_it_is_typed_and_escape_gives_the_former_back(run: FakeRun) -> None:
    async with opened(run.layout.root) as pilot:
        app = app_of(pilot)
        await pilot.press("0", "z", "slash")
        await until(pilot, lambda: bool(app.screen.query(Input)), "asked")
        await until_seen(
            pilot, "(?s)text or a regular expression; ! in front.*acts as you type; enter keeps it, esc undoes it"
        )
        await pilot.press(*"^kl")
        await until_seen(pilot, "filter \\^kl")
        assert "kl/base_k3" in screen(app) and "grad_norm" not in screen(app) and bool(app.screen.query(Input))
        await pilot.press("enter")
        await until(pilot, lambda: not app.screen.query(Input), "kept")
        await until_seen(pilot, "filter \\^kl")
        await pilot.press("slash", "ctrl+u", *"grad")
        await until_seen(pilot, "grad_norm")
        await pilot.press("escape")
        await until_seen(pilot, "filter \\^kl")
        assert "grad_norm" not in screen(app) and app.view.filter == "^kl"


async def test_a_click_focuses_and_another_enlarges(run: FakeRun) -> None:
    async with opened(run.layout.root) as pilot:
        app = app_of(pilot)
        await pilot.click("#kl", offset=(5, 3))
        assert app.view.panel == "kl"
        await pilot.click("#kl", offset=(5, 3))
        await until(pilot, lambda: isinstance(app.screen, Enlarged))
        assert app.stage is not None and app.stage.panel == "kl"  # type: ignore[attr-defined]


async def test_keys_can_be_changed_by_the_id_of_their_command(run: FakeRun) -> None:
    async with opened(run.layout.root) as pilot:
        app = app_of(pilot)
        app.set_keymap({"panel.kl": "K"})
        await pilot.press("3")
        assert app.view.panel == "reward"
        await pilot.press("K")
        assert app.view.panel == "kl"


def test_commands_have_their_own_ids_and_keys() -> None:
    assert len(commands.BY_ID) == len(commands.TABLE)
    keys = [(each.where, key) for each in commands.TABLE for key in each.keys]
    assert len(keys) == len(set(keys))
    assert {binding.id for binding in commands.bindings()} == {c.id for c in commands.COMMANDS if c.keys}
    assert {f"panel.{panel}" for panel in MISSION} <= set(commands.BY_ID)


async def test_a_run_that_cannot_be_read_any_more_keeps_what_was_read(run: FakeRun) -> None:
    async with opened(run.layout.root) as pilot:
        shutil.rmtree(run.layout.root)
        await until_seen(pilot, "is gone; this is what was read of it")
        assert "1 Reward" in screen(app_of(pilot))


async def test_ascii_mode_writes_nothing_else(run: FakeRun) -> None:
    async with opened(run.layout.root, ascii_only=True) as pilot:
        await until_seen(pilot, "5 Update sparsity")
        assert screen(app_of(pilot)).isascii()
        await pilot.press("question_mark")
        assert screen(app_of(pilot)).isascii()


async def test_no_color_writes_no_colour(run: FakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with opened(run.layout.root) as pilot:
        await until_seen(pilot, "5 Update sparsity")
        for strip in app_of(pilot).screen._compositor.render_strips():
            for segment in strip:
                if segment.style is not None:
                    assert segment.style.color is None or segment.style.color.is_default
                    assert segment.style.bgcolor is None or segment.style.bgcolor.is_default


async def test_the_theme_can_be_switched(run: FakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")
    async with opened(run.layout.root) as pilot:
        app = app_of(pilot)
        before = app.palette.name
        app.action_command("theme")
        await pilot.pause()
        assert (before, app.palette.name) == ("dark", "light")


def test_watching_what_is_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert watch(tmp_path) == 2
    assert "no run" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import rlpeaks_tui.cockpit", ("textual", "numpy", "torch")),
        ("import rlpeaks_tui.cockpit.app, rlpeaks_tui.cockpit.panels", ("torch", "trl", "rlpeaks_tui.instrument")),
    ],
)
def test_importing_the_cockpit_brings_in_no_more_than_it_needs(code: str, absent: tuple[str, ...]) -> None:
    program = f"import sys\n{code}\nprint([name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_a_fault_in_the_reader_ends_the_viewer_instead_of_freezing_it(
    run: FakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Reader, wanted: Wanted) -> Reading:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        async with opened(run.layout.root) as pilot:
            monkeypatch.setattr(Reader, "read", broken)
            await until(pilot, lambda: not pilot.app.is_running, "ended")


async def test_a_panel_that_fails_says_so_and_takes_nothing_with_it(
    run: FakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> object:
        raise ZeroDivisionError("by a run that nobody thought of")

    monkeypatch.setitem(BY_ID, "entropy", replace(BY_ID["entropy"], draw=broken, study=lambda: broken))
    app = Cockpit(run.layout.root, rate=20.0)
    async with app.run_test(size=(160, 45)) as pilot:
        await until_seen(pilot, "entropy cannot be drawn: ZeroDivisio")
        assert "1 Reward" in screen(app) and "8 Timeline" in screen(app)
        await pilot.press("2", "z")
        await until_seen(pilot, "entropy could not be worked out: ZeroDivisionError")
        await pilot.press("escape", "p", "enter")
        await until(pilot, lambda: bool(waiting(run.layout.root)), "still steers")
