"""What goes over the wire: nothing when nothing changed, little when little did, and slower on a slow link."""

from __future__ import annotations

import contextlib
import sys
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
from rlpeaks_tui.cockpit.link import ASK, LAST, LEAST, LOST, SLACK, Answers, Pace, asking, behind
from tests.cockpit_fakes import FakeRun, steered_run
from tests.cockpit_pilot import screen, until, until_read, until_seen
from tests.terminal import Terminal
from tests.training_runs import environment


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


async def test_a_first_screen_fits_a_slow_link(run: FakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    # On a busy machine reading takes longer, and an empty screen is sent first.
    monkeypatch.setattr("rlpeaks_tui.cockpit.app.PATIENCE", 600.0)
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


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_driver_without_a_queue_never_waits() -> None:
    assert not behind(None)
    assert not behind(SimpleNamespace(_writer_thread=None))  # type: ignore[arg-type]
    for size in (0, 7):
        queue = SimpleNamespace(qsize=lambda size=size: size)
        assert behind(SimpleNamespace(_writer_thread=SimpleNamespace(_queue=queue))) == (size > 0)  # type: ignore[arg-type]


def test_on_a_quick_terminal_that_answers_what_waits_for_a_moment_is_no_slow_link() -> None:
    clock = Clock()
    answers = Answers(clock)
    driver: Any = SimpleNamespace(
        answers=answers, _writer_thread=SimpleNamespace(_queue=SimpleNamespace(qsize=lambda: 3))
    )
    assert behind(driver), "nothing is known but that"
    answers.drawn(300)
    clock.now = 0.01
    answers.answered()
    answers.drawn(300)
    assert not behind(driver)
    clock.now = LOST / 2
    assert behind(driver), "late"
    clock.now = 2 * LOST
    assert behind(driver), "it answers no more, and what is known is the queue"


# What the terminal answers.


def test_a_drawing_is_late_when_its_answer_takes_longer_than_two_ways_of_the_quickest_one() -> None:
    clock = Clock()
    answers = Answers(clock)
    assert answers.drawn(300) and not answers.late()
    clock.now = 5.0
    assert not answers.late(), "how long the link takes is not known"
    clock.now = 0.3
    assert not answers.answered()
    assert answers.drawn(300)
    clock.now += 0.6 + SLACK
    assert not answers.late(), "it may have waited for the answer to another question"
    clock.now += 0.01
    assert answers.late()
    assert not answers.answered() and not answers.late()


def answering(clock: Clock) -> Answers:
    """Of a terminal that has answered once, after 0.02 s."""
    answers = Answers(clock)
    answers.drawn(300)
    clock.now = 0.02
    answers.answered()
    return answers


def test_what_is_drawn_while_a_question_is_open_is_asked_about_with_the_answer_and_ages_from_its_drawing() -> None:
    clock = Clock()
    answers = answering(clock)
    assert answers.drawn(300)
    clock.now = 0.05
    assert not answers.drawn(300) and not answers.drawn(300), "one question at a time"
    clock.now = 0.4
    assert answers.answered(), "asked again"
    assert answers.late(), "what was drawn at 0.05 is on its way since then"
    assert not answers.answered() and not answers.late()
    assert not answers.answered(), "nobody asked"


def test_a_terminal_that_answers_no_more_is_drawn_on_as_one_that_never_did() -> None:
    clock = Clock()
    answers = answering(clock)
    answers.drawn(300)
    clock.now = LOST
    assert answers.late() and not answers.drawn(300)
    clock.now += 0.03
    assert not answers.late() and answers.drawn(300), "asked anew"
    clock.now += LOST / 2
    assert not answers.late() and not answers.drawn(300)


class Hasty(Wire):
    """A terminal whose answer comes just before a large drawing is written."""

    def write(self, data: str) -> None:
        driver: Any = self
        if len(data) > 1000:
            driver.process_message(CursorPosition(0, 0))
        super().write(data)


async def test_an_answer_that_comes_while_a_drawing_is_written_is_not_taken_for_that_drawings(run: FakeRun) -> None:
    app = Cockpit(run.layout.root)
    driver: Any = asking(Hasty)(app, debug=False, size=(80, 24))
    driver.write("a" * 300)
    driver.write("b" * 2000)
    assert driver.written == ["a" * 300 + ASK, "b" * 2000, ASK], "the question about it comes after it"


class Link:
    """A link of `speed` bytes a second on which everything takes `trip` seconds there and back, with a terminal that
    answers every question; `refused` counts the drawings that were late."""

    def __init__(self, speed: float, trip: float) -> None:
        self.speed, self.trip = speed, trip
        self.clock = Clock()
        self.answers = Answers(self.clock)
        self.free = self.refused = self.made = 0.0
        self.due: list[float] = []
        self.most = 0.0
        """Seconds that the link needed for all that was on its way."""

    def send(self, size: int, asks: bool) -> None:
        self.free = max(self.clock.now, self.free) + size / self.speed
        self.most = max(self.most, self.free - self.clock.now)
        if asks:
            self.due.append(self.free + self.trip)

    def wait(self, seconds: float) -> None:
        end = self.clock.now + seconds
        while self.due and self.due[0] <= end:
            self.clock.now = self.due.pop(0)
            if self.answers.answered():
                self.send(4, True)
        self.clock.now = end

    def draw(self, size: int) -> None:
        self.made += 1
        if self.answers.late():
            self.refused += 1
        else:
            self.send(size, self.answers.drawn(size))


@pytest.mark.parametrize("trip", [0.0, 0.05, 0.15, 0.3, 0.6])
@pytest.mark.parametrize("every", [0.25, 0.15, 0.033])
def test_a_quick_link_is_never_taken_for_a_slow_one_however_far_it_goes(trip: float, every: float) -> None:
    link = Link(1e7, trip)
    for _ in range(300):
        link.draw(3_000)
        link.wait(every)
    assert link.refused == 0


@pytest.mark.parametrize("trip", [0.05, 0.3])
def test_a_link_that_was_slow_is_quick_again_soon(trip: float) -> None:
    link = Link(1e4, trip)
    link.draw(4)
    link.wait(1.0)
    for _ in range(40):
        link.draw(6_000)
        link.wait(0.25)
    assert link.refused > 10
    link.speed, link.refused = 1e7, 0.0
    for i in range(400):
        if i == 200:
            assert link.refused < 50
            link.refused = 0.0
        link.draw(3_000)
        link.wait(0.033)
    assert link.refused == 0


@given(st.floats(5e3, 5e4), st.floats(0, 0.3), st.floats(0.02, 0.25), st.integers(300, 4_000))
def test_on_a_slow_link_little_is_ever_on_its_way(speed: float, trip: float, every: float, size: int) -> None:
    link = Link(speed, trip)
    link.draw(4)
    link.wait(trip + 1)
    for i in range(1_000):
        if i == 100:
            # What was sent before the link was known is through.
            link.wait(link.free - link.clock.now + trip)
            link.most = 0.0
        link.draw(size)
        link.wait(every)
    # Three times what goes through within a way there and back and the slack, or the least.
    assert link.most <= max(LEAST, 3 * ((SLACK + trip) * speed + 2 * size)) / speed


@given(st.lists(st.tuples(st.sampled_from(["drawn", "answered"]), st.floats(0, 0.3)), max_size=40))
def test_after_every_drawing_a_question_follows(events: list[tuple[str, float]]) -> None:
    """In whatever order drawings and answers come, as long as every question is answered."""
    clock = Clock()
    answers = Answers(clock)
    questions: list[int] = []
    """How many drawings each question that is not answered yet came after."""
    drawings = covered = 0
    for event, seconds in [*events, *[("answered", 0.0)] * 3]:
        clock.now += seconds
        if event == "drawn":
            drawings += 1
            if answers.drawn(300):
                questions.append(drawings)
        elif questions:
            covered = questions.pop(0)
            if answers.answered():
                questions.append(drawings)
    assert covered == drawings and not questions and not answers.late()


def test_the_end_waits_once_for_the_answer_and_asks_nothing_more() -> None:
    answers = Answers()
    answers.drawn(300)
    answers.answered()
    answers.drawn(300)
    answers.drawn(300)
    waited: list[float] = []

    class Over(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout or 0.0)
            assert not answers.answered(), "what was drawn meanwhile is not asked about"
            return super().wait(timeout)

    answers._over = Over()
    for _ in range(2):
        # Textual ends its input twice.
        answers.end()
    assert waited == [LAST]
    assert not answers.drawn(300) and not answers.answered()
    answers.begin()
    assert answers.drawn(300)


def test_a_signal_within_a_question_may_end_it() -> None:
    """A signal that suspends the cockpit is handled in its main thread, wherever that stands."""
    answers = Answers()
    answers.drawn(300)
    answers.answered()
    signals = [answers.end]

    def clock() -> float:
        if signals:
            signals.pop()()
        return 0.0

    answers._clock = clock
    ended = threading.Thread(target=answers.drawn, args=(300,))
    ended.start()
    ended.join(30)
    assert not ended.is_alive()


async def test_a_driver_asks_when_it_begins_and_again_with_an_answer(run: FakeRun) -> None:
    app = Counted(run.layout.root, rate=30.0)
    app.driver_class = asking(Wire)
    async with app.run_test(headless=False, size=(120, 40)) as pilot:
        await until_read(pilot, app)
        wire = app._driver
        assert isinstance(wire, Wire) and wire.written[0] == ASK
        wire.answers = Answers()  # type: ignore[attr-defined]
        wire.written.clear()
        wire.write("x" * 200)
        wire.write("y" * 200)
        assert wire.written == ["x" * 200 + ASK, "y" * 200]
        wire.process_message(CursorPosition(0, 0))
        assert wire.written[2:] == [ASK]
        wire.disable_input()
        wire.write("z" * 200)
        assert wire.written[3:] == ["z" * 200]
        wire.start_application_mode()
        assert wire.written[4:] == [ASK]


class Slow(Terminal):
    """Answers where the cursor stands when it is told to."""

    kept = 0

    def reply(self, question: bytes, answer: bytes) -> None:
        if question == ASK.encode():
            self.kept += 1
        else:
            super().reply(question, answer)

    def answer(self) -> None:
        for _ in range(self.kept):
            super().reply(ASK.encode(), b"\x1b[1;1R")
        self.kept = 0


def test_no_answer_is_left_for_the_shell(tmp_path: Path) -> None:
    run = steered_run(tmp_path / "quickstart", steps=300)
    watch = f"{sys.executable} -m rlpeaks_tui.cli watch {run.layout.root}"
    left = "read -r -s -d '' -t 0.2 typed; printf 'left:[%q]\n' \"$typed\""
    terminal = Slow(["bash", "-c", f"{watch}; {left}"], environment(tmp_path), 120, 40)
    terminal.wait(r"step\s+300 /")
    assert terminal.kept == 1, "one question at a time"
    terminal.answer()
    terminal.press("[")
    terminal.wait(r"shown: step 297")
    while not terminal.kept:
        terminal.pump(0.05)
    terminal.press("q")
    # The cockpit still draws its footer or waits: what was asked is answered before the screen is given back.
    terminal.pump(0.2)
    terminal.answer()
    terminal.wait(r"left:\[''\]")
    assert terminal.wait_end() == 0


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
        await until(pilot, lambda: answers._covered is not None, "asked")
        clock.now += 1.0
        assert behind(wire) and "step 302" in screen(app)
        await until(pilot, lambda: app._pace.slow, "slowed down")
        wire.written.clear()
        run.advance(1)
        app.action_command("back.10")
        for _ in range(10):
            await pilot.pause(0.01)
        assert wire.bytes == 0 and "step 303" not in screen(app)
        while answers._covered is not None:
            wire.process_message(CursorPosition(0, 0))
        await until_seen(pilot, "step 303")
        assert f"shown: step {app.view.cursor}" in screen(app)


async def test_an_answer_is_no_key(run: FakeRun) -> None:
    app = Counted(run.layout.root, rate=30.0)
    app.driver_class = asking(Wire)
    async with app.run_test(headless=False, size=(120, 40)) as pilot:
        await until_seen(pilot, "step 300 /")
        await ticks(pilot, app, 2)
        before = screen(app)
        for _ in range(3):
            app._driver.process_message(CursorPosition(3, 3))  # type: ignore[union-attr]
        await ticks(pilot, app, 2)
        assert screen(app) == before
