"""Commands on two processes: applied by both at the same step, or by neither."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from pathlib import Path

import pytest

from rlpeaks_tui.run import pace
from rlpeaks_tui.run.follow import Snapshot
from rlpeaks_tui.run.mailbox import send
from rlpeaks_tui.run.marks import CommandMark
from rlpeaks_tui.run.stacks import ask
from tests.small_trainings import read
from tests.training_runs import wait
from tests.two_ranks import finish, start

Digests = list[tuple[str, int, float]]


def steered(folder: Path, plan: dict[int, list[str]], broken: int = -1) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    return start("steered.py", folder, json.dumps(plan), broken)


def told(process: subprocess.Popen[str], folder: Path) -> tuple[Snapshot, list[Digests]]:
    finish(process)
    ranks = [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]
    return read(folder), [[(when, step, total) for when, step, total in rank] for rank in ranks]


def by_verb(snapshot: Snapshot) -> dict[str, CommandMark]:
    return {" ".join((mark.verb, *mark.args)): mark for mark in snapshot.commands}


def test_weights_go_back_on_both_ranks_at_the_same_step_and_repeat_what_followed(tmp_path: Path) -> None:
    plan = {
        2: ["checkpoint early", "set learning_rate=9e-4"],
        4: ["reset --to base --blend 0.5"],
        5: ["undo"],
        6: ["sync-ref", "note both ranks", "rollback early"],
    }
    snapshot, (first, second) = told(steered(tmp_path, plan), tmp_path)
    marks = by_verb(snapshot)
    assert {mark.status for mark in marks.values()} == {"applied"}, {n: m.why for n, m in marks.items()}
    assert first == second, "the ranks hold different weights"
    steps = [step for when, step, _ in first if when == "end"]
    assert steps == [1, 2, 3, 4, 5, 5, 6, 3, 4, 5, 6, 7, 8]
    ends = [total for when, _, total in first if when == "end"]
    # The undo goes back to the end of step 4; the rollback to that of step 2, before the learning rate was set.
    began = {(step, i): total for i, (when, step, total) in enumerate(first) if when == "begin"}
    after_undo = [total for (step, _), total in began.items() if step == 4][1]
    after_rollback = [total for (step, _), total in began.items() if step == 2][1]
    assert after_undo == pytest.approx(ends[3], rel=1e-12) and after_rollback == pytest.approx(ends[1], rel=1e-12)
    assert snapshot.settings[-1].v["learning_rate"] == pytest.approx(1e-3 * (1 - 2 / 8))
    assert [branch.name for branch in snapshot.branches] == ["branch-2", "branch-3"]


@pytest.mark.parametrize("broken", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_command_that_fails_on_one_rank_is_put_back_on_all_and_a_rank_that_hangs_is_named(
    tmp_path: Path, broken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "FLOOR", 1.0)
    hold = tmp_path / "hold"
    hold.touch()
    process = steered(tmp_path, {3: ["reset --to base"]}, broken)
    stuck = wait(tmp_path / "run", lambda s: s.pace.state == "stuck")
    found = [frame.function for frame in ask(tmp_path / "run", 1).threads[0].frames]
    hold.unlink()
    assert [rank.rank for rank in stuck.pace.ranks] == [1] and stuck.step == 5, stuck.ranks
    assert re.match(r"rank 1 scoring for \S+ s, \S+ x its median of \d+ ms; rank 0 waits for it$", stuck.pace.evidence)
    assert stuck.ranks[0].waiting and "hangs_in_here (steered.py:" in stuck.ranks[1].place
    assert "hangs_in_here" in found and found.index("hangs_in_here") < found.index("short_or_none")

    snapshot, (first, second) = told(process, tmp_path)
    assert [rank.activity for rank in snapshot.ranks] == ["ended", "ended"] and snapshot.pace.state == "unknown"
    (mark,) = snapshot.commands
    assert mark.status == "failed" and "everything was put back" in mark.why
    assert first == second
    end = next(total for when, step, total in first if (when, step) == ("end", 3))
    begin = next(total for when, step, total in first if (when, step) == ("begin", 3))
    assert begin == end and snapshot.state == "finished"


def test_a_pause_longer_than_the_groups_timeout_is_no_trouble(tmp_path: Path) -> None:
    """The processes' group gives up after 8 s; the run is held for longer, measured and steered meanwhile."""
    process = steered(tmp_path, {2: ["pause"]})
    directory = tmp_path / "run"
    wait(directory, lambda s: s.state == "paused")
    began = time.monotonic()
    for verb, *args in (["eval"], ["set", "temperature=0.9"], ["checkpoint", "held"], ["probe", "sparsity"]):
        ident = send(directory, verb, *args)
        wait(directory, lambda s, ident=ident: any(m.id == ident and m.status == "applied" for m in s.commands))
    held = threading.Event()
    held.wait(max(0.0, 12 - (time.monotonic() - began)))
    send(directory, "resume")
    snapshot, (first, second) = told(process, tmp_path)
    assert first == second and snapshot.state == "finished" and snapshot.step == 8
    assert {mark.status for mark in snapshot.commands} == {"applied"}
    assert "held" in [checkpoint.name for checkpoint in snapshot.restorable]
