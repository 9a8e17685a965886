"""Update sparsity of every module: how much of the model the training has changed so far.

Three kinds of model are compared in three ways. Ordinary parameters: as they are. Sharded ones: each rank
counts its own shard and the counts are added, so nothing is ever gathered whole. Adapters: the update of
the weights that they stand for, since the share of unchanged adapter entries says nothing; its rank is
bounded by construction, and is said to be.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from msgspec.structs import fields, replace
from numpy.typing import NDArray
from torch import nn

from ...run.layers import Layers
from ...run.masks import Masks, pack
from ...stats.overlap import top_tenth
from ...stats.sparsity import (
    ModuleSparsity,
    UpdateRank,
    bfloat16_round,
    leading,
    measure,
    rank_from_singular_values,
    spectral_shift,
    subspace_angle,
)
from ..starting_weights import StartingWeights, local, reshard

RANKED = 4
"""Matrices whose ranks are measured, one to a kind of place in the model: a singular value decomposition is dear."""

Pair = tuple[str, torch.Tensor, torch.Tensor]


def pairs(model: nn.Module, base: StartingWeights) -> Iterator[Pair]:
    """Name, starting and present values of everything trained; of adapters, of the weights that they stand for."""
    reshard(model)
    adapted = list(_adapted(model))
    if not adapted:
        for name, parameter in model.named_parameters():
            if name in base.tensors and base.tensors[name].numel():
                yield name, base.tensors[name], local(parameter)
        return
    with base.lent_to(model):
        before = {name: _adapter_update(layer) for name, layer in adapted}
    for name, layer in adapted:
        weight = layer.get_base_layer().weight.detach().float().cpu()  # type: ignore[operator]
        yield f"{name}.weight", weight + before[name], weight + _adapter_update(layer)


def measure_update(model: nn.Module, base: StartingWeights, rng: np.random.Generator) -> list[ModuleSparsity]:
    """Compare every module with its starting value, one at a time, so memory stays that of the largest.

    Of sharded parameters only this rank's shard: `of_all_ranks` puts the shards together.
    """
    return [measure(name, _array(before), _array(after), rng) for name, before, after in pairs(model, base)]


def measure_ranks(model: nn.Module, base: StartingWeights) -> dict[str, UpdateRank]:
    """Ranks of the update of a few matrices spread over the depth of a model that is not sharded, and how far it
    turned and scaled their singular directions."""
    matrices = [(name, a, b) for name, a, b in pairs(model, base) if a.ndim == 2 and "embed" not in name]
    chosen = matrices[:: max(1, len(matrices) // RANKED)][:RANKED]
    found = {}
    for name, before, after in chosen:
        w0, w1 = before.to("cpu", torch.float32), after.to("cpu", torch.float32)
        rank = rank_from_singular_values(torch.linalg.svdvals(w1 - w0).numpy(), tuple(w0.shape))
        angle, nss = _turn(w0, w1)
        found[name] = replace(rank, angle=angle, nss=nss)
    return found


def masks_of_update(model: nn.Module, base: StartingWeights, step: int = 0) -> Masks:
    """Which weights of a model that is not sharded differ from their start in bfloat16, and which moved the farthest.

    One module at a time; `step` is only carried into the result.
    """

    def modules() -> Iterator[tuple[str, NDArray[np.bool_], NDArray[np.bool_]]]:
        for name, before, after in pairs(model, base):
            w0, w1 = _array(before), _array(after)
            with np.errstate(invalid="ignore", over="ignore"):
                yield name, bfloat16_round(w0) != bfloat16_round(w1), top_tenth(w1 - w0)

    return pack(step, modules())


def as_layers(modules: list[ModuleSparsity], step: int) -> Layers:
    """No shares of a module whose update is not finite."""

    def column(name: str) -> NDArray[np.float64]:
        told = [getattr(module, name) if module.finite or name in _NORMS else math.nan for module in modules]
        return np.array(told, dtype=np.float64)

    return Layers(
        step=step,
        names=tuple(module.name for module in modules),
        n=np.array([module.n for module in modules], dtype=np.int64),
        exact=column("exact"),
        bf16=column("bf16"),
        relative=column("relative"),
        null=column("null"),
        delta_norm=column("delta_norm"),
        weight_norm=column("weight_norm"),
    )


def _adapted(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Layers with an adapter that stands for an update of one weight."""
    for name, module in model.named_modules():
        if hasattr(module, "get_delta_weight") and hasattr(module, "get_base_layer"):
            yield name, module


def _adapter_update(layer: nn.Module) -> torch.Tensor:
    """The update that a layer's active adapters stand for, float32 in main memory."""
    with torch.no_grad():
        updates = [layer.get_delta_weight(adapter) for adapter in layer.active_adapters]  # type: ignore[operator, union-attr]
    total: torch.Tensor = torch.stack([update.float().cpu() for update in updates]).sum(0)
    return total


def _turn(w0: torch.Tensor, w1: torch.Tensor) -> tuple[float, float]:
    """Largest angle in degrees, of both sides, between the leading singular directions; and the spectral shift."""
    u0, s0, v0 = torch.linalg.svd(w0, full_matrices=False)
    u1, s1, v1 = torch.linalg.svd(w1, full_matrices=False)
    k = leading(tuple(w0.shape))
    nss = spectral_shift(s0.numpy(), s1.numpy())
    if not (s0[k - 1] > 0 and s1[k - 1] > 0):
        return math.nan, nss  # there are not as many directions
    left = subspace_angle(u0[:, :k].numpy(), u1[:, :k].numpy())
    right = subspace_angle(v0[:k].T.numpy(), v1[:k].T.numpy())
    return max(left, right), nss


_SHARES = ("exact", "bf16", "relative", "atol", "null")
_NORMS = ("delta_norm", "weight_norm")


def as_table(modules: list[ModuleSparsity], names: Sequence[str]) -> torch.Tensor:
    """float64[names, 9], zeros for a module of which this rank holds nothing.

    Whole counts up to 2^53 and squares of norms, so that tables can be added over shards.
    """
    assert {field.name for field in fields(ModuleSparsity)} == {"name", "n", "null_n", *_SHARES, *_NORMS}
    rows = {
        m.name: [m.n, m.null_n, *(getattr(m, s) * m.n for s in _SHARES), *(getattr(m, s) ** 2 for s in _NORMS)]
        for m in modules
    }
    nothing = [0.0] * (2 + len(_SHARES) + len(_NORMS))
    return torch.tensor([rows.get(name, nothing) for name in names], dtype=torch.float64)


def of_all_ranks(tables: torch.Tensor, names: Sequence[str]) -> list[ModuleSparsity]:
    """Shards of the same modules on all ranks, put together from [ranks, names, 9]."""
    return [
        ModuleSparsity(
            name=name,
            n=int(n),
            null_n=int(null_n),
            **{share: value / n for share, value in zip(_SHARES, values[: len(_SHARES)], strict=True)},
            **{norm: value**0.5 for norm, value in zip(_NORMS, values[len(_SHARES) :], strict=True)},
        )
        for name, (n, null_n, *values) in zip(names, tables.sum(0).tolist(), strict=True)
        if n
    ]


def _array(tensor: torch.Tensor) -> NDArray[np.float32]:
    """A float32 array of a parameter: a view where it is float32 in main memory already."""
    array: NDArray[np.float32] = tensor.to("cpu", torch.float32).numpy()
    return array
