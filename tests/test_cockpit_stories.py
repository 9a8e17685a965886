"""What the stories of reward, entropy and drift say, held against a run whose laws are known and against loops."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from scipy.stats import linregress

from rlpeaks_tui.cockpit.cells import in_ascii
from rlpeaks_tui.cockpit.panels import BY_ID, budget, earned, forking, heldout, law, moved, story, traces, waste
from rlpeaks_tui.cockpit.panels.parts import metric_table
from rlpeaks_tui.cockpit.scene import Look, Scene, View
from rlpeaks_tui.run.entries import Probe
from rlpeaks_tui.stats.passk import pass_at_k
from rlpeaks_tui.stats.summaries import Estimate
from tests.cockpit_fakes import FakeRun, scene_of, steered_run
from tests.studied_run import (
    BASE,
    CEILING,
    DRIFT,
    GENERATING,
    GROUP,
    GROUPS,
    IDLE,
    A,
    B,
    StudiedRun,
    accuracy,
    entropy,
    studied_run,
)

PANELS = ("reward", "entropy", "kl")
STORIES = [(panel, i) for panel in PANELS for i in range(len(BY_ID[panel].stories))]
SIZES = [(1, 1), (8, 2), (20, 5), (37, 12), (78, 17), (118, 34), (198, 54)]
SCREENS = [(78, 17), (118, 34), (198, 54)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return studied_run(tmp_path_factory.mktemp("runs") / "studied").layout.root


@pytest.fixture(scope="module")
def scenes(root: Path) -> dict[str, Scene]:
    return {panel: scene_of(root, panel=panel) for panel in PANELS}


def ewm(values: list[float], half_life: float) -> np.ndarray:
    """The weighted mean of each value and those before it, whose weight halves every `half_life`; term by term."""
    terms = [[0.5 ** ((i - j) / half_life) for j in range(i + 1)] for i in range(len(values))]
    return np.array([np.average(values[: len(weights)], weights=weights) for weights in terms])


def rows_of(scene: Scene, panel: str, title: str, width: int = 118, height: int = 34) -> list[str]:
    draw = next(each.draw for each in BY_ID[panel].stories if each.title == title)
    return [row.rstrip() for row in draw(scene, width, height).rows()]


def words_of(scene: Scene, panel: str, title: str, width: int = 118, height: int = 34) -> str:
    return "\n".join(rows_of(scene, panel, title, width, height))


@pytest.mark.parametrize(("panel", "number"), STORIES)
def test_every_story_draws_at_every_size_and_cursor_before_and_after_its_study(
    panel: str, number: int, scenes: dict[str, Scene]
) -> None:
    draw = BY_ID[panel].stories[number].draw
    for width, height in SIZES:
        for scene in (
            scenes[panel],
            replace(scenes[panel], study=None),
            replace(scenes[panel], view=View(cursor=130, log=True)),
            replace(scenes[panel], view=View(cursor=0)),
        ):
            cells = draw(scene, width, height)
            assert (cells.width, cells.height) == (width, height)


@pytest.mark.parametrize(("panel", "number"), STORIES)
@pytest.mark.parametrize("size", SCREENS)
def test_every_story_has_its_point_in_the_heading_and_a_line_on_how_to_read_it(
    panel: str, number: int, size: tuple[int, int], scenes: dict[str, Scene]
) -> None:
    rows = [row.rstrip() for row in BY_ID[panel].stories[number].draw(scenes[panel], *size).rows()]
    assert re.search(r"\S {2,}\S*\d", rows[0]), rows[0]
    if number:
        assert rows[-1] and len(rows[-1]) <= size[0]


@pytest.mark.parametrize(("panel", "number"), STORIES)
def test_ascii_stories_need_no_question_marks(panel: str, number: int, scenes: dict[str, Scene]) -> None:
    draw = BY_ID[panel].stories[number].draw
    cells = draw(replace(scenes[panel], look=Look(ascii_only=True, flat=True)), 118, 34)
    assert all(row.isascii() for row in in_ascii(cells).rows())
    assert sum(row.count("?") for row in in_ascii(cells).rows()) == sum(row.count("?") for row in cells.rows())


@pytest.mark.parametrize("panel", PANELS)
def test_a_run_without_a_step_says_why_in_every_story(panel: str, tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "newborn", max_steps=100)
    run.state("starting", "importing")
    scene = scene_of(run.layout.root, panel=panel)
    for told in BY_ID[panel].stories:
        words = "\n".join(told.draw(scene, 78, 17).rows())
        assert re.search("no step has ended yet|token by token", words), words


def test_larger_screens_show_more_parts_and_small_ones_drop_them(scenes: dict[str, Scene]) -> None:
    titles = ("accuracy over steps", "right at least once in k tries", "by task, held out beside training")
    seen = [
        sum(title in words_of(scenes["reward"], "reward", "held out", *size) for title in titles) for size in SCREENS
    ]
    assert seen == [1, 3, 3]
    side_by_side = rows_of(scenes["reward"], "reward", "held out", 198, 54)[1]
    assert titles[0] in side_by_side and titles[1] in side_by_side


@pytest.mark.parametrize(("panel", "row"), [("reward", "sums"), ("entropy", "reward")])
def test_the_first_story_has_its_figures_on_the_smallest_screen_too(
    panel: str, row: str, scenes: dict[str, Scene]
) -> None:
    rows = [line.rstrip() for line in BY_ID[panel].stories[0].draw(scenes[panel], 78, 18).rows()]
    assert any(re.match(rf" *{row}.* \S*\d\S* +\S*\d", line) for line in rows), rows
    assert rows.index("now and over the run") - 1 >= story.TALL  # under a chart that is not squeezed for it


# Reward: held out.


def test_held_out_is_set_against_the_base_and_the_same_tasks_in_training(scenes: dict[str, Scene]) -> None:
    scene = scenes["reward"]
    words = words_of(scene, "reward", "held out")
    assert f"{accuracy(300):.3f} ±0.02" in words and f"held out, +{accuracy(300) - BASE:.3f} on base" in words
    assert (
        "no gap beyond chance" in words
        and "pass@4 +0.100 (90 % +0.040 to +0.170): an answer is found more often" in words
    )
    assert (
        "only the policy solves 4, only the base 1 of 16 prompts: chance alone does as much" in words
        and "(McNemar p 0.38)" in words
    )
    assert re.search(r"sums +12 +0\.250 ", words) and re.search(r"products +4 +0\.125 ", words)
    assert isinstance(scene.study, earned.Earned)
    assert heldout.mix(scene, scene.study) == {"reward/products": 0.25, "reward/sums": 0.75}
    found = heldout.training_at(scene, scene.study, 300)
    expected = 0.0
    for task, share in (("products", 0.25), ("sums", 0.75)):
        expected += share * scene.series(f"reward/{task}").values[-heldout.RECENT :].mean()
    assert found is not None and found.mean == pytest.approx(expected)


@pytest.mark.parametrize(
    ("reward", "words"),
    [(0.9, "training is ahead by +0.200"), (0.71, "no gap beyond chance"), (0.5, "behind by −0.200")],
)
def test_a_gap_is_told_only_beyond_both_errors(reward: float, words: str) -> None:
    assert words in heldout.gap(Estimate(0.7, 0.02, 64, 64), Estimate(reward, 0.02, 20, 20))


def test_a_gap_counts_how_few_prompts_and_rows_its_errors_come_from() -> None:
    """0.065 is beyond 1.96 errors of 0.028, and within Student's 2.45 of the six degrees that both have together."""
    few, many = (heldout.gap(Estimate(0.7, 0.02, n, n), Estimate(0.765, 0.02, n, n)) for n in (4, 64))
    assert "no gap beyond chance" in few and "training is ahead" in many


def test_rewards_that_are_no_share_of_right_answers_are_not_compared(tmp_path: Path) -> None:
    run = StudiedRun(tmp_path / "run")
    run.state("running")
    make = run._metrics
    run._metrics = lambda: replace_values(make(), {"rewards/format/mean": 1.0})  # type: ignore[method-assign]
    run.advance(50)
    words = words_of(scene_of(run.layout.root, panel="reward"), "reward", "held out")
    assert "holds 2 functions: compare the shapes, not the levels" in words and "no gap" not in words


def replace_values(row, values):
    return type(row)(t=row.t, step=row.step, v=row.v | values, phase=row.phase)


def test_the_passes_are_those_of_the_prompts_and_belong_to_their_step(scenes: dict[str, Scene], root: Path) -> None:
    study = scenes["reward"].study
    assert isinstance(study, earned.Earned) and study.passes is not None
    rate = np.tile([1.0, 0.5, 0.75, 0.875], 4)
    expected = pass_at_k(np.full(16, 8), (rate * 8).astype(int), [1, 2, 4, 8]).mean(axis=0)
    assert study.passes.policy.mean == pytest.approx(expected)
    earlier = scene_of(root, View(cursor=210), panel="reward").study
    assert isinstance(earlier, earned.Earned) and earlier.passes is not None and earlier.passes.step == 200


@pytest.mark.parametrize(
    "arrays",
    [
        {"rate": [0.5, 7.0]},
        {"rate": [-1.0]},
        {"rate": []},
        {"rate": [None, None]},
        {},
    ],
)
def test_a_hostile_record_of_an_evaluation_has_no_curve(arrays: dict[str, list[float | None]], tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "run")
    run.advance(1)
    run.journal.write(Probe(t=run.t, name="eval", step=1, v={}, facts={"samples": 8}, arrays=arrays))
    for samples in (0, -3, 10**9, "8", None, 2.5):
        run.journal.write(Probe(t=run.t, name="eval", step=1, v={}, facts={"samples": samples}, arrays={"rate": [0.5]}))
    study = scene_of(run.layout.root, panel="reward").study
    assert isinstance(study, earned.Earned) and study.passes is None


# Reward: the ceiling.


def test_the_planted_ceiling_is_drawn_once_it_is_identified(scenes: dict[str, Scene], root: Path) -> None:
    words = words_of(scenes["reward"], "reward", "ceiling")
    assert f"{CEILING:.3f}  80 % " in words and "at step 60, exponent B 2.0" in words and "ceiling 0.80" in words
    assert f"at the last step 600: {accuracy(600):.3f}" in words
    study = scenes["reward"].study
    assert isinstance(study, earned.Earned) and study.ceiling is not None
    vague = dataclasses.replace(study.ceiling, identified=False, why="ceilings from 0.675 to 1.000 fit about as well")
    early = replace(scenes["reward"], study=replace(study, ceiling=vague))
    for size in SCREENS:
        words = words_of(early, "reward", "ceiling", *size)
        assert "not identified yet" in words and "why: ceilings from 0.675 to 1.000" in words
        assert "ceiling 0." not in words and "no curve is drawn" in words
    for high, told in ((0.9, "not above what is held now"), (0.55, "reached")):
        below = dataclasses.replace(study.ceiling, asymptote=0.5, low=0.4, high=high)
        beyond = replace(scenes["reward"], study=replace(study, ceiling=below))
        assert f"0.500  80 % 0.400 to {high:.3f}, {told}" in words_of(beyond, "reward", "ceiling")
    few = words_of(scene_of(root, View(cursor=60), panel="reward"), "reward", "ceiling")
    assert "2 of the 6 evaluations" in few


# Reward: waste.


def test_what_was_generated_for_nothing_is_counted(scenes: dict[str, Scene], root: Path) -> None:
    per_step = GROUP * GROUPS
    words = words_of(scenes["reward"], "reward", "waste")
    assert f"25 %  {IDLE * per_step * 300:,.0f} of {per_step * 300:,} completions" in words
    assert f"{int(IDLE * GENERATING * 300)}s of {int(GENERATING * 300)}s generating" in words
    assert "25 % of groups without signal, 10 % expected: 15 % of groups beyond chance" in words
    assert "harder prompts would teach more" in words
    then = scene_of(root, View(cursor=100), panel="reward")
    assert isinstance(then.study, earned.Earned)
    spent = waste.wasted(then, then.study)
    assert spent is not None and (spent.idle, spent.completions) == (IDLE * per_step * 100, per_step * 100)


def test_idle_groups_beyond_chance_take_more_rows_than_a_few(tmp_path: Path) -> None:
    run = StudiedRun(tmp_path / "run")
    run.state("running")
    make = run._metrics
    run._metrics = lambda: replace_values(make(), {waste.IDLE: 0.5 * (run.step % 2)})  # type: ignore[method-assign]
    run.advance(40)
    words = [words_of(scene_of(run.layout.root, View(cursor=at), panel="reward"), "reward", "waste") for at in (5, 40)]
    assert "too few steps to tell it from chance" in words[0] and "of groups beyond chance" in words[1]


@pytest.mark.parametrize(
    ("idle", "right", "wrong", "words"),
    [
        (0.02, 0.06, 0.0, ("fewer than chance gives", "which of the two is not clear yet")),
        (0.62, 0.3, 0.32, ("about what chance gives", "both ends are there")),
        (0.61, 0.01, 0.6, ("about what chance gives", "easier prompts would teach more")),
        (0.75, 0.55, 0.2, ("of groups beyond chance", "harder prompts would teach more")),
    ],
)
def test_what_idle_groups_say_is_said_where_it_is_clear(
    tmp_path: Path, idle: float, right: float, wrong: float, words: tuple[str, ...]
) -> None:
    run = StudiedRun(tmp_path / "run")
    run.state("running")
    make, rng = run._metrics, np.random.default_rng(8)
    level = {waste.IDLE: idle, waste.EXPECTED: 0.61, waste.RIGHT: right, waste.WRONG: wrong}

    spread = {waste.IDLE: 0.02, waste.RIGHT: 0.2 if right < 0.1 and wrong < 0.1 else 0.0}
    noisy = lambda: {name: value + spread.get(name, 0.0) * rng.normal() for name, value in level.items()}  # noqa: E731
    run._metrics = lambda: replace_values(make(), noisy())  # type: ignore[method-assign]
    run.advance(60)
    said = words_of(scene_of(run.layout.root, panel="reward"), "reward", "waste", 198, 54)
    for each in words:
        assert each in said


def test_steps_that_share_a_generation_share_its_waste(tmp_path: Path) -> None:
    """Every other step ends a generation: the time of the step before belongs to the same one."""
    run = StudiedRun(tmp_path / "run")
    run.state("running")
    make = run._metrics

    def metrics():
        row = make()
        share = {"rollouts/no_gradient": 0.5 if row.step % 4 == 0 else 0.0} if row.step % 2 == 0 else {}
        return replace_values(row, {"rollouts/no_gradient": None, "time/generate": 1.0} | share)

    run._metrics = metrics  # type: ignore[method-assign]
    run.advance(20)
    scene = scene_of(run.layout.root, panel="reward")
    assert isinstance(scene.study, earned.Earned)
    spent = waste.wasted(scene, scene.study)
    assert spent is not None and spent.seconds == pytest.approx(20 * 0.25) and spent.generating == 20.0
    assert spent.completions == 10 * GROUP * GROUPS and spent.share == pytest.approx(0.25)
    bare = waste.wasted(scene, earned.Earned())
    assert bare is not None and bare.completions == 0 and bare.share == pytest.approx(0.25)


# Entropy.


def test_forks_and_the_other_tokens_add_up_to_all(scenes: dict[str, Scene]) -> None:
    words = words_of(scenes["entropy"], "entropy", "by token")
    now = entropy(300)
    rest = (now - 0.2 * 4.5 * now) / 0.8
    assert f"{4.5 * now:.3f}  at forks, {rest:.3f} at the other tokens" in words
    assert "forks hold 90 % of all entropy" in words
    assert "0.60 of the forks of either are forks of both (chance 0.11)" in words
    by_task = words_of(scenes["entropy"], "entropy", "by task")
    assert "forking" not in by_task


def test_covariance_says_which_way_entropy_goes_and_what_it_did(scenes: dict[str, Scene]) -> None:
    scene = scenes["entropy"]
    words = words_of(scene, "entropy", "covariance")
    mean = scene.series("cov/logp_advantage").values[-50:].mean()
    assert re.search(rf"\+{mean:.3f} ±0\.\d+  pushes entropy down", words)
    assert "entropy over the same steps: −" in words
    assert "(about 1 of 128 tokens) hold 10 %" in words
    assert "down to 20 % of its start: spent since step" in words_of(scene, "entropy", "covariance", 198, 54)


def test_the_law_is_numpys_and_says_what_is_left(scenes: dict[str, Scene]) -> None:
    scene = scenes["entropy"]
    words = words_of(scene, "entropy", "law")
    steps = np.arange(25, 301, 25)
    line = np.polyfit(np.exp([entropy(step) for step in steps]), [accuracy(step) for step in steps], 1)
    found = law.bought(scene)
    assert (-found.law.a, found.law.b) == pytest.approx(tuple(line)) and line == pytest.approx([-A, B])
    assert f"+{A * np.expm1(entropy(300)):.3f} ±" in words and "accuracy left to gain" in words
    assert re.search(rf"ends at {B - A:.3f} and explains (>99|100) % of the variance of 12 evaluations", words)
    assert f"{B - A:.3f} at H = 0" in words and "base, not in the fit" in words


def test_an_evaluation_before_any_entropy_is_not_set_against_it(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "quickstart", probes=False)
    run.state("running")
    once = {"eval/pass@1": 0.3, "eval/pass@1_se": 0.02, "eval/base_pass@1": 0.3}
    run.journal.write(Probe(t=run.t, name="eval", step=0, v=once))
    run.advance(5)
    words = words_of(scene_of(run.layout.root, panel="entropy"), "entropy", "law")
    assert "no evaluation after a step whose entropy is known" in words
    run.journal.write(Probe(t=run.t, name="eval", step=5, v=once))
    assert law.bought(scene_of(run.layout.root, panel="entropy")).steps.tolist() == [5]


@pytest.mark.parametrize(("uncertain", "told"), [(0.0005, True), (0.01, False)])
def test_entropy_is_spent_only_where_what_is_left_clearly_is(
    uncertain: float, told: bool, scenes: dict[str, Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = law.bought(scenes["entropy"])
    assert found.error[-1] == pytest.approx(0.01)
    spent = replace(found, law=replace(found.law, left=0.004, error=uncertain))
    monkeypatch.setattr(law, "bought", lambda _: spent)
    assert (": entropy is spent" in words_of(scenes["entropy"], "entropy", "law")) == told


def test_what_breaks_the_law_in_this_run_is_said_first(tmp_path: Path) -> None:
    run = steered_run(tmp_path / "run", steps=100)
    run.settings(beta=0.04, entropy_coef=0.0)
    scene = scene_of(run.layout.root, panel="entropy")
    assert law.broken(scene) == "a KL term (beta 0.04) in force: that breaks the law, and what is left is a guess"
    assert law.broken(replace(scene, view=View(cursor=50))) == "", "it came later"
    run.settings(beta=0.0, entropy_coef=0.01)
    assert "an entropy bonus (entropy_coef 0.01)" in law.broken(scene_of(run.layout.root))


def test_a_law_that_does_not_hold_is_not_drawn(tmp_path: Path, root: Path) -> None:
    few = words_of(scene_of(root, View(cursor=60), panel="entropy"), "entropy", "law")
    assert "not enough yet" in few and "2 of the 5 evaluations" in few and "at H = 0" not in few
    run = StudiedRun(tmp_path / "run")
    run.state("running")
    make = run._metrics
    run._metrics = lambda: replace_values(make(), {"entropy": 0.3 + 0.1 * (run.step // 25 % 2)})  # type: ignore[method-assign]
    run.advance(250)
    poor = words_of(scene_of(run.layout.root, panel="entropy"), "entropy", "law")
    assert "at H = 0" not in poor
    assert re.search(r"poor fit  <?\d+ % of the variance: accuracy does not follow entropy|law does not apply", poor)


def test_forks_are_listed_by_piece_with_what_they_rest_on(scenes: dict[str, Scene]) -> None:
    scene = scenes["entropy"]
    words = words_of(scene, "entropy", "forks")
    sampled = 40 * 2 * 4
    assert "a sample: 320 tokens of 80 of 1,280 completions, steps 261 to 300" in words
    assert re.search(r"'6' +64 +80 % +0\.900 +[+−]0\.\d\d ±0\.\d\d +100 % +0\.69", words)
    held = sampled // 5 * 0.9 / (sampled // 4 * (0.9 + 0.01 + 0.6 + 0.02))
    assert f"{round(100 * held)} %  of entropy in a fifth of the tokens" in words
    assert "the forks of both overlap by 0.60 (chance 0.11)" in words


def test_a_long_list_scrolls_and_says_how_many_are_left(scenes: dict[str, Scene]) -> None:
    scene = scenes["entropy"]
    assert isinstance(scene.study, forking.Forking)
    one = scene.study.found.pieces[0]
    many = replace(scene.study.found, pieces=tuple(replace(one, piece=f"p{i}") for i in range(40)))
    long = replace(scene, study=replace(scene.study, found=many))
    cells = forking.story(long, 78, 17)
    words = "\n".join(cells.rows())
    seen = re.findall(r"'p(\d+)'", words.split("are written")[0])
    assert cells.below == 40 - len(set(seen) - {""}) and f"{cells.below} more" in words
    moved_on = "\n".join(forking.story(replace(long, view=View(scroll=5)), 78, 17).rows())
    assert "'p5'" in moved_on


def test_what_a_reward_began_with_is_on_every_chart_of_it(tmp_path: Path) -> None:
    run = StudiedRun(tmp_path / "run")
    run.state("running")
    make = run._metrics
    lost = {"reward": 0.375, "rewards/correct/mean": 0.375, "reward/times_digit": 0.625}
    run._metrics = lambda: replace_values(make(), lost if run.step <= 1 else dict.fromkeys(lost, 0.0))  # type: ignore[method-assign]
    run.advance(90)
    scene = scene_of(run.layout.root, panel="reward")
    for words in (words_of(scene, "reward", "training", 118, 34), words_of(scene, "reward", "training", 118, 60)):
        assert "▲" not in words


# Drift.


def test_estimators_are_held_against_each_other(scenes: dict[str, Scene]) -> None:
    scene = scenes["kl"]
    words = words_of(scene, "kl", "estimates", 198, 54)
    one, three = (scene.series(name).values[-50:].mean() for name in ("kl/base_k1", "kl/base_k3"))
    assert f"last 50 steps: k1 {one:.3f}, k3 {three:.3f}: they differ by more than chance" in words
    for part in ("at every token of 32 completions", "may be negative", "can raise a step", "exact, full vocabulary"):
        assert part in words


def test_the_price_of_reward_rises_where_the_sigmoid_bends(scenes: dict[str, Scene]) -> None:
    scene = scenes["kl"]
    words = words_of(scene, "kl", "reward bought")
    assert "returns diminish" in words and "held-out accuracy over drift" in words
    in_all = re.search(r"in all ([+−]\d+\.\d\d) \(\S+ to \S+\) a nat, last 30 steps against first 30", words)
    assert in_all is not None
    whole = np.mean([accuracy(step) for step in range(271, 301)]) - np.mean([accuracy(step) for step in range(1, 31)])
    assert float(in_all[1]) == pytest.approx(whole / (270 * DRIFT), rel=0.1)
    assert "held out at step 300: +0.562 ±" in words and " on base for 0.058 nats of KL k1, mean of 20 steps" in words
    prices = [float(found.replace("−", "-")) for found in re.findall(r"([+−]\d+\.\d\d) \([+−]", words)][:4]
    steps = np.arange(1, 301)
    true = [
        linregress(DRIFT * steps[part], [accuracy(step) for step in steps[part]]).slope
        for part in (slice(0, 75), slice(75, 150), slice(150, 225), slice(225, 300))
    ]
    assert prices == pytest.approx(true, rel=0.2, abs=1.5)


def test_a_stretch_that_drift_fell_out_of_says_how_many_steps_were_in_it(tmp_path: Path) -> None:
    run = StudiedRun(tmp_path / "run")
    run.state("running")
    make = run._metrics
    drift = [0.08 * step if step <= 50 else 0.01 for step in range(1, 251)]
    run._metrics = lambda: replace_values(make(), {"kl/base_k1": drift[run.step - 1]})  # type: ignore[method-assign]
    run.advance(250)
    scene = scene_of(run.layout.root, panel="kl")
    words = words_of(scene, "kl", "reward bought")
    assert "no price  " in words.split("\n")[0]
    first, within, rows = re.search(r"(\d+) to 250 +(\d+) of (\d+)", words).groups()  # type: ignore[union-attr]
    smoothed = ewm(drift, scene.half_life)
    low = 0.75 * smoothed.max()
    assert int(within) == (smoothed >= low).sum() < 30 and int(rows) == 251 - int(first)


def test_the_budget_is_foreseen_where_its_line_meets_the_bound(scenes: dict[str, Scene], root: Path) -> None:
    scene = scenes["kl"]
    words = words_of(scene, "kl", "budget")
    assert "60 % of 0.1 nats  spent now, all by step 5" in words
    found = re.search(r"spent by step (\d+) \(95 % (\d+) to (\d+)\), within the 300 steps left", words)
    assert found is not None
    at, low, high = (int(group) for group in found.groups())
    assert low <= 500 <= high and low < at < high and high - low < 30
    short = replace(scene, snapshot=replace(scene.snapshot, max_steps=400))
    assert "60 % of 0.1 nats  spent now, not all by the last step, 400" in words_of(short, "kl", "budget")
    ended = words_of(replace(scene, snapshot=replace(scene.snapshot, state="stopped")), "kl", "budget")
    assert "60 % of 0.1 nats  spent when the run ended" in ended and "steps left" not in ended
    assert re.search(r"would have been spent by step \d+ \(95 % .*\); the run is over", ended)
    assert "entropy: spent since step" in words
    floor = 0.2 * np.mean([entropy(step) for step in range(1, 6)])
    spent = budget.of_entropy(scene)
    assert spent is not None and spent.bound == pytest.approx(floor)
    few = words_of(scene_of(root, View(cursor=12), panel="kl"), "kl", "budget")
    assert "not foreseeable: 4 rows since step 8, 20 are needed" in few


def test_a_change_of_the_training_cuts_what_a_forecast_rests_on(tmp_path: Path) -> None:
    run = studied_run(tmp_path / "run", steps=100)
    run.command("a", "set", "learning_rate=1e-4", learning_rate=1e-4)
    run.command("b", "note", "nothing")
    run.advance(10)
    run.command("c", "note", "nothing changed")
    run.advance(2)
    words = words_of(scene_of(run.layout.root, panel="kl"), "kl", "budget")
    assert "not foreseeable: 12 rows since the change at step 100, 20 are needed" in words
    assert re.search(r"2[123] % of 0\.1 nats  end not foreseeable", words)


def test_a_budget_that_is_spent_says_since_when_even_without_a_line(tmp_path: Path) -> None:
    run = StudiedRun(tmp_path / "run")
    run.state("running")
    make = run._metrics
    run._metrics = lambda: replace_values(make(), {"kl/base_k1": 0.05 if run.step < 60 else 0.3})  # type: ignore[method-assign]
    run.advance(100)
    run.command("a", "set", "learning_rate=1e-4", learning_rate=1e-4)
    run.advance(5)
    words = words_of(scene_of(run.layout.root, panel="kl"), "kl", "budget")
    found = re.search(r"(\d+) % of 0\.1 nats  spent since step (\d+)", words)
    assert found is not None and 290 <= int(found[1]) <= 300 and 60 <= int(found[2]) <= 63


def test_a_drift_without_trend_is_not_foreseen(tmp_path: Path) -> None:
    run = StudiedRun(tmp_path / "run")
    run.state("running")
    make, noise = run._metrics, np.random.default_rng(3)
    run._metrics = lambda: replace_values(make(), {"kl/base_k1": 0.05 + noise.normal(0, 0.01)})  # type: ignore[method-assign]
    run.advance(90)
    words = words_of(scene_of(run.layout.root, panel="kl"), "kl", "budget")
    assert "end not foreseeable" in words and "no trend beyond chance over 30 rows" in words


def test_tokens_that_moved_are_told_by_piece_and_place(scenes: dict[str, Scene]) -> None:
    scene = scenes["kl"]
    words = words_of(scene, "kl", "moved")
    assert re.search(rf"'7' +80 +\+{np.log(2):.3f} ±0\.000 +100 % +0\.300", words)
    assert f"25 % far  of tokens, mean shift +{np.log(2) / 4:.3f}" in words
    # The third of four tokens stands at 2 / 4 of its completion.
    assert "furthest in the sixth tenth of the completions: 100 %" in words
    assert "clearly raised beyond the other tokens, among 4 pieces: '7' most, by 0.693 nats over 80 uses" in words
    assert "base to policy at step 300: '1' to '6': 9" in words
    assert isinstance(scene.study, moved.Shifted)
    assert sum(place.shift.n for place in scene.study.places) == 320


def test_of_tokens_that_moved_alike_no_piece_and_no_place_is_told(scenes: dict[str, Scene]) -> None:
    """Of 100 samples in which pieces and places are alike, but completions are not: each is told 5 times at most."""
    rng, told = np.random.default_rng(8), {"among": 0, "furthest": 0}
    base = scenes["kl"].study
    assert isinstance(base, moved.Shifted)
    n, length = 30, 40
    owner = np.repeat(np.arange(n), length)
    for _ in range(100):
        own = base.sample.logp[:1].repeat(n * length)
        sample = replace(
            base.sample,
            pieces=tuple(rng.integers(0, 60, n * length).astype(str)),
            logp=own + rng.normal(0.1, 0.1, n)[owner] + rng.normal(0, 0.5, n * length),
            base_logp=own,
            js=np.where(rng.random(n * length) < rng.beta(0.5, 4, n)[owner], 0.3, 0.01),
            place=np.tile(np.arange(length) / length, n),
            completion=owner,
        )
        words = words_of(replace(scenes["kl"], study=moved.shifted(sample)), "kl", "moved")
        assert ("none of 60 pieces is clearly raised" in words) != ("among 60 pieces" in words)
        assert "one look each" in words
        assert ("no place in the completions" in words) != ("furthest in the" in words)
        told["among"] += "among 60 pieces" in words
        told["furthest"] += "furthest in the" in words
    assert max(told.values()) <= 5


def test_the_sample_is_that_of_the_step_shown_and_of_the_present_branch(tmp_path: Path) -> None:
    run = studied_run(tmp_path / "run", steps=60)
    scene = scene_of(run.layout.root, View(cursor=30), panel="kl")
    assert isinstance(scene.study, moved.Shifted) and scene.study.sample.says.endswith("steps 1 to 30")
    run.checkpoint("auto-60")
    run.roll_back(20, "auto-20")
    run.advance(5)
    scene = scene_of(run.layout.root, panel="entropy")
    assert isinstance(scene.study, forking.Forking) and scene.study.sample.says.endswith("steps 1 to 25")


def test_a_generation_of_another_step_is_not_counted_again(scenes: dict[str, Scene]) -> None:
    """As where the index says another step than the block that it names."""
    scene = scenes["kl"]

    class Stuck:
        def generation(self, number: int) -> object:
            return scene.rollouts

    found = traces.Recent()(Stuck(), scene.snapshot, 300)  # type: ignore[arg-type]
    assert found is not None and (found.generations, found.first) == (1, 300)


@pytest.mark.parametrize("panel", ["entropy", "kl"])
def test_a_run_that_keeps_no_tokens_says_so(panel: str, tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "run")
    run.state("running")
    run.advance(3)
    title = BY_ID[panel].stories[-1].title
    assert "no completion is kept token by token" in words_of(scene_of(run.layout.root, panel=panel), panel, title)


# What stories share.


@pytest.mark.parametrize("width", range(30, 80, 3))
def test_a_table_has_columns_whole_or_not_at_all(width: int, scenes: dict[str, Scene]) -> None:
    rows = [("all tokens", "entropy", 0), ("covariance", "cov/logp_advantage", 0)]
    whole = [row.split("  ") for row in metric_table(scenes["entropy"], rows, 200, 3).rows()]
    for row, full in zip(metric_table(scenes["entropy"], rows, width, 3).rows(), whole, strict=True):
        seen = [cell.strip() for cell in row.split("  ") if cell.strip() and not re.search("[\u2801-\u28ff]", cell)]
        assert set(seen) <= {cell.strip() for cell in full}


def test_sentences_are_whole_or_not_there() -> None:
    parts = ["a short one", "one that is much longer than a row is wide", "another"]
    assert story.sentences(parts, 30, 1) == ["a short one; another"]
    assert story.sentences(parts, 30, 3) == ["a short one", "one that is much longer than a", "row is wide; another"]
    assert story.sentences([], 30, 3) == []


@pytest.mark.parametrize("draw", [forking.shown])
def test_blanks_of_a_piece_are_seen(draw: Callable[[str], str]) -> None:
    assert draw("\n\t ") == "'\\n\\t '"
