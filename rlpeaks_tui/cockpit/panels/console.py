"""The end of what the training process printed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..cells import Cells, Ink, fit
from ..scene import Scene
from .parts import heading, nothing, scrolled

ALARMING = re.compile(r"\b(error|exception|traceback|nan|killed|out of memory|failed)\b", re.IGNORECASE)
WARNING = re.compile(r"\bwarn(ing)?\b", re.IGNORECASE)


def overview(scene: Scene, width: int, height: int) -> Cells:
    cells = Cells(width, height)
    lines = [line for line in scene.snapshot.console if line.strip()]
    heading(cells, scene, "console", "9", "Console", Ink.TEXT if lines else Ink.UNKNOWN)
    if not lines:
        return nothing(cells, _silent(scene))
    for y, line in enumerate(lines[-(height - 1) :], 1):
        cells.put(y, 0, fit(line, width), ink_of(line))
    return cells


def enlarged(scene: Scene, width: int, height: int) -> Cells:
    """Adds the last 500 lines, and a filter."""
    cells = Cells(width, height)
    lines, note = filtered(scene.snapshot.console, scene.view.filter)
    heading(cells, scene, "", "", "Console", Ink.TEXT, f"{len(lines)} lines", note, "the newest at the bottom")
    if not lines:
        return nothing(cells, "no line matches" if scene.view.filter else _silent(scene))
    room = height - 3
    end = len(lines) - scrolled(cells, len(lines), room, scene.view.scroll)
    for y, line in enumerate(lines[max(0, end - room) : end], 2):
        cells.put(y, 0, fit(line, width), ink_of(line))
    return cells


def _silent(scene: Scene) -> str:
    return "nothing printed yet" if scene.snapshot.live else "nothing was printed"


def ink_of(line: str) -> int:
    return Ink.BAD if ALARMING.search(line) else Ink.WARN if WARNING.search(line) else Ink.DIM


def filtered(lines: Sequence[str], wanted: str) -> tuple[list[str], str]:
    """The lines that match the filter, and a note that says so; a leading ! keeps those that do not match.

    A pattern that is not a regular expression is looked for as it stands.
    """
    if not wanted:
        return list(lines), ""
    keep = not wanted.startswith("!")
    text = wanted if keep else wanted[1:]
    try:
        pattern = re.compile(text, re.IGNORECASE)
    except re.error:
        pattern = re.compile(re.escape(text), re.IGNORECASE)
    return [line for line in lines if bool(pattern.search(line)) == keep], f"filter {wanted}"
