"""Calibration taken apart and formats told by selection: every figure against the completions themselves."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rlpeaks_tui.cockpit.browse.query import parse
from rlpeaks_tui.cockpit.cells import Ink, in_ascii
from rlpeaks_tui.cockpit.generations import Generations
from rlpeaks_tui.cockpit.panels import BY_ID, calibration
from rlpeaks_tui.cockpit.panels.confidence_parts import closest, point, said_of
from rlpeaks_tui.cockpit.panels.confidence_study import Kept, Part, Parts, kept_of, parts_of, rate_of_others, window
from rlpeaks_tui.cockpit.panels.picking import quoted
from rlpeaks_tui.cockpit.scene import Look, Scene, View
from rlpeaks_tui.run import present
from rlpeaks_tui.run.entries import Probe
from rlpeaks_tui.run.follow import Follower
from rlpeaks_tui.run.measured import Reliability
from rlpeaks_tui.run.rollouts import Block, RolloutReader, Rollouts
from rlpeaks_tui.run.search import Search
from rlpeaks_tui.stats.calibration import Calibration
from rlpeaks_tui.stats.confidence import SOURCES, STATED
from rlpeaks_tui.stats.reliability import reliability
from rlpeaks_tui.stats.summaries import Estimate, wilson
from tests.cockpit_fakes import FakeRun, scene_of, steered_run
from tests.cockpit_pilot import app_of, opened, until_seen

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
    correct, group = np.array([c for c, _ in rows]), np.array([g for _, g in rows], np.int64)
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
        assert "mean token probability" in words and "agreement of the group" in words
        assert ("closest:" in words) != ("no source is clearly closer" in words)
        assert "95 % by prompt, all rows together" in words or width < 100


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


def counted(root: Path, first: int, last: int, generations: range) -> Probe:
    """The diagram of the generations `first` to `last` of the index, as the training process journals it."""
    kept = [everything(root)[i] for i in generations]
    confidence, correct = (
        np.concatenate([getattr(block, name) for block in kept]) for name in ("confidence", "correct")
    )
    known = np.isfinite(confidence) & np.isfinite(correct)
    table = reliability(confidence[known], correct[known])
    arrays = {name: getattr(table, name).tolist() for name in ("edges", "count", "confidence", "accuracy")}
    arrays = {name: [None if math.isnan(value) else value for value in values] for name, values in arrays.items()}
    facts = {"calibration/source": "stated confidence", "first step": first}
    return Probe(t=0.0, name="calibration", step=last, v={"calibration/ece": 0.1}, facts=facts, arrays=arrays)


def stating(run: FakeRun, step: int) -> None:
    """A generation of step `step`: confidences on and off the edges of bins, some unstated, some not judged."""
    stated = run.random.choice([None, 0.0, 0.3, 0.7, 0.75, 0.8, 0.8999999, 0.9, 1.0], 40).tolist()
    outcomes = run.random.choice([0.0, 1.0, None], 40, p=[0.4, 0.5, 0.1]).tolist()
    run.rollouts.append(
        Block(
            step=step,
            phase="",
            prompts=[f"p{i}" for i in range(5)],
            group=[i // 8 for i in range(40)],
            completions=["x"] * 40,
            reward=[0.0] * 40,
            rewards={},
            advantage=[0.0] * 40,
            length=[3] * 40,
            truncated=[False] * 40,
            correct=outcomes,
            confidence=stated,
        )
    )


@pytest.fixture
def stated(tmp_path: Path) -> FakeRun:
    """Diagrams at steps 20 and 40 of the trunk, which was left at 41 for step 30, and at 45 of the branch."""
    run = FakeRun(tmp_path / "quickstart", probes=False)
    run.state("running")

    def go(to: int) -> None:
        while run.step < to:
            run.advance(1)
            stating(run, run.step)

    def tell(first: int, generations: range) -> None:
        probe = counted(run.layout.root, first, run.step, generations)
        run.journal.write(msgspec.structs.replace(probe, t=run.t))

    go(20)
    tell(9, range(8, 20))
    go(30)
    run.checkpoint("thirty")
    go(40)
    tell(33, range(32, 40))
    go(41)
    run.roll_back(30, "thirty")
    go(45)
    tell(31, range(41, 56))
    run.beat()
    return run


def found(root: Path, line: str) -> int:
    reader = RolloutReader(root / "rollouts")
    reader.refresh()
    return sum(1 for _ in Search(reader, parse(line), 10**6))


@pytest.mark.parametrize(("cursor", "diagram"), [(None, 45), (44, 20), (25, 20)])
def test_a_bin_leads_to_exactly_the_completions_that_it_counts(
    stated: FakeRun, cursor: int | None, diagram: int
) -> None:
    scene = scene_of(stated.layout.root, View(cursor=cursor), panel="calibration")
    assert scene.reliability is not None and scene.reliability.step == diagram
    count = scene.reliability.count[scene.reliability.count > 0]
    assert len(count) == 5
    # While what is shown moves, the study is still that of another step.
    for study in (scene.study, None, "of another panel"):
        for at, number in enumerate(count.tolist()):
            line = calibration.query(replace(scene, study=study, view=replace(scene.view, scroll=at)))
            assert found(stated.layout.root, line) == number, line
    assert isinstance(scene.study, Parts) and scene.study.by_source[0].found.n == count.sum()


async def test_a_bin_of_an_old_diagram_lists_its_completions(stated: FakeRun) -> None:
    async with opened(stated.layout.root, (160, 45)) as pilot:
        app = app_of(pilot)
        app.go_to(25)
        await pilot.press("4", "4")
        await until_seen(pilot, r"Calibration .*at step 20")
        scene = app.scene
        assert scene is not None and scene.reliability is not None
        number = int(scene.reliability.count[scene.reliability.count > 0][1])
        await pilot.press("down")
        await until_seen(pilot, r"▸ *0\.3 to 0\.4")
        await pilot.press("enter")
        await until_seen(pilot, rf"{number} found in")


def test_a_run_that_does_not_say_over_what_it_counted_is_taken_at_its_size(root: Path, scene: Scene) -> None:
    whole = everything(root)
    size = len(whole) - 2
    config = {**scene.snapshot.info.config, "probes": {"calibration_window": 32 * size - 5}}
    snapshot = replace(scene.snapshot, info=msgspec.structs.replace(scene.snapshot.info, config=config))
    diagram = Reliability(whole[-1].step, *[np.empty(0)] * 4, "", 0.0)
    assert window(snapshot, diagram).tolist() == list(range(2, len(whole)))


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


def test_an_interval_counts_prompts_where_the_run_did_and_says_so_where_not(scene: Scene) -> None:
    edges, count, accuracy = np.linspace(0, 1, 11), np.array([0] * 9 + [80]), np.array([NAN] * 9 + [0.85])
    old = Reliability(1, edges, count, np.where(count > 0, 0.95, NAN), accuracy, "", 0.0)
    for size, ends, told in ((None, 80, False), (count.astype(float), 80, True), (count / 8, 10, False)):
        shown = replace(scene, snapshot=replace(scene.snapshot, calibrations=(replace(old, size=size),)), study=None)
        words = text_of("calibration", 0, shown, 150, 40)
        low, high = wilson(0.85 * ends, ends)
        assert re.search(
            rf"0\.95 +0\.85  {low:.2f} to {high:.2f} +80 +{'too high' if told else ''} *$", words, re.MULTILINE
        )
        assert ("as if rollouts were independent" in words) == (size is None)


def test_what_a_run_did_not_count_by_prompt_is_counted_from_its_completions(root: Path, scene: Scene) -> None:
    parts = scene.study
    assert isinstance(parts, Parts)
    table = parts.by_source[0].found.reliability
    assert table is not None
    old = Reliability(9, table.edges, table.count, table.confidence, table.accuracy, parts.by_source[0].name, 0.0)
    for found, known in ((old, True), (replace(old, count=2 * table.count), False), (replace(old, source="?"), False)):
        shown = replace(scene, snapshot=replace(scene.snapshot, calibrations=(found,)))
        assert ("95 % interval by prompt" in text_of("calibration", 0, shown, 150, 40)) == known


@pytest.mark.parametrize(
    ("claimed", "half", "words"),
    [
        (0.6, 0.05, "overconfident"),
        (0.4, 0.05, "underconfident"),
        (0.6, 0.15, "perhaps overconfident"),
        (0.6, NAN, "perhaps overconfident"),
        (0.51, 0.05, "about right"),
        (0.51, 0.15, "not clear"),
        (0.51, NAN, "not clear"),
    ],
)
def test_a_direction_is_told_only_beyond_the_error_between_prompts(claimed: float, half: float, words: str) -> None:
    one = np.array([1])
    found = Reliability(1, np.array([0.0, 1.0]), 64 * one, claimed * one, 0.5 * one, "", 0.0, size=8.0 * one, half=half)
    assert calibration.verdict(found) == words


def judged(rate: np.ndarray, confidence: list[np.ndarray], rng: np.random.Generator) -> Parts:
    """One generation of 8 rollouts for each of P prompts: success rates [P], confidence by source [P] or [P, 8]."""
    wide = [np.broadcast_to(each.reshape(len(rate), -1), (len(rate), 8)) for each in confidence]
    said = {name: np.clip(each, 0, 1).ravel() for name, each in zip(SOURCES, wide, strict=True)}
    correct = (rng.random((len(rate), 8)) < rate[:, None]).astype(float).ravel()
    prompt = np.repeat(np.arange(len(rate)), 8)
    return parts_of([Kept(1, said, correct, prompt, prompt)], 4096, STATED)


def generated(step: int, confidence: np.ndarray, rate: np.ndarray, rng: np.random.Generator) -> Rollouts:
    """One generation of 8 completions for each of the same P prompts, which state [P] and succeed at [P]."""
    n = 8 * len(rate)
    correct, nothing = (rng.random((len(rate), 8)) < rate[:, None]).ravel().astype(float), np.full(n, NAN)
    return Rollouts(
        step=step,
        phase="",
        prompts=tuple(f"What is {i} plus 1?" for i in range(len(rate))),
        group=np.repeat(np.arange(len(rate)), 8),
        completions=("x",) * n,
        rewards={},
        reward=correct,
        advantage=correct,
        length=np.full(n, 3),
        truncated=np.zeros(n, bool),
        task=("",) * n,
        format=(None,) * n,
        confidence=np.repeat(confidence, 8),
        correct=correct,
        logp=nothing,
        base_logp=nothing,
        entropy=nothing,
        k3=nothing,
        tokens=(),
    )


@pytest.mark.parametrize(("prompts", "generations"), [(16, 4), (8, 8)])
def test_of_prompts_that_come_again_a_calibrated_policy_is_hardly_ever_blamed(prompts: int, generations: int) -> None:
    """In about 5 of 100 windows; by a prompt of its own in every generation it is in 30 and in 45."""
    rng, told, draws = np.random.default_rng(36), 0, 300
    for _ in range(draws):
        q = rng.uniform(0.1, 0.9, prompts)
        rate = rng.beta(2 * q, 2 * (1 - q))
        parts = parts_of([kept_of(generated(step, q, rate, rng)) for step in range(generations)], 512, STATED)
        assert (parts.by_source[0].found.n, parts.by_source[0].found.clusters) == (512, prompts)
        told += said_of(parts.by_source[0])[0].startswith(("over", "under"))
    assert told <= 0.08 * draws


def alike_sources(q: np.ndarray) -> list[np.ndarray]:
    """All as far from the truth, in one direction or the other."""
    return [q + 0.15, q - 0.15, q + 0.15]


def calibrated_sources(q: np.ndarray) -> list[np.ndarray]:
    """All right, by many values, one or two, the means of the halves of Beta(2, 2): ECE overstates them differently."""
    return [q, np.full(len(q), 0.5), np.where(q > 0.5, 0.6875, 0.3125)]


@pytest.mark.parametrize("claims", [alike_sources, calibrated_sources])
def test_no_source_is_told_as_closest_where_all_are_alike(claims: Callable[[np.ndarray], list[np.ndarray]]) -> None:
    """In 5 of 100 windows at most, of prompts whose rollouts mostly succeed or fail together."""
    rng, told = np.random.default_rng(31), 0
    for _ in range(100):
        q = rng.beta(4, 4, 64) if claims is alike_sources else rng.beta(2, 2, 64)
        told += closest(judged(rng.beta(2 * q, 2 * (1 - q)), claims(q), rng))[0].startswith("closest")
    assert told <= 5


def test_the_closest_source_is_told_where_it_is_clear() -> None:
    rng, told = np.random.default_rng(32), []
    for _ in range(40):
        q = rng.beta(2, 2, 64)
        told.append(closest(judged(rng.beta(4 * q, 4 * (1 - q)), [q + 0.3, q, q - 0.3], rng))[0])
    assert told.count("closest: mean token probability") >= 38


@pytest.mark.parametrize(
    ("apart", "seldom"),
    [(0.0, "states less where it is hard"), (0.05, "does not know what is hard"), (0.2, "does not know what is hard")],
)
def test_whether_difficulty_is_known_is_told_wrongly_in_hardly_any_window(apart: float, seldom: str) -> None:
    """Confidence of prompts varies, and is lower by `apart` where success is unlikely: 5 of 100 windows at most."""
    rng, told = np.random.default_rng(33), Counter[str]()
    for _ in range(100):
        rate = rng.beta(0.5, 0.5, 64)
        own = rng.normal(0.6, 0.15, 64) - apart * (rate < 0.5)
        parts = judged(rate, [own[:, None] + rng.normal(0, 0.05, (64, 8))] * 3, rng)
        told[point(parts).partition(":")[0]] += 1
    assert told[seldom] <= 5
    assert set(told) <= {
        "states less where it is hard",
        "does not know what is hard",
        "unclear whether it knows what is hard",
    }


def test_that_difficulty_is_not_known_is_told_of_many_prompts() -> None:
    rng, told = np.random.default_rng(34), Counter[str]()
    for apart in (0.0, 0.2):
        for _ in range(20):
            rate = rng.beta(0.5, 0.5, 400)
            own = rng.normal(0.6, 0.1, 400) - apart * (rate < 0.5)
            told[f"{apart} {point(judged(rate, [own] * 3, rng)).partition(':')[0]}"] += 1
    assert told["0.0 does not know what is hard"] >= 18 and told["0.2 states less where it is hard"] >= 18


def test_a_wide_interval_is_no_proof_of_being_right() -> None:
    rng, quiet = np.random.default_rng(35), np.full(8, 0.5)
    few, many = (judged(np.full(n, 0.5), [np.resize(quiet, n)] * 3, rng).by_source[0] for n in (8, 500))
    assert said_of(few, 3)[0].startswith("perhaps underconfident") and said_of(many, 3)[0].startswith("about right")


@pytest.mark.parametrize(
    ("over", "half", "words", "ink"),
    [
        (0.09, 0.1, "perhaps overconfident 0.09 ±0.10", Ink.UNKNOWN),
        (-0.09, 0.1, "perhaps underconfident 0.09 ±0.10", Ink.UNKNOWN),
        (-0.09, 0.05, "underconfident 0.09 ±0.05", Ink.WARN),
        (0.01, 0.05, "about right +0.01 ±0.05", Ink.GOOD),
        (-0.01, 0.15, "not clear −0.01 ±0.15", Ink.UNKNOWN),
    ],
)
def test_the_table_and_the_heading_say_the_same_of_one_overclaim(
    over: float, half: float, words: str, ink: int
) -> None:
    gap = Estimate(over, half / 1.959963984540054, 512, 64, math.inf)  # the normal quantile
    said = said_of(Part(STATED, Calibration(512, 0, 64, gap=gap), gap))
    one = np.array([1])
    claimed = Reliability(1, np.array([0.0, 1.0]), 64 * one, (0.5 + over) * one, 0.5 * one, "", 0.0, half=half)
    assert said == (words, ink) and words.startswith(calibration.verdict(claimed) + " ")


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
