"""The starting weights: what "drift from the base" is measured against.

TRL loads no reference model when beta is 0, so the instruments keep a copy of their own, of what training
can change and in main memory. It is kept in bfloat16 where that loses nothing, as it does for every model
whose checkpoint was bfloat16, and otherwise in the model's own precision, because a rounded copy would show
a drift that never happened. Looking through the base means lending its tensors to the live model for one
forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor


class StartingWeights:
    """A copy of every trainable parameter of `model` as it is now; of sharded ones, of this rank's shard."""

    def __init__(self, model: nn.Module) -> None:
        self.tensors: dict[str, torch.Tensor] = {
            name: _kept(local(parameter)) for name, parameter in model.named_parameters() if parameter.requires_grad
        }

    @property
    def bytes(self) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensor in self.tensors.values())

    @property
    def precision(self) -> str:
        """The precisions of the copy, most frequent first."""
        kinds = [str(tensor.dtype).removeprefix("torch.") for tensor in self.tensors.values()]
        return " and ".join(sorted(set(kinds), key=kinds.count, reverse=True)) or "nothing"

    @contextmanager
    def lent_to(self, model: nn.Module) -> Iterator[None]:
        """Within, `model` computes with the starting weights; afterwards its own tensors are back, untouched."""
        parameters = self._of(model)
        if not is_sharded(model):
            with self.beside(model) as use_base:
                use_base(True)
                yield
            return
        # Sharded training holds on to the storage itself, so the values move instead of the tensors.
        reshard(model)
        own = {name: local(parameter).clone() for name, parameter in parameters.items()}
        try:
            for name, parameter in parameters.items():
                local(parameter).copy_(self.tensors[name])
            yield
        finally:
            reshard(model)
            for name, parameter in parameters.items():
                local(parameter).copy_(own[name])

    @contextmanager
    def beside(self, model: nn.Module) -> Iterator[Callable[[bool], None]]:
        """Within, the function given switches `model`, which is not sharded, to the starting weights or to its own.

        A switch moves no values, so two models can take turns at every token. On an accelerator the starting weights
        lie beside the model's own for as long as this lasts.
        """
        parameters = self._of(model)
        own = {name: parameter.data for name, parameter in parameters.items()}
        base = {name: self.tensors[name].to(p.device, p.dtype) for name, p in parameters.items()}

        def use(of_base: bool) -> None:
            for name, parameter in parameters.items():
                parameter.data = base[name] if of_base else own[name]

        try:
            yield use
        finally:
            use(False)

    def _of(self, model: nn.Module) -> dict[str, nn.Parameter]:
        return {name: parameter for name, parameter in model.named_parameters() if name in self.tensors}


def is_sharded(model: nn.Module) -> bool:
    """Whether each rank holds only a part of the parameters."""
    return any(isinstance(parameter, DTensor) for parameter in model.parameters())


def reshard(model: nn.Module) -> None:
    """Let go of whole parameters that a forward pass of sharded training has left gathered."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def local(parameter: torch.Tensor) -> torch.Tensor:
    """The part of a parameter that this rank holds: all of it, unless it is sharded."""
    data = parameter.detach()
    if isinstance(data, DTensor):
        shard: torch.Tensor = data.to_local()
        return shard
    return data


def _kept(tensor: torch.Tensor) -> torch.Tensor:
    """A copy in main memory, in bfloat16 if that is exact."""
    rounded = tensor.to(torch.bfloat16)
    exact = bool(torch.equal(rounded.to(tensor.dtype), tensor))
    return (rounded if exact else tensor).to("cpu", copy=True)


@contextmanager
def looking(model: nn.Module) -> Iterator[None]:
    """Within, `model` is only looked at: no gradients, no dropout; modes and random state are as before afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    devices = sorted({p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"})
    with torch.random.fork_rng(devices=devices), torch.no_grad():
        model.eval()
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training
