"""How much is written, in bytes and drawings: on a terminal that stops reading, and for signs of life."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path
from queue import Queue
from types import SimpleNamespace

import pytest

from rlpeaks_tui.cockpit.app import Cockpit
from rlpeaks_tui.cockpit.link import FEW
from tests.cockpit_fakes import FakeRun, steered_run
from tests.cockpit_pilot import screen, until, until_seen
from tests.terminal import Terminal
from tests.test_cockpit_link import Wire, ticks, wired
from tests.training_runs import environment

RATE, MOST_A_SECOND = 4.0, 30_000
FRAME = 3
"""Writes that Textual makes of one drawing: the beginning of a synchronized update, the drawing, the end."""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeRun:
    monkeypatch.setenv("COLORTERM", "truecolor")
    return steered_run(tmp_path / "quickstart", steps=300)


async def test_a_sign_of_life_writes_nothing(run: FakeRun) -> None:
    async with wired(run, (160, 45)) as (pilot, app, wire):
        for _ in range(4):
            run.began += 1.0
            run.beat()
            await ticks(pilot, app, 2)
        assert wire.bytes == 0


async def test_a_step_with_probes_and_completions_keeps_to_the_rate(run: FakeRun) -> None:
    """At the default rate, however many steps end between two drawings."""
    async with wired(run, (160, 45)) as (pilot, app, wire):
        sizes = []
        for _ in range(6):
            run.advance(5)
            await until_seen(pilot, f"step {run.step} /")
            await ticks(pilot, app, 2)
            sizes.append(wire.bytes)
            wire.written.clear()
        assert 0 < sum(sizes) / len(sizes) <= MOST_A_SECOND / RATE, sizes


@pytest.mark.parametrize(
    ("key", "drawings", "most"), [("enlarge", 1, 26_000), ("panel.entropy", 1, 2_500), ("back.1", 2, 24_000)]
)
async def test_a_key_is_drawn_once(run: FakeRun, key: str, drawings: int, most: int) -> None:
    """A screen that is made for it would be painted while it settles; a step back is drawn again with what was read."""
    async with wired(run, (160, 45)) as (pilot, app, wire):
        for _ in range(2):
            app.action_command("enlarge")
            await ticks(pilot, app, 2)
        wire.written.clear()
        app.action_command(key)
        await ticks(pilot, app, 3)
        assert 0 < len(wire.written) <= drawings and wire.bytes <= most


class Stuck(Wire):
    """A terminal that takes nothing: what is written stays in a queue as long as Textual's."""

    queue: Queue[str]

    def stop(self) -> None:
        self.queue = Queue(30)
        self._writer_thread = SimpleNamespace(_queue=self.queue)

    def go_on(self) -> None:
        self._writer_thread = None  # type: ignore[assignment]
        self.written.extend(self.queue.queue)

    def write(self, data: str) -> None:
        if getattr(self, "_writer_thread", None) is None:
            super().write(data)
        else:
            # Textual would block here, and with it every key.
            self.queue.put_nowait(data)


class Busy(Stuck):
    """A terminal that still holds, when the cockpit begins, what has set it up."""

    def start_application_mode(self) -> None:
        super().start_application_mode()
        self.stop()
        self.queue.put_nowait("set up")


async def test_the_first_look_does_not_wait_for_what_sets_the_terminal_up(run: FakeRun) -> None:
    app = Cockpit(run.layout.root, rate=0.001)
    app.driver_class = Busy
    async with app.run_test(headless=False, size=(120, 40)) as pilot:
        await until(pilot, lambda: app.reading is not None and not app.reading.loading, "read")
        assert isinstance(app._driver, Busy)
        app._driver.go_on()
        await until_seen(pilot, "step 300 /")


async def test_what_a_key_shows_is_written_before_the_reader_works_for_it(
    run: FakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = Cockpit(run.layout.root, rate=0.001)
    app.driver_class = Wire
    async with app.run_test(headless=False, size=(160, 45)) as pilot:
        await until_seen(pilot, "step 300 /")
        wire = app._driver
        assert isinstance(wire, Wire)
        asked: list[tuple[int | None, str]] = []
        monkeypatch.setattr(app._reader, "ask", lambda wanted: asked.append((wanted.step, "".join(wire.written))))
        wire.written.clear()
        await pilot.press("[")
        await until(pilot, lambda: bool(asked), "asked")
        step, written = asked[0]
        assert step == app.view.cursor and f"shown: step {step}" in written


async def test_a_terminal_that_takes_nothing_gets_one_drawing_more_and_keys_go_on(run: FakeRun) -> None:
    app = Cockpit(run.layout.root, rate=30.0)
    app.driver_class = Stuck
    async with app.run_test(headless=False, size=(120, 40)) as pilot:
        await until_seen(pilot, "step 300 /")
        wire = app._driver
        assert isinstance(wire, Stuck)
        wire.stop()
        for i in range(60):
            if i % 10 == 0:
                run.advance(1)
            before = app.view.cursor
            await pilot.press("[")
            assert app.view.cursor != before
        assert app.view.cursor is not None and app.view.cursor < 150
        assert 0 < wire.queue.qsize() <= 2 * FRAME
        assert f"shown: step {app.view.cursor}" not in screen(app)
        wire.go_on()
        await until_seen(pilot, f"shown: step {app.view.cursor}")
        await until(pilot, lambda: f"shown: step {app.view.cursor}" in "".join(wire.written), "written")


def test_a_person_who_comes_back_to_a_stopped_terminal_sees_the_last_key_at_once(tmp_path: Path) -> None:
    run = steered_run(tmp_path / "quickstart", steps=300)
    command = [sys.executable, "-m", "rlpeaks_tui.cli", "watch", str(run.layout.root)]
    terminal = Terminal(command, environment(tmp_path), 120, 40)
    terminal.wait(r"step\s+300 /")
    terminal.press("[")
    terminal.wait(r"shown: step 297")
    before = terminal.received
    # Nothing is read meanwhile: a frame fills what the system keeps for a terminal.
    terminal.press("[" * 80)
    terminal.wait(r"shown: step 57 ")
    drawings = len(re.findall(rb"shown: step", bytes(terminal.raw[before:])))
    assert drawings <= 10, f"{drawings} drawings of 80 keys"
    terminal.press("q")
    assert terminal.wait_end() == 0


async def test_on_a_slow_link_a_drawing_is_a_few_rows_and_what_is_left_follows(run: FakeRun) -> None:
    # No tick of its own comes in time to find that the link has recovered.
    app = Cockpit(run.layout.root, rate=0.001)
    app.driver_class = Stuck
    async with app.run_test(headless=False, size=(160, 45)) as pilot:
        await until_seen(pilot, "step 300 /")
        wire = app._driver
        assert isinstance(wire, Stuck)
        app.action_command("hold")
        await pilot.pause()
        app._pace.tick(busy=True)
        assert app._pace.rows == FEW
        wire.stop()
        app.action_command("back.10")
        sizes: list[int] = []

        def drained() -> bool:
            """The link takes one drawing at a time, and there is no more."""
            assert wire.queue.qsize() <= 2
            if not wire.queue.empty():
                sizes.append(len(wire.queue.get().encode()))
            return app.stage is not None and app.stage.whole and not app._due and bool(sizes)

        await until(pilot, drained, "drawn to its end")
        assert len(sizes) > 5 and max(sizes) < 6_000, sizes
        slow = screen(app)
        assert "shown: step 270" in slow
        # All at once, it is the same.
        app._pace._free = 10**6
        assert app.stage is not None
        app.stage._key = None
        app.repaint()
        await pilot.pause()
        assert screen(app) == slow


def test_a_viewer_whose_window_is_gone_ends_also_where_the_hang_up_is_ignored(tmp_path: Path) -> None:
    run = steered_run(tmp_path / "quickstart", steps=40)
    watch = f"{sys.executable} -m rlpeaks_tui.cli watch {run.layout.root}"
    terminal = Terminal(["sh", "-c", f"trap '' HUP; exec {watch}"], environment(tmp_path), 120, 40)
    terminal.wait(r"step\s+40 /")
    terminal.close()
    assert terminal.status == -signal.SIGHUP
