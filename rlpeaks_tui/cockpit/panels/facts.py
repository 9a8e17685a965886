"""What run this is: model, settings, versions, where it runs."""

from __future__ import annotations

import time

from ..axes import compact
from ..cells import BOLD, Cells, Ink, fit, width_of
from ..scene import Scene
from .parts import heading, scrolled


def overview(scene: Scene, width: int, height: int) -> Cells:
    cells = Cells(width, height)
    heading(cells, scene, "facts", "", "Run", Ink.TEXT)
    for y, (label, value) in enumerate(_facts(scene)[: height - 1], 1):
        cells.put(y, 0, label, Ink.DIM)
        cells.put(y, 12, fit(value, width - 12), Ink.TEXT)
    return cells


def enlarged(scene: Scene, width: int, height: int) -> Cells:
    """Adds the whole configuration in force and the versions of what runs."""
    cells = Cells(width, height)
    info = scene.snapshot.info
    heading(cells, scene, "", "", "Run", Ink.TEXT, info.name, "", str(scene.snapshot.directory))
    left = min(width, max(50, width // 2 - 2))
    y = 2
    for label, value in _facts(scene):
        cells.put(y, 0, label, Ink.DIM)
        cells.put(y, 14, fit(value, left - 14), Ink.TEXT)
        y += 1
    y += 1
    for name, version in sorted(info.versions.items()):
        cells.put(y, 0, fit(name, 13), Ink.DIM)
        cells.put(y, 14, fit(version, left - 14), Ink.TEXT)
        y += 1
    lines = flatten(info.config)
    x = left + 3
    if width - x < 24:
        return cells
    cells.put(2, x, f"configuration  {info.config_source}".rstrip(), Ink.TEXT | BOLD)
    label_width = min(40, max([width_of(name) for name, _ in lines], default=0) + 2)
    room = height - 5
    top = scrolled(cells, len(lines), room, scene.view.scroll)
    for row, (name, value) in enumerate(lines[top : top + room], 4):
        cells.put(row, x, fit(name, label_width - 1), Ink.DIM)
        cells.put(row, x + label_width, fit(value, width - x - label_width), Ink.TEXT)
    if not lines:
        cells.put(4, x, "none recorded", Ink.UNKNOWN)
    return cells


def flatten(config: object, prefix: str = "") -> list[tuple[str, str]]:
    """A nested configuration as dotted names and values."""
    if isinstance(config, dict):
        return [row for key, value in config.items() for row in flatten(value, f"{prefix}{key}.")]
    return [(prefix.removesuffix("."), "none" if config is None else str(config))]


def _facts(scene: Scene) -> list[tuple[str, str]]:
    info = scene.snapshot.info
    model = info.model or "not known yet"
    if info.parameters:
        model += f", {compact(info.parameters)} parameters"
    ranks = f"{info.world_size} rank{'' if info.world_size == 1 else 's'}" if info.world_size else ""
    where = ", ".join(part for part in (info.host, info.device, ranks) if part)
    rows = [
        ("model", model),
        ("trainer", " ".join(part for part in (info.algorithm, info.trainer) if part) or "not known yet"),
        ("dtype", info.dtype or "not known yet"),
        ("seed", "not set" if info.seed is None else str(info.seed)),
        ("where", where or "not known yet"),
        ("started", time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(info.created))),
        ("command", " ".join(info.argv) or "not recorded"),
        ("directory", str(scene.snapshot.directory)),
    ]
    return rows + [(name, "-" if value is None else str(value)) for name, value in info.facts.items()]
