"""What a drawing costs: cells, then strips, then bytes, through a Textual application whose terminal only counts."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from textual.app import App, ComposeResult
from textual.drivers.headless_driver import HeadlessDriver

from rlpeaks_tui.cockpit.app import Cockpit
from rlpeaks_tui.cockpit.axes import linear
from rlpeaks_tui.cockpit.cells import SERIES, Cells
from rlpeaks_tui.cockpit.chart import Chart, Line, draw
from rlpeaks_tui.cockpit.plan import Place
from rlpeaks_tui.cockpit.raster import Frame, Raster
from rlpeaks_tui.cockpit.reader import Reader, Wanted
from rlpeaks_tui.cockpit.screens.board import Board
from rlpeaks_tui.cockpit.surface import Surface
from rlpeaks_tui.cockpit.theme import choose
from rlpeaks_tui.run.follow import Follower
from tests.cockpit_fakes import steered_run

from .measured_runs import LONG, Figure, LongRun

FULL = (200, 60)


class Wire(HeadlessDriver):
    """A terminal that counts what it would receive and tells when a drawing came."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.count = 0
        self.came = asyncio.Event()

    @property
    def is_headless(self) -> bool:
        return False

    def write(self, data: str) -> None:
        self.count += len(data.encode())
        # The terminal's title comes before the drawing.
        if "\x1b]2;" not in data:
            self.came.set()


class Sheet(App[None]):
    """Surfaces at fixed places, and nothing else."""

    def __init__(self, places: Sequence[Place]) -> None:
        super().__init__(driver_class=Wire)
        self.surfaces = [Surface(choose("truecolor", False, "dark"), id=f"s{i}") for i in range(len(places))]
        self._places = {f"s{i}": place for i, place in enumerate(places)}

    def compose(self) -> ComposeResult:
        yield Board(lambda width, height: self._places, *self.surfaces)


async def painted(app: App[Any], change: Callable[[], object]) -> tuple[float, int]:
    """Make `change`, and wait until the terminal has it: seconds of processor time, and bytes."""
    wire = app._driver
    assert isinstance(wire, Wire)
    wire.came.clear()
    before, count = time.process_time(), wire.count
    change()
    await asyncio.wait_for(wire.came.wait(), 20)
    return time.process_time() - before, wire.count - count


def on_sheet(places: Sequence[Place], frames: Callable[[int], list[Cells]], count: int) -> tuple[float, float]:
    """Median milliseconds and bytes of a frame when every one is new."""

    async def run() -> list[tuple[float, int]]:
        app = Sheet(places)
        async with app.run_test(headless=False, size=FULL) as pilot:

            def show(i: int) -> None:
                for surface, cells in zip(app.surfaces, frames(i), strict=True):
                    surface.show(cells)

            show(0)
            await pilot.pause()
            return [await painted(app, lambda i=i: show(i)) for i in range(1, count + 1)]

    found = asyncio.run(run())
    return 1e3 * statistics.median(cpu for cpu, _ in found), statistics.median(size for _, size in found)


def walks(points: int, seed: int = 0) -> tuple[np.ndarray, list[np.ndarray]]:
    """Three noisy curves that are longer than what is shown of them, so that a window can move over them."""
    noise = np.random.default_rng(seed)
    steps = np.arange(points, dtype=np.int64)
    rise = 1 - np.exp(-np.arange(points + 1000) / points * 3)
    return steps, [0.2 + 0.2 * i + 0.3 * rise + noise.normal(0, 0.04, points + 1000) for i in range(3)]


def sliding(points: int, seed: int = 0) -> Callable[[int], Chart]:
    """Three series of which every value moves by a step from one frame to the next."""
    steps, values = walks(points, seed)
    axis = linear(0, 1.4, 6)

    def chart(i: int) -> Chart:
        lines = [Line(steps, curve[i : i + points], SERIES[j], f"series {j}") for j, curve in enumerate(values)]
        return Chart(x=(0, points), y=axis, lines=lines, labels=10)

    return chart


def one_chart() -> Iterator[Figure]:
    """A chart over the whole screen: 3 series of 100,000 points, all of it redrawn."""
    chart = sliding(LONG)
    width, height = FULL
    steps, values = walks(LONG)
    raster, drawn = [], []
    for i in range(41):
        began = time.process_time()
        grid = Raster(width - 16, height - 1, Frame(0, LONG, 0, 1.4))
        for j, curve in enumerate(values):
            grid.line(steps, curve[i : i + LONG], SERIES[j])
        raster.append(time.process_time() - began)
        plan = chart(i)
        began = time.process_time()
        draw(plan, width, height)
        drawn.append(time.process_time() - began)
    yield Figure("one chart, 3 x 100,000 points: raster alone", 1e3 * statistics.median(raster), "ms", 8)
    yield Figure("one chart, 3 x 100,000 points: cells", 1e3 * statistics.median(drawn), "ms", 8)
    whole, size = on_sheet([Place(0, 0, width, height)], lambda i: [draw(chart(i), width, height)], 40)
    yield Figure("one chart, 3 x 100,000 points: cells, strips, bytes", whole, "ms", 8, f"{size / 1e3:.1f} kB a frame")


def nine_charts() -> Iterator[Figure]:
    """Nine charts of 3 x 1,000 points, all of it redrawn."""
    width, height = FULL[0] // 3, FULL[1] // 3
    places = [Place(width * (i % 3), height * (i // 3), width, height) for i in range(9)]
    charts = [sliding(1000, seed) for seed in range(9)]
    whole, size = on_sheet(places, lambda i: [draw(chart(i), width, height) for chart in charts], 40)
    yield Figure("nine charts, every one changing", whole, "ms", 30, f"{size / 1e3:.1f} kB a frame")


def redrawn(
    root: Path, on: Callable[[], object], count: int, size: tuple[int, int], keys: str = ""
) -> tuple[float, float, float]:
    """The cockpit on the run at `root`, which `on` moves on: ms to read, ms to show, and bytes, of one frame."""

    async def run() -> list[tuple[float, float, int]]:
        app = Cockpit(root, rate=0.01)
        app.driver_class = Wire
        reader = Reader(Follower(root), lambda reading: None)
        reading = reader.read(Wanted())
        while reading.loading:
            reading = reader.read(Wanted())
        found = []
        async with app.run_test(headless=False, size=size) as pilot:
            await pilot.pause(1.0)
            app.post_message(Cockpit.Fresh(reading, app._follower))
            await pilot.press(*keys)
            await pilot.pause(1.0)
            for _ in range(count):
                on()
                began = time.process_time()
                reading = reader.read(Wanted())
                read = time.process_time() - began
                message = Cockpit.Fresh(reading, app._follower)
                found.append((read, *await painted(app, lambda message=message: app.post_message(message))))
                await pilot.pause(0.05)
        return found

    read, shown, size_of = zip(*asyncio.run(run()), strict=True)
    return 1e3 * statistics.median(read), 1e3 * statistics.median(shown), statistics.median(size_of)


def overview() -> Iterator[Figure]:
    """The overview at 200x60 when every panel changes, probes and completions too."""
    with tempfile.TemporaryDirectory() as folder:
        run = steered_run(Path(folder) / "quickstart", steps=400, max_steps=2000)
        read, shown, size = redrawn(run.layout.root, lambda: run.advance(25), 30, FULL)
    yield Figure("overview at 200x60, every panel changing", shown, "ms", 30, f"{size / 1e3:.1f} kB a frame")
    yield Figure("  reading it and checking its health, in a thread", read, "ms")


def long_screens() -> Iterator[Figure]:
    """Screens of the cockpit on a run of 100,000 steps, one step more each time."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "long"
        run = LongRun(root)
        run.advance(LONG)
        for what, keys in (("overview", ""), ("enlarged reward", "1z"), ("enlarged entropy", "2z")):
            read, shown, size = redrawn(root, lambda: run.advance(1), 20, FULL, keys)
            note = f"{size / 1e3:.1f} kB a frame; {read:.1f} ms to read and check"
            yield Figure(f"{what} of 100,000 steps, one step more", shown, "ms", 30, note)
