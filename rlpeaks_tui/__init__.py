"""rlpeaks: a terminal cockpit for RL post-training.

Importing the package must stay free of numpy, torch and textual: the command line answers `--help` in a
fraction of the time that any of them takes to load.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__version__ = "0.1.0"


def watch(trainer: Any, *, name: str | None = None, runs: str | None = None, budget: float = 0.02) -> None:
    """Watch a TRL trainer: call it once before `trainer.train()`.

    Args:
        trainer: a GRPOTrainer or RLOOTrainer.
        name: of the run (default: the last part of the trainer's output_dir).
        runs: folder of runs (default: $RLPEAKS_RUNS, else ./runs).
        budget: share of training time that measuring may take.

    Raises:
        TypeError: the trainer generates no completions, so there is nothing to watch.
        OSError: the run directory cannot be made.
    """
    from .instrument.attach import attach

    attach(trainer, name=name, runs=runs, budget=budget)
