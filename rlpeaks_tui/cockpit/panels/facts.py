"""What run this is: model, settings in force, versions, where it runs, what it may take and has lost."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from ..axes import compact
from ..cells import BOLD, Cells, Ink, fit, width_of, wrap
from ..filtering import filtered
from ..inforce import Change, in_force
from ..scene import Scene
from ..words import clock, plural, setting, size
from .parts import heading, nothing, scrolled
from .probes import allowed

LONGEST = 6
"""Rows for one value."""


class Line(Struct, frozen=True):
    """A row: what it is about, its value, and what else is to be said; `sign` marks one that changed."""

    label: str
    value: str
    note: str = ""
    ink: int = Ink.TEXT
    sign: str = ""


Section = tuple[str, list[Line]]


def overview(scene: Scene, width: int, height: int) -> Cells:
    cells = Cells(width, height)
    heading(cells, scene, "facts", "i", "Run", Ink.TEXT)
    for y, (label, value) in enumerate(_facts(scene)[: height - 1], 1):
        end = cells.put(y, 0, fit(label, width // 2), Ink.DIM)
        x = max(12, end + 1)
        cells.put(y, x, fit(value, width - x), Ink.TEXT)
    return cells


def enlarged(scene: Scene, width: int, height: int) -> Cells:
    """Adds the settings in force at the step shown and what changed them, the whole configuration, and versions."""
    cells = Cells(width, height)
    wanted = scene.view.filter
    note = f"filter {wanted}" if wanted else ""
    heading(cells, scene, "", "", "Run", Ink.TEXT, scene.snapshot.info.name, note, f"at step {scene.step:,}")
    first, second = [_now(scene), _identity(scene)], [_configured(scene)]
    columns = [first, second] if width >= 116 else [first + second]
    each = (width - 3 * (len(columns) - 1)) // len(columns)
    drawn = [_column(sections, wanted, each, scene.ascii_only) for sections in columns]
    total = max(column.height for column in drawn)
    if not total:
        return nothing(cells, "nothing matches")
    room = height - 2 - (total > height - 2)
    top = scrolled(cells, total, room, scene.view.scroll)
    for i, column in enumerate(drawn):
        for y in range(max(0, min(room, column.height - top))):
            row = Cells(each, 1)
            row.chars[0], row.inks[0] = column.chars[top + y], column.inks[top + y]
            cells.blit(2 + y, i * (each + 3), row)
    return cells


def _column(sections: list[Section], wanted: str, width: int, plain: bool) -> Cells:
    """Sections under each other with what of them the filter keeps; a section of which nothing is left is left out."""
    rows: list[Line | str] = []
    for title, lines in sections:
        kept, _ = filtered(lines, wanted, lambda line: f"{line.label} {line.value} {line.note}")
        if kept:
            rows += [*([""] if rows else []), title, *kept]
    lines = [row for row in rows if not isinstance(row, str)]
    longest = max((width_of(line.label) for line in lines), default=0)
    values = max((width_of(line.value) for line in lines), default=0)
    # Names may have what values leave them.
    label = min(longest + 1, max(width // 2, width - 2 - values))
    rows = [part for row in rows for part in ([row] if isinstance(row, str) else _broken(row, width - label - 2))]
    cells = Cells(width, len(rows))
    for y, row in enumerate(rows):
        if isinstance(row, str):
            cells.put(y, 0, fit(row, width), Ink.TEXT | BOLD)
            continue
        sign = {"•": "*"}.get(row.sign, row.sign) if plain else row.sign
        cells.put(y, 0, sign, Ink.ACCENT | BOLD)
        cells.put(y, 2, fit(row.label, label - 1), Ink.DIM)
        x = cells.put(y, 2 + label, fit(row.value, width - label - 2), row.ink) + 2 if row.label or row.value else 4
        if row.note and x < width:
            cells.put(y, x, fit(row.note, width - x), Ink.ACCENT if row.sign else Ink.DIM)
    return cells


def _broken(line: Line, room: int) -> list[Line]:
    """A line as several where its value is longer than the room for it, and nothing stands behind it."""
    if line.note or width_of(line.value) <= room:
        return [line]
    first, *others = wrap(line.value, room, LONGEST) or [line.value]
    return [replace(line, value=first), *(Line("", other, ink=line.ink) for other in others)]


def _now(scene: Scene) -> Section:
    """Settings in force, each with what it was before, newest change first."""
    found = in_force(scene)
    lines: list[Line] = []
    for one in found:
        change = one.changes[0] if one.changes else None
        note = _was(change) if change else ""
        lines.append(Line(one.name, setting(one.value), note, Ink.TEXT, "•" if change else ""))
        lines += [Line("", "", _was(older)) for older in one.changes[1:]]
    if not found:
        lines.append(Line("not told", "the run has not said which settings are in force", ink=Ink.UNKNOWN))
    return f"in force at step {scene.step:,}", lines


def _was(change: Change) -> str:
    by = f", {change.by}" if change.by else ""
    return f"until step {change.step:,}: {setting(change.before)}{by}"


def _configured(scene: Scene) -> Section:
    """The configuration as the run was started, with what is otherwise now."""
    now = {one.name: one for one in in_force(scene)}
    lines = []
    for name, value in flatten(scene.snapshot.info.config):
        one = now.get(name.removeprefix("grpo.")) or now.get(name.replace("rewards.", "reward_weights.", 1))
        if one is not None and one.changes:
            lines.append(Line(name, value, f"{setting(one.value)} now", Ink.TEXT, "•"))
        else:
            lines.append(Line(name, value))
    source = scene.snapshot.info.config_source
    return f"as started  {source}".rstrip(), lines or [Line("none recorded", "", ink=Ink.UNKNOWN)]


def _identity(scene: Scene) -> Section:
    info, snapshot = scene.snapshot.info, scene.snapshot
    told = {one.name for one in in_force(scene)}
    lines = [Line(label, value) for label, value in _facts(scene) if label not in told]
    launcher = f", launcher {info.launcher_pid}" if info.launcher_pid else ""
    pids = [f"{rank.pid}" for rank in snapshot.ranks] or ([str(info.pid)] if info.pid else [])
    shown = ", ".join(pids[:8]) + (f" and {len(pids) - 8} more" if len(pids) > 8 else "")
    lines.append(Line("pid" if len(pids) == 1 else "pids", f"{shown}{launcher}" if shown else "not known yet"))
    for rank in snapshot.ranks[:8]:
        if "peak" in rank.memory:
            now = size(rank.memory.get("rss", 0))
            lines.append(Line(f"memory, rank {rank.rank}", f"{now}, at most {size(rank.memory['peak'])}"))
    share, budget = scene.value("probes/share"), allowed(scene)
    took = "not known yet" if share is None else f"{share * 100:.2f} %"
    of = f" of {budget * 100:.3g} % allowed" if budget is not None else ""
    lines.append(Line("measuring", f"{took}{of}"))
    lost = snapshot.lost + snapshot.skipped
    said = f"{snapshot.lost:,} given up, {snapshot.skipped:,} unreadable" if lost else "nothing"
    lines.append(Line("telemetry lost", said, ink=Ink.WARN if lost else Ink.TEXT))
    if snapshot.errors:
        lines.append(
            Line(
                "errors",
                plural(len(snapshot.errors), "error"),
                f"in the instruments; {scene.look.clock} shows them",
                Ink.WARN,
            )
        )
    lines += [Line(name, version) for name, version in sorted(info.versions.items())]
    return "this run", lines


def flatten(config: object, prefix: str = "") -> list[tuple[str, str]]:
    """A nested configuration as dotted names and values; what a list holds is numbered from 1."""
    if isinstance(config, dict):
        return [row for key, value in config.items() for row in flatten(value, f"{prefix}{key}.")]
    if isinstance(config, list) and any(isinstance(item, dict) for item in config):
        return [row for i, item in enumerate(config, 1) for row in flatten(item, f"{prefix}{i}.")]
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
        ("started", clock(info.created, "%Y-%m-%d %H:%M:%S")),
        ("command", " ".join(info.argv) or "not recorded"),
        ("directory", str(scene.snapshot.directory)),
    ]
    return rows + [(name, "-" if value is None else str(value)) for name, value in info.facts.items()]
