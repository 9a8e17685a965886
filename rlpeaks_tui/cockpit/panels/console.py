"""The end of what the training process printed."""

from __future__ import annotations

import re

from msgspec import Struct

from rlpeaks_tui.run.follow import Follower, Snapshot

from ..cells import BOLD, UNDERLINE, Cells, Ink, fit, width_of, wrap
from ..filtering import filtered, pattern_of
from ..scene import Scene
from ..words import plural
from .parts import heading, nothing, scrolled

ALARMING = re.compile(r"\b(error|exception|traceback|nan|killed|out of memory|failed)\b", re.IGNORECASE)
WARNING = re.compile(r"\bwarn(ing)?\b", re.IGNORECASE)


MOST_BYTES = 1 << 20
LONGEST = 20
"""Rows of one line at most."""


class Printed(Struct, frozen=True):
    """The end of the log, further back than the snapshot has it."""

    lines: tuple[str, ...]


class Log:
    """Reads the end of the log, again when it has grown."""

    def __init__(self) -> None:
        self._end: tuple[str, ...] | None = None
        self._printed = Printed(())

    def __call__(self, follower: Follower, snapshot: Snapshot, step: int) -> Printed:
        if snapshot.console is not self._end:
            self._end, self._printed = snapshot.console, Printed(follower.console(MOST_BYTES))
        return self._printed


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
    """Adds what was printed before, and a filter whose matches are underlined."""
    cells = Cells(width, height)
    whole = scene.study.lines if isinstance(scene.study, Printed) else scene.snapshot.console
    lines, note = filtered(whole, scene.view.filter)
    heading(cells, scene, "", "", "Console", Ink.TEXT, plural(len(lines), "line"), note, "the newest at the bottom")
    if not lines:
        return nothing(cells, "no line matches" if scene.view.filter else _silent(scene))
    rows = [(row, ink_of(line)) for line in lines for row in _rows(line, width)]
    room = height - 3
    end = len(rows) - scrolled(cells, len(rows), room, scene.view.scroll)
    for y, (shown, ink) in enumerate(rows[max(0, end - room) : end], 2):
        cells.put(y, 0, shown, ink)
        if scene.view.filter and not scene.view.filter.startswith("!"):
            for match in pattern_of(scene.view.filter).finditer(shown):
                cells.put(y, width_of(shown[: match.start()]), match[0], Ink.TEXT | BOLD | UNDERLINE)
    return cells


def _rows(line: str, width: int) -> list[str]:
    """A line, in as many rows as it needs: the end of the last one is what tells why a run died."""
    return [line] if width_of(line) <= width else wrap(line, width, LONGEST)


def _silent(scene: Scene) -> str:
    return "nothing printed yet" if scene.snapshot.live else "nothing was printed"


def ink_of(line: str) -> int:
    return Ink.BAD if ALARMING.search(line) else Ink.WARN if WARNING.search(line) else Ink.DIM
