"""Following a run: live, long, half copied, damaged or hostile, it is one snapshot after another and no exception."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpeaks_tui.run import present
from rlpeaks_tui.run.entries import Alert, Checkpoint, Command, Entry, Error, Lost, Metrics, Phase, Probe, State
from rlpeaks_tui.run.facts import (
    Exit,
    Heartbeat,
    NotARun,
    RunInfo,
    read_facts,
    write_exit,
    write_facts,
    write_heartbeat,
)
from rlpeaks_tui.run.follow import CONSOLE_BYTES, CONSOLE_LINES, Follower, Snapshot
from rlpeaks_tui.run.journal import JournalWriter
from rlpeaks_tui.run.layout import SCHEMA, Layout
from rlpeaks_tui.run.mailbox import forget, send
from rlpeaks_tui.run.rollouts import RolloutWriter
from tests.run_fakes import BEGAN, HERE, NASTY, info, is_safe, new_run, texts
from tests.test_run_layers import probe, write_layers
from tests.test_run_rollouts import BLOCK

STEPS, METRICS = 20_000, 20
NAMES = [f"metric/{i}" for i in range(METRICS)]


def follow(layout: Layout, now: float = BEGAN + 100) -> Follower:
    return Follower(layout.root, clock=lambda: now)


def whole(layout: Layout, now: float = BEGAN + 100) -> Snapshot:
    follower = follow(layout, now)
    follower.poll(1e6)
    assert not follower.more
    return follower.snapshot()


@pytest.fixture
def run(tmp_path: Path) -> Layout:
    return new_run(tmp_path / "demo", max_steps=100, pid=os.getpid())


@pytest.fixture
def writer(run: Layout) -> JournalWriter:
    return JournalWriter(run.journal, "trainer")


def test_a_long_run_is_read_in_bounded_polls_and_earlier_snapshots_stay_as_they_were(run: Layout) -> None:
    writer = JournalWriter(run.journal, "trainer")
    values = np.random.default_rng(0).random((STEPS, METRICS))
    for begin in range(0, STEPS, 500):
        rows = [
            Metrics(t=BEGAN + s, step=s, v=dict(zip(NAMES, values[s].tolist(), strict=True)))
            for s in range(begin, begin + 500)
        ]
        assert writer.write(*rows)
    size = sum(path.stat().st_size for path in run.journal.iterdir())
    least_line = min(len(line) for line in (run.journal / "trainer-000001.jsonl").read_bytes().splitlines())
    most_rows = (1 << 20) // least_line + 1
    follower, snapshots = follow(run), []
    while follower.poll(0.0) or follower.more:
        snapshots.append(follower.snapshot())
    assert len(snapshots) >= size // (1 << 20)
    lengths = [0, *(len(s.columns[NAMES[0]]) for s in snapshots)]
    assert all(0 < after - before <= most_rows for before, after in pairwise(lengths))
    assert lengths[-1] == STEPS and snapshots[-1].step == STEPS - 1
    for snapshot, length in zip(snapshots, lengths[1:], strict=True):
        for i in (0, METRICS - 1):
            series = snapshot.columns[NAMES[i]]
            np.testing.assert_array_equal(series.steps, np.arange(length))
            np.testing.assert_array_equal(series.values, values[:length, i])
    assert not follower.poll(0.0) and follower.snapshot().version == snapshots[-1].version


def test_every_kind_of_entry_arrives_in_the_snapshot(run: Layout, writer: JournalWriter) -> None:
    bins: dict[str, list[float | None]] = {
        "edges": [0.0, 0.5, 1.0],
        "count": [3.0, 0.0],
        "confidence": [0.4, None],
        "accuracy": [0.25, None],
    }
    said: list[Entry] = [
        State(t=BEGAN, state="running", activity="generating"),
        Phase(t=BEGAN, step=0, name="easy", index=0, of=2),
        Metrics(t=BEGAN, step=1, v={"reward": 0.5, "time/step": 0.25}),
        Probe(t=BEGAN, name="calibration", step=1, v={"calibration/ece": 0.1}, arrays=bins),
        Metrics(t=BEGAN, step=2, v={"reward": None, "time/step": 0.75}, why={"reward": "no completions"}),
        Phase(t=BEGAN, step=2, name="hard", index=1, of=2),
        Alert(t=BEGAN, rule="entropy", on=True, step=2, text="falls"),
        Checkpoint(t=BEGAN, step=2, name="two", bytes=5),
        Error(t=BEGAN, where="probe", text="Traceback\n  x"),
        Command(t=BEGAN, id="1", verb="pause", status="applied", step=2, before={"state": "running"}),
        Lost(t=BEGAN, count=4),
    ]
    assert writer.write(*said)
    RolloutWriter(run.rollouts).append(BLOCK)
    write_layers(run.layers, probe(2))
    run.console.write_bytes(b"loading\n10%\r20%\rdone\n")
    write_heartbeat(run, Heartbeat(t=BEGAN + 99, beat=1, pid=os.getpid(), host=HERE, step=2, activity="", since=0))
    follower = follow(run)
    assert follower.poll()
    s = follower.snapshot()
    assert (s.state, s.activity, s.step, s.max_steps, present.phase(s), s.live) == (
        "running",
        "generating",
        2,
        100,
        "hard",
        True,
    )
    assert (s.speed, s.eta_s) == (2.0, 49.0)
    assert s.columns.last("reward") == (1, 0.5) and s.columns.why("reward") == "no completions"
    assert s.columns.at("calibration/ece", 2) == 0.1
    assert [p.name for p in s.phases] == ["easy", "hard"]
    assert [a.rule for a in s.alerts] == ["entropy"] and [c.name for c in s.checkpoints] == ["two"]
    assert [e.where for e in s.errors] == ["probe"] and (s.lost, s.skipped) == (4, 0)
    assert [(c.number, c.verb, c.status, c.before) for c in s.commands] == [
        (1, "pause", "applied", {"state": "running"})
    ]
    assert s.console == ("loading", "done")
    assert s.heartbeat_age == pytest.approx(1.0)
    assert s.layer_steps.tolist() == [2] and s.rollout_steps.tolist() == [3]
    found = s.calibrations[-1]
    assert found is not None and found.count.tolist() == [3, 0] and np.isnan(found.accuracy[1])
    assert follower.layers(1) is None
    layers, rollouts = follower.layers(50), follower.generation(0)
    assert layers is not None and layers.step == 2 and rollouts is not None and rollouts.step == 3
    assert follower.layers(2) is layers and follower.generation(0) is rollouts


def test_a_poll_says_whether_anything_changed(run: Layout, writer: JournalWriter) -> None:
    follower = follow(run)
    assert follower.poll()
    for change in (
        lambda: writer.write(Metrics(t=BEGAN, step=1, v={"reward": 1.0})),
        lambda: RolloutWriter(run.rollouts).append(BLOCK),
        lambda: run.console.write_text("hello\n"),
        lambda: write_facts(run, info(max_steps=7, pid=os.getpid())),
        lambda: send(run.root, "pause"),
        lambda: write_exit(run, Exit(t=BEGAN, code=0)),
    ):
        before = follower.snapshot().version
        assert not follower.poll() and follower.snapshot().version == before
        change()
        assert follower.poll() and follower.snapshot().version > before
    last = follower.snapshot()
    assert (last.max_steps, last.state, last.console) == (7, "finished", ("hello",))


def test_a_command_is_seen_while_it_waits_and_when_it_is_answered(run: Layout, writer: JournalWriter) -> None:
    follower = follow(run)
    ident = send(run.root, "step", "3", who="me@here")
    follower.poll()
    (mark,) = follower.snapshot().commands
    assert (mark.id, mark.verb, mark.args, mark.who, mark.status, mark.step) == (
        ident,
        "step",
        ("3",),
        "me@here",
        "sent",
        None,
    )
    writer.write(Command(t=BEGAN, id=ident, verb="step", args=["3"], status="applied", step=5))
    follower.poll()
    assert [(m.id, m.status, m.step) for m in follower.snapshot().commands] == [(ident, "applied", 5)]
    forget(run.root, ident)
    late = send(run.root, "pause")
    write_exit(run, Exit(t=BEGAN, code=0))
    follower.poll()
    assert [(m.number, m.id, m.status) for m in follower.snapshot().commands] == [
        (1, ident, "applied"),
        (2, late, "too late"),
    ]


def test_the_console_is_its_tail_cleaned_and_in_whole_lines(run: Layout) -> None:
    lines = [f"line {i}" for i in range(20_000)]
    run.console.write_text("\n".join(lines))
    console = whole(run).console
    assert len(run.console.read_bytes()) > CONSOLE_BYTES
    assert console == tuple(lines[-CONSOLE_LINES:])
    run.console.write_bytes(b"x" * (2 * CONSOLE_BYTES) + b"\nlast")
    assert whole(run).console == ("last",)
    run.console.write_bytes("".join(NASTY).encode("utf-8", "replace") + b"\xff")
    assert all(is_safe(line) and "\n" not in line for line in whole(run).console)
    run.console.unlink()
    run.console.mkdir()
    assert whole(run).console == ()


def test_going_back_to_a_checkpoint_goes_back(run: Layout, writer: JournalWriter) -> None:
    writer.write(*[Metrics(t=BEGAN + i, step=s, v={"reward": float(i)}) for i, s in enumerate([1, 2, 3, 2])])
    s = whole(run)
    assert s.step == 2 and s.columns.at("reward", 2) == 3.0


def test_a_newer_schema_is_refused_in_one_clear_line(run: Layout) -> None:
    run.facts.write_text(json.dumps({"schema": SCHEMA + 1, "runs": "on other keys"}))
    with pytest.raises(NotARun) as problem:
        Follower(run.root)
    assert "newer rlpeaks" in str(problem.value) and "update rlpeaks" in str(problem.value)
    assert "\n" not in str(problem.value)


def test_an_older_writer_with_fewer_keys_is_read(run: Layout) -> None:
    run.facts.write_text(json.dumps({"schema": SCHEMA, "name": "x", "created": 1.0, "retired": {"key": [1]}}))
    assert whole(run).info == RunInfo(schema=SCHEMA, name="x", created=1.0)


def test_a_run_json_that_breaks_under_our_eyes_does_not_end_the_viewing(run: Layout, writer: JournalWriter) -> None:
    follower = follow(run)
    follower.poll()
    run.facts.write_text("{")
    writer.write(Metrics(t=BEGAN, step=1, v={"reward": 1.0}))
    assert follower.poll() and follower.snapshot().step == 1 and follower.snapshot().max_steps == 100
    run.facts.unlink()
    assert not follower.poll()


def test_run_json_is_shown_cleaned_and_read_verbatim(run: Layout) -> None:
    given = {"script": "train.py", "args": [f"--separator={nasty}" for nasty in NASTY if "\ud800" not in nasty]}
    write_facts(run, info(name="\x1b[2J", argv=["\u202e"], config=given, facts={"\x9b6n": "\x07"}))
    assert read_facts(run).config == given
    assert all(is_safe(text) for text in texts(whole(run).info))


def test_a_run_that_was_copied_half_way_opens(run: Layout, writer: JournalWriter, tmp_path: Path) -> None:
    writer.write(State(t=BEGAN, state="running"))
    writer.write(*[Metrics(t=BEGAN + s, step=s, v={"reward": float(s)}) for s in range(1, 50)])
    RolloutWriter(run.rollouts).append(BLOCK)
    raw = (run.journal / "trainer-000001.jsonl").read_bytes()
    copy = Layout(tmp_path / "copy")
    copy.root.mkdir()
    with pytest.raises(NotARun, match="has no run"):
        Follower(copy.root)
    shutil.copy(run.facts, copy.facts)
    assert whole(copy).step == 0
    copy.journal.mkdir()
    follower = follow(copy)
    for size in range(0, len(raw), 97):
        (copy.journal / "trainer-000001.jsonl").write_bytes(raw[:size])
        follower.poll()
        at_once = whole(copy)
        lines = raw[:size].count(b"\n")
        assert follower.snapshot().step == at_once.step == max(0, lines - 1)
        assert follower.snapshot().skipped == at_once.skipped == 0
    copy.rollouts.mkdir()
    shutil.copy(run.rollouts / "index.bin", copy.rollouts)
    follower.poll()
    assert follower.snapshot().rollout_steps.tolist() == [3] and follower.generation(0) is None
    assert follower.layers(3) is None and follower.snapshot().commands == ()


@pytest.mark.filterwarnings("error")
def test_numbers_beyond_all_reason_are_no_reason_to_complain(run: Layout, writer: JournalWriter) -> None:
    huge: list[float | None] = [1e308, None]
    bins = {"edges": [0.0, 0.5, 1.0], "count": huge, "confidence": huge, "accuracy": huge}
    writer.write(
        Probe(t=BEGAN, name="calibration", step=1, v={}, arrays=bins),
        *[Metrics(t=1e308, step=2**53, v={"time/step": 1e308}) for _ in range(3)],
        *[Metrics(t=1e308, step=step, v={"time/step": 1.0}) for step in (2**63 - 1, 2**53 + 1, -(2**63))],
        Metrics(t=-1e308, step=-(2**53), v={"time/step": 5e-324}),
    )
    write_facts(run, info(max_steps=2**53, created=-1e308))
    snapshot = whole(run)
    assert snapshot.step == -(2**53) and snapshot.calibrations == ()
    assert snapshot.columns.at("time/step", 2**63 - 1) == 5e-324 and snapshot.skipped == 3


@pytest.mark.parametrize(
    ("size", "half", "read"),
    [
        ([0.0, 2.5], 0.25, ([0.0, 2.5], 0.25)),
        ([0.0, 4.5], "wide", (None, np.nan)),  # more than there are rollouts
        ([0.0, None], -1.0, (None, np.nan)),
        ([1.0], None, (None, np.nan)),
        (None, None, (None, np.nan)),
    ],
)
def test_what_bins_are_worth_is_read_where_it_can_be_that(
    run: Layout, writer: JournalWriter, size: list[float | None] | None, half: object, read: tuple[object, float]
) -> None:
    arrays = {"edges": [0.0, 0.5, 1.0], "count": [0, 4], "confidence": [None, 0.75], "accuracy": [None, 0.25]}
    facts = {} if half is None else {"overclaim_half": half}
    given = arrays if size is None else arrays | {"size": size}
    writer.write(Probe(t=BEGAN, name="calibration", step=1, v={}, facts=facts, arrays=given))
    (found,) = whole(run).calibrations
    assert (None if found.size is None else found.size.tolist()) == read[0]
    assert found.half == pytest.approx(read[1], nan_ok=True)


def test_shares_that_are_none_are_not_shown(run: Layout, writer: JournalWriter) -> None:
    good = {"edges": [0.0, 0.5, 1.0], "count": [0, 4], "confidence": [None, 1.0000001], "accuracy": [None, 0.25]}
    bad = [{"edges": [-1.0, 0.5, 1.0]}, {"edges": [0.0, None, 1.0]}, {"confidence": [0, 1.5]}, {"accuracy": [-0.1, 1]}]
    rates = {"rate": [0.5, 0.0, 1.0, None], "base_rate": [1e308, 0.0, 1.0, 0.5]}
    impossible = rates | {"rate": [0.5, 1.5, 1.0, None]}
    writer.write(
        *[Probe(t=BEGAN, name="calibration", step=i, v={}, arrays=good | one) for i, one in enumerate([*bad, {}])],
        Probe(t=BEGAN, name="eval", step=9, v={}, facts={"samples": 4}, arrays=rates),
        Probe(t=BEGAN, name="eval", step=10, v={}, facts={"samples": 4}, arrays=impossible),
    )
    snapshot = whole(run)
    assert [one.step for one in snapshot.calibrations] == [len(bad)]
    (found,) = snapshot.evaluations
    np.testing.assert_array_equal(found.rate, [0.5, 0.0, 1.0, np.nan])
    np.testing.assert_array_equal(found.base_rate, [np.nan, 0.0, 1.0, 0.5])


EXTREME = st.one_of(
    st.integers(-(2**70), 2**70),
    st.sampled_from([0, -1, 2**63 - 1, 2**63, -(2**63), 1e308, -1e308, 5e-324, 10**400, True, None, "x", "\x1b[2J"]),
)
WORD = st.one_of(st.sampled_from(NASTY), st.text(max_size=4))
KINDS = ("state", "metrics", "probe", "phase", "command", "alert", "checkpoint", "error", "lost", "future")
MADE_UP = st.fixed_dictionaries(
    {"k": st.sampled_from(KINDS), "t": st.one_of(st.just(BEGAN), EXTREME)},
    optional={
        **dict.fromkeys(("step", "pid", "index", "of", "count", "bytes", "n", "seconds", "sent"), EXTREME),
        **dict.fromkeys(("name", "id", "verb", "where", "text", "rule", "phase", "activity", "host"), WORD),
        "state": st.sampled_from(["running", "paused", "finished", "dancing"]),
        "status": st.sampled_from(["applied", "refused", "lost"]),
        "by": st.sampled_from(["trainer", "launcher"]),
        "on": st.booleans(),
        "why": st.one_of(WORD, st.dictionaries(WORD, WORD, max_size=2)),
        "v": st.dictionaries(st.one_of(WORD, st.just("time/step")), EXTREME, max_size=3),
        "args": st.lists(WORD, max_size=2),
        "before": st.dictionaries(WORD, EXTREME, max_size=2),
        "arrays": st.dictionaries(
            st.sampled_from(["edges", "count", "confidence", "accuracy"]), st.lists(EXTREME, max_size=3)
        ),
        "facts": st.dictionaries(WORD, EXTREME, max_size=2),
    },
)
LINE = st.one_of(MADE_UP.map(lambda entry: json.dumps(entry).encode()), st.binary(max_size=20))
SMALL = st.one_of(
    st.binary(max_size=60),
    st.dictionaries(
        st.sampled_from(
            ["t", "beat", "pid", "host", "step", "activity", "since", "code", "signal", "tail", "max_steps"]
        ),
        st.one_of(EXTREME, st.lists(WORD, max_size=2)),
        max_size=8,
    ).map(lambda tree: json.dumps(tree).encode()),
    st.fixed_dictionaries(
        dict.fromkeys(("t", "beat", "pid", "step", "since"), EXTREME) | dict.fromkeys(("host", "activity"), WORD)
    ).map(lambda tree: json.dumps(tree).encode()),
)


@pytest.mark.filterwarnings("error")
@given(
    journal=st.lists(LINE, max_size=8).map(b"\n".join),
    facts=st.dictionaries(
        st.sampled_from(["max_steps", "pid", "launcher_pid", "model", "phases", "config"]), EXTREME, max_size=3
    ),
    beat=SMALL,
    ended=SMALL,
    index=st.binary(max_size=120),
    console=st.binary(max_size=60),
    stray=st.sampled_from(
        ["layers/99999999999999999999.npz", "journal/trainer-x.jsonl", "inbox/x.json", "inbox/\x1b.json"]
    ),
)
@settings(max_examples=120)
def test_whatever_is_in_the_files_of_a_run_a_viewer_shows_what_it_can(
    journal: bytes, facts: dict[str, Any], beat: bytes, ended: bytes, index: bytes, console: bytes, stray: str
) -> None:
    with tempfile.TemporaryDirectory() as name:
        layout = Layout(Path(name) / "demo")
        layout.create()
        layout.facts.write_text(json.dumps({"schema": SCHEMA, "name": "demo", "created": BEGAN, **facts}))
        (layout.journal / "trainer-000001.jsonl").write_bytes(journal + b"\n")
        layout.heartbeat.write_bytes(beat)
        layout.exit.write_bytes(ended)
        (layout.rollouts / "index.bin").write_bytes(index)
        layout.console.write_bytes(console)
        (layout.root / stray).write_bytes(console)
        try:
            follower = follow(layout)
        except NotARun as problem:
            assert "damaged" in str(problem)
            return
        while follower.poll() and follower.more:
            pass
        snapshot = follower.snapshot()
        for number in range(min(5, len(snapshot.rollout_steps))):
            follower.generation(number)
        follower.layers(5)
    for name in snapshot.columns:
        assert len(snapshot.columns[name].steps) == len(snapshot.columns[name].values)
        snapshot.columns.last(name)
    shown = (snapshot.activity, snapshot.why, snapshot.phases, snapshot.commands, snapshot.alerts, snapshot.errors)
    shown += (
        snapshot.checkpoints,
        list(snapshot.columns),
        snapshot.probes,
        snapshot.console,
        snapshot.info,
        snapshot.exit,
    )
    assert all(is_safe(text) for text in texts(shown))
