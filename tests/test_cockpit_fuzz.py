"""A thousand keys and sizes at random, on a run that goes on meanwhile: nothing may end the cockpit but leaving it."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.command import CommandPalette
from textual.keys import _character_to_key

from rlpeaks_tui.cockpit.app import Cockpit
from rlpeaks_tui.cockpit.commands import COMMANDS
from rlpeaks_tui.cockpit.start import RARELY
from rlpeaks_tui.run.mailbox import waiting
from tests.cockpit_fakes import FakeRun, steered_run
from tests.cockpit_pilot import until, until_seen
from tests.terminal import Terminal
from tests.training_runs import environment

KEYS = [key for command in COMMANDS for key in command.keys]
JUNK = [
    *"aAxZ0~§é漢\U0001f600", "\u200b", "\u202e", "tab", "shift+tab", "backspace", "delete", "home", "pageup",
    "pagedown", "insert", "f5", "f12", "ctrl+a", "ctrl+k", "ctrl+v", "alt+x", "shift+up", "ctrl+left", "space", "enter",
    "escape", "escape", "escape",
]  # fmt: skip
EVENTS = 1000


class Staying(Cockpit):
    """Does not leave when it is told to, so that the keys that leave can be among the others."""

    left = 0

    def exit(self, *args: Any, **kwargs: Any) -> None:
        self.left += 1


def press(app: Cockpit, key: str) -> None:
    """As the terminal's driver does it, without waiting for what comes of it."""
    name = _character_to_key(key) if len(key) == 1 and not key.isalnum() else key
    event = events.Key(name, key if len(key) == 1 else None)
    event.set_sender(app)
    assert app._driver is not None
    app._driver.send_message(event)


def go_on(run: FakeRun, chance: random.Random) -> None:
    """Something happens to the run."""
    run.advance(chance.randint(1, 30))
    what = chance.randrange(8)
    if what == 0:
        run.checkpoint(f"auto-{run.step}")
    elif what == 1:
        run.roll_back(chance.randint(1, run.step), "auto-200")
    elif what == 2:
        run.command(f"c{run.step}-{run.undone}", "set", "learning_rate=1e-4", learning_rate=1e-4)
    elif what == 3:
        run.alert("entropy_collapse", "entropy is falling", on=chance.random() < 0.5)
    elif what == 4:
        run.console("\x1b[31mred\x1b[0m " + "x" * chance.randint(0, 300))
    elif what == 5:
        run.state(chance.choice(["running", "paused"]))


@pytest.mark.parametrize(("readonly", "seed"), [(True, 1), (False, 2)])
async def test_random_keys_and_sizes_never_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, readonly: bool, seed: int
) -> None:
    monkeypatch.chdir(tmp_path)
    run = steered_run(tmp_path / "quickstart", steps=220)
    chance = random.Random(seed)
    app = Staying(run.layout.root, readonly=readonly, ascii_only=chance.random() < 0.3, rate=20.0)
    done: list[str] = [f"seed {seed}"]
    async with app.run_test(size=(100, 30)) as pilot:
        await until_seen(pilot, "quickstart")
        while len(done) <= EVENTS // 2:
            kind = chance.random()
            if kind < 0.06:
                size = chance.randint(1, 240), chance.randint(1, 60)
                done.append(f"{size[0]}x{size[1]}")
                await pilot.resize_terminal(*size)
            else:
                keys = [chance.choice(KEYS if chance.random() < 0.75 else JUNK) for _ in range(chance.randint(1, 12))]
                done += keys
                for key in keys:
                    press(app, key)
                await pilot.pause()
            if kind > 0.8:
                go_on(run, chance)
            assert app._exception is None and app.is_running, done
        if readonly:
            assert not waiting(run.layout.root)
        # However deep it got, stepping out leads back to the run as it is now.
        await pilot.resize_terminal(120, 40)
        run.advance(1)
        await pilot.press(*["escape"] * 12, "g")
        await until_seen(pilot, rf"step +{run.step:,} /")
        assert app.left > 0, "no key that leaves was among them"


@pytest.mark.parametrize(("opening", "closing", "sent"), [("w", "enter", 1), ("s", "y", 1), ("question_mark", "q", 0)])
async def test_a_key_pressed_twice_at_once_answers_once(tmp_path: Path, opening: str, closing: str, sent: int) -> None:
    run = steered_run(tmp_path / "quickstart", steps=50)
    app = Staying(run.layout.root, rate=20.0)
    async with app.run_test(size=(100, 30)) as pilot:
        await until_seen(pilot, "quickstart")
        await pilot.press(opening)
        asked = app.screen
        # Both are with the question before it has closed.
        for _ in range(3):
            press(app, closing)
        await until(pilot, lambda: app.screen is not asked, "answered")
        await pilot.pause()
        assert app._exception is None and app.is_running
        assert len(waiting(run.layout.root)) == sent


async def test_the_palette_survives_every_width(tmp_path: Path) -> None:
    run = steered_run(tmp_path / "quickstart", steps=220)
    app = Cockpit(run.layout.root)
    async with app.run_test(size=(100, 30)) as pilot:
        await until_seen(pilot, "quickstart")
        await pilot.press(":")
        await until(pilot, lambda: isinstance(app.screen, CommandPalette), "open")
        for width in (*range(30, 0, -1), 100):
            await pilot.resize_terminal(width, 30)
            await until(pilot, lambda width=width: app.size.width == width)
            await pilot.pause()
            assert app._exception is None


def test_a_cockpit_that_breaks_ends_with_a_status_that_says_so(tmp_path: Path) -> None:
    run = steered_run(tmp_path / "quickstart", steps=40)
    broken = (
        "import sys; from pathlib import Path; from rlpeaks_tui.cockpit import start\n"
        "def hold(self): raise ZeroDivisionError('broken')\n"
        "start.Cockpit.hold = hold\n"
        "sys.exit(start.watch(Path(sys.argv[1])))"
    )
    terminal = Terminal([sys.executable, "-c", broken, str(run.layout.root)], environment(tmp_path), 120, 40)
    terminal.wait("step +40 /")
    terminal.press(" ")
    assert terminal.wait_end() == 1
    assert b"ZeroDivisionError" in terminal.raw and terminal.raw.count(b"\x1b[?1049l") == 1


def test_the_collector_leaves_alone_what_stays_to_the_end(tmp_path: Path) -> None:
    run = steered_run(tmp_path / "quickstart", steps=40)
    asked = (
        "import gc, sys; from pathlib import Path; from rlpeaks_tui.cockpit import start\n"
        "start.Cockpit.run = lambda self: print(gc.get_freeze_count(), *gc.get_threshold())\n"
        "start.watch(Path(sys.argv[1]))"
    )
    told = subprocess.run([sys.executable, "-c", asked, str(run.layout.root)], capture_output=True, check=True)
    frozen, *thresholds = map(int, told.stdout.split())
    assert frozen > 10_000 and tuple(thresholds) == RARELY
