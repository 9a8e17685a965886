"""Where things lie: inside the screen, never over each other, for every size."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpeaks_tui.cockpit import plan
from rlpeaks_tui.cockpit.panels import BY_ID, MISSION


@given(st.integers(0, 320), st.integers(0, 100), st.integers(1, 7), st.sampled_from(sorted(BY_ID)))
def test_places_are_inside_and_apart(width: int, height: int, rows: int, shown: str) -> None:
    for places in (plan.overview(width, height, rows, shown), plan.enlarged(width, height, rows)):
        for place in places.values():
            assert place.width > 0 and place.height > 0
            assert place.x >= 0 and place.x + place.width <= width
            assert place.y >= 0 and place.y + place.height <= height
        for a, b in combinations(places.values(), 2):
            apart = a.x + a.width <= b.x or b.x + b.width <= a.x or a.y + a.height <= b.y or b.y + b.height <= a.y
            assert apart, (a, b)


@given(st.integers(1, 320), st.integers(16, 100))
def test_a_verdict_of_one_row_may_go_on_in_the_air_below_it(width: int, height: int) -> None:
    for places in (plan.enlarged(width, height, 1), plan.enlarged(width, height, 2)):
        if places:
            assert places["verdict"].height == 2


@given(st.integers(60, 107), st.integers(18, 80), st.sampled_from(sorted(BY_ID)))
def test_a_small_screen_shows_state_verdict_and_the_chosen_panel(width: int, height: int, shown: str) -> None:
    places = plan.overview(width, height, 1, shown)
    assert {"header", "verdict", "footer", shown} <= set(places)
    assert places[shown].height >= 6


@pytest.mark.parametrize("size", [(120, 40), (160, 45), (200, 60), (240, 60)])
def test_a_roomy_screen_shows_the_whole_mission(size: tuple[int, int]) -> None:
    places = plan.overview(*size)
    assert {*MISSION, "completion", "timeline", "header", "verdict", "footer"} <= set(places)
    assert all(places[panel].height >= 8 for panel in MISSION)
    used = sum(place.width * place.height for place in places.values())
    assert used >= 0.8 * size[0] * size[1]


def test_more_room_shows_more() -> None:
    shown = [set(plan.overview(*size)) for size in ((80, 24), (120, 40), (160, 45), (200, 60))]
    assert {"console", "cost", "formats"} <= shown[2] and "facts" in shown[3]
    assert len(shown[0]) < len(shown[1]) + 2 < len(shown[2]) + 2 < len(shown[3]) + 2


def test_arrows_lead_to_the_panel_in_their_direction() -> None:
    places = {name: place for name, place in plan.overview(160, 45).items() if name in BY_ID}
    assert plan.nearest(places, "reward", 1, 0) == "entropy"
    assert plan.nearest(places, "calibration", 1, 0) == "calibration"
    assert plan.nearest(places, "reward", 0, 1) == "sparsity"
    assert plan.nearest(places, "sparsity", 1, 0) == "formats"
    assert plan.nearest(places, "timeline", 0, -1) in ("sparsity", "formats", "completion")
    for name in places:
        for back, forth in (((1, 0), (-1, 0)), ((0, 1), (0, -1))):
            there = plan.nearest(places, name, *back)
            assert there == name or plan.nearest(places, there, *forth) != there
