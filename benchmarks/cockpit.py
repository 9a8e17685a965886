"""How fast the cockpit is and how little it writes: every figure that is promised, measured and beside its bound.

`python -m benchmarks.cockpit [NAME ...]`, with names of single measurements (`--list` names them)

What is drawn is measured in processor time, which other programs on the machine cannot stretch, inside this process:
cells, then strips, then bytes, through a Textual application whose terminal only counts. What a person feels is
measured from outside, in a pseudo-terminal, while another process writes the run; those figures are wall clock, so
they want a machine with a core to spare. First paint is a ratio, to what importing Textual takes at that moment.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
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
from rlpeaks_tui.run.entries import Metrics, State
from rlpeaks_tui.run.facts import RunInfo, write_facts
from rlpeaks_tui.run.follow import Follower
from rlpeaks_tui.run.journal import JournalWriter
from rlpeaks_tui.run.layout import SCHEMA, Layout
from tests.cockpit_fakes import FakeRun, steered_run

from .terminal import Counting, environment

FULL = (200, 60)
DEFAULT = (160, 45)
SLOW = 10_000
"""Bytes a second of a slow link."""
LONG, WIDE = 100_000, 40
WATCH = [sys.executable, "-m", "rlpeaks_tui.cli", "watch"]


@dataclass(frozen=True)
class Figure:
    """One line of the table; without `bound`, a figure to know and not one that is promised."""

    what: str
    value: float
    unit: str
    bound: float | None = None
    note: str = ""

    def line(self) -> str:
        if self.bound is None:
            judged = ""
        elif self.bound:
            judged = f"{self.bound:>9,.4g} {self.value / self.bound:>6.2f}"
        else:
            judged = f"{0:>9} {'held' if not self.value else 'broken':>6}"
        return f"{self.what:<58}{self.value:>10,.4g} {self.unit:<5}{judged:<18}{self.note}".rstrip()


# Drawing, in processor time


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


# What a person feels, in a pseudo-terminal


class LongRun:
    """A run of `WIDE` metrics at every step, and nothing else."""

    NAMES = (
        "reward", "reward_std", "entropy", "kl/base_k3", "kl/base_k1", "rewards/correct/mean", "rewards/format/mean",
        "reward/two operands", "frac_reward_zero_std", "completions/mean_length", "loss", "grad_norm", "time/step",
        "format/column", "format/direct",
    )  # fmt: skip

    def __init__(self, root: Path) -> None:
        layout = Layout(root)
        layout.create()
        write_facts(
            layout, RunInfo(schema=SCHEMA, name="long", created=time.time(), max_steps=2 * LONG, pid=os.getpid())
        )
        self._journal = JournalWriter(layout.journal, "trainer")
        self._journal.write(State(t=time.time(), state="running", pid=os.getpid()))
        self._names = [*self.NAMES, *(f"other/metric_{i}" for i in range(WIDE - len(self.NAMES)))]
        self._random = np.random.default_rng(0)
        self._step = 0

    def advance(self, steps: int) -> None:
        while steps > 0:
            count = min(steps, 1000)
            values = np.abs(0.5 + self._random.normal(0, 0.05, (count, WIDE))).tolist()
            now = time.time()
            self._journal.write(
                *(
                    Metrics(t=now, step=self._step + i, v=dict(zip(self._names, row, strict=True)), phase="")
                    for i, row in enumerate(values, 1)
                )
            )
            self._step += count
            steps -= count


def _feed(root: Path, ready: Connection, every: float) -> None:
    """In a process of its own: a run of 300 steps that goes on by a step each `every` seconds; only beats when 0."""
    run = steered_run(root, steps=300, max_steps=100_000)
    ready.send("ready")
    due = time.monotonic()
    while True:
        due += every or 1.0
        time.sleep(max(0.0, due - time.monotonic()))
        if every:
            run.advance(1)
        else:
            run.began += 1.0
            run.beat()


@contextlib.contextmanager
def fed(every: float) -> Iterator[Path]:
    """The directory of a run that another process writes."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "quickstart"
        mine, theirs = multiprocessing.Pipe()
        writer = multiprocessing.get_context("spawn").Process(target=_feed, args=(root, theirs, every), daemon=True)
        writer.start()
        try:
            if not mine.poll(60):
                raise TimeoutError("the writer of the run did not start")
            yield root
        finally:
            writer.kill()
            writer.join()


def key_to_screen() -> Iterator[Figure]:
    """How long until a key is seen, while 20 steps a second arrive."""
    keys = (
        ("[", rb"shown: step"),
        ("z", rb"completions"),
        ("z", rb"Update sparsity"),
        ("g", rb"\xe2\x97\x8f live"),
        ("?", rb"Find a command by name"),
        ("?", rb"Update sparsity"),
    )
    chance = random.Random(1)
    waits: list[float] = []
    with fed(0.05) as root, Counting([*WATCH, str(root)], *DEFAULT) as terminal:
        terminal.until(rb"Update sparsity")
        terminal.read_for(2.0)
        for _ in range(15):
            for key, seen in keys:
                terminal.read_for(chance.uniform(0.15, 0.4))
                at = terminal.press(key)
                came, _ = terminal.until(seen, len(terminal.received))
                waits.append(came - at)
    waits.sort()
    share = 1e3 * waits[int(0.95 * len(waits))]
    note = f"median {1e3 * statistics.median(waits):.0f} ms of {len(waits)} keys, slowest {1e3 * waits[-1]:.0f} ms"
    yield Figure("key to screen at 20 steps a second, 95th percentile", share, "ms", 50, note)


def first_paint() -> Iterator[Figure]:
    """From starting the command to the run on screen, beside importing Textual at the same moment."""
    imports, paints = [], []
    with fed(0.0) as root:
        for i in range(10):
            began = time.monotonic()
            subprocess.run([sys.executable, "-c", "import textual.app"], check=True, env=environment())
            imports.append(time.monotonic() - began)
            with Counting([*WATCH, str(root)], *DEFAULT) as terminal:
                came, _ = terminal.until(rb"Update sparsity")
                paints.append(came - terminal.began)
            if i == 0:
                # The first start compiles, as it does once after an installation.
                del imports[:], paints[:]
    ratio = statistics.median(paint / taken for paint, taken in zip(paints, imports, strict=True))
    note = f"{statistics.median(paints):.3f} s beside {statistics.median(imports):.3f} s for importing textual.app"
    yield Figure("first paint, in imports of textual.app", ratio, "x", 2.2, note)


def idle() -> Iterator[Figure]:
    """What is written while nothing new happens."""
    with fed(0.0) as root, Counting([*WATCH, str(root)], *DEFAULT) as terminal:
        terminal.until(rb"Update sparsity")
        terminal.read_for(3.0)
        used = terminal.processor()
        yield Figure("live run that only gives signs of life, 8 s", terminal.read_for(8.0), "bytes", 0)
        yield Figure("  processor meanwhile", 100 * (terminal.processor() - used) / 8, "%")
    with tempfile.TemporaryDirectory() as folder:
        run: FakeRun = steered_run(Path(folder) / "quickstart")
        run.state("finished")
        run.exit(0)
        with Counting([*WATCH, str(run.layout.root)], *DEFAULT) as terminal:
            terminal.until(rb"Update sparsity")
            terminal.read_for(3.0)
            yield Figure("finished run, 5 s", terminal.read_for(5.0), "bytes", 0)


def live() -> Iterator[Figure]:
    """What is written at the default rate, while a step ends each 0.15 s."""
    with fed(0.15) as root, Counting([*WATCH, str(root)], *DEFAULT) as terminal:
        terminal.until(rb"Update sparsity")
        terminal.read_for(3.0)
        used, seconds = terminal.processor(), 20
        each = [terminal.read_for(1.0) for _ in range(seconds)]
        share = 100 * (terminal.processor() - used) / seconds
    note = f"busiest second {max(each) / 1e3:.1f} kB; {share:.0f} % of a core"
    yield Figure("live at 160x45, a step each 0.15 s", sum(each) / 1e3 / seconds, "kB/s", 30, note)


def slow_link() -> Iterator[Figure]:
    """Keys on a link of 10 kB/s: when the cockpit has handled one, when its effect has left, when it has arrived."""
    mine, theirs = os.pipe()
    chance = random.Random(2)
    command = [sys.executable, "-m", "benchmarks.traced"]
    pressed: list[float] = []
    arrived: list[tuple[float, int]] = []
    with fed(0.15) as root, Counting([*command, str(root), str(theirs)], *DEFAULT, SLOW, (theirs,)) as terminal:
        terminal.until(rb"Update sparsity")
        terminal.read_for(6.0)
        last = b"none"
        for _ in range(16):
            terminal.read_for(chance.uniform(0.3, 1.5))
            pressed.append(terminal.press("["))
            other = rb"shown: step (?!" + last + rb"\x1b)([\d,]+)\x1b"
            came, found = terminal.until(other, len(terminal.received))
            last = found[1]
            arrived.append((came, found.end()))
        terminal.read_for(2.0)
        held = [terminal.press("[") for _ in range(60) if terminal.read_for(1 / 30) >= 0]
        terminal.read_for(2.0)
        pressed += held
        end = time.monotonic()
    os.close(theirs)
    with os.fdopen(mine) as lines:
        told = [line.split() for line in lines]
    handled = [float(words[1]) for words in told if words[0] == "handled"]
    # What was not handled until the end took that long at least.
    handled += [end] * (len(pressed) - len(handled))
    left = [(float(words[1]), int(words[2])) for words in told if words[0] == "left"]
    waits = sorted(at - key for key, at in zip(pressed, handled, strict=True))
    # A flush may end long after the bytes that are looked for; what has arrived has left.
    out = [
        min(came, next((at for at, sent in left if sent >= end), came)) - key
        for key, (came, end) in zip(pressed, arrived, strict=False)
    ]
    seen = [came - key for key, (came, _) in zip(pressed, arrived, strict=False)]
    note = f"median {statistics.median(waits):.3f} s of {len(waits)} keys, 60 of them at 30 a second"
    yield Figure("link of 10 kB/s: key handled, slowest", waits[-1], "s", 0.3, note)
    yield Figure(
        "  its effect has left the cockpit, median", statistics.median(out), "s", 0.3, f"slowest {max(out):.2f} s"
    )
    yield Figure("  its effect has arrived, median", statistics.median(seen), "s", None, f"slowest {max(seen):.2f} s")


def long_run() -> Iterator[Figure]:
    """A run of 100,000 steps by 40 metrics, from the command to all of it on screen."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "long"
        LongRun(root).advance(LONG)
        with Counting([*WATCH, str(root)], *DEFAULT) as terminal:
            _, found = terminal.until(rb"step 100,000 ")
            came, _ = terminal.until(rb"palette|commands", found.end())
            used, peak = terminal.processor(), terminal.peak_memory()
    yield Figure(
        "100,000 steps x 40 metrics, wholly on screen", came - terminal.began, "s", None, f"{used:.1f} s of processor"
    )
    yield Figure("  most memory held", peak / 1e6, "MB")


ALL: dict[str, Callable[[], Iterator[Figure]]] = {
    each.__name__.replace("_", "-"): each
    for each in (one_chart, nine_charts, overview, long_screens, key_to_screen, first_paint, idle, live, slow_link,
                 long_run)
}  # fmt: skip


def main() -> None:
    ask = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    ask.add_argument("names", nargs="*", metavar="NAME", help="only these; all of them when none is named")
    ask.add_argument("--list", action="store_true", help="name every measurement and what it is")
    asked = ask.parse_args()
    if asked.list:
        for name, measure in ALL.items():
            print(f"{name:<15}{measure.__doc__}")
        return
    unknown = [name for name in asked.names if name not in ALL]
    if unknown:
        ask.error(f"no measurement named {unknown[0]}; --list names them")
    print(f"{'':<58}{'measured':>10}      {'bound':>9} {'ratio':>6}")
    for name in asked.names or ALL:
        for figure in ALL[name]():
            print(figure.line(), flush=True)


if __name__ == "__main__":
    main()
