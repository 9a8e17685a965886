"""What the verdict advises after a command that broke the run, and how it says that one came before."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from rlpeaks_tui.cockpit import verdict
from rlpeaks_tui.cockpit.advice import SOON, advised, after_what, awaited, hindrance, led_up
from rlpeaks_tui.cockpit.checks import check
from rlpeaks_tui.cockpit.scene import Finding, Health
from rlpeaks_tui.run.entries import Command, Metrics
from rlpeaks_tui.stats.effect import SHORT
from rlpeaks_tui.stats.evaluator import Evaluator
from tests.cockpit_fakes import FakeRun, scene_of

RATE = "set learning_rate=VALUE"


def found(since: int, remedy: str = RATE, severity: str = "critical") -> Finding:
    return Finding("left-start", "The policy has left its start", severity, since, "KL 4 nats/token", remedy)


def rated(run: FakeRun, rate: float) -> None:
    """The learning rate in force from here on."""
    run.rate = rate
    run.settings(learning_rate=rate, beta=0.0)


@pytest.fixture
def run(tmp_path: Path) -> FakeRun:
    run = FakeRun(tmp_path / "run")
    run.state("running")
    rated(run, 0.05)
    return run


def changed(run: FakeRun, rate: float, verb: str = "set") -> None:
    """A command changes the learning rate."""
    args = [f"learning_rate={rate:g}"] if verb == "set" else []
    before, after = {"learning_rate": run.rate}, {"learning_rate": rate}
    run.journal.write(
        Command(
            t=run.t, step=run.step, id=f"{verb}-{run.step}", verb=verb, status="applied", who="me",
            args=args, before=before, after=after,
        )
    )  # fmt: skip
    rated(run, rate)


def raised(run: FakeRun) -> None:
    changed(run, 0.1)


def test_a_rate_that_broke_the_policy_is_lowered_before_the_weights_go_back(run: FakeRun) -> None:
    run.advance(60)
    snapshot = scene_of(run.layout.root).snapshot
    assert advised(snapshot, [found(6)]) == "set learning_rate=0.005"
    assert advised(snapshot, [found(6, severity="warn")]) == "set learning_rate=0.025"
    changed(run, 0.005)
    assert advised(scene_of(run.layout.root).snapshot, [found(6)]) == "reset --to base"


def test_a_schedule_that_lowers_the_rate_is_no_answer(run: FakeRun) -> None:
    """TRL's default schedule is linear; what was journaled at the start stays as it is."""
    for _ in range(60):
        run.rate = 0.05 * (1 - run.step / 1000)
        run.advance(1)
    assert advised(scene_of(run.layout.root).snapshot, [found(30)]) == "set learning_rate=0.004705"
    run.command("a", "set", "beta=0.1", beta=0.1)
    run.settings(learning_rate=run.rate, beta=0.1)
    run.advance(30)
    assert advised(scene_of(run.layout.root).snapshot, [found(30)]).startswith("set learning_rate=")


def test_weights_alone_go_back_so_that_the_lower_rate_stays(run: FakeRun) -> None:
    run.advance(40)
    run.checkpoint("auto-40")
    run.advance(60)
    changed(run, 0.005)
    assert advised(scene_of(run.layout.root).snapshot, [found(70)]) == "reset --to auto-40"
    assert advised(scene_of(run.layout.root).snapshot, [found(30)]) == "reset --to base"


def test_what_follows_a_setting_goes_back_to_the_checkpoint_before_it(run: FakeRun) -> None:
    run.advance(40)
    run.checkpoint("auto-40")
    run.advance(20)
    raised(run)
    run.advance(10)
    run.checkpoint("auto-70")
    run.advance(30)
    snapshot = scene_of(run.layout.root).snapshot
    assert after_what(snapshot, found(75)) == "after #1 set learning_rate=0.1"
    # The one at 70 is from before the finding and from after the command.
    assert advised(snapshot, [found(75)]) == "rollback auto-40"
    # Where the weights are not what is broken, the setting is enough.
    assert advised(snapshot, [found(75, "phase prev")]) == "undo"


def test_a_setting_is_undone_where_no_checkpoint_is_older_and_then_the_weights_go_back(run: FakeRun) -> None:
    run.advance(60)
    raised(run)
    run.advance(40)
    assert advised(scene_of(run.layout.root).snapshot, [found(75)]) == "undo"
    changed(run, 0.05, "undo")
    assert advised(scene_of(run.layout.root).snapshot, [found(75)]) == "reset --to base"


def test_a_command_on_the_weights_is_undone(run: FakeRun) -> None:
    run.advance(60)
    run.checkpoint("undo-60")
    run.command("a", "reset", "--to", "base", distance=1.0)
    run.advance(40)
    assert advised(scene_of(run.layout.root).snapshot, [found(75, "rollback CHECKPOINT")]) == "undo"


@pytest.mark.parametrize(
    ("since", "told"), [(60, False), (61, True), (60 + SOON, True), (61 + SOON, False), (None, False)]
)
def test_only_what_begins_soon_after_a_command_is_told_so(run: FakeRun, since: int | None, told: bool) -> None:
    run.advance(60)
    raised(run)
    run.command("b", "note", "nothing", text=1.0)
    run.command("c", "set", "beta=0", status="refused", beta=0.0)
    run.command("d", "set", "beta=0", beta=0.0)  # changes nothing: it was 0
    run.advance(60)
    finding = replace(found(0), since=since)
    assert bool(after_what(scene_of(run.layout.root).snapshot, finding)) == told
    if told:
        assert after_what(scene_of(run.layout.root).snapshot, finding).startswith("after #1 set")


def test_a_command_on_a_branch_that_was_left_led_to_nothing(run: FakeRun) -> None:
    run.advance(40)
    run.checkpoint("auto-40")
    run.advance(20)
    raised(run)
    run.advance(20)
    run.roll_back(40, "auto-40")
    run.advance(60)
    assert after_what(scene_of(run.layout.root).snapshot, found(75)) == ""


def test_the_verdict_names_the_command_before_the_evidence(run: FakeRun) -> None:
    run.advance(60)
    raised(run)
    run.advance(40)
    scene = replace(scene_of(run.layout.root), health=Health((found(75),), 8))
    words = "".join(verdict.strip(scene, 160, 1).rows())
    assert "try undo  after #1 set learning_rate=0.1; KL 4 nats/token" in words
    calm = replace(scene, health=Health((found(20),), 8))
    assert "after #" not in "".join(verdict.strip(calm, 160, 1).rows())


def test_a_setting_that_is_in_force_already_is_no_remedy(run: FakeRun) -> None:
    run.advance(20)
    snapshot = scene_of(run.layout.root).snapshot
    assert hindrance(snapshot, "set beta=0") == "beta is 0 already"
    assert advised(snapshot, [found(10, "set beta=0"), found(10, "set beta=0.1")]) == "set beta=0.1"


@pytest.mark.parametrize(
    ("first", "now", "offered"),
    [
        (1e-4, 1e20, "0.0001"),  # far above what the run began with: back to that
        (1e-4, 0.5, "0.0001"),
        (1e-4, 1e-3, "0.0001"),
        (1e-4, 5e-4, "5e-05"),
        (1e20, 1e20, "1e-06"),  # a tenth of that would be of no more use
    ],
)
def test_from_a_rate_far_beyond_the_first_one_the_advice_is_to_go_back_to_that(
    run: FakeRun, first: float, now: float, offered: str
) -> None:
    other = FakeRun(run.layout.root.parent / "other")
    rated(other, first)
    other.advance(20)
    rated(other, now)
    other.advance(60)
    assert advised(scene_of(other.layout.root).snapshot, [found(25)]) == f"set learning_rate={offered}"


def test_the_next_dose_waits_until_the_first_can_have_worked(run: FakeRun) -> None:
    finding = found(20, "set beta=VALUE", "warn")
    run.advance(40)
    run.command("a", "set", "beta=0.04", beta=0.04)
    run.settings(learning_rate=0.05, beta=0.04)
    for steps, waits in ((9, True), (10, True), (1, False), (10, False)):
        run.advance(steps)
        scene = replace(scene_of(run.layout.root), health=Health((finding,), 8))
        words = "".join(verdict.strip(scene, 160, 1).rows())
        assert ("waiting for the effect of #1" in words) == waits
        assert ("[a] try set beta=0.08 (0.04 now)" in words) == (not waits)
        assert (advised(scene.snapshot, [finding]) == "") == waits
    # What was taken back has no effect to wait for, and another finding's command none on this one.
    run.command("b", "set", "beta=0.08", beta=0.08)
    run.settings(learning_rate=0.05, beta=0.08)
    run.advance(3)
    assert awaited(scene_of(run.layout.root).snapshot, [finding]) == "#2"
    assert awaited(scene_of(run.layout.root).snapshot, [replace(finding, since=72)]) == ""
    assert awaited(scene_of(run.layout.root).snapshot, [found(20, "set temperature=1.2", "warn")]) == ""
    run.command("c", "undo", beta=0.04)
    run.settings(learning_rate=0.05, beta=0.04)
    assert awaited(scene_of(run.layout.root).snapshot, [finding]) == ""


def test_no_finding_is_answered_while_it_is_of_the_weights_before(run: FakeRun) -> None:
    run.advance(40)
    run.command("a", "reset", "--to", "base", distance=1.0)
    for steps, waits in ((SHORT - 1, True), (1, False)):
        run.advance(steps)
        snapshot = scene_of(run.layout.root).snapshot
        assert awaited(snapshot, [found(20, "set beta=VALUE", "warn")]) == ("#1" if waits else "")
        assert awaited(snapshot, [found(50, "set beta=VALUE", "warn")]) == "", "it began after that"


def test_the_cause_is_told_before_what_follows_from_it(run: FakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Completions were cut off before the policy was lost, and are as grave."""
    t = iter(range(1, 61))

    def lost() -> Metrics:
        step = next(t)
        values = {"kl/base_k1": 0.0 if step < 30 else 5.0, "reward": 0.4 if step < 30 else 0.0}
        return Metrics(t=run.t, step=step, v=values | {"completions/clipped_ratio": 0.5})

    monkeypatch.setattr(run, "_metrics", lost)
    run.advance(60)
    health = check(Evaluator(), scene_of(run.layout.root).snapshot, 60)
    assert [each.rule for each in health.findings[:2]] == ["left-start", "truncation"]
    assert health.findings[0].since > health.findings[1].since  # type: ignore[operator]
    assert health.findings[0].panel == "kl"


def test_what_went_back_counts_from_where_it_went(run: FakeRun) -> None:
    run.advance(30)
    run.checkpoint("auto-30")
    run.advance(20)
    run.checkpoint("auto-50")
    run.advance(100)
    back = {"before": {"step": 150}, "after": {"step": 50, "checkpoint": "auto-50"}}
    run.roll_back(50, "auto-50")
    run.journal.write(
        Command(t=run.t, step=150, id="b", verb="rollback", status="applied", who="me", args=["auto-50"], **back)
    )
    run.advance(15)
    going_back = [found(40, "rollback CHECKPOINT")]
    assert awaited(scene_of(run.layout.root).snapshot, going_back) == "#1"
    run.advance(SHORT)
    snapshot = scene_of(run.layout.root).snapshot
    assert awaited(snapshot, going_back) == ""
    # What begins soon after is told so, and is not answered by undoing what led away from the trouble.
    assert led_up(snapshot, found(60)) == snapshot.commands[0] and led_up(snapshot, found(40)) is None
    assert advised(snapshot, [found(60)]) == "set learning_rate=0.005"
    assert advised(snapshot, [found(60, "rollback CHECKPOINT")]) == "rollback auto-50"
