"""The verdict says whether the run lives before it says how it is; the header and the footer fit any width."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from rlpeaks_tui.cockpit import plan, strips, verdict
from rlpeaks_tui.cockpit.advice import advised, hindrance
from rlpeaks_tui.cockpit.cells import Ink
from rlpeaks_tui.cockpit.commands import hints
from rlpeaks_tui.cockpit.scene import Finding, Health, Scene, View
from rlpeaks_tui.run import endings
from rlpeaks_tui.run.entries import Metrics
from rlpeaks_tui.run.mailbox import send
from tests.cockpit_fakes import PHASES, FakeRun, scene_of, steered_run


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
    assert words(scene).startswith("ALL CLEAR  9 checks ok, 1 n/a, 1 unknown  [x] each")
    assert "gradient" not in words(scene)


def test_all_is_not_clear_while_most_checks_could_not_be_made(run: FakeRun) -> None:
    unknown = tuple((f"rule {i}", "warming up") for i in range(17))
    scene = replace(scene_of(run.layout.root), health=Health(passed=2, not_applying=5, unknown=unknown))
    assert words(scene).startswith("NOTHING FOUND SO FAR  2 checks ok, 5 n/a, 17 unknown  [x] each")
    assert verdict.brief("running", "", scene.health, "")[0] == "nothing found so far"


def test_nothing_checked_is_not_all_clear(run: FakeRun) -> None:
    scene = replace(scene_of(run.layout.root), health=Health(unknown=(("kl", "no values"),)))
    assert (
        "NO VERDICT YET" in words(scene)
        and "1 check unknown  (no values)" in words(scene)
        and "CLEAR" not in words(scene)
    )
    cells = verdict.strip(scene, 100, 1)
    assert not ((cells.inks & 63) == Ink.GOOD).any()


def test_the_worst_finding_is_said_with_since_when_and_what_to_do(run: FakeRun) -> None:
    run.settings(beta=0.0)
    found = Finding("entropy-collapse", "Entropy collapses", "critical", 388, "0.03 of 0.24", "set beta=0.1", "entropy")
    health = Health((found, Finding("gradient", "Gradients spike", "warn", 390)), 8)
    scene = replace(scene_of(run.layout.root), health=health)
    assert words(scene).startswith(
        "ENTROPY COLLAPSES  since 388  [a] try set beta=0.1 (0 now)  and 1 more [x]  0.03 of 0.24"
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


@pytest.mark.parametrize("height", [40, 24, 16])
def test_a_blank_row_follows_the_verdict_however_long_its_evidence_is(run: FakeRun, height: int) -> None:
    for evidence in ("short", "long " * 40):
        found = Finding("kl", "KL grows without gain in reward", "warn", 388, evidence)
        scene = replace(scene_of(run.layout.root), health=Health((found,), 8))
        places = plan.overview(120, height, verdict.rows(scene, 118))
        strip = places["verdict"]
        first = min(place.y for name, place in places.items() if place.y > strip.y)
        assert strip.height == 2 and first == strip.y + 3
    calm = replace(scene, health=Health(passed=9))
    assert verdict.rows(calm, 118) == 1


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


@pytest.mark.parametrize(
    ("right", "wrong", "phase", "said"),
    [
        (0.6, 0.1, "three operands", "[a] try phase next (mostly hard)"),
        (0.1, 0.6, "three operands", "[a] try phase prev (two operands)"),
        (0.6, 0.1, "mostly hard", "no phase next: there is no phase after the present one"),
    ],
)
def test_groups_that_teach_nothing_want_other_prompts_than_they_have(
    tmp_path: Path, right: float, wrong: float, phase: str, said: str
) -> None:
    """Harder ones where all are right, easier ones where all are wrong, and nothing where there are none."""
    run = steered_run(tmp_path / "run", steps=200)
    run.phase(phase, [each["name"] for each in PHASES].index(phase))
    rows = [
        Metrics(t=run.t, step=200 + i, v={"groups/all_right": right, "groups/all_wrong": wrong}) for i in range(1, 60)
    ]
    run.journal.write(*rows)
    found = Finding("zero-variance", "Many groups teach nothing", "warn", 388, "", "phase NAME")
    scene = replace(scene_of(run.layout.root), health=Health((found,), 8))
    assert words(scene).rstrip().endswith(said)


TRACEBACK = (
    "Traceback (most recent call last):",
    '  File "/home/ada/rewards.py", line 41, in count_digits',
    "    return int(text) / 0",
    "           ~~~~~~~~~~^~~",
    '  File "/usr/lib/python3.11/site-packages/trl/trainer.py", line 7, in call',
    "ZeroDivisionError: division by zero",
)


def failed(run: FakeRun, why: str, *argv: str, **config: object) -> Scene:
    run.exit(1, tail=TRACEBACK)
    scene = scene_of(run.layout.root)
    info = replace(scene.snapshot.info, argv=list(argv), config=config)
    return replace(scene, snapshot=replace(scene.snapshot, why=why, info=info))


@pytest.mark.parametrize("width", [78, 120])
def test_a_failure_says_why_where_and_how_to_go_on(run: FakeRun, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.layout.root.parent)
    argv = ("/usr/bin/rlpeaks", "run", "quickstart", "--name", "quickstart", "--set", "seed=3")
    scene = failed(run, "ZeroDivisionError: division by zero", *argv, model="tiny_arith")
    said = [row.rstrip() for row in words(scene, width).split("\n")]
    assert said[0] == "FAILED  ZeroDivisionError: division by zero"
    assert said[1] == "/home/ada/rewards.py:41, in count_digits"
    assert said[2] == "a new run goes on from the weights of its newest checkpoint, step 100:"
    command = "rlpeaks run quickstart --set seed=3 --set model=quickstart/checkpoints/auto-200"
    assert " ".join(said[3:-1]) == command
    assert said[-1] == "[9] all that it printed"
    assert "~~" not in words(scene, width) and words(scene, width).count("division by zero") == 1


def test_a_script_that_failed_goes_on_by_its_own_line(run: FakeRun) -> None:
    scene = failed(run, "exit status 1", "rlpeaks", "run", "my.py", script="/home/ada/my.py")
    said = " ".join(words(scene, 200).split())
    assert said.startswith("FAILED exit status 1: ZeroDivisionError: division by zero /home/ada/rewards.py:41")
    assert "trainer.train(resume_from_checkpoint='" in said and "auto-200')" in said


def test_without_a_checkpoint_a_failed_run_can_only_start_again(run: FakeRun) -> None:
    scene = failed(run, "RuntimeError: out of memory " + "x" * 300, "rlpeaks", "run", "quickstart", model="tiny_arith")
    scene = replace(scene, snapshot=replace(scene.snapshot, restorable=()))
    said = [row.rstrip() for row in words(scene, 78).split("\n")]
    assert said[0].startswith("FAILED  RuntimeError: out of memory") and len(said) <= 8
    assert (
        "no checkpoint is on disk" in said[3]
        and "to start again:" in " ".join(said)
        and "rlpeaks run quickstart" in said
    )


def test_a_kill_names_its_signal_and_the_usual_cause(run: FakeRun) -> None:
    run.exit(None, "SIGKILL")
    said = " ".join(words(scene_of(run.layout.root), 78).split())
    assert said.startswith("FAILED killed by SIGKILL: as a rule its machine was out of memory")
    run.exit(None, "SIGTERM")
    assert "memory" not in words(scene_of(run.layout.root))


DIVERGED = Health(
    (
        Finding("left-start", "The policy has left its start without gain", "critical", 7, "KL 6.8", "set beta=1"),
        Finding("reward-zero", "No rollout earns anything", "critical", 21),
    ),
    passed=3,
)


@pytest.mark.parametrize("width", [60, 78, 118, 200])
def test_a_run_that_was_killed_says_what_the_checks_had_found_before(run: FakeRun, width: int) -> None:
    run.exit(None, "SIGKILL")
    scene = replace(scene_of(run.layout.root), health=DIVERGED)
    said = " ".join(words(scene, width).split())
    assert "killed by SIGKILL" in said
    assert "before that THE POLICY HAS LEFT ITS START WITHOUT GAIN since 7 and 1 more [x]" in said
    assert "try" not in said, "no advice to a run that is dead"
    assert all(len(row) <= width for row in words(scene, width).split("\n"))
    back = replace(scene, view=View(cursor=150))
    assert "at step 150 THE POLICY HAS LEFT" in " ".join(words(back, width).split())


def test_a_verdict_in_a_few_words_keeps_both_what_killed_a_run_and_what_it_had() -> None:
    why = "RuntimeError: probability tensor contains either `inf`, `nan` or element < 0"
    assert verdict.brief("failed", "killed by SIGKILL", DIVERGED, "")[0] == (
        "killed by SIGKILL; before that The policy has left its start without gain and 1 more"
    )
    for room in (100, 80):
        said = verdict.brief("failed", why, DIVERGED, "", room)[0]
        assert said.startswith("RuntimeError: probab") and "left its start without gain and 1 more" in said
    assert "before that The policy" in verdict.brief("lost", why, DIVERGED, "", 50)[0][:50]
    assert verdict.brief("failed", why, Health(passed=9), "")[0] == why
    assert verdict.brief("failed", "", Health(), "")[0] == "it is not known why"


SUSPECTS = {
    "beyond all bounds": (
        1e39,
        "killed by SIGKILL",
        "the learning rate, 1e+39, is the suspect: useful ones are between",
    ),
    "not finite": (
        1e-3,
        "RuntimeError: probability tensor contains either `inf`, `nan` or element < 0",
        "the learning rate, 0.001, is the suspect: numbers were no longer finite",
    ),
    "left its start": (1e-3, "killed by SIGKILL", "the learning rate, 0.001, is the suspect: the policy had left its"),
    "an error of another kind": (1e-3, "ValueError: no such name, information follows", ""),
}


@pytest.mark.parametrize("case", SUSPECTS)
@pytest.mark.parametrize("given", [True, False])
def test_a_rate_that_killed_a_run_is_named_and_not_offered_again(tmp_path: Path, case: str, given: bool) -> None:
    rate, why, said = SUSPECTS[case]
    run = FakeRun(tmp_path / "run")
    run.state("running")
    # Under a warm-up, which begins with 0.
    run.settings(learning_rate=0.0, beta=0.0)
    run.rate = rate
    run.advance(20)
    if case == "left its start":
        run.alert("left-start", "The policy has left its start")
        run.advance(5)
        run.checkpoint("auto-25")  # as lost as the run
    run.exit(1)
    scene = scene_of(run.layout.root)
    argv = ["rlpeaks", "run", "quickstart", "--detach", *(["--set", f"grpo.learning_rate={rate:g}"] if given else [])]
    info = replace(scene.snapshot.info, argv=argv, config={"model": "tiny_arith", "trainer": "grpo"})
    scene = replace(scene, snapshot=replace(scene.snapshot, why=why, info=info))
    rows = [row.rstrip() for row in words(scene, 118).split("\n")]
    assert any(row.startswith(said) for row in rows) if said else "suspect" not in " ".join(rows)
    (typed,) = (row for row in rows if row.startswith("rlpeaks run"))
    if not said:
        assert typed == " ".join(argv)
    elif given:
        assert typed == "rlpeaks run quickstart --detach"
        assert "to start again with the run file's own learning rate:" in " ".join(rows)
    else:
        lower = "RATE" if rate > 1 else "0.0001"
        assert typed == f"rlpeaks run quickstart --detach --set grpo.learning_rate={lower}"


@pytest.mark.parametrize(
    ("peak", "now", "typed"), [(1e-6, 1.0, "1e-06"), (1e-3, 1e-4, "0.0001"), (1e-3, 2e-3, "0.0002")]
)
def test_a_run_that_a_rate_broke_starts_again_with_one_that_is_of_use(
    tmp_path: Path, peak: float, now: float, typed: str
) -> None:
    """Raised by a command a million times, lowered by its schedule, or raised a little."""
    run = FakeRun(tmp_path / "run")
    run.state("running")
    run.settings(learning_rate=peak, beta=0.0)
    run.rate = now
    run.advance(20)
    run.exit(1)
    snapshot = scene_of(run.layout.root).snapshot
    config = {"model": "tiny_arith", "trainer": "grpo", "grpo": {"learning_rate": peak}}
    info = replace(snapshot.info, config=config)
    broken = replace(snapshot, why="RuntimeError: probabilities are nan", info=info)
    assert endings.onward(broken)[1] == f"rlpeaks run quickstart --set grpo.learning_rate={typed}"


def test_a_rate_of_nothing_is_no_suspect(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "run")
    run.state("running")
    run.settings(learning_rate=0.0, beta=0.0)
    run.exit(1)
    assert endings.suspect(replace(scene_of(run.layout.root).snapshot, why="KeyError: 'nan'")) == ""


def test_one_row_of_a_failed_run_says_both(run: FakeRun) -> None:
    run.exit(None, "SIGKILL")
    scene = replace(scene_of(run.layout.root), health=DIVERGED)
    (row,) = verdict.strip(scene, 110, 1).rows()
    assert "killed by SIGKILL" in row and "before that The policy has left its start without gain" in row


def test_lost_comes_before_any_advice(run: FakeRun) -> None:
    scene = scene_of(run.layout.root)
    lost = replace(scene, snapshot=replace(scene.snapshot, state="lost", why="no sign of life from node7 for 75 s"))
    said = [row.strip() for row in words(lost).split("\n")]
    # It may still go on: nothing says how to start it again.
    assert said == ["LOST  no sign of life from node7 for 75 s", "[9] all that it printed"]


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
    assert words(scene).startswith("ALL CLEAR  at step 50  3 checks ok")


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


def test_a_long_notice_takes_the_free_row_above_the_keys() -> None:
    notice = "set learning_rate=3 refused at step 200: learning_rate must be between 1e-12 and 1; got 3"
    first, second = (row.rstrip() for row in strips.footer(hints({}), 78, notice, 2).rows())
    assert f"{first} {second}" == notice
    blank, short = strips.footer(hints({}), 78, "stop sent", 2).rows()
    assert not blank.strip() and short.startswith("stop sent")
    blank, keys = strips.footer(hints({}), 78, "", 2).rows()
    assert not blank.strip() and "? help" in keys


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
        left = round(speed * eta) if speed else 0
        snapshot = replace(scene.snapshot, speed=speed, step=200_000 - left, max_steps=200_000)
        assert snapshot.eta_s == (pytest.approx(eta, abs=1) if eta else None)
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
