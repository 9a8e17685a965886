"""Evidence of a rule that fires is evidence: the numbers in the sentence meet the condition in the sentence.

The oracle reads the sentence as a person does. Numbers are rounded in it, so that a bound may be met by a hair.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from rlpeaks_tui.stats.evaluator import Evaluator
from rlpeaks_tui.stats.health import RULES, Finding, evaluate
from tests.test_stats_health import SICK, Series, _healthy

N = r"(-?inf|[-+]?\d[\d.]*(?:e[-+]?\d+)?)%?"
"""A number; a per cent sign after it is left out."""

Claim = tuple[str, Callable[..., bool]]


def more(x: float, line: float, *rest: float) -> bool:
    return x >= line


def less(x: float, line: float, *rest: float) -> bool:
    return x <= line


CLAIMS: dict[str, tuple[Claim, ...]] = {
    "entropy-collapse": (
        (
            rf"entropy {N} nats/token, {N} of {N} in its first 5 steps, less than {N}; reward not rising",
            lambda now, share, start, line: share <= line and now <= start * line / 100 * 1.01,
        ),
        (rf"entropy {N} nats/token, less than {N}; reward not rising", less),
    ),
    "entropy-explosion": (
        (rf"entropy {N} nats/token, more than {N}, twice that of its first 5 steps", more),
        (
            rf"entropy {N} nats/token, more than {N} times {N}, 20 logged steps before, and more than {N}, in .*",
            lambda now, times, before, start: now >= times * before * 0.99 and now >= start,
        ),
    ),
    "left-start": (
        (
            rf"KL k[13] {N} nats/token on average, more than {N} at {N} of its last {N} values; reward {N}, .* {N} .*",
            lambda now, line, times, of, reward, best: times >= 4 and of == 5 and reward <= best,
        ),
    ),
    "kl-blow-up": (
        (
            rf"KL k[13] {N} nats/token, more than {N} where {N} is usual; .*",
            lambda now, line, usual: now >= line >= 5 * usual * 0.99,
        ),
        (
            rf"KL k[13] {N} nats/token, more than {N}, which is too far .*; reward {N}, up to {N} in its first 5 steps",
            lambda now, line, reward, best: now >= line and reward <= best,
        ),
        (
            rf"KL k[13] grew above {N} nats/token without gain in reward at {N} of the last {N} .*, more than {N};.*",
            lambda far, times, of, line: line < times <= of == 50,
        ),
    ),
    "kl-leash": (
        (
            rf"KL to the reference {N} nats/token on average, within {N} of {N} in .*; reward {N}, not rising; {N}.*",
            lambda now, share, before, reward, signal: abs(now - before) <= (share / 100) * now * 1.05 and signal >= 50,
        ),
    ),
    "truncation": ((rf"{N} of completions reach the limit on length, more than {N}", more),),
    "length-explosion": ((rf"{N} tokens, more than {N}, twice the start; reward not rising", more),),
    "gradient": (
        (
            rf"gradient norm {N}, more than {N}, five times its usual {N}",
            lambda now, line, usual: now >= line >= 5 * usual * 0.99 and usual > 0,
        ),
        (r"gradient norm (?:unknown|inf|-inf), which is no finite number; usually .*", lambda: True),
    ),
    "reward-zero": ((rf"mean reward differed from 0 in {N} of the last 20 logged steps", lambda share: share == 0),),
    "clip-ratio": (
        (rf"{N} of tokens clipped, more than {N}: {N} low, {N} high", more),
        (
            rf"{N} of tokens clipped, more than {N}: {N} low, {N} high, one more than {N} times the other",
            lambda now, line, low, high, times: now >= line and max(low, high) >= times * min(low, high) * 0.9,
        ),
    ),
    "sampler-mismatch": ((rf"mean \|log p difference\| {N} nats/token, more than {N};.*", more),),
    "sampler-weights": ((rf"effective sample size {N} of the samples, less than {N}", less),),
    "zero-variance": (
        (
            rf"more than {N} of groups .* at {N} of the last {N}, {N} at the last;.*",
            lambda line, times, of, now: line == 50 and times > of / 2,
        ),
        (rf"{N} of groups have equal rewards, more than {N};.*", more),
    ),
    "rare-success": ((rf"{N} of positive advantage .*, more than {N}", more),),
    "repetition": (
        (rf"{N} of completions are repetitive, more than {N}; {N} at the start", lambda x, line, start: x >= line),
        (rf"{N} of completions state one answer three times, more than {N}; {N} at the start", more),
    ),
    "skipped-work": ((rf"{N} of successes .*, more than {N}", more),),
    "format-lock-in": (
        (
            rf"format \w+: {N} of completions over {N} logged steps, {N} in the first {N} steps; pass@k against the "
            rf"base {N}, at most {N}",
            lambda now, last, began, first, gain, high: now >= 90 and began <= 70 and high <= 0,
        ),
        (
            rf"format \w+: {N} of completions over {N} logged steps, {N} in the first {N} steps; it earns no more: "
            rf"reward {N}, up to {N} in the first {N} steps",
            lambda now, last, began, first, reward, best, early: now >= 90 and began <= 70 and reward <= best,
        ),
    ),
    "reward-hacking": (
        (rf"reward {N}, Kendall's S {N} of 15 .* {N}, S {N}", lambda r, paid, once, earned: paid >= 11 and earned <= 3),
    ),
    "skill-damage": (
        (
            rf"{N} \+/- {N} on prompts .*, less than {N}, two standard errors below {N} at first",
            lambda now, se, line, start: now <= line < start,
        ),
    ),
    "exhaustion": ((rf"{N} of accuracy left by the law, less than {N}, .*", less),),
    "narrowing": (
        (
            rf"pass@1 {N}, {N} before; at large k {N} against the base, at most {N}; .*",
            lambda once, before, gain, high: once >= before and high <= 0,
        ),
    ),
    "plateau": (
        (
            rf"pass@1 {N} in the mean of three evaluations, within {N} of {N}, .*",
            lambda now, share, ceiling: (ceiling - now) / ceiling <= share / 100 + 0.002,
        ),
    ),
    "calibration": ((rf"calibration error {N}, more than {N};.*", more),),
    "confidence-collapse": ((rf"standard deviation of confidence {N}, less than {N}", less),),
    "dead-update": ((rf"{N} of the weights .*, more than {N}", more),),
}


def proves(found: Finding) -> bool:
    """Whether the sentence says a condition that its own numbers meet."""
    said = re.sub(r"; at step [\d,]+: .*", "", found.evidence)
    for pattern, holds in CLAIMS[found.rule.id]:
        if match := re.fullmatch(pattern, said):
            return holds(*(float(number) for number in match.groups()))
    return False


def _shaken(rule: str, seed: int) -> dict[str, Series]:
    """The sickness with values that cross the line to and fro, and some that are not there."""
    rng = np.random.default_rng(seed)
    columns = SICK[rule][0]()
    for name, series in columns.items():
        noise = np.exp(rng.normal(0, rng.choice([0.05, 0.3, 1.0]), series.values.size))
        values = series.values * noise
        if name in ("frac_reward_zero_std", "completions/clipped_ratio", "sampling/ess") or "/direct" in name:
            values = np.clip(values, 0, 1)
        values[rng.random(values.size) < 0.02] = np.nan
        columns[name] = Series(series.steps, values)
    return columns


def _fires(rule: str, columns: dict[str, Series]) -> list[Finding]:
    (one,) = (each for each in RULES if each.id == rule)
    evaluator = Evaluator((one,))
    found = [evaluator.evaluate(columns, step, dtype="bfloat16")[0] for step in range(20, 401)]
    return [each for each in found if each.state == "firing"]


@pytest.mark.parametrize("rule", SICK)
def test_the_numbers_of_a_firing_rule_meet_the_condition_that_it_states(rule: str) -> None:
    fired = _fires(rule, SICK[rule][0]())
    assert fired
    for seed in range(6):
        fired += _fires(rule, _shaken(rule, seed))
    wrong = [each.evidence for each in fired if not proves(each)]
    assert not wrong, wrong[:3]


def test_every_way_in_which_a_rule_fires_is_seen() -> None:
    """Else the oracle would be right about sentences that nobody reads."""
    seen = set()
    for rule, claims in CLAIMS.items():
        for columns in (SICK[rule][0](), *(_shaken(rule, seed) for seed in range(6))):
            for found in _fires(rule, columns):
                said = re.sub(r"; at step [\d,]+: .*", "", found.evidence)
                seen |= {(rule, i) for i, (pattern, _) in enumerate(claims) if re.fullmatch(pattern, said)}
    assert {rule for rule, _ in seen} == set(CLAIMS)
    assert len(seen) >= len(CLAIMS) + 5


def test_what_is_back_on_the_good_side_is_told_beside_what_made_it_fire() -> None:
    columns = _healthy()
    norm = np.ones(400)
    norm[395:398] = 30.0
    columns["grad_norm"] = Series(columns["grad_norm"].steps, norm)
    found = {step: next(each for each in evaluate(columns, step) if each.rule.id == "gradient") for step in (398, 400)}
    assert found[398].evidence == "gradient norm 30, more than 5, five times its usual 1"
    assert found[400].state == "firing"
    assert found[400].evidence == (
        "gradient norm 30, more than 5, five times its usual 1; at step 400: gradient norm 1, usually 1; fires above 5"
    )


def test_where_most_gradients_are_0_none_is_a_spike() -> None:
    columns = _healthy()
    norm = np.zeros(400)
    norm[300::4] = 0.6
    norm[390:] = 0.6
    columns["grad_norm"] = Series(columns["grad_norm"].steps, norm)
    found = next(each for each in evaluate(columns, 400) if each.rule.id == "gradient")
    assert found.state == "n/a" and "most of the last 50 were 0" in found.evidence
    columns["grad_norm"].values[395:] = np.nan
    found = next(each for each in evaluate(columns, 400) if each.rule.id == "gradient")
    assert (found.state, found.severity) == ("firing", "critical")


def test_a_rule_in_order_says_where_it_would_fire_and_not_that_it_does() -> None:
    for found in evaluate(_healthy(), 400, dtype="bfloat16"):
        assert found.state == "ok"
        assert "more than" not in found.evidence.replace("side more than 5 times", "") and "fires" in found.evidence
