"""The main job, as a person does it: a terminal, `rlpeaks run quickstart`, keys, and a training that is real."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlpeaks_tui.run import present
from rlpeaks_tui.run.facts import process_alive, read_heartbeat
from rlpeaks_tui.run.layout import Layout
from rlpeaks_tui.run.marks import CommandMark
from tests.terminal import Terminal
from tests.training_runs import RLPEAKS, end_all, environment, rlpeaks, sets, wait


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "runs"
    end_all(tmp_path / "runs")


def open_terminal(runs: Path, *args: str, columns: int = 120, rows: int = 40) -> Terminal:
    # A folder other than the checkout: the samples and the model come with the package.
    return Terminal([*RLPEAKS, *args], environment(runs), columns, rows, cwd=runs.parent)


def test_run_watch_steer_leave_come_back_and_stop(runs: Path) -> None:
    directory = runs / "quickstart"
    first = open_terminal(runs, "run", "quickstart", *sets(grpo__max_steps=5000))
    # While nothing moves yet it says what it is doing.
    first.wait("STARTING|starting")
    first.wait("importing|loading|preparing|generating")
    first.wait(r"step\s+[1-9]\d* / 5,000")
    for panel in ("Reward", "Entropy", "KL drift", "Calibration", "Update sparsity"):
        first.wait(panel)
    wait(directory, lambda s: s.step >= 5)

    first.press("p")
    first.wait("Pause the training")
    first.press("\r")
    first.wait("paused|PAUSED")
    held = wait(directory, lambda s: s.state == "paused")
    first.press("p")
    first.wait("running|RUNNING|● live")
    wait(directory, lambda s: s.state == "running" and s.step > held.step)

    # A window that changes its size in the middle keeps telling the state.
    first.resize(80, 24)
    first.wait(r"step\s+\d+")
    first.resize(200, 60)
    first.wait("Update sparsity")

    first.press("q")
    assert first.wait_end() == 0
    assert "goes on" in first.raw.decode("utf-8", "replace")
    left = wait(directory, lambda s: s.state == "running")
    wait(directory, lambda s: s.step > left.step)

    second = open_terminal(runs, "watch", columns=80, rows=24)
    second.wait(r"step\s+\d+")
    second.press("s")
    second.wait("[Ss]top")
    second.press("y")
    stopped = wait(directory, lambda s: s.exit is not None)
    assert (stopped.state, stopped.exit.code if stopped.exit else None) == ("stopped", 0)
    second.wait("STOPPED|stopped")
    second.press("q")
    assert second.wait_end() == 0
    assert [c.verb for c in stopped.commands] == ["pause", "resume", "stop"]

    third = open_terminal(runs, "replay", "quickstart")
    third.wait(r"step\s+\d+")
    third.wait("stopped|STOPPED")
    third.press("q")
    assert third.wait_end() == 0


def test_training_survives_its_viewer_being_killed_and_its_window_closed(runs: Path) -> None:
    directory = runs / "quickstart"
    viewer = open_terminal(runs, "run", "quickstart", *sets(grpo__max_steps=5000))
    viewer.wait(r"step\s+[1-9]")
    os.kill(viewer.pid, signal.SIGKILL)
    viewer.wait_end()
    after = wait(directory, lambda s: s.step > 0)
    wait(directory, lambda s: s.state == "running" and s.step > after.step + 2)

    closed = open_terminal(runs, "watch")
    closed.wait(r"step\s+[1-9]")
    closed.close()
    after = wait(directory, lambda s: s.step > 0)
    wait(directory, lambda s: s.state == "running" and s.step > after.step + 2)

    beat = read_heartbeat(Layout(directory))
    assert beat is not None
    # A viewer that is open when the training dies says so, and how.
    watching = open_terminal(runs, "watch")
    watching.wait(r"step\s+[1-9]")
    os.kill(beat.pid, signal.SIGKILL)
    watching.wait("SIGKILL")
    watching.wait("failed|FAILED")
    watching.press("q")
    watching.wait_end()
    assert not process_alive(beat.pid)


def test_a_person_steers_by_keys_and_takes_it_back(runs: Path) -> None:
    directory = runs / "quickstart"
    terminal = open_terminal(runs, "run", "quickstart", *sets(grpo__max_steps=5000, checkpoints__every=0))
    wait(directory, lambda s: s.step >= 4)
    terminal.press("p")
    terminal.wait("Pause the training")
    terminal.press("\r")
    held = wait(directory, lambda s: s.state == "paused")
    terminal.wait("paused|PAUSED")

    def answered(verb: str, count: int = 1) -> CommandMark:
        found = wait(directory, lambda s: sum(m.verb == verb and m.status != "sent" for m in s.commands) >= count)
        return [mark for mark in found.commands if mark.verb == verb][count - 1]

    terminal.press("c")
    terminal.wait("Switch the curriculum")
    terminal.press("\r")
    switched = answered("phase")
    assert (switched.status, switched.after["phase"]) == ("applied", "even mix"), switched.why

    terminal.press("r")
    terminal.wait("Reset the policy")
    terminal.press("\r")
    reset = answered("reset")
    assert (reset.status, reset.after["distance from the start"]) == ("applied", 0), reset.why
    for count, expected in ((1, "reset"), (2, "phase")):
        terminal.press("u")
        terminal.wait(rf"(?s)Undo the last change.*command \d +{expected}")
        terminal.press("\r")
        undone = answered("undo", count)
        assert (undone.status, undone.after["undone"]) == ("applied", expected), undone.why
    assert wait(directory, lambda s: s.state == "paused").step == held.step

    terminal.press("p")
    gone = wait(directory, lambda s: s.step >= held.step + 3)
    assert present.phase(gone) == "easy mix" and not gone.errors
    terminal.press("q")
    assert terminal.wait_end() == 0
    assert rlpeaks(runs, "ctl", "quickstart", "stop").returncode == 0
    end = wait(directory, lambda s: s.exit is not None)
    assert end.state == "stopped"
