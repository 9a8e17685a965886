"""The ranks side by side: what each does, since when, how that compares with its own past, and its step as a lane."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from rlpeaks_tui.run.pace import SILENT, Pace, spell, spell_times
from rlpeaks_tui.run.signs import ENDED, PHASES, RankClock

from ..cells import BOLD, Cells, Ink, fit, width_of
from ..scene import Scene

FAST = 2.0
"""Seconds of a typical step below which its parts come and go too quickly to be read: a lane shows the typical step."""


class Part(Struct, frozen=True):
    """A part of a step: as ranks name it, as tables do, its metric, and what fills a lane, in ASCII a letter."""

    activity: str
    label: str
    metric: str
    ink: Ink
    sign: str
    letter: str


PARTS = (
    Part("generating", "generate", "time/generate", Ink.SERIES_0, "█", "g"),
    Part("scoring", "score", "time/score", Ink.SERIES_2, "▓", "s"),
    Part("updating", "update", "time/update", Ink.SERIES_1, "▒", "u"),
    Part("probing", "probe", "time/probe", Ink.SERIES_4, "░", "p"),
    Part("waiting", "wait", "", Ink.SERIES_3, "╌", "w"),
    Part("other", "other", "", Ink.DIM, "·", "o"),
)
UNEVEN = 1.1
"""Times the middle rank's median from which on the rank that takes longest is named."""
BY_ACTIVITY = {part.activity: part for part in PARTS}

MOST_ROWS = 128
USUAL = "┆"
"""Where a typical step would end."""

Spans = Sequence[tuple[str, float]]

AGE, TIMES, LANE = 35, 44, 46
"""Columns: where the age ends, where the multiple of the median ends, where the lane begins."""


def lanes(scene: Scene, width: int) -> Cells:
    """A row for each rank, those that are stuck first and with the place where they stand."""
    pace, ranks = scene.snapshot.pace, scene.snapshot.ranks
    stuck = {found.rank for found in pace.ranks}
    order = sorted(ranks, key=lambda rank: (rank.rank not in stuck, rank.rank))
    order, left = order[:MOST_ROWS], len(order) - MOST_ROWS
    typical = max((sum(seconds for name, seconds in _typical(rank)) for rank in ranks), default=0.0)
    fast = typical < FAST and not stuck
    scale = _scale(typical, 0.0 if fast else max(_so_far(rank) for rank in ranks))
    places = sum(bool(rank.rank in stuck and rank.place) for rank in order)
    cells = Cells(width, 1 + len(order) + places + (left > 0))
    _head(cells, fast, typical, scale)
    y = 1
    for rank in order:
        _rank(cells, y, scene, rank, pace, fast)
        room = width - LANE
        if room >= 8 and scale > 0:
            if typical and not fast:
                cells.put(y, LANE + round(room * typical / scale), USUAL, Ink.FAINT)
            paint(cells, y, LANE, room, _typical(rank) if fast else _this_step(rank), scale, scene.ascii_only)
        y += 1
        if rank.rank in stuck and rank.place:
            cells.put(y, 8, fit(f"at {rank.place}", width - 8), Ink.DIM)
            y += 1
    if left > 0:
        cells.put(y, 8, fit(f"and {left:,} more ranks", width - 8), Ink.FAINT)
    return cells


def paint(cells: Cells, y: int, x: int, room: int, spans: Spans, scale: float, plain: bool) -> None:
    """Spans of time one after the other, `scale` seconds over `room` columns."""
    at = 0.0
    for name, seconds in spans:
        part = BY_ACTIVITY.get(name, PARTS[-1])
        first, last = (min(room, round(room * t / scale)) for t in (at, at + seconds))
        cells.fill(y, x + first, last - first, part.letter if plain else part.sign, part.ink)
        at += seconds


def _head(cells: Cells, fast: bool, typical: float, scale: float) -> None:
    cells.put_right(0, 6, "rank", Ink.FAINT)
    cells.put(0, 8, "now", Ink.FAINT)
    cells.put_right(0, AGE, "for", Ink.FAINT)
    cells.put_right(0, TIMES, "x median", Ink.FAINT)
    if cells.width - LANE >= 24:
        x = cells.put(0, LANE, f"a typical step, {spell(typical)} of medians" if fast else "this step", Ink.FAINT)
        usual = f"   {USUAL} typical, {spell(typical)}" if typical and not fast else ""
        end = cells.put_right(0, cells.width, f"lane ends at {spell(scale)}", Ink.FAINT)
        if x + width_of(usual) + 2 <= end:
            cells.put(0, x, usual, Ink.FAINT)


def _rank(cells: Cells, y: int, scene: Scene, rank: RankClock, pace: Pace, fast: bool) -> None:
    stuck = any(found.rank == rank.rank for found in pace.ranks)
    running = scene.snapshot.state == "running"
    if stuck:
        cells.put(y, 0, "^" if scene.ascii_only else "▲", Ink.BAD | BOLD)
    cells.put_right(y, 6, f"{rank.rank:,}", Ink.BAD | BOLD if stuck else Ink.TEXT)
    # What is over within a second is not worth a look, and a screen that follows it would never rest.
    long = running and rank.age >= 1 and rank.activity != ENDED
    word, ink = _now(rank, running, long or not fast)
    cells.put(y, 8, fit(f"stuck {word}" if stuck and word == rank.activity else word, AGE - 8 - 7), ink)
    if not long:
        return
    whole = float(int(rank.age))
    cells.put_right(y, AGE, spell(whole), Ink.BAD | BOLD if stuck else Ink.TEXT)
    typical = rank.typical.get(rank.activity)
    if typical and not rank.waiting:
        times = whole / typical
        ink = Ink.BAD | BOLD if stuck else Ink.WARN if times >= 2 else Ink.DIM
        cells.put_right(y, TIMES, spell_times(times), ink)


def _now(rank: RankClock, running: bool, exact: bool) -> tuple[str, int]:
    """What a rank does in a word or two."""
    if rank.activity == ENDED:
        return "done", Ink.DIM
    if rank.alive is False:
        return "gone", Ink.BAD
    if rank.quiet > SILENT:
        return "silent", Ink.BAD
    if not running:
        return rank.activity or "-", Ink.DIM
    if not exact:
        return "at work", Ink.DIM
    if rank.waiting:
        return f"waits in {rank.activity}", BY_ACTIVITY["waiting"].ink
    part = BY_ACTIVITY.get(rank.activity)
    return rank.activity or "between steps", part.ink if part else Ink.DIM


def _this_step(rank: RankClock) -> Spans:
    name = "waiting" if rank.waiting else rank.activity
    done = [] if rank.activity in (ENDED, "paused") else [(name, float(int(rank.age)))]
    return [*rank.spans, *done]


def _so_far(rank: RankClock) -> float:
    return sum(seconds for _, seconds in _this_step(rank))


def _typical(rank: RankClock) -> Spans:
    """A step of medians, in the order of its parts."""
    return [(name, rank.typical[name]) for name in (*PHASES, "other") if name in rank.typical]


def _scale(typical: float, longest: float) -> float:
    """Seconds that a lane spans: a typical step and a quarter, doubled as often as need be, so that it rarely moves."""
    scale = 1.25 * typical or 1.0
    while scale < longest:
        scale *= 2
    return scale
