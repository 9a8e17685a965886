"""Sparsity against torch's bfloat16 and isclose, the precision model, and its null; ranks against numpy."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.linalg import subspace_angles

from rlpeaks_tui.stats import sparsity
from rlpeaks_tui.stats.sparsity import (
    bfloat16_round,
    leading,
    measure,
    pool,
    rank_from_singular_values,
    spectral_shift,
    subspace_angle,
)

any_float32 = st.integers(0, 2**32 - 1).map(lambda bits: np.uint32(bits).view(np.float32))
ordinary = st.floats(-1, 1, width=32)


def _as_torch(x: np.ndarray) -> np.ndarray:
    return torch.from_numpy(np.ascontiguousarray(x)).to(torch.bfloat16).float().numpy()


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


@given(hnp.arrays(np.uint32, hnp.array_shapes(max_dims=3, max_side=6)))
def test_rounding_is_torchs_for_any_bits(bits):
    x = bits.view(np.float32)
    found = bfloat16_round(x)
    assert found.shape == x.shape
    np.testing.assert_array_equal(found, _as_torch(x))  # nan equals nan here
    np.testing.assert_array_equal(np.signbit(found[~np.isnan(x)]), np.signbit(_as_torch(x)[~np.isnan(x)]))


def test_rounding_is_torchs_for_every_upper_half_and_the_lower_halves_that_matter():
    upper = np.arange(1 << 16, dtype=np.uint32)[:, None] << np.uint32(16)
    lower = np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32)
    x = (upper | lower).view(np.float32)
    np.testing.assert_array_equal(bfloat16_round(x), _as_torch(x))


@given(
    st.lists(
        st.tuples(ordinary, st.one_of(st.just(0.0), st.floats(-(2**-13), 2**-13, width=32))), min_size=1, max_size=50
    )
)
def test_definitions_match_their_oracles(rows):
    w0 = np.array([w for w, _ in rows], np.float32)
    w1 = w0 + np.array([d for _, d in rows], np.float32)
    found = measure("w", w0, w1, _rng(), chunk=7)
    b0, b1 = (torch.from_numpy(w).to(torch.bfloat16) for w in (w0, w1))
    assert found.n == w0.size
    assert found.exact == np.mean(w0 == w1)
    assert found.bf16 == float((b0 == b1).double().mean())
    # The paper's own expression, on tensors loaded in bfloat16.
    delta = b1 - b0
    assert found.atol == float(torch.isclose(delta, torch.zeros_like(delta), atol=1e-5).double().mean())
    relative = [math.isclose(a, b, rel_tol=1e-3) for a, b in zip(w0.tolist(), w1.tolist(), strict=True)]
    edge = np.abs(np.abs(w1 - w0) - 1e-3 * np.maximum(np.abs(w0), np.abs(w1))) < 1e-9
    if not edge.any():
        assert found.relative == np.mean(relative)
    assert found.delta_norm == pytest.approx(float(np.linalg.norm((w1 - w0).astype(float))), rel=1e-5, abs=1e-20)


def test_absolute_tolerance_is_the_papers_at_its_very_edge():
    edge = np.float32(1e-5)
    near = np.arange(edge.view(np.uint32) - 80_000, edge.view(np.uint32) + 80_000, 37, dtype=np.uint32).view(np.float32)
    b1 = torch.from_numpy(near.copy()).to(torch.bfloat16)
    expected = torch.isclose(b1, torch.zeros_like(b1), atol=1e-5)
    assert 0 < float(expected.double().mean()) < 1
    found = measure("w", np.zeros_like(near), near, _rng())
    assert found.atol == float(expected.double().mean())


@given(st.lists(st.tuples(any_float32, any_float32), min_size=1, max_size=20))
def test_no_bits_break_it_and_nan_counts_as_changed(rows):
    w0, w1 = (np.array([row[i] for row in rows], np.float32) for i in (0, 1))
    found = measure("w", w0, w1, _rng())
    whole = np.mean(~(np.isnan(w0) | np.isnan(w1)))
    for share in (found.exact, found.bf16, found.relative, found.atol, found.null):
        assert 0 <= share <= 1
    assert max(found.exact, found.bf16, found.relative, found.atol) <= whole
    assert found.exact <= found.bf16


def test_special_values():
    w = np.array([np.nan, np.inf, 1.0, 0.0, -0.0], np.float32)
    moved = np.array([np.nan, np.inf, np.inf, -0.0, 0.0], np.float32)
    found = measure("w", w, moved, _rng())
    assert found.exact == found.bf16 == 3 / 5
    assert found.relative == 2 / 5  # both zeros; infinity less infinity is not a number


@pytest.mark.parametrize(("move", "expected"), [(1e-6, 0.98), (1e-5, 0.85), (3e-5, 0.70), (1e-4, 0.12)])
def test_a_dense_update_looks_sparse_by_precision_alone(move, expected):
    """The control: every weight moves by the same amount, so there is no structure to find."""
    rng = _rng()
    w0 = bfloat16_round(rng.normal(0, 0.02, 300_000).astype(np.float32))
    w1 = w0 + np.float32(move) * rng.choice(np.array([-1, 1], np.float32), w0.size)
    found = measure("w", w0, w1, rng)
    assert found.exact == 0
    assert found.bf16 == pytest.approx(expected, abs=0.01)
    assert found.null == pytest.approx(found.bf16, abs=0.01)
    assert abs(found.structure) < 0.01


def test_the_null_is_far_off_when_changes_choose_small_weights():
    rng = _rng()
    w0 = bfloat16_round(rng.normal(0, 0.02, 300_000).astype(np.float32))
    small = np.abs(w0) < np.quantile(np.abs(w0), 0.2)
    w1 = w0 + np.where(small, np.float32(2e-5), np.float32(0)) * rng.choice(np.array([-1, 1], np.float32), w0.size)
    found = measure("w", w0, w1, rng)
    assert found.null - found.bf16 > 0.1
    large = np.abs(w0) > np.quantile(np.abs(w0), 0.8)
    w1 = w0 + np.where(large, np.float32(2e-5), np.float32(0))
    found = measure("w", w0, w1, rng)
    assert found.structure > 0.05


def test_an_absolutely_sparse_update_is_sparse_in_its_null_too():
    """A share of exact zeros survives shuffling: the null removes magnitude, not the zeros themselves."""
    rng = _rng()
    w0 = rng.normal(0, 0.02, 100_000).astype(np.float32)
    w1 = w0 + np.where(rng.random(w0.size) < 0.1, np.float32(1), np.float32(0))
    found = measure("w", w0, w1, rng)
    assert found.exact == pytest.approx(0.9, abs=0.01)
    assert found.null == pytest.approx(found.bf16, abs=0.01)


def test_the_null_samples_a_large_module_and_repeats_with_its_seed():
    rng = _rng()
    w0 = rng.normal(0, 0.02, (400, 500)).astype(np.float32)
    w1 = w0 + rng.normal(0, 2e-5, w0.shape).astype(np.float32)
    whole = measure("w", w0, w1, _rng(), null_sample=w0.size)
    part = measure("w", w0, w1, _rng())
    assert (whole.null_n, part.null_n) == (200_000, 65_536)
    assert part.null == pytest.approx(whole.null, abs=0.01)
    assert part == measure("w", w0, w1, _rng())
    assert part.null != measure("w", w0, w1, np.random.default_rng(1)).null


def test_memory_stays_bounded_by_the_chunk():
    w0 = np.zeros(4_000_000, np.float32)
    tracemalloc.start()
    measure("w", w0, w0, _rng())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 1024 * 1024  # the module itself has 16 MB


def test_pooling_weighs_modules_by_their_size():
    rng = _rng()
    big, small = rng.normal(0, 1, 90_000).astype(np.float32), rng.normal(0, 1, 1_000).astype(np.float32)
    parts = [measure("big", big, big, rng), measure("small", small, small + 1, rng)]
    total = pool(parts)
    assert total.n == 91_000
    assert total.exact == pytest.approx(90 / 91)
    assert total.null == pytest.approx((90_000 * parts[0].null + 1_000 * parts[1].null) / 91_000)
    assert total.delta_norm == pytest.approx(np.sqrt(1_000), rel=1e-5)
    joined = measure("joined", np.concatenate([big, small]), np.concatenate([big, small + 1]), rng)
    for field in ("n", "exact", "bf16", "relative", "atol", "delta_norm", "weight_norm"):
        assert getattr(total, field) == pytest.approx(getattr(joined, field), rel=1e-5)


def test_misuse_is_refused_by_name():
    with pytest.raises(ValueError, match=r"layers\.0\.q: shape was \(2,\) and is \(3,\)"):
        measure("layers.0.q", np.zeros(2, np.float32), np.zeros(3, np.float32), _rng())
    with pytest.raises(ValueError, match="no elements"):
        measure("x", np.zeros(0, np.float32), np.zeros(0, np.float32), _rng())
    with pytest.raises(ValueError, match="no modules"):
        pool([])


def rank_of(delta: np.ndarray) -> sparsity.UpdateRank:
    return rank_from_singular_values(np.linalg.svd(delta, compute_uv=False), delta.shape)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 10), st.integers(0, 2**32 - 1))
def test_numeric_rank_is_numpys_and_torchs(rows, columns, inner, seed):
    rng = np.random.default_rng(seed)
    delta = (rng.normal(size=(rows, inner)) @ rng.normal(size=(inner, columns))).astype(np.float32)
    found = rank_of(delta)
    assert found.numeric == np.linalg.matrix_rank(delta)
    assert found.fraction == found.numeric / min(rows, columns)
    assert abs(found.numeric - int(torch.linalg.matrix_rank(torch.from_numpy(delta)))) <= 1  # its SVD rounds otherwise
    assert 0 <= found.stable <= min(rows, columns) + 1e-4
    assert found.energy90 <= found.numeric


def test_noise_is_full_rank_by_count_and_narrow_by_weight():
    rng = _rng()
    strong = np.outer(rng.normal(size=200), rng.normal(size=100))
    delta = (strong + 1e-3 * rng.normal(size=strong.shape)).astype(np.float32)
    found = rank_of(delta)
    assert found.fraction == 1.0
    assert found.stable == pytest.approx(1.0, abs=0.01)
    assert found.energy90 == 1


def test_ranks_by_hand():
    found = rank_from_singular_values(np.array([2.0, 2.0, 1.0, 1.0, 0.0], np.float32), (5, 9))
    assert (found.numeric, found.fraction) == (4, 0.8)
    assert found.stable == pytest.approx(10 / 4)
    assert found.energy90 == 3
    assert rank_from_singular_values(np.zeros(3, np.float32), (3, 3)) == sparsity.UpdateRank(0, 0.0, 0.0, 0)


@given(st.integers(1, 8), st.integers(0, 20), st.floats(-9, 1), st.integers(0, 2**32 - 1))
def test_the_angle_is_scipys_from_the_smallest_to_the_largest(k, more, power, seed):
    rng = np.random.default_rng(seed)
    before = np.linalg.qr(rng.normal(size=(k + more, k)))[0]
    after = np.linalg.qr(before + 10.0**power * rng.normal(size=before.shape))[0]
    expected = np.degrees(subspace_angles(before, after).max())
    assert subspace_angle(before, after) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_angles_and_spectra_by_hand():
    plane = np.eye(4)[:, :2]
    turned = np.array([[1, 0], [0, np.sqrt(3) / 2], [0, 0.5], [0, 0]])
    assert subspace_angle(plane, turned) == pytest.approx(30)
    assert subspace_angle(plane, np.eye(4)[:, [0, 3]]) == pytest.approx(90)
    assert spectral_shift(np.array([3.0, 4.0]), np.array([3.0, 4.5])) == pytest.approx(0.1)
    assert math.isnan(spectral_shift(np.zeros(2), np.ones(2)))
    assert [leading(shape) for shape in ((1, 9), (7, 9), (8, 9), (200, 70))] == [1, 1, 2, 16]
    with pytest.raises(ValueError, match="different kinds"):
        subspace_angle(plane, np.eye(5)[:, :2])
