"""`rlpeaks ctl`: every command, its answer, and what came of it."""

from __future__ import annotations

import io
import json
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rlpeaks_tui.run.entries import Branch, Command, Metrics, Settings
from rlpeaks_tui.run.journal import JournalWriter
from rlpeaks_tui.run.layout import Layout
from rlpeaks_tui.run.mailbox import take, waiting
from rlpeaks_tui.run.requests import VERBS
from tests.run_fakes import BEGAN, Call, finished_run, is_safe, live_run

CTL = {"id", "verb", "args", "who", "step", "status", "why", "before", "after"}


@pytest.fixture
def obedient(runs: Path) -> Iterator[Layout]:
    """A run whose training process answers: it applies what it is told, and refuses steps and unlikely values."""
    layout = live_run(runs / "demo")
    done = threading.Event()

    def obey() -> None:
        writer = JournalWriter(layout.journal, "trainer")
        answered: set[str] = set()
        while not done.wait(0.005):
            for order in take(layout.root)[0]:
                if order.id not in answered:
                    answered.add(order.id)
                    status, why, before, after = "applied", "", {}, {}
                    if order.verb == "step":
                        status, why = "refused", "not now"
                    elif order.args[:1] == ["beta=10"] and "--yes" not in order.args:
                        status, why = "refused", "10 is 250 times the present 0.04; add --yes if it is meant"
                    elif order.verb == "set":
                        before, after = {"beta": 0.04, "reference": None}, {"beta": 10.0, "reference": True}
                    writer.write(
                        Command(
                            t=BEGAN,
                            id=order.id,
                            verb=order.verb,
                            args=order.args,
                            who=order.who,
                            status=status,
                            step=4,
                            why=why,
                            before=before,
                            after=after,
                        )
                    )

    thread = threading.Thread(target=obey)
    thread.start()
    yield layout
    done.set()
    thread.join()


def test_ctl_waits_for_the_answer(call: Call, obedient: Layout) -> None:
    status, out, err = call("ctl", "demo", "pause", "--json")
    told = json.loads(out)
    assert (status, err, set(told)) == (0, "", CTL)
    assert (told["verb"], told["status"], told["step"]) == ("pause", "applied", 4) and "@" in told["who"]
    status, out, _ = call("ctl", "demo", "step", "3", "--json")
    told = json.loads(out)
    assert (status, set(told), told["args"], told["status"], told["why"]) == (1, CTL, ["3"], "refused", "not now")
    assert call("ctl", "demo", "pause")[:2] == (0, "pause applied at step 4\n")
    assert call("ctl", "demo", "step")[:2] == (1, "step refused at step 4: not now\n")


def test_ctl_that_nobody_answers(call: Call, runs: Path) -> None:
    layout = live_run(runs / "demo")
    status, out, _ = call("ctl", "demo", "pause", "--no-wait", "--json")
    told = json.loads(out)
    assert (status, set(told), told["status"]) == (0, CTL, "sent")
    assert [order.id for order in waiting(layout.root)] == [told["id"]]
    status, out, _ = call("ctl", "demo", "stop", "--timeout", "0.05", "--json")
    told = json.loads(out)
    assert (status, set(told), told["status"]) == (1, CTL, "sent") and "stays in the inbox" in told["why"]
    assert len(waiting(layout.root)) == 2


def test_ctl_of_a_run_that_has_ended(call: Call, runs: Path) -> None:
    layout = finished_run(runs / "demo")
    status, out, _ = call("ctl", "demo", "pause", "--json")
    told = json.loads(out)
    assert (status, set(told), told["status"], told["why"]) == (1, CTL, "refused", "the run has finished")
    assert waiting(layout.root) == []


@pytest.mark.parametrize("words", [["explode"], ["step", "none"], ["step", "0"], ["pause", "now"], ["\x1b[2J"]])
def test_ctl_with_no_command_sends_nothing(call: Call, runs: Path, words: list[str]) -> None:
    layout = live_run(runs / "demo")
    status, out, err = call("ctl", "demo", *words)
    assert (status, out) == (2, "") and err.count("\n") == 1 and is_safe(err)
    assert list(layout.inbox.iterdir()) == []


def test_ctl_where_the_inbox_cannot_be_written(call: Call, runs: Path) -> None:
    layout = live_run(runs / "demo")
    layout.inbox.rmdir()
    layout.inbox.touch()
    status, _, err = call("ctl", "demo", "pause")
    assert status == 2 and "cannot be written: Not a directory" in err


EVERY = [
    ["resume"],
    ["stop"],
    ["checkpoint"],
    ["checkpoint", "before-lunch"],
    ["reset", "--to", "base"],
    ["reset", "--to=auto-9", "--keep-optimizer", "--blend", "0.5", "--layers", "*layers.0.*"],
    ["sync-ref"],
    ["rollback", "auto-300"],
    ["phase", "hard", "mix"],
    ["set", "learning_rate=1e-4"],
    ["set", "reward_weights.correct=-0.1", "--yes"],
    ["eval"],
    ["probe", "sparsity"],
    ["note", "-5", "degrees", "outside"],
    ["undo"],
]


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_every_command_is_sent_with_its_own_options(call: Call, obedient: Layout, words: list[str]) -> None:
    command, *args = words
    status, out, err = call("ctl", "demo", *words, "--json")
    told = json.loads(out)
    assert (status, err, set(told)) == (0, "", CTL)
    assert (told["verb"], told["args"], told["status"]) == (command, args, "applied")


def test_every_verb_has_been_sent() -> None:
    assert {words[0] for words in EVERY} | {"pause", "step"} == set(VERBS)


@pytest.mark.parametrize(
    "words",
    [
        ["--json", "--timeout=9", "demo", "reset", "--to", "base"],
        ["demo", "--json", "reset", "--timeout", "9", "--to", "base"],
        ["demo", "reset", "--to", "base", "--json"],
        ["--json", "demo", "--", "reset", "--to", "base"],
    ],
)
def test_options_of_ctl_are_its_own_wherever_they_stand(
    call: Call, obedient: Layout, runs: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setenv("RLPEAKS_RUNS", "elsewhere")
    for at in (0, len(words)) if "--" not in words else (0,):
        status, out, _ = call("ctl", *words[:at], "--runs", str(runs), *words[at:])
        assert status == 0 and json.loads(out)["args"] == ["--to", "base"]


def test_what_follows_two_minus_signs_is_the_commands(call: Call, obedient: Layout) -> None:
    status, out, _ = call("ctl", "demo", "--json", "note", "--", "use", "--json", "--", "--help")
    assert status == 0 and json.loads(out)["args"] == ["use", "--json", "--", "--help"]


def test_an_answer_shows_what_was_before_and_after(call: Call, obedient: Layout) -> None:
    status, out, _ = call("ctl", "demo", "set", "beta=10", "--yes")
    assert status == 0
    assert out == "set applied at step 4\n  beta  0.04 -> 10\n  reference  - -> yes\n"


@pytest.mark.parametrize(
    ("typed", "sent"), [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("", False)]
)
@pytest.mark.parametrize("as_json", [False, True])
def test_a_far_value_is_asked_about_on_a_terminal(
    call: Call, obedient: Layout, monkeypatch: pytest.MonkeyPatch, typed: str, sent: bool, as_json: bool
) -> None:
    keyboard = io.StringIO(typed)
    monkeypatch.setattr(keyboard, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdin", keyboard)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    status, out, err = call("ctl", "demo", "set", "beta=10", *["--json"] * as_json)
    assert err.endswith("set it all the same? [y/N] ") and "250 times" in err
    assert status == (0 if sent else 1)
    if as_json:
        told = json.loads(out)
        assert (told["status"], told["args"]) == (
            ("applied", ["beta=10", "--yes"]) if sent else ("refused", ["beta=10"])
        )
    else:
        assert out.startswith("set applied at step 4" if sent else "set refused at step 4: 10 is 250 times")


def test_what_is_out_of_bounds_is_not_sent(call: Call, obedient: Layout) -> None:
    status, _, err = call("ctl", "demo", "set", "learning_rate=3", "--yes")
    assert (status, err) == (2, "rlpeaks: learning_rate must be between 1e-12 and 1; got 3\n")
    assert not list(obedient.inbox.glob("*.json"))


def test_a_far_value_is_refused_where_nobody_can_be_asked(call: Call, obedient: Layout) -> None:
    status, out, err = call("ctl", "demo", "set", "beta=10")
    assert (status, err) == (1, "") and "add --yes" in out
    assert sum(1 for _ in obedient.inbox.glob("*.json")) == 1


# Without a command


def test_without_a_command_all_are_listed_with_those_that_cannot_work(call: Call, runs: Path) -> None:
    layout = live_run(runs / "demo")
    for cannot in ({"undo": "an old reason"}, {"phase": "the script has no curriculum", "set beta": "no reference"}):
        JournalWriter(layout.journal, "trainer").write(Settings(t=BEGAN, step=1, v={}, cannot=cannot))
    status, out, err = call("ctl", "demo")
    assert (status, err) == (0, "") and "old reason" not in out
    for verb in VERBS.values():
        assert f"{verb.name} {verb.usage}".strip() in out and verb.does in out
    assert "    not in this run: the script has no curriculum\n" in out
    assert "    not in this run (set beta): no reference\n" in out and "phase NAME --preview" in out
    rows = [json.loads(line) for line in call("ctl", "demo", "--json")[1].splitlines()]
    assert [row["verb"] for row in rows] == list(VERBS)
    assert all(set(row) == {"verb", "usage", "does", "cannot"} for row in rows)
    assert {row["verb"]: row["cannot"] for row in rows if row["cannot"]} == {
        "phase": {"phase": "the script has no curriculum"},
        "set": {"set beta": "no reference"},
    }
    finished_run(runs / "done")
    status, out, err = call("ctl", "done")
    assert status == 0 and out.startswith("the run has finished: none of these commands can reach it any more\n")
    assert out.count("    not in this run: the run has finished\n") == len(VERBS) and "effects [ID]" in out
    rows = [json.loads(line) for line in call("ctl", "done", "--json")[1].splitlines()]
    assert [row["cannot"] for row in rows] == [{verb: "the run has finished"} for verb in VERBS]


# A phase before it is entered


def test_a_preview_tells_and_sends_nothing(call: Call, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = live_run(runs / "demo")
    asked = []

    def preview(directory: Path, name: str) -> types.SimpleNamespace:
        asked.append((directory, name))
        if name == "none":
            raise ValueError("this run has no phase 'none'")
        return types.SimpleNamespace(lines=["phase hard mix", "  two-step 100 %"], facts={"phase": name})

    monkeypatch.setitem(sys.modules, "rlpeaks_tui.verbs.phase_preview", types.SimpleNamespace(preview=preview))
    assert call("ctl", "demo", "phase", "hard", "mix", "--preview") == (0, "phase hard mix\n  two-step 100 %\n", "")
    assert json.loads(call("ctl", "demo", "phase", "--preview", "next", "--json")[1]) == {"phase": "next"}
    assert asked == [(layout.root, "hard mix"), (layout.root, "next")]
    assert call("ctl", "demo", "phase", "none", "--preview") == (2, "", "rlpeaks: this run has no phase 'none'\n")
    assert call("ctl", "demo", "phase", "--preview")[0] == 2
    assert list(layout.inbox.iterdir()) == []


# Effects


@pytest.fixture
def steered(runs: Path) -> Layout:
    """A run of 60 steps, a jump of the reward at step 30, and a way back to step 40 by a rollback that did nothing."""
    layout = finished_run(runs / "demo", steps=0)
    rng = np.random.default_rng(4)
    writer = JournalWriter(layout.journal, "trainer")
    for number, step in enumerate([*range(1, 61), *range(41, 71)]):
        if step == 31 and number == 30:
            writer.write(
                Command(t=BEGAN + 30.5, id="one", verb="set", args=["beta=0.1"], status="applied", step=30),
                Command(t=BEGAN + 30.6, id="two", verb="pause", status="applied", step=30),
            )
        if number == 60:
            back = Branch(t=BEGAN + 60.4, name="b", parent="main", step=60, at=40, checkpoint="auto-40")
            writer.write(
                back, Command(t=BEGAN + 60.5, id="three", verb="rollback", args=["auto-40"], status="applied", step=60)
            )
        reward = 0.5 + 0.3 * (number > 29) + 0.01 * float(rng.standard_normal())
        writer.write(
            Metrics(t=BEGAN + number, step=step, v={"reward": reward, "entropy": float(rng.standard_normal())})
        )
    writer.close()
    return layout


EFFECT = {"id", "verb", "args", "step", "metrics"}
TITLES = {"reward", "entropy", "KL", "length", "calibration", "entropy slope"}


def test_effects_are_told_as_cards_and_as_objects(call: Call, steered: Layout) -> None:
    status, out, err = call("ctl", "demo", "effects")
    assert (status, err) == (0, "")
    assert "1  set beta=0.1 at step 30  (one)" in out and "3  rollback auto-40 at step 60  (three)" in out
    assert "pause" not in out and "rose; the trend before led to" in out and "intervals are of 95 %" in out
    rows = [json.loads(line) for line in call("ctl", "demo", "effects", "--json")[1].splitlines()]
    assert [row["id"] for row in rows] == ["one", "three"]
    for row in rows:
        assert set(row) == EFFECT and set(row["metrics"]) == TITLES
        assert row["metrics"]["KL"] is None and row["metrics"]["entropy"]["verdict"] == "no detectable effect"
    first, third = (row["metrics"]["reward"] for row in rows)
    assert first["verdict"] == "rose" and first["low"] < 0.3 < first["high"]
    assert (first["rows_before"], first["rows_after"]) == (29, 29)
    assert third["verdict"] == "no detectable effect" and (third["rows_before"], third["rows_after"]) == (29, 30)


def test_one_effect_is_named_by_number_or_id(call: Call, steered: Layout) -> None:
    for named in ("3", "three"):
        status, out, _ = call("ctl", "demo", "effects", named, "--json")
        assert status == 0 and json.loads(out)["id"] == "three"
    for words, said in ((["9"], "no command '9'"), (["two"], "changed no weights"), (["1", "2"], "one command")):
        status, out, err = call("ctl", "demo", "effects", *words)
        assert (status, out) == (2, "") and said in err and err.count("\n") == 1


def test_status_tells_effects_too(call: Call, steered: Layout) -> None:
    told = json.loads(call("status", "demo", "--json")[1])
    assert [effect["id"] for effect in told["effects"]] == ["one", "three"]
    assert "  EFFECT set beta=0.1 at step 30: reward rose; no detectable effect: entropy" in call("status", "demo")[1]


def test_effects_of_a_run_that_was_not_steered(call: Call, runs: Path) -> None:
    live_run(runs / "demo")
    assert call("ctl", "demo", "effects") == (0, "no command has changed weights or settings yet\n", "")
    assert call("ctl", "demo", "effects", "--json") == (0, "", "")
    assert json.loads(call("status", "demo", "--json")[1])["effects"] == []
