"""What shape the update has: its rank, which is full whatever happens, beside what qualifies it.

Almost any noise makes a matrix full rank, so the rank says nothing without the stable rank, which says how few
directions carry the weight. How far the singular directions have turned and their values have shifted belongs beside
both, each with what the literature reports for it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..cells import Cells, Ink, fit, width_of
from ..chart import Line, draw
from ..scene import Scene
from ..words import number, percent
from .parts import Row, axis_over, chart, clauses, heading, metric_table, misleading, nothing, ticks_for

RANK, STABLE, ANGLE, SHIFT = "update/rank", "update/stable_rank", "update/angle", "update/nss"
FIGURE = re.compile(r"([a-z ]*[a-z]) ([\d.e+-]+)(?: (degrees))?")
"""Of what a probe says of a matrix: rank 128, stable rank 3.4, angle 7.86 degrees."""

ROWS: tuple[Row, ...] = (
    ("rank / smaller side", RANK, Ink.DIM),
    ("stable rank", STABLE, Ink.SPARSITY),
    ("directions turned, degrees", ANGLE, Ink.SERIES_0),
    ("singular values shifted (NSS)", SHIFT, Ink.SERIES_2),
    ("|update| / |weights|", "update/norm", Ink.TEXT),
    ("along a line", "drift/straightness", Ink.TEXT),
    ("turn since last probe", "drift/cosine", Ink.TEXT),
)


def rank_said(scene: Scene) -> str:
    """The rank beside the stable rank in one clause; empty where they are not measured."""
    rank, stable = scene.value(RANK), scene.value(STABLE)
    if rank is None or stable is None:
        return ""
    return f"rank {percent(rank)} of full beside stable rank {number(stable)}"


def geometry(scene: Scene, width: int, height: int) -> Cells:
    """Rank and stable rank over time, how far the singular directions turned, and the matrices one by one."""
    cells = Cells(width, height)
    rank, stable = scene.value(RANK), scene.value(STABLE)
    if rank is None or stable is None:
        heading(cells, scene, "", "", "Shape of the update", Ink.UNKNOWN)
        return nothing(cells, scene.why(STABLE))
    value = f"stable rank {number(stable)}"
    note = f"rank {percent(rank)} of full"
    heading(cells, scene, "", "", "Shape of the update", Ink.SPARSITY, value, note, "of the change since the start")
    for y, line in enumerate(clauses(point(scene, rank, stable), width, 2), 1):
        cells.put(y, 0, line, Ink.TEXT)
    rows = [row for row in ROWS if len(scene.series(row[1]))]
    table = min(len(rows) + 1, max(5, height // 3))
    warnings = []
    if height >= 24:
        warnings = misleading(STABLE, width, 1, "the stable rank") + misleading(ANGLE, width, 2, "the angle")
    probe = scene.probe("rank")
    matrices = of_matrices(scene)
    listed = min(len(matrices) + 1, 6) if matrices and height >= 24 else 0
    bottom = height - table - len(warnings) - listed - (1 if listed else 0)
    _charts(cells, scene, 3, bottom - 4)
    for at, line in enumerate(warnings, bottom):
        cells.put(at, 0, line, Ink.DIM)
    at = bottom + len(warnings)
    if probe is not None and listed:
        _matrices(cells, at, f"matrix by matrix, at step {probe.step:,}", matrices[: listed - 1])
    cells.blit(height - table, 0, metric_table(scene, rows, width, table))
    return cells


def point(scene: Scene, rank: float, stable: float) -> list[str]:
    """What the two ranks come to, and how the turn compares with what is published: the most needed first."""
    parts = [f"{'full' if rank >= 0.9 else 'not full'} by count, by weight about {max(1, round(stable))} directions"]
    angle, shift = scene.value(ANGLE), scene.value(SHIFT)
    if angle is not None:
        said = "below 0.5 degrees, as published for RL" if angle < 0.5 else "above 10, as published for SFT"
        between = "between what is published for RL (0.5) and for SFT (10)"
        parts.append(f"turned by {number(angle)} degrees: {said if angle < 0.5 or angle > 10 else between}")
    if shift is not None:
        parts.append(f"NSS {number(shift)}; 1e-5 published for RL, 1e-3 for SFT")
    return parts


def of_matrices(scene: Scene) -> list[tuple[str, str]]:
    """What the newest probe says of each matrix."""
    probe = scene.probe("rank")
    facts = {} if probe is None else probe.facts
    return [(name, str(said)) for name, said in facts.items() if name.endswith("weight")]


def _matrices(cells: Cells, y: int, title: str, matrices: Sequence[tuple[str, str]]) -> None:
    """Under row `y` with the title and the heads: a matrix a row, each of its figures in a column."""
    said = [FIGURE.findall(words) for _, words in matrices]
    heads = list(dict.fromkeys(degrees or label for figures in said for label, _, degrees in figures))
    widths = [max(width_of(head), 6) + 3 for head in heads]
    names = min(max(width_of(name) for name, _ in matrices), cells.width - sum(widths))
    stops = [names + sum(widths[: i + 1]) for i in range(len(widths))]
    cells.put(y, 0, fit(title, stops[0] - width_of(heads[0]) - 1 if heads else cells.width), Ink.FAINT)
    for stop, head in zip(stops, heads, strict=True):
        cells.put_right(y, stop, head, Ink.FAINT)
    for row, ((name, _), figures) in enumerate(zip(matrices, said, strict=True), y + 1):
        cells.put(row, 0, fit(name, names), Ink.DIM)
        for label, value, degrees in figures:
            cells.put_right(row, stops[heads.index(degrees or label)], value, Ink.TEXT)


def _charts(cells: Cells, scene: Scene, y: int, height: int) -> None:
    """Stable rank and angle, side by side; nothing where there is no room."""
    if height < 4:
        return
    half = (cells.width - 3) // 2
    for x, name, ink, title in (
        (0, STABLE, Ink.SPARSITY, "stable rank: directions that carry weight"),
        (half + 3, ANGLE, Ink.SERIES_0, "degrees turned"),
    ):
        series = scene.series(name)
        cells.put(y, x, fit(title, half), Ink.FAINT)
        if not len(series):
            cells.put(y + 1, x, fit(scene.why(name), half), Ink.UNKNOWN)
            continue
        line = Line(series.steps, series.values, ink, number(scene.value(name)), heavy=True, behind=scene.behind(name))
        axis = axis_over([line], ticks_for(height - 2), 0.0)
        plan = chart(scene, [line], axis, labels=width_of(line.label) + 2)
        cells.blit(y + 1, x, draw(plan, half, height - 1))
