"""Runs somebody's training script unchanged, and watches the trainer that it makes.

`accelerate launch -m rlpeaks_tui.instrument.shell RUN_DIRECTORY SCRIPT [ARGS...]`: the script sees itself
as `__main__`, with its own arguments and its own folder first on the path. All that is added is one call at
the moment when `train()` is entered on a trainer that generates completions.
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path
from typing import Any

from .attach import DIRECTORY, attach, recorder_of_process


def run(directory: Path, script: str, arguments: list[str]) -> None:
    """Run `script` to its end; whatever it raises goes on to the caller."""
    os.environ[DIRECTORY] = str(directory)
    recorder = recorder_of_process(directory)
    recorder.state("starting", f"running {Path(script).name}")
    _watch_every_trainer()
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(Path(script).resolve().parent))
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        if end.code not in (0, None):
            recorder.state("failed", why=f"the script ended with {end.code}")
        raise
    if recorder.step == 0:
        recorder.state("finished", why="the script ended without a training step that could be watched")


def _watch_every_trainer() -> None:
    from transformers import Trainer

    original = Trainer.train

    def train(self: Any, *args: Any, **kwargs: Any) -> Any:
        if hasattr(self, "_generate_and_score_completions"):
            attach(self, name=None, runs=None, budget=0.0)
        return original(self, *args, **kwargs)

    Trainer.train = train


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
