"""Every panel: no size overflows, what is missing says why, no number stands without what makes it honest."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from rlpeaks_tui.cockpit import strips
from rlpeaks_tui.cockpit.cells import UNDERLINE, Cells, Ink, in_ascii
from rlpeaks_tui.cockpit.filtering import filtered
from rlpeaks_tui.cockpit.panels import BY_ID, MISSION, PANELS, completion, console, timeline
from rlpeaks_tui.cockpit.panels.budget import of_entropy
from rlpeaks_tui.cockpit.panels.parts import heading
from rlpeaks_tui.cockpit.scene import Look, Scene, View
from rlpeaks_tui.cockpit.words import setting
from rlpeaks_tui.run.columns import Columns
from rlpeaks_tui.run.entries import Metrics
from rlpeaks_tui.stats.health import evaluate
from tests.cockpit_fakes import FakeRun, scene_of, steered_run

SIZES = [(1, 1), (8, 2), (20, 5), (37, 12), (78, 11), (118, 34), (198, 55)]


def text_of(panel: str, scene: Scene, width: int = 78, height: int = 16, enlarged: bool = False) -> str:
    draw = BY_ID[panel].story(scene.view).draw if enlarged else BY_ID[panel].draw
    return "\n".join(draw(scene, width, height).rows())


@pytest.fixture(scope="module")
def steered(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return scene_of(steered_run(tmp_path_factory.mktemp("runs") / "quickstart").layout.root)


@pytest.fixture(scope="module")
def newborn(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    run = FakeRun(tmp_path_factory.mktemp("runs") / "newborn", max_steps=100)
    run.state("starting", "importing")
    return scene_of(run.layout.root)


@pytest.mark.parametrize("panel", BY_ID)
@pytest.mark.parametrize("size", SIZES)
def test_every_panel_draws_at_every_size(panel: str, size: tuple[int, int], steered: Scene, newborn: Scene) -> None:
    for scene in (steered, newborn, replace(steered, view=View(cursor=120)), replace(steered, view=View(cursor=0))):
        for draw in (BY_ID[panel].draw, *(story.draw for story in BY_ID[panel].stories)):
            cells = draw(scene, *size)
            assert (cells.width, cells.height) == size


@pytest.mark.parametrize("panel", BY_ID)
def test_ascii_drawings_need_no_question_marks(panel: str, steered: Scene) -> None:
    scene = replace(steered, look=Look(ascii_only=True, flat=True))
    for draw in (BY_ID[panel].draw, *(story.draw for story in BY_ID[panel].stories)):
        plain, rich = in_ascii(draw(scene, 118, 40)).rows(), draw(scene, 118, 40).rows()
        assert all(row.isascii() for row in plain)
        assert sum(row.count("?") for row in plain) == sum(row.count("?") for row in rich)


@pytest.mark.parametrize("panel", MISSION)
def test_a_run_without_a_step_is_grey_and_says_why(panel: str, newborn: Scene) -> None:
    cells = BY_ID[panel].draw(newborn, 60, 10)
    words = "\n".join(cells.rows())
    assert "no step has ended yet" in words
    used = {int(ink) & 63 for ink in cells.inks[cells.chars != 32].tolist()}
    assert used <= {Ink.UNKNOWN, Ink.FAINT, Ink.CURSOR}


def test_a_metric_that_does_not_apply_gives_the_runs_own_reason(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "run", probes=False)
    run.state("running")
    run.journal.write(
        Metrics(
            t=run.t,
            step=1,
            v={"reward": 0.5, "calibration/ece": None},
            why={"calibration/ece": "only 12 rollouts so far"},
        )
    )
    scene = scene_of(run.layout.root)
    assert "only 12 rollouts so far" in text_of("calibration", scene)
    assert "this run does not record it" in text_of("kl", scene)


def test_reward_shows_its_value_its_parts_and_how_it_misleads(steered: Scene) -> None:
    rewards = steered.series("reward").values
    ends = f"means {rewards[:20].mean():.3f} → {rewards[-20:].mean():.3f}"
    assert re.search(rf"1 Reward mean +0\.\d{{3}}  {ends}", text_of("reward", steered))
    big = text_of("reward", steered, 140, 40, enlarged=True)
    for part in ("correct", "format", "two operands", "three operands", "groups without signal", "how it misleads"):
        assert part in big


def test_entropy_says_how_much_is_spent(steered: Scene) -> None:
    value, early = steered.value("entropy"), steered.series("entropy").values[:5]
    assert value is not None
    share = f"{round(100 * (1 - value / early.mean()))} %"
    assert f"{share} spent" in text_of("entropy", steered)
    assert f"{share} below its first 5 steps" in text_of("entropy", steered, 140, 40, enlarged=True)


def test_panel_budget_and_check_count_from_one_start_of_entropy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first update makes it explode: none of them takes the mean over that for the start."""
    run = FakeRun(tmp_path / "run")
    run.state("running")
    make = run._metrics

    def exploding() -> Metrics:
        row = make()
        return Metrics(t=row.t, step=row.step, v=row.v | {"entropy": 0.4 if row.step == 1 else 3.0})

    monkeypatch.setattr(run, "_metrics", exploding)
    run.advance(60)
    scene = scene_of(run.layout.root)
    assert "750 % of start" in text_of("entropy", scene)
    assert "650 % above its first 5 steps" in text_of("entropy", scene, 140, 40, enlarged=True)
    floor = of_entropy(scene)
    assert floor is not None and (floor.began, floor.bound) == (0.4, pytest.approx(0.08))
    lines = {each.rule.id: each.line for each in evaluate(scene.snapshot.columns, 60)}
    assert (lines["entropy-collapse"], lines["entropy-explosion"]) == (pytest.approx(0.08), pytest.approx(0.8))


def test_a_log_axis_names_powers_and_is_left_where_nothing_is_positive(steered: Scene, newborn: Scene) -> None:
    words = text_of("kl", replace(steered, view=View(log=True)), 78, 20)
    assert re.search(r"^ *0\.01 ", words, re.MULTILINE) and re.search(r"^ *0\.001 ", words, re.MULTILINE)
    assert text_of("kl", replace(newborn, view=View(log=True))) == text_of("kl", newborn)


def test_a_log_axis_ends_where_something_was_recorded_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "run", probes=False)
    run.state("running")
    for step in range(1, 301):
        share = {1: 0.25, 2: 0.125}.get(step, 0.0)
        run.journal.write(Metrics(t=run.t, step=step, v={"format/column": 1 - share, "format/direct": share}))
    scene = scene_of(run.layout.root, View(log=True))
    smoothed = scene.smoothed("format/direct")
    assert np.nanmin(smoothed) >= 0.125 and np.isnan(smoothed[-1])
    words = text_of("formats", scene, 118, 34, enlarged=True)
    assert "zero and less: not shown" in words and "e-" not in words
    linear = scene_of(run.layout.root)
    assert linear.smoothed("format/direct")[-1] < 1e-9
    assert "not shown" not in text_of("formats", linear, 118, 34, enlarged=True)


def test_kl_tells_the_exact_value_from_the_estimate(steered: Scene, tmp_path: Path) -> None:
    assert re.search(r"0\.0\d+  exact ±0\.00\d", text_of("kl", steered))
    assert text_of("kl", steered).count("◆") >= 8
    run = FakeRun(tmp_path / "run", probes=False)
    run.state("running")
    run.advance(30)
    words = text_of("kl", scene_of(run.layout.root))
    assert "k3 estimate" in words and "◆" not in words


def test_an_exact_kl_says_its_step_and_is_not_passed_off_as_that_of_now(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "run")
    run.state("running")
    run.advance(25)
    assert re.search(r"exact ±0\.\d+$", text_of("kl", scene_of(run.layout.root)).splitlines()[0].rstrip())
    run.advance(5)
    assert re.search(r"exact ±0\.\d+ at 25", text_of("kl", scene_of(run.layout.root)))
    run.probes = False
    run.advance(70)
    scene = scene_of(run.layout.root, View(cursor=24))
    assert re.search(r"k3 estimate$", text_of("kl", scene).splitlines()[0].rstrip())
    scene = scene_of(run.layout.root)
    assert f"{scene.value('kl/base_k3'):.3f}" in text_of("kl", scene).splitlines()[0]
    assert re.search(r"k3, exact 0\.\d+ at 25", text_of("kl", scene))


def test_calibration_counts_its_rollouts_and_says_which_way_it_errs(steered: Scene) -> None:
    words = text_of("calibration", steered)
    assert "ECE 0." in words and "overconfident" in words and "n 377" in words
    big = text_of("calibration", steered, 150, 40, enlarged=True)
    assert "95 %" in big and "probability of the answer" in big and "too high" in big and "debiased" in big


def test_sparsity_never_stands_without_its_control_and_dtype(steered: Scene) -> None:
    for width, height in ((78, 12), (118, 16)):
        words = text_of("sparsity", steered, width, height)
        assert "if shuffled" in words and "most of it is precision" in words
    big = text_of("sparsity", steered, 160, 45, enlarged=True)
    for part in ("float32", "shuffled", "exactly unchanged", "moved under 0.1 %", "layer 7", "outside", "embed"):
        assert part in big


def test_an_update_that_is_not_finite_is_said_to_be_and_not_called_precision(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "run", layers=2)
    run.state("running")
    run.advance(50)
    whole = scene_of(run.layout.root)
    found = whole.layers
    assert found is not None
    lost = replace(found, bf16=found.bf16 * 0, null=found.null * 0, delta_norm=np.full(len(found.names), np.inf))
    for enlarged in (False, True):
        words = text_of("sparsity", replace(whole, layers=lost), 118, 34, enlarged=enlarged)
        assert "the length of the update is not finite" in words and "step 50" in words
        assert "precision" not in words and "0.00" not in words
    length = found.delta_norm.copy()
    length[0] = np.nan
    words = text_of("sparsity", replace(whole, layers=replace(found, delta_norm=length)), 118, 34)
    assert "not finite in 1 of 17 modules, which are left out" in words and "embed" not in words
    n = found.n[1:]
    assert f"{np.average(found.bf16[1:], weights=n):.3f}  {np.average(found.null[1:], weights=n):.3f} if shuf" in words
    all_moved = replace(found, bf16=found.bf16 * 0, null=found.null * 0)
    assert "precision" not in text_of("sparsity", replace(whole, layers=all_moved), 118, 34)


def test_sparsity_pools_layers_that_have_no_row(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "run", layers=30)
    run.state("running")
    run.advance(25)
    words = text_of("sparsity", scene_of(run.layout.root), 100, 12)
    assert "0 to 3" in words and "28 to 29" in words and "layer" not in words


def test_formats_are_ordered_by_share(steered: Scene) -> None:
    lines = text_of("formats", steered, 40, 8).split("\n")
    assert [line.split()[0] for line in lines[1:5]] == ["column", "program", "direct", "other"]


def test_formats_that_show_the_same_share_keep_their_places(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "run", probes=False)
    run.state("running")
    orders = []
    for step, (program, direct) in enumerate(((0.301, 0.299), (0.299, 0.301), (0.302, 0.302)), 1):
        shares = {"format/column": 0.4, "format/program": program, "format/direct": direct}
        run.journal.write(Metrics(t=run.t, step=step, v=shares))
        lines = text_of("formats", scene_of(run.layout.root), 40, 8).split("\n")
        orders.append([line.split()[0] for line in lines[1:4]])
    assert orders == [["column", "direct", "program"]] * 3


def test_the_start_of_all_formats_is_that_of_the_same_step(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "run", probes=False)
    run.state("running")
    later = [(0.0, 0.0, 1.0), (0.625, 0.375, 0.0)]
    rows = [{"format/column": 0.25, "format/direct": 0.75}]
    rows += [
        {"format/column": column, "format/direct": direct, "format/other": other} for column, direct, other in later
    ]
    # Two that began alike: what was not seen yet counts as none in each of them.
    for step, shares in zip((1, 2, 10, 11), rows[:1] + rows, strict=True):
        run.journal.write(Metrics(t=run.t, step=step, v=shares | {"format/entropy": 0.5}))
    scene = scene_of(run.layout.root)
    small, large = text_of("formats", scene, 60, 8), text_of("formats", scene, 118, 34, enlarged=True)
    # 62.5 is written as 62 %, from 25 %; 37.5 as 38 %, from 75 %.
    assert re.search(r"column .* 62 % +\+37$", small, re.M) and re.search(r"direct .* 38 % +−37$", small, re.M)
    assert re.search(r"other .* 0 % +0$", small, re.M) and "share, points since the first 5 steps" in small
    starts = [float(re.search(rf"{name} +\d\.\d\d +(\d\.\d\d)", large)[1]) for name in ("column", "direct", "other")]  # type: ignore[index]
    assert starts == [0.25, 0.75, 0.0]


def test_a_unit_does_not_come_and_go_with_the_length_of_a_number(steered: Scene) -> None:
    for width in range(20, 90):
        shown = set()
        for value in ("0.104", "0.0496", "1.2e-05", "12.4"):
            cells = Cells(width, 1)
            heading(cells, steered, "kl", "3", "KL drift", Ink.KL, value, "exact ±0.01 at 251", "nats/token")
            shown.add("nats/token" in cells.rows()[0])
        assert len(shown) == 1, width
    assert "nats/token" in text_of("kl", steered, 57, 10)
    assert "nats/token from start" in text_of("kl", steered, 78, 10)


def test_the_axis_of_a_run_that_is_over_ends_at_its_last_step(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "run", max_steps=1000)
    run.state("running")
    run.advance(321)
    assert scene_of(run.layout.root).x == (0, 340)
    run.state("stopped")
    run.exit(0)
    assert scene_of(run.layout.root).x == (0, 321)


def test_completion_shows_the_best_and_the_worst_of_one_group(steered: Scene) -> None:
    words = text_of("completion", steered, 60, 12)
    assert re.search(r"best +reward +1\.00", words) and re.search(r"worst +reward +0\.00", words)
    assert "step 412" in words and "rewards" in words
    small = "\n".join(completion.strip(steered, 78).rows())
    assert "reward" in small and "advantage" in small


def test_text_of_a_policy_cannot_leave_its_panel(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "run")
    run.state("running")
    run.advance(1)
    scene = scene_of(run.layout.root)
    assert scene.rollouts is not None
    nasty = replace(
        scene.rollouts, completions=("漢字" * 400 + "\n\n" + "a" * 4000,) * 32, prompts=("🚀\u0301 " * 300,) * 4
    )
    for width, height in ((33, 9), (78, 40)):
        cells = completion.overview(replace(scene, rollouts=nasty), width, height)
        assert (cells.width, cells.height) == (width, height)
        assert not (cells.chars == ord("\n")).any()


def test_timeline_numbers_commands_and_gives_values_before_and_after(steered: Scene) -> None:
    words = text_of("timeline", steered, 160, 6)
    assert "3 commands" in words and "two operands" in words and "three operands" in words
    assert re.search(r"3  step +309  set learning_rate=1e-4  applied  learning_rate 5\.0e-05 → 1\.0e-04", words)
    big = text_of("timeline", steered, 118, 30, enlarged=True)
    assert "checkpoint auto-200" in big and "phase 2 of 3" in big and "ada@login1" in big


def test_console_keeps_the_end_and_filters(steered: Scene) -> None:
    assert "checkpoint auto-300 written" in text_of("console", steered, 80, 3)
    for wanted, kept, dropped in (
        ("auto", "auto-300", "accelerate"),
        ("!auto", "accelerate", "auto-300"),
        ("[", "", "auto"),
        ("x{99999999999999999999}", "no line matches", "auto-300"),
        ("(" * 3000 + ")" * 3000, "no line matches", "auto-300"),
        ("(a|au)+", "no line matches", "auto-300"),
    ):
        words = text_of("console", replace(steered, view=View(filter=wanted)), 100, 20, enlarged=True)
        assert kept in words and dropped not in words.replace("filter auto", "").replace("filter !auto", "")


def test_a_long_line_of_the_console_is_shown_to_its_end(tmp_path: Path) -> None:
    run = steered_run(tmp_path / "quickstart", steps=40)
    run.console("first", f"RuntimeError: {'word ' * 40}died with <Signals.SIGKILL: 9>")
    cells = console.enlarged(scene_of(run.layout.root, panel="console"), 80, 20)
    rows = [row.rstrip() for row in cells.rows() if row.strip()]
    at = next(y for y, row in enumerate(rows) if row.startswith("RuntimeError"))
    assert " ".join(rows[at:]) == f"RuntimeError: {'word ' * 40}died with <Signals.SIGKILL: 9>"
    assert rows[at - 1] == "first"


def test_the_console_reads_further_back_when_enlarged_and_underlines_what_was_looked_for(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "quickstart")
    run.console("the needle", *(f"hay {i:06} {'x' * 120}" for i in range(3000)))
    scene = scene_of(run.layout.root, View(filter="needle"), panel="console")
    assert "needle" not in "".join(scene.snapshot.console)
    cells = console.enlarged(scene, 80, 20)
    assert "the needle" in cells.rows()[2] and "1 line" in cells.rows()[0]
    found = [x for x in range(80) if cells.inks[2, x] & UNDERLINE]
    assert "".join(cells.rows()[2][x] for x in found) == "needle"


@pytest.mark.parametrize(
    ("wanted", "kept", "note"),
    [
        ("a.c", ["abc", "a.c"], "filter a.c"),
        ("!^a", ["(ab"], "filter !^a"),
        ("(A", ["(ab"], "filter (A (as text)"),
        ("", ["abc", "a.c", "(ab"], ""),
    ],
)
def test_a_filter_says_when_it_was_no_expression(wanted: str, kept: list[str], note: str) -> None:
    assert filtered(["abc", "a.c", "(ab"], wanted) == (kept, note)


def test_the_timeline_can_be_filtered(steered: Scene) -> None:
    words = text_of("timeline", replace(steered, view=View(filter="^ *[○o]")), 118, 30, enlarged=True)
    assert "checkpoint auto-200" in words and "learning_rate" not in words
    assert "no event matches" in text_of(
        "timeline", replace(steered, view=View(filter="zebra")), 118, 30, enlarged=True
    )


def test_of_the_picked_event_every_word_can_be_read(tmp_path: Path) -> None:
    run = steered_run(tmp_path / "quickstart")
    run.alert("entropy_collapse", f"entropy is falling fast: {'and on ' * 18}to the end")
    run.note("what came after")
    scene = scene_of(run.layout.root)
    for width, height in ((78, 19), (118, 34)):
        first = BY_ID["timeline"].story(scene.view).draw(scene, width, height)
        assert first.below > 5 and "what came after" in first.rows()[-timeline.WHOLE]
        cells = BY_ID["timeline"].story(scene.view).draw(replace(scene, view=View(scroll=1)), width, height)
        words = " ".join(" ".join(cells.rows()[-timeline.WHOLE :]).split())
        assert words.endswith(f"falling fast: {'and on ' * 18}to the end")
        assert any(row.startswith("▸") and "entropy" in row for row in cells.rows())
    # What is cut in the list is found by a filter, too.
    filtered_out = replace(scene, view=View(filter="to the end"))
    assert "alert: entropy" in text_of("timeline", filtered_out, 60, 24, enlarged=True)


def test_time_gives_shares_that_sum_to_the_step(steered: Scene) -> None:
    words = text_of("cost", steered, 60, 10)
    shares = [int(found) for found in re.findall(r"(\d+) %$", words, re.MULTILINE)]
    assert 97 <= sum(shares) <= 103
    assert "nothing lost" in words and "measuring 1.4 %" in words


def test_metrics_lists_everything_and_filters(steered: Scene) -> None:
    everything = text_of("metrics", steered, 140, 80)
    assert all(name[:28] in everything for name in steered.snapshot.columns.names())
    some = text_of("metrics", replace(steered, view=View(filter="^kl")), 140, 80)
    assert "kl/base_k3" in some and "entropy" not in some


def test_facts_hold_the_configuration(steered: Scene) -> None:
    words = text_of("facts", steered, 140, 30, enlarged=True)
    assert "grpo.learning_rate" in words and "643k parameters" in words and "2.13.0" in words


def test_facts_cut_nothing_beside_free_space(steered: Scene) -> None:
    long = "phases.1.tasks.three_operands_and_more"
    info = msgspec.structs.replace(
        steered.snapshot.info,
        argv=["rlpeaks", "run", "quickstart", "--set", "grpo.max_steps=700", "--detach", "--name", "live"],
        config={**steered.snapshot.info.config, long: 1.0},
    )
    words = text_of("facts", replace(steered, snapshot=replace(steered.snapshot, info=info)), 118, 60, enlarged=True)
    assert long in words and "--detach" in words and "--name live" in " ".join(words.split())
    assert re.search(r"^  pid +\d+", words, re.MULTILINE)
    assert setting(32.0) == "32" and setting(1.0) == "1.00" and setting(1.5e-4) == "1.5e-04"


def test_a_task_has_one_colour_in_every_story(steered: Scene) -> None:
    series = steered.snapshot.columns["reward"]
    columns = {name: steered.snapshot.columns[name] for name in steered.snapshot.columns.names()}
    of_entropy = {"entropy/forking": series, "entropy/three operands": series, "entropy/two operands": series}
    scene = replace(steered, snapshot=replace(steered.snapshot, columns=Columns({**columns, **of_entropy}, {})))
    found: dict[str, set[int]] = {}
    for panel in ("reward", "entropy"):
        cells = BY_ID[panel].story(scene.view).draw(scene, 118, 34)
        for row, inks in zip(cells.rows(), cells.inks, strict=True):
            for task in ("two operands", "three operands"):
                if task in row:
                    found.setdefault(task, set()).add(int(inks[row.index(task)]) & 63)
    assert all(len(inks) == 1 for inks in found.values()) and len(found) == 2
    assert found["two operands"] != found["three operands"]


def test_an_older_step_shows_what_was_true_then(tmp_path: Path) -> None:
    root = steered_run(tmp_path / "quickstart").layout.root
    then = scene_of(root, View(cursor=103))
    now = scene_of(root)
    assert then.step == 103 and then.rollouts is not None and then.rollouts.step == 103
    assert then.layers is not None and then.layers.step == 100
    assert then.value("reward") == then.snapshot.columns["reward"].values[102]
    assert text_of("calibration", then) != text_of("calibration", now)
    assert "at step 100" in text_of("calibration", then)
    for panel in ("reward", "entropy", "kl"):
        cells = BY_ID[panel].draw(then, 78, 12)
        assert "103" in cells.rows()[-1]


def test_a_rollback_keeps_the_branch_that_was_left_in_a_quieter_ink(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "run", max_steps=100)
    run.state("running")
    run.advance(60)
    run.step = 30
    run.advance(20)
    cells = BY_ID["entropy"].draw(scene_of(run.layout.root), 78, 14)
    lit = cells.inks[(cells.chars >= 0x2801) & (cells.chars <= 0x28FF)]
    assert {Ink.ENTROPY, Ink.FAINT} <= set(lit.tolist())


def test_every_panel_has_a_key_of_its_own() -> None:
    assert len({panel.key for panel in PANELS}) == len(PANELS)
    assert [panel.id for panel in PANELS[:5]] == list(MISSION)


def test_selection_names_the_steps_of_both_ends_and_writes_what_was_paid_alike(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "run", probes=False)
    run.state("running")
    for step in range(1, 61):
        column = 0.2 if step <= 20 else 0.5 if step <= 40 else 0.8
        shares = {"format/column": column, "format/direct": 1 - column, "format/entropy": 0.5}
        paid = {"advantage/column": 0.4 * (1 - column), "advantage/direct": -0.4 * column}
        run.journal.write(Metrics(t=run.t, step=step, v=shares | paid))
    draw = next(story.draw for story in BY_ID["formats"].stories if story.title == "selection")
    words = "\n".join(draw(scene_of(run.layout.root), 118, 34).rows())
    assert "mean of the first and last 20 steps" in words and re.search(r"first 20 +last 20 +paid", words)
    assert re.search(r"column +20 % +80 % +\+\d\.\d{3} ", words) and re.search(
        r"direct +80 % +20 % +−\d\.\d{3} ", words
    )
    assert "right at start" in words and "now right" in words and "right now" not in words


def test_what_was_measured_long_ago_is_grey_and_dated_with_the_reason(tmp_path: Path) -> None:
    run = steered_run(tmp_path / "run", steps=100)
    fresh = scene_of(run.layout.root)
    last = int(fresh.series("calibration/ece").steps[-1])
    assert fresh.stale("calibration/ece") is None and "ECE" in text_of("calibration", fresh)
    rows = [
        Metrics(t=run.t, step=100 + i, v={"calibration/ece": None}, why={"calibration/ece": "no answer was judged"})
        for i in range(1, 200)
    ]
    run.journal.write(*rows)
    run.step = 299
    scene = scene_of(run.layout.root)
    assert scene.stale("calibration/ece") == last
    for width, height in ((56, 9), (78, 16)):
        cells = BY_ID["calibration"].draw(scene, width, height)
        said = "\n".join(cells.rows())
        assert re.search(rf"Calibration +ECE 0\.\d\d at step {last}\n", said) and "since: no answer was judged" in said
        assert not ((cells.inks & 63) == Ink.CALIBRATION).any() and "confident" not in said.split("\n")[0]
    strip = strips.sparks(scene, ["calibration"], 40)
    assert (
        re.search(rf"^ECE 0\.\d\d\d at {last} *$", strip.rows()[0])
        and (strip.inks[strip.chars > 32] == Ink.UNKNOWN).all()
    )
    # Where somebody looks back it was fresh.
    assert replace(scene, view=View(cursor=last)).stale("calibration/ece") is None


def test_the_map_of_layers_by_step_has_a_screen_of_its_own_and_a_scale(steered: Scene) -> None:
    at = [story.title for story in BY_ID["sparsity"].stories].index("by step")
    scene = scene_of(steered.snapshot.directory, View(panel="sparsity", story=at))
    for width, height in ((78, 18), (118, 34)):
        said = text_of("sparsity", scene, width, height, enlarged=True)
        assert "share unchanged, by layer and probe, in bfloat16" in said and "layer 0" in said
        assert re.search(r"^ +0 .* 1 *$|^ +0 .* 0\.\d+ and more *$", said, re.M)
