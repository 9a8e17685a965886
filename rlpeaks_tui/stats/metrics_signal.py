"""Metrics of what a step has to learn from: its groups, its tokens, its gradients, and its texts."""

from __future__ import annotations

from rlpeaks_tui.stats.metric import Metric

_STEP = "all rollouts of the step"
_GROUPS = "all groups of the step with a known reward"

_GROUP_SHARES = (
    Metric(
        name="groups/all_right",
        title="Groups solved",
        unit="fraction",
        panel="reward",
        formula="share of groups whose rewards are all equal and whose rollouts are all right",
        estimator=_GROUPS,
        source="2503.14476, which filters such groups; the split is ours",
        healthy="grows as tasks are learnt; near 1 means that it is time for harder ones",
        misleads="Such groups teach nothing, but count as success: reward is high and progress has stopped. Without a "
        "known outcome a group counts in neither share.",
        digits=2,
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="groups/all_wrong",
        title="Groups hopeless",
        unit="fraction",
        panel="reward",
        formula="share of groups whose rewards are all equal and whose rollouts are all wrong",
        estimator=_GROUPS,
        source="2503.14476, which filters such groups; the split is ours",
        healthy="falls; expected (1 - p)^G, 0.43 at p = 0.1 and 8 rollouts a group",
        misleads="All wrong does not make a prompt hopeless: at p = 0.05 two groups of eight in three are.",
        digits=2,
        better="lower",
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="groups/expected_zero_variance",
        title="Groups without signal, expected",
        unit="fraction",
        panel="reward",
        formula="mean over groups of p^G + (1 - p)^G, p the share right of the whole step",
        estimator="closed form for outcomes right and wrong, as if every prompt were equally hard",
        source="rlpeaks; the control for frac_reward_zero_std",
        healthy="near frac_reward_zero_std when prompts are about equally hard",
        misleads="What is observed beyond it says that prompts differ in difficulty, not that there is a fault. "
        "Rewards with more than two values are equal less often than this.",
        digits=2,
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="groups/rare_success",
        title="Learning from lucky hits",
        unit="fraction",
        panel="reward",
        formula="share of positive advantage in groups where at most one rollout in eight is right",
        estimator="groups of eight or more with known outcomes",
        source="rlpeaks; motivated by 2605.28388",
        healthy="below 0.3",
        misleads="With standard-score rewards one success of G has advantage (G - 1) / sqrt(G), so that the rarest "
        "successes always weigh most. A rare success is not a lucky one by itself.",
        digits=2,
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="rollouts/no_gradient",
        title="Rollouts without gradient",
        unit="fraction",
        panel="reward",
        formula="share of rollouts with advantage 0",
        estimator=f"{_STEP}; where rewards of a group are equal, up to what rounding leaves",
        source="rlpeaks",
        healthy="about frac_reward_zero_std; what is left is the effective batch",
        misleads="Rollouts that are cut off may be masked from the loss as well, which this does not count.",
        digits=2,
        better="lower",
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="advantage/<format>",
        title="Advantage by format",
        unit="",
        panel="format",
        formula="mean advantage of the completions in one format",
        estimator=f"{_STEP} in this format, often few; the interval must count prompts",
        source="2504.07912; by the replicator equation a share grows as s_f (a_f - mean a)",
        healthy="the most accurate format has the highest",
        misleads="Advantages compare within a group: a format that only easy prompts get has none, right as it may be.",
    ),
)

_TOKENS = (
    Metric(
        name="cov/logp_advantage",
        title="Log-prob and advantage",
        unit="",
        panel="entropy",
        formula="mean over tokens of (log p - mean)(A - mean)",
        estimator="all tokens of the step",
        source="2505.22617: entropy changes by about minus the learning rate times this",
        healthy="positive and falling; 0.003 on average at the first step in the paper",
        misleads="It falls with entropy itself, since a policy that is sure has log p near 0 everywhere. Its relation "
        "to entropy is of first order, for a softmax without shared weights.",
    ),
    Metric(
        name="cov/top_share",
        title="Covariance in few tokens",
        unit="fraction",
        panel="entropy",
        formula="positive terms of cov/logp_advantage: share held by the largest 0.2 % of tokens",
        estimator="all tokens of the step",
        source="2505.22617, which clips or penalises these tokens",
        healthy="steady; a rise says that fewer tokens spend the entropy",
        misleads="With few tokens 0.2 % is one token. Read the sign and size of cov/logp_advantage first.",
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="sampling/ess",
        title="Effective sample size",
        unit="fraction",
        panel="optimizer",
        formula="(sum w)^2 / (N sum w^2), w = p by the trainer / p by the sampler",
        estimator="all tokens or sequences of the step, as the correction uses them",
        source="Kish 1965",
        healthy="above 0.5; near 1 when both engines agree",
        misleads="A cap on the weights raises it without making the samples any better.",
        digits=2,
        better="higher",
        bounds=(0.0, 1.0),
    ),
    *(
        Metric(
            name=f"dlogp/{which}",
            title=f"Log-prob change, {which}",
            unit="nats/token",
            panel="optimizer",
            formula=f"mean over tokens of {which} completions of log p after the update - log p before",
            estimator="a probe subset of the step's completions, scored again after the update; error between prompts",
            source="2506.01347, whose decomposition it measures",
            healthy=healthy,
            misleads="One optimizer step moves little, and Adam's momentum carries earlier steps along. Long "
            "completions weigh most. Advantage by sign says nothing instead: it is always half and half.",
        )
        for which, healthy in (
            ("right", "above 0, or at least above dlogp/wrong"),
            ("wrong", "below dlogp/right; below 0 when pushing down does the work"),
        )
    ),
    *(
        Metric(
            name=f"gradient/{which}",
            title=f"Gradient of the {which}",
            unit="",
            panel="optimizer",
            formula=f"Euclidean norm of the gradient of the completions with {which} advantage alone",
            estimator="one micro-batch, two extra backward passes, before clipping",
            source="2506.01347 for the split into both parts",
            healthy="of the same order as the other part",
            misleads="One micro-batch is noise for the most part, and noise has a norm too.",
            bounds=(0.0, None),
        )
        for which in ("positive", "negative")
    ),
    Metric(
        name="gradient/cosine",
        title="Cosine of both gradients",
        unit="",
        panel="optimizer",
        formula="cosine between the gradients of positive and of negative advantage",
        estimator="one micro-batch, two extra backward passes",
        source="rlpeaks",
        healthy="unknown; below 0 means that the two parts cancel in the update",
        misleads="Both share whatever moves every completion alike, such as length, which pulls the cosine to -1.",
        digits=2,
        bounds=(-1.0, 1.0),
    ),
)

_TEXTS = (
    Metric(
        name="texts/repeated",
        title="Repetitive completions",
        unit="fraction",
        panel="completions",
        formula="share of completions with zlib ratio < 0.25 or > 0.2 of their 8-grams of words repeated",
        estimator=f"{_STEP}, by their last 16,384 characters",
        source="rlpeaks",
        healthy="below 0.05 above its start",
        misleads="Long code, tables and sums compress well without being degenerate. Completions below 128 bytes and "
        "16 words cannot be judged and count as not repetitive.",
        digits=2,
        better="lower",
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="texts/answer_repeated",
        title="Answer stated again and again",
        unit="fraction",
        panel="completions",
        formula="share of completions that state one and the same answer three times or more",
        estimator=f"{_STEP}; a number after =, is, answer or boxed unless the task extracts its own",
        source="rlpeaks; motivated by 2605.28388",
        healthy="below 0.05 above its start",
        misleads="Checking a result states it again, which is no fault. The pattern sees only announced numbers.",
        digits=2,
        better="lower",
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="texts/skipped",
        title="Successes that skip work",
        unit="fraction",
        panel="completions",
        formula="share of successes shorter than the 10th percentile of the base's successes on the same task",
        estimator="successes of the step; the baseline is learnt from the first generations",
        source="rlpeaks; motivated by 2605.28388",
        healthy="about 0.1 by construction; above 0.3 look at the completions",
        misleads="Becoming concise looks the same as guessing. The baseline is of the prompts of the first steps.",
        digits=2,
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="completions/p95_length",
        title="Completion length, 95 %",
        unit="tokens",
        panel="completions",
        formula="95th percentile of the number of tokens of a completion",
        estimator=f"{_STEP}, cut ones included",
        source="rlpeaks",
        healthy="below the limit on length",
        misleads="At the limit it stays there and says nothing of how much longer completions would be.",
        bounds=(0.0, None),
    ),
)

SIGNAL: tuple[Metric, ...] = (*_GROUP_SHARES, *_TOKENS, *_TEXTS)
