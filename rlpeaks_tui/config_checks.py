"""What the types of a run file cannot say: names that exist, bounds, and TRL's own arithmetic of a batch.

Fields under `grpo:` are TRL's own; their names and plain types are read from the installed source without importing
it, because importing TRL takes seconds and a typing mistake should be answered at once.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import bundle
from .phases import PHASE_WORDS, check_phase
from .run.bounds import REWARD_WEIGHT, bounds_of
from .trl_fields import grpo_fields
from .yaml_lines import as_written, nearest

if TYPE_CHECKING:
    from .config import RunFile, Script

Refuse = Callable[[str, str], None]
"""Called with a key and why its value cannot be used; does not return."""

TASK_NAMES = ("two_operands", "three_operands", "times_digit", "chat_sums")
REWARD_NAMES = ("correct", "calibrated")


def check(run: RunFile, refuse: Refuse) -> None:
    """Everything; `refuse` is called at the first thing that does not hold."""
    fields = grpo_fields()
    for name, value in run.grpo.items():
        if fields and name not in fields:
            refuse(f"grpo.{name}", f"TRL's GRPOConfig has no such field{nearest(name, list(fields))}")
        wanted = fields.get(name)
        if wanted and not wanted.takes(value):
            refuse(f"grpo.{name}", f"expected {wanted.kind}, got {as_written(value)}")
        _within(f"grpo.{name}", name, value, refuse)
    if not 0 <= run.seed < 2**32:
        refuse("seed", "must lie between 0 and 4294967295")
    if not run.rewards:
        refuse("rewards", f"a run needs at least one reward; there are: {', '.join(REWARD_NAMES)}")
    for name, weight in run.rewards.items():
        if name not in REWARD_NAMES:
            there = f"; there are: {', '.join(REWARD_NAMES)}"
            refuse(f"rewards.{name}", f"no such reward{nearest(name, list(REWARD_NAMES)) or there}")
        if not math.isfinite(weight):
            refuse(f"rewards.{name}", "a weight is a finite number")
        _within(f"rewards.{name}", REWARD_WEIGHT + name, weight, refuse)
    check_surroundings(run, refuse)
    _check_phases(run, refuse)
    _check_batch(run, refuse)
    _check_model(run, refuse)


def _within(key: str, setting: str, value: Any, refuse: Refuse) -> None:
    """What a running training could not be set to is no start either, but for 0, which switches a setting off."""
    bounds = bounds_of(setting)
    if bounds is not None and type(value) in (int, float) and value and not bounds.hold(value):
        refuse(key, f"must be {bounds}; got {value:g}")


def _check_phases(run: RunFile, refuse: Refuse) -> None:
    """The curriculum."""
    if not run.phases:
        refuse("phases", "a run file needs at least one phase with its tasks")
    names = [phase.name for phase in run.phases]
    for i, phase in enumerate(run.phases):
        at = f"phases.{i}"
        if not phase.name.strip() or not phase.name.isprintable() or phase.name in names[:i]:
            refuse(f"{at}.name", f"each phase needs a name of its own, one line of text; got {phase.name!r}")
        if phase.name in PHASE_WORDS:
            refuse(f"{at}.name", f"{phase.name!r} already means something to the command `phase`: choose another name")
        unknown = [task for task in phase.tasks if task not in TASK_NAMES]
        if unknown:
            there = f"; there are: {', '.join(TASK_NAMES)}"
            refuse(f"{at}.tasks.{unknown[0]}", f"no such task{nearest(unknown[0], list(TASK_NAMES)) or there}")
        if not phase.tasks or any(not math.isfinite(w) or w <= 0 for w in phase.tasks.values()):
            refuse(f"{at}.tasks", "a phase needs tasks with weights above 0")
        check_phase(phase, at, run.grpo, i == len(run.phases) - 1, refuse)


def check_surroundings(run: RunFile | Script, refuse: Refuse) -> None:
    """The name, how it is started, and how closely it is watched."""
    if run.name and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", run.name):
        refuse("name", "a run's name has letters, digits, '.', '_' and '-', and begins with a letter or digit")
    if not 0 <= run.probes.budget <= 1:
        refuse("probes.budget", "the share of training time spent on measuring lies between 0 and 1")
    for name in (*run.probes.every(), "kl_exact_rollouts", "calibration_window", "heldout_samples"):
        if getattr(run.probes, name) < 1:
            refuse(f"probes.{name}", "must be at least 1")
    for name in ("token_rollouts", "heldout_prompts"):
        if getattr(run.probes, name) < 0:
            refuse(f"probes.{name}", "must be at least 0")
    if run.probes.rollouts_mb < 0:
        refuse("probes.rollouts_mb", "must be at least 1, in megabytes, or 0 to keep every completion")
    if run.checkpoints.every < 0:
        refuse("checkpoints.every", "must be at least 1, in steps, or 0 to write none")
    if not 0 <= run.checkpoints.limit_gb < math.inf:
        refuse("checkpoints.limit_gb", "must be a number of gigabytes, or 0 for no limit")
    if run.accelerate.num_processes < 1:
        refuse("accelerate.num_processes", "must be at least 1")
    if run.accelerate.threads is not None and run.accelerate.threads < 1:
        refuse("accelerate.threads", "must be at least 1")
    if run.accelerate.config_file is not None and not os.path.isfile(run.accelerate.config_file):
        refuse("accelerate.config_file", f"there is no file {run.accelerate.config_file!r}")


def _check_batch(run: RunFile, refuse: Refuse) -> None:
    """The arithmetic of TRL's GRPOConfig, so that a batch it would refuse is refused before anything starts."""

    def number(name: str, default: int | None, least: int = 1) -> Any:
        value = run.grpo.get(name, default)
        if value is None and default is None:
            return None
        if type(value) is not int or value < least:
            refuse(f"grpo.{name}", f"must be a whole number, at least {least}; got {as_written(value)}")
        return value

    per_device = number("per_device_train_batch_size", 8)
    # GRPO compares completions of one prompt, so a group has two at the least.
    group = number("num_generations", 8, least=2)
    accumulated = number("gradient_accumulation_steps", 1)
    steps = number("steps_per_generation", None)
    batch = number("generation_batch_size", None)
    number("max_steps", 1)
    at_once = per_device * run.accelerate.num_processes
    if batch is None:
        batch = at_once * (steps or accumulated)
    elif steps is not None:
        refuse("grpo.generation_batch_size", "says the same as grpo.steps_per_generation; TRL takes one of them")
    elif batch % at_once:
        refuse(
            "grpo.generation_batch_size",
            f"must be a multiple of per_device_train_batch_size x processes, which is {at_once}; got {batch}",
        )
    if batch % group:
        refuse(
            "grpo.num_generations",
            f"a generation batch of {batch} completions does not divide into groups of {group}; "
            f"TRL needs a multiple of num_generations (per_device_train_batch_size x processes x steps_per_generation)",
        )


def _check_model(run: RunFile, refuse: Refuse) -> None:
    model = run.model
    if bundle.model_folder(model) or os.path.isdir(model):
        folder = bundle.model_folder(model) or Path(model)
        if not (folder / "config.json").is_file():
            refuse("model", f"{folder} holds no config.json, so it is no model in the transformers layout")
        return
    if model == "smollm2":
        from .smollm2 import cached

        if cached() is None:
            refuse("model", "SmolLM2 is not prepared on this machine: run `make smollm2` (or `rlpeaks-smollm2`) once")
        return
    if model.startswith((".", "/", "~")):
        refuse("model", f"there is no folder {model!r}")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", model):
        refuse("model", f"{model!r} is neither a bundled model (tiny_arith), a folder, nor a hub id such as org/name")
