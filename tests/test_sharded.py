"""Sharded parameters: counted where they lie and added up, never gathered whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def test_two_ranks_count_their_shards_and_add_up_to_the_whole_model(tmp_path: Path) -> None:
    out = tmp_path / "told.json"
    launched = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2",
         str(HERE / "sharded.py"), str(out)],
        env={**os.environ, "PYTHONPATH": str(HERE.parent), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert launched.returncode == 0, launched.stderr[-3000:]
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
