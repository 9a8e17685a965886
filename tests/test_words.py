"""Numbers and names as text: shares that add up, counts with separators, papers by their whole name."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from rlpeaks_tui.cockpit.words import cited, percents, plural


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=8).filter(any))
def test_shares_of_a_whole_add_up_and_none_is_a_point_off(parts: list[int]) -> None:
    whole = sum(parts)
    told = percents([part / whole for part in parts])
    counts = [0 if text == "<1 %" else int(text.removesuffix(" %")) for text in told]
    assert sum(counts) == 100
    for part, count, text in zip(parts, counts, told, strict=True):
        exact = Fraction(100 * part, whole)
        assert abs(count - exact) <= 1
        assert (text == "0 %") == (part == 0)


def test_a_share_that_is_not_known_is_no_part_of_the_whole() -> None:
    assert percents([0.25, None, 0.75]) == ["25 %", "-", "75 %"]
    assert percents([None, float("nan")]) == ["-", "-"] and percents([0.0]) == ["0 %"] and percents([]) == []


def test_counts_have_separators() -> None:
    assert [plural(n, "step") for n in (0, 1, 999, 1173)] == ["0 steps", "1 step", "999 steps", "1,173 steps"]


def test_papers_have_their_whole_name_and_other_numbers_stay() -> None:
    assert cited("2505.11711 and 2511.08567; then (2504.07912)") == (
        "arXiv:2505.11711 and arXiv:2511.08567; then (arXiv:2504.07912)"
    )
    assert (
        cited("arXiv:2505.11711, 12505.11711, 2504.079123, 0.25") == "arXiv:2505.11711, 12505.11711, 2504.079123, 0.25"
    )
