"""The phase clock: what each rank does now, where the time of a step goes, and what it costs to watch."""

from __future__ import annotations

from rlpeaks_tui.run.pace import spell

from ..bars import lying
from ..cells import BOLD, Cells, Ink, fit
from ..scene import Scene
from ..words import percent, plural, size
from .lanes import PARTS, lanes, recent
from .page import lay
from .parts import Row, heading, metric_table, nothing
from .probes import probes, watching
from .story import until

WINDOW = 50
"""Steps whose mean is told, as many as the ranks' own signs cover."""
HELD = "held"
"""Paused by a command, or applying one."""


def overview(scene: Scene, width: int, height: int) -> Cells:
    cells = Cells(width, height)
    step = _lately(scene, "time/step")
    if step is None or step <= 0:
        heading(cells, scene, "cost", "t", "Clock", Ink.UNKNOWN)
        return nothing(cells, scene.why("time/step"))
    heading(cells, scene, "cost", "t", "Clock", Ink.TEXT, spell(step), f"a step, last {WINDOW}")
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
        stuck = scene.snapshot.pace.evidence
        ink = Ink.BAD | BOLD if stuck else Ink.WARN if scene.snapshot.lost else Ink.DIM
        cells.put(height - 1, 0, fit(stuck or watching(scene), width), ink)
    return cells


def clock(scene: Scene, width: int, height: int) -> Cells:
    """What each rank does now, and what the recent steps were made of."""
    cells = Cells(width, height)
    step = _lately(scene, "time/step")
    live = bool(scene.snapshot.ranks) and scene.view.cursor is None
    if not live and (step is None or step <= 0):
        heading(cells, scene, "", "", "Clock", Ink.UNKNOWN)
        return nothing(cells, scene.why("time/step"))
    said = spell(step) if step else "-"
    note = f"a step, last {WINDOW}"
    heading(cells, scene, "", "", "Clock", Ink.TEXT, said, note, "" if live else f"at step {scene.step:,}")
    if not live:
        lay(cells, scene, [_bars(scene, step or 0.0, width), _why_no_ranks(scene, width)])
        return cells
    lay(cells, scene, [lanes(scene, width), recent(scene, width), _memory(scene, width)])
    return cells


def over_time(scene: Scene, width: int, height: int) -> Cells:
    """Each part of a step as a curve over the run."""
    cells = Cells(width, height)
    heading(cells, scene, "", "", "Clock", Ink.TEXT, "", "", "seconds a step, on the first rank")
    rows: list[Row] = [("step", "time/step", Ink.TEXT)]
    rows += [(part.label, part.metric, part.ink) for part in PARTS if part.metric]
    rows.append((HELD, "time/wait", Ink.SERIES_3))
    rows.append(("measuring, share of time", "probes/share", Ink.TEXT))
    cells.blit(2, 0, metric_table(scene, rows, width, min(len(rows) + 1, max(0, height - 2))))
    return cells


def cost(scene: Scene, width: int, height: int) -> Cells:
    """What the instruments may take and took, probe by probe, what they lost, and what went wrong in them."""
    cells = Cells(width, height)
    heading(cells, scene, "", "", "Clock", Ink.TEXT, "", watching(scene), "what it costs to watch")
    lay(cells, scene, [probes(scene, width), _telemetry(scene, width), _errors(scene, width)])
    return cells


def _bars(scene: Scene, step: float, width: int) -> Cells:
    shares = _shares(scene, step)
    cells = Cells(width, len(shares))
    bar = max(0, min(80, width - 24))
    for y, (label, share, ink) in enumerate(shares):
        cells.put(y, 0, label, Ink.DIM)
        cells.put(y, 12, lying(share or 0.0, bar, scene.ascii_only), ink)
        cells.put_right(y, 12 + bar + 8, percent(share), Ink.TEXT)
    return cells


def _why_no_ranks(scene: Scene, width: int) -> Cells:
    cells = Cells(width, 1)
    why = f"what each rank does is known for the present only; {scene.look.live} goes there"
    if not scene.snapshot.ranks:
        why = "its ranks have given no signs of life, so what each one does is not known"
    cells.put(0, 0, fit(why, width), Ink.UNKNOWN)
    return cells


def _memory(scene: Scene, width: int) -> Cells:
    """The rank that has taken most memory, of the machine and of its GPU."""
    ranks = [rank for rank in scene.snapshot.ranks if "peak" in rank.memory]
    if not ranks:
        return Cells(width, 0)
    gpus = [rank for rank in ranks if rank.memory.get("gpu total")]
    cells = Cells(width, 1 + bool(gpus))
    most = max(ranks, key=lambda rank: rank.memory["peak"])
    said = f"{size(most.memory.get('rss', 0))}, at most {size(most.memory['peak'])}"
    _labelled(cells, 0, "memory", said, most.rank, len(ranks))
    if gpus:
        most = max(gpus, key=lambda rank: rank.memory.get("gpu peak", 0) / rank.memory["gpu total"])
        used, peak, total = (most.memory.get(name, 0) for name in ("gpu", "gpu peak", "gpu total"))
        _labelled(cells, 1, "GPU", f"{size(used)}, at most {size(peak)} of {size(total)}", most.rank, len(ranks))
    return cells


def _labelled(cells: Cells, y: int, label: str, said: str, rank: int, ranks: int) -> None:
    cells.put(y, 0, label, Ink.DIM)
    which = f", rank {rank}, which has most" if ranks > 1 else ""
    cells.put(y, 12, fit(f"{said}{which}", cells.width - 12), Ink.TEXT)


def _telemetry(scene: Scene, width: int) -> Cells:
    """What was not recorded, and what cannot be read."""
    snapshot = scene.snapshot
    missed = sum(rank.missed for rank in snapshot.ranks)
    rows = (
        ("entries given up", snapshot.lost, "could not be written for too long: steps or probes are missing"),
        ("lines passed over", snapshot.skipped, "of the journal were no valid entry"),
        ("signs missed", missed, "of life of a rank could not be written; the next one says the same"),
    )
    cells = Cells(width, 1 + len(rows))
    cells.put(0, 0, "telemetry", Ink.FAINT)
    cells.put_right(0, 30, "lost", Ink.FAINT)
    for y, (label, count, means) in enumerate(rows, 1):
        cells.put(y, 0, label, Ink.DIM)
        cells.put_right(y, 30, f"{count:,}", Ink.WARN | BOLD if count else Ink.TEXT)
        cells.put(y, 34, fit(means, width - 34), Ink.FAINT)
    return cells


def _errors(scene: Scene, width: int) -> Cells:
    """What failed in the instruments, the newest first; training went on."""
    errors = scene.snapshot.errors
    cells = Cells(width, 1 + len(errors))
    cells.put(0, 0, plural(len(errors), "error") if errors else "no errors", Ink.FAINT)
    for y, error in enumerate(reversed(errors), 1):
        at = f"step {error.step:,}  " if error.step is not None else ""
        last = error.text.strip().rpartition("\n")[2]
        cells.put(y, 0, fit(f"{at}{error.where}: {last}", width), Ink.WARN)
    return cells


def _lately(scene: Scene, name: str) -> float | None:
    """Mean of the last WINDOW steps up to the one shown: a probe that is due now and then makes single ones uneven."""
    _, values = until(scene, name)
    return float(values[-WINDOW:].mean()) if len(values) else None


def _shares(scene: Scene, step: float) -> list[tuple[str, float | None, int]]:
    """Parts of the last steps, on the first rank. Time in which the run was held is beside the step, not in it."""
    parts = [(part.label, _lately(scene, part.metric), int(part.ink)) for part in PARTS if part.metric]
    rest = step - sum(value for _, value, _ in parts if value is not None)
    parts += [(HELD, _lately(scene, "time/wait"), int(Ink.SERIES_3)), ("other", max(0.0, rest), int(Ink.FAINT))]
    return [(label, None if value is None else min(1.0, value / step), ink) for label, value, ink in parts]
