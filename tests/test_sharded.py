"""Sharded parameters: counted where they lie and added up, never gathered whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.two_ranks import finish, start


def test_two_ranks_count_their_shards_and_add_up_to_the_whole_model(tmp_path: Path) -> None:
    out = tmp_path / "told.json"
    finish(start("sharded.py", out))
    told = json.loads(out.read_text())
    assert told["lent_is_start"] and told["back_again"]
    for found, expected in zip(told["found"], told["expected"], strict=True):
        assert found["n"] == expected["n"]
        for share in ("exact", "bf16", "relative", "atol"):
            assert found[share] == pytest.approx(expected[share], abs=1e-12), (found["name"], share)
        for norm in ("delta_norm", "weight_norm"):
            assert found[norm] == pytest.approx(expected[norm], rel=1e-6)
        assert told["local"][found["name"]] < found["n"], "a rank must not hold the whole parameter"
    assert 0 < told["found"][0]["bf16"] < 1
