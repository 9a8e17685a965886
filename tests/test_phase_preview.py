"""What a switch would do, told from the run directory alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from rlpeaks_tui.run.entries import Branch
from rlpeaks_tui.run.entries import Phase as Entered
from rlpeaks_tui.run.journal import JournalWriter
from rlpeaks_tui.run.layout import Layout
from rlpeaks_tui.run.outcomes import recent_outcomes
from rlpeaks_tui.run.rollouts import Block, RolloutReader, RolloutWriter
from rlpeaks_tui.verbs.phase_preview import preview
from tests.run_fakes import BEGAN, new_run

PHASES = [
    {"name": "easy", "tasks": {"add": 1.0}, "steps": 5, "settings": {"temperature": 0.7, "beta": 0.1}},
    {
        "name": "hard",
        "tasks": {"add": 1.0, "times": 3.0},
        "settings": {"temperature": 1.2},
        "until": {"reward": {"at_least": 0.8, "for": 20}},
    },
    {"name": "new", "tasks": {"chat": 1.0}, "until": {"hand": True}},
    {"name": "end", "tasks": {"times": 1.0}},
]


def block(step: int, task: list[str], correct: list[float | None]) -> Block:
    """Two completions of each prompt."""
    n = len(task)
    return Block(
        step=step,
        phase="easy",
        prompts=[f"{step} {i}" for i in range(n // 2)],
        group=[i // 2 for i in range(n)],
        completions=["c"] * n,
        rewards={},
        reward=[0.0] * n,
        advantage=[0.0] * n,
        length=[1] * n,
        truncated=[False] * n,
        task=task,
        correct=correct,
    )


@pytest.fixture
def demo(tmp_path: Path) -> Layout:
    layout = new_run(tmp_path / "demo", config={"phases": PHASES}, phases=[p["name"] for p in PHASES])
    writer = RolloutWriter(layout.rollouts)
    writer.append(block(1, ["times"] * 4, [1.0, 0.0, None, 1.0]))
    for step in range(2, 6):
        writer.append(block(step, ["add", "add", "add", "add"], [1.0, 1.0, 0.0, 1.0]))
    return layout


def enter(layout: Layout, index: int) -> None:
    writer = JournalWriter(layout.journal, "trainer")
    writer.write(Entered(t=BEGAN, step=1, name=str(PHASES[index]["name"]), index=index, of=len(PHASES)))
    writer.close()


def test_the_newest_generations_of_a_task_are_found_however_old_they_are(demo: Layout) -> None:
    reader = RolloutReader(demo.rollouts)
    assert len(recent_outcomes(reader, "add").step) == 0
    reader.refresh()
    newest = recent_outcomes(reader, "add", generations=2)
    assert newest.step.tolist() == [5, 5, 5, 5, 4, 4, 4, 4]
    assert len(set(newest.prompt.tolist())) == 4
    assert newest.prompt.tolist() == newest.prompt[::2].repeat(2).tolist()
    assert newest.correct.tolist() == [1.0, 1.0, 0.0, 1.0] * 2
    assert recent_outcomes(reader, "times", generations=2).step.tolist() == [1] * 4
    assert len(recent_outcomes(reader, "chat").step) == 0


def test_what_the_run_has_left_does_not_count_for_a_preview(demo: Layout) -> None:
    enter(demo, 0)
    writer = JournalWriter(demo.journal, "trainer")
    writer.write(Entered(t=BEGAN + 4, step=4, name="hard", index=1, of=len(PHASES)))
    writer.write(Branch(t=BEGAN + 5, name="branch-2", parent="main", step=5, at=3, checkpoint="three"))
    writer.close()
    told = preview(demo.root, "next").facts
    assert (told["now"], told["tasks"]["add"]["rate"]["n"], told["tasks"]["add"]["rate"]["last"]) == ("easy", 8, 3)


def test_a_preview_says_the_mix_what_is_known_of_it_and_what_changes(demo: Layout) -> None:
    enter(demo, 0)
    told = preview(demo.root, "next")
    assert told.facts["phase"] == "hard" and told.facts["now"] == "easy"
    add, times = told.facts["tasks"]["add"], told.facts["tasks"]["times"]
    assert (add["share"], add["rate"]["rate"], add["rate"]["right"], add["rate"]["n"]) == (0.25, 0.75, 12, 16)
    assert (times["rate"]["rate"], times["rate"]["n"], times["rate"]["last"]) == (pytest.approx(2 / 3), 3, 1)
    expected = told.facts["expected"]
    assert expected["rate"] == pytest.approx(0.25 * 0.75 + 0.75 * 2 / 3)
    assert 0 <= expected["low"] < expected["rate"] < expected["high"] <= 1
    assert (told.facts["settings"], told.facts["settings_back"]) == ({"temperature": 1.2}, ["beta"])
    assert told.lines[0] == "phase 2 of 4: hard"
    assert "25% of prompts" in told.lines[1] and "16 completions of 8 prompts, steps 2 to 5" in told.lines[1]
    assert "step 1" in told.lines[2]
    assert told.lines[3:] == [
        f"expected pass rate: {expected['rate']:.3f} ({expected['low']:.3f} to {expected['high']:.3f})",
        "puts in force: temperature 1.2",
        "back to the run's own: beta",
        "ends: reward of at least 0.8 over 20 steps",
    ]
    assert msgspec.json.decode(msgspec.json.encode(told.facts)) == told.facts


def test_a_task_that_was_never_tried_leaves_the_expectation_open(demo: Layout) -> None:
    told = preview(demo.root, "new")
    assert told.facts["expected"] is None and told.facts["tasks"]["chat"] == {"share": 1.0, "rate": None}
    assert told.lines[1:3] == [
        "  chat  100% of prompts  pass rate not known: no completion of it is kept",
        "expected pass rate: not known, a task has no history in this run",
    ]
    assert told.lines[-1] == "ends: by hand only"


def test_where_the_run_is_decides_what_next_and_prev_are(demo: Layout) -> None:
    enter(demo, 1)
    assert [preview(demo.root, word).facts["phase"] for word in ("next", "prev", "auto", "end")] == [
        *("new", "easy", "hard", "end")
    ]
    assert preview(demo.root, "auto").lines[0] == "phase 2 of 4: hard, in force now"
    assert preview(demo.root, "end").lines[-1] == "ends: never, it is the last phase"
    enter(demo, 3)
    with pytest.raises(ValueError, match="'end' is the last phase"):
        preview(demo.root, "next")


@pytest.mark.parametrize(
    ("config", "phase", "says"),
    [
        ({"phases": PHASES}, "hrad", "no phase 'hrad'; there are: easy, hard, new, end"),
        ({"phases": PHASES}, "prev", "'easy' is the first phase"),
        ({"script": "train.py"}, "next", "no curriculum"),
        ({"phases": [{"name": 3}]}, "next", "cannot read the phases"),
    ],
)
def test_what_cannot_be_previewed_is_said(tmp_path: Path, config: dict[str, Any], phase: str, says: str) -> None:
    layout = new_run(tmp_path / "demo", config=config)
    with pytest.raises(ValueError, match=says):
        preview(layout.root, phase)
