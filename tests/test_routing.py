"""Lock-step decoding against Transformers' own greedy search, and against a plain loop over two tables."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax

from rlpeaks_tui.instrument.answering import Answering
from rlpeaks_tui.instrument.probes import routing
from rlpeaks_tui.instrument.starting_weights import StartingWeights
from tests.small_trainings import read, trainer, watched


@st.composite
def two_tables(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Two models of a tiny vocabulary whose next token depends on the last one; start tokens b and a limit."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = draw(st.integers(2, 6))
    policy, base = rng.normal(0, 3, (2, size, size))
    return policy, base, draw(st.integers(1, 5)), draw(st.integers(1, 7))


@settings(max_examples=80)
@given(two_tables())
def test_decoding_is_the_loop_anyone_would_write(tables: tuple[np.ndarray, np.ndarray, int, int]) -> None:
    policy, base, prompts, limit = tables
    start = torch.arange(prompts) % len(policy)

    def step(of_base: bool, tokens: torch.Tensor | None) -> torch.Tensor:
        return torch.from_numpy(base if of_base else policy)[start if tokens is None else tokens]

    found = routing.decode(step, routing.where_shifted, limit, torch.tensor([0]))
    for row in range(prompts):
        last, expected, fired = int(start[row]), [], []
        while len(expected) < limit and (not expected or expected[-1] != 0):
            p, q = softmax(policy[last]), softmax(base[last])
            divergence = jensenshannon(p, q) ** 2
            if abs(divergence - 0.1) < 1e-5:
                return  # too close to call in float32
            fired.append(divergence > 0.1)
            last = int(np.argmax(p if fired[-1] else q))
            expected.append(last)
        live = found.live[row]
        assert found.tokens[row][live].tolist() == expected and int(live.sum()) == len(expected)
        assert found.routed[row][live].tolist() == fired


def test_routing_every_position_is_the_policys_own_greedy_text_and_none_is_the_bases(tmp_path: Path) -> None:
    made = trainer(tmp_path, learning_rate=5e-3)
    watcher = watched(made, tmp_path)
    answering, base = Answering(made, watcher._bridge), StartingWeights(made.model)
    made.train()
    made.model.eval()
    prompts = watcher._bridge.tokenize([f"{a}+{b}=" for a in (7, 31, 48) for b in (5, 66)])
    ids, mask = answering._padded(prompts)

    def greedy() -> list[list[int]]:
        out = made.model.generate(input_ids=ids, attention_mask=mask, do_sample=False, max_new_tokens=answering.longest)
        return [answering._cut(row) for row in out[:, ids.size(1) :].tolist()]

    of_policy = greedy()
    with base.lent_to(made.model):
        of_base = greedy()
    assert of_policy != of_base, "training moved nothing, so the test would say nothing"
    with torch.no_grad(), base.beside(made.model) as use_base:
        for rule, expected in ((routing.everywhere, of_policy), (routing.nowhere, of_base)):
            step = answering.lock_step(prompts, use_base)
            found = routing.decode(step, rule, answering.longest, answering.stops)
            told = [row[live].tolist() for row, live in zip(found.tokens, found.live, strict=True)]
            assert told == expected
    assert greedy() == of_policy, "the model was left with other weights"


def test_rules_fire_where_they_say() -> None:
    policy = torch.log_softmax(torch.tensor([[0.0, 3.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.1, 0.0]]), -1)
    base = torch.log_softmax(torch.tensor([[3.0, 0.0, 0.0], [1.9, 0.0, 0.0], [0.1, 0.0, 0.0]]), -1)
    assert routing.where_shifted(policy, base, 0).tolist() == [True, False, False]
    assert routing.where_gained(0.05)(policy, base, 0).tolist() == [True, False, True]
    assert routing.where_gained(1.0)(policy, base, 0).tolist() == [True, False, False]
    assert routing.first_token(policy, base, 0).all() and not routing.first_token(policy, base, 1).any()
    drawn = routing.at_random(0.25, torch.Generator().manual_seed(0))
    share = np.mean([drawn(policy.expand(3, 3), base, 0).float().mean() for _ in range(2000)])
    assert share == pytest.approx(0.25, abs=0.02)


def test_a_run_tells_what_it_evaluated_and_keeps_the_prompts(tmp_path: Path) -> None:
    from rlpeaks_tui.run.heldout import read_held_out
    from rlpeaks_tui.run.layout import Layout

    made = trainer(tmp_path)
    watched(made, tmp_path)
    made.train()
    snapshot = read(tmp_path)
    kept = read_held_out(Layout(tmp_path / "run"))
    assert kept is not None and kept.prompts == ["40+30=", "40+31=", "41+31=", "42+30="]
    found = snapshot.evaluations[-1]
    assert snapshot.probes["eval"][-1].n == len(found.rate) == len(found.base_rate) == 4 and found.samples == 4
    assert snapshot.columns["eval/pass@1"].values[-1] == pytest.approx(np.mean(found.rate))
    assert all(4 * rate % 1 == 0 for rate in found.rate.tolist() if not math.isnan(rate))
    assert not math.isnan(snapshot.columns["routing/argmax"].values[-1])


def test_without_a_set_of_its_own_nothing_is_held_out_and_it_says_so(tmp_path: Path) -> None:
    made = trainer(tmp_path)
    made.eval_dataset = None
    watched(made, tmp_path)
    made.train()
    snapshot = read(tmp_path)
    assert "eval/pass@1" not in snapshot.columns and not snapshot.errors
    assert "no eval_dataset" in (snapshot.columns.why("eval/pass@1") or "")
