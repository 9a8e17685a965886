"""The card's lines: figures that fit, and a verdict under each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rlpeaks_tui.cockpit.card import WIDEST, Card
from rlpeaks_tui.cockpit.effects import lines_for, tells
from rlpeaks_tui.run.entries import Alert, Command, Metrics, State
from rlpeaks_tui.run.facts import RunInfo, write_facts
from rlpeaks_tui.run.follow import Follower, Snapshot
from rlpeaks_tui.run.journal import JournalWriter
from rlpeaks_tui.run.layout import SCHEMA, Layout


def run(folder: Path, after: int, before: int = 60, ended: bool = False, alerts: Sequence[Alert] = ()) -> Snapshot:
    layout = Layout(folder / "run")
    layout.create()
    write_facts(layout, RunInfo(schema=SCHEMA, name="run", created=0.0))
    journal = JournalWriter(layout.journal, "trainer")
    rng = np.random.default_rng(0)
    for step in range(1, before + 1 + after):
        jump = 0.3 if step > before else 0.0
        values = {"reward": 0.3 + jump + rng.normal(0, 0.02), "entropy": 2e-4 * step + rng.normal(0, 1e-4)}
        values["format/effective"] = 1.0 + 2 * jump
        journal.write(Metrics(t=float(step), step=step, v=values))
        if step == before:
            journal.write(Command(t=step + 0.5, id="a", verb="set", args=["beta=0"], status="applied", step=step))
    journal.write(*alerts)
    if ended:
        journal.write(State(t=before + after + 1.0, state="finished"))
    journal.close()
    follower = Follower(layout.root)
    while follower.poll(5.0) or follower.more:
        pass
    return follower.snapshot()


def test_a_clear_change_is_told_in_lines_that_fit_the_card(tmp_path: Path) -> None:
    snapshot = run(tmp_path, 40)
    lines = lines_for(snapshot, snapshot.commands[0])
    assert lines is not None and all(len(line) <= WIDEST - 5 for line in lines), lines
    text = "\n".join(lines)
    assert lines[0].startswith("means of ") and "50 → 40 values" in lines[0] and "(95 % interval)" in lines[0]
    assert lines[1].split()[0] == "reward" and "+0.29" in lines[1] and "rose; the trend before led to 0." in lines[2]
    assert "entropy slope" in text and "nats in 100 steps" in text
    # Values, arrows and intervals stand under each other.
    figures = [line for line in lines if "→" in line]
    assert len(figures) == 4 and len({line.index("→") for line in figures}) == 1
    assert len({line.index("(") for line in figures}) == 1


def test_a_figure_that_differs_and_a_trend_that_led_there_are_one_thought(tmp_path: Path) -> None:
    snapshot = run(tmp_path, 40)
    lines = lines_for(snapshot, snapshot.commands[0])
    assert lines is not None
    at = next(i for i, line in enumerate(lines) if line.startswith("entropy "))
    assert lines[at + 1] == "  no clear effect: higher, but the trend before led to 0.0161"


def test_a_row_of_a_narrow_card_is_indented_and_no_number_stands_alone() -> None:
    line = "  no clear effect: higher, but the trend of 12 values led to 0.0161"
    card = Card("a", "1  set beta=0", (line,))
    for width in range(24, 70):
        rows = [row.rstrip() for row in card.draw(width, 8).rows()[3:5]]
        assert all(row.startswith("┃    ") for row in rows if row != "┃")
        assert not any(row.split()[1:2] and row.split()[1][0].isdigit() for row in rows), rows


def test_too_early_is_no_card(tmp_path: Path) -> None:
    snapshot = run(tmp_path, 3)
    assert lines_for(snapshot, snapshot.commands[0]) is None


def test_a_run_that_has_ended_says_that_there_will_never_be_enough_steps(tmp_path: Path) -> None:
    snapshot = run(tmp_path, 3, ended=True)
    lines = lines_for(snapshot, snapshot.commands[0])
    assert lines is not None and lines[0] == "not enough steps to tell:"
    assert lines[1] == "3 of 8 values after it, and there will be no more"
    assert all(len(line) <= WIDEST - 5 for line in lines)


def test_a_trend_of_few_steps_is_said_to_be_one(tmp_path: Path) -> None:
    snapshot = run(tmp_path, 40, before=13)
    lines = lines_for(snapshot, snapshot.commands[0])
    assert lines is not None and "rose; the trend of 12 values led to 0." in lines[2]
    assert "12 → 40 values" in lines[0] and len(lines[2]) <= WIDEST - 5


def test_the_card_says_first_whether_the_alert_that_it_answered_has_cleared(tmp_path: Path) -> None:
    on = Alert(t=20.0, rule="format-lock-in", on=True, step=20, text="One format has taken over: column has 92%")
    off = Alert(t=70.0, rule="format-lock-in", on=False, step=70, text="One format has taken over")
    lines = lines_for(cleared := run(tmp_path / "a", 40, alerts=(on, off)), cleared.commands[0])
    assert lines is not None and lines[:2] == ["alert: One format has taken over: cleared at step 70", ""]
    assert lines[2].startswith("means of ")
    # And beside the usual metrics the one that it speaks of, which is of no interest elsewhere.
    (formats,) = (line for line in lines if line.startswith("formats in use"))
    assert "1.00 → 1.60" in formats
    lines = lines_for(calm := run(tmp_path / "calm", 40), calm.commands[0])
    assert lines is not None and "formats in use" not in "".join(lines)
    lines = lines_for(stood := run(tmp_path / "b", 40, alerts=(on,)), stood.commands[0])
    assert lines is not None and lines[0] == "alert: One format has taken over: not cleared"
    # Where there are no figures it stands below why not, on a card that comes only when it is asked for.
    early = Alert(t=2.0, rule="format-lock-in", on=True, step=2, text="One format has taken over")
    lines = lines_for(short := run(tmp_path / "c", 40, before=5, alerts=(early, off)), short.commands[0])
    assert lines is not None and not tells(lines)
    assert lines[1:] == [
        "4 of 8 values before it: it can never be told",
        "alert: One format has taken over: cleared at step 70",
    ]
