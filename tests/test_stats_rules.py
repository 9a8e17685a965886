"""The newer rules in detail, and the evaluator that judges a growing run as `evaluate` judges a whole one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from scipy.stats import kendalltau

from rlpeaks_tui.stats.causal import concordance
from rlpeaks_tui.stats.evaluator import Evaluator
from rlpeaks_tui.stats.health import RULES, Finding, evaluate, history
from rlpeaks_tui.stats.rules_policy import CLEAR_TREND, TREND


@dataclass(frozen=True)
class Series:
    steps: np.ndarray
    values: np.ndarray


class Columns(dict):
    """Columns that know why some metrics are missing, as a run's do."""

    def __init__(self, series, why=()):
        super().__init__(series)
        self.reasons = dict(why)

    def why(self, name):
        return self.reasons.get(name)


def _series(values, every: int = 1, first: int = 1) -> Series:
    x = np.asarray(values, np.float64)
    return Series(first + np.arange(x.size, dtype=np.int64) * every, x)


def _find(columns, rule: str, step: int = 400) -> Finding:
    return next(finding for finding in evaluate(columns, step) if finding.rule.id == rule)


# What the newer rules ask of a run.


def test_a_clip_ratio_of_exactly_nothing_does_not_apply():
    zeros = {f"clip_ratio/{part}": _series(np.zeros(400)) for part in ("region_mean", "low_mean", "high_mean")}
    found = _find(zeros, "clip-ratio")
    assert found.state == "n/a"
    assert "1 by construction" in found.evidence
    reason = "the ratio is 1 by construction: each generation is used for one update"
    found = _find(Columns({}, {"clip_ratio/region_mean": reason}), "clip-ratio")
    assert (found.state, found.evidence) == ("n/a", f"clip_ratio/region_mean: {reason}")


def test_a_clip_that_binds_on_one_side_only_is_seen():
    parts = {"region_mean": 0.06, "low_mean": 0.005, "high_mean": 0.055}
    columns = {f"clip_ratio/{part}": _series(np.full(100, share)) for part, share in parts.items()}
    assert _find(columns, "clip-ratio", 100).state == "firing"
    assert _find(columns, "clip-ratio", 100).evidence == (
        "6.0% of tokens clipped, more than 2%: 0.50% low, 5.50% high, one more than 5 times the other"
    )
    columns["clip_ratio/low_mean"] = _series(np.full(100, 0.02))
    assert _find(columns, "clip-ratio", 100).state == "ok"


def test_a_reason_makes_a_rule_not_apply_only_where_there_is_nothing_to_measure():
    columns = Columns({}, {"kl": "beta is 0", "calibration/ece": "probes.budget is 0"})
    assert _find(columns, "kl-leash").state == "n/a"
    assert _find(columns, "calibration").state == "unknown"
    assert _find(columns, "calibration").evidence == "calibration/ece: probes.budget is 0"


def test_mismatch_is_unusual_before_it_is_unsafe():
    name = "sampling/sampling_logp_difference/mean"
    for level, severity in ((0.01, None), (0.05, "warn"), (0.2, "critical")):
        assert _find({name: _series(np.full(100, level))}, "sampler-mismatch", 100).severity == severity


def test_repetition_counts_from_where_the_run_began():
    calm, loud = np.full(100, 0.3), np.concatenate((np.full(50, 0.3), np.full(50, 0.4)))
    for repeated, stated, state in ((calm, calm, "ok"), (loud, calm, "firing"), (calm, loud, "firing")):
        columns = {"texts/repeated": _series(repeated), "texts/answer_repeated": _series(stated)}
        assert _find(columns, "repetition", 100).state == state


def _formats(reward=0.3, **shares):
    columns = {f"format/{name}": _series(values) for name, values in shares.items()}
    return columns | {"format/entropy": _series(np.full(100, 0.5)), "reward": _series(np.linspace(0.3, reward, 100))}


def test_lock_in_names_the_format_that_won_and_where_it_began():
    rise = np.linspace(0.25, 0.97, 100)
    found = _find(_formats(direct=1 - rise, column=rise), "format-lock-in", 100)
    assert found.state == "firing"
    assert found.evidence == (
        "format column: 94% of completions over 10 logged steps, 26% in the first 5 steps; it earns no more: reward "
        "0.3, up to 0.3 in the first 5 steps"
    )


def test_where_nothing_was_held_out_a_format_that_earns_more_is_no_fault():
    rise = np.linspace(0.25, 0.97, 100)
    for reward, state in ((0.29, "firing"), (0.6, "ok")):
        assert _find(_formats(reward, direct=1 - rise, column=rise), "format-lock-in", 100).state == state
    falls = {"eval/gain": _series(np.full(4, -0.2), 25, 25), "eval/gain_high": _series(np.full(4, -0.1), 25, 25)}
    found = _find(_formats(0.6, direct=1 - rise, column=rise) | falls, "format-lock-in", 100)
    assert found.state == "firing" and found.evidence.endswith("pass@k against the base -0.200, at most -0.100")


def test_a_format_that_ruled_from_the_start_is_no_lock_in():
    found = _find(_formats(direct=np.full(100, 0.95), column=np.full(100, 0.05)), "format-lock-in", 100)
    assert found.state == "n/a"
    assert found.evidence == "format direct had 95% of completions in the first 5 steps already"


def test_a_format_that_was_never_seen_before_can_take_over():
    columns = _formats(direct=np.concatenate((np.ones(60), np.zeros(40))))
    columns["format/other"] = _series(np.ones(40), first=61)
    found = _find(columns, "format-lock-in", 100)
    assert found.state == "firing"
    assert found.evidence.startswith(
        "format other: 100% of completions over 10 logged steps, 0% in the first 5 steps; it"
    )


def test_what_is_said_about_formats_is_no_format():
    rise = np.linspace(0.25, 0.97, 100)
    columns = _formats(direct=1 - rise, column=rise, effective=np.full(100, 2.0), selection_residual=np.ones(100))
    assert _find(columns, "format-lock-in", 100).evidence.startswith("format column: 94%")


def _with_evals(reward, held_out):
    return {"reward": _series(reward), "eval/pass@1": _series(held_out, 25, 25)}


def test_reward_that_rises_alone_is_hacking():
    rng = np.random.default_rng(0)
    reward = np.linspace(0.2, 0.8, 400) + rng.normal(0, 0.1, 400)  # rises from one evaluation to the next on average
    flat = 0.5 + 0.01 * (-1.0) ** np.arange(16)
    assert _find(_with_evals(reward, flat), "reward-hacking").severity == "warn"
    assert _find(_with_evals(reward, np.linspace(0.6, 0.3, 16)), "reward-hacking").severity == "critical"
    assert _find(_with_evals(reward, np.linspace(0.3, 0.6, 16)), "reward-hacking").state == "ok"
    assert _find(_with_evals(np.full(400, 0.5), flat), "reward-hacking").state == "ok"
    few = _find(_with_evals(reward, flat), "reward-hacking", 100)
    assert (few.state, few.evidence) == ("unknown", "4 of the 6 evaluations that it takes")


def test_hacking_compares_the_mean_reward_since_the_evaluation_before():
    reward = np.arange(400.0)
    found = _find(_with_evals(reward, np.full(16, 0.5)), "reward-hacking")
    assert found.evidence.startswith(f"reward {reward[375:400].mean():.3g},")


def test_lost_skill_must_exceed_two_standard_errors_of_the_difference():
    for drop, state in ((0.025, "ok"), (0.04, "firing")):
        columns = {
            "eval/kept": _series(np.concatenate(([0.95], np.full(9, 0.95 - drop))), 25),
            "eval/kept_se": _series(np.full(10, 0.01), 25),  # margin 2 * sqrt(2) * 0.01 = 0.028
        }
        assert _find(columns, "skill-damage", 226).state == state


def test_a_leash_needs_a_standstill_with_something_left_to_learn():
    still = {
        "kl": _series(np.full(400, 0.05)),
        "reward": _series(np.full(400, 0.5)),
        "frac_reward_zero_std": _series(np.full(400, 0.2)),
    }
    assert _find(still, "kl-leash").state == "firing"
    assert _find(still, "kl-leash").remedy == "sync-ref"
    solved = still | {"frac_reward_zero_std": _series(np.full(400, 0.9))}
    moving = still | {"kl": _series(np.linspace(0.01, 0.1, 400))}
    learning = still | {"reward": _series(np.linspace(0.1, 0.9, 400))}
    synchronised = still | {"kl": _series(np.tile(np.linspace(0, 0.1, 20), 20))}
    for columns in (solved, moving, learning, synchronised):
        assert _find(columns, "kl-leash").state == "ok"


def _evals():
    columns = {
        "eval/pass@1": np.concatenate(([0.4], np.full(9, 0.6))),
        "eval/pass@1_se": np.full(10, 0.03),
        "eval/gain": np.full(10, -0.08),
        "eval/gain_high": np.full(10, -0.02),
        "eval/ceiling": np.full(10, 0.62),
        "exhaustion/left": np.full(10, 0.02),
        "exhaustion/r2": np.full(10, 0.9),
    }
    return {name: _series(values, 25) for name, values in columns.items()}


def test_narrowing_needs_a_gain_once_and_a_loss_at_large_k():
    found = _find(_evals(), "narrowing", 226)
    assert found.state == "firing"
    assert found.evidence == (
        "pass@1 0.600, 0.400 before; at large k -0.080 against the base, at most -0.020; "
        "solved by the base only unknown, by the policy only unknown"
    )
    for name, values in (
        ("gain_high", np.full(10, 0.01)),
        ("pass@1", np.concatenate(([0.4], np.full(9, 0.48)))),  # margin 2 * sqrt(2) * 0.03 = 0.085
    ):
        assert _find(_evals() | {f"eval/{name}": _series(values, 25)}, "narrowing", 226).state == "ok"


def test_narrowing_is_measured_from_the_base_where_that_is_known():
    """A first evaluation after the rise would hide it."""
    columns = _evals() | {"eval/pass@1": _series(np.full(10, 0.6), 25)}
    assert _find(columns, "narrowing", 226).state == "ok"
    columns |= {"eval/base_pass@1": _series([0.4]), "eval/base_only": _series(np.full(10, 0.1), 25)}
    found = _find(columns, "narrowing", 226)
    assert found.state == "firing"
    assert "0.400 before" in found.evidence and "by the base only 10.0%" in found.evidence


def test_a_plateau_is_within_a_few_percent_of_a_ceiling_that_stays():
    assert _find(_evals(), "plateau", 226).state == "firing"
    far = _evals() | {"eval/ceiling": _series(np.full(10, 0.63), 25)}  # (0.63 - 0.6) / 0.63 = 0.048
    assert _find(far, "plateau", 226).state == "ok"
    moving = _evals() | {"eval/ceiling": _series(np.linspace(0.8, 0.62, 10), 25)}
    found = _find(moving, "plateau", 226)
    assert found.state == "n/a"
    assert found.evidence.startswith("the fitted ceiling, now 0.620, has moved by 0.080 over the last 5 fits")
    early = {name: series for name, series in _evals().items() if name != "eval/ceiling"}
    assert _find(early, "plateau", 226).state == "unknown"  # written only once it is identified


def test_exhaustion_is_said_only_where_the_law_explains_something():
    assert _find(_evals(), "exhaustion", 226).state == "firing"
    assert _find(_evals() | {"exhaustion/left": _series(np.full(10, 0.04), 25)}, "exhaustion", 226).state == "ok"
    found = _find(_evals() | {"exhaustion/r2": _series(np.full(10, 0.2), 25)}, "exhaustion", 226)
    assert (found.state, found.evidence) == (
        "n/a",
        "accuracy does not follow entropy in this run: the law explains 20% of the variance",
    )


# KL: steadiness, and resets of the reference.


def _wander(rng, n, scale):
    """Autocorrelated noise, as batches of neighbouring steps have it."""
    shocks, x = rng.normal(0, scale, n), np.zeros(n)
    for i in range(1, n):
        x[i] = 0.9 * x[i - 1] + np.sqrt(0.19) * shocks[i]
    return x


def _levelling(seed, n=500):
    """A small model's run that levels off: KL passes 0.1 and stays, reward wavers about where it ended."""
    rng = np.random.default_rng(seed)
    t = np.arange(n)
    kl = 0.15 * (1 - np.exp(-t / 120)) * np.exp(rng.normal(0, 0.25, n) + _wander(rng, n, 0.08))
    reward = 0.3 + 0.6 * (1 - np.exp(-t / 100)) + rng.normal(0, 0.05, n) + _wander(rng, n, 0.015)
    return {"kl/base_k3": _series(kl), "reward": _series(reward)}


def _switches(columns):
    rule = next(rule for rule in RULES if rule.id == "kl-blow-up")
    return int((np.diff((history(rule, columns)[1] > 0).astype(int)) != 0).sum())


def test_growth_of_kl_does_not_flicker_on_a_noisy_plateau():
    counts = [_switches(_levelling(seed)) for seed in range(20)]
    assert max(counts) <= 2  # on and off once
    assert np.mean(counts) < 1


def test_growth_of_kl_without_reward_is_seen_and_stays():
    for seed in range(10):
        rng = np.random.default_rng(seed)
        t = np.arange(500)
        kl = 0.05 * np.where(t < 200, 1 - np.exp(-t / 50), np.exp((t - 200) / 120)) * np.exp(rng.normal(0, 0.25, 500))
        reward = 0.3 + 0.3 * np.minimum(t, 200) / 200 - 0.0003 * np.maximum(t - 200, 0) + rng.normal(0, 0.05, 500)
        columns = {"kl/base_k3": _series(kl), "reward": _series(reward)}
        assert _switches(columns) == 1
        found = _find(columns, "kl-blow-up", 500)
        assert found.state == "firing" and 300 < found.since < 360


def _with_reset(at=300, *, base_too=False):
    """KL to the reference falls to nothing at a step; KL to the base goes on, or falls as well."""
    t = np.arange(400)
    drift = 0.02 + 0.0002 * t
    since = np.where(t < at, drift, 0.0002 * (t - at))
    return {
        "kl": _series(since),
        "kl/base_k3": _series(since if base_too else drift),
        "reward": _series(np.full(400, 0.5)),
        "frac_reward_zero_std": _series(np.full(400, 0.2)),
    }


@pytest.mark.parametrize("rule", ["kl-blow-up", "kl-leash"])
def test_a_reset_of_the_reference_silences_the_rules_on_kl(rule):
    columns = _with_reset()
    quiet = [step for step in range(280, 400) if _find(columns, rule, step).state == "n/a"]
    assert quiet == list(range(quiet[0], quiet[0] + 21))
    assert 301 <= quiet[0] <= 304
    assert _find(columns, rule, quiet[0] + 5).evidence == (
        f"the reference was reset by step {quiet[0]}: not judged until KL has had 20 steps to settle"
    )


@pytest.mark.parametrize("rule", ["kl-blow-up", "kl-leash"])
def test_a_policy_that_returns_to_its_base_is_no_reset(rule):
    columns = _with_reset(base_too=True)
    del columns["kl/base_k3"]
    for found in (_find(_with_reset(base_too=True), rule, 310), _find(columns, rule, 310)):
        assert found.state == "ok"


def test_a_reset_during_a_blow_up_clears_it():
    columns = _with_reset() | {"kl/base_k3": _series(np.where(np.arange(400) < 290, 0.05, 0.5))}
    assert _find(columns, "kl-blow-up", 300).state == "firing"
    assert _find(columns, "kl-blow-up", 310).state == "n/a"


@settings(max_examples=40)
@given(st.lists(st.floats(-5, 5).map(lambda x: round(x, 1)), min_size=6, max_size=20))
def test_concordance_is_kendalls_s(values):
    x = np.array(values)
    found = concordance(x, TREND)
    assert np.isnan(found[: TREND - 1]).all()
    for t in range(TREND - 1, x.size):
        window = x[t - TREND + 1 : t + 1]
        ties = len(window) * (len(window) - 1) / 2 - sum(
            np.count_nonzero(window == v) * (np.count_nonzero(window == v) - 1) / 2 for v in np.unique(window)
        )
        tau = kendalltau(range(TREND), window).statistic
        expected = 0.0 if ties == 0 else tau * np.sqrt(15 * ties)  # tau-b divides by the pairs without ties
        assert found[t] == pytest.approx(expected)


def test_the_bound_on_kendalls_s_is_rarely_reached_by_chance():
    reached = [concordance(np.array(order, float), TREND)[-1] >= CLEAR_TREND for order in permutations(range(TREND))]
    assert np.mean(reached) == pytest.approx(20 / 720)


def test_a_rule_waits_until_all_of_its_metrics_are_known():
    """Reward that was never finite leaves nothing to judge a fall of entropy by."""
    entropy = _series(np.linspace(1, 0.01, 400))
    assert _find({"entropy": entropy, "reward": _series(np.full(400, np.nan))}, "entropy-collapse").state == "unknown"
    late = {"entropy": entropy, "reward": _series(np.full(20, 0.5), first=381)}
    assert _find(late, "entropy-collapse").evidence == "warming up: 19 of 40 steps"
    later = {"entropy": entropy, "reward": _series(np.full(20, 0.5), first=401)}
    assert _find(later, "entropy-collapse", 410).state == "unknown"


# The evaluator against the definition.

NAMES = sorted(
    {name for rule in RULES for need in rule.needs + rule.wants if "<" not in need for name in need.split("|")}
)
FORMATS = ("format/direct", "format/column", "format/other")


def _course(rng: np.random.Generator, name: str, n: int) -> np.ndarray:
    """A course of one metric that makes rules fire and clear: stretches at levels around their thresholds."""
    typical = {"entropy": 0.2, "reward": 0.5, "kl": 0.05, "grad_norm": 1.0, "completions/mean_length": 20.0}
    typical |= {"sparsity/bf16": 0.8, "eval/gain_high": -0.05}
    level = typical.get(name, 0.2)
    stretches = level * np.exp(rng.normal(0, 1.5, n // 40 + 1)).repeat(40)[:n]
    x = stretches * np.exp(rng.normal(0, 0.1, n))
    if rng.random() < 0.3:
        x[rng.random(n) < 0.5] = 0.0
    if rng.random() < 0.5:
        x[rng.random(n) < 0.1] = rng.choice([np.nan, np.inf])
    return x


def _journal(rng: np.random.Generator, n: int) -> list[tuple[str, int, float]]:
    """Rows (metric, step, value) in the order of logging, with gaps, late probes, rollbacks and late metrics."""
    rows = []
    step, length = 0, n
    chosen = [name for name in (*NAMES, *FORMATS) if rng.random() < 0.9]
    pace = {name: int(rng.choice([1, 1, 1, 5])) if "/" in name else 1 for name in chosen}
    begins = {name: int(rng.choice([0, 0, 0, n // 3])) for name in chosen}
    courses = {name: _course(rng, name, 2 * n) for name in chosen}
    late = []
    for i in range(length):
        step = max(1, step - int(rng.integers(1, 60))) if rng.random() < 0.01 else step + 1
        for name in chosen:
            if i >= begins[name] and i % pace[name] == 0:
                row = (name, step, float(courses[name][i]))
                (late if rng.random() < 0.02 else rows).append(row)
        if late and rng.random() < 0.2:
            rows += late
            late = []
    return rows


class Growing:
    """Columns as a reader keeps them: views of arrays that are only ever added to."""

    def __init__(self):
        self.steps: dict[str, np.ndarray] = {}
        self.values: dict[str, np.ndarray] = {}

    def add(self, rows):
        for name in dict.fromkeys(name for name, _, _ in rows):
            own = [(step, value) for other, step, value in rows if other == name]
            steps, values = (np.array(column) for column in zip(*own, strict=True))
            self.steps[name] = np.concatenate((self.steps.get(name, np.empty(0, np.int64)), steps))
            self.values[name] = np.concatenate((self.values.get(name, np.empty(0)), values))

    def columns(self):
        return Columns({name: Series(self.steps[name], self.values[name]) for name in self.steps}, {"kl": "beta is 0"})


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 16))
def test_the_evaluator_says_what_evaluate_says_however_the_rows_arrive(seed, chunks):
    rng = np.random.default_rng(seed)
    rows = _journal(rng, 260)
    growing, evaluator = Growing(), Evaluator()
    cuts = rng.integers(0, len(rows), chunks)
    nearby = cuts + rng.integers(1, 30, chunks)  # so that some pieces are a part of one step
    at, given_ = 0, []
    for end in [*sorted({*cuts.tolist(), *nearby.tolist()}), len(rows)]:
        growing.add(rows[at:end])
        at = end
        columns = growing.columns()
        newest = max((int(series.steps[-1]) for series in columns.values()), default=0)
        for step in (newest, int(rng.integers(0, newest + 10))):
            dtype = str(rng.choice(["bfloat16", "float32"]))
            found, expected = evaluator.evaluate(columns, step, dtype=dtype), evaluate(columns, step, dtype=dtype)
            assert found == expected
            for one, other in zip(found, expected, strict=True):
                assert (one.moves is None) == (other.moves is None)
                if one.moves is not None and other.moves is not None:
                    given_.append((one.moves, other.moves))
    # Also what was given before the run went on, or back.
    for moves, then in given_:
        assert np.array_equal(moves[0], then[0]) and np.array_equal(moves[1], then[1], equal_nan=True)


def test_a_line_that_moves_is_told_as_it_was_at_each_step():
    columns = {
        "grad_norm": Series(np.arange(1, 201), np.exp(np.linspace(0, 3, 200))),
        "eval/kept": Series(np.arange(1, 201, 25), np.full(8, 0.9)),
        "eval/kept_se": Series(np.arange(1, 201, 25), np.linspace(0.01, 0.08, 8)),
        "entropy": Series(np.arange(1, 201), np.full(200, 0.5)),
        "reward": Series(np.arange(1, 201), np.full(200, 0.5)),
    }
    last = {found.rule.id: found for found in evaluate(columns, 200)}
    assert last["entropy-collapse"].moves is None
    seen = {"gradient": 0, "skill-damage": 0}
    for name in seen:
        assert last[name].moves is not None
        for step, line in zip(*last[name].moves, strict=True):
            then = next(found for found in evaluate(columns, int(step)) if found.rule.id == name)
            if then.line is not None:
                assert then.line == line
                seen[name] += 1
    assert seen["gradient"] >= 150 and seen["skill-damage"] == 7
    values = last["gradient"].moves[1]
    assert np.isnan(values[:20]).all() and values[60] < values[-1] / 3


def test_the_courses_above_make_every_rule_fire_somewhere():
    """Else equality would be equality of silences."""
    fired = set()
    for seed in range(1, 9):
        growing = Growing()
        growing.add(_journal(np.random.default_rng(seed), 260))
        columns = growing.columns()
        fired |= {rule.id for rule in RULES if history(rule, columns)[1].any()}
    # A reward that is 0 for 20 steps, and trends over six evaluations, are too rare to come by chance.
    assert {rule.id for rule in RULES} - fired <= {"reward-zero", "reward-hacking", "kl-leash"}


@pytest.mark.parametrize("every", [3, 7])
def test_a_long_run_is_judged_alike_row_by_row(every):
    """The rules that the random courses leave out, over a run long enough for every window to be full."""
    n = 700
    rng = np.random.default_rng(every)
    t = np.arange(n)
    reward = np.where(t < 300, 0.0, np.where(t < 450, 0.002 * (t - 300) + rng.normal(0, 0.01, n), 0.3))
    whole = {
        "reward": reward,
        "kl": np.where(t < 400, 0.01 + 0.0001 * t, 0.05),
        "frac_reward_zero_std": np.full(n, 0.2),
        "eval/pass@1": 0.5 - 0.0001 * t + rng.normal(0, 0.001, n),
    }
    pace = {"eval/pass@1": 10}
    evaluator, fired = Evaluator(), set()
    for end in range(every, n, every):
        columns = {
            name: Series(t[:end][:: pace.get(name, 1)] + 1, x[:end][:: pace.get(name, 1)]) for name, x in whole.items()
        }
        found = evaluator.evaluate(columns, end)
        fired |= {each.rule.id for each in found if each.state == "firing"}
        assert found == evaluate(columns, end)
    assert fired >= {"reward-zero", "reward-hacking", "kl-leash"}


@pytest.mark.parametrize("late", [0, 200, 310])
def test_a_reset_is_judged_alike_row_by_row(late):
    """Also where the metric that tells of resets appears after the rules have begun to judge without it."""
    whole, evaluator, idle = _with_reset(), Evaluator(), set()
    for end in range(1, 400, 3):
        columns = {name: Series(series.steps[:end], series.values[:end]) for name, series in whole.items()}
        kl = columns.pop("kl")
        if end > late:
            columns["kl"] = Series(kl.steps[late:], kl.values[late:])
        found = evaluator.evaluate(columns, end)
        idle |= {each.rule.id for each in found if "was reset" in each.evidence}
        assert found == evaluate(columns, end)
        assert evaluator.evaluate(columns, end // 2) == evaluate(columns, end // 2)
    assert ("kl-blow-up" in idle) == (late < 300)


def _counting(counts):
    def counted(rule):
        def judge(steps, *values):
            counts[rule.id] = counts.get(rule.id, 0) + steps.size
            return rule.judge(steps, *values)

        return replace(rule, judge=judge)

    return tuple(counted(rule) for rule in RULES)


def test_a_call_costs_what_is_new_and_not_what_is_there():
    rng = np.random.default_rng(0)
    n, calls = 20_000, 50
    names = [*NAMES, *FORMATS]
    whole = {name: rng.random(n + calls) for name in names}
    steps = np.arange(1, n + calls + 1)
    counts: dict[str, int] = {}
    evaluator = Evaluator(_counting(counts))
    for call in range(calls + 1):
        end = n + call
        columns = {name: Series(steps[:end], values[:end]) for name, values in whole.items()}
        evaluator.evaluate(columns, end, dtype="bfloat16")
        if not call:
            assert max(counts.values()) == n
            counts.clear()
    for rule in RULES:
        # Rows of the warm-up, the window, up to ten for the place of medians, and one that is new.
        assert counts[rule.id] <= calls * (rule.warmup + 1 + rule.window + 10 + 1), rule.id
        assert counts[rule.id] > 0
    counts.clear()
    evaluator.evaluate(columns, end, dtype="bfloat16")
    assert not counts  # nothing is new, so nothing is judged
    evaluator.evaluate(columns, n // 2, dtype="bfloat16")
    assert max(counts.values()) <= 300  # an earlier step costs no more than the newest


def test_columns_of_another_run_are_judged_from_the_start():
    evaluator = Evaluator()
    for share in (0.2, 0.01, 0.2):
        columns = {"completions/clipped_ratio": _series(np.full(60, share))}
        assert evaluator.evaluate(columns, 60) == evaluate(columns, 60)
    assert evaluator.evaluate({}, 60) == evaluate({}, 60)


def test_many_rollbacks_leave_the_verdict_of_the_branch_that_is_left():
    """Most rows are of branches that were left."""
    rng = np.random.default_rng(3)
    growing, evaluator, step = Growing(), Evaluator(), 0
    for _ in range(150):
        step = max(0, step - int(rng.integers(0, 6)))
        rows = []
        for _ in range(int(rng.integers(1, 9))):
            step += 1
            rows += [("grad_norm", step, float(np.exp(rng.normal(0, 2)))), ("reward", step, float(rng.random()))]
        growing.add(rows)
        columns = growing.columns()
        assert evaluator.evaluate(columns, step) == evaluate(columns, step)
