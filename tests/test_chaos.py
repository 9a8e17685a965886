"""Fifty kills at random moments: what was acknowledged is on record, no checkpoint is half, and the run opens."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlpeaks_tui.run.checkpoints import UNFINISHED, read_manifest
from rlpeaks_tui.run.facts import process_alive, read_heartbeat
from rlpeaks_tui.run.follow import Follower
from rlpeaks_tui.run.layout import Layout
from rlpeaks_tui.run.mailbox import send
from tests.terminal import Terminal
from tests.training_runs import RLPEAKS, end_all, environment, rlpeaks, sets, wait

RUNS = 25
"""In each a viewer is killed, and then the training process, its launcher, or both."""

COMMANDS = [
    ["set", "learning_rate=2e-4"],
    ["set", "learning_rate=1.5e-4"],
    ["checkpoint"],
    ["reset", "--to", "base", "--blend", "0.1"],
    ["undo"],
    ["phase", "next"],
    ["phase", "prev"],
    ["note", "still here"],
    ["sync-ref"],
]


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "runs"
    end_all(tmp_path / "runs")


class Steerer:
    """Sends commands without end, and remembers every answer that a reader of the journal has seen."""

    def __init__(self, directory: Path, rng: random.Random) -> None:
        self._directory, self._rng = directory, rng
        self._stop = threading.Event()
        self.seen: dict[str, str] = {}
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        follower = Follower(self._directory)
        last = ""
        while not self._stop.wait(0.02):
            follower.poll(0.5)
            self.seen |= {m.id: m.status for m in follower.snapshot().commands if m.status not in ("sent", "too late")}
            if not last or last in self.seen:
                last = send(self._directory, *self._rng.choice(COMMANDS))

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def kill(pid: int | None) -> None:
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_fifty_kills_lose_nothing_that_was_acknowledged(runs: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    pause = threading.Event()
    acknowledged = 0
    for number in range(RUNS):
        name = f"run-{number}"
        settings = sets(
            grpo__max_steps=100_000,
            grpo__per_device_train_batch_size=16,
            checkpoints__every=2,
            checkpoints__limit_gb=0.05,
        )
        assert rlpeaks(runs, "run", "quickstart", "--detach", "--name", name, *settings).returncode == 0
        directory, layout = runs / name, Layout(runs / name)
        wait(directory, lambda s: s.step >= 1)
        steerer = Steerer(directory, rng)
        viewer = Terminal([*RLPEAKS, "watch", name], environment(runs))
        viewer.wait(r"step\s+\d+")
        pause.wait(rng.uniform(0, 0.5))
        kill(viewer.pid)
        viewer.close()
        before = wait(directory, lambda s: s.state == "running").step
        wait(directory, lambda s, before=before: s.step > before or len(s.branches) > 0)

        beat = read_heartbeat(layout)
        launcher = Follower(directory)
        launcher.poll(5.0)
        pause.wait(rng.uniform(0, 1.5))
        target = rng.choice(["trainer", "launcher", "both"])
        if target in ("launcher", "both"):
            kill(launcher.launcher_pid)
        if target in ("trainer", "both"):
            kill(beat.pid if beat else None)
        else:
            wait(directory, lambda s, before=before: s.step > before or len(s.branches) > 0)
            kill(beat.pid if beat else None)
        end = wait(directory, lambda s: not s.live)
        steerer.stop()

        assert end.state == "failed" and not process_alive(beat.pid if beat else 0)
        answered = {mark.id: mark.status for mark in end.commands if mark.status not in ("sent", "too late")}
        assert steerer.seen.items() <= answered.items(), f"{name} {target}: an acknowledged command is missing"
        acknowledged += len(steerer.seen)
        assert end.skipped == 0, f"{name}: the journal has lines that are none"
        for folder in layout.checkpoints.iterdir():
            whole = folder.name.startswith(UNFINISHED) or read_manifest(folder) is not None
            assert whole, f"{name} {target}: {folder.name} is half a checkpoint"
        status = rlpeaks(runs, "status", name, "--json")
        assert status.returncode == 0 and json.loads(status.stdout)["state"] == "failed"
    assert acknowledged > RUNS, "hardly a command was answered, so the test said nothing"
