"""Putting weights and optimizer state back, in place: the policy that training holds stays the same object."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate
from typing import Any

import torch
from torch import nn

from .checkpoints import Whole
from .random_state import put_random_state


def put_weights(
    model: nn.Module, weights: dict[str, torch.Tensor], blend: float = 1.0, layers: str = "*"
) -> list[nn.Parameter]:
    """Move the parameters whose names match `layers` towards `weights`; gives those that were moved.

    Args:
        model: the policy or the reference, not sharded.
        weights: by parameter name.
        blend: w := (1 - blend) w + blend weights; at 1 the weights are exactly those given.
        layers: a shell pattern.
    """
    wanted = set(matching(weights, layers))
    moved = []
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name not in wanted:
                continue
            given = weights[name].to(parameter.device, parameter.dtype)
            if blend == 1:
                parameter.copy_(given)
            else:
                parameter.lerp_(given, blend)
            moved.append(parameter)
    return moved


def matching(names: Iterable[str], layers: str) -> list[str]:
    """Those of `names` that a shell pattern matches."""
    wanted = re.compile(translate(layers))
    return [name for name in names if wanted.match(name)]


def fresh_optimizer(optimizer: Any, parameters: list[nn.Parameter]) -> None:
    """Forget what the optimizer has gathered about these parameters; the learning rate stays."""
    inner = getattr(optimizer, "optimizer", optimizer)
    for parameter in parameters:
        inner.state.pop(parameter, None)


def put_whole(trainer: Any, model: nn.Module, whole: Whole) -> None:
    """Weights, optimizer, scheduler and random state as they were in a checkpoint."""
    put_weights(model, whole.weights)
    trainer.optimizer.load_state_dict(whole.optimizer)
    trainer.lr_scheduler.load_state_dict(whole.scheduler)
    put_random_state(whole.random)


def tensors_of(model: nn.Module) -> dict[str, torch.Tensor]:
    """Every parameter by name; the tensors are the model's own and no copies."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}
