"""Metrics by token, as sums that can be added over ranks before anything is divided."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from ...stats.tokens import covariance, covariance_from_moments, effective_sample_size, forking, moments
from ..generation import Generation

_MOMENTS = 5


def token_sums(generation: Generation) -> torch.Tensor:
    """float64[13] of this rank, NaN where a thing is not known.

    Moments of (log-probability, advantage) 0-4, top covariance share 5, entropy and number of forking tokens 6-7,
    overlap of those with the base's 8-9, k3 to the reference 10, effective sample size of importance weights 11,
    k3 of a separate sampler to the policy 12.
    """
    mask = generation.mask.bool().cpu().numpy()
    unknown = np.full(13, np.nan)
    if generation.logps is None or generation.entropies is None or not mask.any():
        return torch.from_numpy(unknown).to(generation.mask.device)
    logps, entropies = _numpy(generation.logps), _numpy(generation.entropies)
    advantage = _numpy(generation.advantage)
    sums = unknown
    sums[:_MOMENTS] = moments(logps, advantage, mask)
    sums[5] = covariance(logps, advantage, mask).top_share
    _, fork = forking(entropies, mask)
    sums[6:8] = entropies[fork].sum(), fork.sum()
    if generation.base_entropies is not None:
        _, base = forking(_numpy(generation.base_entropies), mask)
        sums[8:10] = (fork & base).sum(), (fork | base).sum()
    if generation.ref_logps is not None:
        d = (logps - _numpy(generation.ref_logps))[mask]
        sums[10] = (np.expm1(-d) + d).sum()
    if generation.weights is not None:
        sums[11] = effective_sample_size(_numpy(generation.weights).ravel())
    if generation.sampling_logps is not None:
        # Drawn from the sampler, so that it is the sampler's divergence from the policy.
        d = (logps - _numpy(generation.sampling_logps))[mask]
        sums[12] = (np.expm1(d) - d).sum()
    return torch.from_numpy(sums).to(generation.mask.device)


def token_metrics(ranks: NDArray[np.float64]) -> dict[str, float | None]:
    """Metrics from the sums [ranks, 13] of all ranks; what is not known is left out."""
    total = ranks.sum(0)
    row: dict[str, float | None] = {}
    if math.isfinite(total[0]):
        row["cov/logp_advantage"] = covariance_from_moments(total[:_MOMENTS]).mean
        row["cov/top_share"] = float(ranks[:, 5].mean())
        row["entropy/forking"] = total[6] / total[7] if total[7] else None
    if math.isfinite(total[8]):
        row["entropy/forking_overlap"] = total[8] / total[9] if total[9] else None
    if math.isfinite(total[10]):
        row["kl/ref"] = total[10] / total[0]
    if math.isfinite(total[11]):
        row["sampling/ess"] = float(ranks[:, 11].mean())
    if math.isfinite(total[12]):
        row["sampling/kl"] = total[12] / total[0]
    return row


def _numpy(values: torch.Tensor) -> NDArray[np.float64]:
    array: NDArray[np.float64] = values.detach().double().cpu().numpy()
    return array
