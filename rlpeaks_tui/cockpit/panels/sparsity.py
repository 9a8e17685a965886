"""Which weights the training has visibly moved, by layer and kind of module.

The number is contested, so it never stands alone: beside the share that bfloat16 cannot see stand the exact
share, the relative one, and a control in which the same updates are shuffled within each module. What the
control also gives is precision, not structure.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from rlpeaks_tui.run import present
from rlpeaks_tui.run.follow import Follower, Snapshot
from rlpeaks_tui.run.layers import Layers
from rlpeaks_tui.stats.modules import grid, place

from ..axes import Floats, linear, span_of
from ..cells import BOLD, Cells, Ink, fit
from ..chart import Line, Points, draw
from ..heatmap import half_blocks, shaded
from ..scene import Scene
from ..words import plural
from .parts import Row, chart, clauses, heading, metric_table, nothing, ticks_for
from .update_geometry import rank_said

LABEL = 10
TOPS = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Where the scale of the map may end, so that it moves seldom."""
MAP_COLUMNS = 48
"""Probes that a map over time shows at most."""
MAP = "share unchanged, by layer and probe"
BF16, EXACT, RELATIVE, NULL = "sparsity/bf16", "sparsity/exact", "sparsity/relative", "sparsity/null"
ATOL = "sparsity/atol"
_SHARES = ("exact", "bf16", "relative", "null")
NO_LENGTH = "the length of the update is not finite: its shares say nothing"

SHARES: tuple[Row, ...] = (
    ("unchanged in bfloat16", BF16, Ink.SPARSITY),
    ("the same, updates shuffled", NULL, Ink.DIM),
    ("moved less than 0.1 %", RELATIVE, Ink.SERIES_0),
    ("exactly unchanged", EXACT, Ink.SERIES_2),
)
"""The three definitions and the control, which belong together."""


def overview(scene: Scene, width: int, height: int) -> Cells:
    cells = Cells(width, height)
    layers = measured(scene.layers)
    if layers is None:
        heading(cells, scene, "sparsity", "5", "Update sparsity", Ink.UNKNOWN)
        return nothing(cells, _why(scene))
    value, note = headline(layers)
    unit = "share of weights unchanged in bfloat16" if width > 90 else "unchanged in bfloat16" if width > 62 else ""
    if scene.view.cursor is not None:
        unit = f"at step {layers.step:,}"
    heading(cells, scene, "sparsity", "5", "Update sparsity", Ink.SPARSITY, value, note, unit)
    said = clauses(caveat(scene, layers), width, 2 if height >= 14 else 1)
    body = height - 1 - len(said)
    # A small model leaves room for what the table is worth nothing without.
    needed = len(grid(layers.names)[0]) + 2
    if body - needed >= 4:
        cells.blit(needed + 1, 0, metric_table(scene, SHARES, width, min(len(SHARES) + 1, body - needed)))
        body = needed
    cells.blit(1, 0, table(scene, layers, layers.bf16, width, body))
    for y, line in enumerate(said, height - len(said)):
        cells.put(y, 0, line, Ink.DIM)
    return cells


def enlarged(scene: Scene, width: int, height: int) -> Cells:
    """Adds the four shares over time, and a map of every layer at every probe."""
    cells = Cells(width, height)
    layers = _headed(cells, scene)
    if layers is None:
        return nothing(cells, _why(scene))
    reading = "share of weights whose bfloat16 value is still that of the start"
    cells.put(1, 0, fit(reading, width), Ink.FAINT)
    rows = list(SHARES)
    if len(scene.series(ATOL)):
        rows.append(("moved less than 1e-5", ATOL, Ink.SERIES_4))
    y = height - len(rows) - 1
    cells.blit(y, 0, metric_table(scene, rows, width, len(rows) + 1))
    structure, *shares, dtype = caveat(scene, layers)
    # The shares are in the table as well, so that they give way first.
    said = clauses([part for part in (structure, dtype, rank_said(scene), *shares) if part], width, 2)
    for row, line in enumerate(said, y - 1 - len(said)):
        cells.put(row, 0, line, Ink.DIM)
    body = y - 3 - len(said)
    kinds = [kind for kind in grid(layers.names)[1] if kind not in ("embed", "head")]
    left = min(width, LABEL + 9 * len(kinds))
    drawn = table(scene, layers, layers.bf16, left, min(body, len(grid(layers.names)[0]) + 2))
    cells.blit(2, 0, drawn)
    below, beside = body - drawn.height - 2, width - left - 4
    if beside >= 40:
        half = body // 2
        _titled(cells, 2, left + 4, "over time", _history(scene, beside, half - 2))
        _titled(cells, half + 2, left + 4, MAP, layer_map(scene, beside, body - half - 1))
        if below >= drawn.height + 1:
            moved = table(scene, layers, _length(layers), left, drawn.height, top=None)
            _titled(cells, drawn.height + 3, 0, "length of the update in percent of the weights'", moved)
    elif below >= 7:
        half = width // 2
        _titled(cells, drawn.height + 3, 0, "over time", _history(scene, half - 2, below - 1))
        _titled(cells, drawn.height + 3, half + 2, MAP, layer_map(scene, width - half - 2, below - 1))
    return cells


def by_step(scene: Scene, width: int, height: int) -> Cells:
    """The map alone, as large as the screen, and the shares over time where there is room for both."""
    cells = Cells(width, height)
    layers = _headed(cells, scene)
    if layers is None:
        return nothing(cells, _why(scene))
    cells.put(height - 1, 0, clauses(caveat(scene, layers), width, 1)[0], Ink.DIM)
    body = height - 3
    above = body // 2 if body >= 24 else body
    _titled(cells, 1, 0, f"{MAP}, in bfloat16", layer_map(scene, width, above - 1))
    if above < body:
        _titled(cells, above + 2, 0, "over time", _history(scene, width, body - above - 2))
    return cells


def _headed(cells: Cells, scene: Scene) -> Layers | None:
    """The heading of a story; gives the layers that it tells of, None where there are none."""
    layers = measured(scene.layers)
    if layers is None:
        heading(cells, scene, "", "", "Update sparsity", Ink.UNKNOWN)
        return None
    heading(cells, scene, "", "", "Update sparsity", Ink.SPARSITY, *headline(layers), f"at step {layers.step:,}")
    return layers


def measured(layers: Layers | None) -> Layers | None:
    """Without the shares of modules whose update is not finite: there each weight differs from its start, and so it
    does after shuffling, which is no finding. None where that leaves nothing."""
    if layers is None or np.isfinite(layers.delta_norm).all():
        return layers
    known = np.isfinite(layers.delta_norm)
    if not known.any():
        return None
    return replace(layers, **{name: np.where(known, getattr(layers, name), np.nan) for name in _SHARES})


def _why(scene: Scene) -> str:
    """Why there is nothing to show."""
    return scene.why(BF16) if scene.layers is None else f"{NO_LENGTH} (step {scene.layers.step:,})"


def _titled(cells: Cells, y: int, x: int, title: str, drawing: Cells) -> None:
    cells.put(y, x, title, Ink.FAINT)
    cells.blit(y + 1, x, drawing)


def _length(layers: Layers) -> Floats:
    """float64[m]: length of each module's update in percent of its weights' length."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(100 * layers.delta_norm / layers.weight_norm)


def headline(layers: Layers) -> tuple[str, str]:
    """The share that bfloat16 cannot see, beside its control."""
    return f"{_pooled(layers, layers.bf16):.3f}", f"{_pooled(layers, layers.null):.3f} if shuffled"


def caveat(scene: Scene, layers: Layers) -> list[str]:
    """How much of the number is only precision, the other definitions, the dtype: the most needed first."""
    bf16, null = _pooled(layers, layers.bf16), _pooled(layers, layers.null)
    exact, relative = _pooled(layers, layers.exact), _pooled(layers, layers.relative)
    dtype = scene.snapshot.info.dtype or "unknown dtype"
    others = [f"exactly unchanged: {exact:.2f}", f"moved under 0.1 %: {relative:.2f}", f"trained in {dtype}"]
    structure = bf16 - null
    if not np.isfinite(null):
        said = "no control was measured"
    elif max(bf16, null) < 0.005:
        said = "nothing is left unchanged, shuffled or not: no structure to be seen"
    elif abs(structure) < 0.005:
        said = "all of it is precision: shuffled updates leave as much"
    elif structure < 0:
        said = f"less than shuffled updates leave, by {-structure:.2f}"
    elif structure < 0.5 * bf16:
        said = f"most of it is precision, {structure:+.2f} is structure"
    else:
        said = f"{structure:+.2f} is structure beyond precision"
    broken = int((~np.isfinite(layers.delta_norm)).sum())
    if broken:
        of = plural(len(layers.names), "module")
        said = f"not finite in {broken:,} of {of}, which are left out; in the others {said}"
    return [part.replace("-", "−") for part in (said, *others)]


def table(scene: Scene, layers: Layers, values: Floats, width: int, height: int, top: float | None = 1.0) -> Cells:
    """Layers by kinds of module, pooled in even groups where there are more than rows; then what is outside the layers.

    `top` is the value of the darkest shade, or None for the largest that there is.
    """
    cells = Cells(width, height)
    rows, kinds = grid(layers.names)
    matrix = by_place(layers, values, rows, kinds)
    weights = by_place(layers, layers.n.astype(np.float64), rows, kinds, total=True)
    most = float(np.nanmax(matrix, initial=1e-12)) if top is None else top
    inside = [i for i, row in enumerate(rows) if row is not None]
    columns = [j for j in range(len(kinds)) if np.isfinite(matrix[inside, j]).any()]
    pitch = min(11, (width - LABEL) // max(1, len(columns)))
    shade = min(3, pitch - 6)
    if shade < 0 or height < 3 or not columns:
        return nothing(cells, "too small for the table; enlarge it")
    for place_, j in enumerate(columns):
        cells.put_right(0, LABEL + place_ * pitch + shade + 5, kinds[j], Ink.DIM)
    outside = [i for i, row in enumerate(rows) if row is None]
    groups = _groups([rows[i] for i in inside], height - 1 - len(outside))
    for y, (name, members) in enumerate(groups, 1):
        cells.put(y, 0, name, Ink.DIM)
        for place_, j in enumerate(columns):
            part, weight = matrix[members, j], weights[members, j]
            known = np.isfinite(part)
            if known.any():
                value = float(np.average(part[known], weights=weight[known]))
                shaded(cells, y, LABEL + place_ * pitch, value, shade, scene.ascii_only, most)
    if outside:
        y, x = len(groups) + 1, LABEL
        cells.put(y, 0, "outside", Ink.DIM)
        for j in np.flatnonzero(np.isfinite(matrix[outside[0]])).tolist():
            end = shaded(cells, y, x, float(matrix[outside[0], j]), shade, scene.ascii_only, most)
            x = cells.put(y, end + 1, kinds[j], Ink.DIM) + 3
    return cells


def by_place(
    layers: Layers, values: Floats, rows: Sequence[int | None], kinds: Sequence[str], total: bool = False
) -> Floats:
    """float64[rows, kinds]: mean of `values` over the modules of each place, by size, or their sum; NaN where none."""
    matrix = np.zeros((len(rows), len(kinds)))
    weight = np.zeros_like(matrix)
    row_of = {row: i for i, row in enumerate(rows)}
    column_of = {kind: j for j, kind in enumerate(kinds)}
    for name, value, n in zip(layers.names, values.tolist(), layers.n.tolist(), strict=True):
        spot = place(name)
        if np.isfinite(value) and n:
            at = row_of[spot.layer], column_of[spot.kind]
            matrix[at] += value if total else value * n
            weight[at] += 1 if total else n
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(weight > 0, matrix if total else matrix / weight, np.nan)


class Probes:
    """The probes for the map over time: those at or before a step, evenly spread over them where they are many."""

    def __init__(self) -> None:
        self._read: dict[int, Layers] = {}
        self._branches = 0

    def __call__(self, follower: Follower, snapshot: Snapshot, step: int) -> tuple[Layers, ...]:
        if self._branches != len(snapshot.branches):
            # Steps that are trained again get other files of the same names.
            self._branches, self._read = len(snapshot.branches), {}
        steps = present.layer_steps(snapshot, step)
        if len(steps) > MAP_COLUMNS:
            steps = steps[np.linspace(0, len(steps) - 1, MAP_COLUMNS).round().astype(np.int64)]
        found = {each: self._read.get(each) or follower.layers(each) for each in steps.tolist()}
        self._read = {each: layers for each, layers in found.items() if layers is not None}
        return tuple(self._read.values())


def layer_map(scene: Scene, width: int, height: int) -> Cells:
    """Every layer at every probe, a column a probe: dark where weights moved, bright where they did not."""
    cells = Cells(width, height)
    history = scene.study if isinstance(scene.study, tuple) else ()
    if len(history) < 2:
        return nothing(cells, "one probe so far; a map needs two")
    rows = grid(history[-1].names)[0]
    columns = []
    for layers in filter(None, map(measured, history[-(width - 10) :])):
        kinds = grid(layers.names)[1]
        matrix = by_place(layers, layers.bf16, rows, kinds)
        weight = np.nan_to_num(by_place(layers, layers.n.astype(np.float64), rows, kinds, total=True))
        sums, sizes = np.nansum(np.nan_to_num(matrix) * weight, axis=1), weight.sum(axis=1)
        columns.append(np.where(sizes > 0, sums / np.maximum(sizes, 1), np.nan))
    if not columns:
        return nothing(cells, NO_LENGTH)
    picture = np.stack(columns, axis=1)
    stretch = max(1, (width - 10) // picture.shape[1])
    tall = 2 * (height - 2) // max(1, picture.shape[0])
    tall = 4 if tall >= 4 else 2 if tall >= 2 else 1
    picture = np.repeat(np.repeat(picture, min(stretch, 4), axis=1), tall, axis=0)
    # A first probe far above all others would leave the rest one colour.
    most = float(np.nanpercentile(picture, 95)) if np.isfinite(picture).any() else 1.0
    top = next(top for top in TOPS if top >= most or top == TOPS[-1])
    drawn = half_blocks(picture, 0.0, top, scene.look.flat, scene.ascii_only)
    cells.blit(0, 10, drawn)
    for i, row in enumerate(rows):
        y = i * tall // 2
        if y < height - 2 and (tall >= 2 or i % 2 == 0):
            cells.put(y, 0, _name(row), Ink.DIM)
    bottom = min(height - 2, drawn.height)
    cells.put(bottom, 10, f"{history[0].step:,}", Ink.DIM)
    cells.put_right(bottom, min(width, 10 + drawn.width), f"{history[-1].step:,}", Ink.DIM)
    scale = half_blocks(np.tile(np.linspace(0.0, top, 8), (2, 1)), 0.0, top, scene.look.flat, scene.ascii_only)
    if bottom + 1 < height:
        x = cells.put(bottom + 1, 10, "0", Ink.DIM) + 1
        cells.blit(bottom + 1, x, scale)
        cells.put(bottom + 1, x + scale.width + 1, f"{top:g}{' and more' if top < 1 else ''}", Ink.DIM)
    return cells


def _history(scene: Scene, width: int, height: int) -> Cells:
    lines = [
        Line((s := scene.series(name)).steps, s.values, ink, label, behind=scene.behind(name) if name == BF16 else ())
        for name, ink, label in (
            (EXACT, Ink.SERIES_2, "exact"),
            (RELATIVE, Ink.SERIES_0, "relative"),
            (NULL, Ink.DIM, "shuffled"),
            (BF16, Ink.SPARSITY, "bfloat16"),
        )
        if len(scene.series(name))
    ]
    if not lines:
        return nothing(Cells(width, height), scene.why(BF16))
    series = scene.series(BF16)
    points = [Points(series.steps, series.values, Ink.SPARSITY | BOLD, "•")]
    _, high = span_of(*(line.values for line in lines)) or (0.0, 1.0)
    axis = linear(0.0, high, ticks_for(height - 1), 0.0, 1.0)
    return draw(chart(scene, lines, axis, points, labels=10), width, height)


def _pooled(layers: Layers, values: Floats) -> float:
    known = np.isfinite(values) & (layers.n > 0)
    return float(np.average(values[known], weights=layers.n[known])) if known.any() else float("nan")


def _groups(rows: Sequence[int | None], room: int) -> list[tuple[str, list[int]]]:
    """Rows of the table: one a layer, or runs of layers where there is no room."""
    size = -(-len(rows) // max(1, room))
    groups: list[tuple[str, list[int]]] = []
    for start in range(0, len(rows), size):
        members = list(range(start, min(start + size, len(rows))))
        first, last = rows[members[0]], rows[members[-1]]
        groups.append((f"layer {first}" if first == last else f"{first} to {last}", members))
    return groups


def _name(row: int | None) -> str:
    return "outside" if row is None else f"layer {row}"
