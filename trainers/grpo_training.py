"""The training itself: settings to TRL's GRPOTrainer, watched by the instruments."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, TrainerCallback, set_seed
from transformers.utils.logging import disable_progress_bar
from trl import GRPOConfig, GRPOTrainer

from rlpeaks_tui import bundle
from rlpeaks_tui.config import RunFile
from rlpeaks_tui.instrument.curriculum import Curriculum
from rlpeaks_tui.instrument.recorder import Recorder
from rlpeaks_tui.instrument.watcher import Watcher
from rlpeaks_tui.run.facts import read_facts
from rlpeaks_tui.run.layout import Layout
from rlpeaks_tui.smollm2 import cached as cached_smollm2
from trainers.rewards import REWARDS
from trainers.tasks import TASKS


class Refused(Exception):
    """The settings cannot be used; the message is one line for a person."""


def train(directory: Path, recorder: Recorder) -> None:
    """Train the run at `directory` to its end.

    Raises:
        Refused: a setting, the model or the batch cannot be used.
    """
    # The console is for what a person should read; bars and notices about future versions are not that.
    disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning)
    run = msgspec.convert(read_facts(Layout(directory)).config, RunFile)
    trainer = make_trainer(run, directory, lambda doing: recorder.state("starting", doing))
    trainer.add_callback(KeepLast(trainer, recorder))
    phases = [phase.name for phase in run.phases]
    watcher = Watcher(trainer, recorder, run.probes, seed=run.seed, phases=phases, checkpoints=run.checkpoints)
    trainer.add_callback(watcher)
    trainer.train()
    # Left open, the group's threads can abort a rank on its way out, and a good run would count as failed.
    trainer.accelerator.wait_for_everyone()
    trainer.accelerator.end_training()


def make_trainer(run: RunFile, directory: Path, tell: Callable[[str], None]) -> GRPOTrainer:
    """TRL's trainer for a run file, writing into the run at `directory`; `tell` hears what takes its time.

    Raises:
        Refused: a setting, the model or the batch cannot be used.
    """
    arguments = grpo_arguments(run, directory)
    set_seed(run.seed)
    tell("loading the model")
    model, tokenizer = load_model(run)
    prompts_per_step = arguments.generation_batch_size // arguments.num_generations
    dataset = prompts(run, prompts_per_step, arguments.max_steps)
    tell("preparing the trainer")
    try:
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=[REWARDS[name] for name in run.rewards],
            args=arguments,
            train_dataset=dataset,
            eval_dataset=held_out(run),
            processing_class=tokenizer,
        )
    except ValueError as error:
        raise Refused(f"TRL refuses these settings: {_first_line(error)}") from error
    # The journal has every metric already; printed lines would bury what the console is for.
    trainer.remove_callback(PrinterCallback)
    return trainer


class KeepLast(TrainerCallback):  # type: ignore[misc]
    """Saves the trained model as `checkpoints/final` when the run came to its end."""

    def __init__(self, trainer: GRPOTrainer, recorder: Recorder) -> None:
        self._trainer = trainer
        self._recorder = recorder

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step >= state.max_steps:
            self._recorder.doing("saving the trained model")
            self._trainer.save_model(str(Path(args.output_dir) / "final"))


def grpo_arguments(run: RunFile, directory: Path) -> GRPOConfig:
    """TRL's own settings, with defaults that suit being watched; what the run file says wins."""
    settings: dict[str, Any] = {
        "output_dir": str(Layout(directory).checkpoints),
        "logging_steps": 1,
        "report_to": [],
        "disable_tqdm": True,
        "save_strategy": "no",
        "max_steps": 200,
        "seed": run.seed,
        "shuffle_dataset": False,
        "bf16": False,
        "use_cpu": bool(run.accelerate.cpu),
        "reward_weights": list(run.rewards.values()),
        **run.grpo,
    }
    if settings["shuffle_dataset"]:
        raise Refused("grpo.shuffle_dataset: the curriculum decides the order of prompts; leave it false")
    try:
        return GRPOConfig(**settings)
    except (ValueError, TypeError) as error:
        raise Refused(f"TRL refuses these settings: {_first_line(error)}") from error


def load_model(run: RunFile) -> tuple[Any, Any]:
    """Policy and tokenizer: a bundled model, a folder, or a hub id."""
    bundled = cached_smollm2() if run.model == "smollm2" else bundle.model_folder(run.model)
    source = str(bundled) if bundled else run.model
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
        model = AutoModelForCausalLM.from_pretrained(source, dtype=getattr(torch, run.dtype))
    except (OSError, ValueError) as error:
        raise Refused(f"the model {run.model!r} cannot be loaded: {_first_line(error)}") from error
    return model, tokenizer


def prompts(run: RunFile, prompts_per_step: int, steps: int) -> Dataset:
    """A dataset of numbered prompts, made when they are asked for."""
    curriculum = Curriculum(run.phases, prompts_per_step)

    def draw(task: str, rng: Any) -> dict[str, Any]:
        problem = TASKS[task].sample(rng, 1)[0]
        return {"prompt": problem.prompt, "answer": problem.answer}

    numbers = Dataset.from_dict({"number": list(range(prompts_per_step * max(1, steps)))})
    return numbers.with_transform(lambda batch: curriculum.rows(batch["number"], run.seed, draw))


def held_out(run: RunFile) -> Dataset | None:
    """Held-out problems of every task of the curriculum, as many of each; their operands never occur in training."""
    tasks = list(dict.fromkeys(task for phase in run.phases for task in phase.tasks))
    share = -(-run.probes.heldout_prompts // len(tasks))
    rows = [
        {"prompt": problem.prompt, "answer": problem.answer, "task": name}
        for name in tasks
        for problem in TASKS[name].heldout(share)
    ]
    return Dataset.from_list(rows) if rows else None


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
