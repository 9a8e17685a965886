"""Ranks that meet: one that fails must not leave the others waiting."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from rlpeaks_tui.instrument.ranks import Ranks
from tests.two_ranks import finish, start


def test_a_failure_on_one_rank_is_a_failure_on_all_and_nobody_waits(tmp_path: Path) -> None:
    finish(start("exchange.py", tmp_path))
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    elsewhere = "FailedElsewhere: the measurement failed on rank {}, so no rank could finish it"
    own = "ZeroDivisionError: on purpose"
    assert first == [elsewhere.format(1), own, "[0.0, 1.0]", "[True, False]", "from the first", ""]
    assert second == [own, elsewhere.format(0), *first[2:]]


def test_a_single_process_needs_no_group() -> None:
    ranks = Ranks(1, 0, torch.device("cpu"))
    assert ranks.exchange(lambda: torch.ones(2)).tolist() == [[1.0, 1.0]]
    assert ranks.decide([True, False]) == [True, False]
    assert ranks.share(b"x") == b"x"
