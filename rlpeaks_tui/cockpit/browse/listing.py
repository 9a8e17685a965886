"""The list of completions: one row each, with numbers that stay under each other, and the text of the one picked."""

from __future__ import annotations

from collections.abc import Container
from functools import lru_cache

from rlpeaks_tui.run.rollouts import Rollouts
from rlpeaks_tui.run.text import clean_line

from ..cells import BOLD, RAISED, UNDERLINE, Cells, Ink, fit, width_of, wrap
from ..words import plural
from .columns import Column, Sized, decimal, fitting, known, paragraph, put_row, put_titles, verdict
from .finder import Found, Row

TEXT_LEAST = 22
"""Cells that the text of a row needs before another column is shown."""
PREVIEW_FROM = 26
"""Rows of the whole drawing from which on the picked completion is shown below."""

COLUMNS: tuple[Column[Row], ...] = (
    Column("step", 9, 0, lambda row: (f"{row.step:,}", Ink.DIM), fits=True),
    Column("group", 5, 5, lambda row: (str(row.group + 1), Ink.DIM)),
    Column("reward", 7, 1, lambda row: known(row.reward, ink=Ink.TEXT | BOLD)),
    Column("adv", 6, 2, lambda row: known(row.advantage, sign=True)),
    Column("answer", 6, 3, lambda row: verdict(row.correct), left=True),
    Column(
        "conf",
        5,
        8,
        lambda row: ("" if row.confidence != row.confidence else decimal(row.confidence), Ink.TEXT),
        fits=True,
    ),
    Column("length", 6, 4, lambda row: (f"{row.length:,}", Ink.DIM)),
    Column("cut", 3, 6, lambda row: ("cut" if row.truncated else "", Ink.WARN), left=True, fits=True),
    Column("format", 10, 7, lambda row: (row.format, Ink.FORMAT), left=True, fits=True),
    Column("task", 16, 9, lambda row: (row.task, Ink.DIM), left=True, fits=True),
)


def draw(
    found: Found,
    query: str,
    until: int | None,
    last: int,
    at: int,
    top: int,
    marked: tuple[int, int] | None,
    newer: str,
    block: Rollouts | None,
    width: int,
    height: int,
    find: str = "/",
    left: Container[int] = (),
) -> Cells:
    """The list.

    Args:
        found: the rows, and how far the search is.
        query: as typed.
        until: the cursor's step; None at the newest.
        last: the newest step of the run.
        at, top: the picked row, and the first one on screen.
        marked: place of the completion that is marked for a comparison.
        newer: what has come since and is not listed, in words.
        block: the generation of the picked row, once it has been read.
        find: the key that asks for a query.
        left: numbers of the generations that lie on a branch which the run has left.
    """
    cells = Cells(width, height)
    query = clean_line(query)
    end = cells.put(0, 0, "Completions", Ink.TEXT | BOLD)
    told = progress(found, last)
    start = cells.put_right(0, width, fit(told, width - end - 2), Ink.DIM if found.done else Ink.ACCENT)
    when = f"at or before step {until:,}" if until is not None else "newest first"
    when = newer or when
    if start - end > width_of(when) + 4:
        cells.put(0, end + 2, when, Ink.CURSOR if until is not None else Ink.ACCENT if newer else Ink.FAINT)
    if query:
        cells.put(1, 0, fit(f"/ {query}", width), Ink.ACCENT | BOLD)
    else:
        said = f"{find} narrows: task: step: reward: correct:no conf:0.9-1, /regex/ or any text"
        cells.put(1, 0, fit(said, width), Ink.FAINT)
    rows = room(height)
    if not found.rows:
        if found.done:
            for y, line in enumerate(wrap(nothing(found, query), width - 4, height - 4), 4):
                cells.put(y, 2, line, Ink.UNKNOWN)
        return cells
    columns = _columns(found, width)
    cells.put(2, put_titles(cells, 2, columns), "text", Ink.FAINT)
    for y, row in enumerate(found.rows[top : top + rows], 3):
        picked = top + y - 3 == at
        x = put_row(cells, y, columns, row, picked, row.place == marked)
        ground = RAISED if picked else 0
        if row.number in left:
            x = cells.put(y, x, "(left branch) ", Ink.UNKNOWN | ground)
        _text(cells, y, x, row, ground)
    if height >= PREVIEW_FROM and at < len(found.rows):
        preview(cells, 4 + rows, found.rows[at], block)
    return cells


def room(height: int) -> int:
    """Rows of the list in a drawing of this height."""
    return max(1, height - 3) if height < PREVIEW_FROM else height - 4 - min(14, height // 3)


def row_at(y: int, top: int, height: int) -> int | None:
    """Which row of the list stands in row `y` of a drawing of this height; None outside of the list."""
    return top + y - 3 if 3 <= y < 3 + room(height) else None


def progress(found: Found, last: int) -> str:
    """What was searched so far, so that nothing found is not taken for nothing there."""
    count = f"{len(found.rows):,}"
    if found.more:
        return f"{count} shown, more exist"
    if not found.done:
        step = f", back to step {found.step:,} of {last:,}" if found.step is not None else ""
        return f"searching: {count} found{step}"
    parts = [f"{count} found in {plural(found.generations - found.gone, 'generation')}"]
    if found.damaged:
        parts.append(f"{found.damaged:,} damaged")
    if found.gone:
        parts.append(f"{found.gone:,} older not kept")
    return ", ".join(parts)


def nothing(found: Found, query: str) -> str:
    """Why the list is empty."""
    if not found.generations:
        return "this run keeps no completions, or none has been generated yet"
    wanted = found.wanted.task
    if wanted is not None and found.tasks and wanted not in found.tasks:
        return f"no task is called {wanted}; there are: {', '.join(found.tasks[:12])}"
    if query.startswith("prompt:"):
        return f"training wrote nothing for this prompt; answers to held-out prompts are not kept ({query})"
    return f"nothing found for {query}" if query else "no completions at or before this step"


@lru_cache(maxsize=2)
def _columns(found: Found, width: int) -> Sized[Row]:
    """Remembered, because it looks at every row so that no column moves while somebody scrolls."""
    return fitting(COLUMNS, found.rows, width - TEXT_LEAST)


def _text(cells: Cells, y: int, x: int, row: Row, ground: int) -> None:
    begin, end = row.found
    shown = fit(row.text, cells.width - x)
    for text, ink in (
        (shown[:begin], Ink.TEXT),
        (shown[begin:end], Ink.ACCENT | BOLD | UNDERLINE),
        (shown[end:], Ink.TEXT),
    ):
        x = cells.put(y, x, text, ink | ground)


def preview(cells: Cells, y: int, row: Row, block: Rollouts | None) -> None:
    """Prompt and completion of the picked row, in what is left below `y`."""
    width, height = cells.width, cells.height
    if block is None or row.index >= len(block.completions):
        cells.put(y, 0, "reading", Ink.UNKNOWN)
        return
    cells.put(y, 0, "prompt", Ink.FAINT)
    y += 1
    y += paragraph(cells, y, 2, block.prompts[block.group[row.index]], width - 2, min(3, height - y), Ink.DIM)
    if y >= height:
        return
    end = cells.put(y, 0, "completion", Ink.FAINT)
    earned = "  ".join(f"{name} {decimal(float(column[row.index]))}" for name, column in block.rewards.items())
    cells.put_right(y, width, fit(earned, width - end - 2), Ink.DIM)
    paragraph(cells, y + 1, 2, block.completions[row.index], width - 2, height - y - 1, Ink.TEXT)
