"""Real trainings for tests: started as a person starts them, looked at through the run directory."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rlpeaks_tui.run.facts import process_alive, read_exit, read_heartbeat
from rlpeaks_tui.run.follow import Follower, Snapshot
from rlpeaks_tui.run.layout import Layout

RLPEAKS = [sys.executable, "-m", "rlpeaks_tui.cli"]
PATIENCE = 120.0
"""Seconds after which a condition that should have come counts as missed, on a busy machine."""


def environment(runs: Path) -> dict[str, str]:
    here = str(Path(__file__).resolve().parent.parent)
    return {**os.environ, "RLPEAKS_RUNS": str(runs), "HF_HUB_OFFLINE": "1", "PYTHONPATH": here}


def rlpeaks(runs: Path, *args: str, check: bool = False, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """One call of the command line, without a terminal."""
    return subprocess.run(
        [*RLPEAKS, *args],
        env=environment(runs),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=check,
    )


def end_all(runs: Path) -> None:
    """Kill what a test has left running in its folder of runs."""
    for facts in runs.glob("*/run.json"):
        layout = Layout(facts.parent)
        beat = read_heartbeat(layout)
        if beat is not None and read_exit(layout) is None and process_alive(beat.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(beat.pid, signal.SIGKILL)


def sets(**values: object) -> list[str]:
    """`--set` arguments; `__` in a name stands for a dot."""
    return [arg for key, value in values.items() for arg in ("--set", f"{key.replace('__', '.')}={value}")]


def wait(directory: Path, until: Callable[[Snapshot], bool], patience: float = PATIENCE) -> Snapshot:
    """Follow a run until a condition holds; fails with what was seen last."""
    deadline = time.monotonic() + patience
    while not (directory / "run.json").exists():
        assert time.monotonic() < deadline, f"{directory} never appeared"
        time.sleep(0.02)
    follower = Follower(directory)
    while True:
        follower.poll(0.2)
        snapshot = follower.snapshot()
        if until(snapshot):
            return snapshot
        assert time.monotonic() < deadline, (
            f"{snapshot.state} {snapshot.activity} step {snapshot.step} {snapshot.why}\n" + "\n".join(snapshot.console)
        )
        time.sleep(0.02)
