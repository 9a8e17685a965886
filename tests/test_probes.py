"""Probes against references that are not this project: scipy, numpy, resampling, torch's own gradients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.special import rel_entr, softmax

from rlpeaks_tui.instrument.generation import Generation
from rlpeaks_tui.instrument.probes.divergence import diverge, forward_kl
from rlpeaks_tui.instrument.probes.signs import change_by_outcome, change_sums, split_gradient
from rlpeaks_tui.instrument.probes.update import measure_ranks
from rlpeaks_tui.instrument.starting_weights import StartingWeights


@st.composite
def two_models(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits of policy and base [B, T, V] and a mask of whole completions [B, T], each of at least one token."""
    b, t, v = draw(st.integers(1, 5)), draw(st.integers(1, 6)), draw(st.integers(2, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scale = draw(st.sampled_from([0.01, 1.0, 30.0]))
    lengths = rng.integers(1, t + 1, b)
    mask = torch.from_numpy((np.arange(t) < lengths[:, None]).astype(np.int64))
    policy, base = (torch.from_numpy(rng.normal(0, scale, (b, t, v)).astype(np.float32)) for _ in range(2))
    return policy, base, mask


@settings(max_examples=60)
@given(two_models())
def test_divergences_are_those_of_scipy(models: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    policy, base, mask = models
    found = diverge(lambda rows, of_base: (base if of_base else policy)[rows], mask, policy.size(-1))
    forward, _ = forward_kl(lambda rows, of_base: (base if of_base else policy)[rows], mask, policy.size(-1))
    use = mask.bool().numpy()
    p, q = softmax(policy.double().numpy(), -1)[use], softmax(base.double().numpy(), -1)[use]  # [tokens, V]
    js = np.array([jensenshannon(a, b) ** 2 for a, b in zip(p, q, strict=True)])
    assert found.kl == pytest.approx(rel_entr(p, q).sum(-1).mean(), rel=1e-3, abs=1e-5)
    assert forward == pytest.approx(rel_entr(q, p).sum(-1).mean(), rel=1e-3, abs=1e-5)
    assert found.js == pytest.approx(js.mean(), rel=1e-3, abs=1e-5)
    borderline = np.abs(js - 0.1) < 1e-4
    assert abs(found.js_share - (js > 0.1).mean()) <= borderline.mean() + 1e-9
    assert found.argmax == pytest.approx((p.argmax(-1) != q.argmax(-1)).mean())
    assert sum(times for _, _, times in found.moved) <= round(found.argmax * found.tokens)
    assert (found.completions, found.tokens) == (len(mask), int(mask.sum()))


def test_the_error_of_the_kl_is_that_of_resampled_completions() -> None:
    rng = np.random.default_rng(3)
    policy, base = (torch.from_numpy(rng.normal(0, 1, (64, 5, 7)).astype(np.float32)) for _ in range(2))
    mask = torch.from_numpy((np.arange(5) < rng.integers(1, 6, 64)[:, None]).astype(np.int64))
    found = diverge(lambda rows, of_base: (base if of_base else policy)[rows], mask, 7)
    p, q = softmax(policy.double().numpy(), -1), softmax(base.double().numpy(), -1)
    kl = rel_entr(p, q).sum(-1) * mask.numpy()
    draws = rng.integers(0, 64, (4000, 64))
    resampled = kl.sum(1)[draws].sum(1) / mask.sum(1).numpy()[draws].sum(1)
    assert found.kl_se == pytest.approx(resampled.std(), rel=0.1)


def test_chunks_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    policy, base = (torch.from_numpy(rng.normal(0, 1, (9, 4, 6)).astype(np.float32)) for _ in range(2))
    mask = torch.ones(9, 4, dtype=torch.int64)
    logits = lambda rows, of_base: (base if of_base else policy)[rows]  # noqa: E731
    whole = diverge(logits, mask, 6)
    monkeypatch.setattr("rlpeaks_tui.instrument.probes.divergence.CHUNK_BYTES", 4 * 6 * 4 * 2)
    parts = diverge(logits, mask, 6)
    assert (parts.kl, parts.kl_se, parts.js) == pytest.approx((whole.kl, whole.kl_se, whole.js), rel=1e-5)
    assert (parts.moved, parts.tokens, parts.argmax) == (whole.moved, whole.tokens, whole.argmax)
    assert parts.js_by_position == pytest.approx(whole.js_by_position, nan_ok=True)


def test_split_gradients_add_up_to_the_whole_and_leave_training_alone() -> None:
    torch.manual_seed(0)
    net = torch.nn.Linear(6, 4)
    x, tokens = torch.randn(8, 3, 6), torch.randint(0, 4, (8, 3))
    mask = torch.ones(8, 3)
    advantage = torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0, -1.0, -0.5, 2.0])

    def logps() -> torch.Tensor:
        return torch.log_softmax(net(x), -1).gather(-1, tokens[..., None]).squeeze(-1)

    net.weight.grad = torch.full_like(net.weight, 7.0)
    found = split_gradient(net, logps(), advantage, mask)
    assert bool((net.weight.grad == 7).all()) and net.bias.grad is None

    def gradient(weight: torch.Tensor) -> torch.Tensor:
        net.zero_grad()
        ((weight[:, None] * logps() * mask).sum() / mask.sum()).backward()
        return torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])

    positive, negative = gradient(advantage.clamp(min=0)), gradient(advantage.clamp(max=0))
    assert found.positive == pytest.approx(float(positive.norm()), rel=1e-5)
    assert found.negative == pytest.approx(float(negative.norm()), rel=1e-5)
    assert found.cosine == pytest.approx(float(torch.cosine_similarity(positive, negative, 0)), abs=1e-5)
    whole = gradient(advantage)
    squared = found.positive**2 + found.negative**2 + 2 * found.cosine * found.positive * found.negative
    assert squared == pytest.approx(float(whole.norm()) ** 2, rel=1e-4)


def generation(right: list[float], advantage: list[float], lengths: list[int]) -> Generation:
    n, t = len(right), max(lengths)
    mask = (torch.arange(t) < torch.tensor(lengths)[:, None]).long()
    made = Generation(
        step=1, group_size=n, prompts=[], completions=[], rewards={}, reward=[], advantages=advantage, columns={},
        input_ids=mask, attention_mask=mask, mask=mask, lengths=torch.tensor(lengths),
        truncated=torch.zeros(n, dtype=torch.bool), advantage=torch.tensor(advantage), right=torch.tensor(right),
    )  # fmt: skip
    made.fill(torch.arange(n), torch.zeros(n, t), torch.zeros(n, t))
    return made


def test_change_by_outcome_is_a_mean_over_tokens_of_each_kind() -> None:
    nan = float("nan")
    made = generation(right=[1.0, 0.0, nan, nan, 1.0], advantage=[1.0, 1.0, 2.0, -2.0, 0.0], lengths=[1, 2, 3, 1, 2])
    after = torch.tensor([[0.1, 9, 9], [-0.2, -0.4, 9], [0.3, 0.3, 0.3], [-0.5, 9, 9], [0.0, 0.6, 9]])
    values, n = change_by_outcome(change_sums(made, after, slice(None))[None])
    # Right: the first, the last, and the third by the sign of its advantage. Wrong: the second and the fourth.
    assert values["dlogp/right"] == pytest.approx((0.1 + 0.9 + 0.6) / 6)
    assert values["dlogp/wrong"] == pytest.approx((-0.6 - 0.5) / 3)
    assert n == 5
    only, _ = change_by_outcome(change_sums(generation([1.0], [1.0], [2]), torch.zeros(1, 2), slice(None))[None])
    assert only["dlogp/wrong"] is None


def test_the_rank_of_an_update_is_numpys(tmp_path: Path) -> None:
    torch.manual_seed(1)
    net = torch.nn.Linear(12, 9, bias=False)
    base = StartingWeights(net)
    update = torch.outer(torch.randn(9), torch.randn(12)) + 0.01 * torch.outer(torch.randn(9), torch.randn(12))
    with torch.no_grad():
        net.weight.add_(update)
    (found,) = measure_ranks(net, base).values()
    delta = (net.weight.detach() - base.tensors["weight"]).numpy()
    values = np.linalg.svd(delta, compute_uv=False)
    assert found.numeric == np.linalg.matrix_rank(delta)
    assert found.stable == pytest.approx((values**2).sum() / values[0] ** 2, rel=1e-4)
