"""Branches of a run against a run that is replayed row by row: what leads to the present, and what was left."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpeaks_tui.cockpit.axes import linear
from rlpeaks_tui.cockpit.cells import BLANK, Ink
from rlpeaks_tui.cockpit.chart import Behind, Chart, Line, Mark, draw
from rlpeaks_tui.cockpit.panels import BY_ID, timeline
from rlpeaks_tui.cockpit.panels.parts import axis_over
from rlpeaks_tui.cockpit.raster import Frame, Raster
from rlpeaks_tui.run.branches import nodes_of, on_the_way, split
from rlpeaks_tui.run.entries import Branch, Checkpoint, Probe
from tests.cockpit_fakes import FakeRun, scene_of
from tests.run_fakes import Call


class Model:
    """A run that logs every step, goes to checkpoints of any of its branches, and remembers its history."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.branches: list[Branch] = []
        self.checkpoints: list[Checkpoint] = []
        self.name, self.step, self.t = "main", 0, 0.0
        self.history: list[int] = []
        """Rows that led here."""
        self.saved: list[list[int]] = []
        self.save()

    def train(self, steps: int) -> None:
        for _ in range(steps):
            self.step += 1
            self.history.append(len(self.steps))
            self.steps.append(self.step)

    def save(self) -> None:
        self.t += 1
        self.checkpoints.append(Checkpoint(t=self.t, step=self.step, name=f"c{len(self.saved)}"))
        self.saved.append(list(self.history))

    def go(self, which: int) -> None:
        saved = self.checkpoints[which % len(self.saved)]
        if saved.step == self.step:
            return
        self.t += 1
        name = f"branch-{len(self.branches) + 2}"
        entry = Branch(t=self.t, name=name, parent=self.name, step=self.step, at=saved.step, checkpoint=saved.name)
        self.branches.append(entry)
        self.name, self.step = name, saved.step
        self.history = list(self.saved[which % len(self.saved)])

    def do(self, what: str, number: int) -> None:
        {"train": self.train, "save": lambda _: self.save(), "go": self.go}[what](number)


@given(st.lists(st.tuples(st.sampled_from(["train", "save", "go"]), st.integers(0, 9)), min_size=1, max_size=24))
def test_the_present_is_what_the_run_went_through(done: list[tuple[str, int]]) -> None:
    model = Model()
    for what, number in done:
        model.do(what, number)
        if what == "go":
            # A step on each branch, so that none is without rows that would tell it from the next.
            model.train(1)
    present, left = split(np.array(model.steps, np.int64), nodes_of(model.branches, model.checkpoints))
    assert present.tolist() == model.history
    assert all((np.diff(np.array(model.steps)[branch.rows]) > 0).all() for branch in left)
    if len(model.branches) < 5:
        seen = set(present.tolist()).union(*(branch.rows.tolist() for branch in left))
        assert seen == set(range(len(model.steps)))


@given(
    st.lists(st.tuples(st.sampled_from(["train", "save", "go"]), st.integers(0, 9)), min_size=1, max_size=24),
    st.data(),
)
def test_where_the_journal_tells_the_first_row_of_each_branch_rare_rows_are_known_too(
    done: list[tuple[str, int]], data: st.DataObject
) -> None:
    model = Model()
    began = []
    for what, number in done:
        branches = len(model.branches)
        model.do(what, number)
        began += [len(model.steps)] * (len(model.branches) - branches)
    kept = [i for i in range(len(model.steps)) if data.draw(st.booleans())]
    steps = np.array([model.steps[i] for i in kept], np.int64)
    rows = [int(np.searchsorted(kept, first)) if kept else 0 for first in began]
    present, _ = split(steps, nodes_of(model.branches, model.checkpoints), rows)
    assert [kept[row] for row in present.tolist()] == [row for row in model.history if row in kept]


def test_an_evaluation_soon_after_going_back_is_of_the_present_branch(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "run", probes=False)
    run.state("running")
    run.advance(60)
    run.journal.write(Probe(t=run.t, name="eval", step=60, v={"eval/pass@1": 0.25}))
    run.checkpoint("c60")
    run.advance(40)
    run.roll_back(60, "c60")
    run.advance(20)
    run.journal.write(Probe(t=run.t, name="eval", step=80, v={"eval/pass@1": 0.75, "eval/new": 1.0}))
    run.advance(30)
    scene = scene_of(run.layout.root)
    assert scene.series("eval/pass@1").steps.tolist() == [60, 80] and not scene.behind("eval/pass@1")
    assert scene.series("eval/new").steps.tolist() == [80] and not scene.behind("eval/new")
    assert [part.name for part in scene.behind("reward")] == ["main"]


def test_a_metric_of_every_25th_step_is_split_at_the_same_places() -> None:
    saved = [Checkpoint(t=0.6, step=60, name="main-60"), Checkpoint(t=1.6, step=60, name="b1-60")]
    branches = [
        Branch(t=1.0, name="b1", parent="main", step=110, at=60, checkpoint="main-60"),
        Branch(t=2.0, name="b2", parent="b1", step=130, at=60, checkpoint="b1-60"),
    ]
    steps = np.array([25, 50, 75, 100, 75, 100, 125, 75])
    present, left = split(steps, nodes_of(branches, saved))
    assert present.tolist() == [0, 1, 7]
    assert [(part.name, part.rows[part.start :].tolist()) for part in left] == [
        ("main", [1, 2, 3]),
        ("b1", [1, 4, 5, 6]),
    ]
    beyond = np.array([25, 50, 150])
    present, left = split(beyond, nodes_of(branches[:1], saved))
    assert present.tolist() == [0, 1, 2] and not left


def test_steps_that_fall_without_a_word_are_a_branch_too() -> None:
    present, left = split(np.array([1, 2, 3, 2, 3, 4]), nodes_of([], []))
    assert present.tolist() == [0, 3, 4, 5]
    assert [part.rows[part.start :].tolist() for part in left] == [[0, 1, 2]]


def test_commands_of_a_branch_that_was_left_are_told_from_the_others() -> None:
    nodes = nodes_of([Branch(t=100.0, name="b", parent="main", step=60, at=30, checkpoint="c")], [])
    assert on_the_way(nodes, 20.0, 20) and not on_the_way(nodes, 50.0, 50) and on_the_way(nodes, 120.0, 50)


@pytest.mark.parametrize("ascii_only", [False, True])
def test_a_branch_that_was_left_is_dashed_quiet_and_behind(ascii_only: bool) -> None:
    steps = np.arange(101)
    behind = Behind(steps[50:], np.full(51, 0.9), "main")
    line = Line(steps, np.full(101, 0.1), Ink.REWARD, "reward", behind=(behind,))
    axis = linear(0.0, 1.0, 3, 0.0, 1.0)
    cells = draw(Chart((0, 100), axis, [line], labels=8, ascii_only=ascii_only), 70, 12)
    upper, lower = cells.chars[1, 6:62] != BLANK, cells.inks[9:11, 6:62]
    assert set(cells.inks[1, 6:62][upper].tolist()) <= {Ink.FAINT, Ink.DIM}
    lit = np.flatnonzero(upper)
    assert lit.min() >= 27 and (np.diff(lit) == 2).all()
    assert (lower == Ink.REWARD).sum() >= 56
    assert "\n".join(cells.rows()).count("left branch: main") == 1


@pytest.mark.parametrize("ascii_only", [False, True])
def test_a_branch_that_was_left_for_its_heights_leaves_the_present_its_scale(ascii_only: bool) -> None:
    steps = np.arange(101)
    behind = Behind(steps[50:], np.linspace(0.1, 5.0, 51), "main")
    lines = [Line(steps, 0.1 - steps / 1000, Ink.KL, label, behind=(behind,)) for label in ("k3", "k1")]
    axis = axis_over(lines, 3, 0.0)
    assert axis.high == 0.1
    marks = [Mark(number, step) for number, step in enumerate(range(2, 99, 3), 1)]
    cells = draw(Chart((0, 100), axis, lines, marks=marks, labels=8, ascii_only=ascii_only), 70, 12)
    arrows = np.flatnonzero(cells.chars[0, 6:62] == ord("^" if ascii_only else "▲"))
    assert arrows.tolist() == list(range(28, 56, 2))
    assert set(cells.inks[0, 6 + arrows].tolist()) == {Ink.FAINT}
    assert "\n".join(cells.rows()).count("left branch: main") == 1


def test_a_dashed_line_lights_every_other_cell_of_the_whole_one() -> None:
    steps, values = np.arange(40), np.linspace(0, 1, 40)
    whole, dashed = (Raster(20, 8, Frame(0, 39, 0, 1)) for _ in range(2))
    whole.line(steps, values, Ink.REWARD)
    dashed.line(steps, values, Ink.REWARD, dashed=True)
    assert (dashed.cells.chars[:, 0::2] == whole.cells.chars[:, 0::2]).all()
    assert (dashed.cells.chars[:, 1::2] == BLANK).all()


@pytest.fixture
def branched(tmp_path: Path) -> FakeRun:
    run = FakeRun(tmp_path / "run", max_steps=400)
    run.state("running")
    run.phase("easy", 0)
    run.advance(100)
    run.checkpoint("auto-100")
    run.note("looks narrow")
    run.advance(50)
    run.command("a", "set", "learning_rate=1e-4", learning_rate=1e-4)
    run.phase("hard", 1)
    run.advance(130)
    run.roll_back(100, "auto-100")
    run.command("b", "rollback", "auto-100")
    run.advance(60)
    return run


def test_status_names_the_phase_that_the_present_branch_is_in(branched: FakeRun, call: Call) -> None:
    _, out, _ = call("status", str(branched.layout.root), "--json")
    assert json.loads(out)["phase"] == "easy"
    assert "phase easy" in call("status", str(branched.layout.root))[1]


def test_every_curve_goes_on_from_the_checkpoint(branched: FakeRun) -> None:
    scene = scene_of(branched.layout.root)
    series = scene.series("reward")
    assert series.steps.tolist() == list(range(1, 161))
    assert scene.phases[-1].name == "easy"
    assert [mark.number for mark in scene.marks] == [2]
    behind = scene.behind("reward")
    assert [(part.name, part.steps[0], part.steps[-1]) for part in behind] == [("main", 100, 280)]
    for panel in ("reward", "entropy", "kl"):
        cells = BY_ID[panel].story(scene.view).draw(scene, 118, 34)
        assert "main" in "\n".join(cells.rows()) and "dashed" in "\n".join(cells.rows())
        assert Ink.FAINT in cells.inks[1:20, 6:90]


def test_only_what_took_effect_on_the_present_way_has_a_number_on_an_axis(branched: FakeRun) -> None:
    branched.command("c", "set", "learning_rate=5", status="refused", why="too large")
    branched.command("d", "set", "beta=0.1", beta=0.1)
    branched.command("e", "note", "better now")
    branched.note("better now")
    branched.command("f", "set", "beta=0.2", beta=0.2)
    branched.advance(10)
    scene = scene_of(branched.layout.root)
    assert [mark.number for mark in scene.marks] == [2, 4, 6]
    for panel, size in (("kl", (57, 10)), ("reward", (57, 10)), ("timeline", (118, 4))):
        words = "\n".join(BY_ID[panel].draw(scene, *size).rows())
        assert "#2" in words and "#4 #6" in words and "-" not in "".join(re.findall(r"#[\d-]+", words))
    listed = timeline.enlarged(scene, 118, 30).rows()[: -timeline.WHOLE]
    assert sum("better now" in row for row in listed) == 1
    assert next(row for row in listed if "better now" in row).lstrip("▸ ").startswith("◇")


def test_the_timeline_shows_the_tree_notes_and_checkpoints(branched: FakeRun) -> None:
    branched.roll_back(100, "auto-100")
    branched.advance(10)
    scene = scene_of(branched.layout.root)
    words = "\n".join(timeline.enlarged(scene, 118, 30).rows())
    for part in (
        "main  left at 280",
        "branch-2  from step 100 of main  left at 160",
        "branch-3  from step 100 of main",
        "◇",
        "looks narrow",
        "checkpoint auto-100",
        "branch-3 begins at step 100 of main, checkpoint auto-100; branch-2 is left",
        "learning_rate 5.0e-05 → 1.0e-04",
    ):
        assert part in words, part
    assert "branch-3, from step 100 of main" in "\n".join(timeline.overview(scene, 118, 6).rows())
    for size in ((1, 1), (20, 5), (78, 18), (198, 55)):
        assert timeline.enlarged(scene, *size).chars.shape == size[::-1]
