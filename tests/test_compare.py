"""`rlpeaks compare` as a person and a script use it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import jaccard_score

from rlpeaks_tui.run.entries import Metrics
from rlpeaks_tui.run.journal import JournalWriter
from rlpeaks_tui.run.layout import Layout
from rlpeaks_tui.run.masks import pack, write_masks
from tests.run_fakes import BEGAN, NASTY, Call, finished_run, is_safe

SHAPES = {"layers.0.q_proj.weight": (300, 200), "norm.weight": (30,)}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path


Pair = dict[str, tuple[np.ndarray, np.ndarray]]


def keep_masks(layout: Layout, seed: int, step: int = 3) -> Pair:
    """Changed and top masks of two modules, drawn from odds that all runs share."""
    odds = np.random.default_rng(99)
    rng = np.random.default_rng(seed)
    made: Pair = {}
    for name, shape in SHAPES.items():
        share = 0.2 * odds.random(shape[:1] + (1,) * (len(shape) - 1)) * np.ones(shape)
        made[name] = (rng.random(shape) < 4 * share, rng.random(shape) < share)
    write_masks(layout.layers, pack(step, iter((name, *pair) for name, pair in made.items())))
    return made


def test_metrics_that_both_runs_have_stand_side_by_side(call: Call, tmp_path: Path) -> None:
    for name, steps in (("one", 3), ("two", 5)):
        finished_run(tmp_path / name, steps=steps)
    JournalWriter(Layout(tmp_path / "two").journal, "more").write(Metrics(t=BEGAN, step=5, v={"entropy": 0.5}))
    status, out, err = call("compare", "one", "two")
    assert (status, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    assert ["reward", "0.300", "(3)", "0.500", "(5)"] in rows
    assert not any(row[:1] == ["entropy"] or row[:1] == ["kl"] for row in rows)
    assert "one kept no masks" in out
    status, out, _ = call("compare", "one", "two", "--json")
    told = json.loads(out)
    assert status == 0 and set(told) == {"runs", "directories", "metrics", "masks", "masks_missing"}
    assert told["runs"] == ["one", "two"] and told["masks"] is None and "no masks" in told["masks_missing"]
    assert told["metrics"] == {"reward": [{"step": 3, "value": 0.3}, {"step": 5, "value": 0.5}]}


def test_overlaps_of_both_masks_with_chance_and_null(call: Call, tmp_path: Path) -> None:
    one = keep_masks(finished_run(tmp_path / "one"), 1, step=3)
    two = keep_masks(finished_run(tmp_path / "two"), 2, step=4)
    status, out, _ = call("compare", "one", "two", "--json")
    told = json.loads(out)
    masks = told["masks"]
    assert status == 0 and told["masks_missing"] == ""
    assert (masks["steps"], masks["modules"], masks["weights"]) == ([3, 4], 2, 60_030)
    for which, kind in enumerate(("changed", "top")):
        a, b = (np.concatenate([pair[which].ravel() for pair in of.values()]) for of in (one, two))
        pooled, within = masks[kind]["pooled"], masks[kind]["within"]
        assert pooled["jaccard"] == within["jaccard"] == pytest.approx(jaccard_score(a, b))
        assert pooled["o1"] == pytest.approx((a & b).sum() / a.sum())
        assert pooled["o2"] == pytest.approx((a & b).sum() / b.sum())
        assert pooled["chance_o1"] == pytest.approx(b.mean()) and pooled["share2"] == pytest.approx(b.mean())
        inside = sum(one[name][which].sum() * two[name][which].mean() for name in SHAPES) / a.sum()
        assert within["chance_o1"] == pytest.approx(inside)
        assert within["lift"] == pytest.approx(within["o1"] / inside)
        # Rows are all that the two share.
        assert within["honest_lift"] == pytest.approx(1, abs=0.1) and within["lift"] > 1.25
    status, out, _ = call("compare", "one", "two")
    assert status == 0 and "How to read this" in out
    lines = {line[:44].strip(): line[44:].split() for line in out.splitlines()}
    assert lines["honest lift, over rows and columns kept"] == [
        f"{masks[kind]['within']['honest_lift']:.3f}" for kind in ("changed", "top")
    ]


def test_a_run_compared_with_itself_agrees_in_all(call: Call, tmp_path: Path) -> None:
    keep_masks(finished_run(tmp_path / "one"), 1)
    masks = json.loads(call("compare", "one", "one", "--json")[1])["masks"]
    assert masks["top"]["within"]["o1"] == masks["changed"]["pooled"]["jaccard"] == 1


def test_a_run_that_changed_nothing_has_no_overlap_to_tell(call: Call, tmp_path: Path) -> None:
    nothing = np.zeros((3, 4), bool)
    for name in ("one", "two"):
        write_masks(finished_run(tmp_path / name).layers, pack(1, iter([("w", nothing, nothing)])))
    status, out, _ = call("compare", "one", "two")
    assert status == 0 and "nan" not in out
    assert json.loads(call("compare", "one", "two", "--json")[1])["masks"]["top"]["within"]["lift"] is None


def test_runs_of_different_modules_are_not_compared(call: Call, tmp_path: Path) -> None:
    keep_masks(finished_run(tmp_path / "one"), 1)
    other = finished_run(tmp_path / "two")
    mask = np.ones((2, 2), bool)
    write_masks(other.layers, pack(1, iter([("w", mask, mask)])))
    assert "different modules" in call("compare", "one", "two")[1]


@pytest.mark.parametrize("words", [["compare"], ["compare", "one"], ["compare", "one", "none"]])
def test_a_wrong_request_is_one_line_and_status_2(call: Call, tmp_path: Path, words: list[str]) -> None:
    finished_run(tmp_path / "one")
    status, out, err = call(*words)
    assert (status, out) == (2, "") and err.count("\n") == 1


def test_hostile_runs_cannot_steer_the_terminal(call: Call, tmp_path: Path) -> None:
    words = [nasty for nasty in NASTY if "\ud800" not in nasty]
    for name in ("one", "two"):
        layout = finished_run(tmp_path / name)
        lines = [{"k": "metrics", "t": 1, "step": 9, "v": {word: 1.0}} for word in words]
        (layout.journal / "other-000001.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for request in (["compare", "one", "two"], ["compare", "one", "two", "--json"]):
        status, out, err = call(*request)
        assert status == 0 and err == "" and is_safe(out)
