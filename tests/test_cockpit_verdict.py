"""The verdict says whether the run lives before it says how it is; the header and the footer fit any width."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from rlpeaks_tui.cockpit import strips, verdict
from rlpeaks_tui.cockpit.advice import advised, hindrance
from rlpeaks_tui.cockpit.cells import Ink
from rlpeaks_tui.cockpit.commands import hints
from rlpeaks_tui.cockpit.scene import Finding, Health, Scene, View
from rlpeaks_tui.run.mailbox import send
from tests.cockpit_fakes import FakeRun, scene_of, steered_run


def words(scene: Scene, width: int = 140) -> str:
    # Without the blanks around what stands on a ground of its own.
    rows = verdict.strip(scene, width, verdict.rows(scene, width)).rows()
    return "\n".join(re.sub(r"^ (?=\S)", "", row) for row in rows)


@pytest.fixture
def run(tmp_path: Path) -> FakeRun:
    return steered_run(tmp_path / "quickstart", steps=200)


def test_starting_says_what_it_does_and_for_how_long(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "run")
    run.state("starting", "loading model")
    scene = scene_of(run.layout.root)
    scene = replace(scene, snapshot=replace(scene.snapshot, activity_age=73.0))
    assert words(scene).startswith("STARTING  loading model  for 1m 13s")


def test_running_well_counts_the_checks(run: FakeRun) -> None:
    scene = replace(
        scene_of(run.layout.root), health=Health(passed=9, not_applying=1, unknown=(("gradient", "warming up"),))
    )
    assert words(scene).startswith("ALL CLEAR  9 checks pass, 1 do not apply, 1 unknown  [x] each  (gradient)")


def test_all_is_not_clear_while_most_checks_could_not_be_made(run: FakeRun) -> None:
    unknown = tuple((f"rule {i}", "warming up") for i in range(17))
    scene = replace(scene_of(run.layout.root), health=Health(passed=2, not_applying=5, unknown=unknown))
    assert words(scene).startswith("NOTHING FOUND SO FAR  2 checks pass, 5 do not apply, 17 unknown")
    assert verdict.brief("running", "", scene.health)[0] == "nothing found so far"


def test_nothing_checked_is_not_all_clear(run: FakeRun) -> None:
    scene = replace(scene_of(run.layout.root), health=Health(unknown=(("kl", "no values"),)))
    assert "NO VERDICT YET" in words(scene) and "(kl: no values)" in words(scene) and "CLEAR" not in words(scene)
    cells = verdict.strip(scene, 100, 1)
    assert not ((cells.inks & 63) == Ink.GOOD).any()


def test_the_worst_finding_is_said_with_since_when_and_what_to_do(run: FakeRun) -> None:
    run.settings(beta=0.0)
    found = Finding("entropy-collapse", "Entropy collapses", "critical", 388, "0.03 of 0.24", "set beta=0.1", "entropy")
    health = Health((found, Finding("gradient", "Gradients spike", "warn", 390)), 8)
    scene = replace(scene_of(run.layout.root), health=health)
    assert words(scene).startswith(
        "ENTROPY COLLAPSES  since 388  and 1 more [x]  [a] try set beta=0.1 (0 now)  0.03 of 0.24"
    )
    ended = replace(scene, snapshot=replace(scene.snapshot, state="finished"))
    assert "try" not in words(ended) and words(ended).startswith("FINISHED")


def test_a_narrow_screen_has_the_key_and_the_evidence_in_a_second_row(run: FakeRun) -> None:
    run.settings(beta=0.0)
    found = Finding(
        "kl", "KL grows without gain in reward", "warn", 388, "0.34 nats, 5 times its usual", "set beta=0.1"
    )
    scene = replace(scene_of(run.layout.root), health=Health((found,), 8))
    first, second = (row.rstrip() for row in words(scene, 78).split("\n"))
    assert first == "KL GROWS WITHOUT GAIN IN REWARD  since 388  [a] try set beta=0.1 (0 now)"
    assert second == "0.34 nats, 5 times its usual"
    assert all(len(row) <= 40 for row in words(scene, 40).split("\n"))


def test_only_a_remedy_that_can_be_given_is_offered(run: FakeRun) -> None:
    run.settings(beta=0.0, cannot={"set entropy_coef": "the loss has no such term"})
    scene = scene_of(run.layout.root)
    findings = tuple(
        Finding(name, name, "warn", 1, "", remedy)
        for name, remedy in (("a", "set entropy_coef=0"), ("b", "set unknown=1"), ("c", "set beta=0.1"))
    )
    assert advised(scene.snapshot, findings) == "set beta=0.1"
    assert hindrance(scene.snapshot, "set entropy_coef=0") == "the loss has no such term"
    assert "[a]" not in words(replace(scene, health=Health(findings[:2], 8)))


def test_a_remedy_is_filled_in_with_what_the_run_knows(run: FakeRun) -> None:
    run.settings(learning_rate=1e-4)
    run.checkpoint("late")
    snapshot = scene_of(run.layout.root).snapshot
    steps = [saved.step for saved in snapshot.restorable]
    assert steps == [100, 200]

    def advice(since: int, remedy: str = "rollback CHECKPOINT") -> str:
        return advised(snapshot, [Finding("a", "a", "warn", since, "", remedy)])

    # From before the trouble, not the newest; the start where every checkpoint is as sick as the run.
    assert (advice(150), advice(201), advice(20)) == ("rollback auto-200", "rollback late", "reset --to base")
    assert advice(150, "set learning_rate=VALUE") == "set learning_rate=5e-05"


@pytest.mark.parametrize(("now", "offered"), [(0.0, "0.04"), (0.02, "0.04"), (0.1, "0.2")])
def test_a_setting_is_advised_with_a_number_and_with_what_is_in_force(run: FakeRun, now: float, offered: str) -> None:
    run.settings(beta=now)
    found = Finding("kl", "KL grows", "warn", 388, "", "set beta=VALUE")
    scene = replace(scene_of(run.layout.root), health=Health((found,), 8))
    assert advised(scene.snapshot, [found]) == f"set beta={offered}"
    assert f"try set beta={offered} ({now:g} now)" in words(scene)


def test_a_failure_says_how_and_shows_the_end_of_the_traceback(run: FakeRun) -> None:
    tail = ("Traceback (most recent call last):", "    trainer.train()", "RuntimeError: out of memory " + "x" * 300)
    run.exit(1, tail=tail)
    scene = scene_of(run.layout.root)
    lines = words(scene, 100).split("\n")
    assert lines[0].startswith("FAILED  exit status 1")
    assert any(line.startswith("    trainer.train()") for line in lines)
    assert any(line.startswith("RuntimeError: out of memory") for line in lines)
    assert len(lines) <= verdict.TAIL_ROWS + 1


def test_a_kill_names_its_signal(run: FakeRun) -> None:
    run.exit(None, "SIGKILL")
    assert "FAILED  killed by SIGKILL" in words(scene_of(run.layout.root))


def test_lost_comes_before_any_advice(run: FakeRun) -> None:
    scene = scene_of(run.layout.root)
    lost = replace(scene, snapshot=replace(scene.snapshot, state="lost", why="no sign of life from node7 for 75 s"))
    assert words(lost).split("\n")[0].strip() == "LOST  no sign of life from node7 for 75 s"


def test_paused_says_where_and_does_not_change_with_time(run: FakeRun) -> None:
    run.command("z", "pause")
    run.state("paused")
    scene = scene_of(run.layout.root)
    later = replace(scene, snapshot=replace(scene.snapshot, activity_age=999.0, heartbeat_age=3.0))
    assert words(scene).startswith("PAUSED  at step 200 since ")
    assert words(scene) == words(later)


def test_a_command_on_its_way_is_said(run: FakeRun) -> None:
    send(run.layout.root, "pause")
    assert "pause sent, waiting for the next safe point" in words(scene_of(run.layout.root))


def test_a_cursor_names_its_step(run: FakeRun) -> None:
    scene = replace(scene_of(run.layout.root), view=View(cursor=50), health=Health(passed=3))
    assert words(scene).startswith("ALL CLEAR  at step 50  3 checks pass")


@pytest.mark.parametrize("width", [20, 40, 60, 78, 100, 140, 240])
def test_header_and_footer_fit_and_keep_what_matters(run: FakeRun, width: int) -> None:
    scene = scene_of(run.layout.root)
    row = strips.header(scene, 200, width).rows()[0]
    assert len(row) == width and "● live" in row
    if width >= 60:
        assert row.startswith("quickstart ") and "step 200 / 1,000" in row
    if width >= 140:
        assert "float32" in row and "three operands" in row and "left" in row
    keys = strips.footer(hints({}), width).rows()[0]
    assert "? help" in keys or width < 24
    if width >= 60:
        assert "q leave" in keys and "p pause" in keys
    if width >= 78:
        # What the verdict advises goes before moving in time, when it advises anything.
        calm = strips.footer(hints({"remedy": "the verdict advises no command"}), width).rows()[0]
        assert "a act" in keys and "z enlarge" in keys and "[ ] scrub" in calm


def test_the_header_does_not_move_as_steps_grow(run: FakeRun) -> None:
    scene = scene_of(run.layout.root)
    rows = [strips.header(scene, step, 120).rows()[0] for step in (1, 10, 200, 999, 1000)]
    assert len({row.index("/ 1,000") for row in rows}) == 1
    assert len({row.index("quickstart") for row in rows}) == 1


@pytest.mark.parametrize("width", [78, 98, 118, 158])
def test_nothing_in_the_header_comes_and_goes_with_the_speed(run: FakeRun, width: int) -> None:
    scene = scene_of(run.layout.root)
    rows = []
    for speed, eta in ((0.938, 48.0), (7.58, 748.0), (12.4, 12_000.0), (None, None)):
        snapshot = replace(scene.snapshot, speed=speed, eta_s=eta)
        rows.append(strips.header(replace(scene, snapshot=snapshot), 200, width).rows()[0])
    assert len({"GRPO" in row for row in rows}) == len({row.index("step") for row in rows}) == 1


def test_a_held_view_says_so(run: FakeRun) -> None:
    scene = replace(scene_of(run.layout.root), view=View(held=True))
    assert "held at 200" in strips.header(scene, 230, 120).rows()[0]
    assert "step 230" in strips.header(scene, 230, 120).rows()[0]


def test_small_curves_leave_out_the_panel_that_is_shown(run: FakeRun) -> None:
    scene = scene_of(run.layout.root)
    row = strips.sparks(scene, strips.others("entropy"), 78).rows()[0]
    assert "entropy" not in row
    assert all(label in row for label in ("reward", "KL", "ECE", "sparsity"))
