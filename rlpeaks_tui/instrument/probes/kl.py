"""KL divergence of the policy from its starting weights, exactly: over the full vocabulary at every
position.

Summing over the vocabulary instead of taking the sampled token's log-ratio is the Rao-Blackwellised
estimator (2504.10637): the same expectation, never more variance. What randomness remains is which
completions were drawn, so the standard error is taken over completions.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

CHUNK_BYTES = 64 << 20


def exact_kl(
    logits: Callable[[slice, bool], torch.Tensor], mask: torch.Tensor, vocabulary: int
) -> tuple[float, float, int, int]:
    """KL(policy || base) per token in nats, on the policy's own completions.

    Args:
        logits: gives [b, T, V] logits of a slice of completions, of the base when the flag is set, else of the policy.
        mask: [B, T], 1 where a completion has a token.
        vocabulary: V, to bound the memory of a chunk.

    Returns:
        The mean over tokens, its standard error (over completions), the number of completions and of tokens.
    """
    size = max(1, CHUNK_BYTES // (4 * vocabulary * mask.size(1)))
    per_completion: list[torch.Tensor] = []
    for start in range(0, len(mask), size):
        rows = slice(start, start + size)
        policy = torch.log_softmax(logits(rows, False), dim=-1)
        base = torch.log_softmax(logits(rows, True), dim=-1)
        kl = (policy.exp() * (policy - base)).sum(-1)  # [b, T]
        per_completion.append((kl * mask[rows]).sum(1))
    sums = torch.cat(per_completion).double()  # [B]
    tokens = mask.sum(1).double()  # [B]
    total = float(tokens.sum())
    if total == 0:
        return math.nan, math.nan, len(mask), 0
    mean = float(sums.sum()) / total
    n = len(mask)
    # A ratio of two means over completions: linearised, with completions as the independent units.
    residual = sums - mean * tokens
    error = math.sqrt(float((residual**2).sum()) * n / max(1, n - 1)) / total
    return mean, error if n > 1 else math.nan, n, int(total)
