"""Rules about what the policy becomes: what it learns from, what it writes, what it knows, and what it loses."""

from __future__ import annotations

import numpy as np

from rlpeaks_tui.stats.causal import ago, best, concordance, early, levels, mean, start, total
from rlpeaks_tui.stats.exhaustion import HOLDS
from rlpeaks_tui.stats.rule import IDLE, Levels, Rule, Shown, Steps
from rlpeaks_tui.stats.summaries import Floats

TREND = 6
"""Held-out evaluations over which reward and accuracy are compared."""

CLEAR_TREND = 11
"""Kendall's S of six values that is reached by chance in 2.8 % of cases."""

NO_TREND = 3
"""Kendall's S of six values that is not exceeded by chance in 77 % of cases."""

CEILING_MARGIN = 0.02
"""How far the ceilings of repeats of one recipe lie apart (2510.13786, A.7)."""

REFITS = 5
"""Fits over which a ceiling must stay where it is for the curve to be believed."""


def _zero_variance(steps: Steps, share: Floats, reward: Floats) -> tuple[Levels, Shown]:
    now, line = mean(share, 40), 0.5
    # Of most of the last 20: with a few groups a step, one half is crossed to and fro by chance.
    many, most = total((now > line).astype(np.float64), 20), now > 0.8
    shown: Shown = {"now": now, "many": many, "reward": mean(reward, 40), "line": line, "case": np.where(most, 1, 0)}
    return levels(many > 10, most), shown


def _rare_success(steps: Steps, share: Floats) -> tuple[Levels, Shown]:
    now, line = mean(share, 10), 0.3
    return levels(now > line), {"now": now, "line": line}


def _repetition(steps: Steps, repeated: Floats, stated: Floats) -> tuple[Levels, Shown]:
    loops, again = mean(repeated, 10), mean(stated, 10)
    first, first_again = start(steps, repeated), start(steps, stated)
    line = first + 0.05
    more = loops > line
    shown: Shown = {"loops": loops, "start": first, "again": again, "start_again": first_again, "line": line}
    shown |= {"line_again": first_again + 0.05, "case": np.where(more, 0, 1)}
    return levels(more | (again > first_again + 0.05)), shown


def _skipped_work(steps: Steps, share: Floats) -> tuple[Levels, Shown]:
    now, line = mean(share, 10), 0.3
    return levels(now > line), {"now": now, "line": line}


def _format_lock_in(
    steps: Steps, entropy: Floats, reward: Floats, gain: Floats, high: Floats, *shares: Floats
) -> tuple[Levels, Shown]:
    now = np.stack([mean(share, 10) for share in shares])  # [formats, n]
    first = np.array([early(steps, share) for share in shares])  # [formats]
    winner = now.argmax(axis=0)
    share, began = now.max(axis=0), first[winner]
    alone = share > 0.9
    earned, most = mean(reward, 10), best(steps, reward)
    # Held-out prompts are the better judges: rewards fall with every harder phase.
    judged = np.isfinite(high)
    lost = np.where(judged, high < 0, earned <= most)
    result = levels(alone & (began < 0.7) & lost)
    result[alone & (began >= 0.7)] = IDLE
    shown: Shown = {"member": winner, "now": share, "start": began, "reward": earned, "best": most}
    return result, shown | {"gain": gain, "high": high, "case": np.where(judged, 0, 1)}


def _reward_hacking(steps: Steps, held_out: Floats, reward: Floats) -> tuple[Levels, Shown]:
    paid, earned = concordance(reward, TREND), concordance(held_out, TREND)
    gains = paid >= CLEAR_TREND
    return (
        levels(gains & (earned <= NO_TREND), gains & (earned <= -CLEAR_TREND)),
        {"reward": reward, "now": held_out, "paid": paid, "earned": earned},
    )


def _skill_damage(steps: Steps, kept: Floats, error: Floats) -> tuple[Levels, Shown]:
    line = kept[:1] - 2 * np.sqrt(np.square(error) + np.square(error[:1]))
    return levels(kept < line), {
        "now": kept,
        "start": float(kept[0]) if kept.size else np.nan,
        "se": error,
        "line": line,
    }


def _exhaustion(steps: Steps, left: Floats, error: Floats, fit: Floats) -> tuple[Levels, Shown]:
    result = levels(left < error)
    result[fit < HOLDS] = IDLE
    return result, {"left": left, "se": error, "fit": fit, "line": error}


def _narrowing(
    steps: Steps,
    high: Floats,
    gain: Floats,
    once: Floats,
    error: Floats,
    base: Floats,
    base_only: Floats,
    policy_only: Floats,
) -> tuple[Levels, Shown]:
    before = np.where(np.isnan(base), once[:1], base)
    margin = 2 * np.sqrt(np.square(error) + np.square(error[:1]))
    line = 0.0
    return levels((once > before + margin) & (high < line)), {
        "once": once,
        "before": before,
        "gain": gain,
        "high": high,
        "base_only": base_only,
        "policy_only": policy_only,
        "line": line,
    }


def _plateau(steps: Steps, ceiling: Floats, once: Floats) -> tuple[Levels, Shown]:
    now = mean(once, 3)
    result = levels((ceiling - now) / ceiling < 2 * CEILING_MARGIN)
    lagged = [ago(ceiling, lag) for lag in range(REFITS)]
    moved = np.fmax.reduce(lagged) - np.fmin.reduce(lagged)
    result[moved > 0.05] = IDLE
    return result, {"now": now, "ceiling": ceiling, "moved": moved}


def _calibration(steps: Steps, error: Floats, high: Floats) -> tuple[Levels, Shown]:
    first = float(high[0]) if high.size else np.nan
    line = first + 0.05
    return levels(error > line), {"now": error, "start": first, "line": line}


def _confidence_collapse(steps: Steps, spread: Floats) -> tuple[Levels, Shown]:
    line = 0.05
    return levels(spread < line), {"now": spread, "line": line}


def _dead_update(steps: Steps, unchanged: Floats) -> tuple[Levels, Shown]:
    line = 0.99
    return levels(unchanged > line), {"now": unchanged, "line": line}


POLICY: tuple[Rule, ...] = (
    Rule(
        id="zero-variance",
        title="Many groups teach nothing",
        severity="critical",
        needs=("frac_reward_zero_std", "reward"),
        window=60,
        warmup=20,
        source="2503.14476 filters such groups; expected share is p^G + (1 - p)^G",
        strength="ours",
        remedy="phase NAME",
        evidence="{now:.0%} of groups have equal rewards, fires above 50%; reward {reward:.3g}",
        fires=(
            "more than 50% of groups had equal rewards, on average over 40 logged steps, at {many:.0f} of the last 20, "
            "{now:.0%} at the last; reward {reward:.3g}: where it is high such groups are solved, where it is low too "
            "hard",
            "{now:.1%} of groups have equal rewards, more than 80%; reward {reward:.3g}: where it is high such groups "
            "are solved, where it is low too hard",
        ),
        judge=_zero_variance,
    ),
    Rule(
        id="rare-success",
        title="Learning rests on rare successes",
        severity="warn",
        needs=("groups/rare_success",),
        window=10,
        warmup=10,
        source="standard-score rewards weigh one success of G by (G - 1) / sqrt(G); motivated by 2605.28388",
        strength="ours",
        remedy="phase prev",
        evidence="{now:.0%} of positive advantage comes from groups with at most one success in eight, fires above 30%",
        fires=("{now:.1%} of positive advantage comes from groups with at most one success in eight, more than 30%",),
        judge=_rare_success,
    ),
    Rule(
        id="repetition",
        title="Completions repeat themselves",
        severity="warn",
        needs=("texts/repeated", "texts/answer_repeated"),
        window=10,
        warmup=20,
        source="five in a hundred completions more than in the first 20 steps",
        strength="ours",
        remedy="rollback CHECKPOINT",
        evidence="{loops:.0%} of completions are repetitive, {start:.0%} at the start; {again:.0%} state one answer "
        "three times, {start_again:.0%} at the start; fires five in a hundred above either",
        fires=(
            "{loops:.1%} of completions are repetitive, more than {line:.1%}; {start:.1%} at the start",
            "{again:.1%} of completions state one answer three times, more than {line_again:.1%}; {start_again:.1%} at "
            "the start",
        ),
        judge=_repetition,
    ),
    Rule(
        id="skipped-work",
        title="Successes leave out the working",
        severity="warn",
        needs=("texts/skipped",),
        window=10,
        warmup=20,
        source="three times the tenth that it is by construction; motivated by 2605.28388",
        strength="ours",
        remedy="phase prev",
        evidence="{now:.0%} of successes are shorter than nine tenths of the base's on the same task, fires above 30%",
        fires=("{now:.1%} of successes are shorter than nine tenths of the base's on the same task, more than 30%",),
        judge=_skipped_work,
    ),
    Rule(
        id="format-lock-in",
        title="One format has taken over without gain",
        severity="warn",
        needs=("format/entropy", "reward", "format/<name>"),
        wants=("eval/gain", "eval/gain_high"),
        window=10,
        warmup=20,
        source="2504.07912: as a rule the better format wins, which is no fault, but pass@k in many tries may fall "
        "with it; a share above 0.9 from below 0.7",
        strength="ours",
        remedy="set beta=VALUE",
        evidence="format {member}: {now:.0%} of completions over 10 logged steps, {start:.0%} in the first 5 steps; "
        "fires above 90%, where it had less than 70%, and pass@k falls below the base's or, without held-out prompts, "
        "reward does not exceed that of the first 5 steps; pass@k gained {gain:+.3f}, at most {high:+.3f}; reward "
        "{reward:.3g}",
        fires=(
            "format {member}: {now:.0%} of completions over 10 logged steps, {start:.0%} in the first 5 steps; pass@k "
            "against the base {gain:+.3f}, at most {high:+.3f}",
            "format {member}: {now:.0%} of completions over 10 logged steps, {start:.0%} in the first 5 steps; it "
            "earns no more: reward {reward:.3g}, up to {best:.3g} in the first 5 steps",
        ),
        judge=_format_lock_in,
        idle="format {member} had {start:.0%} of completions in the first 5 steps already",
    ),
    Rule(
        id="reward-hacking",
        title="Reward rises, held-out accuracy does not",
        severity="critical",
        needs=("eval/pass@1", "reward"),
        window=TREND,
        warmup=0,
        source="Kendall's S over six held-out evaluations: 11 or more for reward (p = 0.03), 3 or less for accuracy",
        strength="ours",
        remedy="rollback CHECKPOINT",
        evidence="reward {reward:.3g}, Kendall's S {paid:+.0f} of 15 over six evaluations; held-out pass@1 {now:.3f}, "
        "S {earned:+.0f}; fires when the first S is 11 or more and the second 3 or less",
        fires=(
            "reward {reward:.3g}, Kendall's S {paid:+.0f} of 15 over six evaluations; held-out pass@1 {now:.3f}, "
            "S {earned:+.0f}",
        ),
        judge=_reward_hacking,
        least=TREND,
        pooled=True,
    ),
    Rule(
        id="skill-damage",
        title="What the base could do is being lost",
        severity="warn",
        needs=("eval/kept", "eval/kept_se"),
        window=1,
        warmup=0,
        source="two standard errors of the difference; motivated by 2605.28388",
        strength="ours",
        remedy="rollback CHECKPOINT",
        evidence="{now:.3f} +/- {se:.3f} on prompts that the base solves, {start:.3f} at first; fires below {line:.3f}",
        fires=(
            "{now:.3f} +/- {se:.3f} on prompts that the base solves, less than {line:.3f}, two standard errors below "
            "{start:.3f} at first",
        ),
        judge=_skill_damage,
        least=2,
    ),
    Rule(
        id="exhaustion",
        title="Entropy is spent: little is left to gain",
        severity="warn",
        needs=("exhaustion/left", "eval/pass@1_se", "exhaustion/r2"),
        window=1,
        warmup=0,
        source="2505.22617 for the law; a gain below one standard error of the evaluation is taken for none",
        strength="ours",
        remedy="phase NAME",
        evidence="{left:.3f} of accuracy left by the law, fires below {se:.3f}, the standard error of an evaluation; "
        "the law explains {fit:.0%} of the variance",
        fires=(
            "{left:.3f} of accuracy left by the law, less than {se:.3f}, the standard error of an evaluation; the law "
            "explains {fit:.0%} of the variance",
        ),
        judge=_exhaustion,
        idle="accuracy does not follow entropy in this run: the law explains {fit:.0%} of the variance",
    ),
    Rule(
        id="narrowing",
        title="pass@1 is bought with what many tries could find",
        severity="warn",
        needs=("eval/gain_high", "eval/gain", "eval/pass@1", "eval/pass@1_se"),
        wants=("eval/base_pass@1", "eval/base_only", "eval/policy_only"),
        window=1,
        warmup=0,
        source="2504.13837 finds the base ahead at large k; the 90 % interval and two standard errors are our own",
        strength="published",
        remedy="set beta=VALUE",
        evidence="pass@1 {once:.3f}, {before:.3f} before; at large k {gain:+.3f} against the base, at most {high:+.3f}"
        "; solved by the base only {base_only:.1%}, by the policy only {policy_only:.1%}; fires where pass@1 is "
        "higher than before and that at large k below 0 at most",
        fires=(
            "pass@1 {once:.3f}, {before:.3f} before; at large k {gain:+.3f} against the base, at most {high:+.3f}; "
            "solved by the base only {base_only:.1%}, by the policy only {policy_only:.1%}",
        ),
        judge=_narrowing,
    ),
    Rule(
        id="plateau",
        title="Accuracy is at its ceiling",
        severity="warn",
        needs=("eval/ceiling", "eval/pass@1"),
        window=5,
        warmup=0,
        source="2510.13786: ceilings of repeats agree within 0.02; twice that, relative to the ceiling; one that moves "
        "by 0.05 is not believed",
        strength="ours",
        remedy="phase NAME",
        evidence="pass@1 {now:.3f} in the mean of three evaluations, ceiling of the fitted sigmoid {ceiling:.3f}; "
        "fires within 4% of it",
        fires=(
            "pass@1 {now:.3f} in the mean of three evaluations, within 4% of {ceiling:.3f}, the ceiling of the fitted "
            "sigmoid",
        ),
        judge=_plateau,
        idle="the fitted ceiling, now {ceiling:.3f}, has moved by {moved:.3f} over the last 5 fits: the curve is no "
        "sigmoid, or it is too early to tell",
    ),
    Rule(
        id="calibration",
        title="Calibration gets worse",
        severity="warn",
        needs=("calibration/ece", "calibration/ece_high"),
        window=1,
        warmup=20,
        source="0.05 above the upper end of the first interval; 2507.16806 sees it rise under a binary reward",
        strength="ours",
        remedy="probe calibration",
        evidence="calibration error {now:.3f}; the first interval ended at {start:.3f}, fires above {line:.3f}",
        fires=("calibration error {now:.3f}, more than {line:.3f}; the first interval ended at {start:.3f}",),
        judge=_calibration,
    ),
    Rule(
        id="confidence-collapse",
        title="Stated confidence has collapsed to one value",
        severity="warn",
        needs=("calibration/confidence_std",),
        window=1,
        warmup=20,
        source="2507.16806's code warns of it; the threshold is 0.05",
        strength="ours",
        remedy="probe calibration",
        evidence="standard deviation of confidence {now:.3f}, fires below 0.05",
        fires=("standard deviation of confidence {now:.3f}, less than 0.05",),
        judge=_confidence_collapse,
    ),
    Rule(
        id="dead-update",
        title="Updates are rounded away",
        severity="warn",
        needs=("sparsity/bf16",),
        window=1,
        warmup=0,
        source="2602.03839: changes below half of bfloat16's last place are lost, unless the optimizer keeps "
        "float32 copies",
        strength="published",
        remedy="set learning_rate=VALUE",
        evidence="{now:.2%} of the weights are unchanged in bfloat16 since the start, fires above 99%",
        fires=("{now:.2%} of the weights are unchanged in bfloat16 since the start, more than 99%",),
        judge=_dead_update,
        weights="bfloat16",
    ),
)
