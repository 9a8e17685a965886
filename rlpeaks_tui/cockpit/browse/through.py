"""The same prompt through time: one row for every generation in which it was answered, newest first."""

from __future__ import annotations

from collections.abc import Container

import numpy as np

from ..cells import BOLD, RAISED, Cells, Ink, fit, width_of
from ..heatmap import shade
from ..spark import spark
from ..words import plural
from .columns import Column, decimal, fitting, known, paragraph, put_row, put_titles
from .finder import Moment, Through

TEXT_LEAST = 24


def _share(moment: Moment) -> tuple[str, int]:
    if not moment.judged:
        return "-", Ink.UNKNOWN
    return f"{moment.right} of {moment.judged}", Ink.GOOD if moment.right else Ink.DIM


COLUMNS: tuple[Column[Moment], ...] = (
    Column("step", 9, 0, lambda m: (f"{m.step:,}", Ink.DIM), fits=True),
    Column("answers", 7, 4, lambda m: (str(m.count), Ink.DIM)),
    Column("mean", 7, 1, lambda m: known(m.reward, ink=Ink.TEXT | BOLD)),
    Column("right", 9, 2, _share),
    Column("best", 7, 3, lambda m: known(m.best_reward)),
)


def room(height: int) -> int:
    """Rows of the table in a drawing of this height."""
    return max(1, height - 7)


def draw(
    through: Through | None,
    prompt: str,
    here: int,
    at: int,
    top: int,
    ascii_only: bool,
    width: int,
    height: int,
    left: Container[int] = (),
) -> Cells:
    """The table, with a curve of the mean reward over it where there are three generations or more.

    Args:
        through: what was found so far; None before anything was.
        here: the generation from which the person came.
        at, top: the picked row, and the first one on screen.
        left: numbers of the generations that lie on a branch which the run has left.
    """
    cells = Cells(width, height)
    end = cells.put(0, 0, "One prompt through time", Ink.TEXT | BOLD)
    told = progress(through)
    done = through is not None and through.done
    cells.put_right(0, width, fit(told, width - end - 2), Ink.DIM if done else Ink.ACCENT)
    paragraph(cells, 1, 0, prompt, width, 2, Ink.DIM)
    if through is None or not through.moments:
        return cells
    moments = through.moments
    steps, rewards = np.array([m.step for m in moments[::-1]]), np.array([m.reward for m in moments[::-1]])
    if len(moments) > 2 and steps[0] < steps[-1] and (np.diff(steps) >= 0).all():
        x = cells.put(4, 2, "mean reward", Ink.REWARD)
        low, high = np.nanmin(rewards), np.nanmax(rewards)
        x = cells.put(4, x + 1, f"{decimal(float(low))} to {decimal(float(high))}", Ink.DIM)
        span = (int(steps[0]), int(steps[-1]))
        cells.blit(4, x + 2, spark(steps, rewards, span, max(4, min(60, width - x - 4)), Ink.REWARD, ascii_only))
    sized = fitting(COLUMNS, moments, width - TEXT_LEAST - 6)
    x = put_titles(cells, 6, sized)
    cells.put(6, x + 6, "best completion", Ink.FAINT)
    for y, moment in enumerate(moments[top : top + room(height)], 7):
        picked = top + y - 7 == at
        ground = RAISED if picked else 0
        put_row(cells, y, sized, moment, picked)
        share = moment.right / moment.judged if moment.judged else 0.0
        cells.put(y, x, shade(share, ascii_only) * 4, Ink.GOOD | ground)
        note = "  left branch" if moment.number in left else ""
        note += "  here" if moment.number == here else ""
        cells.put(y, x + 6, fit(moment.text, width - x - 6 - width_of(note)), Ink.TEXT | ground)
        cells.put_right(y, width, note, Ink.CURSOR | BOLD | ground)
    return cells


def progress(through: Through | None) -> str:
    """How far the search is."""
    if through is None:
        return "searching"
    count = plural(len(through.moments), "generation")
    if through.more:
        return f"the newest {count}, more exist"
    if not through.done:
        step = f", back to step {through.step:,}" if through.step is not None else ""
        return f"searching: {count} so far{step}"
    return f"answered in {count}"
