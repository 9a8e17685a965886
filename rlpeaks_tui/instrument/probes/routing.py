"""How much of what training added sits in a few tokens: two models write one completion in lock-step.

At every position the starting weights propose their likeliest token and the policy its own; a rule decides
whose is taken. This is token substitution (after 2603.22446), not steering of activations. Routing every
position where the two differ gives back the policy's own greedy completion, token for token, so that case
says nothing: what informs is how much is recovered at how small a share of tokens, beside the same share at
random and beside the first token alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from msgspec import Struct

from ...stats.divergence import JS_THRESHOLD
from .divergence import jensen_shannon

Step = Callable[[bool, torch.Tensor | None], torch.Tensor]
"""Takes a step of one model: of the base when the flag is set, else of the policy. Given [b] tokens to append, or None
at the beginning, it gives [b, V] logits of the next."""

Rule = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]
"""Says where the policy's token is taken: bool[b] from [b, V] log-probabilities of policy and base, and the place."""


class Decoded(Struct, frozen=True):
    """Completions of b prompts, all arrays [b, T].

    Attributes:
        tokens: what was written; anything goes after the end.
        live: 1 where a completion has a token, its end token included.
        routed: where the rule said to take the policy's token, whether or not it is another than the base's.
        gain: change of log-probability, policy minus base, of the policy's likeliest token, where the two differ; else
            NaN.
    """

    tokens: torch.Tensor
    live: torch.Tensor
    routed: torch.Tensor
    gain: torch.Tensor


def decode(step: Step, rule: Rule, limit: int, stops: torch.Tensor) -> Decoded:
    """Write up to `limit` tokens greedily, the base driving and the policy stepping in where `rule` says.

    Args:
        step: see `Step`.
        rule: see `Rule`.
        limit: tokens at most, at least one.
        stops: tokens that end a completion.
    """
    tokens: torch.Tensor | None = None
    live: torch.Tensor | None = None
    written, lives, routes, gains = [], [], [], []
    for position in range(limit):
        policy = torch.log_softmax(step(False, tokens).float(), dim=-1)
        base = torch.log_softmax(step(True, tokens).float(), dim=-1)
        now, then = policy.argmax(-1), base.argmax(-1)
        live = torch.ones_like(now, dtype=torch.bool) if live is None else live
        differ = (now != then) & live
        routed = rule(policy, base, position) & live
        tokens = torch.where(routed, now, then)
        change = (policy - base).gather(-1, now[:, None]).squeeze(-1)
        written.append(tokens)
        lives.append(live)
        routes.append(routed)
        gains.append(torch.where(differ, change, math.nan))
        live = live & ~torch.isin(tokens, stops)
        if not bool(live.any()):
            break
    return Decoded(*(torch.stack(part, dim=1) for part in (written, lives, routes, gains)))


def everywhere(policy: torch.Tensor, base: torch.Tensor, position: int) -> torch.Tensor:
    """Route every position: the policy's own greedy completion."""
    return torch.ones_like(policy[:, 0], dtype=torch.bool)


def nowhere(policy: torch.Tensor, base: torch.Tensor, position: int) -> torch.Tensor:
    """Route nothing: the base's own greedy completion."""
    return torch.zeros_like(policy[:, 0], dtype=torch.bool)


def first_token(policy: torch.Tensor, base: torch.Tensor, position: int) -> torch.Tensor:
    """Route the first position only: what the choice of an opening is worth by itself."""
    return torch.full_like(policy[:, 0], position == 0, dtype=torch.bool)


def where_shifted(policy: torch.Tensor, base: torch.Tensor, position: int) -> torch.Tensor:
    """Route where the Jensen-Shannon divergence passes 0.1 nats."""
    return jensen_shannon(policy, base) > JS_THRESHOLD


def where_gained(threshold: float) -> Rule:
    """Route where the two differ and the policy's token gained more than `threshold` nats (after 2603.22117)."""

    def rule(policy: torch.Tensor, base: torch.Tensor, position: int) -> torch.Tensor:
        now = policy.argmax(-1)
        gain = (policy - base).gather(-1, now[:, None]).squeeze(-1)
        return (now != base.argmax(-1)) & (gain > threshold)

    return rule


def at_random(rate: float, generator: torch.Generator) -> Rule:
    """Route a share `rate` of all positions, whatever the models say: the control at the same budget."""

    def rule(policy: torch.Tensor, base: torch.Tensor, position: int) -> torch.Tensor:
        drawn = torch.rand(len(policy), generator=generator)
        return (drawn < rate).to(policy.device)

    return rule
