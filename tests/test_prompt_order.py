"""The order of prompts, against a plain list of what was seen at which step."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rlpeaks_tui.instrument import prompt_order
from rlpeaks_tui.instrument.prompt_order import PromptOrder


@given(st.lists(st.integers(-8, 0), max_size=40))
def test_after_going_back_the_same_prompts_come_again_and_none_is_lost(moves: list[int]) -> None:
    """Each move is a step on (0) or some steps back (below 0)."""
    order, at, fetched = PromptOrder(), 0, 0
    first_seen: dict[int, int] = {}
    for move in moves:
        if move < 0:
            at = max(0, at + move)
            assert order.go_back(at)
            continue
        (row,) = order.next(at, [{"number": fetched}])
        assert first_seen.setdefault(at, row["number"]) == row["number"]
        fetched, at = fetched + 1, at + 1
    assert sorted(first_seen.values()) == list(range(len(first_seen)))


def test_what_is_no_longer_remembered_is_said() -> None:
    order = PromptOrder()
    for step in range(prompt_order.REMEMBERED + 10):
        order.next(step, [{"number": step}])
    assert order.go_back(20) and not order.go_back(5)
