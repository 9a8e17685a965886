"""Prompts of the trainer's evaluation set, written to and judged outside of training's own loop.

TRL's own evaluation goes through the same methods as training does and leaves its marks in the metrics that
training logs. Here the policy is only asked for text, with the settings that training samples with, and the
reward functions are called with the same arguments as TRL gives them.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from transformers import GenerationConfig

from .probes.routing import Step
from .trl_bridge import TrlBridge

Row = Mapping[str, Any]
"""A row of the evaluation set: its prompt, and whatever the reward functions want beside it."""

_RESERVED = ("prompt", "completion", "completion_ids")


class Answering:
    """Asks the model of one trainer for completions of other prompts.

    Args:
        trainer: a TRL online trainer.
        bridge: the same, as the instruments see it.
    """

    def __init__(self, trainer: Any, bridge: TrlBridge) -> None:
        self._trainer = trainer
        self._bridge = bridge
        ends = [trainer.processing_class.eos_token_id, *getattr(trainer, "eos_token_ids", [])]
        self.stops = torch.tensor(sorted({end for end in ends if end is not None}), device=bridge.device)
        """Tokens that end a completion."""

        self.longest = int(trainer.max_completion_length)
        """Tokens of a completion at the most."""
        # As training began, whatever is set later: evaluations are compared with each other and with the base.
        self._sampling = copy.deepcopy(getattr(trainer, "generation_config", None)) or GenerationConfig(
            max_new_tokens=self.longest,
            do_sample=True,
            temperature=bridge.temperature,
            top_k=0,
            eos_token_id=self.stops.tolist(),
            pad_token_id=self._pad,
        )

    def rows(self, limit: int) -> tuple[str, list[Row]]:
        """Up to `limit` rows, evenly from the whole evaluation set; none, and why, where there is nothing to ask."""
        held = getattr(self._trainer, "eval_dataset", None)
        if limit == 0:
            return "probes.heldout_prompts is 0, so nothing is held out", []
        if held is None:
            return "the trainer has no eval_dataset, so no prompts are held out from training", []
        if getattr(self._trainer, "environments", None) or getattr(self._trainer, "tools", None):
            return "completions that use tools or environments cannot be evaluated outside of training", []
        if not any(self._callable(function) for function in self._trainer.reward_funcs):
            return "no reward function can be called outside of training", []
        sets = list(held.values()) if isinstance(held, dict) else [held]
        share = max(1, limit // max(1, len(sets)))
        found = [row for one in sets for row in _evenly(one, share)]
        return ("" if found else "the trainer's eval_dataset is empty"), found[:limit]

    def sample(self, prompts: Sequence[Sequence[int]]) -> list[list[int]]:
        """One completion of each prompt (token ids), sampled as training began; the global random state is used."""
        trainer, config = self._trainer, self._sampling
        model: Any = self._bridge.model
        at_once = int(trainer.args.per_device_train_batch_size * trainer.args.steps_per_generation)
        found: list[list[int]] = []
        # Whatever the model's own configuration says beside the trainer's would be mixed in.
        own, model.generation_config = model.generation_config, config
        try:
            for start in range(0, len(prompts), at_once):
                ids, mask = self._padded(prompts[start : start + at_once])
                out = model.generate(input_ids=ids, attention_mask=mask, generation_config=config)
                found += [self._cut(row) for row in out[:, ids.size(1) :].tolist()]
        finally:
            model.generation_config = own
        return found

    def lock_step(self, prompts: Sequence[Sequence[int]], use_base: Callable[[bool], None]) -> Step:
        """Policy and base on the same prompts, token by token, each with what it has computed so far."""
        ids, mask = self._padded(prompts)
        caches: dict[bool, Any] = {True: None, False: None}
        seen = {True: mask, False: mask}

        def step(of_base: bool, tokens: torch.Tensor | None) -> torch.Tensor:
            use_base(of_base)
            if tokens is not None:
                seen[of_base] = torch.cat([seen[of_base], torch.ones_like(mask[:, :1])], dim=1)
            inputs = ids if tokens is None else tokens[:, None]
            positions = (seen[of_base].cumsum(-1) - 1).clamp(min=0)[:, -inputs.size(1) :]
            out = self._bridge.model(
                input_ids=inputs,
                attention_mask=seen[of_base],
                position_ids=positions,
                past_key_values=caches[of_base],
                use_cache=True,
                logits_to_keep=1,
            )
            caches[of_base] = out.past_key_values
            logits: torch.Tensor = out.logits[:, -1]
            return logits

        return step

    def rewards(
        self, rows: Sequence[Row], ids: Sequence[Sequence[int]]
    ) -> tuple[list[float | None] | None, dict[str, list[float | None]]]:
        """What reward functions say of completions `ids` of `rows`: `correct` if one logs it, and values by function.

        Raises:
            Exception: whatever a reward function raises.
            ValueError: a reward function gave a wrong number of values.
        """
        if not rows:
            return None, {}
        trainer = self._trainer
        texts = trainer.processing_class.batch_decode(ids, skip_special_tokens=True)
        prompts = [row["prompt"] for row in rows]
        chat = not isinstance(prompts[0], str)
        completions = [[{"role": "assistant", "content": text}] for text in texts] if chat else texts
        extra: dict[str, list[Any]] = {}
        given: dict[str, Any] = {name: [row.get(name) for row in rows] for name in rows[0] if name not in _RESERVED}
        given |= {
            "trainer_state": trainer.state,
            "log_extra": lambda column, values: extra.setdefault(column, []).extend(values),
            "log_metric": lambda name, value: None,
        }
        values: dict[str, list[float | None]] = {}
        for name, function in zip(trainer.reward_func_names, trainer.reward_funcs, strict=True):
            if self._callable(function):
                told = function(prompts=prompts, completions=completions, completion_ids=list(ids), **given)
                found = [_number(value) for value in (asyncio.run(told) if inspect.iscoroutine(told) else told)]
                if len(found) != len(rows):
                    raise ValueError(f"reward function {name} gave {len(found)} values for {len(rows)} completions")
                values[name] = found
        correct = extra.get("correct")
        return (correct if correct is not None and len(correct) == len(rows) else None), values

    @property
    def _pad(self) -> int:
        pad = getattr(self._trainer.processing_class, "pad_token_id", None)
        return int(pad if pad is not None else self._trainer.processing_class.eos_token_id)

    def _padded(self, prompts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """[b, P] ids and attention mask, padded on the left."""
        width = max(len(prompt) for prompt in prompts)
        ids = torch.full((len(prompts), width), self._pad)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :] = torch.tensor(prompt)
            mask[row, width - len(prompt) :] = 1
        return ids.to(self._bridge.device), mask.to(self._bridge.device)

    def _cut(self, row: list[int]) -> list[int]:
        stops = set(self.stops.tolist())
        end = next((i for i, token in enumerate(row) if token in stops), len(row) - 1)
        return row[: end + 1]

    @staticmethod
    def _callable(function: Any) -> bool:
        return callable(function) and not isinstance(function, torch.nn.Module)


def _evenly(rows: Any, limit: int) -> list[Row]:
    """Up to `limit` rows of a dataset, spread over the whole of one that knows its length."""
    if not hasattr(rows, "__len__"):
        return [row for row, _ in zip(rows, range(limit), strict=False)]
    count = min(limit, len(rows))
    return [rows[i * len(rows) // count] for i in range(count)]


def _number(value: Any) -> float | None:
    if value is None:
        return None
    found = float(value)
    return found if math.isfinite(found) else None
