"""Rules about the course of training itself: entropy, KL, gradients, and what the loss does with the ratio.

There is no rule on the KL term's share of the loss, beta KL / (|policy term| + beta KL), though it looks like the
measure of whether the leash dominates. At the point of sampling the value of the policy term says nothing of how
hard it pulls: advantages are centred in each group, so that it is about 0 under a loss that weighs completions alike
(where the share passes one half within a few steps of any healthy run) and the correlation of length and advantage
under one that weighs tokens alike (where it may stay at a hundredth). What can be seen is the consequence: a KL and
a reward that both stand still while groups still have something to teach.
"""

from __future__ import annotations

import numpy as np

from rlpeaks_tui.stats.causal import ago, began, best, last_reset, levels, mean, median_before, rising, start, total
from rlpeaks_tui.stats.rule import IDLE, Levels, Rule, Shown, Steps
from rlpeaks_tui.stats.summaries import Floats

FAR = 0.1
"""Nats a token from the base beyond which KL may not grow without gain: the target of verl's controller, folklore."""

LEFT = 1.0
"""Nats a token from the base beyond which a policy that earns no more than its base has left it: each of its tokens
is then e times as likely as under the base, in the geometric mean. Ten times FAR; healthy runs of ours stay below a
quarter. It is absolute, since a usual level of a run that is broken within its first steps is that of a broken run."""

SPENT = 0.2
"""Share of the starting entropy below which it may not fall without gain; the threshold is ours."""

NEARLY, NONE = 0.05, 0.02
"""Share of the starting entropy, and nats a token, below which hardly any is left; both are ours."""

MUTED = 20
"""Steps after a reset of the reference during which the rules on KL keep silent."""

_RESET = "the reference was reset by step {reset}: not judged until KL has had 20 steps to settle"


def _entropy_collapse(steps: Steps, entropy: Floats, reward: Floats) -> tuple[Levels, Shown]:
    first, now, gains = began(steps, entropy), mean(entropy, 5), rising(reward, 20)
    level = mean(entropy, 10)
    line = SPENT * first
    warn = (now < line) & (level < ago(level, 10)) & ~gains
    nearly, none = now < NEARLY * first, now < NONE
    case = np.where(nearly, 1, np.where(none, 2, 0))
    shown: Shown = {"now": now, "start": first, "share": now / first, "trend": gains, "line": line, "case": case}
    return levels(warn, (nearly | none) & ~gains), shown


def _entropy_explosion(steps: Steps, entropy: Floats) -> tuple[Levels, Shown]:
    first, now = began(steps, entropy), mean(entropy, 5)
    before, line = ago(now, 20), 2 * first
    doubled = now > line
    result = levels(doubled | ((now > 1.5 * before) & (now > first)))
    return result, {"now": now, "start": first, "before": before, "line": line, "case": np.where(doubled, 0, 1)}


def _left_start(steps: Steps, drift: Floats, reward: Floats) -> tuple[Levels, Shown]:
    # All of the last 5 but one, and not their mean: a single token can make up all of a sampled KL.
    beyond = total((drift > LEFT).astype(np.float64), 5)
    earns, first = mean(reward, 5), best(steps, reward)
    lost = (beyond > 3) & ~(earns > first)
    shown: Shown = {"now": mean(drift, 5), "beyond": beyond, "reward": earns, "best": first, "line": LEFT}
    return levels(lost, lost), shown


def _kl_blow_up(steps: Steps, kl: Floats, reward: Floats, reference: Floats, base: Floats) -> tuple[Levels, Shown]:
    usual, gains = median_before(kl, 50), rising(reward, 50)
    earns, first = mean(reward, 5), best(steps, reward)
    leap = np.maximum(5 * usual, 1e-3)  # below a thousandth of a nat a factor of five is noise
    # What is usual becomes that of a policy that is lost; unless it earns something there, no level is usual then.
    line = np.where(earns > first, leap, np.minimum(leap, LEFT))
    jump = kl > line
    grows = (mean(kl, 50) > FAR) & rising(kl, 50, 2.0) & ~gains
    # Of most of the last 50: on a plateau the comparison of two noisy means says yes and no by turns.
    grew = total(grows.astype(np.float64), 50)
    case = np.where(jump, np.where(line < leap, 1, 0), 2)
    shown: Shown = {"now": kl, "usual": usual, "reward": earns, "best": first, "paid": ago(mean(reward, 50), 5)}
    shown |= {"grew": grew, "level": mean(kl, 50), "line": line, "case": case}
    return _unless_reset(steps, levels(jump | (grew > 25)), reference, base, shown)


def _kl_leash(steps: Steps, kl: Floats, reward: Floats, no_signal: Floats, base: Floats) -> tuple[Levels, Shown]:
    level, gains, silent = mean(kl, 50), rising(reward, 50), mean(no_signal, 50)
    before = ago(level, 50)
    still = np.abs(level - before) < 0.05 * level
    was_reset = total((kl < 0.3 * level).astype(np.float64), 50) > 0  # a synchronised reference drops KL to 0
    result = levels(still & ~was_reset & ~gains & (level > 1e-3) & (silent < 0.5))
    shown: Shown = {"now": level, "before": before, "reward": mean(reward, 50), "trend": gains, "signal": 1 - silent}
    return _unless_reset(steps, result, kl, base, shown)


def _unless_reset(steps: Steps, result: Levels, reference: Floats, base: Floats, shown: Shown) -> tuple[Levels, Shown]:
    """Idle for MUTED steps after a reset of the reference, during which KL says more of the reset than of the run."""
    reset = last_reset(steps, reference, base)
    result[(reset > 0) & (steps - reset <= MUTED)] = IDLE
    return result, shown | {"reset": reset}


def _truncation(steps: Steps, share: Floats) -> tuple[Levels, Shown]:
    now, line, grave = mean(share, 10), 0.05, 0.10
    return levels(now > line, now > grave), {"now": now, "most": np.where(now > grave, grave, line), "line": line}


def _length_explosion(steps: Steps, length: Floats, reward: Floats) -> tuple[Levels, Shown]:
    first, now, gains = start(steps, length), mean(length, 5), rising(reward, 20)
    line = 2 * first
    return levels((now > line) & ~gains), {"now": now, "start": first, "trend": gains, "line": line}


def _gradient(steps: Steps, norm: Floats) -> tuple[Levels, Shown]:
    finite = np.isfinite(norm)
    usual = median_before(np.where(finite, norm, np.inf), 50)
    line = 5 * usual
    result = levels(norm > line, ~finite)
    # Where most are 0, for want of any advantage, each that is not would be a spike.
    result[finite & (usual == 0)] = IDLE
    return result, {"now": norm, "usual": usual, "line": line, "case": np.where(finite, 0, 1)}


def _reward_zero(steps: Steps, reward: Floats) -> tuple[Levels, Shown]:
    share = mean((reward != 0).astype(np.float64), 20)
    flat = (share == 0) & (np.arange(reward.size) >= 19)
    return levels(flat, flat), {"share": share}


def _clip_ratio(steps: Steps, either: Floats, low: Floats, high: Floats) -> tuple[Levels, Shown]:
    now, below, above = mean(either, 10), mean(low, 10), mean(high, 10)
    # Below two in a hundred the two sides are too few tokens to compare.
    lopsided = (np.maximum(below, above) > 5 * np.minimum(below, above)) & (now > 0.02)
    line = 0.2
    many = now > line
    result = levels(many | lopsided)
    result[total((either != 0).astype(np.float64), 20) == 0] = IDLE
    return result, {"now": now, "low": below, "high": above, "line": line, "case": np.where(many, 0, 1)}


def _mismatch(steps: Steps, apart: Floats) -> tuple[Levels, Shown]:
    now, line, unsafe = mean(apart, 10), 0.02, 0.1
    return levels(now > line, now > unsafe), {"now": now, "most": np.where(now > unsafe, unsafe, line), "line": line}


def _sampler_weights(steps: Steps, share: Floats) -> tuple[Levels, Shown]:
    now, line = mean(share, 10), 0.5
    return levels(now < line), {"now": now, "line": line}


TRAINING: tuple[Rule, ...] = (
    Rule(
        id="entropy-collapse",
        title="Entropy collapses while reward does not rise",
        severity="critical",
        needs=("entropy", "reward"),
        window=60,
        warmup=40,
        source="relative form; 2505.22617 finds most entropy spent early in good runs, 2510.13786 that it alone "
        "predicts nothing, hence the condition on reward",
        strength="ours",
        remedy="set temperature=1.2",
        evidence="entropy {now:.3g} nats/token, {share:.0%} of {start:.3g} in its first 5 steps; fires when it falls "
        "below 20% of that unless reward rises; reward {trend}",
        fires=(
            "entropy {now:.3g} nats/token, {share:.1%} of {start:.3g} in its first 5 steps, less than 20%; reward "
            "{trend}",
            "entropy {now:.3g} nats/token, {share:.1%} of {start:.3g} in its first 5 steps, less than 5%; reward "
            "{trend}",
            "entropy {now:.3g} nats/token, less than 0.02; reward {trend}",
        ),
        judge=_entropy_collapse,
    ),
    Rule(
        id="entropy-explosion",
        title="Entropy explodes",
        severity="warn",
        needs=("entropy",),
        window=25,
        warmup=10,
        source="2505.22617: an entropy bonus of 0.01 makes it explode; twice the first 5 steps, or half more than 20 "
        "logged steps before",
        strength="ours",
        remedy="set entropy_coef=0",
        evidence="entropy {now:.3g} nats/token, {start:.3g} in its first 5 steps; fires above {line:.3g}",
        fires=(
            "entropy {now:.3g} nats/token, more than {line:.3g}, twice that of its first 5 steps",
            "entropy {now:.3g} nats/token, more than 1.5 times {before:.3g}, 20 logged steps before, and more than "
            "{start:.3g}, in its first 5 steps",
        ),
        judge=_entropy_explosion,
    ),
    Rule(
        id="left-start",
        title="The policy has left its start without gain",
        severity="critical",
        needs=("kl/base_k1|kl/base_k3|kl/base", "reward"),
        window=10,
        warmup=5,
        source="ten times the 0.1 nats/token that verl's adaptive controller aims at; no useful run known to us is "
        "beyond without earning more than in its first 5 steps",
        strength="ours",
        remedy="set learning_rate=VALUE",
        evidence="{metric} {now:.3g} nats/token, fires above {line:g} unless reward exceeds that of its first 5 steps; "
        "reward {reward:.3g}, up to {best:.3g} in its first 5 steps",
        fires=(
            "{metric} {now:.3g} nats/token on average, more than {line:g} at {beyond:.0f} of its last 5 values; reward "
            "{reward:.3g}, up to {best:.3g} in its first 5 steps",
        ),
        judge=_left_start,
        pooled=True,
        cause=True,
    ),
    Rule(
        id="kl-blow-up",
        title="KL leaps, or grows without gain in reward",
        severity="warn",
        needs=("kl/base_k3|kl/base|kl", "reward"),
        wants=("kl|kl/ref", "kl/base_k3|kl/base"),
        window=200,
        warmup=50,
        source="verl's adaptive controller aims at 0.1 nats/token; five times the median is practice. That growth "
        "must exceed two standard errors in most of 50 logged steps is our own, as is that more than 1 nat/token is "
        "never usual while reward is no higher than in the first 5 steps",
        strength="folklore",
        remedy="set beta=VALUE",
        evidence="{metric} {now:.3g} nats/token, usually {usual:.3g}; fires above {line:.3g}, or when it grows past "
        "0.1 without gain; reward {reward:.3g}, {paid:.3g} before",
        fires=(
            "{metric} {now:.3g} nats/token, more than {line:.3g} where {usual:.3g} is usual; reward {reward:.3g}, "
            "{paid:.3g} before",
            "{metric} {now:.3g} nats/token, more than {line:.3g}, which is too far whatever is usual while reward is "
            "no higher than at first; reward {reward:.3g}, up to {best:.3g} in its first 5 steps",
            "{metric} grew above 0.1 nats/token without gain in reward at {grew:.0f} of the last 50 logged steps, more "
            "than 25; {level:.3g} on average; reward {reward:.3g}, {paid:.3g} before",
        ),
        judge=_kl_blow_up,
        idle=_RESET,
    ),
    Rule(
        id="kl-leash",
        title="Reward and KL to the reference stand still",
        severity="warn",
        needs=("kl", "reward", "frac_reward_zero_std"),
        wants=("kl/base_k3|kl/base",),
        window=150,
        warmup=100,
        source="2505.24864 resets the reference when progress stops; it gives no number",
        strength="ours",
        remedy="sync-ref",
        evidence="KL to the reference {now:.3g} nats/token on average, {before:.3g} in the 50 logged steps before; "
        "fires within 5% of that while reward does not rise either; reward {reward:.3g}, {trend}; {signal:.0%} of "
        "groups still have signal",
        fires=(
            "KL to the reference {now:.3g} nats/token on average, within 5% of {before:.3g} in the 50 logged steps "
            "before; reward {reward:.3g}, {trend}; {signal:.0%} of groups still have signal",
        ),
        judge=_kl_leash,
        absence="n/a",
        idle=_RESET,
    ),
    Rule(
        id="truncation",
        title="Completions are cut off",
        severity="critical",
        needs=("completions/clipped_ratio",),
        window=10,
        warmup=10,
        source="2510.13786, A.15: stable runs below 5 %, destabilised at 10 to 15 %",
        strength="published",
        remedy="rollback CHECKPOINT",
        evidence="{now:.0%} of completions reach the limit on length, fires above 5%",
        fires=("{now:.1%} of completions reach the limit on length, more than {most:.0%}",),
        judge=_truncation,
    ),
    Rule(
        id="length-explosion",
        title="Completions grow without gain in reward",
        severity="warn",
        needs=("completions/mean_terminated_length|completions/mean_length", "reward"),
        window=60,
        warmup=40,
        source="twice the median of the first 20 steps",
        strength="ours",
        remedy="rollback CHECKPOINT",
        evidence="{now:.3g} tokens, {start:.3g} at the start; fires above {line:.3g} unless reward rises; reward "
        "{trend}",
        fires=("{now:.3g} tokens, more than {line:.3g}, twice the start; reward {trend}",),
        judge=_length_explosion,
    ),
    Rule(
        id="gradient",
        title="Gradients spike or are not finite",
        severity="critical",
        needs=("grad_norm",),
        window=60,
        warmup=20,
        source="five times the median of the last 50",
        strength="folklore",
        remedy="set learning_rate=VALUE",
        evidence="gradient norm {now:.3g}, usually {usual:.3g}; fires above {line:.3g}",
        fires=(
            "gradient norm {now:.3g}, more than {line:.3g}, five times its usual {usual:.3g}",
            "gradient norm {now:.3g}, which is no finite number; usually {usual:.3g}",
        ),
        idle="gradient norm {now:.3g}; most of the last 50 were 0, so that no size is usual",
        judge=_gradient,
        finite=False,
    ),
    Rule(
        id="reward-zero",
        title="No rollout earns anything",
        severity="critical",
        needs=("reward",),
        window=20,
        warmup=20,
        source="without reward there is no advantage and no gradient",
        strength="ours",
        remedy="phase prev",
        evidence="mean reward differed from 0 in {share:.0%} of the last 20 logged steps, fires at 0%",
        fires=("mean reward differed from 0 in {share:.0%} of the last 20 logged steps",),
        judge=_reward_zero,
    ),
    Rule(
        id="clip-ratio",
        title="The clip holds back too much, or one side only",
        severity="warn",
        needs=("clip_ratio/region_mean", "clip_ratio/low_mean", "clip_ratio/high_mean"),
        window=20,
        warmup=10,
        source="PPO practice keeps 0.1 to 0.3 of the tokens clipped at most; sequence-level losses clip more by design",
        strength="folklore",
        remedy="set learning_rate=VALUE",
        evidence="{now:.1%} of tokens clipped: {low:.1%} low, {high:.1%} high; fires above 20%, or above 2% with one "
        "side more than 5 times the other",
        fires=(
            "{now:.1%} of tokens clipped, more than 20%: {low:.1%} low, {high:.1%} high",
            "{now:.1%} of tokens clipped, more than 2%: {low:.2%} low, {high:.2%} high, one more than 5 times the "
            "other",
        ),
        judge=_clip_ratio,
        absence="n/a",
        idle="no token was clipped in 20 logged steps: the ratio is 1 by construction, or updates are too small for it",
    ),
    Rule(
        id="sampler-mismatch",
        title="Trainer and sampler disagree on probabilities",
        severity="critical",
        needs=("sampling/sampling_logp_difference/mean",),
        window=10,
        warmup=10,
        source="0.0004 to 0.01 is reported as normal; 2605.14220 finds that mismatch alone can end in collapse",
        strength="ours",
        remedy="pause",
        evidence="mean |log p difference| {now:.3g} nats/token; fires above 0.02, which is unusual; above 0.1 is "
        "unsafe",
        fires=("mean |log p difference| {now:.3g} nats/token, more than {most:g}; above 0.1 is unsafe",),
        judge=_mismatch,
        absence="n/a",
    ),
    Rule(
        id="sampler-weights",
        title="Importance weights leave few samples",
        severity="warn",
        needs=("sampling/ess",),
        window=10,
        warmup=10,
        source="half of the samples, the usual line for resampling in sequential Monte Carlo",
        strength="folklore",
        remedy="pause",
        evidence="effective sample size {now:.0%} of the samples, fires below 50%",
        fires=("effective sample size {now:.1%} of the samples, less than 50%",),
        judge=_sampler_weights,
        absence="n/a",
    ),
)
