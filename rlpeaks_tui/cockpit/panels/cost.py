"""Where the time of a step goes, and what it costs to watch."""

from __future__ import annotations

from ..bars import lying
from ..cells import Cells, Ink, fit
from ..scene import Scene
from ..words import duration, number, percent, plural
from .parts import Row, heading, metric_table, nothing

PARTS = (
    ("generate", "time/generate", Ink.SERIES_0),
    ("score", "time/score", Ink.SERIES_2),
    ("update", "time/update", Ink.SERIES_1),
    ("probe", "time/probe", Ink.SERIES_4),
    ("wait", "time/wait", Ink.SERIES_3),
)


def overview(scene: Scene, width: int, height: int) -> Cells:
    cells = Cells(width, height)
    step = scene.value("time/step")
    if step is None or step <= 0:
        heading(cells, scene, "cost", "", "Time", Ink.UNKNOWN)
        return nothing(cells, scene.why("time/step"))
    heading(cells, scene, "cost", "", "Time", Ink.TEXT, seconds(step), "a step")
    shares = _shares(scene, step)
    bar = width - 16
    room = height - 1 - (1 if height > 3 else 0)
    for y, (label, share, ink) in enumerate(shares[:room], 1):
        cells.put(y, 0, label, Ink.DIM if share is not None else Ink.UNKNOWN)
        if share is None:
            cells.put_right(y, width, "-", Ink.UNKNOWN)
            continue
        if bar >= 4:
            cells.put(y, 9, lying(share, bar, scene.ascii_only), ink)
        cells.put_right(y, width, percent(share), Ink.TEXT)
    if height > 3:
        cells.put(height - 1, 0, fit(watching(scene), width), Ink.WARN if scene.snapshot.lost else Ink.DIM)
    return cells


def enlarged(scene: Scene, width: int, height: int) -> Cells:
    """Adds each part over time, memory, and what telemetry lost or could not write."""
    cells = Cells(width, height)
    step = scene.value("time/step")
    if step is None or step <= 0:
        heading(cells, scene, "", "", "Time", Ink.UNKNOWN)
        return nothing(cells, scene.why("time/step"))
    heading(cells, scene, "", "", "Time", Ink.TEXT, seconds(step), "a step", "seconds")
    bar = max(0, min(80, width - 24))
    for y, (label, share, ink) in enumerate(_shares(scene, step), 2):
        cells.put(y, 0, label, Ink.DIM)
        cells.put(y, 12, lying(share or 0.0, bar, scene.ascii_only), ink)
        cells.put_right(y, 12 + bar + 8, percent(share), Ink.TEXT)
    rows: list[Row] = [(f"{label}, s", name, ink) for label, name, ink in PARTS]
    rows = [("step, s", "time/step", Ink.TEXT), *rows, ("measuring, share of the step", "probes/share", Ink.TEXT)]
    rows.append(("memory, bytes", "memory/rss", Ink.TEXT))
    cells.blit(9, 0, metric_table(scene, rows, width, min(len(rows) + 1, height - 9)))
    y = 11 + len(rows)
    cells.put(y, 0, watching(scene), Ink.WARN if scene.snapshot.lost else Ink.DIM)
    for i, error in enumerate(reversed(scene.snapshot.errors), y + 2):
        at = f"step {error.step:,}  " if error.step is not None else ""
        cells.put(i, 0, fit(f"{at}{error.where}: {error.text}", width), Ink.WARN)
    return cells


def watching(scene: Scene) -> str:
    """What the instruments cost and lost."""
    share = scene.value("probes/share")
    lost, errors = scene.snapshot.lost, len(scene.snapshot.errors)
    parts = [f"measuring {share * 100:.1f} %" if share is not None else "cost of measuring unknown"]
    parts.append(f"{plural(lost, 'entry').replace('entrys', 'entries')} lost" if lost else "nothing lost")
    if errors:
        parts.append(plural(errors, "error"))
    return ", ".join(parts)


def seconds(value: float) -> str:
    """A time with its unit: 128 ms, 2.4 s, 3m 20s."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{number(value)} s" if value < 100 else duration(value)


def _shares(scene: Scene, step: float) -> list[tuple[str, float | None, int]]:
    parts = [(label, scene.value(name), ink) for label, name, ink in PARTS]
    shares = [(label, None if value is None else min(1.0, value / step), ink) for label, value, ink in parts]
    rest = 1.0 - sum(share for _, share, _ in shares if share is not None)
    return [*shares, ("other", max(0.0, rest), int(Ink.FAINT))]
