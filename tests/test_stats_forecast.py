"""When a bound will be reached, and what drift has cost: scipy's lines, the band by brute force, simulated runs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import linregress

from rlpeaks_tui.stats.exchange import LEAST as ROWS
from rlpeaks_tui.stats.exchange import bought, price, stretches
from rlpeaks_tui.stats.forecast import LEAST, foresee
from rlpeaks_tui.stats.summaries import smooth


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
    found = stretches(steps, drift, reward, drift, 4)
    assert sum(part.rows for part in found) == 400
    assert [part.low for part in found] == pytest.approx([drift[-1] * i / 4 for i in range(4)])
    assert [part.first for part in found[1:]] == [part.last + 1 for part in found[:-1]]
    for part in found:
        rows = slice(part.first - 1, part.last)
        assert part.reward == pytest.approx(reward[rows].mean())
        assert part.price is not None
        rises = [linregress(steps[rows], values[rows]).slope for values in (reward, drift)]
        assert part.price.value == pytest.approx(rises[0] / rises[1])
    prices = [part.price.value for part in found if part.price]
    assert prices == sorted(prices, reverse=True) and found[0].price.told  # type: ignore[union-attr]


@pytest.mark.parametrize(("noise", "known"), [(0.002, 0.95), (0.02, 0.6)])
def test_prices_hold_the_truth_however_noisy_the_drift(noise: float, known: float) -> None:
    """Reward rises with the root of drift, so that the price of each stretch is another; drift is known with noise."""
    rng = np.random.default_rng(2)
    steps = np.arange(1000.0)
    true_drift = 0.1 * (1 - np.exp(-steps / 400))
    true_reward = 0.3 + 1.5 * np.sqrt(true_drift)
    asked, told, held = 0, 0, 0
    for _ in range(150):
        drift = true_drift + rng.normal(0, noise, 1000)
        reward = true_reward + lfilter([1], [1, -0.5], rng.normal(0, 0.08, 1000))
        for part in stretches(steps, drift, reward, smooth(drift, 20), 4):
            asked += 1
            if part.price is not None:
                told += 1
                rows = slice(part.first, part.last + 1)
                rises = [linregress(steps[rows], values[rows]).slope for values in (true_reward, true_drift)]
                held += part.price.low <= rises[0] / rises[1] <= part.price.high
    assert held >= 0.92 * told and told >= known * asked


def test_a_price_that_does_not_change_is_not_told_to_and_noise_buys_nothing() -> None:
    rng = np.random.default_rng(4)
    steps = np.arange(800.0)
    changed, bought_something, draws = 0, 0, 150
    for _ in range(draws):
        drift = 0.0001 * steps + rng.normal(0, 0.015, 800)
        reward = 4 * 0.0001 * steps + rng.normal(0, 0.08, 800)
        prices = [part.price for part in stretches(steps, drift, reward, smooth(drift, 16), 4)]
        known = [found for found in prices if found is not None]
        changed += bool(known) and (known[-1].high < known[0].low or known[-1].low > known[0].high)
        whole = bought(steps, drift, rng.normal(0, 0.08, 800))
        assert whole is not None and whole.price is not None
        bought_something += whole.price.told
    assert changed <= 0.05 * draws and bought_something <= 0.1 * draws


def test_the_whole_way_is_the_last_tenth_against_the_first() -> None:
    rng = np.random.default_rng(5)
    steps, held = np.arange(400.0), 0
    for _ in range(200):
        drift = 0.0002 * steps + rng.normal(0, 0.01, 400)
        reward = 0.2 + 0.001 * steps + lfilter([1], [1, -0.4], rng.normal(0, 0.1, 400))
        found = bought(steps, drift, reward)
        assert found is not None and found.rows == 40 and found.price is not None
        assert found.reward == pytest.approx(reward[-40:].mean() - reward[:40].mean())
        assert found.drift == pytest.approx(drift[-40:].mean() - drift[:40].mean())
        assert found.price.value == pytest.approx(found.reward / found.drift)
        held += found.price.low <= 5 <= found.price.high
    assert held >= 184
    assert bought(steps[:15], steps[:15], steps[:15]) is None
    still = bought(steps, rng.normal(0, 0.01, 400), steps)
    assert still is not None and still.price is None


def test_a_drift_that_falls_back_stays_in_its_stretch_and_no_drift_has_none() -> None:
    drift = np.array([0.0, 0.1, 0.4, 0.1, 0.0, 0.35, 0.4])
    found = stretches(np.arange(7), drift, np.zeros(7), drift, 2)
    assert [(part.first, part.last, part.price) for part in found] == [(0, 1, None), (2, 6, None)]
    assert stretches([1, 2], [0.0, -0.1], [1.0, 1.0], [0.0, -0.1], 3) == ()
    assert stretches([], [], [], [], 3) == ()
    assert price(np.arange(float(ROWS)), np.ones(ROWS), np.ones(ROWS)) is None
    with pytest.raises(ValueError, match="parts"):
        stretches([1], [1.0], [1.0], [1.0], 0)
    for call in (lambda: stretches([1], [1.0, 2.0], [1.0], [1.0], 2), lambda: foresee([1], [1, 2], 0.0)):
        with pytest.raises(ValueError, match="do not fit"):
            call()


@pytest.mark.parametrize(("steps", "rho"), [(40, 0.0), (80, 0.3), (120, 0.6)])
def test_a_short_run_has_intervals_that_hold_as_well(steps: int, rho: float) -> None:
    rng = np.random.default_rng(6)
    at = np.arange(float(steps))
    true = 0.1 * at / steps
    asked = held = told = 0
    for _ in range(400):
        noise = lfilter([1], [1, -rho], rng.normal(0, 0.05, (steps + 50, 2)), axis=0)[50:]
        drift = true + 0.1 * noise[:, 0]
        found, nothing = bought(at, drift, 4 * true + noise[:, 1]), bought(at, drift, noise[:, 1])
        assert found is not None and nothing is not None
        if found.price is not None and nothing.price is not None:
            asked += 1
            held += found.price.low <= 4 <= found.price.high
            told += nothing.price.told
    assert asked >= 200 and held >= 0.91 * asked and told <= 0.09 * asked


@pytest.mark.parametrize("towards", [0.9, 0.4])
def test_where_drift_falls_nothing_is_bought(towards: float) -> None:
    """The last part of the way goes back towards the base, as under a stronger KL term, whatever reward does."""
    rng = np.random.default_rng(7)
    steps = np.arange(1500.0)
    drift = np.interp(steps, [0, 500, 1500], [0, 0.1, 0.05]) + rng.normal(0, 0.003, 1500)
    reward = np.interp(steps, [0, 500, 1500], [0.2, 0.7, towards]) + rng.normal(0, 0.05, 1500)
    found = stretches(steps, drift, reward, smooth(drift, 20), 4)
    assert found[0].price is not None and found[0].price.low > 0
    assert found[-1].last == 1499 and found[-1].price is None
    back = bought(steps[500:], drift[500:], reward[500:])
    assert back is not None and back.drift < 0 and back.price is None
