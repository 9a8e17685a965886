"""Which ways of answering the policy uses, and which ones it is giving up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlpeaks_tui.stats.catalog import has_entry
from rlpeaks_tui.stats.causal import EARLY

from ..bars import lying
from ..cells import SERIES, SOFT, Cells, Ink, fit, width_of
from ..chart import Line
from ..scene import Scene
from ..words import number, percent, signed
from .parts import Row, axis_over, chart_over_table, heading, nothing
from .picking import first_shown, pick, picked, quoted, raise_row

PREFIX = "format/"
ENTROPY = "format/entropy"


def names(scene: Scene) -> list[str]:
    """The formats that the run tells apart, the most frequent first; those that show the same share by name, so that
    they do not change places with what nobody sees."""
    found = [name for name in scene.snapshot.columns.names() if name.startswith(PREFIX) and not has_entry(name)]
    return sorted(found, key=lambda name: (-round(scene.value(name) or 0.0, 2), name))


def starts(scene: Scene, found: Sequence[str]) -> dict[str, float]:
    """The mean share of each format in the first EARLY steps, as the check on formats has it: none of one that was not
    seen yet.

    Each one's own first shares would be of other steps, and they would not add up to all completions.
    """
    known = [series for name in (ENTROPY, *found) if len(series := scene.series(name))]
    first = min((int(series.steps[0]) for series in known), default=0)
    steps = max((int((series.steps - first < EARLY).sum()) for series in known), default=0)
    shares: dict[str, float] = {}
    for name in found:
        series = scene.series(name)
        early = series.values[series.steps - first < EARLY]
        shares[name] = float(early[np.isfinite(early)].sum()) / steps if len(early) else 0.0
    return shares


def points(share: float, start: float) -> str:
    """A change in percentage points, that of the two shares as they are written."""
    change = round(100 * share) - round(100 * start)
    return f"{signed(change, 0) if change else '0'}"


def overview(scene: Scene, width: int, height: int) -> Cells:
    cells = Cells(width, height)
    found = names(scene)
    if not found:
        heading(cells, scene, "formats", "6", "Formats", Ink.UNKNOWN)
        return nothing(cells, scene.why(f"{PREFIX}*"))
    entropy = scene.value(ENTROPY)
    value = f"{max(0.0, entropy):.2f}" if entropy is not None else ""
    heading(cells, scene, "formats", "6", "Formats", Ink.FORMAT, value, "nats of entropy" if value else "", "share")
    label = min(max(width_of(name.removeprefix(PREFIX)) for name in found), width // 3)
    bar = width - label - 15
    began = starts(scene, found)
    for y, name in enumerate(found[: height - 1], 1):
        share, start = scene.value(name), began[name]
        cells.put(y, 0, fit(name.removeprefix(PREFIX), label), Ink.TEXT)
        if share is None:
            cells.put(y, label + 2, fit(scene.why(name), width - label - 2), Ink.UNKNOWN)
            continue
        if bar >= 4:
            cells.put(y, label + 2, lying(share, bar, scene.ascii_only), Ink.FORMAT)
        cells.put_right(y, width - 7, percent(share), Ink.TEXT)
        cells.put_right(y, width, points(share, start), Ink.DIM)
    said = f"share, points since the first {EARLY} steps"
    said = said if width_of(said) <= width else "share, points since start"
    cells.put_right(len(found) + 1, width, fit(said, width), Ink.FAINT)
    return cells


def enlarged(scene: Scene, width: int, height: int) -> Cells:
    """Adds every share over time, so that a take-over can be dated; one of them is picked."""
    cells = Cells(width, height)
    found = names(scene)
    if not found:
        heading(cells, scene, "", "", "Formats", Ink.UNKNOWN)
        return nothing(cells, scene.why(f"{PREFIX}*"))
    entropy = scene.value(ENTROPY)
    value = f"{found[0].removeprefix(PREFIX)} leads, {percent(scene.value(found[0]))}"
    note = f"{number(entropy and max(0.0, entropy))} nats of format entropy"
    heading(cells, scene, "", "", "Formats", Ink.FORMAT, fit(value, width // 3), note, "share of completions by form")
    order = sorted(found)
    at = picked(cells, scene, len(found))
    table = min(len(found) + 2, max(4, height // 3))
    top = first_shown(at, len(found), table - 2)
    inks = {name: SERIES[order.index(name) % len(SERIES)] for name in found}
    rows: list[Row] = [(f"  {name.removeprefix(PREFIX)}", name, inks[name]) for name in found[top : top + table - 2]]
    rows.append(("  format entropy", ENTROPY, Ink.FORMAT))
    lines = []
    for name in found:
        series = scene.series(name)
        lines.append(Line(series.steps, series.values, inks[name] | SOFT))
        behind = scene.behind(name, smoothed=True)
        label = fit(name.removeprefix(PREFIX), 20)
        lines.append(Line(series.steps, scene.smoothed(name), inks[name], label, behind=behind))
    caption = f"share of each step's completions, smoothed over a half-life of {scene.half_life:.0f} values"
    chart_over_table(
        cells, scene, lines, lambda count: axis_over(lines, count, 0.0, 1.0), rows, caption, starts=starts(scene, found)
    )
    raise_row(cells, height - min(len(rows) + 1, max(4, height // 3)) + 1 + at - top, 0, width)
    return cells


def query(scene: Scene) -> str:
    """The completions of the picked format."""
    name = pick(scene, names(scene))
    return quoted("format", name.removeprefix(PREFIX)) if name is not None else ""
