"""What the terminal is told besides the picture: its title, and a call when the verdict turns bad."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rlpeaks_tui.cockpit.herald import RESTORE, SAVE, SILENT, Herald, Notify, title
from rlpeaks_tui.cockpit.scene import Finding, Health
from rlpeaks_tui.run.follow import Snapshot
from tests.cockpit_fakes import FakeRun, scene_of
from tests.cockpit_pilot import until_seen
from tests.terminal import Terminal
from tests.test_cockpit_link import Counted, Wire

WELL = Health(passed=3)


def sick(*rules: str, severity: str = "warn") -> Health:
    return Health(tuple(Finding(rule, f"{rule} is bad", severity) for rule in rules), passed=1)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    run = FakeRun(tmp_path_factory.mktemp("run") / "quickstart", max_steps=100, probes=False)
    run.state("running")
    run.advance(41)
    return scene_of(run.layout.root).snapshot


def test_the_title_says_state_and_verdict_and_a_finding_first(snapshot: Snapshot) -> None:
    assert title(snapshot, WELL) == "quickstart: running 41/100, all clear"
    assert title(snapshot, sick("entropy")) == "quickstart: ENTROPY IS BAD, running 41/100"
    dead = replace(snapshot, state="failed", why="killed by SIGKILL")
    assert title(dead, WELL) == "quickstart: failed 41/100: killed by SIGKILL"
    assert title(dead, sick("entropy", "KL")) == (
        "quickstart: failed 41/100: killed by SIGKILL; before that entropy is bad and 1 more"
    )
    assert title(replace(snapshot, state="starting", step=0), Health()) == "quickstart: starting"


@given(st.text(), st.text())
def test_no_name_breaks_out_of_the_title(snapshot: Snapshot, name: str, why: str) -> None:
    hostile = msgspec.structs.replace(snapshot.info, name=name)
    text = title(replace(snapshot, info=hostile, state="failed", why=why), WELL)
    assert text.isprintable() and len(text) <= 120


def told(notify: Notify) -> tuple[Herald, list[str]]:
    written: list[str] = []
    return Herald(written.append, notify), written


def test_the_title_is_written_only_when_it_changes_and_given_back_once(snapshot: Snapshot) -> None:
    herald, written = told("none")
    for _ in range(3):
        herald.tell(snapshot, WELL, 0.0)
    herald.tell(snapshot, sick("entropy"), 0.0)
    herald.restore()
    herald.restore()
    assert [re.sub(r"\x1b\]2;.*\x07", "T", each) for each in written] == [f"{SAVE}T", "T", RESTORE]


@pytest.mark.parametrize(
    ("notify", "call"), [("bell", "\x07"), ("osc9", "\x1b]9;rlpeaks: quickstart: B IS BAD"), ("none", "")]
)
def test_it_calls_when_the_verdict_turns_bad_or_worse_and_not_again_for_the_same(
    snapshot: Snapshot, notify: Notify, call: str
) -> None:
    herald, written = told(notify)

    def calls(health: Health, now: float, **changes: object) -> int:
        written.clear()
        herald.tell(replace(snapshot, **changes), health, now)  # type: ignore[arg-type]
        return sum(not each.startswith((SAVE, "\x1b]2;")) for each in written)

    wanted = int(notify != "none")
    assert calls(sick("a"), 0) == 0, "what was so when one came is no news"
    assert calls(WELL, 1) == 0
    assert calls(sick("b"), 2) == wanted
    assert not call or written[-1].startswith(call)
    assert calls(sick("b", "a"), 3) == 0, "one finding more"
    assert calls(WELL, 4) == 0 and calls(sick("a"), 5) == 0, "flutter"
    assert calls(sick("a", severity="critical"), 6) == wanted, "worse"
    assert calls(WELL, 7) == 0
    assert calls(sick("a", severity="critical"), 5 + SILENT) == 0
    assert calls(WELL, 6 + SILENT) == 0 and calls(sick("b", severity="critical"), 7 + SILENT) == wanted
    assert calls(sick("b"), 8 + SILENT, state="failed", why="killed") == wanted
    herald.forget()
    assert calls(sick("c"), 9 + SILENT) == 0, "another run"


def test_a_run_that_is_over_never_calls(snapshot: Snapshot) -> None:
    herald, written = told("bell")
    over = replace(snapshot, state="finished")
    for health in (WELL, sick("a"), sick("a", "b", severity="critical")):
        herald.tell(over, health, 0.0)
    assert "\x07" not in written


async def test_the_cockpit_tells_the_newest_state_while_one_looks_at_an_older_step(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "quickstart", max_steps=100, probes=False)
    run.state("running")
    run.advance(41)
    app = Counted(run.layout.root, rate=30.0)
    app.driver_class = Wire
    async with app.run_test(headless=False, size=(120, 40)) as pilot:
        await until_seen(pilot, "step +41 / 100")
        app.go_to(7)
        await until_seen(pilot, "shown: step 7")
        run.advance(1)
        await until_seen(pilot, "step +42 / 100")
        wire = app._driver
        assert isinstance(wire, Wire)
        assert "running 42/100" in "".join(wire.written).rpartition("\x1b]2;")[2]
    assert wire.written.count(RESTORE) == 1


def test_a_real_terminal_gets_its_title_back(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "quickstart", max_steps=100, probes=False)
    run.state("running")
    run.advance(41)
    command = [sys.executable, "-m", "rlpeaks_tui.cli", "watch", str(run.layout.root)]
    terminal = Terminal(command, dict(os.environ))
    terminal.wait("step +41 / 100")
    assert b"\x1b[22;0t\x1b]2;quickstart: running 41/100" in terminal.raw
    terminal.press("q")
    assert terminal.wait_end() == 0
    assert terminal.raw.rstrip().rpartition(b"\x1b[23;0t")[1], "given back"
