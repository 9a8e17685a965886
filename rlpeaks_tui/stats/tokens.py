"""What the tokens of one step say about where the policy is going: forks, covariance, mismatch, position, shift.

Everything here is made of arrays that a training step holds anyway, [B, T] of one value a token with a mask of the
tokens that count, so that it can be computed every step. A token that carries nan inside the mask was not measured
and is passed over, rather than turning the whole step into nan.
"""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike, NDArray

from rlpeaks_tui.stats.summaries import Floats

Mask = NDArray[np.bool_]

FORKING_SHARE = 0.2
"""Share of tokens that count as forks: the top fifth by entropy (2506.01939)."""

TOP_SHARE = 0.002
"""Share of tokens whose covariance is looked at apart (2505.22617 acts on 0.02 % to 0.2 % of them)."""


class Covariance(Struct, frozen=True):
    """Covariance of log-probability and advantage over tokens; nan where there are none.

    Attributes:
        mean: Cov(log p, A) over tokens, divided by n. Entropy falls at about the learning rate times this.
        spread: standard deviation of log p. A policy without entropy has no covariance either, whatever it learns.
        top_mean: mean of (log p - mean)(A - mean) over the 0.2 % of tokens where it is largest.
        top_share: what those tokens hold of all positive terms, in [0, 1]; nan when no term is positive, or when
            only pooled sums are known.
        n: tokens.
    """

    mean: float
    spread: float
    top_mean: float
    top_share: float
    n: int


def forking(entropy: ArrayLike, mask: ArrayLike, share: float = FORKING_SHARE) -> tuple[float, Mask]:
    """The tokens where the policy really chooses: the top `share` of the batch by entropy (2506.01939).

    Exactly ceil(share * tokens) are taken. Of tokens that tie at the threshold the first in reading order are
    taken, so that the same batch always gives the same set.

    Args:
        entropy: of the policy at each token, shape [B, T].
        mask: same shape, true where a token counts.
        share: of the tokens, in (0, 1].

    Returns:
        (threshold, forks): the least entropy taken, nan when there are no tokens, and a mask of shape [B, T].

    Raises:
        ValueError: the shapes differ, or `share` is outside (0, 1].
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1, got {share}")
    x, use = _tokens(entropy, mask)
    use &= ~np.isnan(x)
    forks = np.zeros(x.shape, np.bool_)
    values = x[use]
    if not values.size:
        return math.nan, forks
    count = _portion(share, values.size)
    threshold = np.partition(values, values.size - count)[values.size - count]
    taken = values > threshold
    taken[np.flatnonzero(values == threshold)[: count - int(np.count_nonzero(taken))]] = True
    forks[use] = taken
    return float(threshold), forks


def overlap(a: ArrayLike, b: ArrayLike) -> float:
    """Jaccard overlap |a and b| / |a or b| of two masks of one shape; nan when both are empty.

    Two random fifths of the same tokens overlap by 0.11.

    Raises:
        ValueError: the shapes differ.
    """
    first, second = np.asarray(a, np.bool_), np.asarray(b, np.bool_)
    if first.shape != second.shape:
        raise ValueError(f"masks of shape {first.shape} and {second.shape} do not mark the same tokens")
    either = int(np.count_nonzero(first | second))
    return int(np.count_nonzero(first & second)) / either if either else math.nan


def covariance(logp: ArrayLike, advantage: ArrayLike, mask: ArrayLike, top: float = TOP_SHARE) -> Covariance:
    """Covariance of log-probability and advantage over the tokens of a batch (2505.22617).

    Args:
        logp: of the sampled tokens, nats, shape [B, T].
        advantage: of each completion, shape [B].
        mask: shape [B, T], true where a token counts.
        top: share of tokens that `top_mean` and `top_share` are about, in (0, 1].

    Raises:
        ValueError: the shapes do not fit.
    """
    x, y = _pairs(logp, advantage, mask)
    n = x.size
    if not n:
        return Covariance(math.nan, math.nan, math.nan, math.nan, 0)
    # The mean of equal numbers can be off by a rounding, whose products would pass for covariance.
    constant = x.min() == x.max() or y.min() == y.max()
    terms = np.zeros(n) if constant else (x - x.mean()) * (y - y.mean())
    count = _portion(top, n)
    largest = np.partition(terms, n - count)[n - count :]
    positive = float(terms[terms > 0].sum())
    return Covariance(
        mean=float(terms.mean()),
        spread=float(x.std()),
        top_mean=float(largest.mean()),
        top_share=float(largest[largest > 0].sum()) / positive if positive else math.nan,
        n=n,
    )


def moments(logp: ArrayLike, advantage: ArrayLike, mask: ArrayLike) -> Floats:
    """Sums that ranks can add up before `covariance_from_moments`: arguments as in `covariance`.

    Returns:
        Shape [5], float64: tokens, then the sums over them of log p, A, log p * A and (log p)^2.
    """
    x, y = _pairs(logp, advantage, mask)
    return np.array([x.size, x.sum(), y.sum(), (x * y).sum(), np.square(x).sum()], np.float64)


def covariance_from_moments(sums: ArrayLike) -> Covariance:
    """The covariance over all tokens whose `moments` were added into `sums`, shape [5].

    The largest terms cannot be known from sums: `top_mean` and `top_share` are nan.
    """
    n, x, y, xy, xx = np.asarray(sums, np.float64).tolist()
    if not n:
        return Covariance(math.nan, math.nan, math.nan, math.nan, 0)
    spread = math.sqrt(max(xx / n - (x / n) ** 2, 0.0))
    return Covariance(xy / n - x / n * (y / n), spread, math.nan, math.nan, round(n))


def effective_sample_size(weights: ArrayLike) -> float:
    """(sum w)^2 / (N sum w^2): the share of samples that importance weights leave to work with (Kish 1965).

    Args:
        weights: any shape, each >= 0; nan entries are passed over.

    Returns:
        Between 1/N and 1; nan without weights, or when all are 0 or one is infinite.
    """
    w = np.asarray(weights, np.float64).ravel()
    w = w[~np.isnan(w)]
    largest = w.max() if w.size else 0.0
    if largest <= 0 or np.isinf(largest):
        return math.nan
    w = w / largest  # so that neither sum can overflow or vanish
    return float(w.sum() ** 2 / (w.size * np.square(w).sum()))


def by_position(values: ArrayLike, mask: ArrayLike, bins: int = 10) -> tuple[Floats, NDArray[np.int64]]:
    """Mean of a value by where in its completion a token stands: first tenth, second tenth, and so on.

    Token j of a completion of L tokens is in bin floor(j * bins / L), so a completion shorter than `bins` leaves
    some of them out and a completion of one token is in the first.

    Args:
        values: shape [B, T].
        mask: same shape, true where a token counts; positions count only those.
        bins: number of parts, >= 1.

    Returns:
        (means, counts), both of shape [bins]; the mean of an empty bin is nan.

    Raises:
        ValueError: the shapes differ, or `bins` is below 1.
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    x, use = _tokens(values, mask)
    place = np.cumsum(use, axis=1) - 1  # [B, T]
    length = np.maximum(use.sum(axis=1, keepdims=True), 1)
    use &= ~np.isnan(x)
    index = (place * bins // length)[use]
    counts = np.bincount(index, minlength=bins)
    sums = np.bincount(index, x[use], bins)
    return np.divide(sums, counts, out=np.full(bins, np.nan), where=counts > 0), counts


def _tokens(values: ArrayLike, mask: ArrayLike) -> tuple[Floats, Mask]:
    """The values as float64 and a mask of their own to narrow."""
    x, use = np.asarray(values, np.float64), np.array(mask, np.bool_)
    if x.shape != use.shape or x.ndim != 2:
        raise ValueError(f"values {x.shape} and mask {use.shape} must both be [completions, tokens]")
    return x, use


def _pairs(logp: ArrayLike, advantage: ArrayLike, mask: ArrayLike) -> tuple[Floats, Floats]:
    """Log-probability and advantage of every token that has both, shape [n] each."""
    x, use = _tokens(logp, mask)
    a = np.asarray(advantage, np.float64).ravel()
    if a.size != len(x):
        raise ValueError(f"{len(x)} completions and {a.size} advantages do not fit together")
    use &= np.isfinite(x) & np.isfinite(a)[:, None]
    return x[use], np.broadcast_to(a[:, None], x.shape)[use]


def _portion(share: float, n: int) -> int:
    """ceil(share * n), at least 1, at most n; the product's own rounding error must not add one."""
    return min(max(math.ceil(share * n - 1e-9), 1), n)
