"""Published claims about RL post-training, tried on the bundled tiny model: what holds at this scale, and what not.

`python -m benchmarks.papers [--seeds 0,1,2] [--only T3,T8] [--keep DIR]`

Every training is a real one, as `benchmarks.lab` makes it, and every number is read from its run directory. Thresholds
stand in the claims and are not moved to make one hold. A claim holds when it does for two of three seeds.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np

from benchmarks.lab import HELD_OUT, RATE, Lab
from rlpeaks_tui.run.follow import Snapshot
from rlpeaks_tui.run.layout import Layout
from rlpeaks_tui.run.masks import Masks, read_masks
from rlpeaks_tui.run.rollouts import RolloutReader
from rlpeaks_tui.stats.overlap import overlap, within
from rlpeaks_tui.stats.summaries import ratio_mean

SWEEP, SWEEP_STEPS = (1e-6, 1e-5, 1e-4), 41
"""Learning rates beside RATE, and the steps over which all of them are compared."""

WINDOW = 5
"""Steps whose mean stands for one point of a curve: 1,280 completions."""


@dataclass(frozen=True)
class Finding:
    """What one seed, or one pair of seeds, says about a claim."""

    of: str
    measured: str
    holds: bool


@dataclass(frozen=True)
class Claim:
    name: str
    says: str
    expected: str
    look: Callable[[Lab, Sequence[int]], list[Finding]]


def each(look: Callable[[Lab, int], tuple[str, bool]]) -> Callable[[Lab, Sequence[int]], list[Finding]]:
    """A claim about every training by itself."""
    return lambda lab, seeds: [Finding(f"seed {seed}", *look(lab, seed)) for seed in seeds]


# T3


def entropy_buys_reward(lab: Lab, seed: int) -> tuple[str, bool]:
    columns = lab.run(seed).columns
    entropy, reward = columns["entropy"].values, columns["reward"].values
    ends = np.arange(WINDOW, len(entropy) + 1, WINDOW)
    h = np.array([entropy[end - WINDOW : end].mean() for end in ends])
    r = np.array([reward[end - WINDOW : end].mean() for end in ends])
    first, last = float(entropy[0]), float(h[-1])
    fall = 1 - last / first
    early = (first - float(h[ends == len(entropy) // 5][0])) / (first - last)
    x = np.exp(h)
    slope, level = np.polyfit(x, r, 1)
    r2 = 1 - np.square(r - slope * x - level).sum() / np.square(r - r.mean()).sum()
    begin = ends <= 3 * len(entropy) // 10
    slope, level = np.polyfit(x[begin], r[begin], 1)
    foretold, actual = slope * x[-1] + level, r[-1]
    text = (
        f"falls {first:.3f} to {last:.3f} ({fall:.0%}), {early:.0%} of it by step {len(entropy) // 5}; R^2 {r2:.3f}; "
        f"foretold {foretold:.3f}, was {actual:.3f}"
    )
    return text, bool(fall > 0.7 and early >= 0.45 and r2 > 0.95 and abs(foretold - actual) <= 0.04)


# T4

SMALL_KL, SLOW = 0.03, 1e-5
"""Nats a token below which a KL counts as small, and the learning rate that keeps it there: at RATE one probe does."""


@dataclass(frozen=True)
class Estimates:
    """KL per token to the base, at each step where all three are known: exact over the vocabulary (RB), k1 and k3.

    The policy of step 1 is the base, where every estimator is 0; it is left out.
    """

    rollouts: int
    tokens: np.ndarray  # [steps]
    means: np.ndarray  # [steps, 3], nats
    errors: np.ndarray  # [steps, 3], standard errors with completions as units

    @property
    def mean(self) -> np.ndarray:
        """Over all tokens of all steps, [3]: each step's estimators see the same completions of the same policy."""
        return np.asarray(self.tokens @ self.means / self.tokens.sum())

    @property
    def error(self) -> np.ndarray:
        """Standard errors of `mean`, [3]."""
        return np.asarray(np.sqrt(np.square(self.tokens) @ np.square(self.errors)) / self.tokens.sum())

    def variances(self, below: float = np.inf) -> tuple[float, float]:
        """Variance of k1 and of k3 in units of that of RB, over the steps whose KL is below a bound."""
        rb, k1, k3 = np.square(self.errors[self.means[:, 0] < below]).sum(0)
        return float(k1 / rb), float(k3 / rb)


def kl_estimates(snapshot: Snapshot) -> Estimates:
    exact, error = snapshot.columns["kl/base"], snapshot.columns["kl/base_se"]
    reader = RolloutReader(Layout(snapshot.directory).rollouts)
    reader.refresh()
    rollouts, tokens, means, errors = 0, [], [], []
    for step, kl, se in list(zip(exact.steps.tolist(), exact.values.tolist(), error.values.tolist(), strict=True))[1:]:
        block = reader.at(step)
        assert block is not None and block.step == step
        k1, k3 = ratio_mean(block.logp - block.base_logp, block.length), ratio_mean(block.k3, block.length)
        rollouts += len(block.length)
        tokens.append(k1.n)
        means.append([kl, k1.mean, k3.mean])
        errors.append([se, k1.se, k3.se])
    return Estimates(rollouts, np.array(tokens), np.array(means), np.array(errors))


def estimators_agree(lab: Lab, seed: int) -> tuple[str, bool]:
    found, slow = kl_estimates(lab.run(seed)), kl_estimates(lab.run(seed, SLOW, SWEEP_STEPS))
    rb, k1, k3 = found.mean
    small1, small3 = slow.variances(below=SMALL_KL)
    all1, all3 = found.variances()
    _, error1, error3 = found.error / rb
    text = (
        f"{found.rollouts:,} rollouts, KL {rb:.4f}: k1 {k1 / rb - 1:+.1%} (its own error {error1:.1%}), "
        f"k3 {k3 / rb - 1:+.1%} ({error3:.1%}); variance in units of "
        f"RB's: k1 {small1:.1f}, k3 {small3:.2f} with learning rate {SLOW:g} (KL up to {slow.means[:, 0].max():.4f}), "
        f"k1 {all1:.1f}, k3 {all3:.1f} in the run itself"
    )
    return text, bool(abs(k1 / rb - 1) < 0.05 and abs(k3 / rb - 1) < 0.05 and 1 <= small3 < small1)


# T5, T6


def few_tokens_carry_the_gain(lab: Lab, seed: int) -> tuple[str, bool]:
    snapshot = lab.run(seed)
    names = (
        "shift/js_share",
        "routing/tokens",
        "routing/recovery",
        "routing/random",
        "routing/first",
        "routing/argmax",
    )
    last = {name: found[1] if (found := snapshot.columns.last(name)) else math.nan for name in names}
    share, tokens, recovered, random, first, argmax = last.values()
    facts = snapshot.probes["routing"].facts
    text = (
        f"JS > .1 at {share:.1%} of the policy's tokens; greedy, base {facts['base accuracy']:.3f}, policy "
        f"{facts['policy accuracy']:.3f}: {recovered:.0%} of the gap with {tokens:.1%} of tokens, {random:.0%} at "
        f"random, {first:.0%} with the first token alone; likeliest tokens differ at {argmax:.1%}"
    )
    return text, bool(share < 0.1 and recovered >= 0.5 and recovered >= 3 * random)


def routing_everywhere_is_the_policy(lab: Lab, seed: int) -> tuple[str, bool]:
    columns = lab.run(seed).columns
    routed, alone = (found[1] if (found := columns.last(f"papers/{n}_same")) else 0.0 for n in ("routed", "base"))
    return f"same completion for {routed:.1%} of {HELD_OUT} prompts (base by itself: {alone:.1%})", routed == 1.0


# T7


def sparsity_is_precision(lab: Lab, seed: int) -> tuple[str, bool]:
    runs = {rate: lab.run(seed, rate, SWEEP_STEPS) for rate in SWEEP} | {RATE: lab.run(seed)}

    def curve(rate: float, name: str) -> np.ndarray:
        series = runs[rate].columns[name]
        return series.values[series.steps <= SWEEP_STEPS]

    bf16 = {rate: curve(rate, "sparsity/bf16") for rate in runs}  # steps 1, 6, ..., 41
    exact = max(float(curve(rate, "sparsity/exact").max()) for rate in runs)
    rising = [rate for rate in runs if any(b > a for a, b in pairwise(bf16[rate]))]
    ordered = all((bf16[slow] > bf16[fast]).all() for slow, fast in pairwise(runs))
    # A bfloat16 has 8 bits, so its last place is worth between 1/256 and 1/128 of the number.
    beyond = [(rate, high) for rate in runs for high in bf16[rate][curve(rate, "update/norm") > 2**-8]]
    most_beyond = max((float(high) for _, high in beyond), default=0.0)
    null = max(float(np.abs(bf16[rate] - curve(rate, "sparsity/null")).max()) for rate in runs)
    text = (
        f"exact at most {exact:.2%}; bf16 at steps 1/{SWEEP_STEPS}: "
        + ", ".join(f"{rate:g}: {bf16[rate][0]:.2f}/{bf16[rate][-1]:.2f}" for rate in runs)
        + f"; rises at some step for {', '.join(f'{rate:g}' for rate in rising) or 'none'}; "
        f"falls with lr {'always' if ordered else 'not always'}; once weights moved by > 2^-8 of "
        f"their size at most {most_beyond:.2f}; "
        f"null off by {null:.3f} at most"
    )
    return text, exact < 0.01 and not rising and ordered and most_beyond <= 0.7 and null <= 0.05


# T8


def rank_is_full_and_narrow(lab: Lab, seed: int) -> tuple[str, bool]:
    columns = lab.run(seed).columns
    (step, full), (_, stable) = columns.last("update/rank") or (0, 0.0), columns.last("update/stable_rank") or (0, 0.0)
    return f"step {step}: rank {full:.4f}, stable rank {stable:.1f}", full >= 0.99 and stable <= 10


# T9


def seeds_agree(lab: Lab, seeds: Sequence[int]) -> list[Finding]:
    masks: dict[int, Masks] = {}
    for seed in seeds:
        kept = read_masks(Layout(lab.run(seed).directory).layers)
        assert kept is not None
        masks[seed] = kept
    findings = []
    for one, two in combinations(seeds, 2):
        both = list(zip(masks[one].modules(), masks[two].modules(), strict=True))
        top = within([overlap(a, b) for (_, _, a), (_, _, b) in both])
        changed = within([overlap(a, b) for (_, a, _), (_, b, _) in both])
        text = (
            f"top tenth {top.o1:.3f} against {top.chance_o1:.3f} by chance and {top.margins_o1:.3f} with rows and "
            f"columns kept: lift {top.lift:.1f}, honest lift {top.honest_lift:.2f}; changed in bf16 {changed.o1:.3f} "
            f"against {changed.chance_o1:.3f}, honest lift {changed.honest_lift:.2f}"
        )
        findings.append(Finding(f"seeds {one}, {two}", text, top.honest_lift > 1.5))
    return findings


CLAIMS = (
    Claim(
        "T3",
        "Entropy pays for reward, R = -a e^H + b (2505.22617)",
        "H falls > 70 %, at least 45 % of it in the first fifth; R^2 > .95; fit on the first 30 % foretells R to .04",
        each(entropy_buys_reward),
    ),
    Claim(
        "T4",
        "k1, k3 and Rao-Blackwell estimate the same KL (2504.10637)",
        "both within 5 % of RB on 4k rollouts; variance RB <= k3 < k1 at KL < .03",
        each(estimators_agree),
    ),
    Claim(
        "T5",
        "Few tokens carry the gain (2603.22446)",
        "JS > .1 at < 10 % of tokens; routing these recovers >= 50 % of the gap and >= 3 x random at equal budget",
        each(few_tokens_carry_the_gain),
    ),
    Claim(
        "T6",
        "Routing every disagreement is the policy itself (by construction)",
        "greedy completions equal token for token",
        each(routing_everywhere_is_the_policy),
    ),
    Claim(
        "T7",
        "Update sparsity is a matter of precision (against 2505.11711)",
        "exact < 1 %; bf16 falls with steps and with lr, > 70 % only while changes are below the last place of bf16; "
        "null within 5 points",
        each(sparsity_is_precision),
    ),
    Claim(
        "T8",
        "Updates are full-rank (2505.11711) and yet narrow",
        "numerical rank >= .99, stable rank <= 10",
        each(rank_is_full_and_narrow),
    ),
    Claim(
        "T9",
        "Seeds move the same weights (2505.11711)",
        "top tenth within modules: honest lift > 1.5",
        seeds_agree,
    ),
)
"""In the order of the table. A further claim is one more entry."""


def table(results: Sequence[tuple[Claim, list[Finding]]]) -> str:
    """Markdown: one row a finding, the verdict in the first row of each claim."""
    lines = ["| | claim | expected | of | measured | holds |", "| --- | --- | --- | --- | --- | --- |"]
    for claim, findings in results:
        good = sum(finding.holds for finding in findings)
        verdict = "not measured" if not findings else "**holds**" if 3 * good >= 2 * len(findings) else "**does not**"
        head = f"| {claim.name} | {claim.says} | {claim.expected} | | {verdict}: {good} of {len(findings)} | |"
        lines += [head, *(f"| | | | {f.of} | {f.measured} | {'yes' if f.holds else 'no'} |" for f in findings)]
    return "\n".join(lines)


def main() -> None:
    names = [claim.name for claim in CLAIMS]
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--seeds", default="0,1,2", help="comma-separated (default: 0,1,2)")
    ask.add_argument("--only", default=",".join(names), help=f"comma-separated, of {', '.join(names)} (default: all)")
    ask.add_argument("--keep", type=Path, help="folder that keeps the runs; what is in it already is not trained again")
    asked = ask.parse_args()
    wanted = asked.only.split(",")
    if unknown := set(wanted) - set(names):
        ask.error(f"--only: there is no {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    seeds = [int(seed) for seed in asked.seeds.split(",")]
    warnings.filterwarnings("ignore", category=FutureWarning)
    with tempfile.TemporaryDirectory() as passing:
        lab = Lab(asked.keep or Path(passing))
        print(table([(claim, claim.look(lab, seeds)) for claim in CLAIMS if claim.name in wanted]))


if __name__ == "__main__":
    main()
