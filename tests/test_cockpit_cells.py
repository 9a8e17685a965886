"""The grid of cells: clipping, wide characters, cutting and breaking text."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from rlpeaks_tui.cockpit.cells import BLANK, FOLLOWS, Cells, Ink, fit, heat, in_ascii, text_of, width_of, wrap
from rlpeaks_tui.cockpit.stretches import settle

# Characters of one and two cells that never join their neighbours.
text = st.text(st.sampled_from("abc xyz0123漢字語한あいう…─█⣿é"), max_size=24)


@given(text, st.integers(-30, 30), st.integers(0, 20), st.integers(0, 3))
def test_put_shows_exactly_the_part_that_is_inside(words: str, x: int, width: int, height: int) -> None:
    cells = Cells(width, height)
    end = cells.put(0, x, words, Ink.WARN)
    assert end == x + cell_len(words)
    for row in cells.rows():
        assert cell_len(row) == width
    if height:
        column = x
        for char in words:
            size = cell_len(char)
            if column >= 0 and column + size <= width:
                assert cells.chars[0, column] == ord(char)
                assert (cells.inks[0, column : column + size] == Ink.WARN).all()
            column += size


@given(st.lists(st.tuples(text, st.integers(-5, 25)), max_size=6))
def test_writing_over_wide_characters_never_leaves_half_of_one(writes: list[tuple[str, int]]) -> None:
    cells = Cells(20, 1)
    for words, x in writes:
        cells.put(0, x, words)
    codes = cells.chars[0].tolist()
    for i, code in enumerate(codes):
        wide = code not in (FOLLOWS, BLANK) and cell_len(chr(code)) == 2
        follows = i + 1 < len(codes) and codes[i + 1] == FOLLOWS
        assert wide == follows
    assert cell_len(cells.rows()[0]) == 20


def test_put_right_ends_before_its_column() -> None:
    cells = Cells(10, 1)
    assert cells.put_right(0, 8, "1.25") == 4
    assert cells.rows() == ["    1.25  "]


@given(st.integers(-6, 6), st.integers(-6, 6))
def test_blit_copies_what_overlaps(y: int, x: int) -> None:
    under, over = Cells(5, 4), Cells(3, 3)
    for row in range(3):
        over.put(row, 0, "###", Ink.GOOD)
    under.blit(y, x, over)
    expected = np.zeros((4, 5), np.bool_)
    for row in range(4):
        for column in range(5):
            expected[row, column] = y <= row < y + 3 and x <= column < x + 3
    assert np.array_equal(under.chars == ord("#"), expected)
    assert np.array_equal(under.inks == Ink.GOOD, expected)


@given(text, st.integers(0, 30))
def test_fit_never_exceeds_its_width_and_says_when_it_cuts(words: str, width: int) -> None:
    shown = fit(words, width)
    assert width_of(shown) <= width
    assert shown == words or shown.endswith("…") or (not shown and width < 1)


@given(text, st.integers(2, 12), st.integers(1, 5))
def test_wrap_keeps_words_and_marks_what_is_missing(words: str, width: int, limit: int) -> None:
    lines = wrap(words, width, limit)
    assert len(lines) <= limit
    assert all(width_of(line) <= width for line in lines)
    kept = "".join(lines).replace(" ", "")
    whole = "".join(words.split())
    assert kept == whole or (kept.endswith("…") and whole.startswith(kept[:-1]))


def test_flags_and_joiners_take_no_cell() -> None:
    cells = Cells(8, 1)
    end = cells.put(0, 0, "a\u0301b\U0001f1e9\U0001f1eac\u200dd")
    assert end == 4
    assert cells.rows() == ["abcd    "]


def test_ascii_replaces_every_foreign_sign() -> None:
    cells = Cells(30, 1)
    cells.put(0, 0, "0.5 ±0.1 … 漢 → ●", Ink.KL)
    plain = in_ascii(cells)
    assert plain.rows()[0].isascii()
    assert plain.rows()[0].startswith("0.5+-0.1 ~ ??-> o")
    assert np.array_equal(plain.inks, cells.inks)


def test_blanks_take_the_ink_on_their_left_unless_a_ground_shows() -> None:
    cells = Cells(12, 1)
    cells.put(0, 0, "a", Ink.REWARD)
    cells.put(0, 3, "b", Ink.KL)
    cells.put(0, 5, "▀", heat(3, 4))
    inks = settle(cells)[0].tolist()
    assert inks[:5] == [Ink.REWARD] * 3 + [Ink.KL] * 2
    assert inks[6:] == [Ink.TEXT] * 6


def test_text_of_skips_the_halves_of_wide_characters() -> None:
    cells = Cells(6, 1)
    cells.put(0, 1, "漢a")
    assert text_of(cells.chars[0]) == " 漢a  "
