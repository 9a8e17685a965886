"""Run by two processes: a steered training, with a part that fails on one rank where it is asked to.

`torchrun --nproc_per_node 2 tests/steered.py FOLDER PLAN`: PLAN is JSON, steps to lists of commands. Each rank writes
its weights at the end of every step. While FOLDER has a file `hold`, the second rank hangs in its rewards in the
sixth step.
"""

from __future__ import annotations

import datetime
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from transformers import TrainerCallback

from rlpeaks_tui.instrument import steering
from rlpeaks_tui.instrument.recorder import Recorder
from rlpeaks_tui.instrument.watcher import Watcher
from rlpeaks_tui.run.facts import RunInfo, write_facts
from rlpeaks_tui.run.layout import SCHEMA, Layout
from rlpeaks_tui.run.mailbox import send
from tests.small_trainings import exact, short, trainer
from tests.test_steering import QUIET


class Notes(TrainerCallback):  # type: ignore[misc]
    """Sends commands on the first rank, and keeps a digest of the weights of this one."""

    def __init__(self, run: Path, plan: dict[int, list[str]], rank: int) -> None:
        self._run, self._plan, self._rank = run, plan, rank
        self.digests: list[tuple[str, int, float]] = []

    def _note(self, when: str, state: Any, model: Any) -> None:
        total = sum(float(p.detach().double().abs().sum()) for p in model.parameters())
        self.digests.append((when, int(state.global_step), total))

    def on_step_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        self._note("begin", state, model)

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        self._note("end", state, model)
        for words in self._plan.pop(int(state.global_step), []) if self._rank == 0 else []:
            verb, *rest = words.split()
            send(self._run, verb, *rest, who="tester")


def hangs_in_here(hold: Path) -> None:
    while hold.exists():
        time.sleep(0.02)


def main(folder: Path, plan: dict[int, list[str]], broken_rank: int) -> None:
    hold = folder / "hold"
    # Shorter than the pause: a rank that waited in a collective would be given up.
    seconds = 120 if hold.exists() else 8
    dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=seconds))
    rank = dist.get_rank()
    layout = Layout(folder / "run")
    if rank == 0:
        layout.create()
        write_facts(layout, RunInfo(schema=SCHEMA, name="run", created=0.0))
    dist.barrier()
    if rank == broken_rank:
        original = steering.put_weights

        def broken(*args: Any) -> Any:
            original(*args)
            raise MemoryError("half way on purpose")

        steering.put_weights = broken

    def short_or_none(completions: list[str], **kwargs: Any) -> list[float]:
        if rank == 1 and made.state.global_step == 5:
            hangs_in_here(hold)
        return short(completions, **kwargs)

    rewards = [exact, short_or_none]
    made = trainer(folder, max_steps=8, per_device_train_batch_size=8, beta=0.02, rewards=rewards)
    notes = Notes(layout.root, plan, rank)
    made.add_callback(notes)
    recorder = Recorder(layout.root if rank == 0 else None)
    made.add_callback(Watcher(made, recorder, QUIET, seed=5))
    made.train()
    recorder.close()
    (folder / f"{rank}.json").write_text(json.dumps(notes.digests))
    made.accelerator.end_training()


if __name__ == "__main__":
    torch.set_num_threads(1)
    os.environ.setdefault("ACCELERATE_USE_CPU", "true")
    steps = {int(step): words for step, words in json.loads(sys.argv[2]).items()}
    main(Path(sys.argv[1]), steps, int(sys.argv[3]) if len(sys.argv) > 3 else -1)
