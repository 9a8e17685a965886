"""pass@k: what a policy can do when it may try k times, and how sure of that one can be.

The interval resamples problems: a binomial interval over samples would treat a hundred tries at one problem as a
hundred problems. With n close to k the unbiased estimator is at its noisiest, so n >= 2k is marked as steady.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike, NDArray

from rlpeaks_tui.stats.summaries import Floats


class PassCurve(Struct, frozen=True):
    """pass@k against k, over one set of problems. Arrays have shape [len(ks)].

    Attributes:
        ks: the k of each entry.
        mean: mean over problems; nan where some problem has fewer than k samples.
        low, high: 95 % interval, resampling problems; nan with fewer than two problems.
        steady: every problem has at least 2k samples.
        problems: how many problems.
    """

    ks: NDArray[np.int64]
    mean: Floats
    low: Floats
    high: Floats
    steady: NDArray[np.bool_]
    problems: int


def pass_at_k(samples: ArrayLike, correct: ArrayLike, ks: ArrayLike) -> Floats:
    """Unbiased chance that at least one of k samples is correct, problem by problem.

    1 - C(n - c, k) / C(n, k) (2107.03374, section 2.1), as a product of k ratios, none of which overflows.

    Args:
        samples: samples drawn per problem, n, shape [P].
        correct: how many of them were correct, c, shape [P], 0 <= c <= n.
        ks: values of k, shape [K], each >= 1.

    Returns:
        Shape [P, K], exactly 1 where n - c < k; nan where n < k, since then nothing is known.

    Raises:
        ValueError: some c is outside 0..n, or some k is below 1.
    """
    n = np.asarray(samples, np.int64).reshape(-1, 1)
    c = np.asarray(correct, np.int64).reshape(-1, 1)
    k = np.asarray(ks, np.int64).ravel()
    if n.shape != c.shape or ((c < 0) | (c > n)).any():
        raise ValueError("each problem needs 0 <= correct <= samples")
    if not k.size or k.min() < 1:
        raise ValueError("k must be at least 1")
    drawn = np.arange(k.max())  # [max k]
    # Chance that the next sample is wrong too, after `drawn` wrong ones were taken out.
    wrong = np.maximum(n - c - drawn, 0) / np.maximum(n - drawn, 1)
    result = 1.0 - np.cumprod(wrong, axis=1)[:, k - 1]
    result[n < k] = np.nan
    return result


def pass_curve(
    samples: ArrayLike, correct: ArrayLike, ks: ArrayLike, rng: np.random.Generator, resamples: int = 1000
) -> PassCurve:
    """Mean pass@k over problems with a percentile bootstrap over problems.

    Args:
        samples, correct, ks: as in `pass_at_k`.
        rng: source of the resamples; the same state gives the same interval.
        resamples: number of bootstrap samples.

    Raises:
        ValueError: as `pass_at_k`, or there are no problems.
    """
    each = pass_at_k(samples, correct, ks)
    problems = len(each)
    if not problems:
        raise ValueError("there are no problems")
    k = np.asarray(ks, np.int64).ravel()
    steady = np.asarray(samples, np.int64).min() >= 2 * k
    if problems < 2:
        nothing = np.full(k.size, np.nan)
        return PassCurve(k, each.mean(axis=0), nothing, nothing, steady, problems)
    weight = rng.multinomial(problems, np.full(problems, 1 / problems), resamples) / problems  # [R, P]
    low, high = np.quantile(weight @ each, [0.025, 0.975], axis=0)
    return PassCurve(k, each.mean(axis=0), low, high, steady, problems)
