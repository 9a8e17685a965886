"""Calibration against scikit-learn, closed forms and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, roc_auc_score

from rlpeaks_tui.stats.calibration import (
    MIN_SAMPLES,
    auroc,
    bootstrap_ece,
    brier,
    calibrate,
    ece,
    ece_debiased,
    ece_parts,
)
from rlpeaks_tui.stats.catalog import lookup
from rlpeaks_tui.stats.reliability import reliability

judged = st.lists(
    st.tuples(st.one_of(st.floats(0, 1), st.integers(0, 10).map(lambda k: k / 10)), st.booleans()),
    min_size=1,
    max_size=60,
).map(lambda rows: (np.array([q for q, _ in rows]), np.array([y for _, y in rows], float)))


def _calibrated(rng: np.random.Generator, prompts: int, group: int, overconfidence: float = 0.0):
    """Confidence, outcome and prompt of rollouts whose true chance is confidence - overconfidence."""
    q = np.clip(rng.beta(2, 2, (prompts, 1)) + rng.normal(0, 0.05, (prompts, group)), overconfidence, 1)
    y = rng.random(q.shape) < q - overconfidence
    return q.ravel(), y.ravel().astype(float), np.repeat(np.arange(prompts), group)


def test_verbalised_confidence_lands_in_the_bin_that_starts_there():
    said = np.arange(11) / 10
    assert reliability(said, np.ones(11)).count.tolist() == [1] * 9 + [2]


@given(judged)
def test_bins_partition_the_rollouts(data):
    q, y = data
    table = reliability(q, y)
    assert table.count.sum() == q.size
    used = table.count > 0
    said, accuracy = table.confidence[used], table.accuracy[used]
    assert np.isnan(table.accuracy[~used]).all()
    assert (table.edges[:-1][used] <= said + 1e-12).all() and (said <= table.edges[1:][used]).all()
    assert ((table.low[used] <= accuracy) & (accuracy <= table.high[used])).all()


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0.01, 0.99), st.booleans()), min_size=1, max_size=60))
def test_reliability_is_sklearns_off_the_edges(rows):
    """On an edge the two differ on purpose: sklearn's bins are (lo, hi]."""
    q = np.array([(k + part) / 10 for k, part, _ in rows])
    y = np.array([right for *_, right in rows], float)
    table = reliability(q, y)
    accuracy, confidence = calibration_curve(y, q, n_bins=10)
    np.testing.assert_allclose(table.accuracy[table.count > 0], accuracy)
    np.testing.assert_allclose(table.confidence[table.count > 0], confidence)


@given(judged)
def test_ece_is_the_weighted_gap_of_the_reliability_table(data):
    q, y = data
    table = reliability(q, y)
    used = table.count > 0
    gap = np.abs(table.confidence - table.accuracy)[used]
    assert ece(q, y) == pytest.approx(float((table.count[used] * gap).sum() / q.size), abs=1e-12)
    assert 0 <= ece_debiased(q, y) <= ece(q, y) + 1e-12
    assert ece_parts(q, y).mean() == pytest.approx(ece(q, y), abs=1e-12)


def test_ece_by_hand():
    assert ece([0.95, 0.95, 0.05, 0.05], [1, 0, 0, 0]) == pytest.approx((0.45 + 0.05) / 2)


@pytest.mark.parametrize("cluster", [False, True])
def test_debiased_ece_is_nearer_zero_on_calibrated_data_and_keeps_a_real_error(cluster):
    rng = np.random.default_rng(1)
    plain, debiased, biased_by = [], [], 0.15
    for _ in range(200):
        q, y, prompt = _calibrated(rng, 40, 8)
        plain.append(ece(q, y))
        debiased.append(ece_debiased(q, y, cluster=prompt if cluster else None))
    assert np.mean(debiased) < 0.7 * np.mean(plain)
    error = []
    for _ in range(200):
        q, y, prompt = _calibrated(rng, 40, 8, overconfidence=biased_by)
        error.append(ece_debiased(q, y, cluster=prompt if cluster else None))
    assert np.mean(error) == pytest.approx(biased_by, abs=0.01)


def test_folded_normal_correction_matches_kumars_simulation():
    """The closed form against what 1909.10155's library does: draw accuracies again and average the error."""
    rng = np.random.default_rng(2)
    q, y, _ = _calibrated(rng, 200, 1, overconfidence=0.05)
    keep = (q > 0.2) & (q < 0.8)  # bins with more than one rollout, as their variance needs
    q, y = q[keep], y[keep]
    table = reliability(q, y)
    used = table.count > 0
    n, said, accuracy = table.count[used], table.confidence[used], table.accuracy[used]
    spread = np.sqrt(accuracy * (1 - accuracy) / (n - 1))
    drawn = np.abs(rng.normal(accuracy, spread, (400_000, n.size)) - said) @ (n / n.sum())
    assert ece_debiased(q, y) == pytest.approx(2 * ece(q, y) - drawn.mean(), abs=1e-3)


def test_bootstrap_interval_covers_the_truth_also_when_calibration_is_perfect():
    rng = np.random.default_rng(3)
    covered = {0.0: 0, 0.15: 0}
    ruled_out = {0.0: 0, 0.15: 0}
    for truth in covered:
        for _ in range(150):
            q, y, prompt = _calibrated(rng, 64, 8, overconfidence=truth)
            low, high = bootstrap_ece(q, y, prompt, rng)
            assert 0 <= low <= high <= 1
            covered[truth] += low <= truth <= high
            ruled_out[truth] += low > 0
    assert covered[0.0] >= 0.93 * 150
    assert covered[0.15] >= 0.85 * 150
    assert ruled_out[0.0] <= 0.07 * 150
    assert ruled_out[0.15] >= 0.95 * 150


def test_bootstrap_counts_prompts_and_not_rollouts():
    """Eight copies of each rollout add nothing: the interval must not shrink."""
    rng = np.random.default_rng(4)
    q, y, prompt = _calibrated(rng, 100, 1, overconfidence=0.2)
    once = bootstrap_ece(q, y, prompt, np.random.default_rng(5))
    copies = [np.repeat(v, 8) for v in (q, y, prompt)]
    assert bootstrap_ece(*copies, np.random.default_rng(5)) == pytest.approx(once)
    alone = bootstrap_ece(copies[0], copies[1], np.arange(800), np.random.default_rng(5))
    assert alone[1] - alone[0] < 0.6 * (once[1] - once[0])


@given(judged)
def test_brier_is_sklearns_and_its_parts_add_up(data):
    q, y = data
    parts = brier(q, y)
    assert parts.score == pytest.approx(brier_score_loss(y, q, pos_label=1), abs=1e-12)
    assert parts.reliability - parts.resolution + parts.uncertainty + parts.within == pytest.approx(parts.score)
    assert parts.reliability >= 0
    assert parts.resolution >= 0


def test_five_bins_are_five_bins_counted_by_hand():
    """Bins of a fifth: 0.05 and 0.15 share the first, where 1 of 4 is right; 0.9 lies in the last, where 2 of 2 are."""
    q, y = [0.05, 0.15, 0.05, 0.15, 0.9, 0.9], [0, 0, 0, 1, 1, 1]
    assert reliability(q, y, bins=5).count.tolist() == [4, 0, 0, 0, 2]
    assert ece(q, y, bins=5) == pytest.approx((4 * 0.15 + 2 * 0.1) / 6)
    parts = brier(q, y, bins=5)
    assert parts.score == pytest.approx((2 * 0.05**2 + 0.15**2 + 0.85**2 + 2 * 0.1**2) / 6)
    assert parts.reliability == pytest.approx((4 * 0.15**2 + 2 * 0.1**2) / 6)
    assert parts.resolution == pytest.approx((4 * 0.25**2 + 2 * 0.5**2) / 6)
    assert parts.uncertainty == pytest.approx(0.25)


def test_brier_has_no_within_part_when_each_bin_holds_one_value():
    rng = np.random.default_rng(6)
    q = rng.integers(0, 10, 500) / 10 + 0.05
    assert brier(q, rng.random(500) < q).within == pytest.approx(0, abs=1e-12)


@given(judged)
def test_auroc_is_sklearns_with_ties(data):
    q, y = data
    q = np.round(q, 1)
    if y.min() == y.max():
        assert math.isnan(auroc(q, y).value)
    else:
        assert auroc(q, y).value == pytest.approx(roc_auc_score(y, q), abs=1e-12)


def test_auroc_error_is_that_seen_between_samples_and_counts_prompts():
    rng = np.random.default_rng(7)
    values, errors, clustered = [], [], []
    for _ in range(300):
        q, y, prompt = _calibrated(rng, 60, 4)
        found = auroc(q, y, cluster=prompt)
        values.append(found.value)
        clustered.append(found.se)
    assert np.mean(clustered) == pytest.approx(np.std(values), rel=0.15)
    copies = [np.repeat(v, 8) for v in (q, y, prompt)]
    errors = [auroc(copies[0], copies[1], cluster=copies[2]).se, auroc(copies[0], copies[1]).se]
    assert errors[0] == pytest.approx(auroc(q, y, cluster=prompt).se)
    assert errors[1] < 0.6 * errors[0]


def test_calibrate_gives_everything_for_a_good_window():
    rng = np.random.default_rng(8)
    q, y, prompt = _calibrated(rng, 64, 8)
    found = calibrate(q, y, prompt, np.random.default_rng(0))
    assert found.why == {}
    assert (found.n, found.missing, found.clusters) == (512, 0, 64)
    assert found.ece == ece(q, y)
    assert found.auroc == pytest.approx(roc_auc_score(y, q))
    assert found.confidence_std == pytest.approx(q.std())
    assert found.metrics() == calibrate(q, y, prompt, np.random.default_rng(0)).metrics()
    assert all(value is not None and lookup(name) is not None for name, value in found.metrics().items())


def test_calibrate_says_why_it_cannot():
    rng = np.random.default_rng(9)
    q, y, prompt = _calibrated(rng, 64, 8)
    few = calibrate(q[: MIN_SAMPLES - 1], y[: MIN_SAMPLES - 1], prompt[: MIN_SAMPLES - 1], rng)
    assert few.ece is None and "29 rollouts" in few.why["ece"]
    assert few.brier is not None

    one_prompt = calibrate(q, y, np.zeros(q.size), rng)
    assert one_prompt.ece is not None
    assert one_prompt.ece_low is None and "1 prompts" in one_prompt.why["ece_low"]
    assert one_prompt.auroc is not None
    assert one_prompt.auroc_se is None and "auroc_se" in one_prompt.why

    solved = calibrate(q, np.ones(q.size), prompt, rng)
    assert solved.auroc is None and "every rollout is correct" in solved.why["auroc"]

    nothing = calibrate(np.full(5, np.nan), np.ones(5), np.arange(5), rng)
    assert (nothing.n, nothing.missing) == (0, 5)
    assert all(value is None for name, value in nothing.metrics().items() if name != "calibration/n")
    assert set(nothing.why) >= {"ece", "auroc", "accuracy", "reliability", "brier"}


@given(judged, st.integers(0, 2**32 - 1))
def test_every_missing_value_has_a_reason(data, seed):
    q, y = data
    found = calibrate(q, y, np.arange(q.size) // 4, np.random.default_rng(seed))
    for name in ("accuracy", "ece", "ece_debiased", "ece_low", "ece_high", "brier", "auroc", "auroc_se", "reliability"):
        assert (getattr(found, name) is None) == (name in found.why)


def test_missing_confidence_is_passed_over_and_counted():
    rng = np.random.default_rng(10)
    q, y, prompt = _calibrated(rng, 64, 8)
    holes = q.copy()
    holes[::4] = np.nan
    found = calibrate(holes, y, prompt, rng)
    assert (found.n, found.missing) == (384, 128)
    keep = ~np.isnan(holes)
    assert found.ece == ece(q[keep], y[keep])


@pytest.mark.parametrize(
    ("confidence", "correct", "message"),
    [([50.0], [1], "divide percentages"), ([0.5], [2], "0 or 1"), ([0.5, 0.5], [1], "2 values")],
)
def test_values_out_of_range_are_refused(confidence, correct, message):
    with pytest.raises(ValueError, match=message):
        ece(confidence, correct)
