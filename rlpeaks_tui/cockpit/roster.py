"""The runs of a folder as a list: what is known of each, which come first, and how the rows are drawn.

A row stands for a whole run, so it keeps only what it shows: a run that has ended can be let go once it was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from msgspec import Struct, field

from rlpeaks_tui.run.columns import LATELY
from rlpeaks_tui.run.facts import RunInfo
from rlpeaks_tui.run.follow import Snapshot
from rlpeaks_tui.run.text import clean_line

from . import verdict
from .cells import BOLD, RAISED, Cells, Ink, fit, width_of
from .filtering import filtered
from .scene import Health, Scene
from .spark import spark
from .strips import STATE_INK
from .words import duration, number, plural

CURVE = 96
"""Points of a small curve."""
MOST_WORDS = 72
"""Cells of a verdict at most, so that what stands right of it is not lost on a wide screen."""
GLYPHS = {
    "starting": "○",
    "running": "●",
    "paused": "‖",
    "finished": "◆",
    "stopped": "◇",
    "failed": "!",
    "lost": "?",
}
HEAD = f"reward, mean of last {LATELY}"
"""Over the reward and its curve, which has no title of its own."""
LIVE = ("starting", "running", "paused")


class Line(Struct, frozen=True):
    """One run.

    Attributes:
        path: of the run.
        state: one of run states, or `unreadable`.
        why: of a state that needs a reason.
        step, max_steps, speed: as in a snapshot; 0 where nothing is known.
        created: seconds since 1970.
        reward: mean of the last LATELY steps.
        curve: steps and values of the reward, at most CURVE of each.
        stuck: who holds it up.
        read: everything that the run has written was read; until then the verdict is not known.
    """

    path: Path
    state: str
    why: str = ""
    step: int = 0
    max_steps: int = 0
    speed: float | None = None
    created: float = 0.0
    model: str = ""
    reward: float | None = None
    curve: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    health: Health = field(default_factory=Health)
    stuck: str = ""
    read: bool = False

    @property
    def live(self) -> bool:
        return self.state in LIVE

    @property
    def name(self) -> str:
        return clean_line(self.path.name)

    @property
    def says(self) -> tuple[str, int]:
        """The verdict in a few words, and its ink."""
        return self.says_in(MOST_WORDS)

    def says_in(self, room: int) -> tuple[str, int]:
        """The verdict in about so many cells, and its ink."""
        if self.state == "unreadable":
            return self.why, Ink.BAD
        if not self.read:
            return "not read yet", Ink.UNKNOWN
        return verdict.brief(self.state, self.why, self.health, self.stuck, room)


def line_of(path: Path, snapshot: Snapshot, health: Health) -> Line:
    """The row of a run that was read."""
    return Line(
        path,
        snapshot.state,
        snapshot.why,
        snapshot.step,
        snapshot.max_steps,
        snapshot.speed if snapshot.state == "running" else None,
        snapshot.info.created,
        snapshot.info.model,
        snapshot.columns.get_series("reward").lately(),
        _curve(snapshot),
        health,
        verdict.stuck(snapshot),
        read=True,
    )


def glance(path: Path, info: RunInfo, state: str, why: str, step: int) -> Line:
    """The row of a run before its journal was read."""
    return Line(path, state, why, step, info.max_steps, created=info.created, model=info.model)


def _curve(snapshot: Snapshot) -> tuple[tuple[float, ...], tuple[float, ...]]:
    series = Scene(snapshot).series("reward")
    known = np.isfinite(series.values)
    steps, values = series.steps[known], series.values[known]
    if len(steps) > CURVE:
        starts = np.linspace(0, len(steps), CURVE, endpoint=False).astype(int)
        counts = np.diff(np.append(starts, len(steps)))
        steps, values = steps[starts], np.add.reduceat(values, starts) / counts
    return tuple(steps.tolist()), tuple(values.tolist())


def ordered(lines: Sequence[Line]) -> list[Line]:
    """Live runs first, then the newest first."""
    return sorted(lines, key=lambda line: (not line.live, -line.created, line.name))


def fitting(lines: Sequence[Line], pattern: str) -> list[Line]:
    """The lines whose name, state, model or verdict the filter keeps."""
    return filtered(lines, pattern, lambda line: f"{line.name} {line.state} {line.model} {line.says[0]}")[0]


def window(top: int, at: int, rows: int, count: int) -> int:
    """The first line on screen: moved as little as shows line `at`, with no more empty rows than there must be."""
    top = min(max(top, at - rows + 1), at)
    return max(0, min(top, count - rows))


def draw(
    lines: Sequence[Line], at: int, top: int, now: float, width: int, height: int, shown: Path, ascii_only: bool = False
) -> Cells:
    """Rows from line `top` on under a row of titles, line `at` chosen.

    `shown` is the run that the cockpit shows; `now` in seconds since 1970 tells ages.
    """
    cells = Cells(width, height)
    columns = _columns(lines, width)
    places: dict[str, tuple[int, int]] = {}
    x = 4
    for title, wide, right in columns:
        places[title] = (x, wide)
        _put(cells, 0, x, wide, title, Ink.FAINT, right)
        x += wide + 2
    if "reward" in places:
        cells.put(0, places["reward"][0], HEAD, Ink.FAINT)
    for y, line in enumerate(lines[top : top + height - 1], 1):
        _row(cells, y, line, columns, now, picked=top + y - 1 == at, shown=line.path == shown)
        if len(line.curve[0]) > 1 and "" in places:
            _draw_curve(cells, y, places[""], line, top + y - 1 == at, ascii_only)
    return cells


def summary(lines: Sequence[Line], hidden: int, pattern: str, width: int) -> Cells:
    """One row: how many runs there are, how many of them train, and the filter."""
    cells = Cells(width, 1)
    live = sum(line.live for line in lines)
    x = cells.put(0, 0, "Runs", Ink.TEXT | BOLD) + 2
    x = cells.put(0, x, plural(len(lines) + hidden, "run"), Ink.DIM) + 2
    if live:
        x = cells.put(0, x, f"● {live} live", Ink.GOOD | BOLD) + 2
    if pattern:
        x = cells.put(0, x, fit(f"filter {pattern}  hides {hidden}", width - x), Ink.ACCENT) + 2
    if x + 12 <= width:
        cells.put_right(0, width, "+ shown now", Ink.FAINT)
    return cells


_Column = tuple[str, int, bool]
"""Title, width, whether it is set to the right."""


def _columns(lines: Sequence[Line], width: int) -> list[_Column]:
    """The columns that have room, with the least important dropped first; the verdict takes what is left."""
    roomy = width >= 88
    longest = max((width_of(line.name) for line in lines), default=3)
    columns: dict[str, _Column] = {
        "state": ("state", 10, False),
        "name": ("run", max(3, min(longest, width // 4, 36)), False),
        "reward": ("reward", 6, True),
        "curve": ("", 16 if roomy else 8, False),
        "step": ("step", 15 if width >= 100 else 11, True),
        "speed": ("speed", 7, True),
        "age": ("age", 7, True),
        "model": ("model", max(5, min(20, max((width_of(line.model) for line in lines), default=5))), False),
    }
    for least in ("model", "speed", "age", "reward", "curve", "step"):
        if _taken(columns) + 20 <= width and (roomy or "reward" not in columns):
            break
        columns.pop(least)
    tail: dict[str, _Column] = {name: columns.pop(name) for name in ("age", "model") if name in columns}
    room = width - _taken(columns) - _taken(tail) + 4
    columns["verdict"] = ("verdict", max(4, min(room, MOST_WORDS)), False)
    return [*columns.values(), *tail.values()]


def _taken(columns: dict[str, _Column]) -> int:
    return 4 + sum(wide + 2 for _, wide, _ in columns.values())


def _row(cells: Cells, y: int, line: Line, columns: Sequence[_Column], now: float, picked: bool, shown: bool) -> None:
    ground = RAISED if picked else 0
    cells.fill(y, 0, cells.width, " ", Ink.TEXT | ground)
    cells.put(y, 0, "▸" if picked else " ", Ink.ACCENT | ground)
    cells.put(y, 2, "+" if shown else " ", Ink.ACCENT | ground)
    words, ink = line.says_in(next((wide for title, wide, _ in columns if title == "verdict"), MOST_WORDS))
    limit = f"/{line.max_steps:,}" if line.max_steps else ""
    x = 4
    for title, wide, right in columns:
        text, shade = {
            "state": (f"{GLYPHS.get(line.state, '!')} {line.state}", int(STATE_INK.get(line.state, Ink.BAD))),
            "run": (line.name, Ink.TEXT | BOLD if picked else int(Ink.TEXT)),
            "reward": (number(line.reward), int(Ink.TEXT)),
            "step": (f"{line.step:,}{limit}", int(Ink.TEXT)),
            "speed": (f"{number(line.speed)}/s" if line.speed else "", int(Ink.DIM)),
            "age": (_age(now - line.created) if line.created else "-", int(Ink.DIM)),
            "model": (line.model, int(Ink.DIM)),
            "verdict": (words, int(ink)),
        }.get(title, ("", int(Ink.DIM)))
        _put(cells, y, x, wide, text, shade | ground, right)
        x += wide + 2


def _age(seconds: float) -> str:
    """In minutes at least: an age in seconds would draw every row anew with every look."""
    if seconds < 60:
        return "now"
    return f"{seconds // 60:.0f}m" if seconds < 3600 else duration(seconds)


def _put(cells: Cells, y: int, x: int, wide: int, text: str, ink: int, right: bool) -> None:
    if right:
        cells.put_right(y, x + wide, fit(text, wide), ink)
    else:
        cells.put(y, x, fit(text, wide), ink)


def _draw_curve(cells: Cells, y: int, place: tuple[int, int], line: Line, picked: bool, ascii_only: bool) -> None:
    steps, values = line.curve
    along = (0, max(int(steps[-1]), line.max_steps))
    curve = spark(np.array(steps, np.int64), np.array(values), along, place[1], Ink.REWARD, ascii_only)
    curve.inks |= np.uint16(RAISED if picked else 0)
    cells.blit(y, place[0], curve)
