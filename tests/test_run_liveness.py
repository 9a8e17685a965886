"""What state a run is in: the truth table, with processes that live, died, or are somewhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from rlpeaks_tui.run.entries import RunState, State
from rlpeaks_tui.run.facts import Exit, Heartbeat, process_alive
from rlpeaks_tui.run.liveness import SILENCE, Condition, judge
from tests.run_fakes import BEGAN, HERE, info

NOW = BEGAN + 1000.0
ELSEWHERE = "node-17"
SLEEPER = [sys.executable, "-c", "input()"]


@pytest.fixture(scope="module")
def dead() -> int:
    """The id of a process that was there and is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture(scope="module")
def alive() -> Iterator[int]:
    process = subprocess.Popen(SLEEPER, stdin=subprocess.PIPE)
    yield process.pid
    process.kill()
    process.communicate()


@pytest.fixture
def zombie() -> Iterator[int]:
    """A process that has ended and that nobody has asked about."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    yield process.pid
    process.wait()


def beat(pid: int, age: float = 0.1, host: str = HERE, **more: Any) -> Heartbeat:
    return Heartbeat(**{"t": NOW - age, "beat": 1, "pid": pid, "host": host, "step": 3, **more})


def launched(pid: int, host: str = HERE, age: float = 500.0) -> State:
    return State(t=NOW - age, state="starting", by="launcher", activity="starting Accelerate", pid=pid, host=host)


def trainer(state: RunState, **more: Any) -> State:
    return State(**{"t": NOW - 100, "state": state, **more})


def judged(
    last: State | None = None,
    launcher: State | None = None,
    beat: Heartbeat | None = None,
    ended: Exit | None = None,
    **facts: Any,
) -> Condition:
    return judge(info(**facts), last, launcher, beat, ended, NOW)


def test_starting_before_anybody_reported() -> None:
    assert judged(created=NOW - 1).state == "starting"
    assert judged(created=NOW - SILENCE - 1).state == "lost"


@pytest.mark.parametrize("launcher_alive", [True, False])
@pytest.mark.parametrize("trainer_alive", [True, False])
@pytest.mark.parametrize("state", ["starting", "running", "paused"])
def test_who_was_killed(alive: int, dead: int, launcher_alive: bool, trainer_alive: bool, state: RunState) -> None:
    found = judged(trainer(state), launched(alive if launcher_alive else dead), beat(alive if trainer_alive else dead))
    # Either of the two goes on reporting for the other; only when both are gone nobody will.
    if launcher_alive or trainer_alive:
        assert found.state == state
    else:
        assert found.state == "failed" and "gone" in found.why


def test_a_launcher_that_died_before_the_training_process_began(alive: int, dead: int) -> None:
    assert judged(launched(alive), launched(alive)).state == "starting"
    assert judged(launched(dead), launched(dead)).state == "failed"
    assert judged(None, None, launcher_pid=alive).state == "starting"
    assert judged(None, None, launcher_pid=dead).state == "failed"
    assert judged(None, None, pid=dead, created=NOW).state == "failed"


def test_a_zombie_counts_as_gone(zombie: int) -> None:
    assert judged(trainer("running"), launched(zombie), beat(zombie)).state == "failed"


@pytest.mark.parametrize("pid", [0, -1, -17, 2**31, 2**62, -(2**62)])
def test_ids_that_no_process_can_have_are_not_alive(pid: int) -> None:
    assert not process_alive(pid)
    assert judged(trainer("running"), launched(pid), beat(pid)).state == "failed"


def test_processes_are_told_apart(alive: int, dead: int, zombie: int) -> None:
    assert [process_alive(pid) for pid in (os.getpid(), alive, 1, dead, zombie)] == [True, True, True, False, False]


def test_on_another_host_only_silence_tells(dead: int, alive: int) -> None:
    for pid in (dead, alive):
        away = launched(pid, ELSEWHERE)
        assert judged(trainer("running"), away, beat(pid, 5, ELSEWHERE), host=ELSEWHERE).state == "running"
        lost = judged(trainer("running"), away, beat(pid, SILENCE + 5, ELSEWHERE), host=ELSEWHERE)
        assert lost.state == "lost" and ELSEWHERE in lost.why and "65 s" in lost.why


def test_on_another_host_a_training_that_never_began_is_lost_after_a_while(dead: int) -> None:
    fresh, old = launched(dead, ELSEWHERE, age=5), launched(dead, ELSEWHERE, age=SILENCE + 5)
    assert judged(fresh, fresh, host=ELSEWHERE, created=NOW - 6).state == "starting"
    assert judged(old, old, host=ELSEWHERE, created=NOW - SILENCE - 6).state == "lost"


def test_launcher_here_and_training_elsewhere_goes_by_the_training(dead: int) -> None:
    assert judged(trainer("running"), launched(dead), beat(dead, 5, ELSEWHERE)).state == "running"
    assert judged(trainer("running"), launched(dead), beat(dead, SILENCE + 5, ELSEWHERE)).state == "lost"


@pytest.mark.parametrize(
    ("said", "ended", "state", "why"),
    [
        ("running", Exit(t=NOW, code=-9, signal="SIGKILL"), "failed", "killed by SIGKILL"),
        ("running", Exit(t=NOW, code=1, signal="SIGKILL"), "failed", "killed by SIGKILL"),
        ("running", Exit(t=NOW, code=1), "failed", "exit status 1"),
        ("running", Exit(t=NOW, code=0), "finished", ""),
        ("starting", Exit(t=NOW, code=3), "failed", "exit status 3"),
        ("starting", Exit(t=NOW, code=0), "finished", ""),
        ("finished", Exit(t=NOW, code=0), "finished", ""),
        ("stopped", Exit(t=NOW, code=0), "stopped", ""),
        ("failed", Exit(t=NOW, code=1), "failed", "exit status 1"),
        ("finished", Exit(t=NOW, code=1), "failed", "exit status 1"),
        ("stopped", Exit(t=NOW, code=-15, signal="SIGTERM"), "failed", "killed by SIGTERM"),
    ],
)
def test_an_exit_is_the_last_word(alive: int, said: RunState, ended: Exit, state: RunState, why: str) -> None:
    # Even while something with that id still lives: it may be a later process.
    found = judged(trainer(said), launched(alive), beat(alive), ended)
    assert (found.state, found.why, found.since) == (state, why, NOW)


def test_the_training_process_knows_better_than_a_status_why_it_failed(dead: int) -> None:
    found = judged(trainer("failed", why="ValueError: no"), launched(dead), beat(dead), Exit(t=NOW, code=1))
    assert (found.state, found.why) == ("failed", "ValueError: no")


@pytest.mark.parametrize("said", ["finished", "stopped", "failed"])
def test_an_end_that_was_told_stays_when_everybody_is_gone(dead: int, said: RunState) -> None:
    found = judged(trainer(said, why="done"), launched(dead), beat(dead, 10_000))
    assert (found.state, found.why) == (said, "done")


def test_what_it_does_comes_from_the_newest_word(alive: int) -> None:
    said = trainer("running", activity="training")
    newer = judged(said, launched(alive), beat(alive, activity="generating", since=NOW - 10))
    older = judged(said, launched(alive), beat(alive, activity="importing", since=NOW - 500))
    assert (newer.activity, newer.since) == ("generating", NOW - 10)
    assert (older.activity, older.since) == ("training", NOW - 100)
