"""What the update did to right and to wrong completions, and how the two kinds pull on the weights.

Advantage mass by sign is always half and half when advantages are centred in their group, so it cannot show
what negative examples do. Two things can: the change of a completion's own log-probability through the
update (2506.01347 asks about suppression), and the gradients of the two halves of the objective, their
norms and the angle between them.
"""

from __future__ import annotations

import math

import torch
from msgspec import Struct
from torch import nn

from ..generation import Generation


class GradientSplit(Struct, frozen=True):
    """Norms of the policy gradient's parts from positive and negative advantages, and the cosine between them."""

    positive: float
    negative: float
    cosine: float


def split_gradient(
    model: nn.Module, logps: torch.Tensor, advantages: torch.Tensor, mask: torch.Tensor
) -> GradientSplit:
    """Split the gradient of mean_t A log pi by the sign of A. Gradients that training holds are not touched.

    Args:
        model: its trainable parameters are differentiated.
        logps: [b, T] log-probabilities with their graph.
        advantages: [b].
        mask: [b, T].
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    tokens = mask.sum().clamp(min=1)
    parts = []
    for sign in (1.0, -1.0):
        weight = torch.where(advantages * sign > 0, advantages, torch.zeros_like(advantages))
        objective = (weight[:, None] * logps * mask).sum() / tokens
        grads = torch.autograd.grad(objective, parameters, retain_graph=sign > 0, allow_unused=True)
        parts.append([torch.zeros_like(p) if g is None else g for p, g in zip(parameters, grads, strict=True)])
    positive, negative = (_dot(part, part) ** 0.5 for part in parts)
    both = positive * negative
    return GradientSplit(positive, negative, _dot(*parts) / both if both > 0 else math.nan)


def _dot(a: list[torch.Tensor], b: list[torch.Tensor]) -> float:
    return float(sum((x.float() * y.float()).sum() for x, y in zip(a, b, strict=True)))


def change_sums(generation: Generation, after: torch.Tensor, rows: slice) -> torch.Tensor:
    """float64[6] of this rank: summed change of log-probability, tokens and completions, of right and of wrong ones.

    Where it is not known which are right, the sign of the advantage decides.

    Args:
        generation: with the log-probabilities before the update.
        after: [b, T] log-probabilities after it.
        rows: the completions that `after` is of.
    """
    assert generation.logps is not None
    mask = generation.mask[rows].float()
    change = ((after - generation.logps[rows]) * mask).sum(1)  # [b]
    known = ~torch.isnan(generation.right[rows])
    sign = generation.advantage[rows]
    right = torch.where(known, generation.right[rows] > 0.5, sign > 0)
    wrong = torch.where(known, generation.right[rows] <= 0.5, sign < 0)
    return torch.stack(
        [part for kind in (right, wrong) for part in ((change * kind).sum(), (mask.sum(1) * kind).sum(), kind.sum())]
    ).double()


def change_by_outcome(ranks: torch.Tensor) -> tuple[dict[str, float | None], int]:
    """Mean change of log-probability per token through the update, of right and of wrong completions.

    Args:
        ranks: [ranks, 6], the sums of every rank.

    Returns:
        `dlogp/right` and `dlogp/wrong` in nats a token (None where there was no such completion), and how many
        completions there were.
    """
    sums = ranks.sum(0)
    values: dict[str, float | None] = {}
    for name, (total, tokens, _) in zip(("dlogp/right", "dlogp/wrong"), sums.view(2, 3).tolist(), strict=True):
        values[name] = total / tokens if tokens else None
    return values, int(sums[2] + sums[5])
