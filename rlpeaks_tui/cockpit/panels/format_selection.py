"""Which format wins against which, and which is merely frequent: shares beside what each form was paid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
from msgspec import Struct

from rlpeaks_tui.run.follow import Follower, Snapshot
from rlpeaks_tui.run.rollout_index import RIGHT
from rlpeaks_tui.run.rollouts import Rollouts
from rlpeaks_tui.stats.selection import LEAST, Selection, selection

from ..axes import Floats
from ..cells import BOLD, SERIES, Cells, Ink, fit, width_of
from ..chart import Line, draw
from ..generations import Generations
from ..raster import Ints
from ..scene import Scene
from ..words import number, percent, plural, signed
from .formats import ENTROPY, PREFIX, names, starts
from .parts import axis_over, chart, heading, nothing, ticks_for
from .picking import first_shown, picked, raise_row

GENERATIONS, ENOUGH = 16, 512
"""At each end, generations at most, and completions after which no more are read to count how many were right."""
WIDE = 110
ALONE = 1.1
"""Effective formats below which there is nothing left to select among."""
INK = {"selected": Ink.GOOD, "selected against": Ink.BAD, "rises unpaid": Ink.WARN, "falls, not paid less": Ink.WARN}
SIGN = {
    "too few steps": "?",
    "selected": "▲",
    "rises unpaid": "+",
    "merely frequent": "•",
    "rare": "·",
    "selected against": "▼",
}

Counts = dict[str, tuple[int, int]]
"""By format: completions that were right, and those whose outcome is known."""


class Earned(Struct, frozen=True):
    """Right completions by format in the first generations that are kept and in the newest."""

    first: Counts
    last: Counts


def counts_of(rollouts: Rollouts) -> Counts:
    """Of one generation."""
    found: Counts = {}
    for name, correct in zip(rollouts.format, rollouts.correct.tolist(), strict=True):
        if name is not None and correct == correct:
            right, known = found.get(name, (0, 0))
            found[name] = right + (correct >= RIGHT), known + 1
    return found


class Outcomes:
    """The study of the panel of formats."""

    def __init__(self) -> None:
        self._first, self._last = Generations(counts_of), Generations(counts_of)

    def __call__(self, follower: Follower, snapshot: Snapshot, step: int) -> Earned:
        first = self._first.oldest_first(follower, snapshot, step)
        last = self._last.newest_first(follower, snapshot, step)
        return Earned(_pooled(first), _pooled(last))


def _pooled(parts: Iterator[Counts]) -> Counts:
    found: Counts = {}
    for part in islice(parts, GENERATIONS):
        for name, (right, known) in part.items():
            before = found.get(name, (0, 0))
            found[name] = before[0] + right, before[1] + known
        if sum(known for _, known in found.values()) >= ENOUGH:
            break
    return found


def selected(scene: Scene, found: Sequence[str]) -> tuple[Ints, Selection] | None:
    """Steps int64[n] up to the one shown, and what selection did to the formats in them."""
    series = scene.series(ENTROPY)
    steps = series.steps[series.steps <= scene.step]
    # They never decrease, so that those which differ need no sorting.
    steps = steps[np.diff(steps, prepend=-1) > 0]
    if not len(steps):
        return None
    shares = np.stack([_aligned(scene, name, steps) for name in found])
    paid = np.stack([_aligned(scene, f"advantage/{name.removeprefix(PREFIX)}", steps) for name in found])
    return steps, selection(shares, paid)


def _aligned(scene: Scene, name: str, steps: Ints) -> Floats:
    """float64[n]: the value at exactly each step, nan where there is none."""
    series = scene.series(name)
    if np.array_equal(series.steps[: len(steps)], steps) and not (series.steps[len(steps) :] == steps[-1]).any():
        return series.values[: len(steps)]
    values = np.full(len(steps), np.nan)
    at = np.searchsorted(steps, series.steps)
    inside = at < len(steps)
    inside[inside] = steps[at[inside]] == series.steps[inside]
    values[at[inside]] = series.values[inside]
    return values


def story(scene: Scene, width: int, height: int) -> Cells:
    """A row a format: what became of its share, what it was paid, how often it was right; then what selection did."""
    cells = Cells(width, height)
    found = names(scene)
    told = selected(scene, found) if found else None
    if told is None:
        heading(cells, scene, "", "", "Selection of formats", Ink.UNKNOWN)
        return nothing(cells, scene.why(f"{PREFIX}*" if not found else ENTROPY))
    steps, what = told
    title, ink = "Selection of formats", Ink.FORMAT
    heading(cells, scene, "", "", title, ink, point(what, starts(scene, found)), speed(scene), effective(scene))
    said = f"shares: mean of the first and last {plural(what.span, 'step')}; {PAID}"
    cells.put(1, 0, fit(said, width), Ink.FAINT)
    at = picked(cells, scene, len(found))
    room = min(len(found) + 1, max(3, height - 10))
    cells.blit(3, 0, _rows(scene, found, what, at, width, room))
    body = height - room - 4
    if body >= 7:
        y = room + 4
        if width >= WIDE:
            half = (width - 3) // 2
            _titled(cells, y, 0, "share, smoothed", _shares(scene, found, half, body - 1))
            moved = _force(scene, found, steps, what, width - half - 3, body - 1)
            _titled(cells, y, half + 3, FORCE[0], moved, FORCE[1])
        else:
            _titled(cells, y, 0, FORCE[0], _force(scene, found, steps, what, width, body - 1), FORCE[1])
    return cells


PAID = "paid: advantage over what all formats earned, while it had competitors"
FORCE = ("running sum of what selection alone would move", ": share x (advantage − mean)")
"""What is drawn, and how it is calculated where that has room."""


def point(what: Selection, began: Mapping[str, float]) -> str:
    """Who wins, and whether it was the most frequent to begin with; `began` has the first share of each, in order."""
    found = list(began)
    if what.force.shape[1] < LEAST:
        return f"not told yet: {plural(what.force.shape[1], 'step')}, {LEAST} are needed"
    winners = [i for i, kind in enumerate(what.kinds) if kind == "selected"]
    leader = int(np.argmax(what.now))
    if not winners:
        words = {"merely frequent": "is merely frequent", "rises unpaid": "rises unpaid"}
        return f"{_plain(found[leader])} {words.get(what.kinds[leader], 'leads, nothing is selected')}"
    winner = max(winners, key=lambda i: what.now[i] - what.start[i])
    first = max(found, key=began.__getitem__)
    before = "the most frequent from the start" if first == found[winner] else f"against {_plain(first)}"
    return f"{_plain(found[winner])} wins, {before}"


def speed(scene: Scene) -> str:
    """How much of the newest change selection explains."""
    residual, rate = scene.value("format/selection_residual"), scene.value("format/selection_rate")
    left = scene.value("format/effective")
    if left is not None and left < ALONE:
        return "one is left: nothing to select"
    if residual is None or rate is None:
        return ""
    if rate <= 0:
        return f"the newest change goes against what was paid, speed {signed(rate)}"
    return f"selection explains {percent(1 - residual)} of the newest change, speed {signed(rate)}"


def effective(scene: Scene) -> str:
    value = scene.value("format/effective")
    return f"{number(value)} effective formats" if value is not None else ""


def _plain(name: str) -> str:
    return fit(name.removeprefix(PREFIX), 20)


def _titled(cells: Cells, y: int, x: int, title: str, drawing: Cells, more: str = "") -> None:
    """`more` is written whole or not at all."""
    whole = title + more
    cells.put(y, x, fit(whole if width_of(whole) <= drawing.width else title, drawing.width), Ink.FAINT)
    cells.blit(y + 1, x, drawing)


def _rows(scene: Scene, found: Sequence[str], what: Selection, at: int, width: int, height: int) -> Cells:
    cells = Cells(width, height)
    label = min(20, max(width_of(name.removeprefix(PREFIX)) for name in found))
    first, last = (f"{which} {what.span}" for which in ("first", "last"))
    columns = {first: 10, last: 10, "paid": 9, "right at start": 16, "now right": 16}
    words = max(len(kind) for kind in what.kinds) + 3
    while label + 4 + sum(columns.values()) + words > width and len(columns) > 2:
        columns.popitem()
    stops: dict[str, int] = {}
    x = label + 4
    for title, wide in columns.items():
        x = stops[title] = x + wide
        cells.put_right(0, x, title, Ink.FAINT)
    earned = scene.study if isinstance(scene.study, Earned) else Earned({}, {})
    order = sorted(found)
    top = first_shown(at, len(found), height - 1)
    for y, i in enumerate(range(top, min(len(found), top + height - 1)), 1):
        name, kind = found[i].removeprefix(PREFIX), what.kinds[i]
        ink = INK.get(kind, Ink.DIM)
        cells.put(y, 1, SIGN.get(kind, "−"), ink | BOLD)
        cells.put(y, 3, fit(name, label), SERIES[order.index(found[i]) % len(SERIES)])
        texts = {
            first: percent(float(what.start[i])),
            last: percent(float(what.now[i])),
            "paid": signed(float(what.paid[i]), 3),
            "right at start": _right(earned.first, name),
            "now right": _right(earned.last, name),
        }
        for title, stop in stops.items():
            cells.put_right(y, stop, texts[title], Ink.TEXT)
        cells.put(y, x + 2, fit(kind, width - x - 2), ink)
        if i == at:
            raise_row(cells, y, 0, width)
    return cells


def _right(counts: Counts, name: str) -> str:
    right, known = counts.get(name, (0, 0))
    return f"{percent(right / known)} of {known:,}" if known else "-"


def _shares(scene: Scene, found: Sequence[str], width: int, height: int) -> Cells:
    lines = share_lines(scene, found)
    labels = min(22, max((width_of(line.label) for line in lines), default=0) + 2)
    return draw(chart(scene, lines, axis_over(lines, ticks_for(height - 1), 0.0, 1.0), labels=labels), width, height)


def share_lines(scene: Scene, found: Sequence[str]) -> list[Line]:
    """The smoothed share of each format, in the ink that its name has everywhere in the panel."""
    order = sorted(found)
    return [
        Line(
            scene.series(name).steps,
            scene.smoothed(name),
            SERIES[order.index(name) % len(SERIES)],
            _plain(name),
            behind=scene.behind(name, smoothed=True),
        )
        for name in found
    ]


def _force(scene: Scene, found: Sequence[str], steps: Ints, what: Selection, width: int, height: int) -> Cells:
    order = sorted(found)
    lines = [Line(np.array(scene.x, np.int64), np.zeros(2), Ink.DIM)]
    lines += [
        Line(steps, what.force[i], SERIES[order.index(name) % len(SERIES)], _plain(name))
        for i, name in enumerate(found)
    ]
    labels = min(22, max(width_of(line.label) for line in lines) + 2)
    return draw(chart(scene, lines, axis_over(lines, ticks_for(height - 1)), labels=labels), width, height)
