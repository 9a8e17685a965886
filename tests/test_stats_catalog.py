"""The catalog is complete, says something about everything, and writes values in a steady width."""

from __future__ import annotations

import math
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpeaks_tui.stats.catalog import CATALOG, format_value, has_entry, lookup

DESIGN = [
    *("reward", "rewards/exact_match/mean", "frac_reward_zero_std", "eval/pass@8", "eval/pass@k", "reward/two-step"),
    *("entropy", "entropy/two-step", "entropy/forking"),
    *("kl", "kl/base", "kl/base_se", "kl/base_k1", "kl/base_k3", "kl/base_forward", "kl/base_forward_se", "kl/ref"),
    *("calibration/ece", "calibration/ece_debiased", "calibration/ece_low", "calibration/ece_high"),
    *("calibration/brier", "calibration/auroc", "calibration/n", "calibration/confidence_std"),
    "calibration/accuracy",
    *(
        "sparsity/exact",
        "sparsity/bf16",
        "sparsity/relative",
        "sparsity/atol",
        "sparsity/null",
        "update/rank",
        "update/stable_rank",
    ),
    *("format/column", "format/entropy", "peaks/ratio", "peaks/aom", "peaks/control"),
    *("time/generate", "time/score", "time/update", "time/probe", "time/wait", "time/step"),
    *("probes/share", "probes/kl_exact", "telemetry/lost", "memory/rss"),
    *("entropy/forking_overlap", "shift/argmax", "shift/js", "shift/js_share", "cov/logp_advantage", "cov/top_share"),
    *("groups/all_right", "groups/all_wrong", "groups/expected_zero_variance", "groups/rare_success"),
    *("rollouts/no_gradient", "dlogp/right", "dlogp/wrong", "gradient/positive", "gradient/negative"),
    *("update/angle", "update/nss"),
    *("gradient/cosine", "update/norm", "drift/straightness", "drift/cosine", "advantage/column", "sampling/ess"),
    *("texts/repeated", "texts/answer_repeated", "texts/skipped", "completions/p95_length"),
    *("calibration/tokens/ece", "calibration/agreement/ece", "features/stable_rank", "features/dead"),
    *("eval/kept", "eval/kept_se", "eval/pass@1_se", "eval/base_pass@8", "eval/gain", "eval/gain_low"),
    *("eval/gain_high", "eval/policy_only", "eval/base_only", "eval/mcnemar", "eval/learned", "eval/forgotten"),
    *("eval/stuck", "eval/dead", "eval/ceiling", "eval/ceiling_low", "eval/ceiling_high"),
    *("exhaustion/left", "exhaustion/r2", "routing/recovery", "routing/recovery_low", "routing/recovery_high"),
    *("routing/tokens", "routing/random", "routing/first", "routing/half", "routing/argmax"),
    *("format/effective", "format/selection_rate", "format/selection_residual", "sampling/kl"),
    *("completions/median_length", "transfer/bwt", "transfer/forgetting", "transfer/fwt"),
]

# What TRL's GRPOTrainer and transformers' Trainer log under these names themselves.
TRL = [
    *(
        "reward_std",
        "rewards/exact_match/std",
        "loss",
        "grad_norm",
        "learning_rate",
        "epoch",
        "num_tokens",
        "step_time",
    ),
    *("completions/mean_length", "completions/min_length", "completions/max_length", "completions/clipped_ratio"),
    *("completions/mean_terminated_length", "completions/min_terminated_length"),
    "completions/max_terminated_length",
    *("clip_ratio/low_mean", "clip_ratio/low_min", "clip_ratio/high_mean", "clip_ratio/high_max"),
    "clip_ratio/region_mean",
    *("sampling/sampling_logp_difference/mean", "sampling/sampling_logp_difference/max"),
    *("sampling/importance_sampling_ratio/min", "sampling/importance_sampling_ratio/mean"),
    "sampling/importance_sampling_ratio/max",
]


@pytest.mark.parametrize("name", DESIGN + TRL)
def test_every_metric_of_the_product_is_known(name):
    metric = lookup(name)
    assert metric is not None
    assert metric.name == name
    assert "<" not in metric.title


def test_unknown_names_are_unknown():
    for name in ("", "rewards//mean", "reward/", "nonsense", "entropyx", "eval_nonsense", "xrewards/a/mean"):
        assert lookup(name) is None


def test_a_named_metric_wins_over_a_family_and_members_carry_their_name():
    assert lookup("entropy/forking").title == "Entropy at forks"
    assert lookup("entropy/forking_overlap").unit == "fraction"
    assert lookup("entropy/forking_sums").title == "Entropy by task: forking_sums"
    assert lookup("probes/share").unit == "%"
    assert lookup("probes/kl").title == "Time of probe: kl"
    assert lookup("format/entropy").unit == "nats"
    assert lookup("format/column").title == "Format share: column"
    assert lookup("rewards/math/steps/mean").title == "Reward by function: math/steps"
    assert lookup("eval/pass@16").title == "pass@16"
    assert lookup("eval/pass@1_se").title == "pass@1, standard error"
    assert lookup("eval/base_pass@16").title == "Base's pass@16"
    assert has_entry("format/effective") and not has_entry("format/column") and not has_entry("format/<name>")
    assert lookup("eval_reward").title == "Reward, held out"


def test_every_entry_says_what_makes_it_honest():
    assert len({metric.name for metric in CATALOG}) == len(CATALOG)
    panels = {
        "reward",
        "entropy",
        "kl",
        "calibration",
        "sparsity",
        "format",
        "peaks",
        "completions",
        "optimizer",
        "cost",
    }
    for metric in CATALOG:
        for text in (metric.title, metric.formula, metric.estimator, metric.source, metric.healthy, metric.misleads):
            assert text.strip() and text.isascii(), metric.name
        assert metric.panel in panels
        assert metric.unit in {"", "fraction", "%", "nats", "nats/token", "tokens", "s", "bytes", "count", "degrees"}
        assert metric.misleads.endswith("."), metric.name
        low, high = metric.bounds
        assert low is None or high is None or low < high
        if metric.unit in {"fraction", "%"}:
            assert low == 0.0 and high is not None
        assert len(metric.title) <= 32, metric.name
        for paper in re.findall(r"\d{4}\.\d{4,}", metric.source):
            assert re.fullmatch(r"\d{2}(0[1-9]|1[0-2])\.\d{5}", paper)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("reward", 0.8612, "0.861"),
        ("reward", 0, "0.00"),
        ("reward", -1.5, "-1.50"),
        ("entropy", 0.0381, "0.0381"),
        ("entropy", 9.9961, "10.0"),
        ("kl/base", 0.00004312, "4.31e-5"),
        ("calibration/ece", 0.1234, "0.123"),
        ("format/column", 1.0, "1.00"),
        ("learning_rate", 1e-6, "1.00e-6"),
        ("completions/mean_length", 18.04, "18.0"),
        ("completions/max_length", 2048, "2,048"),
        ("num_tokens", 643_456, "643,456"),
        ("num_tokens", 1_234_567, "1.23 M"),
        ("num_tokens", 2.5e9, "2.50 G"),
        ("calibration/n", 512.0, "512"),
        ("time/step", 0.1264, "0.126 s"),
        ("probes/share", 0.0141, "1.4 %"),
        ("memory/rss", 1_304_000_000, "1.30 GB"),
        ("memory/rss", 999_999, "1.00 MB"),
        ("memory/rss", 512, "512 B"),
        ("reward", math.nan, "-"),
        ("reward", None, "-"),
        ("reward", -math.inf, "-inf"),
        ("probes/share", 1e307, "inf"),
    ],
)
def test_values_are_written_for_people(name, value, text):
    assert format_value(lookup(name), value) == text


def test_a_metric_that_is_not_in_the_catalog_is_still_written():
    assert format_value(None, 1234.5) == "1,234"
    assert format_value(None, None) == "-"


@given(st.sampled_from(CATALOG), st.floats(-1e300, 1e300))
def test_any_value_is_short_and_close_to_itself(metric, value):
    text = format_value(metric, value)
    if metric.unit == "fraction":
        value = value % 1.0
        text = format_value(metric, value)
        assert len(text) == metric.digits + 2
        assert float(text) == pytest.approx(value, abs=0.51 * 10.0**-metric.digits)
        return
    number, _, suffix = text.partition(" ")
    assert len(number) <= metric.digits + 6 + (text.startswith("-") and 1)
    scale = {"M": 1e6, "G": 1e9, "T": 1e12, "%": 0.01, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}.get(suffix, 1.0)
    assert float(number.replace(",", "")) * scale == pytest.approx(
        value, rel=0.51 * 10.0 ** (1 - metric.digits), abs=1e-300
    )


@given(
    st.sampled_from([m for m in CATALOG if m.unit not in {"fraction", "%", "bytes", "tokens", "count"}]),
    st.integers(0, 5),
)
def test_width_does_not_jump_within_a_decade(metric, power):
    widths = {len(format_value(metric, mantissa * 10.0**power)) for mantissa in (1, 1.5, 2.25, 3.333, 9.4)}
    assert len(widths) == 1


def test_quick_commands_do_not_pay_for_numpy():
    code = (
        "import sys, rlpeaks_tui.stats.catalog, rlpeaks_tui.stats.modules\n"
        "print([m for m in ('numpy', 'torch', 'textual', 'rich', 'scipy') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_numeric_modules_need_numpy_and_nothing_else():
    code = (
        "import sys\n"
        "from rlpeaks_tui.stats import calibration, difficulty, divergence, drift, evaluator\n"
        "from rlpeaks_tui.stats import exhaustion, groups, health, heldout, overlap, paired, passk, routing, scaling\n"
        "from rlpeaks_tui.stats import sparsity, summaries, texts, tokens\n"
        "print([m for m in ('torch', 'textual', 'rich', 'scipy', 'sklearn', 'pandas') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
