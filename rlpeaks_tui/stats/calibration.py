"""Does stated confidence mean what it says? Errors of calibration, with their bias and their uncertainty.

The expected calibration error (ECE) of a finite sample is never zero, even for a perfectly calibrated policy,
because each bin's noise enters by its absolute value. So the plain number is shown only beside a debiased one,
an interval that resamples prompts (rollouts of one prompt share its difficulty), and the Brier score, which has
no such bias. A policy that always states the same confidence can have a small ECE and know nothing: AUROC and
the spread of confidence say so.
"""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct, field
from msgspec.structs import fields
from numpy.typing import ArrayLike

from rlpeaks_tui.stats.reliability import Index, ReliabilityTable, bin_of, by_cluster, checked, reliability
from rlpeaks_tui.stats.summaries import UNMEASURED, Estimate, Floats, clustered_mean

MIN_SAMPLES = 30
"""Below this many rollouts no calibration error is given: ten bins would hold three each."""

MIN_CLUSTERS = 8
"""Below this many prompts resampling prompts says little about other prompts."""


class Brier(Struct, frozen=True):
    """Mean squared error of confidence, and Murphy's parts of it (Murphy 1973).

    score = reliability - resolution + uncertainty + within. The first three treat every rollout of a bin as
    if it had stated the bin's mean; `within` is what that leaves out, 0 when each bin holds one value.
    """

    score: float
    reliability: float
    resolution: float
    uncertainty: float
    within: float


class Auroc(Struct, frozen=True):
    """Chance that a correct rollout states more confidence than a wrong one; 0.5 means no discrimination.

    `se` allows for clusters (Obuchowski 1997); both are nan when all rollouts are of one class.
    """

    value: float
    se: float


class Calibration(Struct, frozen=True):
    """Everything about one window of rollouts. A None has its reason in `why`, under the field's name.

    Attributes:
        n: rollouts with a stated confidence and a known outcome.
        missing: rollouts passed over because one of the two was nan.
        clusters: prompts they came from.
        ece_low, ece_high: 95 % interval of the true ECE, from `bootstrap_ece`; it belongs to `ece_debiased`.
        gap: mean confidence less the share correct, with its error between prompts; positive where too much is claimed.
    """

    n: int
    missing: int
    clusters: int
    accuracy: float | None = None
    confidence: float | None = None
    confidence_std: float | None = None
    ece: float | None = None
    ece_debiased: float | None = None
    ece_low: float | None = None
    ece_high: float | None = None
    brier: Brier | None = None
    auroc: float | None = None
    auroc_se: float | None = None
    reliability: ReliabilityTable | None = None
    gap: Estimate = UNMEASURED
    why: dict[str, str] = field(default_factory=dict)

    def metrics(self) -> dict[str, float | None]:
        """Values under the names they are journaled by, `calibration/...`."""
        return {
            "calibration/ece": self.ece,
            "calibration/ece_debiased": self.ece_debiased,
            "calibration/ece_low": self.ece_low,
            "calibration/ece_high": self.ece_high,
            "calibration/brier": self.brier.score if self.brier else None,
            "calibration/auroc": self.auroc,
            "calibration/n": float(self.n),
            "calibration/confidence_std": self.confidence_std,
            "calibration/accuracy": self.accuracy,
        }


def ece(confidence: ArrayLike, correct: ArrayLike, *, bins: int = 10) -> float:
    """Expected calibration error: sum over bins of n_b / n * |mean confidence - accuracy|.

    Biased upward by about sum_b (n_b / n) * sqrt(2 * var_b / pi) when calibration is perfect. Arguments as in
    `reliability`; nan for no rollouts. Source: 2507.16806, which bins [lo, hi) with 1.0 in the last.
    """
    q, y = checked(confidence, correct)
    if not q.size:
        return math.nan
    return float(np.abs(np.bincount(bin_of(q, bins), q - y, bins)).sum() / q.size)


def ece_parts(confidence: ArrayLike, correct: ArrayLike, *, bins: int = 10) -> Floats:
    """What each rollout adds to the calibration error, shape [n]: their mean is `ece`.

    The gap confidence - correct, with the sign that its whole bin has. The paired difference of two sources' parts
    tells, with its error between prompts, whether their errors differ. Arguments as in `reliability`.
    """
    q, y = checked(confidence, correct)
    index = bin_of(q, bins)
    return np.asarray((q - y) * np.sign(np.bincount(index, q - y, bins))[index])


def ece_debiased(
    confidence: ArrayLike, correct: ArrayLike, *, cluster: ArrayLike | None = None, bins: int = 10
) -> float:
    """ECE less its estimated upward bias.

    The estimator of Kumar et al. (1909.10155, section 5 and its library's debiased L1 error): were a bin's
    observed gap d its true gap, observing it again with noise of variance v would give E|N(d, v)| on average;
    the excess over |d| is taken off. They simulate that mean; for a normal it is known in closed form and is
    used here, so the result is exact and needs no random numbers. v is Ferro and Fricker's unbiased
    acc (1 - acc) / (n_b - 1), or with `cluster` the variance between clusters where that is larger. The sum is
    not allowed below 0. What bias remains on perfectly calibrated data is about 60 % of that of plain ECE, and 80 % of
    8 prompts, where a bin that one prompt fills shows no variance between prompts.

    Args:
        confidence, correct, bins: as in `reliability`.
        cluster: shape [n], the prompt of each rollout; None takes rollouts as independent.

    Returns:
        Debiased ECE, at least 0; nan for no rollouts.
    """
    q, y = checked(confidence, correct)
    if not q.size:
        return math.nan
    index = bin_of(q, bins)
    n = np.bincount(index, minlength=bins)
    used = n > 0
    n = n[used]
    gap = np.abs(np.bincount(index, q - y, bins)[used]) / n
    accuracy = np.bincount(index, y, bins)[used] / n
    said = np.bincount(index, q, bins)[used] / n
    # A lone rollout has no sample variance; under calibration its outcome varies by q (1 - q).
    variance = np.where(n > 1, accuracy * (1 - accuracy) / np.maximum(n - 1, 1), said * (1 - said))
    if cluster is not None:
        variance = np.maximum(variance, _cluster_variance(q - y, index, cluster, bins)[used])
    again = _folded_normal_mean(gap, variance)
    return max(0.0, float((n * (2 * gap - again)).sum() / q.size))


def bootstrap_ece(
    confidence: ArrayLike,
    correct: ArrayLike,
    cluster: ArrayLike,
    rng: np.random.Generator,
    *,
    resamples: int = 200,
    bins: int = 10,
) -> tuple[float, float]:
    """95 % interval of the true ECE, resampling whole prompts.

    Resampling adds to ECE the bias that sampling did, so the usual percentiles sit too high (on calibrated
    data they never reach the truth). This is the basic interval, mirrored at the observed ECE, which undoes
    that bias. Its lower end is 0 unless perfect calibration is itself ruled out: unless the observed ECE is beyond
    the 97.5th percentile of what it would be were the gaps of each prompt as likely of the other sign (the wild
    cluster bootstrap with the null imposed; Cameron, Gelbach and Miller 2008). Taking each bin's own mean gap off
    would leave nothing of a bin that one prompt fills, and rule perfect calibration out for want of prompts.

    Args:
        confidence, correct, bins: as in `reliability`.
        cluster: shape [n], the prompt of each rollout.
        rng: source of the resamples; the same state gives the same interval.
        resamples: number of bootstrap samples; memory is resamples * prompts.

    Returns:
        (low, high) within [0, 1]; (nan, nan) for no rollouts.
    """
    q, y = checked(confidence, correct)
    if not q.size:
        return math.nan, math.nan
    gap, count = by_cluster(q - y, bin_of(q, bins), cluster, bins)
    groups = len(gap)
    observed = float(np.abs(gap.sum(axis=0)).sum() / q.size)

    # A resample of clusters is a row of multinomial weights, so all of them are one matrix product.
    weight = rng.multinomial(groups, np.full(groups, 1 / groups), resamples).astype(np.float64)  # [R, C]
    drawn = np.abs(weight @ gap).sum(axis=1) / (weight @ count.sum(axis=1))
    sign = rng.integers(0, 2, (resamples, groups)) * 2.0 - 1.0  # [R, C]
    null = np.abs(sign @ gap).sum(axis=1) / q.size

    lower, upper = np.quantile(drawn, [0.025, 0.975])
    low = 2 * observed - upper if observed > np.quantile(null, 0.975) else 0.0
    return float(np.clip(low, 0.0, 1.0)), float(np.clip(2 * observed - lower, 0.0, 1.0))


def brier(confidence: ArrayLike, correct: ArrayLike, *, bins: int = 10) -> Brier:
    """Brier score, mean (confidence - correct)^2, with its decomposition over bins.

    Arguments as in `reliability`. All parts are nan for no rollouts.
    """
    q, y = checked(confidence, correct)
    n = q.size
    if not n:
        return Brier(math.nan, math.nan, math.nan, math.nan, math.nan)
    table = reliability(q, y, bins=bins)
    used = table.count > 0
    share, said, accuracy = table.count[used] / n, table.confidence[used], table.accuracy[used]
    base = y.mean()
    score = float(np.square(q - y).mean())
    rel = float((share * np.square(said - accuracy)).sum())
    res = float((share * np.square(accuracy - base)).sum())
    unc = float(base * (1 - base))
    return Brier(score, rel, res, unc, score - (rel - res + unc))


def auroc(confidence: ArrayLike, correct: ArrayLike, *, cluster: ArrayLike | None = None) -> Auroc:
    """Area under the ROC curve of confidence as a predictor of being correct; ties count one half.

    Args:
        confidence, correct: as in `reliability`.
        cluster: shape [n], the prompt of each rollout; None takes rollouts as independent.
    """
    q, y = checked(confidence, correct)
    right = y == 1
    positives, negatives = int(right.sum()), int((~right).sum())
    if not positives or not negatives:
        return Auroc(math.nan, math.nan)
    # Share of the other class that each rollout beats, from its rank among all less its rank among its own.
    beats = np.empty(q.size)
    everyone = _midrank(q)
    beats[right] = (everyone[right] - _midrank(q[right])) / negatives
    beats[~right] = 1 - (everyone[~right] - _midrank(q[~right])) / positives
    value = float(beats[right].mean())

    influence = (beats - value) / np.where(right, positives, negatives)
    labels = np.arange(q.size) if cluster is None else np.asarray(cluster).ravel()
    _, group = np.unique(labels, return_inverse=True)
    groups = int(group.max()) + 1
    if groups < 2:
        return Auroc(value, math.nan)
    variance = np.square(np.bincount(group, influence)).sum() * groups / (groups - 1)
    return Auroc(value, math.sqrt(variance))


def calibrate(confidence: ArrayLike, correct: ArrayLike, cluster: ArrayLike, rng: np.random.Generator) -> Calibration:
    """All that can honestly be said about the calibration of one window of rollouts.

    Args:
        confidence: stated probability of being correct, shape [n]; nan where none was stated.
        correct: outcome 0 or 1, shape [n]; nan where it is unknown.
        cluster: shape [n], the prompt of each rollout.
        rng: source of the bootstrap.

    Raises:
        ValueError: shapes differ, a confidence is outside [0, 1], or an outcome is neither 0 nor 1.
    """
    q = np.asarray(confidence, np.float64).ravel()
    y = np.asarray(correct, np.float64).ravel()
    group = np.asarray(cluster).ravel()
    if not q.size == y.size == group.size:
        raise ValueError(f"lengths differ: confidence {q.size}, correct {y.size}, cluster {group.size}")
    known = ~(np.isnan(q) | np.isnan(y))
    missing = int((~known).sum())
    q, y = checked(q[known], y[known])
    group = group[known]
    n, clusters = q.size, np.unique(group).size

    if n == 0:
        reason = "no rollout has both a stated confidence and a known outcome"
        measured = [f.name for f in fields(Calibration) if f.default is None]
        return Calibration(0, missing, 0, why=dict.fromkeys(measured, reason))

    why: dict[str, str] = {}
    error = debiased = low = high = table = None
    if n < MIN_SAMPLES:
        few = f"{n} rollouts; at least {MIN_SAMPLES} are needed"
        why |= dict.fromkeys(("ece", "ece_debiased", "ece_low", "ece_high", "reliability"), few)
    else:
        table = reliability(q, y, cluster=group)
        error, debiased = ece(q, y), ece_debiased(q, y, cluster=group)
        if clusters < MIN_CLUSTERS:
            few = f"{clusters} prompts; at least {MIN_CLUSTERS} are needed to resample them"
            why |= dict.fromkeys(("ece_low", "ece_high"), few)
        else:
            low, high = bootstrap_ece(q, y, group, rng)
    area = auroc(q, y, cluster=group)
    if math.isnan(area.value):
        outcome = "correct" if y[0] else "wrong"
        why |= dict.fromkeys(("auroc", "auroc_se"), f"every rollout is {outcome}, so there is nothing to tell apart")
    elif math.isnan(area.se):
        why["auroc_se"] = "all rollouts come from one prompt"
    return Calibration(
        *(n, missing, clusters),
        accuracy=float(y.mean()),
        confidence=float(q.mean()),
        confidence_std=float(q.std()),
        ece=error,
        ece_debiased=debiased,
        ece_low=low,
        ece_high=high,
        brier=brier(q, y),
        auroc=None if math.isnan(area.value) else area.value,
        auroc_se=None if math.isnan(area.se) else area.se,
        reliability=table,
        gap=clustered_mean(q - y, group),
        why=why,
    )


def _cluster_variance(gap: Floats, index: Index, cluster: ArrayLike, bins: int) -> Floats:
    """Variance of each bin's mean gap between clusters, shape [bins]; 0 where a bin has fewer than two."""
    total, count = by_cluster(gap, index, cluster, bins)
    n = np.maximum(count.sum(axis=0), 1)
    residual = total - count * (total.sum(axis=0) / n)
    present = (count > 0).sum(axis=0)
    correction = np.where(present > 1, present / np.maximum(present - 1, 1), 0.0)
    result: Floats = np.square(residual).sum(axis=0) / np.square(n) * correction
    return result


def _folded_normal_mean(mean: Floats, variance: Floats) -> Floats:
    """E|X| for X ~ N(mean, variance), mean >= 0; |mean| where the variance is 0."""
    sd = np.sqrt(variance)
    z = np.minimum(np.divide(mean, sd, out=np.full(mean.shape, np.inf), where=sd > 0), 40.0)  # by then it is the mean
    erf = np.array([math.erf(v / math.sqrt(2)) for v in z])  # one per bin
    result: Floats = sd * math.sqrt(2 / math.pi) * np.exp(-0.5 * z * z) + mean * erf
    return result


def _midrank(values: Floats) -> Floats:
    """Ranks from 1, ties sharing the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    result: Floats = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return result
