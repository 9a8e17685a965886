"""How far the policy has moved, token by token: entropy, KL and its estimators, JS, disagreement.

The exact quantities need both models' logits over the whole vocabulary and are meant for a probe subset; the
sampled estimators k1, k2 and k3 need only the log-probabilities of the tokens that were generated. Everything
is in nats and in float64 inside: a KL of 1e-6 is a difference of much larger numbers. Logits computed in
bfloat16 still put a floor of about 1e-5 to 1e-4 nats under any KL, which no later precision removes.

Both models' logits must be divided by the same sampling temperature first; mixing temperatures measures the
temperature.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike, NDArray

from rlpeaks_tui.stats.summaries import Floats

JS_THRESHOLD = 0.1
"""Nats of JS divergence above which a position counts as changed; our choice, after 2603.22446's distinction."""

_BLOCK = 1 << 21
"""Logits worked on at once, so that the float64 temporaries stay near 16 MB each whatever the batch."""


class TokenDivergence(Struct, frozen=True):
    """Exact divergences at each position, all of the shape of the logits without their last axis.

    Attributes:
        entropy: of the policy, nats.
        kl: KL(policy || reference), the Rao-Blackwellised estimator of sequence KL (2504.10637).
        forward_kl: KL(reference || policy).
        js: Jensen-Shannon divergence, between 0 and log 2 nats (not its square root).
        disagree: the two models' most likely tokens differ.
    """

    entropy: Floats
    kl: Floats
    forward_kl: Floats
    js: Floats
    disagree: NDArray[np.bool_]


def log_softmax(logits: ArrayLike) -> Floats:
    """Log-probabilities over the last axis, float64, for logits [..., V] of any size including -inf.

    A row without any finite logit, or with +inf, gives nan.
    """
    x = np.asarray(logits, np.float64)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        shifted = x - x.max(axis=-1, keepdims=True)
        result: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def entropy(logits: ArrayLike) -> Floats:
    """Exact entropy over the whole vocabulary, -sum p log p in nats, for logits [..., V]; shape [...]."""
    x = np.asarray(logits)
    rows = x.reshape(-1, x.shape[-1])
    out = np.empty(len(rows))
    for part in _blocks(rows):
        logp = log_softmax(rows[part])
        out[part] = -_expect(np.exp(logp), logp)
    return out.reshape(x.shape[:-1])


def compare(policy_logits: ArrayLike, reference_logits: ArrayLike) -> TokenDivergence:
    """Every exact divergence between two models at each position.

    Args:
        policy_logits: shape [..., V], at the sampling temperature.
        reference_logits: same shape, same temperature, same tokens before each position.

    Returns:
        Arrays of shape [...]. KL is inf where the reference gives no mass to a token that the policy may emit.

    Raises:
        ValueError: the shapes differ.
    """
    p_logits, q_logits = np.asarray(policy_logits), np.asarray(reference_logits)
    if p_logits.shape != q_logits.shape:
        raise ValueError(f"policy logits {p_logits.shape} and reference logits {q_logits.shape} differ in shape")
    p_rows = p_logits.reshape(-1, p_logits.shape[-1])
    q_rows = q_logits.reshape(p_rows.shape)
    h, kl, forward, js = np.empty((4, len(p_rows)))
    disagree = np.empty(len(p_rows), np.bool_)
    for part in _blocks(p_rows):
        logp, logq = log_softmax(p_rows[part]), log_softmax(q_rows[part])
        p, q = np.exp(logp), np.exp(logq)
        with np.errstate(invalid="ignore"):
            middle = np.logaddexp(logp, logq) - np.log(2.0)
            h[part] = -_expect(p, logp)
            # Exact values are >= 0; rounding may leave them a hair below.
            kl[part] = np.maximum(_expect(p, logp - logq), 0.0)
            forward[part] = np.maximum(_expect(q, logq - logp), 0.0)
            mixed = 0.5 * (_expect(p, logp - middle) + _expect(q, logq - middle))
        js[part] = np.clip(mixed, 0.0, np.log(2.0))
        disagree[part] = p_rows[part].argmax(axis=-1) != q_rows[part].argmax(axis=-1)
    shape = p_logits.shape[:-1]
    return TokenDivergence(
        h.reshape(shape),
        kl.reshape(shape),
        forward.reshape(shape),
        js.reshape(shape),
        disagree.reshape(shape),
    )


def k1(logp: ArrayLike, reference_logp: ArrayLike) -> Floats:
    """log p - log q of sampled tokens: unbiased for KL(policy || reference), noisy, often negative."""
    return np.asarray(logp, np.float64) - np.asarray(reference_logp, np.float64)


def k2(logp: ArrayLike, reference_logp: ArrayLike) -> Floats:
    """(log p - log q)^2 / 2: low variance, biased (about -10 % at 0.2 nats)."""
    return 0.5 * np.square(k1(logp, reference_logp))


def k3(logp: ArrayLike, reference_logp: ArrayLike) -> Floats:
    """q/p - 1 - log(q/p): unbiased and never negative; TRL's `kl`. Its variance can be unbounded (2504.10637)."""
    delta = k1(logp, reference_logp)
    with np.errstate(over="ignore"):
        return np.maximum(np.expm1(-delta) + delta, 0.0)  # rounding may leave a tiny delta a hair below 0


def _expect(weight: Floats, value: Floats) -> Floats:
    """sum over the last axis of weight * value, with 0 * anything = 0: a token without mass adds nothing."""
    result: Floats = np.multiply(weight, value, out=np.zeros_like(weight), where=weight != 0).sum(axis=-1)
    return result


def _blocks(rows: NDArray[np.generic]) -> list[slice]:
    size = max(1, _BLOCK // max(1, rows.shape[-1]))
    return [slice(start, start + size) for start in range(0, len(rows), size)]
