"""When a bound will be reached, and what drift has cost: scipy's lines, the band by brute force, simulated runs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import linregress

from rlpeaks_tui.stats.exchange import LEAST as ROWS
from rlpeaks_tui.stats.exchange import price, stretches
from rlpeaks_tui.stats.forecast import LEAST, foresee


def _rising(seed: int, slope: float = 0.001, noise: float = 0.01, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    steps = np.arange(100, 100 + n)
    return steps, 0.02 + slope * (steps - 100) + np.random.default_rng(seed).normal(0, noise, n)


@pytest.mark.parametrize("seed", range(5))
def test_the_line_is_scipys_and_the_interval_is_where_the_band_holds_the_bound(seed: int) -> None:
    steps, values = _rising(seed)
    found = foresee(steps, values, 0.2)
    line = linregress(steps, values)
    assert (found.state, found.rows) == ("ahead", 60)
    assert found.slope == pytest.approx(line.slope)
    assert found.at == pytest.approx((0.2 - line.intercept) / line.slope)
    grid = np.arange(160, 1000, 0.01)
    middle, low, high = found.over(grid)
    np.testing.assert_allclose(middle, line.intercept + line.slope * grid)
    inside = grid[(low <= 0.2) & (high >= 0.2)]
    assert (found.low, found.high) == pytest.approx((inside[0], inside[-1]), abs=0.02)
    assert found.low < found.at < found.high


def test_most_intervals_hold_the_true_crossing() -> None:
    found = [foresee(*_rising(seed), 0.12) for seed in range(200)]
    assert {each.state for each in found} == {"ahead"}
    assert 0.9 <= np.mean([each.low <= 200 <= each.high for each in found]) <= 1.0


def test_nothing_is_foreseen_in_noise_in_a_walk_or_in_few_rows() -> None:
    rng = np.random.default_rng(0)
    steps = np.arange(60)
    flat = [foresee(steps, rng.normal(0, 1, 60), 3.0).state for _ in range(200)]
    assert flat.count("unclear") >= 180
    walks = [foresee(steps, rng.normal(0, 1, 60).cumsum(), 100.0).state for _ in range(200)]
    assert walks.count("ahead") <= 30  # an independent-errors line claims a trend in most of them
    assert foresee(steps[: LEAST - 1], steps[: LEAST - 1], 99.0).state == "too few"
    assert foresee([], [], 1.0).state == "too few"
    assert foresee(steps, np.where(steps < 45, np.nan, 1.0), 2.0).rows == 15


@pytest.mark.parametrize(
    ("slope", "bound", "floor", "state"),
    [
        (1.0, 100.0, False, "ahead"),
        (-1.0, 100.0, False, "away"),
        (1.0, 20.0, False, "beyond"),
        (-1.0, -100.0, True, "ahead"),
        (1.0, -100.0, True, "away"),
        (-1.0, -20.0, True, "beyond"),
    ],
)
def test_a_bound_is_a_ceiling_or_a_floor(slope: float, bound: float, floor: bool, state: str) -> None:
    steps = np.arange(40)
    found = foresee(steps, slope * steps, bound, floor=floor)
    assert found.state == state
    if state == "ahead":
        assert (found.at, found.low, found.high) == pytest.approx((100.0, 100.0, 100.0))
    else:
        assert np.isnan([found.at, found.low, found.high]).all()


def test_stretches_hold_every_row_once_and_their_prices_are_scipys() -> None:
    rng = np.random.default_rng(1)
    steps = np.arange(1, 401)
    drift = 0.001 * steps ** (2 / 3)
    reward = np.log1p(40 * drift) + rng.normal(0, 0.02, 400)
    found = stretches(steps, drift, reward, 4)
    assert sum(part.rows for part in found) == 400
    assert [part.low for part in found] == pytest.approx([drift[-1] * i / 4 for i in range(4)])
    assert [part.first for part in found[1:]] == [part.last + 1 for part in found[:-1]]
    for part in found:
        rows = slice(part.first - 1, part.last)
        assert part.reward == pytest.approx(reward[rows].mean())
        assert part.price is not None
        assert part.price.value == pytest.approx(linregress(drift[rows], reward[rows]).slope)
    prices = [part.price.value for part in found if part.price]
    assert prices == sorted(prices, reverse=True) and found[0].price.told  # type: ignore[union-attr]


def test_intervals_of_prices_hold_the_truth_and_noise_is_not_told() -> None:
    rng = np.random.default_rng(2)
    drift = np.linspace(0.01, 0.05, 80)
    held = told = 0
    for _ in range(200):
        found = price(drift, 3 * drift + rng.normal(0, 0.05, 80))
        nothing = price(drift, rng.normal(0, 0.05, 80))
        assert found is not None and nothing is not None
        held += found.low <= 3 <= found.high
        told += nothing.told
    assert held >= 180 and told <= 20


def test_a_drift_that_falls_back_stays_in_its_stretch_and_no_drift_has_none() -> None:
    drift = np.array([0.0, 0.1, 0.4, 0.1, 0.0, 0.35, 0.4])
    found = stretches(np.arange(7), drift, np.zeros(7), 2)
    assert [(part.first, part.last, part.price) for part in found] == [(0, 1, None), (2, 6, None)]
    assert stretches([1, 2], [0.0, -0.1], [1.0, 1.0], 3) == ()
    assert stretches([], [], [], 3) == ()
    assert price(np.ones(ROWS), np.ones(ROWS)) is None
    with pytest.raises(ValueError, match="parts"):
        stretches([1], [1.0], [1.0], 0)
    for call in (lambda: stretches([1], [1.0, 2.0], [1.0], 2), lambda: foresee([1], [1, 2], 0.0)):
        with pytest.raises(ValueError, match="do not fit"):
            call()
