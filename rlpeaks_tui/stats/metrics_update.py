"""Metrics of the update: which weights have moved since the start, by how much, and in how many directions."""

from __future__ import annotations

from rlpeaks_tui.stats.metric import Metric

_CAVEAT = (
    "Contested: a share without dtype and tolerance says nothing. Under AdamW almost every weight moves, and what "
    "seems unchanged in bfloat16 is mostly change below half its last place. Read it against sparsity/null."
)

UPDATE: tuple[Metric, ...] = (
    Metric(
        name="sparsity/exact",
        title="Unchanged, exactly",
        unit="fraction",
        panel="sparsity",
        formula="share of weights with w_t = w_0 in float32",
        estimator="all weights, pooled by size",
        source="2505.11711, per-layer numbers",
        healthy="about 0 with float32 weights under AdamW",
        misleads="What remains in float32 is mostly embeddings of tokens that never occurred.",
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="sparsity/bf16",
        title="Unchanged in bfloat16",
        unit="fraction",
        panel="sparsity",
        formula="share of weights with bf16(w_t) = bf16(w_0)",
        estimator="all weights, pooled by size, rounded to nearest even",
        source="2505.11711; against it 2511.08567, 2602.03839, 2509.04259",
        healthy="falls as training goes on and with the learning rate; structure is its excess over sparsity/null",
        misleads=_CAVEAT,
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="sparsity/relative",
        title="Unchanged within 0.1 %",
        unit="fraction",
        panel="sparsity",
        formula="share of weights with |w_t - w_0| <= 0.001 max(|w_t|, |w_0|)",
        estimator="all weights, pooled by size",
        source="2511.08567",
        healthy="falls as training goes on",
        misleads="A weight at 0 counts as changed by any movement at all. " + _CAVEAT,
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="sparsity/atol",
        title="Unchanged within 1e-5",
        unit="fraction",
        panel="sparsity",
        formula="share of weights with |bf16(w_t) - bf16(w_0)| <= 1e-5",
        estimator="all weights, pooled by size, both and their difference rounded to bfloat16",
        source="2505.11711, its definition",
        healthy="falls as training goes on and with the learning rate",
        misleads="The bound is absolute: weights that stay below it count as unchanged however much they move. "
        + _CAVEAT,
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="sparsity/null",
        title="Unchanged by size alone",
        unit="fraction",
        panel="sparsity",
        formula="as sparsity/bf16 after dealing each module's changes to random weights of it",
        estimator="65,536 weights a module, standard error at most 0.002 each, pooled by size",
        source="rlpeaks",
        healthy="no value is better; the gap to sparsity/bf16 is the structure",
        misleads="Only breaks the tie between a weight's size and its change within a module; differences between "
        "modules remain in it.",
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="update/rank",
        title="Update rank",
        unit="fraction",
        panel="sparsity",
        formula="numerical rank of w_t - w_0 / its smaller side, mean over chosen matrices",
        estimator="singular values above max(shape) * s1 * eps(float32)",
        source="2505.11711",
        healthy="about 1 whatever happens",
        misleads="Nearly any noise makes a matrix full rank. The stable rank beside it says how narrow it is.",
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="update/stable_rank",
        title="Update stable rank",
        unit="",
        panel="sparsity",
        formula="|D|_F^2 / s1^2 for D = w_t - w_0, mean over chosen matrices",
        estimator="full SVD of a few matrices",
        source="rlpeaks",
        healthy="a few for a policy update; near the smaller side for noise",
        misleads="One strong direction lowers it to about 1 whatever the rest does.",
        digits=2,
        bounds=(0.0, None),
    ),
)
