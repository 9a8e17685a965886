"""Selection of formats against the equation that it is told from, simulated with known winners."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rlpeaks_tui.stats.selection import selection

NAN = math.nan


def replicated(fitness: list[float], steps: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Shares and advantages [F, n] of 64 completions a step whose true shares follow the replicator equation."""
    true = np.full(len(fitness), 1 / len(fitness))
    shares, paid = [], []
    for _ in range(steps):
        counts = rng.multinomial(64, true)
        shares.append(counts / 64)
        mean = float(true @ fitness)
        paid.append(np.array(fitness) - mean + rng.normal(0, 0.1, len(fitness)))
        true = true + 0.1 * true * (np.array(fitness) - mean)
    return np.array(shares).T, np.array(paid).T


def test_what_is_paid_more_is_selected_and_what_is_paid_less_selected_against() -> None:
    found = selection(*replicated([0.6, 0.0, 0.0], 200, np.random.default_rng(0)))
    assert found.kinds == ("selected", "selected against", "selected against")
    assert found.paid[0] > 0 > found.paid[1]


def test_a_large_share_alone_is_merely_frequent() -> None:
    rng = np.random.default_rng(1)
    shares = rng.multinomial(64, [0.8, 0.2], 120).T / 64
    found = selection(shares, rng.normal(0, 0.1, shares.shape))
    assert found.kinds == ("merely frequent", "rare")


def test_a_share_that_grows_without_pay_is_no_selection() -> None:
    rng = np.random.default_rng(2)
    rise = np.linspace(0.2, 0.8, 120) + rng.normal(0, 0.02, 120)
    found = selection([rise, 1 - rise], np.zeros((2, 120)))
    assert found.kinds == ("rises unpaid", "falls, not paid less")


UNIT = st.floats(0, 1, width=32)


@given(st.integers(1, 4), st.integers(1, 8), st.data())
def test_forces_are_the_equation_step_by_step_and_cancel_over_formats(f: int, n: int, data: st.DataObject) -> None:
    shares = data.draw(arrays(np.float64, (f, n), elements=UNIT | st.just(NAN)))
    paid = data.draw(arrays(np.float64, (f, n), elements=st.floats(-2, 2, width=32) | st.just(NAN)))
    found = selection(shares, paid)
    sums = [0.0] * f
    for t in range(n):
        there = [i for i in range(f) if shares[i, t] > 0 and not math.isnan(paid[i, t])]
        total = sum(shares[i, t] for i in there)
        mean = sum(shares[i, t] * paid[i, t] for i in there) / total if total else 0.0
        for i in there:
            sums[i] += shares[i, t] * (paid[i, t] - mean)
        assert found.force[:, t] == pytest.approx(sums, abs=1e-9)
        assert sum(found.force[:, t]) == pytest.approx(0, abs=1e-9)


def test_shapes_that_do_not_fit_are_refused() -> None:
    for shares, paid in (([[0.5]], [[0.5], [0.5]]), ([0.5], [0.5]), (np.zeros((2, 0)), np.zeros((2, 0)))):
        with pytest.raises(ValueError, match="do not fit"):
            selection(shares, paid)


@pytest.mark.parametrize("formats", [2, 3, 6])
@pytest.mark.parametrize("steps", [40, 100])
@pytest.mark.parametrize("kept", [0.0, 0.9, 1.0])
def test_chance_alone_is_hardly_ever_called_selection(formats: int, steps: int, kept: float) -> None:
    """Shares that stay, that wander back, and that drift away for good, in runs in which no format is paid more."""
    rng = np.random.default_rng(3)
    runs, false = 150, 0
    for _ in range(runs):
        logit = np.zeros((formats, steps))
        for t in range(1, steps):
            logit[:, t] = kept * logit[:, t - 1] + rng.normal(0, 0.05, formats)
        true = np.exp(logit) / np.exp(logit).sum(axis=0)
        counts = np.stack([rng.multinomial(16, true[:, t]) for t in range(steps)], axis=1)
        paid = np.where(counts > 0, rng.normal(0, 1, counts.shape) / np.sqrt(np.maximum(counts, 1)), NAN)
        false += any(kind in ("selected", "selected against") for kind in selection(counts / 16, paid).kinds)
    # Of 150 runs with one false call in twenty, more than 13 are one in fifty.
    assert false <= 13


@pytest.mark.parametrize("steps", [1, 2, 3, 39])
def test_few_steps_name_no_winner(steps: int) -> None:
    found = selection(*replicated([0.6, 0.0, 0.0], steps, np.random.default_rng(0)))
    assert found.kinds == ("too few steps",) * 3
