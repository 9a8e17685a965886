"""What a person feels, measured in a pseudo-terminal while another process writes the run.

First paint is a ratio, to what importing Textual takes at that moment.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from tests.cockpit_fakes import FakeRun, steered_run

from .measured_runs import LONG, Figure, LongRun
from .terminal import Counting, environment

DEFAULT = (160, 45)
SLOW = 10_000
"""Bytes a second of a slow link."""
TAKEN = 64 << 10
"""Bytes that ssh and the system take from a program at once, however slow the link is."""
WATCH = [sys.executable, "-m", "rlpeaks_tui.cli", "watch"]


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
    """Keys on a link of 10 kB/s, behind ssh and on a line: when each is handled, and when its effect has arrived."""
    for name, between in (("ssh", TAKEN), ("a line", 0)):
        waits, left, seen = _keys_on_a_slow_link(between)
        note = f"median {statistics.median(waits):.3f} s of {len(waits)} keys, 60 of them at 30 a second"
        yield Figure(f"10 kB/s behind {name}: key handled, slowest", waits[-1], "s", 0.3, note)
        for what, times, bound in (("has left the cockpit", left, 0.3), ("has arrived", seen, None)):
            note = f"slowest {max(times):.2f} s"
            yield Figure(f"  its effect {what}, median", statistics.median(times), "s", bound, note)


def _keys_on_a_slow_link(between: int) -> tuple[list[float], list[float], list[float]]:
    """Seconds from each key until the cockpit has handled it, sorted; for single keys until its effect has left, and
    until it has arrived."""
    mine, theirs = os.pipe()
    chance = random.Random(2)
    command = [sys.executable, "-m", "benchmarks.traced"]
    pressed: list[float] = []
    arrived: list[tuple[float, int]] = []
    with (
        fed(0.15) as root,
        Counting([*command, str(root), str(theirs)], *DEFAULT, SLOW, between, passed=(theirs,)) as terminal,
    ):
        terminal.until(rb"Update sparsity")
        terminal.read_for(6.0)
        last = b"none"
        for _ in range(24):
            terminal.read_for(chance.uniform(0.3, 1.5))
            pressed.append(terminal.press("["))
            other = rb"shown: step (?!" + last + rb"\x1b)([\d,]+)\x1b"
            came, found = terminal.until(other, len(terminal.received))
            last = found[1]
            arrived.append((came, found.end()))
        terminal.read_for(2.0)
        pressed += [terminal.press("[") for _ in range(60) if terminal.read_for(1 / 30) >= 0]
        terminal.read_for(2.0)
        end = time.monotonic()
    os.close(theirs)
    with os.fdopen(mine) as lines:
        told = [line.split() for line in lines]
    handled = [float(words[1]) for words in told if words[0] == "handled"]
    # What was not handled until the end took that long at least.
    handled += [end] * (len(pressed) - len(handled))
    sent = [(float(words[1]), int(words[2])) for words in told if words[0] == "left"]
    # A flush may end long after the bytes that are looked for; what has arrived has left.
    left = [
        min(came, next((at for at, count in sent if count >= end), came)) - key
        for key, (came, end) in zip(pressed, arrived, strict=False)
    ]
    seen = [came - key for key, (came, _) in zip(pressed, arrived, strict=False)]
    return sorted(at - key for key, at in zip(pressed, handled, strict=True)), left, seen


def long_run() -> Iterator[Figure]:
    """A run of 100,000 steps by 40 metrics, from the command to all of it on screen."""
    for gaps, name in ((False, "x 40 metrics"), (True, "x 36 of 40 metrics in turn")):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "long"
            LongRun(root, gaps).advance(LONG)
            with Counting([*WATCH, str(root)], *DEFAULT) as terminal:
                _, found = terminal.until(rb"step 100,000 ")
                came, _ = terminal.until(rb"palette|commands", found.end())
                used, peak = terminal.processor(), terminal.peak_memory()
        note = f"{used:.1f} s of processor"
        yield Figure(f"100,000 steps {name}, wholly on screen", came - terminal.began, "s", None, note)
        yield Figure("  most memory held", peak / 1e6, "MB")
