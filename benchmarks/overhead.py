"""What watching costs: the same training with and without the instruments, in turns, as a ratio with its
spread.

`python -m benchmarks.overhead [--model tiny|smollm2] [--pairs N] [--steps N] [--budget SHARE]`

Both kinds of run have a callback that reads two clocks at the end of each step: the processor time of the
process, which other programs on the machine cannot stretch, and the wall clock. The first steps, which pay
for warming up and for the first time of every probe, are left out and told apart. Each pair gives one ratio
of mean step times by either clock. On an accelerator only the wall clock counts.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from transformers import TrainerCallback

from rlpeaks_tui.config import Probes, RunFile, load
from rlpeaks_tui.instrument.recorder import Recorder
from rlpeaks_tui.instrument.watcher import Watcher
from rlpeaks_tui.run.facts import RunInfo, write_facts
from rlpeaks_tui.run.layout import SCHEMA, Layout
from trainers.grpo_training import curriculum_of, make_trainer

WARM_UP = {"tiny": 10, "smollm2": 2}


class Clock(TrainerCallback):  # type: ignore[misc]
    """Notes when each step ended; added last, so that it sees what the other callbacks cost."""

    def __init__(self) -> None:
        self.ends: list[tuple[float, float]] = []

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.ends.append(now())

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        if len(self.ends) > 1:
            # Logging comes after the end of a step: the next beginning is the true end.
            self.ends[-1] = now()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.ends.append(now())

    def per_step(self, skip: int) -> np.ndarray:
        """Mean seconds of a step after the first `skip`: [processor, wall]."""
        ends = np.array(self.ends[skip:])
        return np.asarray((ends[-1] - ends[0]) / (len(ends) - 1))


def now() -> tuple[float, float]:
    return time.process_time(), time.perf_counter()


def run_once(run: RunFile, folder: Path, watch: bool, skip: int) -> tuple[np.ndarray, float]:
    """Mean step time of one training by both clocks, and the share that the instruments say they spent."""
    layout = Layout(folder)
    layout.create()
    write_facts(layout, RunInfo(schema=SCHEMA, name=folder.name, created=time.time()))
    trainer = make_trainer(run, folder, lambda _: None)
    curriculum = curriculum_of(run, trainer.args)
    recorder = Recorder(folder if watch else None)
    watcher = None
    if watch:
        watcher = Watcher(trainer, recorder, run.probes, seed=run.seed, curriculum=curriculum)
        trainer.add_callback(watcher)
    else:
        generate = trainer._generate_and_score_completions
        trainer._generate_and_score_completions = lambda inputs: generate(curriculum.rows(inputs))
    clock = Clock()
    trainer.add_callback(clock)
    trainer.train()
    recorder.close()
    spent = watcher._measuring.budget.spent / watcher._measuring.budget.trained if watcher else 0.0
    return clock.per_step(skip), spent


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--model", choices=("tiny", "smollm2"), default="tiny")
    ask.add_argument("--pairs", type=int, default=5)
    ask.add_argument("--steps", type=int, default=None)
    ask.add_argument("--budget", type=float, default=Probes().budget)
    asked = ask.parse_args()
    torch.set_num_threads(1 if asked.model == "tiny" else 2)
    steps = asked.steps or (110 if asked.model == "tiny" else 8)
    sample = "quickstart" if asked.model == "tiny" else "smollm2"
    run, _ = load(sample, [f"grpo.max_steps={steps}"])
    run = msgspec.structs.replace(run, probes=Probes(budget=asked.budget))
    skip = WARM_UP[asked.model]
    ratios, spents = [], []
    with tempfile.TemporaryDirectory() as folder:
        for pair in range(asked.pairs):
            order = (False, True) if pair % 2 == 0 else (True, False)
            mean: dict[bool, np.ndarray] = {}
            for watch in order:
                mean[watch], spent = run_once(run, Path(folder) / f"{pair}-{watch}", watch, skip)
                if watch:
                    spents.append(spent)
            ratios.append(mean[True] / mean[False])
            cpu, wall = ratios[-1]
            print(f"pair {pair + 1}: {mean[False][0] * 1e3:8.1f} ms of processor a step without, "
                  f"{mean[True][0] * 1e3:8.1f} ms with, ratio {cpu:.3f}; wall clock {wall:.3f}; "
                  f"own account {spents[-1]:.1%}", flush=True)  # fmt: skip
    print(
        f"{asked.model}, budget {asked.budget:.0%}, {steps} steps, median of {asked.pairs} pairs (lowest to highest):"
    )
    for name, column in zip(("processor time", "wall clock"), np.array(ratios).T, strict=True):
        print(f"  {name:<15} ratio {np.median(column):.3f} ({column.min():.3f} to {column.max():.3f})")


if __name__ == "__main__":
    main()
