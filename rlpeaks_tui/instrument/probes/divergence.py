"""How the policy's next-token distributions differ from those of its starting weights, over the full
vocabulary.

Summing over the vocabulary instead of taking the sampled token's log-ratio is the Rao-Blackwellised
estimator (2504.10637): the same expectation, never more variance. What randomness remains is which
completions were drawn, so standard errors are taken over completions. The same two distributions tell at
how many positions anything changed at all: where the argmax differs, and where the Jensen-Shannon
divergence passes 0.1 nats (after 2603.22446).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

import torch
from msgspec import Struct

from ...stats.divergence import JS_THRESHOLD
from ...stats.tokens import by_position

CHUNK_BYTES = 64 << 20

Logits = Callable[[slice, bool], torch.Tensor]
"""Gives [b, T, V] logits of a slice of completions: of the base when the flag is set, else of the policy."""


class Divergence(Struct, frozen=True):
    """Per-token means over `tokens` tokens of `completions` completions; KL and JS in nats."""

    kl: float
    kl_se: float
    js: float
    js_share: float
    argmax: float
    js_by_position: list[float]
    moved: list[tuple[int, int, int]]
    """Most frequent (base token, policy token, times) where the argmax differs."""
    completions: int
    tokens: int


def diverge(logits: Logits, mask: torch.Tensor, vocabulary: int) -> Divergence:
    """KL(policy || base), Jensen-Shannon divergence and argmax disagreement on the completions at hand.

    Args:
        logits: see `Logits`.
        mask: [B, T], 1 where a completion has a token.
        vocabulary: V, to bound the memory of a chunk.
    """
    kls, jss, differs = [], [], []
    moved: Counter[tuple[int, int]] = Counter()
    for rows in _slices(mask, vocabulary):
        policy = torch.log_softmax(logits(rows, False), dim=-1)
        base = torch.log_softmax(logits(rows, True), dim=-1)
        kls.append(_kl(policy, base))
        jss.append(jensen_shannon(policy, base))
        now, then = policy.argmax(-1), base.argmax(-1)
        differ = (now != then) & mask[rows].bool()
        differs.append(differ)
        moved.update(zip(then[differ].tolist(), now[differ].tolist(), strict=True))
    kl, js, differ = torch.cat(kls), torch.cat(jss), torch.cat(differs)  # [B, T]
    tokens = float(mask.sum())
    mean, error = ratio_of_means((kl * mask).sum(1), mask.sum(1))
    if tokens == 0:
        return Divergence(math.nan, math.nan, math.nan, math.nan, math.nan, [], [], len(mask), 0)
    means, _ = by_position(js.cpu().numpy(), mask.cpu().numpy())
    return Divergence(
        kl=mean,
        kl_se=error,
        js=float((js * mask).sum()) / tokens,
        js_share=float(((js > JS_THRESHOLD) * mask).sum()) / tokens,
        argmax=float(differ.sum()) / tokens,
        js_by_position=[float(value) for value in means],
        moved=[(then, now, times) for (then, now), times in moved.most_common(8)],
        completions=len(mask),
        tokens=int(tokens),
    )


def forward_kl(logits: Logits, mask: torch.Tensor, vocabulary: int) -> tuple[float, float]:
    """KL(base || policy) per token in nats with its standard error, on completions that the base wrote."""
    sums = []
    for rows in _slices(mask, vocabulary):
        base = torch.log_softmax(logits(rows, True), dim=-1)
        policy = torch.log_softmax(logits(rows, False), dim=-1)
        sums.append((_kl(base, policy) * mask[rows]).sum(1))
    return ratio_of_means(torch.cat(sums), mask.sum(1))


def js_by_token(logits: Logits, mask: torch.Tensor, vocabulary: int) -> torch.Tensor:
    """[B, T] Jensen-Shannon divergence of policy and base at every position, nats; arguments as for `diverge`."""
    return torch.cat(
        [
            jensen_shannon(torch.log_softmax(logits(rows, False), -1), torch.log_softmax(logits(rows, True), -1))
            for rows in _slices(mask, vocabulary)
        ]
    )


def ratio_of_means(sums: torch.Tensor, counts: torch.Tensor) -> tuple[float, float]:
    """sum(sums) / sum(counts) over completions [B], and its standard error with completions as independent units."""
    sums, counts = sums.double(), counts.double()
    total, n = float(counts.sum()), len(sums)
    if total == 0:
        return math.nan, math.nan
    mean = float(sums.sum()) / total
    if n < 2:
        return mean, math.nan
    # A ratio of two means, linearised.
    residual = sums - mean * counts
    return mean, math.sqrt(float((residual**2).sum()) * n / (n - 1)) / total


def jensen_shannon(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """[b, T] Jensen-Shannon divergence of log-probabilities [b, T, V]."""
    middle = torch.logaddexp(p, q) - math.log(2)
    return (_kl(p, middle) + _kl(q, middle)) / 2


def _kl(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """[b, T] sum over the vocabulary of exp(p) (p - q) for log-probabilities [b, T, V]; 0 where p is impossible."""
    return torch.where(p > -math.inf, p.exp() * (p - q), torch.zeros_like(p)).sum(-1)


def _slices(mask: torch.Tensor, vocabulary: int) -> list[slice]:
    size = max(1, CHUNK_BYTES // (4 * vocabulary * max(1, mask.size(1))))
    return [slice(start, start + size) for start in range(0, len(mask), size)]
