"""A run that went back: nothing of a branch that was left is shown as the present, and the screen follows."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from rlpeaks_tui.cockpit import questions
from rlpeaks_tui.cockpit.form import Choice
from rlpeaks_tui.cockpit.generations import Generations
from rlpeaks_tui.cockpit.panels import (
    calibration,
    choice,
    earned,
    forking,
    probes,
    prompt_study,
    traces,
    update_geometry,
)
from rlpeaks_tui.cockpit.reader import Reader, Reading, Wanted
from rlpeaks_tui.cockpit.scene import View
from rlpeaks_tui.run import present
from rlpeaks_tui.run.entries import Probe
from rlpeaks_tui.run.follow import Follower
from rlpeaks_tui.run.rollouts import Block, Rollouts
from tests.cockpit_fakes import FakeRun, scene_of, steered_run
from tests.cockpit_pilot import app_of, opened, screen, until, until_seen


def read(reader: Reader, step: int | None, panel: str) -> Reading:
    reading = reader.read(Wanted(step, panel))
    while reading.loading:
        reading = reader.read(Wanted(step, panel))
    return reading


class Spoken(FakeRun):
    """Every step has a generation in which all eight completions are `word`, right where that is "new"."""

    def go(self, to: int, word: str) -> None:
        while self.step < to:
            self.step += 1
            right = [float(word == "new")] * 8
            self.rollouts.append(
                Block(
                    step=self.step,
                    phase="",
                    prompts=[f"p{self.step}"],
                    group=[0] * 8,
                    completions=[word] * 8,
                    reward=right,
                    rewards={},
                    advantage=[0.0] * 8,
                    length=[3] * 8,
                    truncated=[False] * 8,
                    correct=right,
                    task=["two operands"] * 8,
                )
            )
            self.journal.write(self._metrics())


def kinds(reading: Reading) -> dict[int, str]:
    assert isinstance(reading.study, prompt_study.Asked)
    return {group.step: group.kind for group in reading.study.groups}


def test_generations_of_a_branch_that_was_left_are_not_the_present(tmp_path: Path) -> None:
    run = Spoken(tmp_path / "run")
    run.state("running")
    run.go(10, "old")
    run.checkpoint("ten")
    run.go(30, "old")
    reader = Reader(Follower(run.layout.root), lambda reading: None)
    assert max(kinds(read(reader, 25, "prompts"))) == 25
    run.roll_back(10, "ten")
    reading = read(reader, 25, "prompts")
    assert max(kinds(reading)) == 10 and reading.rollouts is not None and reading.rollouts.step == 10
    run.go(20, "new")
    reading = read(reader, 25, "prompts")
    assert reading.rollouts is not None and reading.rollouts.step == 20
    run.go(28, "new")
    reading = read(reader, 25, "prompts")
    assert reading.rollouts is not None and set(reading.rollouts.completions) == {"new"}
    found = kinds(reading)
    assert {step: kind for step, kind in found.items() if step > 10} == dict.fromkeys(
        (step for step in found if step > 10), "all right"
    )


def test_generations_that_were_left_are_not_counted(tmp_path: Path) -> None:
    run = Spoken(tmp_path / "run")
    run.go(10, "old")
    run.checkpoint("ten")
    run.go(30, "old")

    def generated(step: int | None = None) -> list[int]:
        found = scene_of(run.layout.root, View(cursor=step), panel="reward").study
        assert isinstance(found, earned.Earned) and set(found.generated[1].tolist()) == {8}
        return found.generated[0].tolist()

    assert generated() == list(range(1, 31)) and generated(7) == list(range(1, 8))
    run.roll_back(10, "ten")
    assert generated() == list(range(1, 11))
    run.go(12, "new")
    assert generated() == list(range(1, 13))
    # A process that was started again repeats steps without a word.
    run.step = 11
    run.go(14, "new")
    assert generated() == list(range(1, 15))


async def test_the_list_of_completions_says_which_lie_on_a_branch_that_was_left(tmp_path: Path) -> None:
    run = Spoken(tmp_path / "run")
    run.state("running")
    run.go(1, "old")
    run.checkpoint("one")
    run.go(2, "old")
    run.roll_back(1, "one")
    run.go(2, "new")
    async with opened(run.layout.root, (120, 40)) as pilot:
        await pilot.press("7", "z")
        await until_seen(pilot, "24 found in 3 generations")
        rows = [
            line for line in screen(app_of(pilot)).split("\n") if re.search(r"^ *▸? *\d.* (old|new)$", line.rstrip())
        ]
        listed = [(int(line.replace("▸", " ").split()[0]), "(left branch) " in line, line.split()[-1]) for line in rows]
        assert set(listed) >= {(2, False, "new"), (2, True, "old")} and (1, True, "old") not in listed
        assert {text for step, left, text in listed if left} == {"old"}


def test_what_a_phase_would_earn_is_told_from_the_present_branch(tmp_path: Path) -> None:
    run = Spoken(tmp_path / "run")
    run.go(10, "old")
    run.checkpoint("ten")
    run.go(30, "new")
    reader = Reader(Follower(run.layout.root), lambda reading: None)

    def rate() -> float:
        reading = reader.read(Wanted(rates=True))
        while reading.loading:
            reading = reader.read(Wanted(rates=True))
        assert reading.rates is not None
        return reading.rates["two operands"].rate

    assert rate() == 1.0
    run.roll_back(10, "ten")
    assert rate() == 0.0


def test_of_generations_only_those_of_the_last_walk_are_kept(tmp_path: Path) -> None:
    run = Spoken(tmp_path / "run")
    run.go(20, "old")
    follower = Follower(run.layout.root)
    while follower.poll() or follower.more:
        pass
    seen: list[int] = []

    def made(rollouts: Rollouts) -> int:
        seen.append(rollouts.step)
        return rollouts.step

    walks, snapshot = Generations(made), follower.snapshot()
    for step in (20, 5, 5, 20):
        assert list(walks.newest_first(follower, snapshot, step)) == list(range(step, 0, -1))
    assert len(seen) == 20 + 15


def _diagram(run: FakeRun, source: str) -> Probe:
    arrays = {"edges": [0, 0.5, 1], "count": [5, 5], "confidence": [0.2, 0.8], "accuracy": [0.1, 0.9]}
    v = {"calibration/ece": 0.1}
    return Probe(t=run.t, name="calibration", step=run.step, v=v, arrays=arrays, facts={"calibration/source": source})


def _evaluated(run: FakeRun, rate: float) -> Probe:
    return Probe(
        t=run.t, name="eval", step=run.step, v={"eval/pass@1": rate}, facts={"samples": 8}, arrays={"rate": [rate] * 4}
    )


@pytest.fixture
def left(tmp_path: Path) -> FakeRun:
    """Measured at step 100, and on the branch that was left at 125; not yet on the present one, at 130."""
    run = FakeRun(tmp_path / "run")
    run.state("running")
    run.settings(**{"probes.budget": 0.05})
    run.advance(100)
    run.journal.write(_diagram(run, "trunk"), _evaluated(run, 0.5))
    run.checkpoint("hundred")
    run.advance(25)
    run.journal.write(_diagram(run, "left"), _evaluated(run, 1.0))
    run.settings(**{"probes.budget": 0.2})
    run.advance(10)
    run.roll_back(100, "hundred")
    run.probes = False
    run.advance(30)
    return run


def test_what_was_measured_on_a_branch_that_was_left_is_not_shown(left: FakeRun) -> None:
    scene = scene_of(left.layout.root, panel="reward")
    assert scene.reliability is not None and (scene.reliability.step, scene.reliability.source) == (100, "trunk")
    for draw in (calibration.overview, calibration.enlarged):
        assert "left" not in "\n".join(draw(scene, 100, 30).rows())
    assert scene.layers is not None and scene.layers.step == 100
    assert isinstance(scene.study, earned.Earned) and scene.study.passes is not None
    assert (scene.study.passes.step, scene.study.passes.policy.mean[0]) == (100, 0.5)
    assert probes.allowed(scene) == 0.05


def test_a_step_that_is_probed_again_has_the_layers_of_the_present(left: FakeRun) -> None:
    follower = Follower(left.layout.root)
    reader = Reader(follower, lambda reading: None)
    assert present.layer_steps(read(reader, None, "").snapshot, 10**6).tolist() == [25, 50, 75, 100]
    left.roll_back(100, "hundred")
    left.probes = True
    left.advance(60)
    reading = read(reader, 130, "sparsity")
    assert present.layer_steps(reading.snapshot, 10**6).tolist() == [25, 50, 75, 100, 125, 150]
    assert reading.layers is not None and reading.layers.step == 125
    assert isinstance(reading.study, tuple) and [each.step for each in reading.study] == [25, 50, 75, 100, 125]


def test_a_file_of_layers_that_another_branch_has_written_over_is_not_shown(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "run")
    run.advance(100)
    run.checkpoint("hundred")
    run.advance(50)
    run.checkpoint("further")
    run.advance(5)
    run.roll_back(100, "hundred")
    run.advance(30)
    run.roll_back(150, "further")
    run.advance(10)
    scene = scene_of(run.layout.root)
    assert scene.layers is not None and scene.layers.step == 150
    assert present.layer_steps(scene.snapshot, 149).tolist() == [25, 50, 75, 100]


async def test_a_held_view_steps_back_from_what_it_shows_and_a_cursor_does_not_stay_ahead(tmp_path: Path) -> None:
    run = steered_run(tmp_path / "quickstart", steps=100)
    async with opened(run.layout.root, size=(120, 40)) as pilot:
        app = app_of(pilot)
        app.hold()
        run.advance(100)
        await until(pilot, lambda: app.snapshot is not None and app.snapshot.step == 200, "read")
        assert app.step == 100
        app.go_to(app.step - 1)
        assert app.view.cursor == 99
        app.go_to(150)
        assert app.view.cursor is None and app.step == 100
        app.snap_to_live()
        app.go_to(150)
        assert app.view.cursor == 150
        run.checkpoint("auto")
        run.roll_back(50, "auto")
        run.advance(2)
        await until(pilot, lambda: app.view.cursor is None, "back at the newest step")
        await until(pilot, lambda: "the run went back" in screen(app), "said")
        assert app.step == 52


def test_a_trend_of_entropy_begins_at_the_last_change(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "run")
    run.advance(100)
    run.command("a", "set", "learning_rate=1e-4", learning_rate=1e-4)
    run.advance(20)
    trend = choice.slope_of(scene_of(run.layout.root), "entropy")
    assert (trend.first, trend.rows) == (101, 20)
    trend = choice.slope_of(scene_of(run.layout.root, View(cursor=90)), "entropy")
    assert (trend.first, trend.rows) == (41, 50)


def test_the_clock_alone_makes_no_study_anew(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "run")
    for _ in range(3):
        run.advance(10)
    follower = Follower(run.layout.root)
    while follower.poll() or follower.more:
        pass
    study, recent = forking.study(), traces.Recent()
    first = study(follower, follower.snapshot(), 30)
    sample = recent(follower, follower.snapshot(), 30)
    assert study(follower, follower.snapshot(), 30) is first and recent(follower, follower.snapshot(), 30) is sample
    assert np.array_equal(present.generations(follower.snapshot(), 30)[1], [10, 20, 30])


def test_the_newest_record_of_a_probe_is_shown_where_it_led_to_the_step_shown(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "run", probes=False)
    run.advance(10)
    run.journal.write(Probe(t=run.t, step=10, name="rank", v={}, facts={"layers.0.weight": "rank 2"}))
    run.advance(10)
    run.checkpoint("early")
    run.advance(20)
    run.journal.write(Probe(t=run.t, step=40, name="rank", v={}, facts={"layers.0.weight": "rank 4"}))
    run.journal.write(Probe(t=run.t, step=40, name="kl", v={}, n=8))
    run.advance(10)

    def offered() -> dict[str, str]:
        field = questions.probe(scene_of(run.layout.root).snapshot, None).fields[0]
        assert isinstance(field, Choice)
        return {option.value: option.note for option in field.options}

    assert update_geometry.of_matrices(scene_of(run.layout.root)) == [("layers.0.weight", "rank 4")]
    assert update_geometry.of_matrices(scene_of(run.layout.root, View(cursor=39))) == [("layers.0.weight", "rank 2")]
    assert update_geometry.of_matrices(scene_of(run.layout.root, View(cursor=9))) == []
    assert offered() == {"rank": "last at step 40", "kl": "last at step 40"}
    run.roll_back(20, "early")
    run.advance(40)
    scene = scene_of(run.layout.root)
    assert update_geometry.of_matrices(scene) == [("layers.0.weight", "rank 2")], "the other belongs to what was left"
    assert scene.probe("kl") is None
    assert offered() == {"rank": "last at step 10", "kl": "not since the run went back"}
