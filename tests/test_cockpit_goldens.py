"""What charts look like, case by case, in tests/goldens/charts.txt: every drawing there was judged by eye.

After an intended change, `RENEW=1 pytest tests/test_cockpit_goldens.py` writes the file anew; its diff is to be looked
at like code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rlpeaks_tui.cockpit.axes import Axis, linear, logarithmic
from rlpeaks_tui.cockpit.cells import Cells, Ink, in_ascii
from rlpeaks_tui.cockpit.chart import Band, Behind, Chart, Line, Mark, Points, draw
from rlpeaks_tui.cockpit.raster import Frame, Raster
from rlpeaks_tui.cockpit.spark import spark
from tests.renewed import compare

NAN = float("nan")
Cases = dict[str, Callable[[], Cells]]


def line(values: Sequence[float], steps: Sequence[int] | None = None, **more: Any) -> Line:
    at = np.arange(len(values)) if steps is None else np.array(steps)
    return Line(at.astype(np.int64), np.array(values, np.float64), Ink.REWARD, **more)


def curve(f: Callable[[np.ndarray], np.ndarray], last: int = 100, **more: Any) -> Line:
    steps = np.arange(last + 1)
    return Line(steps, f(steps / last), Ink.REWARD, **more)


def chart(
    *lines: Line, y: Axis | None = None, x: tuple[int, int] | None = None, size: tuple[int, int] = (36, 8), **more: Any
) -> Cells:
    last = max((int(one.steps[-1]) for one in lines if len(one.steps)), default=10)
    return draw(Chart(x=x or (0, last), y=y or linear(0, 1, 3), lines=lines, **more), *size)


def raster(width: int, height: int, lines: Sequence[Line], ascii_only: bool = False, dashed: bool = False) -> Cells:
    drawn = Raster(width, height, Frame(0, max(int(one.steps[-1]) for one in lines), 0, 1), ascii_only)
    for one in lines:
        drawn.line(one.steps, one.values, one.ink, one.heavy, dashed)
    return drawn.cells


def band(ascii_only: bool = False) -> Cells:
    steps = np.arange(101)
    middle = 0.2 + 0.6 * steps / 100
    between = Band(steps, middle - 0.2, middle + 0.2, Ink.FAINT)
    return chart(Line(steps, middle, Ink.KL), bands=[between], ascii_only=ascii_only)


def points(**more: Any) -> Cells:
    steps, values = np.array([0, 25, 50, 75, 100]), np.array([0.1, 0.4, 0.5, NAN, 0.9])
    low, high = values - 0.15, values + 0.15
    return chart(points=[Points(steps, values, Ink.KL, "◆", low, high)], x=(0, 100), **more)


def branches(**more: Any) -> Cells:
    left = Behind(np.arange(30, 71), 0.3 + np.arange(41) / 100, "main")
    present = line([0.1 + 0.2 * i / 30 for i in range(31)] + [0.3 - i / 200 for i in range(1, 31)], label="reward")
    return chart(
        Line(present.steps, present.values, Ink.REWARD, "reward", behind=(left,)), x=(0, 100), labels=8, **more
    )


UP, DOWN = [0.0, 1.0], [1.0, 0.0]
CASES: Cases = {
    "a slope up": lambda: chart(line(UP)),
    "a slope down": lambda: chart(line(DOWN)),
    "a saturating rise": lambda: chart(curve(lambda t: 1 - np.exp(-4 * t))),
    "one period of a sine": lambda: chart(curve(lambda t: 0.5 + 0.5 * np.sin(2 * np.pi * t))),
    "a dense saw: every column is full": lambda: chart(line([i % 7 / 6 for i in range(10_001)])),
    "one spike in 10,000 values": lambda: chart(line([1.0 if i == 4321 else 0.2 for i in range(10_001)])),
    "one point": lambda: chart(line([0.5], [50]), x=(0, 100)),
    "one point at the left edge": lambda: chart(line([0.5], [0]), x=(0, 100)),
    "one point at the right edge": lambda: chart(line([0.5], [100]), x=(0, 100)),
    "a value at either end of the axis": lambda: chart(line([0, 0, 1, 1])),
    "a gap between two stretches": lambda: chart(line([0.2] * 30 + [NAN] * 40 + [0.8] * 31)),
    "a single value between two gaps": lambda: chart(line([NAN] * 50 + [0.5] + [NAN] * 50), x=(0, 100)),
    "every other value missing": lambda: chart(line([0.5 if i % 2 else NAN for i in range(21)])),
    "only gaps": lambda: chart(line([NAN] * 11)),
    "no values": lambda: chart(line([]), x=(0, 100)),
    "values at few steps are joined": lambda: chart(line([0.1, 0.9, 0.4], [0, 60, 100])),
    "a constant, on an axis of its own": lambda: chart(line([0.37] * 50), y=linear(0.37, 0.37, 3)),
    "constant zero, never below zero": lambda: chart(line([0.0] * 50), y=linear(0, 0, 3, floor=0.0)),
    "a tiny range far from zero": lambda: chart(
        line([1000.0 + 1e-3 * i / 20 for i in range(21)]), y=linear(1000, 1000.001, 4)
    ),
    "a huge range": lambda: chart(line([0, 2.5e8, 5e8, 1e9]), y=linear(0, 1e9, 4)),
    "negative values": lambda: chart(curve(lambda t: -0.8 + t), y=linear(-0.8, 0.2, 4)),
    "beyond the axis on both sides": lambda: chart(line([0.5, 3.0, 0.5, -2.0, 0.5])),
    "a spike beyond the axis": lambda: chart(line([0.4] * 60 + [40.0] + [0.4] * 40)),
    "a log axis: a power is straight": lambda: chart(curve(lambda t: 10 ** (-4 * t)), y=logarithmic(1e-4, 1, 4)),
    "a log axis: zeros and less are gaps": lambda: chart(
        line([1.0, 0.1, 0.0, 0.0, 0.01, -1.0, 0.1, 1.0]), y=logarithmic(0.01, 1, 4)
    ),
    "a log axis: less than a power": lambda: chart(curve(lambda t: 2 + 2 * t), y=logarithmic(2, 4, 4)),
    "a band around a line": band,
    "points with intervals, one unknown": points,
    "a raw line and its heavy mean": lambda: chart(
        curve(lambda t: 0.5 + 0.3 * np.sin(40 * t)), curve(lambda t: 0.2 + 0.5 * t, heavy=True)
    ),
    "a branch that was left": branches,
    "commands, numbered, and the cursor": lambda: chart(
        curve(lambda t: t), marks=[Mark(1, 20), Mark(2, 21), Mark(3, 60)], cursor=40
    ),
    "names of lines that end together": lambda: chart(
        line([0.2, 0.5], label="one"), line([0.4, 0.52], label="two"), line([0.8, 0.9], label="three"), labels=7
    ),
    "less of the run than of the axis": lambda: chart(curve(lambda t: t, last=40), x=(0, 100)),
    "one row of a plot": lambda: chart(curve(lambda t: t), size=(30, 2)),
    "four columns of a plot": lambda: chart(curve(lambda t: t), size=(10, 6)),
    "no room for a plot": lambda: chart(curve(lambda t: t), size=(9, 6)),
    "one cell: a slope up": lambda: raster(1, 1, [line(UP)]),
    "one cell: a slope down": lambda: raster(1, 1, [line(DOWN)]),
    "one cell: a constant": lambda: raster(1, 1, [line([0.5, 0.5])]),
    "one cell of ASCII: a constant": lambda: raster(1, 1, [line([0.5, 0.5])], ascii_only=True),
    "a cross: the later line in front": lambda: raster(16, 4, [line(UP), line(DOWN)]),
    "dashed": lambda: raster(16, 4, [line(UP)], dashed=True),
    "ASCII: a slope up": lambda: chart(line(UP), ascii_only=True),
    "ASCII: one period of a sine": lambda: chart(curve(lambda t: 0.5 + 0.5 * np.sin(2 * np.pi * t)), ascii_only=True),
    "ASCII: beyond the axis, a gap": lambda: chart(
        line([0.5, 3.0, 0.5, NAN, NAN, 0.5, -2.0, 0.5]), ascii_only=True
    ),
    "ASCII: a heavy line over a raw one": lambda: chart(
        curve(lambda t: 0.5 + 0.3 * np.sin(40 * t)), curve(lambda t: 0.2 + 0.5 * t, heavy=True), ascii_only=True
    ),
    "ASCII: a band around a line": lambda: band(ascii_only=True),
    "ASCII: points with intervals": lambda: points(ascii_only=True),
    "ASCII: a branch that was left": lambda: branches(ascii_only=True),
    "ASCII: a command and the cursor": lambda: chart(
        curve(lambda t: t), marks=[Mark(1, 70)], cursor=40, ascii_only=True
    ),
    "a sparkline": lambda: spark(np.arange(51), np.sin(np.arange(51) / 6), (0, 50), 24, Ink.KL),
    "a sparkline in ASCII": lambda: spark(np.arange(51), np.sin(np.arange(51) / 6), (0, 50), 24, Ink.KL, True),
}  # fmt: skip


def framed(cells: Cells) -> str:
    edge = f"+{'-' * cells.width}+"
    return "\n".join([edge, *(f"|{row}|" for row in cells.rows()), edge])


def test_charts_look_as_they_were_judged() -> None:
    drawn = {name: in_ascii(make()) if name.startswith("ASCII") else make() for name, make in CASES.items()}
    for name, cells in drawn.items():
        assert not name.startswith("ASCII") or "".join(cells.rows()).isascii(), name
    compare("charts.txt", "\n\n".join(f"{name}\n{framed(cells)}" for name, cells in drawn.items()) + "\n")
