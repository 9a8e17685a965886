"""The instruments on every kind of trainer they claim to work with, and with every part of them broken on purpose."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from rlpeaks_tui import bundle
from rlpeaks_tui.config import PROBES, Probes
from rlpeaks_tui.instrument import measurements, trl_bridge
from rlpeaks_tui.instrument.keeping import Keeper
from rlpeaks_tui.instrument.starting_weights import StartingWeights
from rlpeaks_tui.run.follow import Snapshot
from rlpeaks_tui.run.layers import read_layers
from tests.small_trainings import read, short, trainer, watched

ALWAYS = (
    "reward", "entropy", "entropy/forking", "kl/base", "kl/base_k1", "kl/base_k3", "kl/base_forward", "shift/js_share",
    "shift/argmax", "cov/logp_advantage", "sparsity/exact", "sparsity/bf16", "sparsity/relative", "sparsity/null",
    "update/rank", "update/stable_rank", "gradient/cosine", "dlogp/right", "dlogp/wrong", "calibration/ece",
    "eval/pass@1", "eval/pass@4", "eval/base_pass@1", "eval/gain", "eval/accuracy/sums", "eval/stuck",
    "routing/argmax", "routing/tokens", "rollouts/no_gradient", "texts/repeated", "features/stable_rank",
    "probes/share", "probes/sparsity",
)  # fmt: skip

VARIANTS: dict[str, dict[str, Any]] = {
    "grpo": {},
    "reference": {"beta": 0.05},
    "lora": {"lora": True},
    "lora with reference": {"lora": True, "beta": 0.05},
    "bfloat16": {"dtype": torch.bfloat16},
    "accumulation": {"gradient_accumulation_steps": 2},
    "iterations": {"num_iterations": 2, "max_steps": 4},
    "rloo": {"kind": "rloo", "beta": 0.05},
}


@dataclass(frozen=True)
class Trained:
    """A finished training: its trainer, where its run lies, and what the run says."""

    made: Any
    folder: Path
    snapshot: Snapshot


def trained(tmp_path: Path, **settings: Any) -> Snapshot:
    return train(tmp_path, **settings).snapshot


def train(folder: Path, **settings: Any) -> Trained:
    made = trainer(folder, **settings)
    watched(made, folder)
    made.train()
    return Trained(made, folder, read(folder))


@pytest.fixture(scope="module")
def variant(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Trained]:
    """Each of the variants by name, trained once for all tests that only look at it."""

    @cache
    def trained_once(name: str) -> Trained:
        return train(tmp_path_factory.mktemp("variant"), **VARIANTS[name])

    return trained_once


def last(snapshot: Snapshot, name: str) -> float:
    found = snapshot.columns.last(name)
    assert found is not None, f"{name}: {snapshot.columns.why(name)}"
    return found[1]


@pytest.mark.parametrize("name", VARIANTS)
def test_every_panel_is_fed_by_every_kind_of_trainer(variant: Callable[[str], Trained], name: str) -> None:
    snapshot, settings = variant(name).snapshot, VARIANTS[name]
    assert snapshot.state == "finished" and not snapshot.errors
    for metric in ALWAYS:
        assert math.isfinite(last(snapshot, metric)), metric
    assert len(snapshot.rollout_steps) and len(snapshot.layer_steps)
    first = snapshot.columns["kl/base"].values[0]
    assert first == pytest.approx(0, abs=2e-3 if settings.get("dtype") else 1e-6)
    assert last(snapshot, "kl/base") > 0


def test_kl_to_the_reference_is_what_trl_logs(variant: Callable[[str], Trained]) -> None:
    """The reference is the starting model here: TRL's own k3, ours to the reference, and ours to the base agree."""
    snapshot = variant("reference").snapshot
    for name in ("kl/ref", "kl/base_k3"):
        assert snapshot.columns[name].values == pytest.approx(snapshot.columns["kl"].values, rel=1e-3, abs=1e-6)


def test_an_adapter_is_judged_by_the_weights_it_stands_for(variant: Callable[[str], Trained]) -> None:
    adapted = variant("lora")
    snapshot = adapted.snapshot
    merged = {n: p.detach() for n, p in copy.deepcopy(adapted.made.model).merge_and_unload().named_parameters()}
    base = dict(AutoModelForCausalLM.from_pretrained(bundle.model_folder("tiny_arith")).named_parameters())
    name = "model.layers.0.self_attn.q_proj.weight"
    bf16 = (merged[name].bfloat16() == base[name].bfloat16()).double().mean()
    layers = read_layers(adapted.folder / "run" / "layers", 3)
    assert layers is not None and all("lora" not in module for module in layers.names)
    found = next(i for i, module in enumerate(layers.names) if module.endswith("layers.0.self_attn.q_proj.weight"))
    # Merging rounds once more than adding does.
    assert layers.bf16[found] == pytest.approx(float(bf16), abs=0.01)
    assert last(snapshot, "update/rank") <= 4 / 64
    assert "bounded by construction" in str(snapshot.probes["sparsity"][-1].facts["of"])


def test_several_iterations_have_a_clip_fraction_and_one_has_none(variant: Callable[[str], Trained]) -> None:
    several = variant("iterations").snapshot
    assert "clip_ratio/region_mean" in several.columns
    once = variant("grpo").snapshot
    assert "clip_ratio/region_mean" not in once.columns
    assert "1 by construction" in (once.columns.why("clip_ratio/region_mean") or "")


def test_without_outcomes_calibration_says_what_is_missing(tmp_path: Path) -> None:
    snapshot = trained(tmp_path, rewards=[short])
    assert snapshot.columns.last("calibration/ece") is None
    assert "right and wrong are not known" in (snapshot.columns.why("calibration/ece") or "")


def test_what_was_stated_long_ago_is_no_calibration_of_now(tmp_path: Path) -> None:
    asked = iter(range(100))

    def verbose(completions: list[str], log_extra: Any = None, **_: Any) -> list[float]:
        # States confidence in the first three generations only, as a policy does that falls into gibberish.
        said = 0.75 if next(asked) < 3 else None
        log_extra("confidence", [said] * len(completions))
        log_extra("correct", [float(i % 2) for i in range(len(completions))])
        return [float(i % 2) for i in range(len(completions))]

    made = trainer(tmp_path, rewards=[verbose], max_steps=6)
    watched(
        made, tmp_path, Probes(**dict.fromkeys(PROBES, 1000) | {"calibration": 1}, budget=1.0, calibration_window=32)
    )
    made.train()
    snapshot = read(tmp_path)
    series = snapshot.columns["calibration/ece"]
    # 16 in the first generation are too few, and so are the 16 that the window still holds after the fourth.
    assert np.isfinite(series.values).tolist() == [False, True, True, False, False, False]
    assert "no rollout has both a stated confidence" in (snapshot.columns.why("calibration/ece") or "")
    assert snapshot.probes["calibration"][-1].facts["calibration/source"] == "stated confidence"
    assert [(found.first, found.step, found.count.sum()) for found in snapshot.calibrations] == [(1, 2, 32), (2, 3, 32)]


def test_a_verifier_among_the_rewards_is_taken_as_the_outcome_and_named(variant: Callable[[str], Trained]) -> None:
    snapshot = variant("grpo").snapshot
    facts = snapshot.probes["calibration"][-1].facts
    assert facts["outcome"] == "reward function exact" and facts["calibration/source"] == "mean token probability"
    diagram = snapshot.calibrations[-1]
    assert diagram.size is not None and 0 < diagram.size.sum() <= diagram.count.sum() and diagram.half > 0


def test_a_prompt_that_is_generated_from_again_is_the_same_prompt_to_calibration(tmp_path: Path) -> None:
    made = trainer(tmp_path)
    made.train_dataset = made.train_dataset.select(range(4))
    watched(made, tmp_path, Probes(**dict.fromkeys(PROBES, 1000) | {"calibration": 1}, budget=1.0))
    made.train()
    facts = read(tmp_path).probes["calibration"][-1].facts
    assert facts["prompts"] == 4


PARTS = {
    "kl": (measurements.TrlBridge, "score"),
    "kl_exact": (measurements, "diverge"),
    "gradients": (measurements, "split_gradient"),
    "sparsity": (measurements, "measure_update"),
    "rank": (measurements, "measure_ranks"),
    "after": (measurements, "change_by_outcome"),
    "features": (measurements, "features"),
    "calibration": (Keeper, "calibrations"),
    "health": (measurements.Alerts, "judge"),
    "eval": (measurements.HeldOut, "sampled"),
    "routing": (measurements.HeldOut, "routed"),
    "rollouts": (Keeper, "keep"),
}


TOGETHER = (
    ("kl", "gradients", "calibration", "rollouts"),
    ("kl_exact", "sparsity", "after", "health"),
    ("rank", "features"),
    ("eval", "routing"),
)
"""Parts that are broken in one training: none of them keeps another from being tried."""


@pytest.mark.parametrize("parts", TOGETHER, ids=" and ".join)
def test_a_broken_part_is_told_three_times_then_off_and_training_goes_on(
    tmp_path: Path, parts: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def break_it(part: str) -> None:
        def broken(*args: Any, **kwargs: Any) -> Any:
            raise RuntimeError(f"{part} is broken on purpose")

        monkeypatch.setattr(*PARTS[part], broken)

    for part in parts:
        break_it(part)
    # One more than three failures take; what looks at held-out prompts does so at every second step.
    steps = 6 if "eval" in parts else 4
    made = trainer(tmp_path, max_steps=steps)
    before = {name: p.detach().clone() for name, p in made.model.named_parameters()}
    watched(made, tmp_path)
    made.train()
    snapshot = read(tmp_path)
    assert (snapshot.state, snapshot.step) == ("finished", steps)
    assert any(not torch.equal(before[name], p) for name, p in made.model.named_parameters())
    printed = capfd.readouterr().err
    for part in parts:
        told = [error for error in snapshot.errors if part in error.where]
        assert len(told) == 3 and all("Traceback" in error.text and "broken on purpose" in error.text for error in told)
        assert f"{part} measurement failed 3 times and is off now" in printed
    assert len(snapshot.columns["reward"]) == steps


def test_every_scheduled_probe_is_broken_in_a_test() -> None:
    assert set(PROBES) <= set(PARTS) == {part for parts in TOGETHER for part in parts}


def test_a_bad_reading_of_a_generation_does_not_stop_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any) -> Any:
        raise KeyError("no such thing in this version of TRL")

    monkeypatch.setattr(trl_bridge, "collect", broken)
    snapshot = trained(tmp_path)
    assert snapshot.state == "finished" and snapshot.errors[0].where.endswith("reading a generation")
    assert len(snapshot.columns["sparsity/bf16"]) == 3


def test_another_trl_without_the_private_methods_is_grey_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trl_bridge, "WANTED", (*trl_bridge.WANTED, "_renamed_in_another_version"))
    snapshot = trained(tmp_path)
    assert snapshot.state == "finished" and not snapshot.errors
    for name in ("kl/base", "kl/base_k3", "calibration/ece"):
        assert name not in snapshot.columns
        assert "_renamed_in_another_version" in (snapshot.columns.why(name) or "")
    assert len(snapshot.columns["reward"]) == len(snapshot.columns["sparsity/bf16"]) == 3


@pytest.mark.parametrize("reward", ["raises", "none for some", "none for all", "infinite", "wrong length"])
def test_a_bad_reward_function_keeps_the_trainings_own_behaviour(tmp_path: Path, reward: str) -> None:
    def bad(completions: list[str], **_: Any) -> list[float | None]:
        n = len(completions)
        if reward == "raises":
            raise ZeroDivisionError("in the reward")
        values: dict[str, list[float | None]] = {
            "none for some": [None if i % 4 == 0 else float(i % 3 == 0) for i in range(n)],
            "none for all": [None] * n,
            "infinite": [math.inf if i == 0 else 0.0 for i in range(n)],
            "wrong length": [0.0] * (n - 1),
        }
        return values[reward]

    def outcome(folder: Path, watch: bool) -> tuple[str, dict[str, torch.Tensor]]:
        made = trainer(folder, rewards=[bad], max_steps=2)
        if watch:
            watched(made, folder)
        try:
            made.train()
            end = "trained"
        except Exception as error:
            end = f"{type(error).__name__}: {error}"
        return end, {name: p.detach().clone() for name, p in made.model.named_parameters()}

    expected, weights = outcome(tmp_path / "plain", watch=False)
    found, weights_watched = outcome(tmp_path / "watched", watch=True)
    assert found == expected
    assert all(torch.equal(weights[n].nan_to_num(7), weights_watched[n].nan_to_num(7)) for n in weights)


def test_the_copy_of_the_start_is_bfloat16_exactly_where_that_loses_nothing() -> None:
    model = torch.nn.ModuleDict({"a": torch.nn.Linear(8, 8), "b": torch.nn.Linear(8, 8)})
    with torch.no_grad():
        model["a"].weight.copy_(model["a"].weight.bfloat16().float())
        model["a"].bias.zero_()
        model["b"].weight.fill_(1 + 2**-20)
    model["b"].bias.requires_grad_(False)
    base = StartingWeights(model)
    assert {name: t.dtype for name, t in base.tensors.items()} == {
        "a.weight": torch.bfloat16,
        "a.bias": torch.bfloat16,
        "b.weight": torch.float32,
    }
    assert base.bytes == 64 * 2 + 8 * 2 + 64 * 4
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    with torch.no_grad():
        for p in model.parameters():
            p.add_(1.0)
    with base.lent_to(model):
        for name in base.tensors:
            assert torch.equal(dict(model.named_parameters())[name], before[name])
    assert all(torch.equal(p, before[name] + 1) for name, p in model.named_parameters())
