"""One prompt of one generation: the prompt, what each completion earned, and their texts side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from rlpeaks_tui.run.rollouts import Rollouts

from ..cells import BOLD, Cells, Ink, fit, width_of
from .columns import Column, decimal, fitting, known, paragraph, put_row, put_titles, verdict
from .texts import lined

NARROW, COLUMN = 22, 38
"""Cells that a text gets at least beside others: a short one, and one that has to be broken."""
GAP = 3
TEXT_LEAST = 6
"""Rows that the texts get at least."""
NAME = 12
"""Cells that the name of a reward function gets at most."""

PROMPT = -1
"""In place of a completion: the prompt is read in full."""


def members(block: Rollouts, group: int) -> list[int]:
    """The completions of a group, in their order."""
    found: list[int] = np.flatnonzero(block.group == group).tolist()
    return found


def beside(block: Rollouts, group: int, index: int, by: int) -> int:
    """What stands `by` places after a completion of a group, where the prompt comes before the first."""
    row = [PROMPT, *members(block, group)]
    at = row.index(index) if index in row else 0
    return row[max(0, min(at + by, len(row) - 1))]


def named(block: Rollouts, index: int) -> str:
    """A completion in words: where it stands, and what it earned."""
    group = int(block.group[index])
    among = members(block, group)
    right, _ = verdict(float(block.correct[index]))
    parts = [
        f"step {block.step:,}",
        f"group {group + 1}",
        f"{among.index(index) + 1} of {len(among)}",
        f"reward {decimal(float(block.reward[index]))}",
        f"advantage {decimal(float(block.advantage[index]), sign=True)}",
        right if right != "-" else "",
        "cut off" if block.truncated[index] else "",
    ]
    return "  ".join(part for part in parts if part)


def draw(
    block: Rollouts | None,
    group: int,
    index: int,
    scroll: int,
    marked: int | None,
    width: int,
    height: int,
) -> tuple[Cells, int]:
    """The screen of a group, and the first line of text that it really shows.

    Args:
        block: its generation; None while it is read.
        index: the completion, by its place in the block, that is picked, or PROMPT.
        scroll: lines that the picked text is moved down by.
        marked: the completion, by its place in the block, that is marked for a comparison.
    """
    cells = Cells(width, height)
    if block is None or group >= len(block.prompts):
        cells.put(0, 0, "Group", Ink.TEXT | BOLD)
        cells.put(2, 0, fit("reading, or this generation is damaged or not kept any more", width), Ink.UNKNOWN)
        return cells, 0
    among = members(block, group)
    member = among.index(index) if index in among else 0
    task = next((block.task[i] for i in among if block.task[i]), "")
    end = cells.put(0, 0, "Group", Ink.TEXT | BOLD)
    where = f"{group + 1} of {len(block.prompts)}, step {block.step:,}"
    end = cells.put(0, end + 1, where, Ink.TEXT | BOLD)
    for note in (task, block.phase):
        if note and end + 2 + width_of(note) < width - 24:
            end = cells.put(0, end + 2, note, Ink.FORMAT if note == task else Ink.FAINT)
    summary = summary_of(block, among)
    if end + 2 + width_of(summary) <= width:
        cells.put_right(0, width, summary, Ink.DIM)
    prompt = block.prompts[group]
    if index == PROMPT or not among:
        cells.put(2, 0, "prompt in full", Ink.ACCENT | BOLD)
        top, _, _ = lined(prompt, width - 2).window(scroll, height - 3)
        paragraph(cells, 3, 2, prompt, width - 2, height - 3, Ink.TEXT, top)
        return cells, top
    room = max(1, min(4, height // 6))
    y = 1 + paragraph(cells, 1, 0, prompt, width, room, Ink.DIM) + 1
    if lined(prompt, width).window(0, room)[2]:
        cells.put_right(y - 1, width, "← from the first reads all of the prompt", Ink.FAINT)
    y = _table(cells, block, among, member, marked, y, max(3, min(len(among) + 1, height - y - TEXT_LEAST)))
    return cells, _side_by_side(cells, block, among, member, scroll, y + 1)


def summary_of(block: Rollouts, among: Sequence[int]) -> str:
    """Mean reward, spread and how many are right."""
    rewards = block.reward[among]
    rewards = rewards[np.isfinite(rewards)]
    parts = []
    if len(rewards):
        parts = [f"mean reward {decimal(float(rewards.mean()))}", f"spread {decimal(float(rewards.std()))}"]
    correct = block.correct[among]
    if np.isfinite(correct).any():
        parts.append(f"{int((correct >= 0.5).sum())} of {len(among)} right")
    return ", ".join(parts)


def _columns(block: Rollouts, among: list[int]) -> list[Column[int]]:
    """Of the table of a group; a row is a completion by its place in the block."""
    traced = {trace.index for trace in block.tokens}
    functions = [
        Column(name, max(6, min(NAME, width_of(name))), 2 + i, _earned(values))
        for i, (name, values) in enumerate(block.rewards.items())
    ]
    late = 2 + len(functions)
    return [
        Column("", 3, 0, lambda i: (str(among.index(i) + 1), Ink.DIM)),
        Column("reward", 7, 0, lambda i: known(float(block.reward[i]), ink=Ink.TEXT | BOLD)),
        Column("adv", 6, 0, lambda i: known(float(block.advantage[i]), sign=True)),
        Column("answer", 6, 1, lambda i: verdict(float(block.correct[i])), left=True),
        *functions,
        Column("conf", 5, late + 1, lambda i: known(float(block.confidence[i]))),
        Column("length", 6, late, lambda i: (f"{int(block.length[i]):,}", Ink.DIM)),
        Column("cut", 3, late, lambda i: ("cut" if block.truncated[i] else "", Ink.WARN), left=True, fits=True),
        Column("format", 14, late + 2, lambda i: (block.format[i] or "", Ink.FORMAT), left=True, fits=True),
        Column("", 8, late + 3, lambda i: ("by token" if i in traced else "", Ink.ACCENT), left=True, fits=True),
    ]


def _earned(values: NDArray[np.float64]) -> Callable[[int], tuple[str, int]]:
    return lambda i: known(float(values[i]))


def _table(cells: Cells, block: Rollouts, among: list[int], member: int, marked: int | None, y: int, rows: int) -> int:
    """What each member earned, a row each; gives the row after it."""
    sized = fitting(_columns(block, among), among, cells.width)
    put_titles(cells, y, sized)
    room = rows - 1
    top = max(0, min(member - room // 2, len(among) - room))
    shown = among[top : top + room]
    for at, index in enumerate(shown, y + 1):
        put_row(cells, at, sized, index, top + at - y - 1 == member, index == marked)
    return y + 1 + len(shown)


def _side_by_side(cells: Cells, block: Rollouts, among: list[int], member: int, scroll: int, y: int) -> int:
    width, height = cells.width, cells.height
    longest = max(len(block.completions[i]) for i in among)
    least = max(NARROW, min(COLUMN, longest))
    count = max(1, min(len(among), (width + GAP) // (least + GAP)))
    size = (width - GAP * (count - 1)) // count
    first = max(0, min(member - count // 2, len(among) - count))
    top, _, _ = lined(block.completions[among[member]], size).window(scroll, height - y - 1)
    before, after = first, len(among) - first - count
    more = [f"{n:,} more {where}" for n, where in ((before, "before"), (after, "after")) if n]
    cells.put_right(y - 1, width, fit(", ".join(more), width), Ink.FAINT)
    for i, index in enumerate(among[first : first + count]):
        x = i * (size + GAP)
        picked = first + i == member
        cells.put(y, x, f"{'▸' if picked else ' '} {first + i + 1}", (Ink.CURSOR if picked else Ink.FAINT) | BOLD)
        word, ink = verdict(float(block.correct[index]))
        told = f"{decimal(float(block.reward[index]))} {word if word != '-' else ''}".rstrip()
        cells.put_right(y, x + size, told, ink)
        ink = Ink.TEXT if picked else Ink.DIM
        paragraph(cells, y + 1, x, block.completions[index], size, height - y - 1, ink, top)
    return top
