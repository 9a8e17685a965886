"""Words of a command, read into what they ask for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpeaks_tui.run.bounds import far
from rlpeaks_tui.run.requests import (
    VERBS,
    BadCommand,
    Evaluate,
    Measure,
    Note,
    Pause,
    Reset,
    RollBack,
    Save,
    Set,
    Step,
    SwitchPhase,
    SyncReference,
    Undo,
    request,
)

READ = [
    ("pause", Pause()),
    ("step", Step(1)),
    ("step 12", Step(12)),
    ("checkpoint", Save("")),
    ("checkpoint before-lunch", Save("before-lunch")),
    ("reset --to base", Reset("base", False, 1.0, "*")),
    ("reset --to=auto-9 --keep-optimizer --blend 0.5 --layers *layers.0.*", Reset("auto-9", True, 0.5, "*layers.0.*")),
    ("sync-ref", SyncReference()),
    ("rollback auto-300", RollBack("auto-300")),
    ("phase next", SwitchPhase("next")),
    ("phase hard mix", SwitchPhase("hard mix")),
    ("set learning_rate=1e-4", Set("learning_rate", 1e-4, False)),
    ("set beta=0.1 --yes", Set("beta", 0.1, True)),
    ("eval", Evaluate()),
    ("probe sparsity", Measure("sparsity")),
    ("note two words", Note("two words")),
    ("undo", Undo()),
]  # fmt: skip


@pytest.mark.parametrize(("words", "expected"), READ)
def test_words_are_read(words: str, expected: object) -> None:
    verb, *args = words.split()
    assert request(verb, args) == expected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("reset", "--to base"),
        ("reset --to ../../etc", "letters, digits"),
        ("reset --to base --blend 2", "above 0 and up to 1"),
        ("reset --to base --blend nan", "finite"),
        ("reset --to base --hard", "no option --hard"),
        ("reset --to base now", "one word too many"),
        (f"reset --to base --layers {'[' * 300}", "at most 200"),
        ("rollback", "one checkpoint"),
        ("rollback .hidden", "letters, digits"),
        ("phase", "needs the name"),
        ("set learning_rate", "KEY=VALUE"),
        ("set learning_rate=fast", "needs a number"),
        ("set beta:0.1", "write it as set beta=0.1"),
        ("set learning_rate 1e-4 --yes", "write it as set learning_rate=1e-4"),
        ("set a=1 b=2", "one word too many"),
        ("probe", "one probe"),
        ("note", "needs a text"),
        ("undo 2", "no argument"),
        ("fly", "there are: pause, resume"),
    ],
)
def test_what_cannot_be_read_says_what_would_be_right(words: str, said: str) -> None:
    verb, *args = words.split()
    with pytest.raises(BadCommand) as problem:
        request(verb, args)
    assert said in str(problem.value)


@given(st.sampled_from(list(VERBS)), st.lists(st.text(max_size=20), max_size=4))
def test_any_words_are_a_request_or_are_refused(verb: str, args: list[str]) -> None:
    try:
        request(verb, args)
    except BadCommand as problem:
        assert str(problem)


def test_every_verb_says_what_it_does() -> None:
    assert all(verb.does and name == verb.name for name, verb in VERBS.items())


@given(st.floats(1e-9, 1e3), st.sampled_from([1.0, -1.0]))
def test_a_change_is_far_by_more_than_five_times_and_rounding_makes_none(now: float, sign: float) -> None:
    for value in (now, 5 * now, now / 5):
        assert far("beta", sign * now, sign * value) == ""
        assert far("beta", sign * now, -sign * value) != ""
    assert far("beta", sign * now, sign * 5.01 * now) != "" and far("beta", sign * now, sign * now / 5.01) != ""
