"""Steering by keys: each question says what will happen, sends exactly that, sends nothing on escape, and is refused
with a reason where it cannot work."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from textual.pilot import Pilot
from textual.widgets import Input

from rlpeaks_tui.cockpit import acts, commands, effects, questions
from rlpeaks_tui.cockpit.advice import remedy
from rlpeaks_tui.cockpit.aftermath import Aftermath
from rlpeaks_tui.cockpit.app import Cockpit
from rlpeaks_tui.cockpit.curriculum import coming
from rlpeaks_tui.cockpit.expected import expected
from rlpeaks_tui.cockpit.form import Choice
from rlpeaks_tui.cockpit.screens import help
from rlpeaks_tui.cockpit.screens.ask import Confirm
from rlpeaks_tui.cockpit.screens.dialog import Dialog
from rlpeaks_tui.cockpit.screens.enlarged import Enlarged
from rlpeaks_tui.cockpit.steering import STILL_READ
from rlpeaks_tui.cockpit.words import ago
from rlpeaks_tui.run.entries import Checkpoint, Command, Metrics
from rlpeaks_tui.run.follow import Follower, Snapshot
from rlpeaks_tui.run.mailbox import waiting
from rlpeaks_tui.run.marks import CommandMark
from rlpeaks_tui.stats.effect import LEAST
from rlpeaks_tui.stats.preview import TaskRate
from tests.cockpit_fakes import FakeRun, steered_run
from tests.cockpit_pilot import app_of, opened, screen, until, until_seen

KEYS = {"reset": "r", "rollback": "b", "phase": "c", "set": "e", "undo": "u", "checkpoint": "w", "note": "m"}
TYPED = ("step", "sync-ref", "eval", "probe")
"""Commands of the palette only."""
STEERING = (*KEYS, *TYPED, "pause", "stop")


@pytest.fixture
def run(tmp_path: Path) -> FakeRun:
    run = steered_run(tmp_path / "quickstart", steps=200)
    run.settings(learning_rate=1e-4, beta=0.0, temperature=1.0)
    run.checkpoint("mine")
    return run


def sent(run: FakeRun) -> list[tuple[str, ...]]:
    return [(order.verb, *order.args) for order in waiting(run.layout.root)]


def dialog_open(app: Cockpit) -> Callable[[], bool]:
    return lambda: isinstance(app.screen, Dialog)


def words_of(app: Cockpit) -> str:
    """The screen as running text."""
    return re.sub(r"\s+", " ", screen(app))


async def open_question(pilot: object, app: Cockpit, verb: str) -> None:
    app.action_command(verb)
    await until(pilot, dialog_open(app), "asked")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("key", "then", "says", "command"),
    [
        ("r", (), "become those of the start", ("reset", "--to", "base")),
        ("r", ("down",), "become those of step 200", ("reset", "--to", "mine")),
        (
            "r",
            ("tab", "ctrl+u", *"0.5", "tab", "ctrl+u", *"*layers.0.*", "tab", "space"),
            "keeps its state",
            ("reset", "--to", "base", "--blend", "0.5", "--layers", "*layers.0.*", "--keep-optimizer"),
        ),
        ("b", (), "goes on from there as branch-2", ("rollback", "mine")),
        ("b", ("down",), "back to step 100", ("rollback", "auto-200")),
        ("c", (), "draws from mostly hard", ("phase", "next")),
        ("c", ("end",), "draws from mostly hard", ("phase", "mostly hard")),
        ("c", ("j", "j"), "their own rules again", ("phase", "auto")),
        ("e", ("down", *"0.05"), "beta is 0.000 now, and 0.05 from the next", ("set", "beta=0.05")),
        ("u", (), "set learning_rate=1e-4, at step 150", ("undo",)),
        ("w", (), "to roll back or reset to later", ("checkpoint",)),
        ("w", tuple("before"), "checkpoint before", ("checkpoint", "before")),
        ("m", (*"narro", "left", "right", "w"), "changes nothing", ("note", "narrow")),
    ],
)
async def test_a_key_asks_and_enter_sends(
    run: FakeRun, key: str, then: tuple[str, ...], says: str, command: tuple[str, ...]
) -> None:
    async with opened(run.layout.root, (80, 24)) as pilot:
        app = app_of(pilot)
        await pilot.press(key)
        await until(pilot, dialog_open(app), "asked")
        await pilot.press(*then)
        await until(pilot, lambda: says in words_of(app), says)
        assert "enter " in screen(app) and "esc leave it" in screen(app)
        assert "Can be undone" in words_of(app) or key not in "rbce"
        assert sent(run) == []
        await pilot.press("enter")
        await until(pilot, lambda: bool(waiting(run.layout.root)), "sent")
        assert sent(run) == [command]
        await until_seen(pilot, f"{command[0]}.* sent, waiting")


async def test_escape_sends_nothing(run: FakeRun) -> None:
    async with opened(run.layout.root, (80, 24)) as pilot:
        app = app_of(pilot)
        for verb in (*KEYS, *TYPED):
            await open_question(pilot, app, verb)
            await pilot.press("escape")
            await until(pilot, lambda: not isinstance(app.screen, Dialog), "left")
    assert not sent(run)


async def test_read_only_refuses_every_command(run: FakeRun) -> None:
    async with opened(run.layout.root, readonly=True) as pilot:
        app = app_of(pilot)
        assert {*STEERING} <= set(commands.refusals(app))
        for verb in STEERING:
            app.action_command(verb)
            await until_seen(pilot, "this viewer is read-only")
            await pilot.press("escape")
        await pilot.press("question_mark")
        await until_seen(pilot, "Training  this viewer is read-only")
    assert not sent(run)


async def test_what_cannot_work_in_this_run_says_so(run: FakeRun) -> None:
    run.settings(cannot={verb: f"no {verb} here" for verb in STEERING}, learning_rate=1e-4)
    async with opened(run.layout.root) as pilot:
        app = app_of(pilot)
        assert {*STEERING} <= set(commands.refusals(app))
        for verb in STEERING:
            app.action_command(verb)
            await until_seen(pilot, f"{verb} cannot work in this run: no {verb} here")
            await pilot.press("escape")
    assert not sent(run)


async def test_a_run_that_ended_refuses_every_command(run: FakeRun) -> None:
    run.state("finished")
    run.exit(0)
    async with opened(run.layout.root) as pilot:
        for verb in STEERING:
            app_of(pilot).action_command(verb)
            await until_seen(pilot, "the run is finished; there is no training to steer")
            await pilot.press("escape")
    assert not sent(run)


async def test_what_is_refused_is_grey_in_the_footer_and_says_why_in_the_palette(run: FakeRun) -> None:
    run.settings(cannot={"phase": "no curriculum here"}, learning_rate=1e-4)
    async with opened(run.layout.root, (200, 60)) as pilot:
        app = app_of(pilot)
        hints = {hint.word: hint.off for hint in commands.hints(commands.refusals(app))}
        assert hints["curriculum"] and not hints["pause"]
        await pilot.press("colon")
        await until(pilot, lambda: bool(app.screen.query(Input)), "asked")
        app.screen.query_one(Input).value = "Switch the curriculum"
        await until_seen(pilot, "no curriculum here")


async def test_nothing_to_do_is_said_instead_of_asked(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "quickstart", probes=False)
    run.state("running")
    run.advance(5)
    async with opened(run.layout.root, (120, 40)) as pilot:
        for key, why in (
            ("b", "no checkpoint on disk"),
            ("e", "has not said which settings"),
            ("u", "nothing to undo"),
            ("a", "the verdict advises no command"),
            ("d", "no command has changed anything yet"),
        ):
            await pilot.press(key)
            await until_seen(pilot, why)
            await pilot.press("escape")
    assert not sent(run)


async def test_a_phase_shows_its_mix_its_settings_and_what_is_expected_of_it(run: FakeRun) -> None:
    async with opened(run.layout.root, (160, 45)) as pilot:
        await pilot.press("c", "end")
        await until_seen(pilot, "mix +three operands 50 %, four operands 50 %")
        await until_seen(
            pilot, r"expected +0\.\d\d right \(0\.\d\d to [01]\.\d\d\), from \d+ recent completions; 50 % of the mix"
        )
        await pilot.press("up")
        await until_seen(pilot, "two operands 25 %, three operands 75 %")
        await until_seen(pilot, "settings +temperature 1.1")
        await pilot.press("home", "down", "down", "up")
        await until_seen(pilot, "expected +not known: none of its tasks was drawn")


def test_the_expected_rate_weighs_tasks_by_their_mix() -> None:
    rates = {
        "a": TaskRate(0.75, 0.6, 0.9, right=30, n=40, prompts=10, first=1, last=5),
        "b": TaskRate(0.1, 0.05, 0.2, right=1, n=10, prompts=3, first=1, last=5),
    }
    assert expected({"a": 3, "b": 1}, rates).startswith("0.59 right (")
    assert expected({"a": 3, "b": 1}, rates).endswith("from 50 recent completions")
    alone = "0.75 right (0.60 to 0.90), from 40 recent completions; 50 % of the mix was not drawn"
    assert expected({"a": 1, "c": 1}, rates) == alone
    assert "none of its tasks" in expected({"c": 1}, rates)
    assert "reading" in expected({"a": 1}, None)


async def test_a_setting_that_cannot_be_changed_says_why_and_is_not_sent(run: FakeRun) -> None:
    run.settings(cannot={"set entropy_coef": "it has no entropy bonus"}, learning_rate=1e-4)
    async with opened(run.layout.root, (80, 24)) as pilot:
        app = app_of(pilot)
        await pilot.press("e", "down", "5")
        await until(
            pilot, lambda: "entropy_coef cannot be changed in this run: it has no entropy bonus" in words_of(app)
        )
        await pilot.press("enter")
        assert isinstance(app.screen, Dialog) and not sent(run)


async def test_a_command_that_is_not_whole_is_not_sent(run: FakeRun) -> None:
    async with opened(run.layout.root, (80, 24)) as pilot:
        app = app_of(pilot)
        for keys, wrong in (
            (("e",), "type the new value"),
            (("e", "x", "tab", *"much"), "needs a number"),
            (("e", *"3"), "learning_rate must be between 1e-12 and 1; got 3"),
            (("m",), "type a text"),
            (("w", *"a/b"), "up to 64 letters"),
            (("r", "tab", "ctrl+u", "2"), "share above 0"),
        ):
            await pilot.press(*keys, "enter")
            await until_seen(pilot, wrong)
            assert isinstance(app.screen, Dialog)
            await pilot.press("escape")
    assert not sent(run)


@pytest.mark.parametrize("value", ["0.1", "6.7e-4", "1e-5"])
async def test_a_value_far_from_the_present_is_asked_about_before_it_is_sent(run: FakeRun, value: str) -> None:
    async with opened(run.layout.root, (80, 24)) as pilot:
        app = app_of(pilot)
        for answer in ("escape", "y"):
            await pilot.press("e", *value)
            await until(pilot, lambda: "That is far from it, and is asked about once" in words_of(app), "told")
            assert "may be between 1e-12 and 1." in words_of(app)
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(app.screen, Confirm), "asked at once")
            await until(
                pilot, lambda: f"learning_rate is 0.0001 now, far from {float(value):g}." in words_of(app), "why"
            )
            await pilot.press("enter")
            assert isinstance(app.screen, Confirm) and not sent(run)
            await pilot.press(answer)
            await until(pilot, lambda: not isinstance(app.screen, Confirm), "answered")
        await until(pilot, lambda: sent(run) == [("set", f"learning_rate={value}", "--yes")], "sent")


async def test_a_value_near_the_present_is_sent_without_another_question(run: FakeRun) -> None:
    async with opened(run.layout.root, (80, 24)) as pilot:
        await pilot.press("e", *"4e-4", "enter")
        await until(pilot, lambda: sent(run) == [("set", "learning_rate=4e-4")], "sent")


async def test_what_is_near_or_far_goes_by_the_rate_that_the_schedule_has_now(run: FakeRun) -> None:
    run.journal.write(Metrics(t=run.t, step=201, v={"learning_rate": 1e-6}))
    async with opened(run.layout.root, (80, 24)) as pilot:
        await pilot.press("e", *"1e-4", "enter")
        await until_seen(pilot, "learning_rate is 1e-06 now, far from 0.0001")


async def test_what_the_training_doubts_after_all_is_asked_about_and_sent_again(run: FakeRun) -> None:
    # It knows a newer value than this viewer had seen.
    far = "learning_rate is 1e-06 now, far from 0.0002; send it with --yes if that is meant"
    async with opened(run.layout.root, (80, 24)) as pilot:
        app = app_of(pilot)
        await pilot.press("e", *"2e-4", "enter")
        await until(pilot, lambda: bool(sent(run)), "sent")
        (order,) = waiting(run.layout.root)
        run.layout.inbox.joinpath(f"{order.id}.json").unlink()
        run.command(order.id, "set", "learning_rate=2e-4", status="refused", why=far)
        await until(pilot, lambda: isinstance(app.screen, Confirm), "asked again")
        await until(pilot, lambda: "far from 0.0002." in words_of(app), "why")
        await pilot.press("y")
        await until(pilot, lambda: sent(run) == [("set", "learning_rate=2e-4", "--yes")], "sent")


async def test_a_question_does_not_come_up_over_another(run: FakeRun) -> None:
    async with opened(run.layout.root, (120, 40)) as pilot:
        app = app_of(pilot)
        await pilot.press("e", *"2e-4", "enter")
        await until(pilot, lambda: bool(sent(run)), "sent")
        await pilot.press("m", *"hello")
        run.command(waiting(run.layout.root)[0].id, "set", "learning_rate=2e-4", status="refused", why="far from it")
        await until(pilot, lambda: bool(app.doubts), "heard")
        assert isinstance(app.screen, Dialog) and "hello" in screen(app)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "asked now")


async def test_an_open_question_follows_the_run(run: FakeRun) -> None:
    async with opened(run.layout.root, (80, 24)) as pilot:
        app = app_of(pilot)
        await pilot.press("b", "down")
        run.advance(10)
        run.checkpoint("newer")
        await until_seen(pilot, "newer")
        await until(pilot, lambda: "rollback auto-200" in screen(app), "still the same choice")
        run.state("finished")
        run.exit(0)
        await until_seen(pilot, "the run has ended meanwhile: it is finished; the question is closed")
        await pilot.press("enter")
        assert not sent(run)


def sick(root: Path) -> FakeRun:
    """A run whose completions are cut off, which the rules answer with a command."""
    run = FakeRun(root, probes=False)
    run.state("running")
    run.settings(learning_rate=1e-4, beta=0.0, temperature=1.0)
    run.advance(60)
    run.checkpoint("good")
    values = {"grad_norm": 1.0, "completions/clipped_ratio": 0.9}
    run.journal.write(*(Metrics(t=run.t, step=60 + i, v=values) for i in range(1, 40)))
    return run


async def test_the_verdicts_advice_opens_its_question(tmp_path: Path) -> None:
    run = sick(tmp_path / "quickstart")
    async with opened(run.layout.root, (160, 45)) as pilot:
        app = app_of(pilot)
        await until_seen(pilot, r"COMPLETIONS ARE CUT OFF.*\[a\] try rollback good")
        assert acts.advice(app)
        await pilot.press("a")
        await until(pilot, dialog_open(app), "asked")
        await until(pilot, lambda: acts.advice(app).split()[0] in screen(app))
    async with opened(run.layout.root, (160, 45), readonly=True) as pilot:
        await until_seen(pilot, "COMPLETIONS ARE CUT OFF")
        assert "[a]" not in screen(app_of(pilot))


@pytest.mark.parametrize(
    ("advice", "verb", "given"),
    [
        ("phase NAME", "phase", {}),
        ("phase prev", "phase", {"to": "prev"}),
        ("rollback CHECKPOINT", "rollback", {}),
        ("rollback auto-100", "rollback", {"checkpoint": "auto-100"}),
        ("reset --to base", "reset", {"to": "base"}),
        ("set beta=VALUE", "set", {"key": "beta", "value": ""}),
        ("set temperature=1.2", "set", {"key": "temperature", "value": "1.2"}),
        ("probe calibration", "probe", {"name": "calibration"}),
        ("sync-ref", "sync-ref", {}),
        ("pause", "pause", {}),
    ],
)
def test_advice_is_read_as_far_as_it_goes(advice: str, verb: str, given: dict[str, str]) -> None:
    assert remedy(advice) == (verb, given)


async def test_the_card_comes_by_itself_takes_no_key_and_can_be_called_back(
    run: FakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lines(snapshot: Snapshot, mark: CommandMark) -> list[str] | None:
        after = snapshot.step - (mark.step or 0)
        return [f"reward  +0.03 ± 0.01  over {mark.verb}"] if after >= 20 else None

    monkeypatch.setattr(effects, "lines_for", lines)
    async with opened(run.layout.root, (120, 40)) as pilot:
        app = app_of(pilot)
        await pilot.press("e", *"2e-4", "enter")
        await until(pilot, lambda: bool(sent(run)), "sent")
        run.command(waiting(run.layout.root)[0].id, "set", "learning_rate=2e-4", learning_rate=2e-4)
        await until_seen(pilot, "set learning_rate=2e-4 applied at step 200: learning_rate 1.0e-04 → 2.0e-04")
        run.advance(10)
        await until_seen(pilot, "step 210")
        await pilot.press("escape", "d")
        await until_seen(pilot, "it is too early to tell what set learning_rate=2e-4 did")
        run.advance(10)
        await until_seen(pilot, r"reward  \+0.03 ± 0.01  over set")
        await until_seen(pilot, "4  set learning_rate=2e-4  at step 200")
        await until_seen(pilot, "any key closes this   d shows the command before")
        await pilot.press("d")
        await until_seen(pilot, "3  set learning_rate=1e-4  at step 150")
        await pilot.press("2")
        await until(pilot, lambda: app.aftermath.card is None and "any key closes" not in screen(app), "closed")
        assert app.view.panel == "entropy", "the key that closed it did what it does"
        await pilot.press("d")
        await until_seen(pilot, "4  set learning_rate=2e-4  at step 200")
        await pilot.press("z")
        await until(pilot, lambda: isinstance(app.screen, Enlarged) and "any key closes" not in screen(app), "gone")
        await pilot.press("d")
        await until_seen(pilot, "any key closes")
        await pilot.press("escape")
        await until(pilot, lambda: "any key closes" not in screen(app), "closed")
        assert isinstance(app.screen, Enlarged)
    for size in ((80, 24), (20, 6), (200, 60)):
        async with opened(run.layout.root, size) as pilot:
            await pilot.press("d")
            await until(pilot, lambda pilot=pilot: app_of(pilot).aftermath.card is not None, "a card")  # type: ignore[misc]


async def steered(pilot: Pilot[int], run: FakeRun, monkeypatch: pytest.MonkeyPatch | None = None) -> None:
    """A command of this viewer; with `monkeypatch` one whose effect can be told."""
    if monkeypatch is not None:
        monkeypatch.setattr(effects, "lines_for", lambda snapshot, mark: ["reward  +0.03"])
    await pilot.press("e", *"2e-4", "enter")
    await until(pilot, lambda: bool(sent(run)), "sent")
    run.command(waiting(run.layout.root)[0].id, "set", "learning_rate=2e-4", learning_rate=2e-4)


async def test_an_open_card_follows_the_run_and_gets_no_lower(run: FakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    def lines(snapshot: Snapshot, mark: CommandMark) -> list[str] | None:
        after = snapshot.step - (mark.step or 0)
        return [f"reward over {after} steps", *["entropy"] * (3 if after < 5 else 1)]

    monkeypatch.setattr(effects, "lines_for", lines)
    now = 1000.0
    async with opened(run.layout.root, (120, 40)) as pilot:
        app = app_of(pilot)
        app.aftermath = Aftermath(clock=lambda: now)
        await steered(pilot, run)
        await until_seen(pilot, "reward over 0 steps")
        top = next(y for y, row in enumerate(screen(app).split("\n")) if "set learning_rate=2e-4  at" in row)
        run.advance(10)
        await until_seen(pilot, "reward over 10 steps")
        assert "set learning_rate=2e-4  at" in screen(app).split("\n")[top]
        # What it says anew does not keep it open any longer.
        now += 30.1
        await until(pilot, lambda: app.aftermath.card is None, "folded")


@pytest.mark.parametrize("after", [0, LEAST - 1, LEAST])
async def test_who_comes_back_before_it_can_be_told_gets_the_card_too(
    run: FakeRun, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    run.command("theirs", "set", "beta=0.1", beta=0.1)
    run.advance(after)
    monkeypatch.setattr(effects, "lines_for", lambda snapshot, mark: [f"reward of {mark.id}"])
    async with opened(run.layout.root, (120, 40)) as pilot:
        app = app_of(pilot)
        seen = app.reading
        await until(pilot, lambda: app.reading is not seen, "looked again")
        if after < LEAST:
            await until_seen(pilot, "reward of theirs")
        assert (app.aftermath.card is not None) is (after < LEAST)
        # What somebody else sends meanwhile is told as well.
        await pilot.press("escape")
        run.command("later", "set", "beta=0.2", beta=0.2)
        await until_seen(pilot, "reward of later")


async def test_that_the_run_was_being_read_is_no_news_once_it_has_been(run: FakeRun) -> None:
    async with opened(run.layout.root) as pilot:
        app = app_of(pilot)
        app.say(STILL_READ)
        assert STILL_READ in screen(app) or app.notice == STILL_READ
        await until(pilot, lambda: not app.notice and STILL_READ not in screen(app), "taken away")


async def test_the_checkpoint_that_is_advised_is_offered_however_old_it_is(run: FakeRun) -> None:
    for i in range(2 * questions.OFFERED):
        run.advance(1)
        run.checkpoint(f"newer-{i}")
    async with opened(run.layout.root, (120, 40)) as pilot:
        app = app_of(pilot)
        for verb, name in (("rollback", "checkpoint"), ("reset", "to")):
            acts.ask(app, verb, {name: "mine"})
            await until(pilot, dialog_open(app), "asked")
            await until_seen(pilot, f"{verb} (--to )?mine")
            await pilot.press("escape")
            await until(pilot, lambda: not dialog_open(app)(), "closed")


async def test_a_checkpoint_of_a_sick_policy_says_so(run: FakeRun) -> None:
    run.advance(1)
    run.alert("gradient", "Gradients spike")
    run.checkpoint("sick")
    run.advance(1)
    run.alert("gradient", "Gradients spike", on=False)
    run.checkpoint("well")
    async with opened(run.layout.root, (120, 40)) as pilot:
        await open_question(pilot, app_of(pilot), "rollback")
        await until_seen(pilot, r"sick .*while 1 check fired")
        assert screen(app_of(pilot)).count("while") == 1


@pytest.mark.parametrize("told", [True, False])
async def test_a_card_with_nothing_to_tell_comes_only_when_it_is_asked_for(
    run: FakeRun, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    monkeypatch.setattr(
        effects, "lines_for", lambda snapshot, mark: ["reward"] if told else [effects.NEVER, "0 of 8 values before it"]
    )
    async with opened(run.layout.root, (120, 40)) as pilot:
        app = app_of(pilot)
        await steered(pilot, run)
        await until_seen(pilot, "applied at step 200" if not told else "any key closes")
        seen = app.reading
        await until(pilot, lambda: app.reading is not seen, "looked again")
        assert (app.aftermath.card is not None) is told
        await pilot.press("escape", "d")
        await until_seen(pilot, "reward" if told else "0 of 8 values before it")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
@pytest.mark.parametrize("key", ["x", "6", "3"])
async def test_z_enlarges_what_is_in_focus_and_closes_what_is_enlarged(
    run: FakeRun, size: tuple[int, int], key: str
) -> None:
    async with opened(run.layout.root, size) as pilot:
        app = app_of(pilot)
        await pilot.press(key)
        enlarged = bool(app.enlarged)
        await pilot.press("z")
        assert bool(app.enlarged) is not enlarged
        await pilot.press("z")
        assert bool(app.enlarged) is enlarged
        if not app.enlarged:
            await pilot.press("z")
        app.look_at(filter="a")
        await pilot.press("z")
        assert not app.enlarged and not app.view.filter


@pytest.mark.parametrize("key", ["z", "7"])
async def test_over_an_enlarged_panel_the_card_is_a_line_that_says_its_key(
    run: FakeRun, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    async with opened(run.layout.root, (120, 40)) as pilot:
        app = app_of(pilot)
        await pilot.press(key, "z") if key == "7" else await pilot.press(key)
        await until(pilot, lambda: app.stage is not app.overview, "enlarged")
        await steered(pilot, run, monkeypatch)
        await until_seen(pilot, "what became of command 4, set learning_rate=2e-4: d shows it")
        assert app.aftermath.card is None and app.stage is not app.overview
        await pilot.press("d")
        await until_seen(pilot, r"reward  \+0.03")
        await pilot.press("j")
        await until(pilot, lambda: app.aftermath.card is None and "any key closes" not in screen(app), "closed")


@pytest.mark.parametrize("key", ["", "d"])
async def test_a_card_folds_to_a_line_by_itself_after_half_a_minute(
    run: FakeRun, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    now = 1000.0
    async with opened(run.layout.root, (100, 24)) as pilot:
        app = app_of(pilot)
        app.aftermath = Aftermath(clock=lambda: now)
        await steered(pilot, run, monkeypatch)
        await until_seen(pilot, "any key closes")
        if key:
            await pilot.press("escape", key)
            await until_seen(pilot, "any key closes")
        seen = app.reading
        await until(pilot, lambda: app.reading is not seen, "its time runs")
        now += 29.9
        seen = app.reading
        await until(pilot, lambda: app.reading is not seen, "looked again")
        assert app.aftermath.card is not None
        now += 0.2
        await until_seen(pilot, "4  set learning_rate=2e-4  at step 200: d shows what became of it")
        await until(pilot, lambda: app.aftermath.card is None and "any key closes" not in screen(app), "folded")


async def test_on_a_narrow_screen_a_card_that_nobody_asked_for_is_a_line(
    run: FakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(run.layout.root, (99, 30)) as pilot:
        app = app_of(pilot)
        await steered(pilot, run, monkeypatch)
        await until_seen(pilot, "what became of command 4, set learning_rate=2e-4: d shows it")
        assert app.aftermath.card is None and "any key closes" not in screen(app)
        await pilot.press("d")
        await until_seen(pilot, r"reward  \+0.03")


async def test_questions_take_any_size_and_ascii(run: FakeRun) -> None:
    async with opened(run.layout.root, (80, 24), ascii_only=True) as pilot:
        app = app_of(pilot)
        for verb in (*KEYS, *TYPED):
            for size in ((1, 1), (9, 4), (40, 10), (200, 60), (80, 24)):
                await pilot.resize_terminal(*size)
                if size == (1, 1):
                    await open_question(pilot, app, verb)
                await pilot.pause()
            await until_seen(pilot, "enter .*esc")
            assert screen(app).isascii()
            await pilot.press("escape")


def test_a_question_lists_the_newest_checkpoints_and_says_that_there_are_older(run: FakeRun) -> None:
    follower = Follower(run.layout.root)
    follower.poll(5.0)
    many = tuple(Checkpoint(t=0.0, step=i, name=f"auto-{i}", bytes=1) for i in range(20))
    (choice,) = [
        field
        for field in questions.roll_back(replace(follower.snapshot(), restorable=many), None).fields
        if isinstance(field, Choice)
    ]
    assert [option.value for option in choice.options] == [f"auto-{i}" for i in range(19, 13, -1)]
    assert "14 older" in choice.options[-1].note and "older" not in choice.options[0].note


async def test_what_holds_the_view_lets_go_of_it_and_a_run_that_is_over_has_nothing_to_hold(run: FakeRun) -> None:
    def footer(pilot: Pilot[int]) -> str:
        return screen(app_of(pilot)).splitlines()[-1]

    async with opened(run.layout.root, (200, 60)) as pilot:
        assert "space hold view" in footer(pilot) and "g live" in footer(pilot)
        await pilot.press("space")
        await until(pilot, lambda: footer(pilot).strip().startswith("space let go"), "the way out comes first")
        await pilot.press("space")
        await until(pilot, lambda: "let go" not in footer(pilot), "let go")
    run.state("finished")
    run.exit(0)
    async with opened(run.layout.root, (200, 60)) as pilot:
        await until_seen(pilot, "● finished")
        assert "hold view" not in footer(pilot) and "live" not in footer(pilot)
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: "g back to newest" in footer(pilot), "the way back")


async def test_in_the_last_phase_the_question_begins_with_what_works(run: FakeRun) -> None:
    run.phase("mostly hard", 2)
    async with opened(run.layout.root, (120, 40)) as pilot:
        app = app_of(pilot)
        await open_question(pilot, app, "phase")
        await until_seen(pilot, "▸ prev +three operands")
        assert re.search("next +there is none", screen(app)), "what is not there is said, last"
        await pilot.press("end")
        await until_seen(pilot, "There is no phase after the present one")
        await pilot.press("home", "enter")
        await until(pilot, lambda: bool(sent(run)), "sent")
    assert sent(run) == [("phase", "prev")]


async def test_a_phase_that_waits_for_the_next_generation_is_told_while_it_waits(run: FakeRun) -> None:
    async with opened(run.layout.root, (160, 40)) as pilot:
        app = app_of(pilot)
        await pilot.press("c", "enter")
        await until(pilot, lambda: bool(sent(run)), "sent")
        run.journal.write(
            Command(
                t=run.t,
                id=waiting(run.layout.root)[0].id,
                verb="phase",
                status="applied",
                step=run.step,
                args=["next"],
                before={"phase": "three operands"},
                after={"phase": "mostly hard"},
            )
        )
        await until_seen(pilot, "three operands → mostly hard, from the next generation on")
        await until_seen(pilot, "phase 2 of 3  three operands, then mostly hard")
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: ", then mostly hard" not in screen(app), "at an earlier step it is no news")
        await pilot.press("g")
        await until_seen(pilot, "three operands, then mostly hard")
        run.advance(1)
        run.phase("mostly hard", 2)
        await until_seen(pilot, "phase 3 of 3  mostly hard")
        assert ", then" not in screen(app).splitlines()[0]


def test_a_phase_that_was_taken_back_before_it_began_waits_no_more(run: FakeRun) -> None:
    follower = Follower(run.layout.root)

    def waits(verb: str, **after: str) -> str:
        run.journal.write(
            Command(t=run.t, id=f"{verb}{len(after)}", verb=verb, status="applied", step=run.step, after={**after})
        )
        follower.poll(5.0)
        return coming(follower.snapshot())

    assert waits("phase", phase="mostly hard") == "mostly hard"
    assert waits("undo") == ""
    assert waits("phase", phase="mostly hard") == "mostly hard"
    run.state("finished")
    follower.poll(5.0)
    assert coming(follower.snapshot()) == "", "nothing comes any more"


async def test_going_back_says_which_settings_come_back(run: FakeRun) -> None:
    run.advance(5)
    run.settings(learning_rate=1e-2, beta=0.0, temperature=1.0)
    run.checkpoint("later")
    async with opened(run.layout.root, (120, 40)) as pilot:
        await open_question(pilot, app_of(pilot), "rollback")
        await until_seen(pilot, "settings +as they are now")
        await pilot.press("down")
        await until_seen(pilot, "settings +learning_rate 0.010 → 1.0e-04")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-3, "just now"), (59, "just now"), (60, "1 min ago"), (3599, "59 min ago"), (7300, "2 h ago"), (2e5, "2 d ago")],
)
def test_an_age_is_no_more_precise_than_it_is_known(seconds: float, said: str) -> None:
    assert ago(seconds) == said


@pytest.mark.parametrize("size", [(20, 6), (24, 8), (30, 10), (40, 12), (60, 14)])
async def test_a_small_question_keeps_what_is_asked_and_how_to_answer(run: FakeRun, size: tuple[int, int]) -> None:
    async with opened(run.layout.root, size) as pilot:
        app = app_of(pilot)
        await pilot.press("e")
        await until_seen(pilot, "▸ learning_r")
        assert "enter change it" in screen(app)
        await pilot.press("down", *"0.05")
        await until_seen(pilot, "▸ beta")
        await until_seen(pilot, "set beta=0.05" if size[0] > 20 else "set beta")
        assert "0.05" in screen(app), "what was typed is seen"
        await pilot.press("enter")
        await until(pilot, lambda: bool(sent(run)), "sent")
    assert sent(run) == [("set", "beta=0.05")]


async def test_help_says_how_long_it_is_and_where_one_is(run: FakeRun) -> None:
    def reading(pilot: Pilot[int]) -> tuple[int, int, int]:
        found = re.search(r"(\d+)-(\d+) of (\d+)", screen(app_of(pilot)))
        assert found is not None
        return int(found[1]), int(found[2]), int(found[3])

    async with opened(run.layout.root, (80, 24)) as pilot:
        await pilot.press("question_mark")
        first, last, of = reading(pilot)
        assert first == 1 and last < of
        await pilot.press("down")
        assert reading(pilot) == (2, last + 1, of)
        await pilot.press("end")
        assert reading(pilot) == (of - last + 1, of, of)
        assert "Leave the viewer" in screen(app_of(pilot)) or "Mouse" in screen(app_of(pilot))
    drawn = help.draw(160, 60).rows()
    keyless = next(row for row in drawn if "Train for some steps and hold again" in row)
    assert "by name  Train" in keyless, "in the words of the key that finds a command by name"
