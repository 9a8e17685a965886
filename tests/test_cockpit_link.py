"""What goes over the wire: nothing when nothing changed, little when little did, and slower on a slow link."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from textual.drivers.headless_driver import HeadlessDriver
from textual.pilot import Pilot

from rlpeaks_tui.cockpit.app import Cockpit
from rlpeaks_tui.cockpit.link import Pace, waiting
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
    assert pace.interval == 0.25 and pace.tick(0) and pace.interval == 0.25
    assert not pace.tick(1) and pace.interval == 0.5 and pace.slow
    for _ in range(9):
        pace.tick(30)
    assert pace.interval == 4.0
    steps = 0
    while pace.slow:
        assert pace.tick(0)
        steps += 1
    assert 4 <= steps <= 20
    for _ in range(30):
        pace.tick(0)
    assert pace.interval == 0.25


def test_a_driver_without_a_queue_never_waits() -> None:
    assert waiting(None) == 0
    assert waiting(SimpleNamespace(_writer_thread=None)) == 0
    assert waiting(SimpleNamespace(_writer_thread=SimpleNamespace(_queue=SimpleNamespace(qsize=lambda: 7)))) == 7
