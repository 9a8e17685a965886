"""Small real trainings inside the test's own process: a TRL trainer on the tiny model, watched or not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, set_seed
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from rlpeaks_tui import bundle
from rlpeaks_tui.config import PROBES, Checkpoints, Probes
from rlpeaks_tui.instrument.recorder import Recorder
from rlpeaks_tui.instrument.watcher import Watcher
from rlpeaks_tui.run.facts import RunInfo, write_facts
from rlpeaks_tui.run.follow import Follower, Snapshot
from rlpeaks_tui.run.layout import SCHEMA, Layout

# Small tensors on a shared machine: threads would only wait for each other.
torch.set_num_threads(1)

EVERY_STEP = Probes(
    budget=1.0, **(dict.fromkeys(PROBES, 1) | {"eval": 2, "routing": 2}), heldout_prompts=4, heldout_samples=4
)
"""Every probe at every step, whatever it costs; those on held-out prompts at every second."""


def exact(completions: list[str], answer: list[str], **_: Any) -> list[float]:
    return [
        float(f":{right}?" in text or f"D{right}?" in text) for text, right in zip(completions, answer, strict=True)
    ]


def short(completions: list[str], **_: Any) -> list[float]:
    return [-len(text) / 100 for text in completions]


def trainer(
    folder: Path,
    kind: str = "grpo",
    dtype: torch.dtype = torch.float32,
    lora: bool = False,
    rewards: list[Callable[..., Any]] | None = None,
    **settings: Any,
) -> Any:
    """A trainer of the tiny model: 16 completions in groups of 4 a step, seeded."""
    tiny = bundle.model_folder("tiny_arith")
    set_seed(1)
    rows = [{"prompt": f"{a}+{b}=", "answer": str(a + b)} for a in range(10, 30) for b in range(10, 20)]
    held_out = [{"prompt": f"{a}+{b}=", "answer": str(a + b), "task": "sums"} for a in (40, 41, 42) for b in (30, 31)]
    common: dict[str, Any] = {
        "output_dir": str(folder / "out"),
        "max_steps": 3,
        "per_device_train_batch_size": 16,
        "num_generations": 4,
        "max_completion_length": 24,
        "learning_rate": 1e-3,
        "logging_steps": 1,
        "report_to": [],
        "use_cpu": True,
        "bf16": False,
        "beta": 0.0,
        "save_strategy": "no",
        "disable_tqdm": True,
        "seed": 1,
        **settings,
    }
    extra: dict[str, Any] = {}
    if lora:
        from peft import LoraConfig

        extra["peft_config"] = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=dtype)
    model.name_or_path = str(tiny)
    made = (RLOOTrainer if kind == "rloo" else GRPOTrainer)(
        model=model,
        processing_class=AutoTokenizer.from_pretrained(tiny),
        reward_funcs=rewards or [exact, short],
        args=(RLOOConfig if kind == "rloo" else GRPOConfig)(**common),
        train_dataset=Dataset.from_list(rows),
        eval_dataset=Dataset.from_list(held_out),
        **extra,
    )
    made.remove_callback(PrinterCallback)
    return made


def watched(
    made: Any,
    folder: Path,
    probes: Probes = EVERY_STEP,
    checkpoints: Checkpoints = Checkpoints(),  # noqa: B008
) -> Watcher:
    """Attach the instruments, writing a run at `folder`/run."""
    layout = Layout(folder / "run")
    layout.create()
    write_facts(layout, RunInfo(schema=SCHEMA, name="run", created=0.0))
    watcher = Watcher(made, Recorder(layout.root), probes, seed=5, checkpoints=checkpoints)
    made.add_callback(watcher)
    return watcher


def read(folder: Path) -> Snapshot:
    follower = Follower(folder / "run")
    while follower.poll(5.0) or follower.more:
        pass
    return follower.snapshot()
