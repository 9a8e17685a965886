"""A terminal that shows ASCII only gets nothing else, told by its locale and not by what Python makes of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from rlpeaks_tui.terminal import only_ascii
from tests.cockpit_fakes import FakeRun, steered_run
from tests.terminal import Terminal

BARE = ["env", "-u", "LANG", "-u", "LC_ALL", "-u", "LC_CTYPE"]
LIMITED = [
    ("LANG=C",),
    ("LC_ALL=POSIX",),
    ("LANG=C", "PYTHONUTF8=0", "PYTHONCOERCECLOCALE=0"),
    ("LANG=en_US.ISO-8859-1",),
    ("LANG=C.UTF-8", "PYTHONIOENCODING=latin-1"),
]


@pytest.fixture
def run(tmp_path: Path) -> FakeRun:
    run = steered_run(tmp_path / "quickstart", steps=200)
    run.settings(learning_rate=1e-4, beta=0.0)
    return run


def opened(run: FakeRun, variables: tuple[str, ...], *words: str) -> Terminal:
    command = [*BARE, *variables, sys.executable, "-m", "rlpeaks_tui.cli", *words]
    return Terminal(command, {**os.environ, "RLPEAKS_RUNS": str(run.layout.root.parent)})


@pytest.mark.parametrize(
    ("environment", "encodings", "limited"),
    [
        ({}, [], False),
        ({"LANG": "C"}, ["utf-8"], True),
        ({"LANG": "POSIX"}, ["utf-8"], True),
        ({"LANG": "C.UTF-8"}, ["utf-8"], False),
        ({"LANG": "C", "LC_CTYPE": "de_DE.UTF-8"}, ["utf-8"], False),
        ({"LANG": "de_DE.UTF-8", "LC_CTYPE": ""}, ["utf-8"], False),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": "C"}, ["utf-8"], True),
        ({"LANG": "de_DE.ISO-8859-15@euro"}, ["utf-8"], True),
        ({"LANG": "zh_CN.GB18030"}, ["gb18030"], False),
        ({"LANG": "en_US"}, ["utf-8"], False),
        ({"LANG": "xx.unheard-of"}, ["utf-8"], False),
        ({"LANG": "C.UTF-8"}, ["utf-8", "ascii"], True),
        ({"LANG": "C.UTF-8", "TERM": "linux"}, ["utf-8"], True),
        ({"LANG": "C", "RLPEAKS_ASCII": "0"}, ["utf-8"], False),
        ({"LANG": "C.UTF-8", "RLPEAKS_ASCII": "1"}, ["utf-8"], True),
    ],
)
def test_what_a_terminal_shows_is_told_by_locale_and_encoding(
    environment: dict[str, str], encodings: list[str], limited: bool
) -> None:
    assert only_ascii(environment, encodings) == limited


@pytest.mark.parametrize("variables", LIMITED)
def test_a_cockpit_in_a_locale_without_the_signs_keeps_to_ascii(run: FakeRun, variables: tuple[str, ...]) -> None:
    terminal = opened(run, variables, "watch", "quickstart")
    terminal.wait("step 200 / 1,000")
    asked = (("?", "Find a command"), (":", "Show every key"), ("s", "Stop the training"), ("e", "new value"))
    for key, seen in (*asked, ("/", "regular expression"), ("R", "shown now")):
        terminal.press(key)
        terminal.wait(seen)
        terminal.press("\x1b")
        terminal.wait(rf"\A(?![\s\S]*{seen})")
    terminal.press("q")
    assert terminal.wait_end() == 0
    assert b"Traceback" not in terminal.raw
    assert terminal.raw.isascii(), sorted({sign for sign in terminal.raw.decode("utf-8", "replace") if sign > "~"})


@pytest.mark.parametrize("variables", LIMITED)
def test_lines_in_place_keep_to_ascii_there(run: FakeRun, variables: tuple[str, ...]) -> None:
    terminal = opened(run, variables, "watch", "--inline", "quickstart")
    terminal.wait("q leaves")
    terminal.press("q")
    assert terminal.wait_end() == 0
    assert b"Traceback" not in terminal.raw and terminal.raw.isascii()


@pytest.mark.parametrize("verb", ["ls", "status quickstart", "ctl quickstart", "ctl quickstart effects", "explain kl"])
def test_words_in_such_a_terminal_keep_to_ascii(run: FakeRun, verb: str) -> None:
    run.command("d", "note", "50 % → 60 %… µ")
    terminal = opened(run, ("LANG=C",), *verb.split())
    assert terminal.wait_end() == 0
    assert b"Traceback" not in terminal.raw and terminal.raw.isascii()


def test_a_terminal_with_the_signs_gets_them_and_one_that_says_nothing_too(run: FakeRun) -> None:
    for variables in (("LANG=C.UTF-8",), (), ("LANG=C", "RLPEAKS_ASCII=0")):
        terminal = opened(run, variables, "watch", "--inline", "quickstart")
        terminal.wait("q leaves")
        terminal.press("q")
        assert terminal.wait_end() == 0
        assert "●" in terminal.raw.decode()
