"""Somebody's own training script: run unchanged by `rlpeaks run`, or with one line and started by other means."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlpeaks_tui import bundle
from tests.training_runs import end_all, environment, rlpeaks, wait

SCRIPT = """
import argparse, sys
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

def exact(completions, answer, **kwargs):
    return [float(":" + right + "?" in text) for text, right in zip(completions, answer)]

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--model")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--fail", action="store_true")
    asked = parser.parse_args()
    rows = [{"prompt": f"{a}+{b}=", "answer": str(a + b)} for a in range(10, 30) for b in range(10, 20)]
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(asked.model),
        processing_class=AutoTokenizer.from_pretrained(asked.model),
        reward_funcs=exact,
        args=GRPOConfig(output_dir="trained_here", max_steps=asked.steps, per_device_train_batch_size=16,
                        num_generations=4, max_completion_length=24, report_to=[], use_cpu=True, bf16=False),
        train_dataset=Dataset.from_list(rows),
    )
    WATCH
    trainer.train()
    if asked.fail:
        raise RuntimeError("after training")
"""


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "runs"
    end_all(tmp_path / "runs")


def script(folder: Path, watch: str = "pass") -> Path:
    path = folder / "my_grpo.py"
    path.write_text(SCRIPT.replace("WATCH", watch))
    return path


def tiny() -> str:
    return str(bundle.model_folder("tiny_arith"))


def test_a_script_is_run_unchanged_with_its_own_arguments(runs: Path, tmp_path: Path) -> None:
    path = script(tmp_path)
    done = rlpeaks(runs, "run", "--headless", str(path), "--model", tiny(), "--steps", "3", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    snapshot = wait(runs / "my_grpo", lambda s: s.exit is not None)
    assert (snapshot.state, snapshot.step, snapshot.max_steps) == ("finished", 3, 3)
    assert snapshot.info.trainer == "GRPOTrainer" and snapshot.info.config["args"][:1] == ["--model"]
    for name in ("reward", "entropy", "kl/base_k3", "sparsity/bf16", "calibration/ece"):
        assert name in snapshot.columns, name
    assert len(snapshot.rollout_steps) == 3 and not snapshot.errors


def test_a_script_that_fails_fails_the_run_with_its_own_traceback(runs: Path, tmp_path: Path) -> None:
    done = rlpeaks(
        runs, "run", "--headless", str(script(tmp_path)), "--model", tiny(), "--steps", "2", "--fail", cwd=tmp_path
    )
    assert done.returncode == 1
    assert "RuntimeError: after training" in done.stderr
    told = json.loads(rlpeaks(runs, "status", "my_grpo", "--json").stdout)
    assert told["state"] == "failed" and told["step"] == 2 and "after training" in told["why"]


def test_one_line_in_a_script_started_by_python_makes_a_run_that_watch_finds(runs: Path, tmp_path: Path) -> None:
    path = script(tmp_path, watch="import rlpeaks_tui; rlpeaks_tui.watch(trainer)")
    done = subprocess.run(
        [sys.executable, str(path), "--model", tiny(), "--steps", "3"],
        env=environment(runs), cwd=tmp_path, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(rlpeaks(runs, "status", "trained_here", "--json").stdout)
    assert (told["state"], told["step"], told["max_steps"]) == ("finished", 3, 3)
    assert told["metrics"]["reward"] and told["metrics"]["sparsity/bf16"]
    listed = rlpeaks(runs, "ls").stdout
    assert "trained_here" in listed and "finished" in listed


@pytest.mark.parametrize(
    "text, expected",
    [("def broken(:\n", "not valid Python"), (None, "no such script")],
)
def test_a_script_that_cannot_be_run_is_one_line(runs: Path, tmp_path: Path, text: str | None, expected: str) -> None:
    path = tmp_path / "bad.py"
    if text is not None:
        path.write_text(text)
    done = rlpeaks(runs, "run", str(path))
    assert done.returncode == 2
    assert expected in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert not runs.exists() or list(runs.iterdir()) == []
