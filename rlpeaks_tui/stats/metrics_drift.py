"""Metrics of where the policy and its weights go: positions changed, direction, richness, and what is forgotten."""

from __future__ import annotations

from rlpeaks_tui.stats.metric import Metric

_PROBE = "both models over the full vocabulary, on a probe subset of the policy's own rollouts"

_POSITIONS = (
    Metric(
        name="entropy/forking_overlap",
        title="Forks shared with base",
        unit="fraction",
        panel="entropy",
        formula="|forks of the policy and of the base| / |of either|, forks the top 20 % of tokens by entropy",
        estimator=_PROBE,
        source="2506.01939",
        healthy="high: the policy hesitates where the base does",
        misleads="Chance gives 0.11, not 0. Measured on the policy's text, where the base may hesitate for reasons "
        "of its own; where entropy is 0 nearly everywhere the top 20 % is a matter of ties.",
        digits=2,
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="shift/argmax",
        title="Most likely token changed",
        unit="fraction",
        panel="kl",
        formula="share of positions where policy and base have different most likely tokens",
        estimator=_PROBE,
        source="2603.22446",
        healthy="below 0.1",
        misleads="A near tie flips for nothing, and a large shift of mass below the top does not show. Positions that "
        "the policy's own prefix makes strange to the base count as well.",
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="shift/js",
        title="JS divergence to base",
        unit="nats/token",
        panel="kl",
        formula="mean over tokens of JS(p, p0), the mean KL of both to their mixture",
        estimator=_PROBE,
        source="2603.22446",
        healthy="grows slowly while reward grows",
        misleads="Bounded by log 2, so it hardly tells a token that has become rare from one that is gone; KL does.",
        bounds=(0.0, 0.6931471805599453),
    ),
    Metric(
        name="shift/js_share",
        title="Positions changed",
        unit="fraction",
        panel="kl",
        formula="share of positions with JS(p, p0) > 0.1 nats",
        estimator=_PROBE,
        source="2603.22446 for sparse but critical changes; the threshold is ours",
        healthy="below 0.1: most positions barely change",
        misleads="That few positions change does not say that only those matter; token substitution tests it.",
        bounds=(0.0, 1.0),
    ),
)

_CONFIDENCE = tuple(
    Metric(
        name=f"calibration/{which}/ece",
        title=title,
        unit="fraction",
        panel="calibration",
        formula="sum over 10 bins of n_b / n * |mean confidence - accuracy|",
        estimator=f"a sliding window of rollouts; confidence is {confidence}",
        source=source,
        healthy="not rising",
        misleads=f"{misleads} Not comparable with calibration/ece, where confidence is stated.",
        better="lower",
        bounds=(0.0, 1.0),
    )
    for which, title, confidence, source, misleads in (
        (
            "tokens",
            "Calibration error of tokens",
            "the mean probability that the policy gave its own tokens",
            "rlpeaks",
            "How sure a policy is of its words is not how sure it is of the answer, and training on reward raises it.",
        ),
        (
            "agreement",
            "Calibration error of agreement",
            "the share of the group that gives the same answer",
            "2203.11171 for self-consistency",
            "Counts the rollout itself, so it is never below 1 / G, and bins are few for small groups.",
        ),
    )
)

_WEIGHTS = (
    Metric(
        name="update/norm",
        title="Update norm, relative",
        unit="",
        panel="sparsity",
        formula="|w_t - w_0| / |w_0| over all weights",
        estimator="exact, in float32",
        source="rlpeaks",
        healthy="grows and then slows down",
        misleads="Does not predict forgetting (2509.04259); a few large embeddings can carry the whole denominator.",
        bounds=(0.0, None),
    ),
    Metric(
        name="update/angle",
        title="Singular directions turned",
        unit="degrees",
        panel="sparsity",
        formula="largest principal angle between the top-k singular subspaces of w_0 and w_t, the larger of left and "
        "right; k = a quarter of min(shape), 16 at most",
        estimator="full decomposition in float32 of up to four matrices, mean",
        source="2511.08567, restated in 2606.07082: below 0.5 for RL, above 10 for SFT",
        healthy="small; where it grows, training has left the starting geometry",
        misleads="Where singular values k and k + 1 are close, the subspace is hardly determined and any small change "
        "turns it. It is the largest of k angles: one direction that swaps with its neighbour gives 90.",
        digits=2,
        bounds=(0.0, 90.0),
    ),
    Metric(
        name="update/nss",
        title="Spectrum shifted",
        unit="",
        panel="sparsity",
        formula="|s(w_t) - s(w_0)| / |s(w_0)|, s the singular values in falling order",
        estimator="full decomposition in float32 of up to four matrices, mean; below 1e-7 it is rounding",
        source="2511.08567, restated in 2606.07082: about 1e-5 for RL, 1e-3 for SFT",
        healthy="small beside update/norm, which bounds it from above",
        misleads="Blind to rotation: weights can turn anywhere without moving a singular value. It grows with learning "
        "rate and steps whatever the method, so compare it at equal update/norm.",
        bounds=(0.0, None),
    ),
    Metric(
        name="drift/straightness",
        title="Drift along a line",
        unit="",
        panel="sparsity",
        formula="1 - sum |d_i - v t_i|^2 / sum |d_i|^2, d_i = w(t_i) - w(0), v fitted",
        estimator="sampled coordinates at the times of the probe, pooled",
        source="2601.04537",
        healthy="above what a random walk gives at the same times, about 0.8",
        misleads="The line must pass through the start, so even a random walk reaches 0.8: the published R^2 > 0.7 "
        "says little by itself. Momentum and a steady learning rate straighten any path.",
        digits=2,
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="drift/cosine",
        title="Drift, turn of direction",
        unit="",
        panel="sparsity",
        formula="cosine between the movement since the last probe and that before it",
        estimator="sampled coordinates; chance is 0 with deviation d^-1/2",
        source="2601.04537, which reports more than 0.9",
        healthy="steady; a sudden fall says that training turned",
        misleads="Depends on how far apart the probes are: short stretches share Adam's momentum or are mere noise.",
        digits=2,
        bounds=(-1.0, 1.0),
    ),
    Metric(
        name="features/stable_rank",
        title="Feature stable rank",
        unit="",
        panel="sparsity",
        formula="sum of squared singular values / the greatest, hidden states of the last layer, mean removed",
        estimator="hidden states of a probe subset",
        source="rlpeaks; a proxy of plasticity",
        healthy="steady",
        misleads="A proxy: only training on something new measures plasticity. One massive direction sets it, and it "
        "moves with what the text is about.",
        digits=2,
        bounds=(0.0, None),
    ),
    Metric(
        name="features/dead",
        title="Dead units",
        unit="fraction",
        panel="sparsity",
        formula="share of units whose deviation is below 0.025 of the mean unit's",
        estimator="hidden states of a probe subset",
        source="after 2302.12902; the threshold is a choice",
        healthy="not growing",
        misleads="A proxy of lost plasticity. A unit that is still on this text may be alive on other text.",
        better="lower",
        bounds=(0.0, 1.0),
    ),
)

_FORGETTING = (
    Metric(
        name="eval/kept",
        title="Solved before and still",
        unit="fraction",
        panel="reward",
        formula="accuracy on the held-out prompts that the base solves in more than 0.8 of its samples",
        estimator="the same prompts at every evaluation; its standard error is eval/kept_se",
        source="2605.28388, abstract; the threshold is ours",
        healthy="within two standard errors of its first value",
        misleads="Prompts chosen by the very samples that give its first value make that too high: sample again.",
        better="higher",
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="eval/kept_se",
        title="Solved before, standard error",
        unit="fraction",
        panel="reward",
        formula="standard error of eval/kept between prompts",
        estimator="clustered by prompt",
        source="rlpeaks",
        healthy="below 0.02",
        misleads="0 when every sample succeeds, which is no certainty.",
        bounds=(0.0, 1.0),
    ),
)

DRIFT: tuple[Metric, ...] = (*_POSITIONS, *_CONFIDENCE, *_WEIGHTS, *_FORGETTING)
