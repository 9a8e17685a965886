"""Calibration taken apart and formats told by selection: every figure against the completions themselves."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpeaks_tui.cockpit import present
from rlpeaks_tui.cockpit.cells import in_ascii
from rlpeaks_tui.cockpit.generations import Generations
from rlpeaks_tui.cockpit.panels import BY_ID, calibration
from rlpeaks_tui.cockpit.panels.confidence_study import Parts, rate_of_others
from rlpeaks_tui.cockpit.panels.picking import quoted
from rlpeaks_tui.cockpit.scene import Look, Scene, View
from rlpeaks_tui.run.follow import Follower, Reliability
from rlpeaks_tui.run.rollouts import RolloutReader, Rollouts
from rlpeaks_tui.stats.summaries import wilson
from tests.cockpit_fakes import FakeRun, scene_of, steered_run

SIZES = [(78, 18), (118, 34), (198, 54)]
NAN = math.nan


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return steered_run(tmp_path_factory.mktemp("runs") / "quickstart").layout.root


@pytest.fixture(scope="module")
def scene(root: Path) -> Scene:
    return scene_of(root, panel="calibration")


def text_of(panel: str, story: int, scene: Scene, width: int, height: int, scroll: int = 0) -> str:
    shown = replace(scene, view=replace(scene.view, story=story, scroll=scroll))
    return "\n".join(BY_ID[panel].story(shown.view).draw(shown, width, height).rows())


def everything(root: Path) -> list[Rollouts]:
    reader = RolloutReader(root / "rollouts")
    reader.refresh()
    return [block for i in range(len(reader.index)) if (block := reader.read(i)) is not None]


@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0, NAN]), st.integers(0, 3)), max_size=20))
def test_no_completion_sorts_itself(rows: list[tuple[float, int]]) -> None:
    correct, group = np.array([c for c, _ in rows]), np.array([float(g) for _, g in rows])
    for i, rate in enumerate(rate_of_others(correct, group).tolist()):
        others = [c for j, (c, g) in enumerate(rows) if j != i and g == rows[i][1] and not math.isnan(c)]
        assert rate == pytest.approx(sum(others) / len(others) if others else NAN, nan_ok=True)


def test_each_source_has_the_error_that_its_completions_give(root: Path, scene: Scene) -> None:
    parts = scene.study
    assert isinstance(parts, Parts)
    found = scene.reliability
    assert found is not None
    kept = [block for block in everything(root) if block.step <= found.step]
    assert (parts.first, parts.last) == (kept[0].step, kept[-1].step)
    pairs = [pair for block in kept for pair in zip(block.confidence.tolist(), block.correct.tolist(), strict=True)]
    bins: dict[int, list[tuple[float, float]]] = {}
    for q, y in pairs:
        bins.setdefault(min(9, int(q * 10 + 1e-9)), []).append((q, y))
    error = sum(abs(sum(q - y for q, y in rows)) for rows in bins.values()) / len(pairs)
    stated = parts.by_source[0].found
    assert stated.n == len(pairs) and stated.ece == pytest.approx(error)
    for width, height in SIZES:
        words = text_of("calibration", 1, scene, width, height)
        assert re.search(rf"stated confidence +{len(pairs)} +{error:.2f} ", words)
        assert "mean token probability" in words and "agreement of the group" in words and "closest:" in words


def test_difficulty_is_told_by_the_rest_of_the_group(root: Path, scene: Scene) -> None:
    parts = scene.study
    assert isinstance(parts, Parts)
    kept = [block for block in everything(root) if block.step <= parts.last]
    expected = Counter[str]()
    for block in kept:
        for i, mine in enumerate(block.group.tolist()):
            others = [block.correct[j] for j in range(len(block.group)) if j != i and block.group[j] == mine]
            rate = sum(others) / len(others)
            expected["hard" if rate <= 0.25 else "easy" if rate >= 0.75 else "medium"] += 1
    assert {part.name: part.found.n for part in parts.by_difficulty} == {
        name: expected[name] for name in ("hard", "medium", "easy")
    }
    for width, height in SIZES:
        words = text_of("calibration", 2, scene, width, height)
        for name, count in expected.items():
            assert re.search(rf"^{name} +{count} ", words, re.MULTILINE)
        assert "hard to 0.25, easy from 0.75" in words


def test_a_bin_leads_to_exactly_its_completions(root: Path, scene: Scene) -> None:
    kept = everything(root)
    q = np.concatenate([block.confidence for block in kept])
    y = np.concatenate([block.correct for block in kept])
    edges = np.arange(11) / 10
    index = np.minimum(np.searchsorted(edges, q, side="right") - 1, 9)
    count = np.bincount(index, minlength=10)
    with np.errstate(invalid="ignore"):
        mean, right = np.bincount(index, q, 10) / count, np.bincount(index, y, 10) / count
    found = Reliability(kept[-1].step, edges, count, mean, right, "stated confidence", 0.0)
    shown = replace(scene, snapshot=replace(scene.snapshot, calibrations=(found,)))
    filled = np.flatnonzero(count)
    for at, number in enumerate(filled.tolist()):
        query = calibration.query(replace(shown, view=View(scroll=at)))
        match = re.fullmatch(r"conf:([\d.]+)-([\d.]+) step:(\d+)-(\d+)", query)
        assert match is not None
        low, high = float(match[1]), float(match[2])
        assert int(((q >= low) & (q <= high)).sum()) == count[number]
        assert int(match[4]) == found.step
    cells = BY_ID["calibration"].story(View()).draw(replace(shown, view=View(scroll=99)), 118, 34)
    assert cells.below == 0
    assert "▸" in next(row for row in cells.rows() if f"{edges[filled[-1]]:.1f} to" in row)


def test_the_interval_of_a_bin_stands_beside_its_bar(scene: Scene) -> None:
    edges = np.linspace(0, 1, 11)
    count = np.array([0] * 9 + [40])
    accuracy = np.array([NAN] * 9 + [0.5])
    found = Reliability(1, edges, count, np.where(count > 0, 0.95, NAN), accuracy, "", 0.0)
    plot = 40
    cells = calibration.diagram(scene, found, 66, plot + 2)
    rows = [y for y, row in enumerate(cells.rows()) if row.rstrip().endswith("│")]
    low, high = wilson(20, 40)
    assert rows == list(range(int((1 - high) * plot), int((1 - low) * plot) + 1))
    assert all("│" not in row for row in calibration.diagram(scene, found, 28, plot + 2).rows())


def test_what_the_diagram_says_is_said_in_words_on_every_size(scene: Scene) -> None:
    value = scene.value("calibration/ece")
    for width, height in SIZES:
        words = text_of("calibration", 0, scene, width, height, scroll=2)
        assert f"ECE {value:.2f}" in words and "overconfident by 0." in words and "▸" in words and "▲" in words


def test_formats_tell_who_was_paid_and_who_was_only_frequent(root: Path) -> None:
    scene = scene_of(root, panel="formats")
    kept = everything(root)
    pairs = [pair for block in kept for pair in zip(block.format, block.correct.tolist(), strict=True)]
    right = [correct for name, correct in pairs if name == "column"]
    for width, height in SIZES:
        words = text_of("formats", 1, scene, width, height, scroll=1)
        assert re.search(r"▲ column .* selected\b", words) and re.search(r"▸▼ program .* selected against", words)
        assert re.search(r"column wins, against program|column wins, the most frequent from the start", words)
        assert "running sum" in words
        if width > 100:
            assert f"{100 * sum(right) / len(right):.0f} % of {len(right)}" in words
    picked = replace(scene, view=View(scroll=1))
    assert BY_ID["formats"].stories[1].query is not None
    assert BY_ID["formats"].stories[1].query(picked) == 'format:"program"'


def test_stories_wait_for_their_study_and_say_so(root: Path) -> None:
    scene = replace(scene_of(root), study=None)
    assert "they are being read" in text_of("calibration", 1, scene, 78, 18)
    assert "selected" in text_of("formats", 1, scene, 78, 18)


def test_colourless_ascii_keeps_every_distinction(scene: Scene) -> None:
    plain = replace(scene, look=Look(ascii_only=True, flat=True))
    for story in range(3):
        shown = replace(plain, view=View(story=story))
        words = "\n".join(in_ascii(BY_ID["calibration"].story(shown.view).draw(shown, 118, 34)).rows())
        assert words.isascii() and words.count("|") >= 9 and "=" in words and words.count("#") >= 20


def test_a_generation_is_read_once_until_the_run_goes_back(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "run")
    run.state("running")
    for _ in range(5):
        run.advance(10)
    follower = Follower(run.layout.root)
    follower.poll()
    read: list[int] = []

    def made(rollouts: Rollouts) -> int:
        read.append(rollouts.step)
        return rollouts.step

    generations = Generations(made)
    for _ in range(2):
        assert list(generations.newest_first(follower, follower.snapshot(), 40)) == [40, 30, 20, 10]
    assert list(generations.oldest_first(follower, follower.snapshot(), 50)) == [10, 20, 30, 40, 50]
    assert sorted(read) == [10, 20, 30, 40, 50]
    run.checkpoint("auto-30")
    run.roll_back(30, "auto-30")
    run.advance(5)
    follower.poll()
    snapshot = follower.snapshot()
    assert present.generations(snapshot, snapshot.step)[1].tolist() == [10, 20, 30, 35]
    assert list(generations.newest_first(follower, snapshot, snapshot.step)) == [35, 30, 20, 10]


@given(st.text())
def test_whatever_a_prompt_holds_a_query_can_be_read(prompt: str) -> None:
    said = quoted("prompt", prompt)
    assert said == "" or (re.fullmatch(r'prompt:"[^"\n]+"', said) is not None and len(said) <= 220)


def test_formats_of_a_young_run_name_no_winner(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "run")
    run.advance(39)
    scene = scene_of(run.layout.root, panel="formats")
    for width, height in SIZES:
        words = text_of("formats", 1, scene, width, height)
        assert "39 steps, 40 are needed" in words and "wins" not in words
