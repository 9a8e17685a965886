"""The curriculum as a machine: what ends a phase, what a person may do, and that prompts repeat where they must."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpeaks_tui.instrument.curriculum import Curriculum, PhaseChange
from rlpeaks_tui.phases import ENTROPY_STEPS, Phase, RewardLevel, Until

PROMPTS = 4
GROUP = 3
OWN = {"temperature": 1.0, "beta": 0.0, "learning_rate": 1e-3}
PHASES = [
    Phase(name="a", tasks={"x": 1.0}, steps=5, settings={"temperature": 0.7}),
    Phase(name="b", tasks={"x": 1.0, "y": 3.0}, until=Until(reward=RewardLevel(at_least=0.5, steps=3))),
    Phase(name="c", tasks={"y": 1.0}, until=Until(hand=True), settings={"beta": 0.1, "temperature": 1.2}),
    Phase(name="d", tasks={"z": 2.0, "x": 1.0}, until=Until(entropy_below=0.2), steps=40),
    Phase(name="e", tasks={"z": 1.0}),
]


def draw(task: str, rng: np.random.Generator) -> dict[str, Any]:
    return {"prompt": f"{task} {rng.integers(1 << 30)}"}


def made(phases: list[Phase] = PHASES, seed: int = 3) -> Curriculum:
    return Curriculum(phases, seed, draw, PROMPTS, OWN)


def batch(generation: int, group: int = GROUP) -> list[dict[str, Any]]:
    """All rows of a generation as the dataset has them, each prompt `group` times."""
    return [{"number": generation * PROMPTS + i, "prompt": ""} for i in range(PROMPTS) for _ in range(group)]


def by_hand(seed: int, number: int, phase: Phase) -> dict[str, Any]:
    """The row of prompt `number`, from the definition."""
    rng = np.random.default_rng([seed, number])
    weights = np.array(list(phase.tasks.values()))
    task = list(phase.tasks)[int(rng.choice(len(weights), p=weights / weights.sum()))]
    return {**draw(task, rng), "task": task, "phase": phase.name}


def test_with_fixed_steps_a_prompts_number_alone_decides_all() -> None:
    phases = [
        Phase(name="a", tasks={"x": 1.0, "y": 1.0}, steps=2),
        Phase(name="b", tasks={"y": 1.0, "z": 5.0}, steps=3),
        Phase(name="c", tasks={"z": 1.0, "x": 1.0}),
    ]
    plan = made(phases)
    for step in range(1, 9):
        phase = phases[0 if step <= 2 else 1 if step <= 5 else 2]
        # What the data loader brings says nothing but places: also where it began again from its first row.
        rows = plan.rows(batch(step % 3))
        expected = [by_hand(3, (step - 1) * PROMPTS + i, phase) for i in range(PROMPTS) for _ in range(GROUP)]
        assert rows == expected
        change = plan.advance(step, None, None)
        assert (change is not None) == (step in (2, 5))


def test_each_row_is_its_own() -> None:
    first, second, *_ = made().rows(batch(0))
    first["prompt"] = "changed"
    assert second["prompt"] != "changed"


def test_a_number_of_steps_ends_a_phase() -> None:
    plan = made()
    assert [plan.advance(step, 1.0, 0.0) for step in range(1, 5)] == [None] * 4
    change = plan.advance(5, 1.0, 0.0)
    assert change == PhaseChange(
        name="b", index=1, of=5, step=5, by_hand=False, why="5 steps done", settings={"temperature": 1.0}
    )
    assert plan.why == "5 steps done"


def test_a_reward_that_holds_ends_a_phase_and_older_phases_do_not_count() -> None:
    plan = made()
    for step in range(1, 6):
        plan.advance(step, 1.0, None)
    assert plan.phase.name == "b"
    rewards = [0.9, None, 0.0, float("nan"), 0.5, 0.7, 0.4]
    changes = [plan.advance(step, reward, None) for step, reward in enumerate(rewards, 6)]
    # 0.9, 0.0, 0.5 is 0.467; 0.0, 0.5, 0.7 is 0.4; 0.5, 0.7, 0.4 is 0.533: steps without a reward do not count.
    assert changes[:-1] == [None] * 6
    last = changes[-1]
    assert last is not None and last.why == "reward 0.533 over the last 3 steps, at least 0.5"
    assert last.settings == {"beta": 0.1, "temperature": 1.2}


def test_a_phase_by_hand_waits_for_a_person() -> None:
    plan = made()
    plan.switch("c", 2)
    plan.switch("auto", 2)
    assert not plan.by_hand and not plan.advances
    assert all(plan.advance(step, 1.0, 0.0) is None for step in range(3, 500))


def test_an_entropy_below_its_floor_ends_a_phase() -> None:
    plan = made()
    plan.switch("d", 0)
    plan.switch("auto", 0)
    entropies = [0.3, *[0.19] * ENTROPY_STEPS]
    changes = [plan.advance(step, None, entropy) for step, entropy in enumerate(entropies, 1)]
    # Steps 1 to 10 have a mean of 0.201.
    assert changes[:-1] == [None] * ENTROPY_STEPS
    assert changes[-1] is not None and changes[-1].why == "entropy 0.19 over the last 10 steps, below 0.2"


def test_the_last_phase_never_ends() -> None:
    plan = made([Phase(name="only", tasks={"x": 1.0}, steps=2)])
    assert not plan.advances
    assert all(plan.advance(step, 1.0, 0.0) is None for step in range(1, 9))


def test_a_person_has_the_wheel_until_they_give_it_back() -> None:
    plan = made()
    there = plan.switch("next", 2)
    assert (there.name, there.why, there.by_hand, there.step) == ("b", "by hand", True, 2)
    back = plan.switch("prev", 3)
    assert (back.name, back.settings) == ("a", {"temperature": 0.7})
    assert all(plan.advance(step, 1.0, 0.0) is None for step in range(4, 30))
    given_back = plan.switch("auto", 29)
    assert (given_back.name, given_back.by_hand, given_back.settings) == ("a", False, {})
    assert given_back.why == "by hand: the rules advance it again (5 steps)"
    # Entered after step 3, so its five steps are over.
    change = plan.advance(30, None, None)
    assert change is not None and change.name == "b"


def test_to_name_the_phase_in_force_holds_it_and_forgets_nothing() -> None:
    plan = made()
    plan.advance(1, None, None)
    assert plan.switch("a", 1).settings == {"temperature": 0.7}
    assert plan.by_hand and plan.why == ""
    plan.switch("auto", 4)
    assert plan.advance(5, None, None) is not None


@pytest.mark.parametrize(
    ("start", "to", "says"),
    [
        ("a", "zzz", "there is no phase 'zzz'; there are: a, b, c, d, e"),
        ("a", "prev", "'a' is the first phase: there is none before it"),
        ("e", "next", "'e' is the last phase: there is none after it"),
        ("a", "", "there is no phase ''"),
    ],
)
def test_a_switch_that_cannot_be_is_refused_and_changes_nothing(start: str, to: str, says: str) -> None:
    plan = made()
    plan.switch(start, 0)
    plan.switch("auto", 0)
    before = plan.state()
    with pytest.raises(ValueError, match="phase") as refused:
        plan.switch(to, 7)
    assert str(refused.value).startswith(says)
    assert plan.state() == before


WORDS = ["a", "b", "c", "d", "e", "next", "prev", "auto"]
events = st.lists(
    st.tuples(
        st.none() | st.sampled_from(WORDS),
        st.none() | st.floats(0, 1),
        st.none() | st.floats(0, 0.5),
    ),
    max_size=40,
)


def run(plan: Curriculum, script: list[tuple[Any, ...]], first: int, ranks: list[Curriculum]) -> list[Any]:
    """Train: each step a generation, an update, the rules on the first rank, then what a person says."""
    seen: list[Any] = []
    for step, (word, reward, entropy) in enumerate(script, first):
        inputs = batch(step)
        rows = plan.rows(inputs)
        share = len(inputs) // (len(ranks) or 1)
        told = [rank.rows(inputs[i * share : (i + 1) * share]) for i, rank in enumerate(ranks)]
        assert not ranks or [row for part in told for row in part] == rows
        advances = plan.advances
        assert all(rank.advances == advances for rank in ranks)
        change = plan.advance(step, reward, entropy)
        assert change is None or advances
        for rank in ranks:
            if change is not None:
                rank.follow(change)
        if word is not None:
            answers = []
            for one in (plan, *ranks):
                try:
                    answers.append(one.switch(word, step))
                except ValueError as error:
                    answers.append(str(error))
            assert all(answer == answers[0] for answer in answers)
            change = answers[0]
        seen.append((rows, change))
    return seen


@given(events, st.sampled_from([1, 2, 4]), st.integers(0, 2**32 - 1))
def test_all_ranks_make_the_prompts_that_one_would(script: list[tuple[Any, ...]], world: int, seed: int) -> None:
    run(made(seed=seed), script, 1, [made(seed=seed) for _ in range(world)])


@given(events, events, events)
def test_what_follows_a_checkpoint_repeats_when_the_run_goes_back_to_it(
    before: list[tuple[Any, ...]], after: list[tuple[Any, ...]], lost: list[tuple[Any, ...]]
) -> None:
    plan = made()
    run(plan, before, 1, [])
    kept = json.loads(json.dumps(plan.state()))
    at = len(before) + 1
    first_time = run(plan, after, at, [])
    run(plan, lost, at + len(after), [])
    settings = plan.restore(kept)
    assert plan.state() == kept
    assert settings.items() >= plan.phase.settings.items()
    assert run(plan, after, at, []) == first_time
    # A process that begins anew goes on from it too.
    fresh = made()
    fresh.restore(kept)
    assert run(fresh, after, at, []) == first_time


@pytest.mark.parametrize(
    "change",
    [{"index": 5}, {"index": -1}, {"prompt": -1}, {"index": "a"}, {"by_hand": None}, {"more": 1}, {"rewards": [None]}],
)
def test_a_state_that_is_none_is_refused_and_changes_nothing(change: dict[str, Any]) -> None:
    plan = made()
    run(plan, [(None, 0.5, 0.1)] * 6, 1, [])
    before = plan.state()
    with pytest.raises(ValueError, match="state"):
        plan.restore(before | change)
    assert plan.state() == before
