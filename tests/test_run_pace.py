"""Which rank is stuck: held against tables that a person can check, and against what must hold whatever comes."""

from __future__ import annotations

import math
import os
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpeaks_tui.instrument.clock import KEPT_SPANS, Clock
from rlpeaks_tui.run.entries import State
from rlpeaks_tui.run.follow import Follower
from rlpeaks_tui.run.journal import JournalWriter
from rlpeaks_tui.run.pace import FACTOR, FLOOR, judge_pace, named_ranks, spell
from rlpeaks_tui.run.signs import PHASES, RankClock, RankSign, SignReader, process_born, read_sign, write_sign
from tests.run_fakes import new_run

MEDIANS = {"generating": 7.6, "scoring": 0.1, "updating": 4.0, "probing": 0.2, "waiting": 0.5}


def rank(number: int, activity: str, age: float, **known: Any) -> RankClock:
    plain: dict[str, Any] = {"host": "node1", "pid": 7, "step": 40, "typical": MEDIANS, "steps": 40}
    return RankClock(rank=number, activity=activity, age=age, **{**plain, **known})


def waits(number: int, age: float = 70.0, activity: str = "generating", **known: Any) -> RankClock:
    return rank(number, activity, age, waiting="all_gather", **known)


CASES: list[tuple[str, list[RankClock], str, str]] = [
    (
        "one rank generates on while the others wait",
        [waits(0), waits(1), waits(2), rank(3, "generating", 72)],
        "stuck",
        "rank 3 generating for 1m 12s, 9.5 x its median of 7.6 s; ranks 0, 1, 2 wait for it",
    ),
    ("slow, but nobody would call it stuck", [waits(0), rank(1, "generating", 37.9)], "moving", ""),
    (
        "five times a short median is not much",
        [waits(0), rank(1, "scoring", 9.9)],
        "moving",
        "",
    ),
    (
        "alone, it is held to its own median",
        [rank(0, "updating", 21)],
        "stuck",
        "rank 0 updating for 21 s, 5.2 x its median of 4.0 s",
    ),
    ("another one still works at it", [rank(0, "generating", 20), rank(1, "generating", 72)], "moving", ""),
    (
        "the other is further on",
        [rank(0, "updating", 1), rank(1, "generating", 72)],
        "stuck",
        "rank 1 generating for 1m 12s, 9.5 x its median of 7.6 s; rank 0 waits for it",
    ),
    (
        "nobody is seen to wait: the one that is behind",
        [rank(0, "updating", 60), rank(1, "scoring", 61), rank(2, "updating", 60)],
        "stuck",
        "rank 1 scoring for 1m 01s, 610 x its median of 100 ms; ranks 0, 2 wait for it",
    ),
    (
        "nobody is seen to wait: the one that stands elsewhere",
        [rank(i, "scoring", 60, place="reward (r.py:4)" if i == 2 else "gather (ops.py:9)") for i in range(4)],
        "stuck",
        "rank 2 scoring for 1m 00s, 600 x its median of 100 ms; ranks 0, 1, 3 wait for it",
    ),
    (
        "nobody is seen to wait, and all stand in the same place",
        [rank(i, "updating", 60, place="backward (graph.py:9)") for i in range(5)],
        "stuck",
        "ranks 0 to 4 updating for 1m 00s, 15 x its median of 4.0 s; which one holds up the others cannot be seen",
    ),
    (
        "all wait: they wait for different things",
        [waits(0), rank(1, "generating", 70, waiting="barrier")],
        "stuck",
        "ranks 0, 1 wait for each other for 1m 10s; rank 0 in all_gather, 1 in barrier",
    ),
    ("all wait, as they do now and then", [waits(0, 3), waits(1, 3)], "moving", ""),
    (
        "a process is gone",
        [waits(0, alive=True), rank(1, "generating", 72, alive=False)],
        "stuck",
        "rank 1 is gone: its process ended and left no word; rank 0 waits for it",
    ),
    (
        "a process is silent",
        [waits(0), rank(1, "scoring", 31, quiet=31, alive=True, typical={}, steps=0)],
        "stuck",
        "rank 1 silent for 31 s while scoring, its process lives and does not answer; rank 0 waits for it",
    ),
    (
        "all wait, and one of them has been stopped",
        [waits(0, quiet=0.4), waits(1, quiet=12, alive=True)],
        "stuck",
        "rank 1 silent for 12 s while generating, its process lives and does not answer; rank 0 waits for it",
    ),
    (
        "nobody is seen to wait, and one has been stopped",
        [rank(0, "updating", 60), rank(1, "updating", 60, quiet=12, alive=True)],
        "stuck",
        "rank 1 silent for 12 s while updating, its process lives and does not answer; rank 0 waits for it",
    ),
    ("silent for a moment, nothing stuck", [rank(0, "updating", 3), rank(1, "updating", 3, quiet=6)], "moving", ""),
    ("the first steps", [rank(0, "scoring", 9, steps=0), rank(1, "generating", 900, typical={})], "unknown", ""),
    ("two steps are no past", [rank(0, "generating", 900, steps=2)], "unknown", ""),
    ("a long evaluation", [rank(0, "probing", 900), waits(1)], "unknown", ""),
    ("a checkpoint is written", [rank(0, "between steps", 900), waits(1)], "unknown", ""),
    (
        "one has ended too early",
        [waits(0), waits(1), rank(2, "ended", 80, alive=False)],
        "stuck",
        "rank 2 has ended; all others wait",
    ),
    ("one is done", [rank(0, "ended", 900, alive=False, quiet=900.0), rank(1, "updating", 1)], "moving", ""),
]  # fmt: skip


@pytest.mark.parametrize("ranks,state,evidence", [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_cases(ranks: list[RankClock], state: str, evidence: str) -> None:
    found = judge_pace(ranks, "running", len(ranks))
    assert (found.state, found.evidence) == (state, evidence)


def test_a_rank_that_never_reported_is_named_once_all_others_wait() -> None:
    found = judge_pace([waits(0), waits(2)], "running", 3)
    assert found.evidence == "rank 1 gave no sign of life here; all others wait"


some_rank = st.builds(
    rank,
    st.integers(0, 3),
    st.sampled_from([*PHASES[:4], "between steps", "ended", "paused"]),
    st.floats(0, 1e5),
    waiting=st.sampled_from(["", "all_gather"]),
    step=st.integers(0, 3),
    quiet=st.floats(0, 60),
    alive=st.sampled_from([None, True, False]),
    steps=st.integers(0, 9),
    place=st.sampled_from(["a", "b"]),
    typical=st.dictionaries(st.sampled_from(PHASES), st.floats(0, 1e4)),
)


@settings(max_examples=40)
@given(st.lists(some_rank, max_size=5, unique_by=lambda one: one.rank), st.sampled_from(["paused", "finished", "lost"]))
def test_a_run_that_does_not_run_is_never_stuck(ranks: list[RankClock], state: str) -> None:
    assert judge_pace(ranks, state, 4).state == "unknown"


@settings(max_examples=150)
@given(st.lists(some_rank, min_size=1, max_size=5, unique_by=lambda one: one.rank))
def test_who_is_named_has_given_reason(ranks: list[RankClock]) -> None:
    found = judge_pace(ranks, "running", 4)
    assert (found.state == "stuck") == bool(found.ranks) and "nan" not in found.evidence
    by_number = {one.rank: one for one in ranks}
    for stuck in found.ranks:
        one = by_number.get(stuck.rank)
        if one is None:
            assert len(ranks) < 4
            continue
        median = one.typical.get(one.activity)
        late = median is not None and one.age > FLOOR and one.age > FACTOR * median and one.steps >= 3
        left = one.activity == "ended" and all(other.waiting for other in ranks if other.activity != "ended")
        assert left or (one.activity != "ended" and (late or one.quiet > 30 or one.alive is False))


@pytest.mark.parametrize(
    "ranks,text",
    [([3], "rank 3"), ([2, 0, 1], "ranks 0, 1, 2"), ([*range(7), 9], "ranks 0 to 6, 9"), (range(0, 64, 2), None)],
)
def test_many_ranks_are_told_shortly(ranks: list[int], text: str | None) -> None:
    told = named_ranks(list(ranks))
    assert told == text or (text is None and told == "ranks 0, 2, 4, 6, 8, 10, 12, ...")


@pytest.mark.parametrize(
    "seconds,text",
    [(0.1284, "128 ms"), (0.9999, "1.0 s"), (7.61, "7.6 s"), (9.96, "10 s"), (59.9, "59 s"), (72, "1m 12s"),
     (12000, "3h 20m")],
)  # fmt: skip
def test_times(seconds: float, text: str) -> None:
    assert spell(seconds) == text


# The training side's books.


class Hand:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.t = 1000.0

    def __call__(self) -> float:
        return self.t


def test_the_clock_adds_up_each_activity_and_keeps_waits_and_pauses_apart() -> None:
    hand = Hand()
    clock = Clock(hand)

    def spend(activity: str, seconds: float) -> None:
        clock.doing(activity)
        hand.t += seconds

    spend("loading a model", 600.0)
    clock.begin()
    for generating in (2.0, 4.0, 100.0):
        spend("generating", generating)
        spend("scoring", 1.0)
        clock.waits_in("all_gather")
        hand.t += 0.5
        clock.waits_in("broadcast")
        hand.t += 0.5
        clock.waits_in("")
        hand.t += 0.25
        spend("paused", 500.0)
        clock.waits_in("broadcast")
        spend("writing a checkpoint", 0.125)
        clock.step_done()
    spend("updating", 3.0)
    clock.doing("updating")
    spans, typical, total, steps = clock.told()
    assert steps == 3 and spans == [] and clock.since == hand.t - 3
    assert typical == {"generating": 4.0, "scoring": 1.25, "waiting": 1.0, "other": 0.125}
    assert total == {"generating": 106.0, "scoring": 3.75, "waiting": 3.0, "other": 0.375}
    spend("generating", 1.0)
    assert clock.told()[0] == [("updating", 3.0)]


def test_a_step_of_very_many_turns_stays_small_and_loses_no_time() -> None:
    hand = Hand()
    clock = Clock(hand)
    for turn in range(1000):
        clock.doing(PHASES[turn % 3])
        hand.t += 1.0
    clock.doing("other")
    spans = clock.told()[0]
    assert len(spans) <= KEPT_SPANS + len(PHASES) and sum(seconds for _, seconds in spans) == 1000


def test_a_clock_that_is_put_back_counts_nothing() -> None:
    hand = Hand()
    clock = Clock(hand)
    clock.doing("updating")
    hand.t -= 100
    clock.step_done()
    assert clock.told()[2] == {}


# The viewer's door.


def sign(**known: Any) -> RankSign:
    plain: dict[str, Any] = {"t": 1000.0, "rank": 0, "world": 2, "pid": os.getpid(), "host": "node7", "step": 4}
    return RankSign(**{**plain, "activity": "scoring", "since": 990.0, **known})


def test_how_old_an_activity_is_does_not_depend_on_the_other_machines_clock(tmp_path: Path) -> None:
    layout = new_run(tmp_path / "run")
    layout.ranks.mkdir()
    write_sign(layout, sign())
    reader = SignReader(layout)
    assert reader.refresh(5.0) and reader.longest(5.0) == 10.0
    write_sign(layout, sign(t=1001.0))
    assert not reader.refresh(6.0), "a rank that goes on with the same is nothing new"
    (clock,) = reader.clocks(8.0, 2)
    assert (clock.age, clock.quiet, clock.alive) == (13.0, 2.0, None)
    assert reader.clocks(8.0, 0) == ()


def test_a_process_that_has_got_the_number_of_a_rank_is_not_the_rank(tmp_path: Path) -> None:
    layout = new_run(tmp_path / "run")
    layout.ranks.mkdir()
    born = process_born(os.getpid())
    reader = SignReader(layout)
    for said, alive in ((born, True), (None, True), ((born or 0) + 1, False)):
        write_sign(layout, sign(host=socket.gethostname(), born=said))
        reader.refresh(1000.0)
        assert reader.clocks(1000.0, None)[0].alive is alive


GOOD = msgspec.to_builtins(sign())


@pytest.mark.parametrize(
    "change",
    [
        {"rank": 1}, {"rank": -1}, {"t": None}, {"t": 1e999}, {"pid": 2**70}, {"spans": [["x", -1.0]]},
        {"typical": {"x": "1"}},
        {"spans": [["x", 0.0]] * 300}, {"total": {"x": math.inf}}, {"activity": 3}, {"memory": {"rss": -1}},
        {"t": 1e300}, {"since": -1e300}, {"spans": [["x", 1e300]]}, {"typical": {"x": 1e300}}, {"total": {"x": 1e11}},
    ],
)  # fmt: skip
def test_what_is_no_sign_of_life_is_none(tmp_path: Path, change: dict[str, Any]) -> None:
    layout = new_run(tmp_path / "run")
    layout.ranks.mkdir()
    raw = msgspec.json.encode({**GOOD, **change}).replace(b'"t":null', b'"t":1e999')
    (layout.ranks / "0.json").write_bytes(raw)
    for name in ("1", "-1", "01", "x", "²"):
        (layout.ranks / f"{name}.json").write_bytes(b"{")
    reader = SignReader(layout)
    reader.refresh(1.0)
    assert read_sign(layout, 0) is None and reader.clocks(1.0, None) == ()


def test_texts_of_a_sign_are_safe_for_a_terminal(tmp_path: Path) -> None:
    layout = new_run(tmp_path / "run")
    layout.ranks.mkdir()
    nasty = "\x1b]0;title\x07a\x1b[2Jb\nc" + "x" * 9000
    write_sign(layout, sign(activity=nasty, host=nasty, waiting=nasty, place=nasty))
    found = read_sign(layout, 0)
    assert found is not None
    for text in (found.activity, found.host, found.waiting, found.place):
        assert text.isprintable() and len(text) <= 200


def test_the_snapshot_has_the_ranks_and_moves_once_a_second_while_one_takes_long(tmp_path: Path) -> None:
    layout = new_run(tmp_path / "run", world_size=2, pid=os.getpid())
    hand = Hand()
    JournalWriter(layout.journal, "trainer").write(State(t=1000.0, state="running"))
    follower = Follower(layout.root, clock=hand)
    while follower.poll(1.0):
        pass
    assert follower.snapshot().ranks == () and follower.snapshot().pace.state == "unknown"
    layout.ranks.mkdir()
    write_sign(layout, sign(t=1000.0, since=1000.0, typical={"scoring": 0.5}, steps=9))
    assert follower.poll() and not follower.poll()
    hand.t += 0.5
    assert not follower.poll()
    turns = 0
    for _ in range(40):
        hand.t += 0.25
        write_sign(layout, sign(t=hand.t, since=1000.0, typical={"scoring": 0.5}, steps=9))
        turns += follower.poll()
    assert 9 <= turns <= 11
    assert follower.snapshot().pace.evidence.startswith("rank 0 scoring for 10 s")
    JournalWriter(layout.journal, "trainer").write(State(t=hand.t, state="paused"))
    follower.poll()
    hand.t += 5
    assert not follower.poll() and follower.snapshot().pace.state == "unknown"
