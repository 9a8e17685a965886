"""The viewer's settings: what is wrong is said with its line, and never keeps anybody from watching."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpeaks_tui.cockpit import background, commands
from rlpeaks_tui.cockpit.app import Cockpit
from rlpeaks_tui.cockpit.screens import help
from rlpeaks_tui.cockpit.screens.ask import Confirm, Filter
from rlpeaks_tui.cockpit.screens.dialog import Dialog
from rlpeaks_tui.cockpit.screens.help import Help
from rlpeaks_tui.cockpit.screens.runs import Runs
from rlpeaks_tui.cockpit.settings import Settings, in_short, over, read
from rlpeaks_tui.run.mailbox import waiting
from rlpeaks_tui.verbs.doctor import examine
from tests.cockpit_fakes import FakeRun, steered_run
from tests.cockpit_pilot import app_of, opened, screen, until, until_read, until_seen
from tests.terminal import Terminal

ROOT = Path(__file__).parents[1]


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "cockpit.yaml"
    path.write_text(text)
    return path


def test_every_setting_is_read(tmp_path: Path) -> None:
    text = "theme: light\nascii: true\nfps: 2\nnotify: osc9\nkeys:\n"
    text += '  pause: "f9, ctrl+y"\n  panel.kl: K\n  step: 3\n  help: "?"\n'
    found, mistakes = read(file(tmp_path, text))
    assert mistakes == ()
    assert found == Settings(
        theme="light",
        ascii=True,
        fps=2.0,
        notify="osc9",
        keys={"pause": "f9, ctrl+y", "panel.kl": "K", "step": "3", "help": "?"},
    )


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}"])
def test_an_empty_file_changes_nothing(tmp_path: Path, text: str) -> None:
    assert read(file(tmp_path, text)) == (Settings(), ())
    assert read(tmp_path / "none.yaml") == (Settings(), ())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\ntheme: blue", ":2: theme: expected one of auto, dark, light, got 'blue'"),
        ("ascii: 1", ":1: ascii: expected true or false, got 1"),
        ("fps: fast", ":1: fps: expected a number, got 'fast'"),
        ("fps: 100", ":1: fps: expected a number from 0.2 to 30, got 100"),
        ("fps: .nan", ":1: fps: expected a number from 0.2 to 30"),
        ("notify: [bell]", ":1: notify: expected one of none, bell, osc9, got a list"),
        ("thene: dark", ":1: unknown key 'thene'; did you mean 'theme'?"),
        ("keys: x", ":1: keys: expected lines such as `pause: f9, ctrl+y`, got 'x'"),
        ("keys:\n  pause: [x]", ":1: keys: expected lines such as"),
        ("keys:\n  paus: x", ":2: keys.paus: no command has this id; did you mean 'pause'?"),
        ("keys:\n  pause: hello", ":2: keys.pause: 'hello' is no key"),
        ("keys:\n  pause: cmd+x", ":2: keys.pause: 'cmd+x' is no key"),
        ('keys:\n  pause: " , "', ":2: keys.pause: names no key"),
        ("keys:\n  live: f9\n  pause: f9", "'f9' is a key of "),
        ("keys:\n  pause: s", ":2: keys.pause: 's' is a key of stop too (Stop training"),
        ('keys:\n  pause: "["', ":2: keys.pause: '[' is a key of back.1 too"),
        ("keys:\n  browser.mark: o", ":2: keys.browser.mark: 'o' is a key of browser.through too"),
        ("keys:\n  question.down: space", ":2: keys.question.down: 'space' is a key of question.right too"),
        ("keys:\n  pause: x\n  browser.mark: p\n  panel.checks: q", "'q' is a key of "),
        ("keys:\n  question.leave: Z", ":2: keys.question.leave: 'Z' is typed into the line of a question"),
        ("keys:\n  question.send: f2, space", ":2: keys.question.send: 'space' is typed into the line"),
        ("theme: dark\ntheme: light", ":2: not valid YAML: theme is there already, in line 1"),
        ("theme: [", "not valid YAML"),
        ("- theme", "settings are lines of `key: value`"),
        ("\x00", "not valid YAML"),
    ],
)
def test_what_is_wrong_is_said_and_the_defaults_hold(tmp_path: Path, text: str, said: str) -> None:
    path = file(tmp_path, text)
    found, mistakes = read(path)
    assert found == Settings()
    assert said in mistakes[0] and all(one.startswith(str(path)) and "\n" not in one for one in mistakes)


def test_every_mistake_is_told_with_its_line_and_what_would_be_right(tmp_path: Path) -> None:
    text = "theme: pink\nfsp: 3\nfps: 99\nkeys:\n  paus: x\n  pause: hello\n  undo: s\n  stop: f5\n  runs: s\n"
    text += "ascii: maybe\n"
    path = file(tmp_path, text)
    found, said = read(path)
    assert found == Settings() and all(one.startswith(f"{path}:") for one in said)
    assert [int(one.removeprefix(f"{path}:").partition(":")[0]) for one in said] == [1, 2, 10, 3, 5, 6, 9]
    for one, right in zip(
        said,
        ("auto, dark, light", "'fps'", "true or false", "0.2 to 30", "'pause'", "such as f5", "another"),
        strict=True,
    ):
        assert right in one
    assert in_short(said).startswith("7 mistakes in cockpit.yaml, all told on leaving; ") and said[0] in in_short(said)
    assert in_short(()) == ""


def test_many_mistakes_are_all_told(tmp_path: Path) -> None:
    found, said = read(file(tmp_path, "keys:\n" + "".join(f"  nonsense-{i}: hello\n" for i in range(80))))
    assert found == Settings() and sum(map(len, said)) > 4096
    assert [one for i, one in enumerate(said) if f":{i + 2}: keys.nonsense-{i}: " in one] == list(said)
    assert len(said) == 80 and in_short(said).startswith("80 mistakes ")


def test_a_value_with_any_sign_in_it_is_one_mistake(tmp_path: Path) -> None:
    _, said = read(file(tmp_path, 'theme: "a · b"\nnotify: "; c, d"'))
    assert len(said) == 2 and "got 'a · b'" in said[0] and "got '; c, d'" in said[1]


def test_two_commands_on_one_key_are_both_named(tmp_path: Path) -> None:
    _, (mistake,) = read(file(tmp_path, "keys:\n  live: f9\n  pause: f9"))
    assert "live" in mistake and "pause" in mistake


def test_a_screen_may_have_a_key_of_the_cockpit_and_the_cockpit_one_of_a_screen(tmp_path: Path) -> None:
    assert read(file(tmp_path, "keys:\n  browser.mark: p\n  question.no: s\n  note: k\n  up: up"))[1] == ()


def test_keys_may_be_swapped(tmp_path: Path) -> None:
    assert read(file(tmp_path, "keys:\n  pause: s\n  stop: p"))[1] == ()


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "cockpit.yaml")
    assert "cannot be read" in read(tmp_path / "cockpit.yaml")[1][0]
    assert "cannot be read" in read(tmp_path)[1][0]


@given(st.binary(max_size=200))
def test_any_bytes_are_settings_or_mistakes(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(raw)
    found, mistakes = read(path)
    assert all(one.isprintable() for one in mistakes) and (found == Settings() or not mistakes)


def test_the_environment_goes_before_the_file() -> None:
    chosen = Settings(theme="light", ascii=True, fps=2.0)
    assert over(chosen, {}) == chosen
    changed = over(chosen, {"RLPEAKS_THEME": "dark", "RLPEAKS_ASCII": "0", "RLPEAKS_FPS": "8"})
    assert (changed.theme, changed.ascii, changed.fps) == ("dark", False, 8.0)
    assert over(chosen, {"RLPEAKS_THEME": "blue", "RLPEAKS_FPS": "fast"}) == chosen


async def test_help_footer_palette_and_verdict_show_the_keys_in_force(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "quickstart")
    run.state("running")
    run.advance(60)
    keys = {"pause": "f9, ctrl+y", "checkpoint": "f5", "theme": "T", "live": "p", "panel.kl": "K"}
    app = Cockpit(run.layout.root, rate=20.0, keys=keys, notice="hello")
    async with app.run_test(size=(200, 60)) as pilot:
        await until_read(pilot, app)
        await until_seen(pilot, "hello")
        await pilot.press("escape")
        await until_seen(pilot, "f9 ctrl\\+y pause")
        assert "0-9" not in screen(app).splitlines()[-1], "the panels' keys are no longer all digits"
        await pilot.press("f9", "enter")
        await until_seen(pilot, "pause sent")
        before = app.palette.name
        await pilot.press("p", "3")
        assert app.view.panel == "reward" and len(commands.BY_ID) == len(app.table)
        await pilot.press("K")
        assert app.view.panel == "kl"
        await pilot.press("T")
        assert app.palette.name != before or app.palette.ground is None
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, Help), "help")
        assert re.search(r"f9 ctrl\+y +Pause training", screen(app))
        assert re.search(r" f5 +Write a checkpoint", screen(app))
    drawn = "\n".join(help.draw(160, 60).rows())
    assert re.search(r" p +Pause training", drawn)


REBOUND = """
keys:
  browser.mark: "m, f3"
  browser.down: J
  browser.find: f4
  question.send: f2
  question.leave: "ctrl+y"
  question.down: w
  question.yes: Y
"""


def picked(app: Cockpit) -> int:
    """The row of the screen where the picked completion stands."""
    return next(y for y, row in enumerate(screen(app).splitlines()) if row.startswith(" ▸"))


async def test_keys_of_the_browser_can_be_changed(tmp_path: Path) -> None:
    run = steered_run(tmp_path / "quickstart", steps=40)
    keys = read(file(tmp_path, REBOUND))[0].keys
    async with opened(run.layout.root, (160, 45), keys=keys) as pilot:
        app = app_of(pilot)
        await pilot.press("7", "7")
        await until_seen(pilot, "found in")
        footer = screen(app).splitlines()[-1]
        assert "m f3 mark" in footer and "f4 find" in footer and "x mark" not in footer
        await until_seen(pilot, "f4 narrows")
        first = picked(app)
        await pilot.press("j")
        assert picked(app) == first
        await pilot.press("J")
        await until(pilot, lambda: picked(app) != first, "down")
        await pilot.press("m")
        await until_seen(pilot, "marked; m f3 on another completion")
        await pilot.press("J", "f3")
        await until_seen(pilot, "Difference|differ")
        await pilot.press("escape", "f4")
        await until(pilot, lambda: isinstance(app.screen, Filter), "asked")
        await pilot.press(*"step:40", "enter")
        assert isinstance(app.screen, Filter), "enter takes no line any more"
        await pilot.press("f2")
        await until_seen(pilot, "/ step:40")
        await pilot.press("question_mark")
        await until_seen(pilot, r"m f3 +Mark it")
        await until_seen(pilot, r"↑ J +Another completion")
        await until_seen(pilot, r"f2 +Do what is asked")
        await pilot.press("escape", "x")
        await until(pilot, lambda: app.enlarged == "checks", "the key is the cockpit's again")


async def test_keys_of_questions_can_be_changed(tmp_path: Path) -> None:
    run = steered_run(tmp_path / "quickstart", steps=40)
    keys = read(file(tmp_path, REBOUND))[0].keys
    async with opened(run.layout.root, (120, 40), keys=keys) as pilot:
        app = app_of(pilot)
        await pilot.press("r")
        await until_seen(pilot, "f2 reset it +tab next field +ctrl\\+y leave it")
        await pilot.press("down", "j", "enter", "escape")
        await until_seen(pilot, "become those of the start")
        await pilot.press("w")
        await until_seen(pilot, "become those of step 20")
        await pilot.press("ctrl+y")
        await until(pilot, lambda: not isinstance(app.screen, Dialog), "left")
        await pilot.press("m")
        await until_seen(pilot, "Put a note")
        await pilot.press(*"w low", "f2")
        await until_seen(pilot, "note w low sent")
        assert waiting(run.layout.root)[-1].args == ["w low"]
        await pilot.press("s")
        await until_seen(pilot, "Y  stop it +ctrl\\+y  leave it running")
        await pilot.press("y")
        assert isinstance(app.screen, Confirm)
        await pilot.press("Y")
        await until_seen(pilot, "stop sent")


async def test_the_help_and_the_list_of_runs_take_the_keys_in_force(tmp_path: Path) -> None:
    run = steered_run(tmp_path / "runs" / "quickstart", steps=40)
    keys = {"back": "f8", "runs": "L", "open": "O", "filter": "F", "down": "J", "up": "K"}
    async with opened(run.layout.root, (80, 24), keys=keys) as pilot:
        app = app_of(pilot)
        await pilot.press("L")
        await until_seen(pilot, "O open +K J choose +F filter +f8 back")
        await pilot.press("escape", "enter")
        assert isinstance(app.screen, Runs)
        await pilot.press("f8")
        await until(pilot, lambda: not isinstance(app.screen, Runs), "left")
        await pilot.press("question_mark")
        await until_seen(pilot, "J K scroll +f8 closes")
        await pilot.press("J")
        await until(pilot, lambda: "Filter the list" not in screen(app).splitlines()[4], "scrolled")
        await pilot.press("escape")
        assert isinstance(app.screen, Help)
        await pilot.press("f8")
        await until(pilot, lambda: not isinstance(app.screen, Help), "left")


def test_a_broken_file_is_said_on_screen(tmp_path: Path) -> None:
    run = steered_run(tmp_path / "quickstart", steps=40)
    (tmp_path / "rlpeaks").mkdir()
    (tmp_path / "rlpeaks" / "cockpit.yaml").write_text("fps: 4\ntheme: pink\n")
    env = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path)}
    terminal = Terminal([sys.executable, "-m", "rlpeaks_tui.cli", "watch", str(run.layout.root)], env, columns=200)
    terminal.wait("cockpit.yaml:2: theme: expected one of auto, dark, light, got 'pink'; the defaults are in force")
    terminal.press("q")
    assert terminal.wait_end() == 0


@pytest.mark.parametrize("inline", [[], ["--inline"]])
def test_leaving_tells_every_mistake_in_the_normal_screen(tmp_path: Path, inline: list[str]) -> None:
    run = steered_run(tmp_path / "quickstart", steps=40)
    (tmp_path / "rlpeaks").mkdir()
    (tmp_path / "rlpeaks" / "cockpit.yaml").write_text("theme: pink\nfps: fast\n")
    env = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path)}
    terminal = Terminal(
        [sys.executable, "-m", "rlpeaks_tui.cli", "watch", *inline, str(run.layout.root)], env, columns=200
    )
    terminal.wait("2 mistakes in cockpit.yaml, all told on leaving")
    terminal.press("q")
    assert terminal.wait_end() == 0
    end = terminal.raw.decode().rpartition("\x1b")[2]
    assert "cockpit.yaml:1: theme: expected one of" in end and "cockpit.yaml:2: fps: expected a number" in end


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("theme: pink", r"cockpit.yaml:1: theme: expected one of .*; the defaults are in force"),
        (
            "theme: pink\nfps: fast",
            r"cockpit.yaml:1: theme: .*\n {14}.*cockpit.yaml:2: fps: .*; the defaults are in force",
        ),
        ("theme: light\nkeys:\n  pause: f9\n", r"cockpit.yaml \(theme 'light', keys pause\)"),
        ("fps: 4", r"cockpit.yaml \(all as by default\)"),
        (None, r"cockpit.yaml \(not there: the defaults are in force\)"),
    ],
)
def test_doctor_tells_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str | None, told: str
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "rlpeaks").mkdir()
    if text is not None:
        (tmp_path / "rlpeaks" / "cockpit.yaml").write_text(text)
    examine(tmp_path)
    assert re.search(f"^settings +{tmp_path}/rlpeaks/{told}$", capsys.readouterr().out, re.MULTILINE)


def test_the_page_lists_every_command_with_its_keys() -> None:
    """Whoever changes the table of commands sees here what docs/cockpit.md has to say."""
    rows = [
        f"| `{command.id}` | {' '.join(f'`{key}`' for key in command.every.split())} | {command.title} |"
        for command in commands.TABLE
    ]
    page = (ROOT / "docs" / "cockpit.md").read_text()
    table = page.partition("| id | keys | does |\n| --- | --- | --- |\n")[2].partition("\n\n")[0].strip()
    assert table == "\n".join(rows)


@pytest.mark.parametrize(
    ("answer", "light"),
    [
        (b"\x1b]11;rgb:ffff/ffff/ffff\x1b\\\x1b[?62c", True),
        (b"\x1b]11;rgb:0000/0000/0000\x07", False),
        (b"\x1b]11;rgb:1e/1e/2e\x1b\\", False),
        (b"\x1b]11;rgba:fd/f6/e3/ff\x1b\\", True),
        (b"\x1b[?62c", None),
        (b"", None),
    ],
)
def test_the_terminals_background_is_told_from_its_answer(answer: bytes, light: bool | None) -> None:
    assert background.is_light(answer) is light


@pytest.mark.parametrize(
    ("value", "light"),
    [("0;15", True), ("15;0", False), ("15;default;7", True), ("", None), ("x", None), ("1;99", None)],
)
def test_the_environment_may_tell_the_background(value: str, light: bool | None) -> None:
    assert background.by_environment({"COLORFGBG": value}) is light


def test_auto_asks_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = steered_run(tmp_path / "quickstart", steps=40)
    monkeypatch.setattr(Terminal, "ground", "rgb:ffff/ffff/ffff")
    env = {name: value for name, value in os.environ.items() if name != "COLORFGBG"}
    command = [sys.executable, "-m", "rlpeaks_tui.cli", "watch", "--theme", "auto", str(run.layout.root)]
    terminal = Terminal(command, env)
    terminal.wait("step +40 /")
    assert b"48;2;251;250;247" in terminal.raw
    terminal.press("q")
    assert terminal.wait_end() == 0
