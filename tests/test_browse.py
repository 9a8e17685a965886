"""Reading completions: what each drawing says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpeaks_tui.cockpit.browse import compare, finder, group, listing, tokens
from rlpeaks_tui.cockpit.browse.texts import flowed, lined
from rlpeaks_tui.cockpit.cells import HEAT, MEANING, UNDERLINE, Cells, Ink, in_ascii, width_of
from rlpeaks_tui.cockpit.scene import Look
from rlpeaks_tui.run.rollouts import Rollouts, TokenBlock
from tests.browse_fakes import block, found_of, read, traced, words_of

# Texts in lines


@given(st.text("ab \n\t漢é\u0301", max_size=60), st.integers(2, 9))
def test_lines_hold_the_whole_text_and_nothing_sticks_out(text: str, width: int) -> None:
    lines = lined(text, width).upto(10**6)
    assert all(width_of(line) <= width for line in lines)
    assert re.sub(r"\s", "", "".join(lines)) == re.sub(r"\s", "", text)
    assert len(lines) >= text.count("\n") + 1


@given(st.lists(st.text("ab \n漢é\u0301", max_size=14), max_size=12), st.integers(2, 9))
def test_pieces_follow_each_other_and_nothing_sticks_out(pieces: list[str], width: int) -> None:
    rows = flowed(tuple(pieces), width).upto(10**6)
    assert all(sum(width_of(text) for _, text in row) <= width for row in rows)
    order = [i for row in rows for i, _ in row]
    assert order == sorted(order)
    for i, piece in enumerate(pieces):
        assert "".join(text for row in rows for at, text in row if at == i) == piece.replace("\n", "⏎")


def test_a_long_text_is_laid_out_only_as_far_as_it_is_looked_at() -> None:
    for text in ("漢字 " * (1 << 18), "x" * (1 << 20), "\n" * (1 << 20)):
        lines = lined(text, 40)
        top, shown, more = lines.window(5, 20)
        assert (top, len(shown), more) == (5, 20, True) and len(lines._made) == 26


# The difference of two texts


@given(st.text("ab 1+\n", max_size=40), st.text("ab 1+\n", max_size=40))
def test_both_texts_can_be_read_out_of_their_difference(one: str, other: str) -> None:
    parts = compare.compare(one, other).parts
    assert "".join(text for where, text in parts if where != compare.OTHER) == one
    assert "".join(text for where, text in parts if where != compare.ONE) == other


def test_a_difference_is_by_word_and_marked_with_signs() -> None:
    found = compare.compare("so 7 + 8 = 15, carry 1", "so 7 + 9 = 16, carry 1")
    assert [part for part in found.parts if part[0] != compare.SAME] == [
        (compare.ONE, "8"), (compare.OTHER, "9"), (compare.ONE, "15"), (compare.OTHER, "16")
    ]  # fmt: skip
    cells, _ = compare.draw(found, ("one", "other"), 0, 70, 12)
    assert "7 + [−8−]{+9+} = [−15−]{+16+}, carry 1" in words_of(cells)
    assert "2 only in the first, 2 only in the second" in words_of(cells)
    same, _ = compare.draw(compare.compare("a b", "a b"), ("one", "other"), 0, 70, 12)
    assert "the same, word for word" in words_of(same)


def test_the_colours_of_a_difference_do_not_judge() -> None:
    cells, _ = compare.draw(compare.compare("5", "6"), ("one", "other"), 0, 70, 12)
    inks = set((cells.inks & MEANING).flatten().tolist())
    assert not inks & {Ink.GOOD, Ink.BAD, Ink.WARN} and inks >= {Ink.SERIES_0, Ink.SERIES_1}


def test_a_group_says_how_many_of_its_texts_are_not_shown(tmp_path: Path) -> None:
    [found] = read(tmp_path, block(1, [f"{i}: " + "x" * 22 for i in range(8)], group=[0] * 8))
    for picked, said in ((0, "4 more after"), (7, "4 more before"), (4, "2 more before, 2 more after")):
        words = words_of(group.draw(found, 0, picked, 0, None, 120, 30)[0])
        assert said in words and len(re.findall(r"\d: xx", words)) == 4
    assert "more" not in words_of(group.draw(found, 0, 0, 0, None, 250, 30)[0])


def test_what_is_too_long_to_compare_is_counted() -> None:
    long = " ".join(map(str, range(3 * compare.MOST_WORDS)))
    found = compare.compare(long, long[::-1])
    assert found.left_out > 0
    cells, _ = compare.draw(found, ("one", "other"), 0, 120, 12)
    assert "too many to compare" in words_of(cells)
    kept = sum(len(text) for _, text in found.parts)
    assert kept + found.left_out == 2 * len(long)


# Tokens


def test_a_push_is_the_gradient_of_the_policy_at_the_token(tmp_path: Path) -> None:
    logits = np.random.default_rng(1).normal(size=7)

    def log_p(z: np.ndarray) -> float:
        return float(z[3] - np.log(np.exp(z).sum()))

    nudged = logits.copy()
    nudged[3] += 1e-6
    gradient = (log_p(nudged) - log_p(logits)) / 1e-6
    logp = np.asarray([log_p(logits)], "<f4").tobytes()
    [rollouts] = read(
        tmp_path, block(1, ["ab"], advantage=[-2.0], tokens=[TokenBlock(index=0, pieces=["ab"], logp=logp)])
    )
    push = next(shade for shade in tokens.SHADES if shade.name == "advantage")
    values = push.values(rollouts.tokens[0], float(rollouts.advantage[0]))
    assert values is not None and values[0] == pytest.approx(-2.0 * gradient, rel=1e-4)


@pytest.fixture
def spelled(tmp_path: Path) -> Rollouts:
    """A generation in which the first of four completions was kept by token."""
    pieces = ["So", " 7", "+", "8", "\n", " is", " 15"]
    [found] = read(tmp_path / "spelled", block(7, ["".join(pieces), "b", "c", "d"], tokens=[traced(0, pieces)]))
    return found


def legend_and_table(rollouts: Rollouts, shade: int, look: Look, width: int = 120) -> tuple[str, str, Cells]:
    cells, _ = tokens.draw(rollouts, 0, "name", 3, shade, 0, look, width, 24)
    rows = cells.rows()
    return rows[1], next(row for row in rows if row.startswith("▸")), cells


@pytest.mark.parametrize("shade", range(len(tokens.SHADES)))
@pytest.mark.parametrize("flat", [False, True])
def test_tokens_are_shaded_over_a_range_that_the_legend_has_in_numbers(
    spelled: Rollouts, shade: int, flat: bool
) -> None:
    trace = spelled.tokens[0]
    kind = tokens.SHADES[shade]
    values = {
        "entropy": trace.entropy,
        "KL k1": trace.logp - trace.base_logp,
        "JS": trace.js,
        "advantage": spelled.advantage[0] * (1 - np.exp(trace.logp)),
        "log p": trace.logp,
    }[kind.name]
    legend, picked, cells = legend_and_table(spelled, shade, Look(flat=flat))
    assert kind.name in legend and f"{np.abs(values).max():.3f}" in legend
    assert "4" in picked and '"8"' in picked and f"{abs(values[3]):.3f}" in picked
    # Every other number of the picked token is there too.
    for number in (trace.entropy[3], trace.js[3], trace.logp[3], np.exp(trace.logp[3])):
        assert f"{abs(number):.3f}" in picked
    strongest = int(np.argmax(np.abs(np.delete(values, 3))))
    strongest += strongest >= 3
    weakest = int(np.argmin(np.abs(np.delete(values, 3))))
    weakest += weakest >= 3
    # The text in rows: a line break is a sign that ends its row.
    assert cells.rows()[3].startswith("So 7+8⏎") and cells.rows()[4].startswith(" is 15")
    place = {0: (3, 0), 1: (3, 3), 2: (3, 4), 4: (3, 6), 5: (4, 1), 6: (4, 4)}
    strong, weak = (int(cells.inks[place[i]]) for i in (strongest, weakest))
    assert strong != weak and bool(strong & HEAT) is not flat
    if kind.signed and not flat:
        for i, at in place.items():
            if abs(values[i]) > np.abs(values).max() / 16:
                assert bool(cells.inks[at] & UNDERLINE) == (values[i] < 0)
    if flat:
        assert strong & UNDERLINE and "grey to" in legend and not (cells.inks & HEAT).any()


def test_v_passes_over_what_was_not_measured(tmp_path: Path) -> None:
    trace = traced(0, ["a", "b"], base_logp=b"", js=b"")
    [found] = read(tmp_path, block(1, ["ab"], tokens=[trace]))
    seen, shade = [], 0
    for _ in range(3):
        seen.append(tokens.SHADES[shade].name)
        shade = tokens.next_shade(found, 0, shade, 1)
    assert seen == ["entropy", "advantage", "log p"] and tokens.SHADES[shade].name == "entropy"
    assert tokens.SHADES[tokens.next_shade(found, 0, 0, -1)].name == "log p"
    assert "not measured: KL k1, JS" in legend_and_table(found, 0, Look())[0]


def test_a_completion_without_tokens_says_so(spelled: Rollouts) -> None:
    cells, _ = tokens.draw(spelled, 1, "name", 0, 0, 0, Look(), 100, 20)
    words = words_of(cells)
    assert "kept by token for a sample only: 1 of 4" in words and "tokens:yes" in words and "\nb " in words


def test_up_and_down_lead_to_the_token_in_the_row_above_and_below() -> None:
    pieces = ("aaa", "bbb", "ccc", "ddd", "e", "f")
    assert [[i for i, _ in row] for row in flowed(pieces, 6).upto(9)] == [[0, 1], [2, 3], [4, 5]]
    assert tokens.moved(pieces, 6, 1, 1) == 3 and tokens.moved(pieces, 6, 3, -1) == 1
    assert tokens.moved(pieces, 6, 5, -9) in (0, 1) and tokens.moved(pieces, 6, 0, 99) == 4


# The list and the group


@pytest.mark.parametrize("size", [(78, 19), (118, 35), (198, 54), (40, 8), (12, 3), (1, 1)])
def test_numbers_of_the_list_stand_under_each_other(tmp_path: Path, size: tuple[int, int]) -> None:
    rewards = [0.0, 1.0, -12.5, None, 123.25, 1e9, 0.5, 1.0]
    [rollouts] = read(tmp_path, block(412, [f"text {i}" for i in range(8)], reward=rewards))
    cells = listing.draw(found_of(rollouts), "", None, 412, 1, 0, (0, 2), "", rollouts, *size)
    assert (cells.width, cells.height) == size
    if size[0] < 78:
        return
    rows = cells.rows()
    title = rows[2]
    for name in ("step", "reward", "adv", "answer", "length", "text"):
        assert name in title
    end = title.index("reward") + len("reward")
    told = [row[:end].split()[-1] for row in rows[3:11]]
    assert told == ["0.00", "1.00", "−12.50", "-", "123.25", "1e+09", "0.50", "1.00"]
    assert all(row[end] == " " for row in rows[3:11])
    assert rows[4].startswith("▸") and rows[5].startswith("x")
    assert ("conf" in title and "task" in title) == (size[0] >= 118)
    assert ("prompt" in words_of(cells)) == (size[1] >= listing.PREVIEW_FROM)
    assert all(char < "\x7f" for row in in_ascii(cells).rows() for char in row)


def test_a_group_shows_what_each_function_gave_and_the_prompt_in_full(tmp_path: Path) -> None:
    prompt = "Add them. " + "please " * 300 + "THE END"
    [rollouts] = read(tmp_path, block(3, [f"answer {i}" for i in range(4)], prompts=[prompt]))
    for width, height in ((78, 19), (118, 35), (198, 54)):
        cells, _ = group.draw(rollouts, 0, 2, 0, 3, width, height)
        rows = cells.rows()
        title = next(row for row in rows if "brevity" in row)
        assert "correct" in title and "reward" in title and "adv" in title
        picked = next(row for row in rows if row.startswith("▸   3"))
        assert picked.split()[2:7] == ["0.00", "−0.25", "wrong", "0.00", "0.25"]
        assert next(row for row in rows if row.startswith("x   4"))
        assert sum(f"answer {i}" in words_of(cells) for i in range(4)) >= 2
        assert "← from the first reads all of the prompt" in words_of(cells) and "THE END" not in words_of(cells)
        whole, _ = group.draw(rollouts, 0, group.PROMPT, 10**6, None, width, height)
        assert "THE END" in words_of(whole)
    for size in ((30, 5), (5, 2), (1, 1)):
        for index in (0, group.PROMPT):
            cells, _ = group.draw(rollouts, 0, index, 0, None, *size)
            assert (cells.width, cells.height) == size


def test_a_row_begins_where_the_text_that_was_looked_for_stands() -> None:
    text = "x" * 500 + " pomegranate " + "y" * 500
    pattern = re.compile("pome.*te")
    shown, (begin, end) = finder.excerpt(text, pattern)
    assert shown[begin:end] == "pomegranate" and begin < 40 and len(shown) < 400
    assert finder.excerpt("a\nb", re.compile("b")) == ("a⏎b", (2, 3))
    assert finder.excerpt("abc", re.compile("z")) == ("abc", (0, 0))
