"""The pictures of the README: a real training of the quick start, steered while it runs, and the cockpit on it.

python -m benchmarks.pictures           train, steer, and take every picture (about four minutes)
python -m benchmarks.pictures RUN       take the pictures of a run that has ended
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from textual.pilot import Pilot

from rlpeaks_tui.cockpit.app import Cockpit
from rlpeaks_tui.run.follow import Follower

DOCS = Path(__file__).parent.parent / "docs"
RLPEAKS = (sys.executable, "-m", "rlpeaks_tui.cli")

STEERED: tuple[tuple[int, Sequence[str]], ...] = (
    (130, ("set", "learning_rate=3e-4")),
    (230, ("note", "reward falls since the higher rate")),
    (240, ("rollback", "auto-100")),
    (160, ("set", "beta=0.02")),
    (220, ("phase", "next")),
)
"""Commands and the steps from which they are given, in their order; the rollback makes steps come again."""

LIVE_AT = 330

PICTURES: tuple[tuple[str, tuple[int, int], Sequence[str]], ...] = (
    ("cockpit", (160, 45), ()),
    ("small", (80, 24), ()),
    ("budget", (120, 40), ("3", "z", "v", "v")),
    ("tokens", (120, 36), ("7", "z", "enter", "enter")),
)
"""File name, size, keys. The first is taken while the training runs."""


def main() -> None:
    os.environ["COLORTERM"], os.environ["TERM"] = "truecolor", "xterm-256color"
    os.environ.pop("NO_COLOR", None)
    if len(sys.argv) > 1:
        for name, size, keys in PICTURES:
            asyncio.run(take(Path(sys.argv[1]), name, size, keys))
        return
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "quickstart"
        started = (*RLPEAKS, "run", "quickstart", "--headless", "--runs", folder)
        with subprocess.Popen(started, stdout=subprocess.DEVNULL) as training:
            steer(run)
            wait(run, LIVE_AT)
            asyncio.run(take(run, *PICTURES[0]))
            training.wait()
        for name, size, keys in PICTURES[1:]:
            asyncio.run(take(run, name, size, keys))


def steer(run: Path) -> None:
    for step, words in STEERED:
        wait(run, step)
        subprocess.run([*RLPEAKS, "ctl", str(run), *words], check=True)


def wait(run: Path, step: int) -> None:
    """Until the run has reached `step`.

    Raises:
        RuntimeError: it ended before.
    """
    while not (run / "run.json").exists():
        time.sleep(0.1)
    follower = Follower(run)
    while True:
        follower.poll()
        now = follower.snapshot()
        if now.step >= step:
            return
        if not now.live:
            raise RuntimeError(f"the training is {now.state} at step {now.step}: {now.why}")
        time.sleep(0.1)


async def take(run: Path, name: str, size: tuple[int, int], keys: Sequence[str]) -> None:
    """Put a picture of the cockpit on `run`, after `keys`, into the documentation."""
    app = Cockpit(run, rate=10.0)
    async with app.run_test(size=size) as pilot:
        await settled(pilot, app)
        for key in keys:
            await pilot.press(key)
            await settled(pilot, app)
        path = DOCS / f"{name}.svg"
        path.write_text(app.picture(), encoding="utf-8")
    print(f"{path.name:<16} {size[0]}x{size[1]}  {path.stat().st_size:>7,} bytes")


async def settled(pilot: Pilot[int], app: Cockpit) -> None:
    """Until the whole run was read and everything that was asked for has been drawn."""
    for _ in range(100):
        reading = app.reading
        if reading is not None and not reading.loading and reading.wanted.panel == app.enlarged:
            break
        await pilot.pause(0.1)
    await pilot.pause(0.5)


if __name__ == "__main__":
    main()
