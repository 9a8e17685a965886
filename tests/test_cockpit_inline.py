"""`rlpeaks watch --inline`: a few lines that fit, redrawn in place, and left behind as they were last."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyte
import pytest
from rich.color import ColorSystem

from rlpeaks_tui.cockpit.cells import Cells, Ink
from rlpeaks_tui.cockpit.inline import Block, lines
from rlpeaks_tui.cockpit.scene import Look
from rlpeaks_tui.cockpit.theme import PALETTES
from tests.cockpit_fakes import FakeRun, scene_of, steered_run
from tests.terminal import Terminal

FIVE = ("reward", "entropy", "KL k3", "ECE", "sparsity")


@pytest.fixture
def run(tmp_path: Path) -> FakeRun:
    return steered_run(tmp_path / "quickstart", steps=100)


@pytest.mark.parametrize("width", [1, 10, 40, 59, 60, 79, 109, 110, 200])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_the_five_numbers_fit_any_width(run: FakeRun, width: int, ascii_only: bool) -> None:
    scene = scene_of(run.layout.root, look=Look(ascii_only))
    cells = lines(scene, width, 20, "q leaves")
    assert cells.width == width and 4 <= cells.height <= 6
    text = "\n".join(cells.rows())
    assert not ascii_only or text.isascii()
    if width >= 40:
        assert all(label in text for label in FIVE) and "quic" in text and "q leaves" in text
    assert lines(scene, width, 2).height == 2


def written(*rows: str, width: int = 20) -> Cells:
    cells = Cells(width, len(rows))
    for y, row in enumerate(rows):
        cells.put(y, 0, row, Ink.WARN)
    return cells


class Paper:
    """A terminal as far as it matters here: what stood above a block must stay."""

    def __init__(self, columns: int = 40, rows: int = 12) -> None:
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.Stream(self.screen)
        self.block = Block(PALETTES["sixteen"], ColorSystem.STANDARD)
        self.stream.feed("$ rlpeaks\r\n")

    def show(self, cells: Cells) -> str:
        out = self.block.show(cells)
        # As a terminal driver does.
        self.stream.feed(out.replace("\n", "\r\n"))
        return out

    @property
    def rows(self) -> list[str]:
        return [row.rstrip() for row in self.screen.display if row.strip()]


def test_only_lines_that_changed_are_written_again() -> None:
    paper = Paper()
    paper.show(written("one", "two", "three"))
    assert paper.show(written("one", "two", "three")) == ""
    out = paper.show(written("one", "2", "three"))
    assert paper.rows == ["$ rlpeaks", "one", "2", "three"]
    assert "one" not in out and "three" not in out and len(out) < 40
    assert paper.screen.cursor.y == 4 and paper.screen.cursor.x == 0


def test_other_numbers_of_lines_take_the_same_place() -> None:
    paper = Paper()
    paper.show(written("one", "two", "three"))
    paper.show(written("1", "2"))
    assert paper.rows == ["$ rlpeaks", "1", "2"]
    paper.show(written("1", "2", "3", "4"))
    assert paper.rows == ["$ rlpeaks", "1", "2", "3", "4"]


def test_a_wider_window_redraws_and_a_narrower_one_begins_anew_and_harms_nothing() -> None:
    paper = Paper()
    paper.show(written("one", "two"))
    paper.show(written("one", "two", width=30))
    assert paper.rows == ["$ rlpeaks", "one", "two"]
    paper.show(written("1", "2", width=10))
    assert paper.rows == ["$ rlpeaks", "one", "two", "1", "2"]


def test_a_block_at_the_bottom_scrolls_and_stays_whole() -> None:
    paper = Paper(rows=4)
    for text in ("a", "b", "c"):
        paper.show(written(text, "two", "three"))
        assert paper.rows == [text, "two", "three"]


def started(run: FakeRun, columns: int = 100, **more: str) -> Terminal:
    command = [sys.executable, "-m", "rlpeaks_tui.cli", "watch", "--inline", str(run.layout.root)]
    return Terminal(command, {**os.environ, **more}, columns=columns, rows=24)


def settled(terminal: Terminal, true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline and terminal.pump(0.05), terminal.text
    assert true()


@pytest.mark.parametrize("key", ["q", "\x03"])
def test_it_follows_the_run_in_place_and_leaves_the_last_state(run: FakeRun, key: str) -> None:
    terminal = started(run)
    terminal.wait("q leaves; the training goes on")
    assert b"\x1b[?1049h" not in terminal.raw, "no other screen"
    run.advance(1)
    terminal.wait("step +101 / 1,000")
    before = terminal.received
    assert not any(terminal.pump(0.3) and terminal.received > before for _ in range(3)), "nothing new, nothing written"
    terminal.press(key)
    assert terminal.wait_end() == 0
    text = terminal.text
    assert text.count("quickstart") == 1 and "q leaves" not in text and "step 101 / 1,000" in text
    assert all(label in text for label in FIVE) and "NOTHING FOUND SO FAR  12 checks ok" in text
    assert terminal.raw.rstrip().endswith(b"\x1b[?25h"), "the cursor is back"


def test_it_ends_with_the_run(run: FakeRun) -> None:
    terminal = started(run)
    terminal.wait("q leaves")
    run.state("finished")
    run.exit(0)
    assert terminal.wait_end() == 0
    assert "FINISHED  after 100 steps" in terminal.text and "q leaves" not in terminal.text


def test_a_window_that_changes_its_size_keeps_what_stood_above(run: FakeRun) -> None:
    terminal = started(run, columns=100)
    terminal.wait("q leaves")
    terminal.resize(120, 24)
    settled(
        terminal, lambda: bool(re.search("sparsity .*\n", terminal.text)) and terminal.text.count("quickstart") == 1
    )
    terminal.resize(70, 24)
    settled(terminal, lambda: terminal.text.count("quickstart") == 2)
    assert all(len(row.rstrip()) < 70 for row in terminal.text.splitlines()[5:])
    terminal.press("q")
    assert terminal.wait_end() == 0


def test_without_colours_only_weight_tells(run: FakeRun) -> None:
    terminal = started(run, NO_COLOR="1")
    terminal.wait("q leaves")
    terminal.press("q")
    terminal.wait_end()
    assert not re.search(rb"\x1b\[[0-9;]*\b[349][0-7][m;]", terminal.raw)


def test_without_a_terminal_it_says_what_to_use(run: FakeRun) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rlpeaks_tui.cli", "watch", "--inline", str(run.layout.root)],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    named = shlex.quote(str(run.layout.root))
    assert done.returncode == 2 and f"`rlpeaks status {named}` works without one" in done.stderr
