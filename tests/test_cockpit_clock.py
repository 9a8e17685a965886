"""The clock: what each rank does and since when, who holds up the run, where it stands, and what is in force."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from msgspec.structs import replace

from rlpeaks_tui.cockpit import verdict
from rlpeaks_tui.cockpit.cells import Cells, Ink, in_ascii
from rlpeaks_tui.cockpit.herald import Herald, title
from rlpeaks_tui.cockpit.inforce import in_force
from rlpeaks_tui.cockpit.panels import BY_ID, STACK, cost, facts
from rlpeaks_tui.cockpit.panels.stack import stack as drawn_stack
from rlpeaks_tui.cockpit.roster import line_of
from rlpeaks_tui.cockpit.scene import Finding, Health, Look, Scene, View
from rlpeaks_tui.cockpit.whereabouts import Answered, Whereabouts
from rlpeaks_tui.run.entries import Metrics
from rlpeaks_tui.run.follow import Follower
from rlpeaks_tui.run.stacks import Frame, NoStack, Stack, Thread
from tests.cockpit_fakes import FakeRun, scene_of, steered_run
from tests.cockpit_pilot import app_of, opened, screen, until, until_seen
from tests.test_cockpit_panels import SIZES

FRAMES = (
    Frame("complete", "/home/ada/sampler.py", 212),
    Frame("generate", "/opt/venv/lib/python3.11/site-packages/trl/grpo_trainer.py", 1640),
)
FOUND = Stack(3, 1000.0, "its own handler", (Thread("training thread", FRAMES), Thread("thread beat", ())))


def words(cells: Cells) -> str:
    return "\n".join(row.rstrip() for row in cells.rows())


def with_ranks(scene: Scene, **changes: Any) -> Scene:
    """The same run with something else about all of its ranks."""
    ranks = tuple(replace(rank, **changes) for rank in scene.snapshot.ranks)
    return replace(scene, snapshot=replace(scene.snapshot, ranks=ranks))


@pytest.fixture(scope="module")
def stuck(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    run = steered_run(tmp_path_factory.mktemp("runs") / "quickstart", world=4)
    for rank in (0, 1, 2):
        run.sign(rank, "generating", 71.0, typical=12.5, waiting="all_gather")
    run.sign(3, "generating", 72.0, typical=12.5, place="complete (sampler.py:212)")
    return scene_of(run.layout.root)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    run = steered_run(tmp_path_factory.mktemp("runs") / "quickstart", world=2)
    run.sign(0, "generating", 3.2, typical=12.5)
    run.sign(1, "updating", 2.2, typical=12.5)
    return scene_of(run.layout.root)


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    run = steered_run(tmp_path_factory.mktemp("runs") / "quickstart", world=2)
    for rank in (0, 1):
        run.sign(rank, "generating", 0.05, typical=0.13)
    return scene_of(run.layout.root)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("ascii_only", [False, True])
def test_every_story_draws_at_every_size(
    size: tuple[int, int], ascii_only: bool, stuck: Scene, calm: Scene, fast: Scene
) -> None:
    for scene in (stuck, calm, fast, with_ranks(calm, typical={}, total={}, steps=0, memory={})):
        for at in (View(), View(cursor=100), View(scroll=4)):
            shown = replace(scene, view=at, look=Look(ascii_only, ascii_only), stack=FOUND)
            for panel in ("cost", "facts"):
                for draw in (BY_ID[panel].draw, *(story.draw for story in BY_ID[panel].stories)):
                    cells = draw(shown, *size)
                    assert (cells.width, cells.height) == size
                    if ascii_only:
                        assert words(in_ascii(cells)).count("?") == words(cells).count("?")


def test_the_rank_that_hangs_stands_first_with_what_shows_it(stuck: Scene) -> None:
    said = words(cost.clock(stuck, 118, 30))
    rows = [line for line in said.split("\n") if re.match(r"^.? +\d  (stuck|waits)", line)]
    assert re.match(r"^▲    3  stuck generating +1m 12s +9\.4 x  █+", rows[0])
    assert [re.match(r"^ +(\d)  waits in generating +1m 11s +╌+", row)[1] for row in rows[1:]] == ["0", "1", "2"]  # type: ignore[index]
    assert "at complete (sampler.py:212)" in said
    assert "rank 3 generating for 1m 12s" in words(cost.overview(stuck, 60, 7))


def test_who_is_stuck_is_said_in_the_title_in_the_list_of_runs_and_by_a_call(stuck: Scene, calm: Scene) -> None:
    assert title(stuck.snapshot, Health()) == "quickstart: RANK 3 STUCK, running 412/1000"
    assert line_of(Path("quickstart"), stuck.snapshot, stuck.health).says == ("rank 3 stuck", Ink.BAD)
    assert line_of(Path("quickstart"), calm.snapshot, calm.health).stuck == ""
    written: list[str] = []
    herald = Herald(written.append, "bell")
    herald.tell(calm.snapshot, Health(), 0.0)
    assert "\x07" not in written
    for now in (1.0, 2.0):
        herald.tell(stuck.snapshot, Health(), now)
    assert written.count("\x07") == 1


def test_without_colour_and_with_letters_the_lanes_still_say_the_same(stuck: Scene, calm: Scene) -> None:
    plain = Look(ascii_only=True, flat=True)
    assert re.search(
        r"\^ +3  stuck generating .* g{20,}$", words(cost.clock(replace(stuck, look=plain), 118, 30)), re.M
    )
    lane = re.search(r" 1  updating .*  (g+s+u+)", words(cost.clock(replace(calm, look=plain), 118, 30)))
    assert lane is not None
    # 7.6 s of generating, 0.25 of scoring and 2 of the update, over a typical step and a quarter in 72 columns.
    assert lane[1].count("g") == pytest.approx(7.625 / 15.65 * 72, abs=1.5)
    assert lane[1].count("u") == pytest.approx(2 / 15.65 * 72, abs=1.5)


def test_nothing_moves_within_a_second_nor_where_steps_are_fast(calm: Scene, fast: Scene) -> None:
    later = tuple(replace(rank, age=rank.age + 0.7) for rank in calm.snapshot.ranks)
    soon = replace(calm, snapshot=replace(calm.snapshot, ranks=later))
    assert cost.clock(calm, 118, 30) == cost.clock(soon, 118, 30)
    other = with_ranks(fast, activity="updating", age=0.9, spans=(("generating", 0.1),))
    assert cost.clock(fast, 118, 30) == cost.clock(other, 118, 30)
    assert "at work" in words(cost.clock(fast, 118, 30)) and "a typical step" in words(cost.clock(fast, 118, 30))


def test_only_the_rows_of_time_change_from_one_second_to_the_next(calm: Scene) -> None:
    later = tuple(replace(rank, age=rank.age + 1.0) for rank in calm.snapshot.ranks)
    rows = zip(
        cost.clock(calm, 118, 30).rows(),
        cost.clock(replace(calm, snapshot=replace(calm.snapshot, ranks=later)), 118, 30).rows(),
        strict=True,
    )
    assert [y for y, (before, after) in enumerate(rows) if before != after] == [3, 4]


def test_a_paused_run_shows_no_age(calm: Scene) -> None:
    paused = with_ranks(replace(calm, snapshot=replace(calm.snapshot, state="paused")), activity="paused", age=500.0)
    longer = with_ranks(paused, age=900.0)
    assert cost.clock(paused, 118, 30) == cost.clock(longer, 118, 30)
    assert "STUCK" not in words(verdict.strip(paused, 118, 1))


def test_the_rank_that_takes_longest_is_named_where_ranks_differ(stuck: Scene) -> None:
    ranks = list(stuck.snapshot.ranks)
    ranks[2] = replace(ranks[2], typical={**ranks[2].typical, "updating": 9.0})
    said = words(cost.clock(replace(stuck, snapshot=replace(stuck.snapshot, ranks=tuple(ranks))), 118, 30))
    assert re.search(r"▒ update .* 34 % +4\.2 s +4\.2 s +9\.0 s  rank 2", said)
    assert re.search(r"█ generate .* 60 % +7\.6 s +7\.6 s$", said, re.MULTILINE)
    shares = [int(found) for found in re.findall(r"(\d+) % +\d", said)]
    assert sum(shares) == 100


def test_the_same_steps_are_told_alike_in_the_overview_and_enlarged(tmp_path: Path) -> None:
    run = steered_run(tmp_path / "quickstart", steps=120)
    # Ranks see 0.2 s more of generating in a step than the journal, which has them in the update.
    spent = {"generating": 0.394, "scoring": 0.0047, "updating": 0.2946, "probing": 0.303, "other": 0.0037}
    run.sign(0, "ended", typical=1.0, total={name: 50 * seconds for name, seconds in spent.items()})
    scene = scene_of(run.layout.root)
    short, long = words(cost.overview(scene, 60, 9)), words(cost.clock(scene, 118, 30))
    for said in (short, long):
        assert re.search(r"Clock +1\.0 s  a step, mean of last 50", said)
        shares = dict(re.findall(r"(generate|score|update|probe|other)\b.*? (<?\d+) %", said))
        # 39.4, 0.47, 29.46, 30.3 and 0.37: the two that are missing go to the largest remainders of those above 1 %.
        assert shares == {"generate": "40", "score": "<1", "update": "30", "probe": "30", "other": "<1"}
    means = [float(found) for found in re.findall(r"% +(\d+) ms", long)]
    assert sum(means) == pytest.approx(1000, abs=3)


def test_what_held_a_run_is_no_share_of_its_steps(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "quickstart", probes=False)
    took = {"time/generate": 0.155, "time/score": 0.001, "time/update": 0.157, "time/probe": 0.144, "time/step": 0.457}
    for step in range(1, 51):
        run.journal.write(Metrics(t=run.t, step=step, v=took | {"time/wait": 5.0 if step == 20 else 0.0}, phase=""))
    for cursor in (None, 50):
        scene = scene_of(run.layout.root, View(cursor=cursor))
        for said in (words(cost.overview(scene, 60, 9)), words(cost.clock(scene, 118, 30))):
            assert re.search(r"held +beside the steps, for each +100 ms", said)
            # 33.9, 0.2, 34.4 and 31.5 %: the last has the largest remainder after the first.
            assert re.findall(r" (<?\d+) %", said) == ["34", "<1", "34", "32"]
    early = words(cost.overview(scene_of(run.layout.root, View(cursor=19)), 60, 9))
    assert "held" not in early


@pytest.mark.parametrize("least", [-1e50, -3.0])
def test_what_is_less_than_nothing_is_no_time(tmp_path: Path, least: float) -> None:
    run = FakeRun(tmp_path / "quickstart", probes=False)
    values = {"time/step": 1.0, "time/generate": least, "time/score": 0.5}
    run.journal.write(*(Metrics(t=run.t, step=step, v=values) for step in range(1, 5)))
    for said in (
        words(cost.overview(scene_of(run.layout.root), 60, 9)),
        words(cost.clock(scene_of(run.layout.root), 118, 30)),
    ):
        assert [int(share) for share in re.findall(r" (\d+) %", said)] == [50, 50]


def test_a_thousand_ranks_are_drawn_in_a_moment_with_the_stuck_one_first(stuck: Scene) -> None:
    waits, hangs = stuck.snapshot.ranks[0], stuck.snapshot.ranks[3]
    ranks = (*(replace(waits, rank=i) for i in range(1000)), replace(hangs, rank=1000))
    scene = replace(stuck, snapshot=replace(stuck.snapshot, ranks=ranks))
    rows = words(cost.clock(scene, 118, 30)).split("\n")
    assert "1,000  stuck generating" in rows[3] and "0  waits" in rows[5]
    assert "ranks 0 to 999 wait for it" in scene.snapshot.pace.evidence
    end = words(cost.clock(replace(scene, view=View(scroll=1000)), 118, 30))
    assert "and 873 more ranks" in end and "generate" in end


def test_at_an_older_step_the_clock_tells_of_that_step_and_not_of_now(stuck: Scene) -> None:
    said = words(cost.clock(replace(stuck, view=View(cursor=100)), 118, 30))
    assert "at step 100" in said and "for the present only" in said and "sampler.py" not in said


def test_a_stuck_rank_comes_before_advice(stuck: Scene) -> None:
    advice = Health((Finding("x", "Entropy collapses", "critical", 3, "", "set entropy=1", "entropy"),))
    said = words(verdict.strip(replace(stuck, health=advice), 140, 1))
    assert said.startswith(" RANK 3 STUCK  generating for 1m 12s, 9.4 x its median of 7.6 s; ranks 0, 1, 2 wait for it")
    assert said.endswith("[T] its stack") and "ENTROPY" not in said
    assert words(verdict.strip(replace(stuck, health=advice), 60, 1)).endswith("…  [T] its stack")
    assert "[T]" not in words(verdict.strip(replace(stuck, readonly=True), 140, 1))
    two = words(verdict.strip(replace(stuck, health=advice), 78, 2)).split("\n")
    assert two[0] == " RANK 3 STUCK  [T] its stack"
    assert two[1] == "generating for 1m 12s, 9.4 x its median of 7.6 s; ranks 0, 1, 2 wait for it"[:78]
    assert verdict.speaks_of(stuck.snapshot, advice) == "cost"
    ended = replace(stuck, snapshot=replace(stuck.snapshot, state="finished"))
    assert "STUCK" not in words(verdict.strip(ended, 140, 1))


def test_a_long_step_that_is_as_usual_is_no_warning(calm: Scene) -> None:
    usual = replace(calm, snapshot=replace(calm.snapshot, activity="generating", activity_age=40.0))
    assert "generating for" not in words(verdict.strip(usual, 140, 1))
    nothing_known = with_ranks(usual, steps=0)
    assert words(verdict.strip(nothing_known, 140, 1)).startswith("generating for 40s")


def test_a_stack_marks_the_innermost_call_and_keeps_the_ends_of_paths(stuck: Scene) -> None:
    cells = drawn_stack(replace(stuck, stack=FOUND), 60, 12)
    rows = [row.rstrip() for row in cells.rows()]
    assert rows[0].startswith("Stack of rank 3") and rows[0].endswith("told by its own handler")
    assert rows[3] == "▸ complete  /home/ada/sampler.py:212"
    assert rows[4].startswith("  generate  …") and rows[4].endswith("grpo_trainer.py:1640")
    inks = cells.inks & 63
    assert inks[3, 2] == Ink.ACCENT and inks[4, 2] == Ink.DIM, "what is not the training's own stands back"
    assert "no Python code" in rows[7]


# The probes' table, against sums that need no panel.


def test_probes_tell_what_was_asked_and_what_it_took(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "quickstart", probes=False)
    run.info = replace_config(run, probes={"budget": 0.02, "kl_exact": 10, "eval": 50})
    run.settings(**{"probes.budget": 0.03})
    for _ in range(5):
        run.advance(30)
        run.probe("kl", 0.5)
    scene = scene_of(run.layout.root)
    said = words(cost.cost(scene, 118, 30))
    trained = sum(scene.series("time/step").values)
    assert "1.40 % of training time so far, 3 % allowed" in said
    assert re.search(rf"kl +10 +30 +5 +500 ms +{100 * 2.5 / trained:.2f} %", said)
    early = words(cost.cost(scene_of(run.layout.root, View(cursor=60)), 118, 30))
    assert re.search(r"kl +10 +30 +2 +500 ms", early)


def replace_config(run: FakeRun, **config: Any) -> Any:
    from msgspec.structs import replace as changed

    from rlpeaks_tui.run.facts import write_facts

    info = changed(run.info, config={**run.info.config, **config})
    write_facts(run.layout, info)
    return info


def test_numbers_of_a_configuration_beyond_all_reason_are_no_budget(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "quickstart", probes=False)
    run.info = replace_config(run, probes={"budget": "BUDGET", "kl_exact": "BUDGET"})
    raw = run.layout.facts.read_text().replace('"BUDGET"', "1" + "0" * 400)
    raw = re.sub(r'"created": [^,]+', '"created": 1e300', raw)
    run.layout.facts.write_text(raw)
    for _ in range(2):
        run.advance(30)
        run.probe("kl", 0.5)
    scene = scene_of(run.layout.root)
    said = words(cost.cost(scene, 118, 30))
    assert "1.40 % of training time" in said and re.search(r"kl +- +30 +2", said)
    assert re.search(r"started +unknown", words(facts.enlarged(scene, 118, 60)))


# What is in force.


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rate set at step 30, cooled by its schedule all along, temperature changed by a phase at 60, undone at 80."""
    run = FakeRun(tmp_path_factory.mktemp("runs") / "quickstart", probes=False)
    run.state("running")
    values: dict[str, Any] = {"learning_rate": 3e-4, "temperature": 1.0, "beta": 0.0}
    run.settings(**values)
    run.advance(30)
    run.command("a", "set", "learning_rate=1e-4", learning_rate=1e-4)
    run.settings(**(values := {**values, "learning_rate": 1e-4}))
    run.advance(30)
    run.settings(**(values := {**values, "learning_rate": 0.9e-4, "temperature": 1.1}))
    run.step += 1
    run.phase("three operands", 1)
    run.advance(19)
    run.command("b", "set", "temperature=1.3", temperature=1.3)
    run.settings(**{**values, "temperature": 1.3})
    run.advance(20)
    return run.layout.root


@pytest.mark.parametrize(
    "step,temperature,rate",
    [
        (20, (1.0, []), []),
        (40, (1.0, []), [(30, 3e-4, "command 1")]),
        (70, (1.1, [(60, 1.0, "phase three operands")]), [(30, 3e-4, "command 1")]),
        (95, (1.3, [(80, 1.1, "command 2"), (60, 1.0, "phase three operands")]), [(30, 3e-4, "command 1")]),
    ],
)
def test_what_is_in_force_is_that_of_the_step_shown_with_who_changed_it(
    changed: Path, step: int, temperature: Any, rate: Any
) -> None:
    found = {one.name: one for one in in_force(scene_of(changed, View(cursor=step)))}
    told = {name: [(c.step, c.before, c.by) for c in one.changes] for name, one in found.items()}
    assert (found["temperature"].value, told["temperature"]) == temperature
    assert told["learning_rate"] == rate and told["beta"] == []


def test_the_panel_says_it_and_can_be_filtered(changed: Path) -> None:
    scene = scene_of(changed)
    said = words(facts.enlarged(scene, 150, 44))
    assert re.search(r"• temperature +1\.30  until step 80: 1\.10, command 2", said)
    assert "until step 60: 1.00, phase three operands" in said
    assert re.search(r"• grpo\.learning_rate +0\.0003  3\.0e-04 now", said), "the metric of the step has the last word"
    assert re.search(r"phases\.2\.settings\.temperature +1\.1", said)
    some = words(facts.enlarged(replace(scene, view=View(filter="torch|beta")), 80, 30))
    assert "torch" in some and "beta" in some and "temperature" not in some and "filter torch|beta" in some
    assert "nothing matches" in words(facts.enlarged(replace(scene, view=View(filter="zebra")), 80, 30))
    before = words(facts.enlarged(scene_of(changed, View(cursor=20)), 150, 44))
    assert "•" not in before


def test_a_narrow_panel_scrolls_to_its_end(changed: Path) -> None:
    scene = scene_of(changed)
    cells = facts.enlarged(scene, 78, 17)
    assert cells.below > 10 and f"{cells.below} more" in cells.rows()[-1]
    last = facts.enlarged(replace(scene, view=View(scroll=cells.below)), 78, 17)
    assert last.below == 0 and "grpo.beta" in words(last)


# Keys.


def asker(answer: Callable[[int], Stack]) -> Callable[..., Stack]:
    return lambda directory, rank: answer(rank)


async def test_a_key_asks_the_rank_that_is_stuck_and_the_next_one_when_pressed_again(tmp_path: Path) -> None:
    run = steered_run(tmp_path / "quickstart", steps=40, world=3)
    for rank in (0, 2):
        run.sign(rank, "generating", 71.0, typical=12.5, waiting="all_gather")
    run.sign(1, "generating", 72.0, typical=12.5)

    def answer(rank: int) -> Stack:
        if rank == 0:
            raise NoStack("rank 0 runs on node7; ask it there")
        return replace(FOUND, rank=rank)

    async with opened(run.layout.root, (100, 30)) as pilot:
        app = app_of(pilot)
        app.whereabouts = Whereabouts(app.whereabouts._deliver, asker(answer))
        await until_seen(pilot, r"RANK 1 STUCK")
        header = screen(app).splitlines()[0]
        assert "● stuck" in header and "left" not in header and "live" not in header
        assert app.snapshot is not None and app.snapshot.eta_s is None
        # The banner advises to see where it stands, so that is what acting on it does.
        await pilot.press("a")
        await until_seen(pilot, r"Stack of rank 1")
        assert "▸ complete" in screen(app)
        await pilot.press("T")
        await until_seen(pilot, r"Stack of rank 2")
        await pilot.press("T")
        await until_seen(pilot, r"Stack +cannot be told[^?]*rank 0 runs on node7; ask it there")
        await pilot.press("T")
        await until_seen(pilot, r"Stack of rank 1")


async def test_why_a_rank_does_not_answer_is_told_in_full_where_its_stack_would_stand(tmp_path: Path) -> None:
    run = steered_run(tmp_path / "quickstart", steps=40)
    run.sign(0, "generating")
    why = (
        "rank 0 (process 4711) did not answer within 5 s: it is stopped, or in a call of the kernel that cannot be "
        "interrupted"
    )

    def answer(rank: int) -> Stack:
        raise NoStack(why)

    async with opened(run.layout.root, (80, 24)) as pilot:
        app = app_of(pilot)
        app.whereabouts = Whereabouts(app.whereabouts._deliver, asker(answer))
        await pilot.press("T")
        await until(pilot, lambda: why in " ".join(screen(app).split()), "told in full")
        assert "asks a rank" not in screen(app) and "asking" not in screen(app)


def test_whatever_goes_wrong_is_told_in_words(calm: Scene) -> None:
    def broken(rank: int) -> Stack:
        raise ValueError

    answers: Queue[Stack | NoStack] = Queue()
    assert Whereabouts(answers.put, asker(broken)).ask(calm.snapshot, 0)
    assert str(answers.get(timeout=10)) == "rank 0 cannot be asked: ValueError"


async def test_an_answer_of_another_run_is_not_shown(tmp_path: Path) -> None:
    run = steered_run(tmp_path / "quickstart", steps=40)
    run.sign(0, "generating")
    async with opened(run.layout.root, (100, 30)) as pilot:
        app = app_of(pilot)
        app.post_message(Answered(NoStack("of another run"), Follower(run.layout.root)))
        app.post_message(Answered(replace(FOUND, rank=9), Follower(run.layout.root)))
        app.post_message(Answered(NoStack("of this run"), app._follower))
        await until_seen(pilot, "of this run")
        assert str(app.whereabouts.answer) == "of this run"


async def test_a_viewer_that_only_looks_asks_nobody(tmp_path: Path) -> None:
    run = steered_run(tmp_path / "quickstart", steps=40)
    run.sign(0, "generating")

    def never(rank: int) -> Stack:
        raise AssertionError("asked")

    async with opened(run.layout.root, (100, 30), readonly=True) as pilot:
        app = app_of(pilot)
        app.whereabouts = Whereabouts(app.whereabouts._deliver, asker(never))
        await pilot.press("T")
        await until_seen(pilot, r"read-only and asks nobody")


async def test_a_run_without_signs_of_its_ranks_says_why_there_is_nobody_to_ask(tmp_path: Path) -> None:
    run = steered_run(tmp_path / "quickstart", steps=40)
    async with opened(run.layout.root, (100, 30)) as pilot:
        await pilot.press("T")
        await until_seen(pilot, r"no sign of life yet")


def test_the_first_rank_is_asked_where_none_is_stuck(calm: Scene) -> None:
    asked = Whereabouts(lambda answer: None, asker(lambda rank: FOUND))
    assert asked.next(calm.snapshot, again=False) == 0 and asked.next(calm.snapshot, again=True) == 0
    asked.rank = 0
    assert asked.next(calm.snapshot, again=True) == 1
    assert BY_ID["cost"].stories[STACK].draw is drawn_stack
