"""Health rules: each fires on its sickness and not on a run in order, whatever the moment it is asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpeaks_tui.stats.catalog import lookup
from rlpeaks_tui.stats.health import CLEAR_AFTER, FIRE_AFTER, RULES, Finding, evaluate, history


@dataclass(frozen=True)
class Series:
    steps: np.ndarray
    values: np.ndarray


def _series(values, every: int = 1) -> Series:
    x = np.asarray(values, np.float64)
    return Series(np.arange(1, x.size + 1, dtype=np.int64) * every, x)


def _healthy(n: int = 400) -> dict[str, Series]:
    """A run in order, after the course that a small model really takes: steady gain, entropy spent early."""
    rng = np.random.default_rng(0)
    t = np.arange(n)
    noise = lambda scale: rng.normal(0, scale, n)  # noqa: E731
    return {
        "reward": _series(0.3 + 0.6 * t / n + noise(0.02)),
        "entropy": _series((0.06 + 0.14 * np.exp(-t / 40)) * (1 + noise(0.05))),
        "kl/base_k3": _series(0.06 * (1 - np.exp(-t / 80)) * np.exp(noise(0.2))),
        "frac_reward_zero_std": _series(np.clip(0.25 + noise(0.1), 0, 1)),
        "completions/clipped_ratio": _series(np.clip(0.01 + noise(0.01), 0, 1)),
        "completions/mean_length": _series(10 + 8 * t / n + noise(0.3)),
        "grad_norm": _series(np.exp(noise(0.3))),
        "kl": _series(0.05 * np.sqrt((t + 1) / n) * np.exp(noise(0.1))),
        "clip_ratio/region_mean": _series(np.clip(0.05 + noise(0.01), 0, 1)),
        "clip_ratio/low_mean": _series(np.clip(0.02 + noise(0.005), 0, 1)),
        "clip_ratio/high_mean": _series(np.clip(0.03 + noise(0.005), 0, 1)),
        "sampling/sampling_logp_difference/mean": _series(0.004 * np.exp(noise(0.2))),
        "sampling/ess": _series(np.clip(0.95 + noise(0.01), 0, 1)),
        "groups/rare_success": _series(np.clip(0.1 + noise(0.03), 0, 1)),
        "texts/repeated": _series(np.clip(0.01 + noise(0.01), 0, 1)),
        "texts/answer_repeated": _series(np.clip(0.2 + noise(0.01), 0, 1)),
        "texts/skipped": _series(np.clip(0.1 + noise(0.03), 0, 1)),
        "format/entropy": _series(np.full(n, 0.6)),
        "format/direct": _series(0.45 - 0.3 * t / n),
        "format/column": _series(0.55 + 0.3 * t / n),
        "eval/pass@1": _series(0.3 + 0.5 * np.arange(16) / 16, 25),
        "eval/kept": _series(np.full(16, 0.95), 25),
        "eval/kept_se": _series(np.full(16, 0.01), 25),
        "eval/pass@1_se": _series(np.full(16, 0.03), 25),
        "eval/gain": _series(np.full(16, 0.05), 25),
        "eval/gain_high": _series(np.full(16, 0.1), 25),
        "eval/ceiling": _series(np.full(16, 0.95), 25),
        "exhaustion/left": _series(np.linspace(0.5, 0.1, 16), 25),
        "exhaustion/r2": _series(np.full(16, 0.95), 25),
        "calibration/ece": _series(0.2 - 0.1 * np.arange(16) / 16, 25),
        "calibration/ece_high": _series(np.full(16, 0.25), 25),
        "calibration/confidence_std": _series(np.full(16, 0.2), 25),
        "sparsity/bf16": _series(np.linspace(0.9, 0.4, 16), 25),
    }


def _find(columns, rule: str, step: int = 400, **facts) -> Finding:
    return next(finding for finding in evaluate(columns, step, **facts) if finding.rule.id == rule)


def _changed(name: str, values, *, start: int = 0, every: int = 1) -> dict[str, Series]:
    """The healthy run with the values of one metric replaced from entry `start` on."""
    columns = _healthy()
    old = columns[name]
    new = np.asarray(values, np.float64)
    columns[name] = Series(old.steps, np.concatenate([old.values[:start], new])[: old.steps.size])
    return columns


def _locked_in(high: float) -> dict[str, Series]:
    """One format takes over late; `high` is what pass@k gained over the base at most, since then."""
    columns = _changed("format/column", np.full(100, 0.97), start=300)
    for name, value in (("eval/gain", high - 0.1), ("eval/gain_high", high)):
        columns[name] = _changed(name, np.full(6, value), start=10)[name]
    return columns


def test_a_format_that_takes_over_with_gain_is_no_fault():
    assert _find(_locked_in(-0.05), "format-lock-in").state == "firing"
    assert _find(_locked_in(0.02), "format-lock-in").state == "ok"


def test_a_run_in_order_is_clear_at_every_step():
    columns = _healthy()
    for step in range(0, 401, 20):
        assert not [f for f in evaluate(columns, step, dtype="float32") if f.state == "firing"]
    final = {f.rule.id: f.state for f in evaluate(columns, 400, dtype="float32")}
    assert final.pop("dead-update") == "n/a"
    assert set(final.values()) == {"ok"}


def test_every_rule_rests_on_metrics_of_the_catalog_and_has_a_remedy():
    assert len({rule.id for rule in RULES}) == len(RULES)
    verbs = {"set", "phase", "rollback", "probe", "eval", "reset", "sync-ref", "pause", "stop"}
    for rule in RULES:
        assert all(lookup(name) for need in rule.needs + rule.wants for name in need.split("|"))
        assert rule.remedy.split()[0] in verbs
        assert rule.source and rule.title


SICK = {
    "entropy-collapse": (
        lambda: (
            _changed("entropy", np.linspace(0.03, 0.005, 200), start=200)
            | {"reward": _series(np.random.default_rng(1).normal(0.5, 0.02, 400))}
        ),
        "critical",
    ),
    "entropy-explosion": (lambda: _changed("entropy", np.linspace(0.1, 1.0, 200), start=200), "warn"),
    "kl-blow-up": (lambda: _changed("kl/base_k3", np.full(30, 2.0), start=370), "warn"),
    "left-start": (
        lambda: (
            _changed("kl/base_k3", np.full(100, 2.0), start=300)
            | {"reward": _series(np.repeat([0.5, 0.0], [300, 100]))}
        ),
        "critical",
    ),
    "zero-variance": (lambda: _changed("frac_reward_zero_std", np.full(100, 0.9), start=300), "critical"),
    "truncation": (lambda: _changed("completions/clipped_ratio", np.full(100, 0.08), start=300), "warn"),
    "length-explosion": (
        lambda: (
            _changed("completions/mean_length", np.full(100, 60.0), start=300)
            | {"reward": _series(np.random.default_rng(1).normal(0.5, 0.001, 400) - 0.001 * np.arange(400))}
        ),
        "warn",
    ),
    "gradient": (lambda: _changed("grad_norm", np.full(5, 100.0), start=395), "warn"),
    "exhaustion": (lambda: _changed("exhaustion/left", np.full(8, 0.01), start=8), "warn"),
    "narrowing": (lambda: _changed("eval/gain_high", np.full(8, -0.02), start=8), "warn"),
    "plateau": (lambda: _changed("eval/ceiling", np.full(16, 0.68)), "warn"),
    "calibration": (lambda: _changed("calibration/ece", np.full(8, 0.4), start=8), "warn"),
    "confidence-collapse": (lambda: _changed("calibration/confidence_std", np.full(8, 0.01), start=8), "warn"),
    "reward-zero": (lambda: _changed("reward", np.zeros(100), start=300), "critical"),
    "dead-update": (lambda: _changed("sparsity/bf16", np.full(16, 0.9992)), "warn"),
    "kl-leash": (
        lambda: (
            _changed("kl", np.full(200, 0.05), start=200)
            | {"reward": _series(np.random.default_rng(1).normal(0.5, 0.001, 400) - 0.001 * np.arange(400))}
        ),
        "warn",
    ),
    "clip-ratio": (lambda: _changed("clip_ratio/region_mean", np.full(100, 0.3), start=300), "warn"),
    "sampler-mismatch": (
        lambda: _changed("sampling/sampling_logp_difference/mean", np.full(100, 0.2), start=300),
        "critical",
    ),
    "sampler-weights": (lambda: _changed("sampling/ess", np.full(100, 0.4), start=300), "warn"),
    "rare-success": (lambda: _changed("groups/rare_success", np.full(100, 0.5), start=300), "warn"),
    "repetition": (lambda: _changed("texts/repeated", np.full(100, 0.2), start=300), "warn"),
    "skipped-work": (lambda: _changed("texts/skipped", np.full(100, 0.5), start=300), "warn"),
    "format-lock-in": (lambda: _locked_in(-0.05), "warn"),
    "reward-hacking": (lambda: _changed("eval/pass@1", np.linspace(0.6, 0.4, 8), start=8), "critical"),
    "skill-damage": (lambda: _changed("eval/kept", np.full(8, 0.8), start=8), "warn"),
}


@pytest.mark.parametrize("rule", SICK)
def test_each_rule_fires_on_its_sickness(rule):
    make, severity = SICK[rule]
    found = _find(make(), rule, dtype="bfloat16")
    assert (found.state, found.severity) == ("firing", severity), found
    assert found.remedy == found.rule.remedy
    assert any(character.isdigit() for character in found.evidence)
    assert found.since is not None and found.since <= 400


def test_every_rule_has_a_sickness():
    assert {rule.id for rule in RULES} == set(SICK)


def test_evidence_and_since_tell_the_story():
    found = _find(SICK["truncation"][0](), "truncation")
    assert found.evidence == "8.0% of completions reach the limit on length, more than 5%"
    # From the first evaluation at which the mean of ten passed the threshold of 5 %.
    clipped = SICK["truncation"][0]()["completions/clipped_ratio"].values
    passed = np.convolve(clipped, np.ones(10) / 10)[: clipped.size] > 0.05
    assert found.since == 1 + int(np.flatnonzero(passed)[0])


@pytest.mark.parametrize(("share", "severity"), [(0.04, None), (0.06, "warn"), (0.09, "warn"), (0.12, "critical")])
def test_severity_follows_the_published_thresholds_of_truncation(share, severity):
    assert (
        _find(_changed("completions/clipped_ratio", np.full(100, share), start=300), "truncation").severity == severity
    )


def test_low_entropy_is_no_fault_while_reward_rises():
    columns = _changed("entropy", np.linspace(0.03, 0.005, 200), start=200)
    assert _find(columns, "entropy-collapse").state == "ok"
    assert _find(columns, "entropy-collapse").evidence.endswith("reward rising")


def test_one_huge_value_does_not_blind_a_rule_for_the_rest_of_the_run():
    columns = _healthy()
    kl = columns["kl/base_k3"].values.copy()
    kl[100] = 1e18
    found = _find(columns | {"kl/base_k3": _series(kl)}, "kl-blow-up")
    assert found.state == "ok"
    assert found.evidence == _find(columns, "kl-blow-up").evidence


def test_gradients_that_are_not_finite_are_critical():
    found = _find(_changed("grad_norm", np.full(5, np.nan), start=395), "gradient")
    assert (found.state, found.severity) == ("firing", "critical")
    assert "unknown" in found.evidence


def test_updates_can_only_be_rounded_away_in_bfloat16():
    columns = SICK["dead-update"][0]()
    assert _find(columns, "dead-update", dtype="bfloat16").state == "firing"
    assert _find(columns, "dead-update", dtype="float32").state == "n/a"
    assert _find(columns, "dead-update").state == "unknown"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_missing_metric_is_unknown_and_never_ok(rule):
    for need in rule.needs:
        columns = _healthy()
        prefix = need.partition("<")[0]
        family = [name for name in columns if name.startswith(prefix) and name not in rule.needs]
        for name in need.split("|") if prefix == need else family:
            columns.pop(name, None)
        found = _find(columns, rule.id, dtype="bfloat16")
        assert found.state == "unknown"
        assert need.split("|")[0] in found.evidence
        assert history(rule, columns)[0].size == 0


def test_nothing_is_known_before_anything_happened():
    assert {f.state for f in evaluate({}, 0, dtype="bfloat16")} == {"unknown"}
    early = evaluate(_healthy(), 5, dtype="float32")
    assert {f.state for f in early} == {"unknown", "n/a"}
    assert any("warming up" in f.evidence for f in early)


def test_nothing_fires_while_warming_up():
    """Cut off from the very first step on, truncation fires at the third evaluation after its warm-up."""
    columns = _changed("completions/clipped_ratio", np.full(400, 0.5))
    rule = next(rule for rule in RULES if rule.id == "truncation")
    steps, levels = history(rule, columns)
    assert steps[levels > 0][0] == 1 + rule.warmup + FIRE_AFTER - 1
    assert _find(columns, "truncation", 1 + rule.warmup).state == "ok"


def test_a_stale_metric_is_unknown():
    columns = _healthy()
    assert _find(columns, "calibration", 475).state == "ok"  # three intervals of 25 steps
    stale = _find(columns, "calibration", 476)
    assert stale.state == "unknown"
    assert "last at step 400, usually every 25 steps" in stale.evidence


def test_metrics_that_never_are_finite_are_unknown():
    columns = _healthy() | {"entropy": _series(np.full(400, np.nan))}
    assert "no finite value" in _find(columns, "entropy-collapse").evidence


def test_a_second_choice_serves_when_the_first_was_never_logged():
    columns = _healthy()
    columns["kl"] = columns.pop("kl/base_k3")
    assert _find(columns, "kl-blow-up").state == "ok"


def test_a_branch_that_was_left_is_forgotten():
    """A rollback from 400 to 300 takes back what was logged in between, and its alarm with it."""
    columns = _changed("completions/clipped_ratio", np.full(100, 0.5), start=300)
    assert _find(columns, "truncation").state == "firing"
    old = columns["completions/clipped_ratio"]
    again = np.arange(301, 331)
    columns["completions/clipped_ratio"] = Series(
        np.concatenate([old.steps, again]), np.concatenate([old.values, np.full(30, 0.01)])
    )
    assert _find(columns, "truncation", 330).state == "ok"


def _reference(raw: list[bool]) -> list[bool]:
    on, result = False, []
    trues = falses = 0
    for value in raw:
        trues, falses = (trues + 1, 0) if value else (0, falses + 1)
        on = True if trues >= FIRE_AFTER else False if falses >= CLEAR_AFTER else on
        result.append(on)
    return result


@given(st.lists(st.booleans(), max_size=80))
def test_hysteresis_is_three_to_fire_and_five_to_clear(raw):
    """Through a rule whose condition at each evaluation is just its value."""
    rule = next(rule for rule in RULES if rule.id == "dead-update")
    columns = {"sparsity/bf16": _series([0.999 if value else 0.5 for value in raw])}
    assert history(rule, columns)[1].astype(bool).tolist() == _reference(raw)


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(SICK)))
def test_the_verdict_at_a_step_depends_on_nothing_later(seed, sick):
    """What history says of a step from the whole run is what evaluate said then, from the run so far."""
    rng = np.random.default_rng(seed)
    columns = SICK[sick][0]()
    for name, series in columns.items():
        shaken = series.values * np.exp(rng.normal(0, 1.0, series.values.size))
        shaken[rng.random(shaken.size) < 0.05] = np.nan
        columns[name] = Series(series.steps, shaken)
    levels = {rule.id: dict(zip(*(a.tolist() for a in history(rule, columns)), strict=True)) for rule in RULES}
    for step in rng.integers(0, 401, 12).tolist():
        for found in evaluate(columns, step, dtype="bfloat16"):
            known = [level for at, level in levels[found.rule.id].items() if at <= step]
            if found.state == "ok":
                assert known[-1] == 0
            elif found.state == "firing":
                assert found.severity == ("warn", "critical")[known[-1] - 1]
                assert found.since <= step


def test_hundred_thousand_steps_are_judged_without_a_loop_over_them():
    n = 100_000
    rng = np.random.default_rng(0)
    columns = {name: _series(rng.random(n) * 0.01 + 0.5) for name in _healthy()}
    found = evaluate(columns, n, dtype="bfloat16")
    assert len(found) == len(RULES)
    assert all(f.state in ("ok", "firing") for f in found)
