"""One generation: the completions of a batch of prompts, what they earned, and what was seen of their
tokens.

It is filled in three moments: when the trainer has generated and scored (texts, rewards, advantages), when
the starting weights have looked at the same tokens, and when the loss has been computed (log-probabilities
and entropies of the policy, which then cost nothing extra).
"""

from __future__ import annotations

from typing import Any

import torch
from msgspec import Struct, field


class Generation(Struct):
    """B completions on this rank, N on all; P prompt tokens and T completion tokens, padded.

    Lists are over all ranks, rank by rank, and only the first rank uses them; tensors are this rank's rows.
    """

    step: int
    group_size: int
    prompts: list[str]
    completions: list[str]
    rewards: dict[str, list[float | None]]
    reward: list[float | None]
    advantages: list[float]
    columns: dict[str, list[Any]]
    input_ids: torch.Tensor  # [B, P+T]
    attention_mask: torch.Tensor  # [B, P+T]
    mask: torch.Tensor  # [B, T] 1 where a completion has a token
    lengths: torch.Tensor  # [B]
    truncated: torch.Tensor  # [B]
    advantage: torch.Tensor  # [B]
    right: torch.Tensor  # [B] 1 right, 0 wrong, NaN unknown
    ref_logps: torch.Tensor | None = None  # [B, T] nats, of TRL's reference model where there is one
    weights: torch.Tensor | None = None  # importance weights where a separate sampler generated
    sampling_logps: torch.Tensor | None = None  # [B, T] nats, as a separate sampler gave them
    base_logps: torch.Tensor | None = None  # [B, T] nats
    base_entropies: torch.Tensor | None = None  # [B, T] nats
    js: torch.Tensor | None = None  # [k, T] nats, policy against base, of the first k rows of `traced`
    logps: torch.Tensor | None = None  # [B, T] nats, of the policy that generated
    entropies: torch.Tensor | None = None  # [B, T] nats
    seen: torch.Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.bool))  # [B] rows the loss has seen

    def fill(self, rows: torch.Tensor, logps: torch.Tensor, entropies: torch.Tensor) -> None:
        """Take log-probabilities and entropies [b, T] of `rows` [b] from the loss; a later pass is ignored."""
        if self.logps is None or self.entropies is None:
            self.logps = torch.zeros_like(self.mask, dtype=torch.float32)
            self.entropies = torch.zeros_like(self.logps)
            self.seen = torch.zeros(len(self.mask), dtype=torch.bool, device=self.mask.device)
        fresh = ~self.seen[rows]
        if bool(fresh.all()):
            self.logps[rows] = logps.detach().float()
            self.entropies[rows] = entropies.detach().float()
            self.seen[rows] = True

    def traced(self, count: int) -> list[int]:
        """`count` of this rank's rows, to be kept token by token: one of each group before a second of any."""
        size, n = self.group_size, len(self.mask)
        return sorted(range(n), key=lambda row: (row % size, row))[:count]

    @property
    def phase(self) -> str:
        """The curriculum phase of its prompts, or empty."""
        return str(self.columns["phase"][0]) if self.columns.get("phase") else ""

    @property
    def mean_reward(self) -> float | None:
        """Over all ranks, of the rewards that are known."""
        known = [reward for reward in self.reward if reward is not None]
        return sum(known) / len(known) if known else None

    @property
    def complete(self) -> bool:
        return len(self.seen) > 0 and bool(self.seen.all())

    def sums(self) -> torch.Tensor:
        """[B, 6] by completion: tokens, truncated, then sums of logp, base logp, entropy and k3 (NaN where unknown)."""
        mask = self.mask.float()
        unknown = torch.full_like(mask[:, 0], float("nan"))

        def total(values: torch.Tensor | None) -> torch.Tensor:
            return unknown if values is None else (values * mask).sum(1)

        k3 = None
        if self.base_logps is not None and self.logps is not None:
            # [B, T] k3 = exp(-d) - 1 + d with d = logp - base logp: unbiased for KL(policy || base), never negative
            d = (self.logps - self.base_logps) * mask
            k3 = torch.expm1(-d) + d
        columns = [self.lengths.float(), self.truncated.float(), total(self.logps), total(self.base_logps)]
        return torch.stack([*columns, total(self.entropies), total(k3)], dim=1)


def as_text(value: Any) -> str:
    """A prompt or completion as text: chat messages give the contents of the last turn."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and isinstance(value[-1], dict):
        content = value[-1].get("content", "")
        if isinstance(content, list):
            return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
        return str(content)
    return str(value)
