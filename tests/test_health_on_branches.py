"""The health of a run that went back to an older branch is that of a run which only ever took the present way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rlpeaks_tui.cockpit.checks import check
from rlpeaks_tui.instrument.alerts import Alerts
from rlpeaks_tui.run import present
from rlpeaks_tui.run.branches import along
from rlpeaks_tui.run.entries import Metrics, Probe
from rlpeaks_tui.run.follow import Follower, Snapshot
from rlpeaks_tui.stats.evaluator import Evaluator
from rlpeaks_tui.stats.judging import Finding
from tests.cockpit_fakes import FakeRun

SICK = "branch-2"


class Run(FakeRun):
    """What it measures depends on step and branch alone; one branch is sick. It remembers its rows."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, probes=False)
        self.rows: list[Metrics | Probe] = []
        self.follower = Follower(root)
        self.evaluator = Evaluator()

    def _metrics(self) -> Metrics:
        noise, sick = np.random.default_rng(self.step).normal(0, 1, 4), self.branch == SICK
        values = {
            "reward": 0.3 + 0.002 * self.step + 0.02 * noise[0],
            "entropy": 0.3 * np.exp(0.05 * noise[1]) * (0.2 if sick else 1),
            "grad_norm": np.exp(0.3 * noise[2]) * (300 if sick else 1),
            "completions/clipped_ratio": 0.9 if sick else 0.01,
            "kl/base_k3": 0.0005 * self.step * np.exp(0.2 * noise[3]),
        }
        row = Metrics(t=self.t, step=self.step, v={name: float(value) for name, value in values.items()})
        self.rows.append(row)
        return row

    def look(self) -> Snapshot:
        while self.follower.poll() or self.follower.more:
            pass
        return self.follower.snapshot()

    def judged(self) -> tuple[Finding, ...]:
        snapshot = self.look()
        return check(self.evaluator, snapshot, snapshot.step).judged


class Raised:
    """The rules that are said to fire now."""

    def __init__(self) -> None:
        self.alerts = Alerts("float32")
        self.now: set[str] = set()

    def take(self, rows: Sequence[Metrics | Probe]) -> set[str]:
        for row in rows:
            self.alerts.take(row)
        for alert in self.alerts.judge(rows[-1].step):
            (self.now.add if alert.on else self.now.remove)(alert.rule)
        return self.now


def crossed(root: Path) -> Run:
    """main to step 62, and a sick branch from its step 40 to 55; it can go on from step 60 of main."""
    run = Run(root)
    run.advance(40)
    run.checkpoint("c40")
    run.advance(20)
    run.checkpoint("c60")
    run.advance(2)
    run.roll_back(40, "c40")
    run.advance(15)
    return run


def test_a_viewer_judges_the_rows_that_led_here(tmp_path: Path) -> None:
    run, straight = crossed(tmp_path / "crossed"), Run(tmp_path / "straight")
    straight.advance(60)
    assert any(finding.state == "firing" for finding in run.judged()), "the sick branch is seen while the run is on it"
    run.roll_back(60, "c60")
    for steps in (1, 1, 1, 4, 10, 25):
        run.advance(steps)
        straight.advance(steps)
        assert run.judged() == straight.judged()
    snapshot = run.look()
    by_step_alone = Evaluator().evaluate(snapshot.columns, snapshot.step, dtype=snapshot.info.dtype)
    assert by_step_alone != run.judged(), "the branch that was left would be told from here, were it not for its place"
    # Also where somebody looks back.
    assert check(run.evaluator, snapshot, 58).judged == check(straight.evaluator, straight.look(), 58).judged


def test_the_training_process_judges_the_same_rows(tmp_path: Path) -> None:
    run, crooked, straight = crossed(tmp_path / "crossed"), Raised(), Raised()
    straight.take(run.rows[:60])
    crooked.take(run.rows[:62])
    crooked.alerts.went_back(present.nodes(run.look()))
    assert crooked.take(run.rows[62:]), "the sick branch is seen while the run is on it"
    run.roll_back(60, "c60")
    crooked.alerts.went_back(present.nodes(run.look()))
    for steps in (1, 1, 1, 4, 10, 25):
        done = len(run.rows)
        run.advance(steps)
        assert crooked.take(run.rows[done:]) == straight.take(run.rows[done:])


def test_a_metric_measured_seldom_is_judged_alike_in_training_and_by_a_viewer(tmp_path: Path) -> None:
    """Steps alone cannot tell of which branch its rows are."""
    run, raised = Run(tmp_path / "crossed"), Alerts("float32")
    told: set[str] = set()

    def sure(steps: int) -> None:
        for _ in range(steps):
            run.advance(1)
            run.rows.append(Probe(t=run.t, step=run.step, name="calibration", v={"calibration/confidence_std": 0.001}))
            run.journal.write(run.rows[-1])

    def look() -> None:
        for row in run.rows:
            raised.take(row)
        run.rows.clear()
        for alert in raised.judge(run.step):
            (told.add if alert.on else told.remove)(alert.rule)
        assert told == {finding.rule.id for finding in run.judged() if finding.state == "firing"}

    run.advance(20)
    run.checkpoint("c20")
    run.advance(30)
    run.checkpoint("c50")
    run.advance(10)
    look()
    run.roll_back(20, "c20")
    raised.went_back(present.nodes(run.look()))
    sure(29)
    look()
    assert "confidence-collapse" in told
    run.roll_back(50, "c50")
    raised.went_back(present.nodes(run.look()))
    sure(1)
    look()
    assert "confidence-collapse" not in told


def test_what_was_evaluated_on_a_branch_that_was_left_says_nothing_before_the_next_evaluation(tmp_path: Path) -> None:
    """The branch that was left had its last evaluation at a step that the new one has already passed."""
    run, raised = Run(tmp_path / "back"), Alerts("float32")
    run.advance(40)
    run.checkpoint("c40")
    run.advance(5)
    run.rows.append(Probe(t=run.t, step=45, name="calibration", v={"calibration/confidence_std": 0.001}))
    run.journal.write(run.rows[-1])
    for row in run.rows:
        raised.take(row)
    raised.judge(45)
    run.advance(5)
    run.roll_back(40, "c40")
    raised.went_back(present.nodes(run.look()))
    done = len(run.rows)
    run.advance(15)
    for row in run.rows[done:]:
        raised.take(row)
    raised.judge(run.step)
    columns = along(raised._store.columns(), raised._nodes)
    assert "calibration/confidence_std" not in columns or not len(columns["calibration/confidence_std"].steps)
    (found,) = (finding for finding in run.judged() if finding.rule.id == "confidence-collapse")
    assert (found.state, found.evidence) == ("unknown", "calibration/confidence_std: no values up to step 55")
