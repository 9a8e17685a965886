"""What crosses processes: steering a real training, and killing each of its processes."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file

from rlpeaks_tui.run import present
from rlpeaks_tui.run.facts import process_alive, read_exit, read_facts, read_heartbeat
from rlpeaks_tui.run.follow import Snapshot
from rlpeaks_tui.run.layout import Layout
from tests.training_runs import end_all, rlpeaks, sets, wait


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "runs"
    end_all(tmp_path / "runs")


def detached(runs: Path, **values: object) -> Path:
    done = rlpeaks(runs, "run", "quickstart", "--detach", *sets(**values))
    assert done.returncode == 0, done.stderr
    return runs / "quickstart"


def training(snapshot: Snapshot) -> bool:
    return snapshot.state == "running" and snapshot.step >= 2


def trainer_pid(directory: Path) -> int:
    beat = read_heartbeat(Layout(directory))
    assert beat is not None
    return beat.pid


def launcher_pid(directory: Path) -> int:
    lines = (directory / "journal" / "launcher-000001.jsonl").read_text().splitlines()
    pid: int = json.loads(lines[0])["pid"]
    return pid


@pytest.mark.parametrize("processes", [1, 2])
def test_pause_step_resume_and_stop_are_obeyed_answered_and_recorded(runs: Path, processes: int) -> None:
    directory = detached(
        runs,
        grpo__max_steps=5000,
        accelerate__num_processes=processes,
        grpo__per_device_train_batch_size=32 // processes,
    )
    # Sent while the training still starts: it waits in the inbox, and is obeyed at the first safe point.
    assert rlpeaks(runs, "ctl", "quickstart", "note", "early", "--no-wait").returncode == 0
    wait(directory, training)
    switched = rlpeaks(runs, "ctl", "quickstart", "phase", "next", "--json")
    assert json.loads(switched.stdout)["after"]["phase"] == "even mix", switched.stdout

    paused = rlpeaks(runs, "ctl", "quickstart", "pause", "--json")
    answer = json.loads(paused.stdout)
    assert (paused.returncode, answer["status"], answer["after"]) == (0, "applied", {"state": "paused"})
    held = wait(directory, lambda s: s.state == "paused")
    assert held.step == answer["step"]

    again = rlpeaks(runs, "ctl", "quickstart", "pause")
    assert again.returncode == 1 and "paused already" in again.stdout

    assert rlpeaks(runs, "ctl", "quickstart", "step", "2").returncode == 0
    stepped = wait(directory, lambda s: s.state == "paused" and s.step == held.step + 2)
    assert stepped.why == "the steps asked for are done"

    assert rlpeaks(runs, "ctl", "quickstart", "resume").returncode == 0
    wait(directory, lambda s: s.state == "running" and s.step >= held.step + 4)

    stopped = rlpeaks(runs, "ctl", "quickstart", "stop", "--json")
    step = json.loads(stopped.stdout)["step"]
    end = wait(directory, lambda s: s.exit is not None)
    assert (end.state, end.step, end.exit.code if end.exit else None) == ("stopped", step, 0)
    checkpoint = directory / "checkpoints" / f"stop-{step}"
    assert load_file(checkpoint / "model.safetensors") and (checkpoint / "optimizer.pt").exists()
    assert [c.verb for c in end.commands] == ["note", "phase", "pause", "pause", "step", "resume", "stop"]
    assert [c.status for c in end.commands] == [*["applied"] * 3, "refused", *["applied"] * 3]
    assert end.commands[0].step == 1 and present.phase(end) == "even mix"
    assert not end.errors

    late = rlpeaks(runs, "ctl", "quickstart", "pause")
    assert late.returncode == 1 and "stopped" in late.stdout
    # The whole directory is the person's own, and says how it came to be.
    assert directory.stat().st_mode & 0o777 == 0o700
    assert read_facts(Layout(directory)).argv


def test_a_killed_training_process_is_reported_with_its_signal(runs: Path) -> None:
    directory = detached(runs, grpo__max_steps=5000)
    seen = wait(directory, training)
    os.kill(trainer_pid(directory), signal.SIGKILL)
    end = wait(directory, lambda s: s.exit is not None)
    assert (end.state, end.why) == ("failed", "killed by SIGKILL")
    assert end.step >= seen.step
    status = rlpeaks(runs, "status", "quickstart", "--json")
    told = json.loads(status.stdout)
    assert told["state"] == "failed" and told["exit"]["signal"] == "SIGKILL"
    assert "SIGKILL" in rlpeaks(runs, "status", "quickstart").stdout


def test_training_outlives_its_launcher_and_its_end_is_known(runs: Path) -> None:
    directory = detached(runs, grpo__max_steps=25)
    wait(directory, training)
    os.kill(launcher_pid(directory), signal.SIGKILL)
    end = wait(directory, lambda s: not s.live)
    assert (end.state, end.step) == ("finished", 25)
    assert read_exit(Layout(directory)) is None


def test_everything_killed_is_failed_not_running(runs: Path) -> None:
    directory = detached(runs, grpo__max_steps=5000)
    wait(directory, training)
    os.kill(launcher_pid(directory), signal.SIGKILL)
    trainer = trainer_pid(directory)
    os.kill(trainer, signal.SIGKILL)
    end = wait(directory, lambda s: not s.live)
    assert end.state == "failed" and "left no exit status" in end.why
    assert not process_alive(trainer)


def test_an_exception_in_training_shows_its_traceback(runs: Path, tmp_path: Path) -> None:
    # A decay of 1e38 makes weights, then probabilities, not finite: sampling raises in the training process.
    directory = detached(runs, grpo__max_steps=50, grpo__learning_rate=1.0, grpo__weight_decay=1.0e38)
    end = wait(directory, lambda s: s.exit is not None)
    assert end.state == "failed" and end.exit is not None and end.exit.code == 1
    assert end.exit.tail[0].startswith("Traceback") or "Error" in end.exit.tail[-1]
    assert end.why and "accelerate" not in end.exit.tail[-1]
    shown = rlpeaks(runs, "status", "quickstart").stdout
    assert end.exit.tail[-1] in shown


def test_what_trl_refuses_is_one_line_and_leaves_nothing_behind(runs: Path) -> None:
    refused = rlpeaks(runs, "run", "quickstart", "--headless", *sets(grpo__save_strategy="sometimes"))
    assert refused.returncode == 2
    assert len(refused.stderr.strip().splitlines()) == 1 and "sometimes" in refused.stderr
    assert list(runs.iterdir()) == []


def test_a_broken_model_folder_is_refused_and_leaves_nothing_behind(runs: Path, tmp_path: Path) -> None:
    broken = tmp_path / "model"
    broken.mkdir()
    (broken / "config.json").write_text('{"model_type": "llama"}')
    refused = rlpeaks(runs, "run", "quickstart", "--headless", "--set", f"model={broken}")
    assert refused.returncode == 2
    assert len(refused.stderr.strip().splitlines()) == 1 and str(broken) in refused.stderr
    assert list(runs.iterdir()) == []
