"""One generation as TRL has it: part in what goes on to the loss, part in its logs of completions, part in the rows.

On several ranks the logs hold what all of them generated, and the tensors what this one did.
"""

from __future__ import annotations

from typing import Any

import torch
from accelerate.utils import gather_object

from .generation import Generation, as_text
from .probes.outcome import as_outcome

COLUMNS = ("task", "phase", "format", "confidence", "correct")
"""What a dataset or a reward function may say of each completion."""


def collect(
    trainer: Any, inputs: list[dict[str, Any]], output: dict[str, Any], completion_ids: list[list[int]]
) -> Generation:
    """The generation that `trainer` has just scored: `inputs` are its rows, `output` is what TRL made of them."""
    logs = trainer._logs
    local = {name: [row.get(name) for row in inputs] for name in COLUMNS if name in inputs[0]}
    columns: dict[str, list[Any]] = {}
    for name in COLUMNS:
        # A column that a reward function logged wins over one of the dataset: it has been gathered already.
        if name in logs["extra"]:
            columns[name] = list(logs["extra"][name])
        elif name in local:
            columns[name] = gather_object(local[name])
    rewards = {name: [_number(v) for v in logs["rewards"][name]] for name in trainer.reward_func_names}
    weights = dict(zip(trainer.reward_func_names, trainer.reward_weights.tolist(), strict=True))
    total = [
        None if all(v is None for v in row) else sum(w * v for w, v in zip(weights.values(), row, strict=True) if v)
        for row in zip(*rewards.values(), strict=True)
    ]
    mask = output["completion_mask"]
    advantage = output["advantages"]
    here = trainer.accelerator.process_index * len(mask)
    correct = columns.get("correct") or [None] * (here + len(mask))
    right = [float("nan") if (v := as_outcome(c)) is None else v for c in correct[here : here + len(mask)]]
    stops = {trainer.processing_class.eos_token_id, getattr(trainer.processing_class, "pad_token_id", None)}
    ends = [ids[-1] if len(ids) else None for ids in completion_ids]
    return Generation(
        step=trainer.state.global_step + 1,
        group_size=trainer.num_generations,
        prompts=[as_text(prompt) for prompt in logs["prompt"]],
        completions=[as_text(completion) for completion in logs["completion"]],
        rewards=rewards,
        reward=total,
        advantages=list(logs["advantages"]),
        columns=columns,
        input_ids=torch.cat([output["prompt_ids"], output["completion_ids"]], dim=1),
        attention_mask=torch.cat([output["prompt_mask"], mask], dim=1),
        mask=mask,
        lengths=torch.tensor([len(ids) for ids in completion_ids], device=mask.device),
        truncated=torch.tensor([end not in stops for end in ends], device=mask.device),
        advantage=advantage if advantage.ndim == 1 else advantage.mean(1),
        right=torch.tensor(right, device=mask.device),
        ref_logps=output.get("ref_per_token_logps"),
        weights=output.get("importance_sampling_ratio"),
        sampling_logps=output.get("sampling_per_token_logps"),
    )


def _number(value: float) -> float | None:
    return None if value != value else float(value)
