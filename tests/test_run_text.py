"""Text that a terminal is sent: pyte, a terminal of another author, says whether it did more than show it."""

from __future__ import annotations

import json
from typing import Any

import pyte
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from wcwidth import wcwidth

from rlpeaks_tui.run.text import clean, clean_line, clean_tree, console_lines, is_plain
from tests.run_fakes import NASTY, is_safe, texts

COLUMNS, LINES = 400, 5
MARK = "|"

nasty = st.one_of(
    st.text(max_size=60),
    st.lists(st.one_of(st.sampled_from(NASTY), st.text(max_size=4)), max_size=8).map("".join),
    st.text(alphabet=st.sampled_from("\x1b\x9b\x9d\x90[]PX^_?;0123456789 /@~mHJnc\\\x07\x9c\nab"), max_size=40),
)


class Terminal:
    """A terminal that notes what it would have answered."""

    def __init__(self) -> None:
        self.answers: list[str] = []
        self.screen = pyte.Screen(COLUMNS, LINES)
        self.screen.write_process_input = self.answers.append
        self.stream = pyte.Stream(self.screen)

    def untouched(self) -> tuple[Any, ...]:
        """All that text alone must not change."""
        s = self.screen
        attributes = (s.cursor.attrs, s.cursor.hidden, s.charset, s.g0_charset, s.g1_charset)
        return (s.title, s.icon_name, frozenset(s.mode), s.margins, tuple(sorted(s.tabstops)), *attributes)


@given(nasty)
@example("".join(NASTY))
def test_a_cleaned_line_moves_the_cursor_by_its_width_and_does_nothing_else(text: str) -> None:
    line = clean_line(text)
    terminal = Terminal()
    before = terminal.untouched()
    # One character at a time: pyte drops what follows a character without a width within one piece of text.
    for char in line:
        terminal.stream.feed(char)
    assert terminal.answers == []
    assert terminal.untouched() == before
    assert (terminal.screen.cursor.y, terminal.screen.cursor.x) == (0, sum(max(0, wcwidth(c)) for c in line))
    terminal.stream.feed(MARK)
    assert terminal.screen.display[0].rstrip().endswith(MARK)
    assert all(not row.strip() for row in terminal.screen.display[1:])


@given(nasty)
@example("".join(NASTY))
def test_cleaned_text_keeps_newlines_and_tabs_and_no_other_control(text: str) -> None:
    cleaned = clean(text)
    assert is_safe(cleaned)
    assert clean(cleaned) == cleaned
    assert cleaned.count("\n") <= text.count("\n")


@given(st.text(alphabet=st.characters(exclude_categories=["C", "Z"]), max_size=50))
def test_what_is_harmless_is_not_changed(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize("sequence", NASTY)
def test_a_nasty_sequence_is_seen_to_have_been_there(sequence: str) -> None:
    assert "\ufffd" in clean(f"a{sequence}b")


def test_text_around_a_sequence_stays_and_its_parameters_go() -> None:
    assert clean("a\x1b[31mred\x1b[0mb") == "a\ufffdred\ufffdb"
    assert clean("a\x1b]0;title\x07b") == "a\ufffdb"
    assert clean("one\x1b]0;never ends\ntwo") == "one\ufffd\ntwo"


def test_a_limit_holds_and_is_no_way_around_cleaning() -> None:
    assert clean("x" * 100, limit=10) == "x" * 10
    assert clean("xx\x1b[31m", limit=4) == "xx\ufffd"
    assert clean_line("a\nb\tc") == "a\u23ceb c"


@given(st.lists(st.sampled_from(["10%", "\r", "\n", "done", "\x1b[K", "\u00e9", "\r\n"]), max_size=20).map("".join))
def test_console_lines_are_what_is_left_of_progress_bars(text: str) -> None:
    lines = console_lines(text.encode())
    assert len(lines) == text.count("\n") + 1
    assert all(is_safe(line) and "\n" not in line for line in lines)
    for line, raw in zip(lines, text.split("\n"), strict=True):
        assert line == clean_line(raw.rstrip("\r").split("\r")[-1])


def test_console_survives_bytes_that_are_no_text() -> None:
    assert console_lines(b"\xff\xfe ok\nnext") == ["\ufffd\ufffd ok", "next"]


json_values = st.recursive(
    st.one_of(nasty, st.integers(), st.none(), st.booleans()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(nasty, inner, max_size=3)),
    max_leaves=6,
)


@given(json_values)
def test_every_text_of_a_tree_is_cleaned(tree: Any) -> None:
    cleaned = clean_tree(tree)
    assert all(is_safe(text) for text in texts(cleaned))
    assert type(cleaned) is type(tree)


@given(st.text(max_size=30))
@example("\x1b[2J")
@example("\x7f")
@example("\x9b6n")
@example("\u202e")
def test_json_that_counts_as_plain_needs_no_cleaning(text: str) -> None:
    for ascii_only in (True, False):
        if is_plain(json.dumps([text], ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")):
            assert clean(text) == text
