"""The instruments must not be noticed: same seed, same weights, bit for bit, whether they look or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.small_trainings import read, trainer, watched


def weights(made: Any) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in made.model.named_parameters()}


@pytest.mark.parametrize("settings", [{}, {"beta": 0.04, "num_iterations": 2, "gradient_accumulation_steps": 2}])
def test_twenty_steps_give_the_same_weights_bit_for_bit(tmp_path: Path, settings: dict[str, Any]) -> None:
    plain = trainer(tmp_path / "plain", max_steps=20, **settings)
    plain.train()
    looked_at = trainer(tmp_path / "watched", max_steps=20, **settings)
    before = weights(looked_at)
    watched(looked_at, tmp_path)
    looked_at.train()

    expected, found = weights(plain), weights(looked_at)
    assert any(not torch.equal(before[name], found[name]) for name in found), "nothing was trained"
    assert [name for name in found if not torch.equal(expected[name], found[name])] == []
    snapshot = read(tmp_path)
    assert not snapshot.errors
    assert len(snapshot.columns["kl/base_k3"]) >= 10 and len(snapshot.columns["sparsity/bf16"]) >= 20


def test_dropout_and_modes_are_left_alone(tmp_path: Path) -> None:
    def with_dropout(folder: Path) -> Any:
        made = trainer(folder, max_steps=6)
        for layer in made.model.model.layers:
            layer.self_attn.attention_dropout = 0.1
            layer.mlp.act_fn = torch.nn.Sequential(layer.mlp.act_fn, torch.nn.Dropout(0.1))
        return made

    plain, looked_at = with_dropout(tmp_path / "plain"), with_dropout(tmp_path / "watched")
    torch.manual_seed(3)
    plain.train()
    watched(looked_at, tmp_path)
    torch.manual_seed(3)
    looked_at.train()
    expected, found = weights(plain), weights(looked_at)
    assert [name for name in found if not torch.equal(expected[name], found[name])] == []
    assert not read(tmp_path).errors
