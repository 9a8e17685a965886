"""The line that says which completions are wanted: what it means, and what is said when it means nothing."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields

from rlpeaks_tui.cockpit.browse.query import FILTERS, GRAMMAR, Mistake, parse, unfinished
from rlpeaks_tui.run.search import Wanted


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("", Wanted()),
        ("   ", Wanted()),
        ("carry the one", Wanted(text="carry the one")),
        (
            "task:three_operands reward:>=0.5 step:100-200 format:column correct:no cut:yes conf:0.9-1 group:3",
            Wanted(
                task="three_operands",
                reward=(0.5, math.inf),
                steps=(100, 200),
                format="column",
                right=False,
                cut=True,
                confidence=(0.9, 1),
                group=2,
            ),
        ),
        ('task:"three operands" so', Wanted(task="three operands", text="so")),
        ("so step:412 it is", Wanted(steps=(412, 412), text="so it is")),
        ("adv:-1..-0.5", Wanted(advantage=(-1, -0.5))),
        ("adv:-1--0.5", Wanted(advantage=(-1, -0.5))),
        ("advantage:−1..", Wanted(advantage=(-1, math.inf))),
        ("length:..20 tokens:yes", Wanted(length=(-math.inf, 20), traced=True)),
        ("conf:0.7..<0.8 judged:yes", Wanted(confidence=(0.7, math.nextafter(0.8, 0)), judged=True)),
        ("reward:<=1e-3", Wanted(reward=(-math.inf, 1e-3))),
        (r"re:wa?it\b", Wanted(regex=r"wa?it\b")),
        ("/two words/ x", Wanted(regex="two words", text="x")),
        (r"/a\/b/", Wanted(regex=r"a\/b")),
        ("7/8", Wanted(text="7/8")),
        ("/home", Wanted(text="/home")),
        ('"task:a"', Wanted(text="task:a")),
        (r"/a{1,9}(b{3}|d)c*/", Wanted(regex="a{1,9}(b{3}|d)c*")),
        ("3+5=8:95", Wanted(text="3+5=8:95")),
        ("TASK:Add", Wanted(task="Add")),
        ('"reward=1" x=2 reward', Wanted(text="reward=1 x=2 reward")),
    ],
)
def test_a_line_means(line: str, wanted: Wanted) -> None:
    assert parse(line) == wanted


def test_more_and_less_leave_the_bound_out() -> None:
    low, _ = parse("reward:>0.5").reward or (0, 0)
    _, high = parse("reward:<0.5").reward or (0, 0)
    assert high < 0.5 < low and low - high < 1e-15


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("rewrad:>1", r'no filter rewrad: but task, .*reward.*write "rewrad:>1"'),
        ("reward:high", "reward:high is no range; write it as reward:0.5-1"),
        ("reward:", "needs a value, for example reward:0.5-1"),
        ("reward:1..<1", "lower number first"),
        ("reward:2-1", "lower number first"),
        ("reward:>", "no range"),
        ("reward:..", "no range"),
        ("step:1 step:2", "step is given twice"),
        ("group:0", "counted from 1, as in group:3"),
        ("correct:maybe", "write correct:yes or correct:no"),
        ("re:(", "regular expression.*quotes look for it as text"),
        ("/[z-a]/", "regular expression"),
        ("task:", "task:addition"),
        (r"re:(\w+)+$", "repeats a repeat"),
        (r"/(a|b*c)*?d/", "repeats a repeat"),
        (r"/(ab|a)+$/", "repeats a repeat or a choice"),
        ("wait reward=1", 'a filter has a colon: reward:1; to look for it as text, write "reward=1"'),
        ("steps>=5", "a filter has a colon: step:>=5"),
        ("reward=", "a filter has a colon: reward:0.5-1"),
        ("/(wait", r'stands between slashes, as in /carry\|sum/; to look for it as text, write "/\(wait"'),
    ],
)
def test_a_mistake_is_said_with_what_would_be_right(line: str, says: str) -> None:
    with pytest.raises(Mistake, match=says):
        parse(line)


@pytest.mark.parametrize(
    ("line", "half"),
    [
        ("", False),
        ("rew", True),
        ("so rew", True),
        ("so step", True),
        ("rew so", False),
        ("step:1", False),
        ("wait", False),
    ],
)
def test_half_the_name_of_a_filter_is_not_looked_for_yet(line: str, half: bool) -> None:
    assert unfinished(line) == half


@given(st.text(max_size=60))
def test_any_line_is_read_or_refused_in_one_line(line: str) -> None:
    try:
        parse(line)
    except Mistake as mistake:
        assert str(mistake) and "\n" not in str(mistake) and "\x1b" not in str(mistake)


numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
ranges = st.tuples(numbers, numbers).map(lambda pair: (min(pair), max(pair)))
names = st.text("abc d:/", min_size=1, max_size=8).filter(lambda name: '"' not in name)
values: dict[str, st.SearchStrategy[tuple[str, Any]]] = {
    **{name: names.map(lambda n: (f'"{n}"', n)) for name in ("task", "format")},
    **{
        name: ranges.map(lambda r: (f"{r[0]!r}..{r[1]!r}", r))
        for name in ("step", "reward", "adv", "conf", "length", "generation")
    },
    **{name: st.booleans().map(lambda b: ("yes" if b else "no", b)) for name in ("correct", "judged", "cut", "tokens")},
    "group": st.integers(1, 99).map(lambda n: (str(n), n - 1)),
    "re": st.sampled_from([("a+", "a+"), (r"\d{2}", r"\d{2}")]),
}


@given(st.fixed_dictionaries({}, optional=values), st.lists(st.sampled_from(["carry", "7+8", "so?"]), max_size=3))
def test_what_is_written_is_read_again(said: dict[str, tuple[str, Any]], text: list[str]) -> None:
    line = " ".join([*(f"{name}:{value[0]}" for name, value in said.items()), *text])
    wanted = parse(line)
    expected = {FILTERS[name][0]: value[1] for name, value in said.items()} | ({"text": " ".join(text)} if text else {})
    given_ = {f.name: getattr(wanted, f.name) for f in fields(wanted) if getattr(wanted, f.name) != f.default}
    assert given_ == expected


def test_the_grammar_on_screen_names_every_filter_and_fits() -> None:
    words = " ".join(GRAMMAR)
    assert all(f"{name}:" in words for name in FILTERS if name != "re") and "/regular expression/" in words
    assert all(len(line) <= 78 for line in GRAMMAR)
