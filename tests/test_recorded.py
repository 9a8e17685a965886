"""Commands of an earlier run, read to be applied again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpeaks_tui.run.entries import Command, Metrics
from rlpeaks_tui.run.facts import NotARun, PlannedCommand, read_facts, write_facts
from rlpeaks_tui.run.journal import JournalWriter
from rlpeaks_tui.run.requests import VERBS, BadCommand
from rlpeaks_tui.verbs.recorded import EXAMPLE, REPEATED, Recorded, recorded
from tests.run_fakes import BEGAN, info, is_safe, new_run


def applied(step: int, verb: str, *args: str, status: Any = "applied") -> Command:
    return Command(t=BEGAN, id=f"{step}-{verb}", verb=verb, args=list(args), status=status, step=step)


STEERED = [
    applied(3, "pause"),
    applied(3, "set", "beta=0.1", "--yes"),
    applied(3, "set", "beta=10", status="refused"),
    applied(4, "checkpoint", "mine"),
    applied(4, "note", "looks well"),
    applied(5, "eval"),
    applied(5, "probe", "sparsity"),
    applied(9, "reset", "--to", "mine", "--blend", "0.5"),
    applied(10, "reset", "--to", "base", status="failed"),
    applied(12, "rollback", "mine"),
    applied(6, "phase", "hard mix"),
    applied(7, "undo"),
    applied(8, "sync-ref"),
    applied(9, "resume"),
    applied(9, "step", "3"),
    applied(90, "stop"),
]
PLANNED = [
    (3, "set", ["beta=0.1", "--yes"]),
    (4, "checkpoint", ["mine"]),
    (9, "reset", ["--to", "mine", "--blend", "0.5"]),
    (12, "rollback", ["mine"]),
    (6, "phase", ["hard mix"]),
    (7, "undo", []),
    (8, "sync-ref", []),
]


def told(found: Recorded) -> list[tuple[int, str, list[str]]]:
    return [(command.step, command.verb, command.args) for command in found.planned]


def test_a_run_its_directory_and_its_journal_give_the_same(tmp_path: Path) -> None:
    layout = new_run(tmp_path / "runs" / "demo")
    writer = JournalWriter(layout.journal, "trainer")
    writer.write(*(Metrics(t=BEGAN, step=step, v={"reward": 0.0}) for step in range(5)), *STEERED)
    writer.close()
    (journal,) = layout.journal.iterdir()
    copied = tmp_path / "journal.jsonl"
    # As a journal whose writer was killed while it wrote, and another that closed a torn line.
    copied.write_bytes(b'{"k":"comm~\n' + journal.read_bytes() + b'{"k":"command","t":1,"ver')
    for named in ("demo", "de", str(layout.root), str(journal), str(copied)):
        assert told(recorded(named, tmp_path / "runs")) == PLANNED
    assert {verb for _, verb, _ in PLANNED} == REPEATED < set(VERBS)


def test_it_says_how_many_are_applied_and_which_are_skipped(tmp_path: Path) -> None:
    objects = [msgspec.to_builtins(command) for command in STEERED]
    found = recorded(lines(tmp_path / "list.jsonl", *objects, {"step": 91, "verb": "pause"}), tmp_path)
    assert str(found) == (
        "7 commands will be applied at the recorded steps; 8 skipped, which change nothing in the training: "
        "pause 2, note, eval, probe, resume, step, stop"
    )
    alone = recorded(lines(tmp_path / "one.jsonl", json.loads(EXAMPLE)), tmp_path)
    assert str(alone) == "1 command will be applied at the recorded steps"


def test_run_json_keeps_them(tmp_path: Path) -> None:
    layout = new_run(tmp_path / "demo")
    assert read_facts(layout).commands == []
    planned = [PlannedCommand(step=3, verb="set", args=["beta=0.1"]), PlannedCommand(step=4, verb="undo")]
    write_facts(layout, info(commands=planned))
    assert json.loads(layout.facts.read_text())["commands"] == [
        {"step": 3, "verb": "set", "args": ["beta=0.1"]},
        {"step": 4, "verb": "undo", "args": []},
    ]
    assert read_facts(layout).commands == planned


def lines(path: Path, *objects: Any) -> str:
    path.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in objects))
    return str(path)


def test_a_list_by_hand_needs_step_verb_and_arguments_only(tmp_path: Path) -> None:
    named = lines(
        tmp_path / "by-hand.jsonl",
        {"step": 0, "verb": "set", "args": ["beta=0.1"]},
        "",
        {"step": 10**9, "verb": "undo", "who": "me", "anything": {}},
    )
    assert told(recorded(named, tmp_path)) == [(0, "set", ["beta=0.1"]), (10**9, "undo", [])]


@pytest.mark.parametrize(
    ("objects", "said"),
    [
        (
            [{"step": 1, "verb": "undo"}, {"step": 3, "verb": "fly"}],
            "line 2: there is no command 'fly'; there are: pause",
        ),
        ([{"step": 3, "verb": "set", "args": ["beta"]}], "line 1: set needs KEY=VALUE"),
        ([{"verb": "undo"}], "line 1: undo has no step"),
        ([{"step": -1, "verb": "undo"}], "line 1: undo has no step"),
        ([{"step": 1.5, "verb": "undo"}], "line 1 is no entry of a journal"),
        ([{"step": 1, "verb": "undo", "args": "x"}], "line 1 is no entry of a journal"),
        (["[1]"], "line 1 is no entry of a journal"),
        (["step 3: undo"], "line 1 is no entry of a journal"),
        ([{"step": 1}], "line 1: there is no command ''"),
        ([{"step": 9, "verb": "set", "args": ["a=1"]}, {"step": 3, "verb": "set", "args": ["a=2"]}], "did not go back"),
        ([], "holds no command"),
        ([{"step": 1, "verb": "pause"}, {"k": "metrics", "step": 2, "v": {}}], "holds no command"),
        ([{"step": 1, "verb": "undo", "status": "refused"}], "holds no command"),
        ([{"step": 1, "verb": "\x1b[2J"}], "there is no command"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, objects: list[Any], said: str) -> None:
    with pytest.raises(BadCommand) as problem:
        recorded(lines(tmp_path / "list.jsonl", *objects), tmp_path)
    assert ("no entry" not in said and "no step" not in said) or EXAMPLE in str(problem.value)
    assert said in str(problem.value) and "list.jsonl" in str(problem.value) and is_safe(str(problem.value))


def test_what_is_neither_file_nor_run(tmp_path: Path) -> None:
    new_run(tmp_path / "demo")
    for named in ("nowhere", "a/b", "", str(tmp_path / "demo" / "journal")):
        with pytest.raises(NotARun):
            recorded(named, tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadCommand, match="pipe cannot be read: not a regular file"):
        recorded(str(tmp_path / "pipe"), tmp_path)
    with pytest.raises(BadCommand, match="demo holds no command"):
        recorded("demo", tmp_path)


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_any_file_is_read_or_refused(tmp_path: Path, pieces: list[bytes]) -> None:
    (tmp_path / "any").write_bytes(b"\n".join(pieces))
    with pytest.raises(BadCommand):
        recorded(str(tmp_path / "any"), tmp_path)
