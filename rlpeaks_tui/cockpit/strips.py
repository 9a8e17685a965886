"""The rows that frame every screen: what run this is and how far it is, the small curves, the keys."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from rlpeaks_tui.stats.catalog import called

from .axes import compact
from .cells import BOLD, UNDERLINE, Cells, Ink, fit, width_of, wrap
from .curriculum import coming
from .panels import calibration
from .scene import Scene
from .spark import spark
from .words import duration, number

STATE_INK = {
    "starting": Ink.ACCENT,
    "running": Ink.GOOD,
    "paused": Ink.WARN,
    "finished": Ink.GOOD,
    "stopped": Ink.DIM,
    "failed": Ink.BAD,
    "lost": Ink.BAD,
}


class Hint(Struct, frozen=True):
    """A key in the footer; those of the highest rank go first where the row is short.

    Attributes:
        off: it would be refused.
        command: what a click on it does, empty for nothing.
    """

    key: str
    word: str
    rank: int
    off: bool = False
    command: str = ""


def header(scene: Scene, newest: int, width: int) -> Cells:
    """One row: the run on the left, its progress on the right. What has no room is dropped from the least important on.

    `newest` is the last step of the run, which a held view does not show.
    """
    cells = Cells(width, 1)
    snapshot, info = scene.snapshot, scene.snapshot.info
    left = [(info.name, Ink.TEXT | BOLD)]
    model = f"{info.model} {compact(info.parameters)}" if info.model and info.parameters else info.model
    ranks = f"{info.world_size} rank{'' if info.world_size == 1 else 's'}" if info.world_size else ""
    left += [(text, int(Ink.DIM)) for text in (info.algorithm, model, info.dtype, ranks) if text]

    phase = ""
    if scene.phases:
        now = next((p for p in reversed(scene.phases) if p.step <= scene.step), scene.phases[0])
        phase = f"phase {now.index + 1} of {now.of}  {now.name}" if now.of else f"phase {now.name}"
        if scene.view.cursor is None and (then := coming(snapshot)):
            phase += f", then {then}"
    limit = snapshot.max_steps
    steps = f"step {newest:,}".rjust(6 + len(f"{limit:,}")) + (f" / {limit:,}" if limit else "")
    running = snapshot.state == "running"
    speed = f"{number(snapshot.speed)}/s" if snapshot.speed and running else ""
    left_over = f"{duration(snapshot.eta_s)} left" if snapshot.eta_s is not None and running else ""
    # What a live run tells keeps its place while it is not known or shorter, so that nothing beside it comes and goes.
    right: list[tuple[str, int, int]] = [
        (steps, int(Ink.TEXT), 1),
        (speed.rjust(8) if snapshot.live else "", int(Ink.DIM), 5),
        (left_over.rjust(12) if snapshot.live and limit else "", int(Ink.DIM), 2),
        (phase, int(Ink.FORMAT), 4),
        ("read-only" if scene.readonly else "", int(Ink.WARN), 3),
        (badge(scene, newest), _badge_ink(scene), 0),
    ]
    right = [part for part in right if part[0]]
    least = width_of(left[0][0])
    while right and _row(right) + least + 3 > width and max(right, key=lambda part: part[2])[2] > 0:
        right.remove(max(right, key=lambda part: part[2]))
    at = width
    for text, ink, rank in reversed(right):
        at = cells.put_right(0, at, text, ink | (BOLD if rank == 0 else 0)) - 3
    room = at
    x = 0
    for i, (text, ink) in enumerate(left):
        if x + width_of(text) > room:
            if i == 0:
                cells.put(0, 0, fit(text, room), ink)
            break
        x = cells.put(0, x, text, ink) + 2
    return cells


def badge(scene: Scene, newest: int) -> str:
    """Whether the screen shows the run as it is now."""
    if scene.view.cursor is not None:
        return f"◆ shown: step {scene.step:,}"
    if scene.view.held:
        return f"‖ held at {scene.snapshot.step:,}"
    if scene.snapshot.state == "running":
        return "● stuck" if scene.snapshot.pace.ranks else "● live"
    return f"● {scene.snapshot.state}"


def _badge_ink(scene: Scene) -> int:
    if scene.view.cursor is not None or scene.view.held:
        return Ink.CURSOR
    if scene.snapshot.pace.ranks:
        return Ink.BAD
    return STATE_INK.get(scene.snapshot.state, Ink.TEXT)


def _row(parts: Sequence[tuple[str, int, int]]) -> int:
    return sum(width_of(text) for text, _, _ in parts) + 3 * max(0, len(parts) - 1)


SPARKS = {
    "reward": ("reward", "reward", Ink.REWARD),
    "entropy": ("entropy", "entropy", Ink.ENTROPY),
    "kl": (called("kl/base_k3"), "kl/base_k3", Ink.KL),
    "calibration": ("ECE", calibration.ECE, Ink.CALIBRATION),
    "sparsity": ("sparsity", "sparsity/bf16", Ink.SPARSITY),
}
"""By panel: how the number is called on a small curve, and what it is."""


def others(shown: str) -> list[str]:
    """The mission's panels beside the one that is shown, as many as a row has room for."""
    return [panel for panel in SPARKS if panel != shown][:4]


def sparks(scene: Scene, panels: Sequence[str], width: int) -> Cells:
    """One row: panels of the mission as a word, a number and a small curve each."""
    cells = Cells(width, 1)
    slot = (width + 2) // len(panels)
    for i, (label, name, ink) in enumerate(SPARKS[panel] for panel in panels):
        x = i * slot
        value = scene.value(name)
        if value is None:
            end = cells.put(0, x, label, Ink.UNKNOWN)
            cells.put(0, end + 1, "-", Ink.UNKNOWN)
            continue
        text, last = f"{value:.3f}" if abs(value) < 10 else number(value), scene.stale(name)
        end = cells.put(0, x, label, ink if last is None else Ink.UNKNOWN)
        end = cells.put(0, end + 1, text, Ink.TEXT | BOLD if last is None else Ink.UNKNOWN)
        room = x + slot - 2 - end - 1
        if last is not None:
            cells.put(0, end + 1, fit(f"at {last:,}", room), Ink.UNKNOWN)
            continue
        if room >= 3:
            series = scene.series(name)
            cells.blit(0, end + 1, spark(series.steps, series.values, scene.x, room, ink, scene.ascii_only))
    return cells


def tabs(titles: Sequence[str], shown: int, width: int, key: str = "v") -> Cells:
    """One row: the key that goes on, and the stories of an enlarged panel, the one shown in bold and underlined."""
    cells = Cells(width, 1)
    cells.put(0, 0, key, Ink.KEY | BOLD)
    for i, (x, title) in enumerate(zip(_tabs(titles, key), titles, strict=True)):
        cells.put(0, x, title, Ink.TEXT | BOLD | UNDERLINE if i == shown % len(titles) else Ink.DIM)
    return cells


def tab_at(titles: Sequence[str], x: int, key: str = "v") -> int | None:
    """Which story's name stands at column `x`."""
    starts = _tabs(titles, key)
    return next((i for i, start in enumerate(starts) if start <= x < start + width_of(titles[i])), None)


def _tabs(titles: Sequence[str], key: str) -> list[int]:
    """The column of each name."""
    starts = [width_of(key) + 2]
    for title in titles[:-1]:
        starts.append(starts[-1] + width_of(title) + 3)
    return starts


def footer(keys: Sequence[Hint], width: int, notice: str = "", height: int = 1) -> Cells:
    """What can be pressed, as many as fit into the last row, grey where it would be refused; or what was just said, in
    as many rows as it needs."""
    cells = Cells(width, height)
    if notice:
        rows = [notice] if width_of(notice) <= width else wrap(notice, width, height)
        for y, row in enumerate(rows, height - len(rows)):
            cells.put(y, 0, row, Ink.ACCENT | BOLD)
        return cells
    for x, hint in _placed(keys, width):
        end = cells.put(height - 1, x, hint.key, Ink.FAINT if hint.off else Ink.KEY | BOLD) + 1
        cells.put(height - 1, end, hint.word, Ink.FAINT if hint.off else Ink.DIM)
    return cells


def pressed(keys: Sequence[Hint], width: int, x: int) -> Hint | None:
    """What a click on column `x` of the footer means."""
    return next((hint for at, hint in _placed(keys, width) if at <= x < at + _cells(hint)), None)


def _placed(keys: Sequence[Hint], width: int) -> list[tuple[int, Hint]]:
    """The hints that have room, each with its column."""
    shown = list(keys)
    while shown and sum(_cells(hint) + 3 for hint in shown) - 3 > width:
        shown.remove(max(shown, key=lambda hint: (hint.off and hint.rank > 0, hint.rank)))
    x, placed = 0, []
    for hint in shown:
        placed.append((x, hint))
        x += _cells(hint) + 3
    return placed


def _cells(hint: Hint) -> int:
    return width_of(hint.key) + 1 + width_of(hint.word)
