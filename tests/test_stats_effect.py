"""Effects of commands: honest intervals under autocorrelation, and windows that hold the right rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from rlpeaks_tui.run.columns import Series
from rlpeaks_tui.run.entries import Branch, Phase
from rlpeaks_tui.run.marks import CommandMark
from rlpeaks_tui.stats.answered import answered
from rlpeaks_tui.stats.effect import COMPARED, LEAST, Compared, brief, card, effects
from rlpeaks_tui.stats.longrun import automatic_bandwidth, bartlett
from rlpeaks_tui.stats.steered import WINDOW, branch_starts

# The long-run variance


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=25), st.integers(0, 30))
def test_bartletts_estimate_is_its_double_sum(values, bandwidth):
    n = len(values)
    total = 0.0
    for i in range(n):
        for j in range(n):
            total += max(0.0, 1 - abs(i - j) / (bandwidth + 1)) * values[i] * values[j]
    assert bartlett(values, bandwidth) == pytest.approx(total / n, rel=1e-9, abs=1e-6)


def test_the_bandwidth_grows_with_autocorrelation_and_with_rows():
    rng = np.random.default_rng(1)
    widths = {(n, rho): automatic_bandwidth(ar1(rng, n, rho)) for n in (50, 5000) for rho in (0.0, 0.5, 0.9)}
    assert widths[50, 0.0] <= widths[50, 0.5] <= widths[50, 0.9] < widths[5000, 0.9]
    assert widths[5000, 0.5] == pytest.approx(1.1447 * (4 * 0.25 / (0.25 * 2.25) * 5000) ** (1 / 3), rel=0.1)
    assert automatic_bandwidth(np.zeros(20)) == 0


# Simulated runs


def ar1(rng: np.random.Generator, n: int, rho: float) -> np.ndarray:
    """A stationary series of variance 1, shape [n]."""
    noise = rng.standard_normal(n) * np.sqrt(1 - rho * rho)
    noise[0] = rng.standard_normal()
    for i in range(1, n):
        noise[i] += rho * noise[i - 1]
    return noise


@dataclass
class Returned:
    step: int
    at: int
    t: float


def command(step: int, verb: str = "set", t: float | None = None, status: str = "applied") -> CommandMark:
    at = float(step) if t is None else t
    return CommandMark(1, f"{verb}-{step}-{at}", verb, ("x=1",), "me", at, step, status)


def logged(values, steps=None) -> Series:
    values = np.asarray(values, np.float64)
    return Series(np.arange(1, len(values) + 1) if steps is None else np.asarray(steps, np.int64), values)


def only(values, at: int, steps=None, name: str = "reward", **more) -> Compared:
    (found,) = effects({name: logged(values, steps)}, [command(at)], **more)
    return next(compared for compared in found.metrics.values() if compared)


SIMULATIONS = 400


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.6, 0.8])
@pytest.mark.parametrize(("before", "after"), [(50, 50), (50, 15), (20, 20)])
def test_intervals_hold_the_truth_and_no_effect_is_seldom_called_one(rho, before, after):
    rng = np.random.default_rng([int(10 * rho), before, after])
    effect, slope = 0.7, 0.02
    held = np.zeros(3)
    called = 0
    for _ in range(SIMULATIONS):
        noise = ar1(rng, before + 1 + after, rho)
        step = np.arange(noise.size) > before
        found = only(noise + effect * step, before + 1)
        held[0] += found.low <= effect <= found.high
        held[1] += found.beyond_low <= effect <= found.beyond_high
        trend = slope * np.maximum(np.arange(noise.size) - before, 0)
        (told,) = effects({"entropy": logged(noise + trend)}, [command(before + 1)])
        slopes = told.metrics["entropy slope"]
        held[2] += slopes.low <= slope <= slopes.high
        called += only(noise, before + 1).verdict != "no detectable effect"
    share = held / SIMULATIONS
    assert (share >= (0.86 if rho > 0.5 else 0.88)).all() and (share <= 0.99).all(), share
    assert called / SIMULATIONS <= 0.06


@pytest.mark.parametrize("rho", [0.0, 0.6])
def test_a_trend_that_goes_on_is_no_effect_nor_is_a_curve_that_flattens(rho):
    rng = np.random.default_rng(5)
    steps = np.arange(101)
    for shape in (0.1 * steps, 8 * (1 - np.exp(-steps / 40))):
        calls = [only(shape + ar1(rng, 101, rho), 51) for _ in range(300)]
        assert np.mean([found.low > 0 for found in calls]) > 0.9  # what the difference of means alone would say
        assert np.mean([found.verdict != "no detectable effect" for found in calls]) <= 0.06


def test_an_effect_is_found():
    rng = np.random.default_rng(6)
    jump = 3.0 * (np.arange(101) > 50)
    up = [only(jump + ar1(rng, 101, 0.3), 51).verdict for _ in range(100)]
    down = [only(ar1(rng, 101, 0.3) - jump, 51).verdict for _ in range(100)]
    assert up.count("rose") >= 95 and down.count("fell") >= 95


# Hand cases


def test_both_figures_of_a_noiseless_run():
    values = [*(0.1 * i for i in range(1, 21)), *(5.0 + 0.1 * i for i in range(21, 42))]
    found = only(values, 21)
    # Before: 0.1 to 2.0 of steps 1 to 20. After: steps 22 to 41. Step 21 is the command's own.
    assert (found.rows_before, found.rows_after, found.metric, found.cut) == (20, 20, "reward", ())
    assert found.before == pytest.approx(1.05) and found.after == pytest.approx(8.15)
    assert found.difference == pytest.approx(7.1) and found.expected == pytest.approx(3.15)
    assert found.beyond == pytest.approx(5.0)
    assert found.beyond_high - found.beyond_low < 1e-6 and found.high - found.low < 1e-6
    assert found.verdict == "rose"


def test_a_command_in_a_series_that_never_moves_did_nothing():
    found = only([0.1] * 40, 20)
    assert (found.verdict, found.difference) == ("no detectable effect", pytest.approx(0, abs=1e-12))
    assert only([0.0] * 20 + [1.0] * 20, 20).verdict == "rose"
    assert only([1.0] * 20 + [0.0] * 20, 20).verdict == "fell"


def test_the_slope_of_entropy_is_compared_with_the_slope_before():
    values = [*(5 - 0.1 * i for i in range(20)), *(3.0 for _ in range(20))]
    (found,) = effects({"entropy": logged(values)}, [command(20)])
    slope = found.metrics["entropy slope"]
    assert slope.before == pytest.approx(-0.1) and slope.after == pytest.approx(0, abs=1e-12)
    assert slope.difference == pytest.approx(0.1) and slope.verdict == "rose" and slope.expected is None
    # A metric of every tenth step has a slope per step, not per row.
    (sparse,) = effects({"entropy": logged(values, steps=10 * np.arange(1, 41))}, [command(200)])
    assert sparse.metrics["entropy slope"].before == pytest.approx(-0.01)


@pytest.mark.parametrize(("at", "rows"), [(8, (7, 22)), (22, (21, 8)), (23, (22, 7)), (30, (29, 0)), (1, (0, 29))])
def test_too_few_rows_are_not_judged(at, rows):
    found = only(np.arange(30.0) % 7, at)
    assert (found.rows_before, found.rows_after) == rows
    if min(rows) < LEAST:
        # Steps after it may still come; those before it will be no more.
        assert found.verdict == ("not enough steps yet" if rows[0] >= LEAST else "not enough steps")
        assert only(np.arange(30.0) % 7, at, ended=True).verdict == "not enough steps"
        assert (found.before, found.difference, found.low, found.expected, found.beyond) == (None,) * 5
    else:
        assert found.difference is not None


def test_values_that_are_missing_are_no_rows():
    values = np.arange(60.0) % 5
    values[[3, 7, 33, 50]] = np.nan
    found = only(values, 30)
    kept = np.isfinite(values)
    steps = np.arange(1, 61)
    assert (found.rows_before, found.rows_after) == (27, 28)
    assert found.before == pytest.approx(values[kept & (steps < 30)].mean())
    assert found.after == pytest.approx(values[kept & (steps > 30)].mean())
    assert only([1.0, *[np.nan] * 40], 20).verdict == "not enough steps"


def test_windows_are_fifty_rows_at_most():
    values = np.random.default_rng(0).standard_normal(300)
    found = only(values, 150)
    assert (found.rows_before, found.rows_after, found.cut) == (WINDOW, WINDOW, ())
    assert found.before == pytest.approx(values[99:149].mean()) and found.after == pytest.approx(values[150:200].mean())


def test_what_a_run_does_not_have_is_none_and_kl_is_what_there_is():
    values = np.arange(40.0)
    (found,) = effects({"kl": logged(values), "kl/base_k3": logged(values * np.nan)}, [command(20)])
    assert {title for title, compared in found.metrics.items() if compared} == {"KL"}
    assert set(found.metrics) == set(COMPARED) and found.metrics["KL"].metric == "kl"
    (found,) = effects({"kl": logged(values), "kl/base": logged(values)}, [command(20)])
    assert found.metrics["KL"].metric == "kl/base"


def test_only_applied_commands_that_change_the_training_have_an_effect():
    sent = [command(s, v) for s, v in ((5, "pause"), (6, "note"), (7, "eval"), (8, "checkpoint"), (20, "reset"))]
    sent += [command(20, "set", status="refused"), command(20, "undo", status="failed")]
    assert [found.command.verb for found in effects({"reward": logged(np.arange(40.0))}, sent)] == ["reset"]
    assert effects({}, sent)[0].metrics == dict.fromkeys(COMPARED)
    assert effects({"reward": logged(np.arange(40.0))}, []) == ()


def test_a_window_ends_at_the_neighbouring_commands():
    columns = {"reward": logged(np.random.default_rng(0).standard_normal(100))}
    first, second, third = effects(columns, [command(30), command(45, "reset"), command(60)])
    rows = [(f.metrics["reward"].rows_before, f.metrics["reward"].rows_after) for f in (first, second, third)]
    assert rows == [(29, 14), (14, 14), (14, 40)]
    cuts = [f.metrics["reward"].cut for f in (first, second, third)]
    assert cuts == [("after",), ("before", "after"), ("before",)]
    assert "cut at another change before and after" in "\n".join(card(second))


def test_commands_at_one_step_share_their_effect():
    columns = {"reward": logged(np.random.default_rng(0).standard_normal(100))}
    one, two = effects(columns, [command(50, "set", t=1), command(50, "reset", t=2)])
    assert one.metrics == two.metrics and one.metrics["reward"].cut == ()


def test_a_phase_that_was_entered_by_rule_cuts_and_one_by_command_does_not():
    columns = {"reward": logged(np.random.default_rng(0).standard_normal(100))}

    def entered(*steps):
        return [Phase(t=float(s), step=s, name=f"p{s}", index=0, of=9) for s in (1, *steps)]

    (by_rule,) = effects(columns, [command(50)], phases=entered(41))
    assert by_rule.metrics["reward"].rows_before == 9 and by_rule.metrics["reward"].cut == ("before",)
    for step in (50, 51):
        (by_command,) = effects(columns, [command(50, "phase")], phases=entered(step))
        found = by_command.metrics["reward"]
        assert (found.rows_before, found.rows_after, found.cut) == (49, 50, ())


def test_changes_with_no_step_between_them_are_told_as_one():
    # A phase, then a rollback while the run is held at step 40: only what both did can be seen.
    steps = [*range(1, 41), *range(21, 61)]
    back = Branch(t=40.6, name="b", parent="main", step=40, at=20, checkpoint="auto-20")
    phase, rollback = command(40, "phase", t=40.5), command(40, "rollback", t=40.7)
    first, second = effects({"reward": logged([1.0] * 40 + [2.0] * 40, steps)}, [phase, rollback], [back])
    for found, other in ((first, "rollback"), (second, "phase")):
        told = found.metrics["reward"]
        assert (told.rows_before, told.rows_after, told.verdict) == (39, 40, "rose")
        assert card(found)[1] == f"  with {other} x=1: no step between them, so they are told as one"
    # Where one step lies between, there is no way to tell what the first did, and it is not mixed into the second.
    earlier = command(39, "phase", t=39.5)
    first, second = effects({"reward": logged([1.0] * 40 + [2.0] * 40, steps)}, [earlier, rollback], [back])
    assert (first.others, second.others) == ((), ()) and first.metrics["reward"].rows_after == 0


# Alerts


class Alarm(Struct, frozen=True):
    t: float
    rule: str
    on: bool
    step: int
    text: str = ""


def test_what_became_of_the_alerts_that_stood():
    commands = [command(20, t=20.5), command(60, "reset", t=60.5)]
    found, later = effects({"reward": logged(np.arange(90.0) % 7)}, commands)
    format_on = Alarm(5.0, "format", True, 5, "One format has taken over: column has 92%")
    over = Alarm(30.0, "format", False, 30, "One format has taken over")

    def told(*alarms, effect=found, live=True):
        return answered(effect, alarms, commands, live=live)

    assert told() == "" and told(over) == ""
    assert told(format_on, over) == "alert: One format has taken over: cleared at step 30"
    after = Alarm(70.0, "format", False, 70, "One format has taken over")
    assert told(format_on, after) == "alert: One format has taken over: not cleared by the next change"
    assert told(format_on, effect=later) == "alert: One format has taken over: still firing"
    assert told(format_on, effect=later, live=False) == "alert: One format has taken over: not cleared"
    # What came only after the command was none that it answered; what came again has not cleared.
    assert told(Alarm(25.0, "kl", True, 25, "KL leaps"), over) == ""
    again = Alarm(40.0, "format", True, 40, "One format has taken over")
    assert "not cleared" in told(format_on, over, again)
    afresh = Alarm(59.0, "format", True, 30 + WINDOW + 1, "One format has taken over")
    assert told(format_on, over, afresh) == told(format_on, over), "long after it is another one"
    kl = Alarm(6.0, "kl", True, 6, "KL leaps: 4.2"), Alarm(44.0, "kl", False, 44, "KL leaps")
    assert told(format_on, *kl, effect=found) == (
        "alerts: 1 of 2 cleared, the last at step 44; not cleared by the next change: One format has taken over"
    )
    assert told(format_on, over, *kl) == "alerts: 2 of 2 cleared, the last at step 44"


# Branches


def test_after_a_rollback_before_and_after_go_by_the_order_of_logging():
    steps = [*range(1, 41), *range(21, 61)]
    values = [*[1.0] * 40, *[2.0] * 40]
    back = Branch(t=40.5, name="b", parent="main", step=40, at=20, checkpoint="auto-20")
    for reported in (40, 20):  # where the run was, or where it went
        sent = CommandMark(1, "r", "rollback", ("auto-20",), "me", 40.6, reported, "applied")
        (found,) = effects({"reward": logged(values, steps)}, [sent], [back])
        told = found.metrics["reward"]
        assert (told.rows_before, told.rows_after, told.before, told.after) == (39, 40, 1.0, 2.0)
        assert (told.verdict, told.cut) == ("rose", ())


def test_commands_on_a_branch_find_their_rows_there():
    steps = [*range(1, 41), *range(21, 61)]
    values = np.arange(80.0)
    back = Branch(t=40.5, name="b", parent="main", step=40, at=20, checkpoint="auto-20")
    rollback = CommandMark(1, "r", "rollback", ("auto-20",), "me", 40.6, 40, "applied")
    early, late = command(30, t=30), command(30, t=55)
    found = effects({"reward": logged(values, steps)}, [early, rollback, late], [back])
    told = [f.metrics["reward"] for f in found]
    assert told[0].after == pytest.approx(values[30:39].mean()) and told[0].cut == ("after",)
    assert told[1].before == pytest.approx(values[30:39].mean())
    assert told[1].after == pytest.approx(values[40:49].mean())
    assert told[2].before == pytest.approx(values[40:49].mean())
    assert told[2].after == pytest.approx(values[50:].mean())
    # A change just after the run went back, before it went on, is a change at the same place.
    at_once = command(20, t=41)
    pair = effects({"reward": logged(values, steps)}, [rollback, at_once], [back])
    assert pair[0].metrics == pair[1].metrics


def test_the_trend_goes_on_from_where_the_run_was_and_not_from_the_step_it_went_back_to():
    steps = [*range(1, 41), *range(21, 61)]
    values = np.arange(80.0)  # rises by 1 a row, whatever the step
    back = Branch(t=40.5, name="b", parent="main", step=40, at=20, checkpoint="auto-20")
    rollback = CommandMark(1, "r", "rollback", ("auto-20",), "me", 40.6, 40, "applied")
    (found,) = effects({"reward": logged(values, steps)}, [rollback], [back])
    assert found.metrics["reward"].beyond == pytest.approx(0, abs=1e-9)


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), max_size=4), st.integers(1, 7))
def test_branches_are_found_where_every_step_is_logged_and_never_out_of_order_where_not(legs, every):
    branches, steps, truth, now = [], [], [0], 0
    for number, (forward, backward) in enumerate([*legs, (30, 0)]):
        steps += range(now + 1, now + forward + 1)
        now += forward
        if backward:
            at = max(now - backward, 0)
            branches.append(Returned(now, at, float(number)))
            truth.append(len(steps))
            now = at
    array = np.array(steps)
    starts = branch_starts(array, branches)
    assert starts == truth
    sparse = array[array % every == 0]
    starts = branch_starts(sparse, branches)
    assert len(starts) == len(branches) + 1 and starts == sorted(starts) and starts[-1] <= sparse.size


def test_a_step_that_was_measured_twice_is_no_branch():
    steps = np.array([*range(1, 61), 60, 60, *range(41, 50)])
    assert branch_starts(steps, [Returned(60, 40, 0.0)]) == [0, 62]
    # Every tenth step only: the branch shows where it repeats a step, or where it first goes further.
    assert branch_starts(np.array([50, 60, 60, 70]), [Returned(63, 58, 0.0)]) == [0, 2]
    assert branch_starts(np.array([50, 60, 70]), [Returned(58, 55, 0.0)]) == [0, 1]
    assert branch_starts(np.array([50]), [Returned(58, 55, 0.0)]) == [0, 1]


def test_a_change_too_soon_after_another_will_never_have_enough_steps():
    (first, second) = effects({"reward": logged(np.arange(60.0) % 7)}, [command(30), command(34)])
    assert first.metrics["reward"].verdict == "not enough steps" and first.metrics["reward"].cut == ("after",)
    assert second.metrics["reward"].verdict == "not enough steps" and second.metrics["reward"].cut == ("before",)
    assert "not enough steps" in brief(first)


@pytest.mark.parametrize(("at", "said"), [(20, "the trend of 19 values led"), (21, "the trend before led")])
def test_a_short_trend_that_is_continued_is_said_to_be_short(at, said):
    (found,) = effects({"reward": logged(np.arange(60.0))}, [command(at)])
    assert said in card(found)[1]


def test_figures_that_seem_to_contradict_each_other_are_told_as_one_thought():
    rises, after = np.arange(59.0), np.arange(59) > 29
    cases = {
        "no clear effect: higher, but the trend before led to 44.0;": rises,
        "no clear effect: lower, but the trend before led to -44.0;": -rises,
        "no clear effect: higher, yet below 44.0, where the trend before led;": np.where(after, 30 + rises % 3, rises),
        "no clear effect: as before, yet above -44.0, where the trend before led;": np.where(
            after, rises % 3 - 15, -rises
        ),
        "no clear effect;": np.zeros(59),
        "rose; the trend before led to 0.00;": 1.0 * after,
    }
    for said, values in cases.items():
        (found,) = effects({"reward": logged(values)}, [command(30)])
        assert f"  {said} 29 values before, 29 after" in card(found)[1], card(found)


def test_a_trend_is_continued_only_as_far_as_it_was_seen():
    # Nine rows that rise by 1 up to 9, then 40 of which the first nine go on so and the rest stay at 19.
    values = [*range(1, 10), 10, *range(11, 20), *[19] * 31]
    told = only(values, 10)
    assert (told.rows_before, told.rows_after, told.continued) == (9, 40, 9)
    assert told.expected == pytest.approx(15) and told.beyond == pytest.approx(0, abs=1e-9)
    (found,) = effects({"reward": logged(values)}, [command(10)])
    assert "the trend of 9 values led to 15.0 in the next 9;" in card(found)[1]


@pytest.mark.parametrize("rho", [0.0, 0.6])
@pytest.mark.parametrize(("before", "after"), [(8, 50), (12, 50), (20, 50)])
def test_of_a_short_trend_no_effect_is_seldom_called_one_long_after(rho, before, after):
    rng = np.random.default_rng([int(10 * rho), before, 7])
    steps = np.arange(before + 1 + after)
    # One that goes on, one that flattens as learning does, and one that ends within a few steps, as after a change.
    for shape in (0.1 * steps, 8 * (1 - np.exp(-steps / 40)), 3 * (1 - np.exp(-steps / 8))):
        calls = [only(shape + ar1(rng, steps.size, rho), before + 1).verdict for _ in range(SIMULATIONS)]
        assert 1 - calls.count("no detectable effect") / SIMULATIONS <= 0.08, shape


@pytest.mark.parametrize(("before", "drop"), [(8, 8.0), (20, 6.0), (36, 4.0)])
def test_a_drop_on_top_of_a_falling_trend_is_found(before, drop):
    rng = np.random.default_rng([before, 8])
    steps = np.arange(before + 37)
    shape = -0.05 * steps - drop * (steps > before)
    told = [only(shape + ar1(rng, steps.size, 0.3), before + 1).verdict for _ in range(SIMULATIONS)]
    assert told.count("fell") / SIMULATIONS >= 0.9


def test_what_an_undo_jumps_ahead_is_no_distance_of_the_trend():
    # Back from 700 to 500, then by an undo ahead again from 536 to 700: 36 rows on each side, none further apart.
    steps = [*range(1, 701), *range(501, 537), *range(701, 737)]
    values = np.concatenate([np.zeros(700), 0.7 - 0.001 * np.arange(36), np.zeros(36)])
    branches = [Returned(700, 500, 700.2), Returned(536, 700, 736.2)]
    rollback, undo = command(700, "rollback", t=700.3), command(536, "undo", t=736.3)
    _, found = effects({"reward": logged(values, steps)}, [rollback, undo], branches)
    told = found.metrics["reward"]
    # Rows 0 to 34 of the branch, its last being the command's own; the line at the mean of rows 36 to 70.
    assert (told.rows_before, told.rows_after, told.verdict) == (35, 36, "fell")
    assert told.expected == pytest.approx(0.7 - 0.001 * 53)


def test_a_trend_leads_to_no_value_that_is_impossible():
    falling = 0.03 * (1 - np.arange(60) / 30)
    (found,) = effects({"kl/base_k3": logged(np.where(np.arange(60) > 29, 0.002, falling))}, [command(30)])
    told = found.metrics["KL"]
    assert told.expected == 0 and told.beyond == pytest.approx(0.002)
    assert "0.00 (its least), where the trend before led" in card(found)[1]


# Cards


def test_a_card_is_a_line_for_each_metric():
    rng = np.random.default_rng(3)
    columns = {
        "reward": logged(0.5 + 0.01 * rng.standard_normal(60) + 0.2 * (np.arange(60) > 29)),
        "entropy": logged(1 + 0.1 * rng.standard_normal(60)),
        "calibration/ece": logged([0.1, 0.2], [10, 40]),
    }
    (found,) = effects(columns, [command(30)])
    head, reward, entropy, calibration, slope = card(found)
    assert head == "set x=1 at step 30"
    assert reward.startswith("  reward 0.") and " -> 0." in reward and "  rose; the trend before led" in reward
    assert "+0.199 (0.194 to 0.204)" in reward and "no clear effect" in entropy and " in 100 steps  " in slope
    assert calibration == "  calibration: not enough steps (1 of 8 values before it: it can never be told)"
    (down,) = effects({"reward": logged(-1.0 * (np.arange(60) > 29))}, [command(30)])
    assert "-> -1.00  -1.00 (-1.00 to -1.00)  fell" in card(down)[1]
