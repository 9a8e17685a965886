"""The budget for measuring, with a clock that only moves when it is told to."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpeaks_tui.instrument.budget import Budget


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def train(
    budget: Budget, clock: Clock, costs: dict[str, float], steps: int, step_seconds: float
) -> dict[str, list[int]]:
    """Steps at which each probe ran, asked in the order of `costs`."""
    ran: dict[str, list[int]] = {name: [] for name in costs}
    for step in range(1, steps + 1):
        clock.now += step_seconds
        spent = 0.0
        for name, cost in costs.items():
            if budget.due(name, step):
                ran[name].append(step)
                with budget.running(name, step):
                    # The first run pays for warming up.
                    clock.now += cost * (10 if len(ran[name]) == 1 else 1)
                spent += cost * (10 if len(ran[name]) == 1 else 1)
        budget.step_done(step_seconds + spent)
    return ran


def test_with_room_every_probe_runs_as_often_as_it_wants() -> None:
    clock = Clock()
    budget = Budget(0.5, {"kl": 1, "exact": 25}, clock=clock)
    ran = train(budget, clock, {"kl": 0.01, "exact": 0.05}, 200, 1.0)
    assert ran["kl"] == list(range(1, 201))
    assert ran["exact"] == list(range(1, 201, 25))


def test_a_dear_probe_is_saved_for_and_not_starved_by_a_cheap_one() -> None:
    clock = Clock()
    budget = Budget(0.02, {"kl": 1, "exact": 25, "sparsity": 25}, clock=clock)
    ran = train(budget, clock, {"kl": 0.1, "exact": 0.6, "sparsity": 0.3}, 1000, 1.0)
    assert len(ran["exact"]) >= 5 and len(ran["sparsity"]) >= 5 and len(ran["kl"]) >= 50, ran
    # All are stretched by one factor: wishes of 0.136 s a step share 0.02 s.
    for name, every in (("kl", 1), ("exact", 25), ("sparsity", 25)):
        gap = (ran[name][-1] - ran[name][1]) / (len(ran[name]) - 2)
        assert gap == pytest.approx(every * 0.136 / 0.02, rel=0.25), name


def test_the_first_runs_do_not_forbid_the_second_ones() -> None:
    clock = Clock()
    budget = Budget(0.1, {"kl": 1}, clock=clock)
    ran = train(budget, clock, {"kl": 0.01}, 20, 1.0)
    assert ran["kl"] == list(range(1, 21))


def test_cheap_probes_are_never_put_off_and_are_charged() -> None:
    clock = Clock()
    budget = Budget(0.001, {"calibration": 5, "kl": 1}, frozenset({"calibration"}), clock=clock)
    ran = train(budget, clock, {"calibration": 0.01, "kl": 1.0}, 100, 1.0)
    assert ran["calibration"] == list(range(1, 101, 5))
    assert ran["kl"] == [1, 2]
    assert budget.spent > 0.19


def test_a_share_of_nothing_runs_nothing() -> None:
    clock = Clock()
    budget = Budget(0.0, {"kl": 1}, frozenset({"kl"}), clock=clock)
    assert train(budget, clock, {"kl": 0.1}, 10, 1.0) == {"kl": []}


def test_a_share_of_all_sets_no_limit() -> None:
    clock = Clock()
    budget = Budget(1.0, {"kl": 1, "exact": 2}, clock=clock)
    ran = train(budget, clock, {"kl": 5.0, "exact": 9.0}, 10, 1.0)
    assert ran == {"kl": list(range(1, 11)), "exact": list(range(1, 11, 2))}


@given(
    share=st.floats(0.005, 0.5),
    kl=st.floats(0.001, 2.0),
    exact=st.floats(0.001, 5.0),
    every=st.integers(1, 40),
)
def test_what_is_spent_stays_within_the_share(share: float, kl: float, exact: float, every: int) -> None:
    """All but the first two runs of each probe, whose cost nobody could know, and the one that crosses the line."""
    clock = Clock()
    budget = Budget(share, {"kl": 1, "exact": every}, clock=clock)
    train(budget, clock, {"kl": kl, "exact": exact}, 300, 1.0)
    unknown = 12 * (kl + exact)
    assert budget.spent <= share * budget.trained + unknown


def test_a_dear_probe_is_saved_up_for_from_its_first_run_on() -> None:
    clock = Clock()
    budget = Budget(0.1, {"eval": 10}, later=frozenset({"eval"}), clock=clock)
    assert not any(budget.due("eval", step) for step in range(1, 30)), "its cost is not known yet"
    budget.expect("eval", 5.0)
    budget.expect("eval", 1.0)  # what is known already is not guessed again
    ran = train(budget, clock, {"eval": 0.5}, 400, 1.0)["eval"]
    # A tenth of each second is put aside: 50 steps for the first, by what was expected of it.
    assert 50 < ran[0] <= 52 and budget.spent <= 0.1 * budget.trained
    gaps = [later - before for before, later in pairwise(ran)]
    assert gaps[-1] < gaps[0] / 2, "once it proved cheaper than expected it comes more often"


def test_what_a_whole_run_affords_at_its_end() -> None:
    clock = Clock()
    budget = Budget(0.1, {"eval": 10}, later=frozenset({"eval"}), clock=clock)
    assert not budget.affords("eval")
    budget.expect("eval", 5.0)
    budget.step_done(40.0)
    assert not budget.affords("eval")
    budget.step_done(20.0)
    assert budget.affords("eval")


def test_after_going_back_probes_run_as_if_nothing_had_run_since() -> None:
    clock = Clock()
    budget = Budget(1.0, {"kl": 5}, clock=clock)
    for step in (1, 6, 11):
        assert budget.due("kl", step)
        with budget.running("kl", step):
            pass
    assert not budget.due("kl", 4)
    budget.went_back(2)
    assert not budget.due("kl", 3) and budget.due("kl", 7)
