"""What goes over the wire: nothing when nothing changed, little when little did, and slower on a slow link."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.drivers.headless_driver import HeadlessDriver
from textual.events import CursorPosition
from textual.pilot import Pilot

from rlpeaks_tui.cockpit.app import Cockpit
from rlpeaks_tui.cockpit.link import ASK, LOST, SLACK, Answers, Pace, asking, behind
from tests.cockpit_fakes import FakeRun, steered_run
from tests.cockpit_pilot import screen, until, until_read, until_seen


class Wire(HeadlessDriver):
    """A driver that keeps what a terminal would receive."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.written: list[str] = []

    @property
    def is_headless(self) -> bool:
        return False

    def write(self, data: str) -> None:
        self.written.append(data)

    @property
    def bytes(self) -> int:
        return sum(len(data.encode()) for data in self.written)


class Counted(Cockpit):
    """Counts the readings that arrived, so that a test can wait for ticks instead of for time."""

    readings = 0

    def on_cockpit_fresh(self, message: Cockpit.Fresh) -> None:
        self.readings += 1
        super().on_cockpit_fresh(message)


@contextlib.asynccontextmanager
async def wired(run: FakeRun, size: tuple[int, int]) -> AsyncIterator[tuple[Pilot[int], Counted, Wire]]:
    app = Counted(run.layout.root, rate=30.0)
    app.driver_class = Wire
    async with app.run_test(headless=False, size=size) as pilot:
        await until_read(pilot, app)
        assert isinstance(app._driver, Wire)
        await ticks(pilot, app, 3)
        app._driver.written.clear()
        yield pilot, app, app._driver


async def ticks(pilot: Pilot[int], app: Counted, count: int) -> None:
    """Wait for so many more readings, and for what they draw."""
    target = app.readings + count
    await until(pilot, lambda: app.readings >= target, "ticked")
    await pilot.pause()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeRun:
    monkeypatch.setenv("COLORTERM", "truecolor")
    return steered_run(tmp_path / "quickstart", steps=300)


@pytest.mark.parametrize("state", ["running", "paused", "finished"])
@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_nothing_new_means_nothing_written(run: FakeRun, state: str, size: tuple[int, int]) -> None:
    if state != "running":
        run.state(state)
    async with wired(run, size) as (pilot, app, wire):
        await ticks(pilot, app, 8)
        assert wire.bytes == 0


async def test_nothing_is_written_for_a_scrubbed_view_but_the_header(run: FakeRun) -> None:
    async with wired(run, (160, 45)) as (pilot, app, wire):
        app.action_command("back.10")
        await ticks(pilot, app, 3)
        wire.written.clear()
        await ticks(pilot, app, 5)
        assert wire.bytes == 0


@pytest.mark.parametrize(("size", "most"), [((80, 24), 2500), ((120, 40), 6500), ((160, 45), 7500)])
async def test_one_more_step_writes_only_the_rows_it_changes(run: FakeRun, size: tuple[int, int], most: int) -> None:
    """At four drawings a second the bound of 30 kB/s is 7.5 kB a drawing."""
    async with wired(run, size) as (pilot, app, wire):
        sizes = []
        for step in range(301, 307):
            run.advance(1)
            await until_seen(pilot, f"step {step} /")
            await ticks(pilot, app, 2)
            sizes.append(wire.bytes)
            wire.written.clear()
        assert 0 < sorted(sizes)[len(sizes) // 2] <= most, sizes


async def test_a_first_screen_fits_a_slow_link(run: FakeRun) -> None:
    app = Counted(run.layout.root, rate=30.0)
    app.driver_class = Wire
    async with app.run_test(headless=False, size=(200, 60)) as pilot:
        await until_seen(pilot, "5 Update sparsity")
        await ticks(pilot, app, 3)
        assert isinstance(app._driver, Wire)
        assert 0 < app._driver.bytes < 60_000


async def test_a_stuck_terminal_is_not_drawn_on_until_it_takes_more(run: FakeRun) -> None:
    async with wired(run, (120, 40)) as (pilot, app, wire):
        stuck = SimpleNamespace(_queue=SimpleNamespace(qsize=lambda: 3))
        wire._writer_thread = stuck  # type: ignore[attr-defined]
        await until(pilot, lambda: app._pace.slow, "slowed down")
        await pilot.pause()
        before = app.readings
        wire.written.clear()
        run.advance(3)
        for _ in range(10):
            await pilot.pause(0.01)
        assert app.readings <= before + 1 and "step 303" not in screen(app)
        stuck._queue.qsize = lambda: 0
        await until_seen(pilot, "step 303")
        await until(pilot, lambda: not app._pace.slow, "fast again")


def test_the_pace_halves_when_behind_and_recovers_slowly() -> None:
    pace = Pace(4.0, slowest=0.25)
    assert pace.interval == 0.25 and pace.tick(False) and pace.interval == 0.25
    assert not pace.tick(True) and pace.interval == 0.5 and pace.slow
    for _ in range(9):
        pace.tick(True)
    assert pace.interval == 4.0
    steps = 0
    while pace.slow:
        assert pace.tick(False)
        steps += 1
    assert 4 <= steps <= 20
    for _ in range(30):
        pace.tick(False)
    assert pace.interval == 0.25


def test_a_driver_without_a_queue_never_waits() -> None:
    assert not behind(None)
    assert not behind(SimpleNamespace(_writer_thread=None))  # type: ignore[arg-type]
    for size in (0, 7):
        queue = SimpleNamespace(qsize=lambda size=size: size)
        assert behind(SimpleNamespace(_writer_thread=SimpleNamespace(_queue=queue))) == (size > 0)  # type: ignore[arg-type]


# What the terminal answers.


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_drawing_is_late_when_its_answer_takes_longer_than_the_quickest_one() -> None:
    clock = Clock()
    answers = Answers(clock)
    assert answers.drawn() and not answers.late()
    clock.now = 5.0
    assert not answers.late(), "how long the link takes is not known"
    clock.now = 0.3
    assert not answers.answered()
    assert answers.drawn()
    clock.now += 0.3 + SLACK
    assert not answers.late(), "no longer than the first"
    clock.now += 0.01
    assert answers.late()
    assert not answers.answered() and not answers.late()


def test_what_is_drawn_while_a_question_is_open_is_asked_about_with_the_answer_and_ages_from_its_drawing() -> None:
    clock = Clock()
    answers = Answers(clock)
    answers.drawn()
    clock.now = 0.02
    answers.answered()
    assert answers.drawn()
    clock.now = 0.05
    assert not answers.drawn() and not answers.drawn(), "one question at a time"
    clock.now = 0.4
    assert answers.answered(), "asked again"
    assert answers.late(), "what was drawn at 0.05 is on its way since then"
    assert not answers.answered() and not answers.late()
    assert not answers.answered(), "nobody asked"


def test_answers_that_are_lost_hold_nothing_up_for_long() -> None:
    clock = Clock()
    answers = Answers(clock)
    answers.drawn()
    clock.now = 0.02
    answers.answered()
    answers.drawn()
    clock.now = LOST
    assert answers.late() and not answers.drawn()
    clock.now += 0.03
    assert not answers.late() and answers.drawn(), "asked anew"


@given(st.lists(st.tuples(st.sampled_from(["drawn", "answered", "late"]), st.floats(0, 3)), max_size=40))
def test_every_drawing_is_covered_by_a_question(events: list[tuple[str, float]]) -> None:
    """A terminal that answers every question leaves nothing late, in whatever order things happen."""
    clock = Clock()
    answers = Answers(clock)
    open_questions = 0
    for event, seconds in events:
        clock.now += seconds
        if event == "answered" and open_questions:
            open_questions += answers.answered() - 1
        elif event == "drawn":
            open_questions += answers.drawn()
        else:
            answers.late()
    while open_questions > 0:
        open_questions += answers.answered() - 1
    clock.now += LOST / 2
    assert not answers.late()


def test_the_end_waits_for_the_answer_and_asks_nothing_more() -> None:
    answers = Answers()
    answers.drawn()
    answers.answered()
    answers.drawn()
    answers.drawn()
    ended = threading.Thread(target=answers.end)
    ended.start()
    while not answers._ended:
        pass
    assert ended.is_alive()
    assert not answers.answered(), "the last one"
    ended.join(10)
    assert not ended.is_alive() and not answers.drawn()
    answers.begin()
    assert answers.drawn()


async def test_nothing_more_is_drawn_while_the_terminal_has_not_answered(run: FakeRun) -> None:
    """As behind ssh, which takes everything at once and delivers it when it can."""
    app = Counted(run.layout.root, rate=30.0)
    app.driver_class = asking(Wire)
    clock = Clock()
    async with app.run_test(headless=False, size=(120, 40)) as pilot:
        await until_read(pilot, app)
        wire = app._driver
        assert isinstance(wire, Wire)
        answers = wire.answers = Answers(clock)  # type: ignore[attr-defined]
        wire.written.clear()
        run.advance(1)
        await until_seen(pilot, "step 301")
        await until(pilot, lambda: any(data.endswith(ASK) for data in wire.written), "asked")
        clock.now += 0.05
        wire.process_message(CursorPosition(0, 0))
        assert not behind(wire)
        run.advance(1)
        await until(pilot, lambda: answers._oldest is not None, "asked")
        clock.now += 1.0
        assert behind(wire) and "step 302" in screen(app)
        await until(pilot, lambda: app._pace.slow, "slowed down")
        wire.written.clear()
        run.advance(1)
        app.action_command("back.10")
        for _ in range(10):
            await pilot.pause(0.01)
        assert wire.bytes == 0 and "step 303" not in screen(app)
        while answers._oldest is not None:
            wire.process_message(CursorPosition(0, 0))
        await until_seen(pilot, "step 303")
        assert f"shown: step {app.view.cursor}" in screen(app)


async def test_an_answer_is_no_key(run: FakeRun) -> None:
    app = Counted(run.layout.root, rate=30.0)
    app.driver_class = asking(Wire)
    async with app.run_test(headless=False, size=(120, 40)) as pilot:
        await until_seen(pilot, "step 300 /")
        before = screen(app)
        for _ in range(3):
            app._driver.process_message(CursorPosition(3, 3))  # type: ignore[union-attr]
        await ticks(pilot, app, 2)
        assert screen(app) == before
