"""The panels of prompts and of signs against counting by hand, and prompts that mean harm."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from scipy.stats import poisson

from rlpeaks_tui.cockpit.panels import BY_ID, signs
from rlpeaks_tui.cockpit.panels.prompts import Fate, by_chance, fates, point
from rlpeaks_tui.cockpit.scene import Look, Scene, View
from rlpeaks_tui.run.entries import Metrics, Probe
from rlpeaks_tui.run.heldout import HeldOutPrompts, write_held_out
from rlpeaks_tui.stats.longrun import series_mean
from rlpeaks_tui.stats.summaries import Estimate
from tests.cockpit_fakes import HELD_OUT, FakeRun, scene_of, steered_run

SIZES = [(78, 18), (118, 34), (198, 54)]
NAN = math.nan


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return scene_of(steered_run(tmp_path_factory.mktemp("runs") / "quickstart").layout.root, panel="prompts")


def text_of(panel: str, story: int, scene: Scene, width: int, height: int, **view: int | str) -> str:
    shown = replace(scene, view=replace(scene.view, story=story, **view))  # type: ignore[arg-type]
    return "\n".join(BY_ID[panel].story(shown.view).draw(shown, width, height).rows())


def kind_by_hand(base: float, now: float, n: int = 8) -> str:
    """Agresti and Caffo's standard error, written out for one prompt."""
    then, later = (base * n + 1) / (n + 2), (now * n + 1) / (n + 2)
    error = math.sqrt(then * (1 - then) / (n + 2) + later * (1 - later) / (n + 2))
    if abs(later - then) > 2 * error:
        return "learned" if later > then else "forgotten"
    return "dead" if base + now == 0 else "kept" if (base + now) / 2 >= 0.8 else "stuck"


def test_what_the_classes_come_to_takes_more_than_chance() -> None:
    for total in (1, 16, 64, 200, 10_000):
        assert by_chance(total) == poisson.ppf(0.975, total / 40)

    def said(**counts: int) -> str:
        kinds = [kind for kind, count in counts.items() for _ in range(count)]
        return point([Fate(i, "", "", kind, NAN, NAN, np.empty(0)) for i, kind in enumerate(kinds)])

    assert said(unknown=9) == "the base's answers are not known"
    assert said(learned=4, forgotten=4, kept=56) == "no more changed than chance changes"
    assert said(learned=5, kept=59) == said(learned=5, forgotten=4, kept=55) == "learned, no forgetting beyond chance"
    assert said(learned=20, forgotten=6, kept=38) == "some is paid for with what was known"
    # 6 against 1 is an even coin in one case of eight.
    assert said(learned=1, forgotten=6, kept=57) == "some of what was known is lost"
    assert said(learned=1, forgotten=8, kept=55) == "more is lost than won"


def test_every_prompt_is_classed_as_by_hand_and_counted(scene: Scene) -> None:
    base = [i / 8 for i in range(9)]
    now = [1.0, *base[1:-1], 0.0]
    expected = dict(zip(HELD_OUT, map(kind_by_hand, base, now), strict=True))
    found = fates(scene)
    assert {fate.prompt: fate.kind for fate in found} == expected
    assert found[0].kind == "forgotten"
    kinds = list(expected.values())
    for width, height in SIZES:
        words = text_of("prompts", 0, scene, width, height)
        assert f"{kinds.count('learned')} learned, {kinds.count('forgotten')} forgotten" in words
        assert f"{kinds.count('stuck')} stuck" in words and f"{kinds.count('kept')} kept" in words
        for prompt, kind in expected.items():
            assert re.search(rf"{kind} +{re.escape(prompt)} ", words)
        assert re.search(r"learned +12\+0= +█+ +0\.00 +1\.00 +\+1\.00", words)
        assert ("share right of the base" in words) == (width > 78)


def test_the_plane_has_a_sign_or_a_count_for_every_prompt(scene: Scene) -> None:
    words = text_of("prompts", 1, scene, 78, 30)
    plane = "\n".join(words.splitlines()[4:-2])
    assert plane.count("▲") == 1 and "[▼]" in plane
    total = len(re.findall(r"[▲▼•x~]", plane))
    assert total == len(HELD_OUT)


def test_a_filter_names_a_class_a_task_or_text(scene: Scene) -> None:
    assert "12+0=" in text_of("prompts", 0, scene, 78, 18, filter="^learned")
    assert "13+3=" not in text_of("prompts", 0, scene, 78, 18, filter="^learned")
    assert "no prompt matches" in text_of("prompts", 0, scene, 78, 18, filter="four operands")


def test_enter_leads_to_what_training_wrote_for_the_prompt(scene: Scene) -> None:
    query = BY_ID["prompts"].stories[0].query
    assert query is not None
    assert query(scene) == f'prompt:"{fates(scene)[0].prompt}"'
    assert query(replace(scene, view=View(scroll=10**6))) == f'prompt:"{fates(scene)[-1].prompt}"'
    groups = BY_ID["prompts"].stories[2].query
    assert groups is not None
    assert re.fullmatch(r'prompt:"[\d+]+=" step:(\d+)-\1', groups(scene))


def test_what_became_of_the_prompts_is_worked_out_once_however_often_the_list_is_drawn(scene: Scene) -> None:
    found = fates(scene)
    BY_ID["prompts"].stories[0].draw(replace(scene, view=View(scroll=3)), 118, 34)
    assert fates(replace(scene, view=View(filter="learned"))) is found
    earlier = fates(replace(scene, view=View(cursor=150)))
    assert len(earlier[0].rates) < len(found[0].rates)


def test_training_groups_are_counted_and_the_hardest_come_first(scene: Scene) -> None:
    for width, height in SIZES:
        words = text_of("prompts", 2, scene, width, height)
        rates = [float(rate) for rate in re.findall(r" (\d\.\d\d) of 8", words)]
        assert rates == sorted(rates) and len(rates) >= 10
        mixed = re.search(r"(\d+) of 16 groups teach", words)
        assert mixed is not None
        assert int(mixed[1]) == sum(0 < rate < 1 for rate in rates) or len(rates) < 16


def test_what_was_evaluated_on_a_branch_that_was_left_is_not_shown(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "run", max_steps=400)
    run.state("running")
    run.advance(100)
    run.checkpoint("auto-100")
    run.advance(110)
    assert len(fates(scene_of(run.layout.root, panel="prompts"))[0].rates) == 2
    run.roll_back(100, "auto-100")
    run.advance(20)
    scene = scene_of(run.layout.root, panel="prompts")
    assert len(fates(scene)[0].rates) == 1
    assert fates(scene)[0].prompt.startswith("prompt ")
    assert fates(scene_of(run.layout.root, View(cursor=99), panel="prompts")) == ()


@pytest.mark.parametrize("facts", [{}, {"samples": 0}, {"samples": 10**30}, {"samples": True}, {"samples": "8"}])
def test_a_damaged_evaluation_is_passed_over(facts: dict[str, int | str], tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "run", probes=False)
    run.state("running")
    run.advance(1)
    arrays = {"rate": [0.5, None], "base_rate": [0.5, 0.5]}
    run.journal.write(Probe(t=run.t, name="eval", step=1, v={}, facts=facts, arrays=arrays))  # type: ignore[arg-type]
    assert scene_of(run.layout.root, panel="prompts").snapshot.evaluations == ()


HOSTILE = ["漢字" * 3000, "\u202eمرحبا" * 50, '[bold]"x"[/]\n\x1b[2J', "🚀\u0301 " * 900, "a" * (1 << 20), ""]


def test_hostile_prompts_stay_in_their_rows(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "run", probes=False)
    run.state("running")
    run.advance(1)
    write_held_out(run.layout, HeldOutPrompts(prompts=HOSTILE, tasks=HOSTILE))
    rates = [0.0, 1.0, None, 0.5, 0.25, 1.0]
    arrays = {"rate": rates, "base_rate": [0.0, 0.0, 0.5, None, 0.25, 0.25]}
    run.journal.write(Probe(t=run.t, name="eval", step=1, v={}, facts={"samples": 8}, arrays=arrays))
    scene = scene_of(run.layout.root, panel="prompts")
    assert sorted(fate.kind for fate in fates(scene)).count("unknown") == 2
    query = BY_ID["prompts"].stories[0].query
    assert query is not None
    for width, height in SIZES:
        for scroll in range(len(HOSTILE)):
            shown = replace(scene, view=View(scroll=scroll))
            for story in (0, 1):
                cells = BY_ID["prompts"].stories[story].draw(shown, width, height)
                assert (cells.width, cells.height) == (width, height)
                assert not ((cells.chars > 0) & (cells.chars < 32)).any()
            assert '"' not in query(shown)[len('prompt:"') : -1]


def test_without_colours_a_strip_tells_all_from_none_and_from_unknown(scene: Scene) -> None:
    words = text_of("prompts", 0, replace(scene, look=Look(ascii_only=True, flat=True)), 78, 18)
    assert re.search(r"12\+0= +#{4,} ", words) and re.search(r"forgotten +20\+24= +_{4,} ", words)


def test_signs_give_the_mean_of_the_last_probes(scene: Scene) -> None:
    series = scene.snapshot.columns["dlogp/right"]
    mean = float(np.mean(series.values[-20:]))
    for width, height in SIZES:
        words = text_of("signs", 0, scene, width, height)
        assert "Right answers are pushed up and wrong ones down" in words
        shown = re.search(r"right \+([\d.]+) ±", words)
        assert shown is not None and float(shown[1]) == pytest.approx(mean, rel=0.05)
        assert "gradient of negative" in text_of("signs", 1, scene, width, height)
        assert "times as hard" in text_of("signs", 1, scene, width, height)


def estimate(mean: float) -> Estimate:
    return Estimate(mean, 0.1, 20, 20)


@pytest.mark.parametrize(
    ("right", "wrong", "apart", "said"),
    [
        (1.0, -1.0, 2.0, "right up, wrong down"),
        (0.0, -1.0, 1.0, "wrong down"),
        (-0.5, -1.0, 0.5, "right ones fall too"),
        (-0.5, -1.0, 0.2, "both fall"),
        (-1.0, -0.5, -0.5, "right ones fall"),
        (-1.0, -0.5, -0.2, "both fall"),
        (-1.0, 0.0, -1.0, "right ones fall"),
        (-1.0, 1.0, -2.0, "right down, wrong up"),
        (1.0, 2.0, -1.0, "both up"),
        (1.0, 0.0, 1.0, "right up"),
        (0.0, 1.0, -1.0, "wrong up"),
        (0.0, 0.0, 0.0, "no clear change"),
        (0.19, -0.19, 0.38, "no clear change"),
        (0.209, -0.209, 0.418, "no clear change"),  # Student's quantile of 19 degrees is 2.093
        (0.21, -0.21, 0.42, "right up, wrong down"),
    ],
)
def test_signs_are_put_in_words(right: float, wrong: float, apart: float, said: str) -> None:
    assert signs.verdict(estimate(right), estimate(wrong), estimate(apart))[0] == said


def drawn(rng: np.random.Generator, probes: int, right: float, wrong: float, shared: float = 0.0) -> tuple[str, str]:
    """What is said of so many updates that move right and wrong by these means give or take 1, and both by `shared`."""
    both = rng.normal(0, shared, probes)
    r, w = (mean + both + rng.normal(0, 1, probes) for mean in (right, wrong))
    return signs.verdict(series_mean(r), series_mean(w), series_mean(r - w))


def test_of_few_updates_nothing_is_told_more_often_than_by_chance() -> None:
    """Runs in which an update moves neither side: some side is told to move in twice 5 % of them at most."""
    rng, runs = np.random.default_rng(5), 1000
    told = sum(drawn(rng, int(rng.integers(4, 7)), 0, 0)[0] != "no clear change" for _ in range(runs))
    assert told <= 0.1 * runs


@pytest.mark.parametrize("shared", [0.0, 2.0])
@pytest.mark.parametrize(("mean", "probes"), [(4.0, 20), (-4.0, 20), (4.0, 6), (-4.0, 6)])
def test_which_of_two_that_move_alike_moves_more_is_told_by_chance_only(
    mean: float, probes: int, shared: float
) -> None:
    """Both move by the same: that one moves more is told in about 5 % of runs, where the raw means tell it in all."""
    rng, runs = np.random.default_rng(6), 1000
    said = [drawn(rng, probes, mean, mean, shared)[1] for _ in range(runs)]
    alike = "Right and wrong answers gain, neither" if mean > 0 else "Right and wrong answers lose, neither"
    more = ("by more", "by less", "take right ones with them", "lose more than")
    told = sum(any(each in words for each in more) for words in said)
    assert told <= 0.07 * runs  # 5 % and three times the error of counting
    if probes == 20 and not shared:
        assert sum(words.startswith(alike) for words in said) >= 0.9 * runs


def test_that_one_moves_more_is_told_where_it_does() -> None:
    rng = np.random.default_rng(7)
    for right, wrong, words in ((5, 3, "by more"), (3, 5, "by less"), (-3, -5, "take right"), (-5, -3, "lose more")):
        assert sum(words in drawn(rng, 20, right, wrong, 2.0)[1] for _ in range(100)) >= 95


def test_a_right_side_that_rises_a_little_is_not_said_to_stand_still() -> None:
    rng = np.random.default_rng(8)
    said = {drawn(rng, 20, 0.2, 2.0)[1] for _ in range(200)}
    assert "Wrong answers gain, right ones not clearly: look at the reward." in said
    assert not any("do not" in words for words in said)


def test_right_and_wrong_are_compared_at_the_probes_that_have_both(tmp_path: Path) -> None:
    """Probes without a right or without a wrong completion count for one side, and not for the difference."""
    run = FakeRun(tmp_path / "run", probes=False)
    run.state("running")
    rng = np.random.default_rng(9)
    common: list[float] = []
    for step in range(1, 41):
        v: dict[str, float | None] = {"dlogp/right": 1.0 + rng.normal(0, 0.1), "dlogp/wrong": 0.5 + rng.normal(0, 0.1)}
        if step % 4 == 0:
            v["dlogp/right"] = None
        elif step % 4 == 1:
            v["dlogp/wrong"] = None
        else:
            common.append((v["dlogp/right"] or 0.0) - (v["dlogp/wrong"] or 0.0))
        run.journal.write(Metrics(t=run.t, step=step, v=v))
    scene = scene_of(run.layout.root, panel="signs")
    assert (signs.apart(scene).n, signs.apart(scene).mean) == (20, pytest.approx(np.mean(common)))
    assert "gain, the right ones by more." in text_of("signs", 0, scene, 118, 30)


def test_the_danger_of_displacement_is_named_where_it_is(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "run", probes=False)
    run.state("running")
    for step in range(1, 31):
        wobble = 0.001 * (step % 3)
        v = {"dlogp/right": -0.01 + wobble, "dlogp/wrong": -0.05 + wobble, "peaks/ratio": 0.02}
        run.journal.write(Metrics(t=run.t, step=step, v=v))
    scene = scene_of(run.layout.root, panel="signs")
    words = text_of("signs", 0, scene, 78, 30)
    assert (
        "Wrong answers fall and take right ones with them: lazy likelihood" in words
        and "2505.18830" in words
        and "peaks" in words
    )
    assert (
        "one side is not known" in signs.verdict(estimate(1.0), Estimate(NAN, NAN, 0, 0), Estimate(NAN, NAN, 0, 0))[0]
    )


def test_sparsity_keeps_its_caveat_and_its_ranks_on_the_smallest_screen(scene: Scene) -> None:
    stable = scene.value("update/stable_rank")
    assert stable is not None
    for width, height in SIZES:
        words = text_of("sparsity", 0, scene, width, height)
        assert "most of it is precision" in words and "trained in float32" in words
        assert f"rank 100 % of full beside stable rank {stable:.2f}" in words
        assert "most of it is precision" in text_of("sparsity", 1, scene, width, height)
        words = text_of("sparsity", 2, scene, width, height)
        assert f"stable rank {stable:.2f}" in words and "below 0.5 degrees, as published for RL" in words


def test_one_spike_of_a_gradient_does_not_say_which_side_pulls_harder(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "run", probes=False)
    run.state("running")
    for step, negative in enumerate((0.4, 0.5, 8.0, 0.4, 0.5), 1):
        told = {"gradient/positive": 1.0, "gradient/negative": negative, "gradient/cosine": 0.1 * step}
        run.journal.write(Metrics(t=run.t, step=step, v={"reward": 0.5}))
        run.journal.write(Probe(t=run.t, name="gradients", step=step, v=told))
    words = text_of("signs", 1, scene_of(run.layout.root), 118, 34).split("\n")[0]
    # The mean of the negative part is twice the positive one; the median ratio is a half.
    assert "positive pulls 2.0 times as hard  cosine +0.300, medians of the last 5" in words
