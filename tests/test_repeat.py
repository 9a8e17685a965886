"""A steered run, steered again by the record of its commands: the same steps, the same numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rlpeaks_tui.run.follow import Snapshot
from tests.training_runs import end_all, rlpeaks, sets, wait

SETTINGS = sets(grpo__max_steps=16, checkpoints__every=4, probes__budget=0.0, phases__0__steps=50)


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "runs"
    end_all(tmp_path / "runs")


def ctl(runs: Path, *words: str) -> dict[str, object]:
    done = rlpeaks(runs, "ctl", "first", *words, "--json")
    told: dict[str, object] = json.loads(done.stdout)
    assert told["status"] == "applied", told
    return told


def test_the_record_of_commands_repeats_a_steered_run(runs: Path) -> None:
    assert rlpeaks(runs, "run", "quickstart", "--detach", "--name", "first", *SETTINGS).returncode == 0
    # Held at steps that the test chooses, and let go for a few: the record has the steps.
    wait(runs / "first", lambda s: s.state == "running")
    ctl(runs, "pause")
    held = wait(runs / "first", lambda s: s.state == "paused").step
    ctl(runs, "set", "learning_rate=3e-4")
    ctl(runs, "phase", "hard mix")
    ctl(runs, "checkpoint", "mine")
    ctl(runs, "step", "3")
    wait(runs / "first", lambda s: s.state == "paused" and s.step == held + 3)
    ctl(runs, "reset", "--to", "base", "--blend", "0.3", "--layers", "*mlp*")
    ctl(runs, "step", "2")
    wait(runs / "first", lambda s: s.state == "paused" and s.step == held + 5)
    ctl(runs, "rollback", "mine")
    ctl(runs, "resume")
    first = wait(runs / "first", lambda s: s.state == "finished")

    again = rlpeaks(runs, "run", "quickstart", "--headless", "--name", "second", "--commands", "first", *SETTINGS)
    assert again.returncode == 0, again.stdout + again.stderr
    second = wait(runs / "second", lambda s: s.state == "finished")
    changing = ("set", "phase", "checkpoint", "reset", "rollback")
    before = [(m.verb, m.step) for m in first.commands if m.verb in changing]
    assert [(m.verb, m.step, m.status) for m in second.commands] == [(v, s, "applied") for v, s in before]
    for name in ("reward", "entropy", "loss", "learning_rate", "grad_norm"):
        np.testing.assert_array_equal(steps(first, name), steps(second, name))
        np.testing.assert_allclose(values(first, name), values(second, name), rtol=1e-6, atol=1e-9, err_msg=name)
    assert [p.name for p in first.phases] == [p.name for p in second.phases]
    (branch,), (copy,) = first.branches, second.branches
    assert (
        (branch.step, branch.at, branch.checkpoint) == (copy.step, copy.at, copy.checkpoint) == (held + 5, held, "mine")
    )


def steps(snapshot: Snapshot, name: str) -> np.ndarray:
    return snapshot.columns.get_series(name).steps


def values(snapshot: Snapshot, name: str) -> np.ndarray:
    return snapshot.columns.get_series(name).values
