"""Overlaps against scikit-learn, hand cases, brute force over all matrices of given counts, and random swaps."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import jaccard_score

from rlpeaks_tui.stats.overlap import (
    Overlap,
    expected_intersection,
    overlap,
    pooled,
    top_tenth,
    within,
)

matrices = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12))


def bits(*rows: str) -> np.ndarray:
    return np.array([[mark == "1" for mark in row] for row in rows])


@given(st.data(), hnp.array_shapes(max_dims=3, max_side=6))
def test_counts_and_ratios_are_those_of_sets_and_scikit_learn(data: st.DataObject, shape: tuple[int, ...]) -> None:
    one, two = (data.draw(hnp.arrays(np.bool_, shape)) for _ in range(2))
    found = overlap(one, two)
    first, second = set(np.flatnonzero(one).tolist()), set(np.flatnonzero(two).tolist())
    assert (found.n, found.first, found.second) == (one.size, len(first), len(second))
    assert found.both == len(first & second)
    if first | second:
        assert found.jaccard == pytest.approx(jaccard_score(one.ravel(), two.ravel()))
    if first:
        assert found.o1 == len(first & second) / len(first)
        assert found.chance_o1 == pytest.approx(len(second) / one.size)
    assert math.isnan(found.o2) == (not second)
    swapped = overlap(two, one)
    assert (swapped.o1, swapped.o2) == pytest.approx((found.o2, found.o1), nan_ok=True)
    assert swapped.margins == pytest.approx(found.margins)


def test_a_hand_case() -> None:
    found = overlap(np.array([1, 1, 1, 0, 0, 0, 0, 0], bool), np.array([1, 1, 0, 1, 1, 0, 0, 0], bool))
    assert (found.both, found.chance) == (2, 1.5)
    assert (found.o1, found.o2, found.jaccard) == pytest.approx((2 / 3, 1 / 2, 2 / 5))
    assert found.lift == found.honest_lift == pytest.approx(4 / 3)  # a vector has no rows and columns


def model(mask: np.ndarray) -> np.ndarray:
    """The probability of each entry, [m, n]: what is expected in common with a mask that is certain to hold only it."""
    found = np.empty(mask.shape)
    for place in np.ndindex(mask.shape):
        only = np.zeros(mask.shape, bool)
        only[place] = True
        found[place] = expected_intersection(mask, only)
    return found


@given(matrices)
def test_the_model_has_the_counts_of_the_mask(mask: np.ndarray) -> None:
    p = model(mask)
    assert ((p >= 0) & (p <= 1)).all()
    np.testing.assert_allclose(p.sum(1), mask.sum(1), atol=1e-6)
    np.testing.assert_allclose(p.sum(0), mask.sum(0), atol=1e-6)
    rows, columns = mask.sum(1), mask.sum(0)
    n, m = len(columns), len(rows)
    for line in (p[rows == 0], p[:, columns == 0]):
        assert (line == 0).all()
    for line in (p[rows == n], p[:, columns == m]):
        assert (line == 1).all()


@given(matrices)
def test_where_nothing_is_fixed_the_log_odds_are_a_row_s_plus_a_column_s(mask: np.ndarray) -> None:
    """The condition for the greatest entropy: no 2 x 2 square of log-odds has an interaction."""
    p = model(mask)
    if ((p > 0) & (p < 1)).all():
        odds = np.log(p / (1 - p))
        interaction = odds - odds.mean(0) - odds.mean(1, keepdims=True) + odds.mean()
        np.testing.assert_allclose(interaction, 0, atol=1e-6)


def all_with_counts_of(mask: np.ndarray) -> np.ndarray:
    """Every matrix with the row and column counts of a small mask, [matrices, m, n]."""
    n = mask.shape[1]
    row_choices = [
        [np.isin(np.arange(n), chosen) for chosen in itertools.combinations(range(n), int(k))] for k in mask.sum(1)
    ]
    found = [np.array(rows) for rows in itertools.product(*row_choices)]
    return np.array([matrix for matrix in found if (matrix.sum(0) == mask.sum(0)).all()])


@given(hnp.arrays(np.bool_, st.tuples(st.integers(1, 4), st.integers(1, 4))))
def test_an_entry_is_certain_exactly_where_all_matrices_of_these_counts_agree(mask: np.ndarray) -> None:
    p, share = model(mask), all_with_counts_of(mask).mean(0)
    np.testing.assert_array_equal(p == 0, share == 0)
    np.testing.assert_array_equal(p == 1, share == 1)


def test_a_block_that_the_counts_fix_without_any_full_row() -> None:
    """Rows 1, 2 and columns 1, 2 must be full together, the opposite corner empty; the rest is free."""
    mask = bits("1110", "1101", "1000", "0100")
    p = model(mask)
    np.testing.assert_allclose(p, [[1, 1, 0.5, 0.5], [1, 1, 0.5, 0.5], [0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0]], atol=1e-8)
    np.testing.assert_allclose(p, all_with_counts_of(mask).mean(0), atol=1e-8)


def curveball(mask: np.ndarray, rng: np.random.Generator, trades: int) -> np.ndarray:
    """A random matrix with the counts of `mask`: pairs of rows trade what only one of them has (Strona 2014)."""
    rows = [set(np.flatnonzero(row).tolist()) for row in mask]
    for _ in range(trades):
        i, j = rng.choice(len(rows), 2, replace=False)
        shared = rows[i] & rows[j]
        loose = rng.permutation(sorted(rows[i] ^ rows[j])).tolist()
        mine = len(rows[i]) - len(shared)
        rows[i], rows[j] = shared | set(loose[:mine]), shared | set(loose[mine:])
    return np.array([[column in row for column in range(mask.shape[1])] for row in rows])


@pytest.mark.parametrize("seed", range(3))
def test_the_expected_intersection_is_that_of_random_swaps(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def uneven() -> np.ndarray:
        return rng.random((14, 18)) < 1 / (1 + np.exp(0.5 - rng.normal(0, 1.5, (14, 1)) - rng.normal(0, 1.5, (1, 18))))

    one, two = uneven(), uneven()
    swaps, a, b = [], one, two
    for _ in range(400):
        a, b = curveball(a, rng, 14), curveball(b, rng, 14)
        swaps.append(np.count_nonzero(a & b))
    # Swaps keep the counts exactly, the model on average; for matrices of this size that is a percent or two.
    assert expected_intersection(one, two) == pytest.approx(np.mean(swaps), rel=0.03)


def test_shared_rows_and_columns_are_no_agreement() -> None:
    """Two masks drawn independently from the same uneven odds: a large lift over chance, an honest lift of 1."""
    rng = np.random.default_rng(0)
    odds = 1 / (1 + np.exp(3 - rng.normal(0, 1, (200, 1)) - rng.normal(0, 1, (1, 300))))
    found = overlap(rng.random(odds.shape) < odds, rng.random(odds.shape) < odds)
    assert found.lift > 2
    assert found.honest_lift == pytest.approx(1, abs=0.03)
    same = overlap(rng.random(odds.shape) < 0.1, np.zeros(odds.shape, bool))
    assert same.both == same.margins == 0 and math.isnan(same.lift) and math.isnan(same.honest_lift)


def test_blocks_of_rows_do_not_change_the_expectation(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    one, two = rng.random((50, 20)) < 0.3, rng.random((50, 20)) < 0.6
    whole = expected_intersection(one, two)
    monkeypatch.setattr("rlpeaks_tui.stats.overlap.BLOCK", 64)
    assert expected_intersection(one, two) == pytest.approx(whole, rel=1e-12)


def test_modules_put_together() -> None:
    still, moving = Overlap(100, 10, 10, 5, 1.0, 4.0), Overlap(100, 90, 90, 81, 81.0, 81.0)
    inside, over = within([still, moving]), pooled([still, moving])
    assert (inside.o1, over.o1) == (0.86, 0.86)
    assert inside.chance_o1 == pytest.approx((10 * 0.1 + 90 * 0.9) / 100)  # weighted by |I1|
    assert over.chance_o1 == 0.5
    assert inside.lift == pytest.approx(86 / 82) and over.lift == pytest.approx(1.72)
    assert inside.honest_lift == over.honest_lift == pytest.approx(86 / 85)


@given(hnp.arrays(np.float32, hnp.array_shapes(max_dims=2, max_side=40), elements=st.floats(-4, 4, width=16)))
def test_the_top_tenth_is_the_largest_that_moved(delta: np.ndarray) -> None:
    mask = top_tenth(delta)
    assert mask.shape == delta.shape
    assert mask.sum() == min(max(1, delta.size // 10), np.count_nonzero(delta))
    if mask.any():
        assert np.abs(delta)[mask].min() > 0
        assert np.abs(delta)[mask].min() >= np.abs(delta)[~mask].max(initial=0)
    np.testing.assert_array_equal(mask, top_tenth(delta.copy()))


def test_ties_are_not_broken_alike_in_two_runs() -> None:
    """All weights move by one unit of bfloat16, in directions of their own: the choice must not look like agreement."""
    rng = np.random.default_rng(0)
    one, two = (top_tenth(rng.choice(np.array([-1, 1], np.float32), (100, 100))) for _ in range(2))
    assert one.sum() == two.sum() == 1000
    assert overlap(one, two).o1 == pytest.approx(0.1, abs=0.03)


def test_a_weight_that_is_no_number_has_moved_the_farthest() -> None:
    delta = np.zeros(20, np.float32)
    delta[[3, 5, 7]] = [np.nan, 1.0, -np.inf]
    assert np.flatnonzero(top_tenth(delta)).tolist() == [3, 7]


def test_misuse_is_refused() -> None:
    with pytest.raises(ValueError, match="not of the same module"):
        overlap(np.zeros(2, bool), np.zeros(3, bool))
    with pytest.raises(ValueError, match="no coordinates"):
        overlap(np.zeros(0, bool), np.zeros(0, bool))
    with pytest.raises(ValueError, match="no modules"):
        pooled([])
    with pytest.raises(ValueError, match="two equal matrices"):
        expected_intersection(np.zeros((2, 3), bool), np.zeros((3, 2), bool))
