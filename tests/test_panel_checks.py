"""The checks one by one: all of them, as the rules say, with the value at which they fire, and their own remedy."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from rlpeaks_tui.cockpit import acts
from rlpeaks_tui.cockpit.cells import Ink
from rlpeaks_tui.cockpit.panels import BY_ID
from rlpeaks_tui.cockpit.panels.checks import history, in_order
from rlpeaks_tui.cockpit.scene import Scene, View
from rlpeaks_tui.run.columns import Series
from rlpeaks_tui.run.entries import Metrics
from rlpeaks_tui.stats.health import RULES, evaluate
from tests.cockpit_fakes import FakeRun, scene_of
from tests.cockpit_pilot import app_of, opened, until_seen

SIZES = [(78, 18), (118, 34), (198, 54)]


def sick_run(root: Path) -> FakeRun:
    """A run in which most groups teach nothing and completions are cut off, which has fired before."""
    run = FakeRun(root, max_steps=100, probes=False)
    run.state("running")
    run.checkpoint("auto-0")
    run.alert("truncation", "Completions are cut off")
    rows = []
    for step in range(1, 81):
        run.step = step
        v = {"reward": 0.5, "frac_reward_zero_std": 0.7, "completions/clipped_ratio": 0.07, "entropy": 0.5}
        rows.append(Metrics(t=run.t, step=step, v=v, why={"kl": "beta is 0"}))
    run.journal.write(*rows)
    for run.step, on in ((40, False), (60, True)):
        run.alert("truncation", "Completions are cut off", on)
    run.step = 80
    run.beat()
    return run


@pytest.fixture(scope="module")
def sick(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return scene_of(sick_run(tmp_path_factory.mktemp("runs") / "quickstart").layout.root, panel="checks")


def text_of(scene: Scene, width: int, height: int, **view: int | str) -> str:
    shown = replace(scene, view=replace(scene.view, **view))  # type: ignore[arg-type]
    return "\n".join(BY_ID["checks"].stories[0].draw(shown, width, height).rows())


def test_every_rule_is_there_once_as_the_definition_judges_it(sick: Scene) -> None:
    expected = {found.rule.id: found for found in evaluate(sick.snapshot.columns, sick.step, dtype="float32")}
    assert {one.rule.id: one for one in sick.health.judged} == expected
    assert len(sick.health.judged) == len(RULES)
    states = [one.state for one in in_order(sick)]
    assert states == sorted(states, key=["firing", "unknown", "ok", "n/a"].index)
    assert {"firing", "unknown", "ok", "n/a"} == set(states)
    firing = states.count("firing")
    words = text_of(sick, 118, 60)
    assert f"{firing} checks fire  {states.count('unknown')} unknown, {states.count('ok')} ok" in words


def test_the_picked_check_gives_evidence_history_remedy_and_threshold_on_every_size(sick: Scene) -> None:
    at = [one.rule.id for one in in_order(sick)].index("truncation")
    for width, height in SIZES:
        words = text_of(sick, width, height, scroll=at)
        assert re.search(r"▸! firing +Completions are cut off +since \d", words)
        assert "7.0% of completions reach the limit on length, more than 5%" in words
        assert "told 2 times: 0 to 40, 60 to now" in words and "history   holds since step" in words
        assert "2510.13786" in words and "fires at 0.05" in words
    unknown = next(i for i, one in enumerate(in_order(sick)) if one.state == "unknown")
    words = text_of(sick, 118, 34, scroll=unknown)
    assert f"? unknown  {in_order(sick)[unknown].rule.title}" in words and "if it fired" in words


def test_checks_that_fire_stand_in_the_order_of_the_verdict(sick: Scene) -> None:
    told = [finding.rule for finding in sick.health.findings]
    assert [one.rule.id for one in in_order(sick)][: len(told)] == told
    # The verdict begins with what is grave, and then with what began first, whatever the order of the rules.
    turned = replace(sick, health=replace(sick.health, findings=sick.health.findings[::-1]))
    assert [one.rule.id for one in in_order(turned)][: len(told)] == told[::-1]


def test_a_check_in_order_does_not_say_that_it_fires(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "quickstart", max_steps=200, probes=False)
    run.state("running")
    v = {"reward": 0.5, "kl/base_k1": 0.0144}
    run.journal.write(*(Metrics(t=run.t, step=step, v=v) for step in range(1, 101)))
    run.step = 100
    run.beat()
    scene = scene_of(run.layout.root, panel="checks")
    at = [one.rule.id for one in in_order(scene)].index("left-start")
    words = text_of(scene, 118, 54, scroll=at)
    assert re.search(r"• ok +The policy has left its start without gain +KL k1 0.0144 nats/token, fi", words)
    assert "evidence  KL k1 0.0144 nats/token, fires above 1 unless reward exceeds" in words


def test_the_number_at_the_limit_is_that_of_the_curve_and_not_the_last_value(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "quickstart", max_steps=200, probes=False)
    run.state("running")
    shares = [0.7] * 99 + [0.0]
    run.journal.write(
        *(Metrics(t=run.t, step=i, v={"reward": 0.5, "frac_reward_zero_std": x}) for i, x in enumerate(shares, 1))
    )
    run.step = 100
    run.beat()
    scene = scene_of(run.layout.root, panel="checks")
    at = [one.rule.id for one in in_order(scene)].index("zero-variance")
    words = text_of(scene, 118, 34, scroll=at)
    ends = [float(label) for label in re.findall(r"[⠀-⣿] (0\.\d+) *$", words, re.MULTILINE)]
    assert "fires 0.50" in words and len(ends) == 1 and 0.4 < ends[0] < 0.7


def test_the_number_at_a_curve_has_room_where_there_is_no_limit(sick: Scene) -> None:
    at = [one.rule.id for one in in_order(sick)].index("reward-zero")
    assert re.search(r"[⠀-⣿] 0\.500 *$", text_of(sick, 118, 34, scroll=at), re.MULTILINE)


def test_a_filter_keeps_states_and_words(sick: Scene) -> None:
    assert "Entropy explodes" not in text_of(sick, 118, 34, filter="^firing")
    assert "n/a" not in text_of(sick, 118, 34, filter="!^n/a").split("\n", 1)[1]
    assert "no check matches" in text_of(sick, 118, 34, filter="gibberish")


def test_a_check_that_never_fired_says_so(sick: Scene) -> None:
    assert history(sick, "entropy-collapse") == "the run has not told it"
    then = replace(sick, view=View(cursor=50))
    assert history(then, "truncation") == "told once: 0 to 40"


LINES = {
    "truncation": ("completions/clipped_ratio", 1),
    "rare-success": ("groups/rare_success", 1),
    "skipped-work": ("texts/skipped", 1),
    "sampler-mismatch": ("sampling/sampling_logp_difference/mean", 1),
    "sampler-weights": ("sampling/ess", -1),
    "confidence-collapse": ("calibration/confidence_std", -1),
    "zero-variance": ("frac_reward_zero_std", 1),
}


@pytest.mark.parametrize("rule", LINES)
def test_a_rule_fires_on_one_side_of_its_line_and_not_on_the_other(rule: str) -> None:
    name, side = LINES[rule]
    steps = np.arange(1, 101)

    def said(value: float) -> tuple[str, float | None]:
        columns = {name: Series(steps, np.full(100, value)), "reward": Series(steps, np.full(100, 0.5))}
        found = next(one for one in evaluate(columns, 100) if one.rule.id == rule)
        return found.state, found.line

    _, line = said(0.1)
    assert line is not None
    assert said(line * (1 + 0.01 * side)) == ("firing", line)
    assert said(line * (1 - 0.01 * side)) == ("ok", line)


def test_lines_that_follow_the_run_are_relative_to_its_start() -> None:
    steps = np.arange(1, 101)
    columns = {"entropy": Series(steps, np.full(100, 0.4)), "reward": Series(steps, np.full(100, 0.5))}
    found = {one.rule.id: one.line for one in evaluate(columns, 100)}
    assert found["entropy-collapse"] == pytest.approx(0.08) and found["entropy-explosion"] == pytest.approx(0.8)
    assert found["kl-leash"] is None


def test_a_limit_that_moves_is_drawn_as_it_was(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "quickstart", max_steps=200, probes=False)
    run.state("running")
    norm = np.repeat([1.0, 4.0], 100)
    norm[50] = 12.0  # so that the limit of now is not far away from everything that was seen
    run.journal.write(
        *(Metrics(t=run.t, step=i + 1, v={"grad_norm": float(norm[i]), "reward": 0.5}) for i in range(200))
    )
    run.step = 200
    run.beat()
    width, height = 118, 34

    def heights(step: int) -> dict[int, int]:
        """Of the limit: the row by column, down from the top."""
        scene = scene_of(run.layout.root, View(cursor=step), panel="checks")
        at = [one.rule.id for one in in_order(scene)].index("gradient")
        shown = replace(scene, view=replace(scene.view, scroll=at))
        cells = BY_ID["checks"].stories[0].draw(shown, width, height)
        words = "\n".join(cells.rows())
        limit = {100: "5", 200: "20"}[step]
        assert f"its limit moves with the run, at this step {limit}" in words and f"fires {limit}" in words
        drawn = (cells.inks == Ink.WARN) & (cells.chars >= 0x2800) & (cells.chars < 0x2900)
        return {x: int(np.flatnonzero(drawn[:, x])[0]) for x in np.flatnonzero(drawn.any(axis=0)).tolist()}

    then, now = heights(100), heights(200)
    assert max(then) < max(now) - 20, "at an earlier step it ends there"
    assert len(set(then.values())) == 1
    columns = sorted(now)
    assert now[columns[0]] > now[columns[-1]] + 2, "it has risen with the gradient"
    assert min(columns) > 8, "there is none during the warm-up"


def test_a_check_shows_the_metric_that_it_judges_at_the_step_shown(tmp_path: Path) -> None:
    """A sampled estimate that begins late is not what was judged before it began."""
    run = FakeRun(tmp_path / "quickstart", max_steps=200, probes=False)
    run.state("running")
    late = [{"kl": 0.01, "reward": 0.5} | ({"kl/base_k3": 0.4} if step > 150 else {}) for step in range(1, 201)]
    run.journal.write(*(Metrics(t=run.t, step=step, v=v) for step, v in enumerate(late, 1)))
    run.step = 200
    run.beat()

    def curve(step: int) -> str:
        scene = scene_of(run.layout.root, View(cursor=step), panel="checks")
        at = [one.rule.id for one in in_order(scene)].index("kl-blow-up")
        return text_of(scene, 118, 34, scroll=at)

    assert "KL in the loss, nats/token; its limit moves with the run, at this step 0.0500" in curve(120)
    assert "KL to base, k3, nats/token; thin" in curve(200), "of which there are too few yet for a limit"


async def test_the_key_to_act_opens_the_remedy_of_the_picked_check(tmp_path: Path) -> None:
    run = sick_run(tmp_path / "quickstart")
    order = [one.rule.id for one in in_order(scene_of(run.layout.root, panel="checks"))]
    async with opened(run.layout.root, (120, 40)) as pilot:
        app = app_of(pilot)
        await pilot.press("x")
        await until_seen(pilot, r"checks fire")
        assert order[:2] == ["truncation", "zero-variance"]
        assert acts.advice(app).split(" ")[0] in ("rollback", "reset")
        await pilot.press("down")
        await until_seen(pilot, r"▸! firing +Many groups teach nothing")
        assert acts.advice(app) == "phase next"
        await pilot.press("a")
        await until_seen(pilot, r"(?i)curriculum")
        await pilot.press("escape", "down")
        await until_seen(pilot, r"▸[?•]")
        await pilot.press("a")
        await until_seen(pilot, "the picked check advises no command")
