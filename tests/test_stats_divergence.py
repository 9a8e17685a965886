"""Divergences against scipy and torch, on random and on extreme logits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import jensenshannon
from scipy.special import log_softmax as scipy_log_softmax
from scipy.special import rel_entr
from scipy.stats import entropy as scipy_entropy

from rlpeaks_tui.stats import divergence

extreme = st.one_of(st.floats(-1e4, 1e4, width=32), st.sampled_from([0.0, 1e30, -1e30, 3e38, -3e38]))


def _pairs(elements):
    shapes = hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=7)
    return shapes.flatmap(
        lambda s: st.tuples(hnp.arrays(np.float32, s, elements=elements), hnp.arrays(np.float32, s, elements=elements))
    )


@given(_pairs(st.floats(-30, 30, width=32)))
def test_exact_quantities_match_scipy(pair):
    a, b = pair
    p, q = np.exp(scipy_log_softmax(a.astype(float), -1)), np.exp(scipy_log_softmax(b.astype(float), -1))
    found = divergence.compare(a, b)
    assert found.kl.shape == a.shape[:-1]
    np.testing.assert_allclose(found.entropy, scipy_entropy(p, axis=-1), atol=1e-9)
    np.testing.assert_allclose(found.kl, rel_entr(p, q).sum(-1), atol=1e-9)
    np.testing.assert_allclose(found.forward_kl, rel_entr(q, p).sum(-1), atol=1e-9)
    with np.errstate(invalid="ignore"):  # scipy takes the root of what rounding may have left below 0
        distance = np.nan_to_num(jensenshannon(p, q, axis=-1))
    np.testing.assert_allclose(found.js, distance**2, atol=1e-9)
    np.testing.assert_allclose(divergence.entropy(a), found.entropy)


@given(_pairs(extreme))
def test_extreme_logits_give_numbers_within_their_bounds(pair):
    a, b = pair
    found = divergence.compare(a, b)
    bound = np.log(a.shape[-1]) + 1e-9
    for value, top in ((found.entropy, bound), (found.js, np.log(2)), (found.kl, np.inf), (found.forward_kl, np.inf)):
        assert not np.isnan(value).any()
        assert ((value >= -1e-9) & (value <= top)).all()
    same = divergence.compare(a, a)
    assert (same.kl == 0).all()
    assert not same.disagree.any()


def test_a_token_without_mass_adds_nothing_and_one_without_reference_mass_is_infinite():
    inf = np.inf
    found = divergence.compare([[0.0, 0.0, -inf], [0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0], [0.0, 0.0, -inf]])
    assert found.entropy[0] == pytest.approx(np.log(2))
    assert found.kl[0] == pytest.approx(np.log(1.5))
    assert found.kl[1] == inf
    assert found.forward_kl[0] == inf
    assert np.isfinite(found.js).all()


def test_torch_agrees_on_a_real_vocabulary_worked_in_blocks():
    rng = np.random.default_rng(0)
    shape = (4, 12, 50_000)  # 2.4 million logits: more than one block
    a = rng.normal(0, 2, shape).astype(np.float32)
    b = a + rng.normal(0, 0.1, shape).astype(np.float32)
    found = divergence.compare(a, b)
    p, q = (torch.log_softmax(torch.from_numpy(x).double(), -1) for x in (a, b))
    kl = torch.nn.functional.kl_div(q, p, reduction="none", log_target=True).sum(-1)
    np.testing.assert_allclose(found.kl, kl.numpy(), rtol=1e-9)
    np.testing.assert_allclose(found.entropy, torch.distributions.Categorical(logits=p).entropy().numpy(), rtol=1e-9)
    np.testing.assert_array_equal(found.disagree, (p.argmax(-1) != q.argmax(-1)).numpy())


def test_a_tiny_divergence_is_not_lost_to_rounding():
    rng = np.random.default_rng(1)
    a = rng.normal(0, 1, (100, 1000))
    direction = rng.normal(0, 1, a.shape)
    small = divergence.compare(a, a + 1e-5 * direction).kl
    large = divergence.compare(a, a + 1e-3 * direction).kl
    np.testing.assert_allclose(small, 1e-4 * large, rtol=0.02)  # KL is quadratic near 0


def test_sampled_estimators_have_the_expectations_of_the_literature():
    rng = np.random.default_rng(2)
    a = rng.normal(0, 1, 50)
    b = a + rng.normal(0, 0.3, 50)
    exact = float(divergence.compare(a, b).kl)
    logp, logq = divergence.log_softmax(a), divergence.log_softmax(b)
    p = np.exp(logp)
    k1, k3 = divergence.k1(logp, logq), divergence.k3(logp, logq)
    assert p @ k1 == pytest.approx(exact)
    assert p @ k3 == pytest.approx(exact)
    assert (k3 >= 0).all() and (k1 < 0).any()
    spread1, spread3 = (np.sqrt(p @ np.square(k) - exact**2) for k in (k1, k3))
    assert spread1 == pytest.approx(np.sqrt(2 * exact), rel=0.1)
    assert spread3 < 0.5 * spread1
    # k2 is a square: right to second order only.
    skewed, even = np.log([0.9, 0.1]), np.log([0.5, 0.5])
    assert np.exp(skewed) @ divergence.k2(skewed, even) == pytest.approx(0.2849, abs=1e-3)
    assert divergence.compare(skewed, even).kl == pytest.approx(0.3681, abs=1e-4)


def test_k3_keeps_its_precision_near_zero():
    assert divergence.k3(1e-7, 0.0) == pytest.approx(0.5e-14, rel=1e-6, abs=0)
    assert (divergence.k3(np.linspace(-1e-8, 1e-8, 1001), 0.0) >= 0).all()


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        divergence.compare(np.zeros((2, 3)), np.zeros((3, 2)))
