"""The phase clock: what each rank does now, where the time of a step goes, and what it costs to watch."""

from __future__ import annotations

from rlpeaks_tui.run.pace import spell

from ..bars import lying
from ..cells import BOLD, Cells, Ink, fit, width_of
from ..scene import Scene
from ..words import percents, plural, size
from .lanes import PARTS, lanes
from .made import Made, made, recent
from .page import lay
from .parts import Row, heading, metric_table, nothing
from .probes import probes, watching

HELD = "held"
"""Paused by a command, or applying one."""


def overview(scene: Scene, width: int, height: int) -> Cells:
    cells = Cells(width, height)
    recent_steps = made(scene)
    if recent_steps is None:
        heading(cells, scene, "cost", "t", "Clock", Ink.UNKNOWN)
        return nothing(cells, scene.why("time/step"))
    heading(cells, scene, "cost", "t", "Clock", Ink.TEXT, *_mean(recent_steps))
    _shares(cells, scene, recent_steps, 1, height - 1 - (1 if height > 3 else 0), 9, width - 16)
    if height > 3:
        stuck = scene.snapshot.pace.evidence
        ink = Ink.BAD | BOLD if stuck else Ink.WARN if scene.snapshot.lost else Ink.DIM
        cells.put(height - 1, 0, fit(stuck or watching(scene), width), ink)
    return cells


def clock(scene: Scene, width: int, height: int) -> Cells:
    """What each rank does now, and what the recent steps were made of."""
    cells = Cells(width, height)
    recent_steps = made(scene)
    live = bool(scene.snapshot.ranks) and scene.view.cursor is None
    if not live and recent_steps is None:
        heading(cells, scene, "", "", "Clock", Ink.UNKNOWN)
        return nothing(cells, scene.why("time/step"))
    said, note = _mean(recent_steps) if recent_steps else ("-", "a step")
    heading(cells, scene, "", "", "Clock", Ink.TEXT, said, note, "" if live else f"at step {scene.step:,}")
    if not live:
        parts = [_bars(scene, recent_steps, width)] if recent_steps else []
        lay(cells, scene, [*parts, _why_no_ranks(scene, width)])
        return cells
    lay(cells, scene, [lanes(scene, width), recent(scene, recent_steps, width), _memory(scene, width)])
    return cells


BY_REST = {"update": "update and the rest"}
"""What the journal takes as one: it has the update as what is left of a step."""


def over_time(scene: Scene, width: int, height: int) -> Cells:
    """Each part of a step as a curve over the run."""
    cells = Cells(width, height)
    heading(cells, scene, "", "", "Clock", Ink.TEXT, "", "", "seconds a step, on the first rank")
    rows: list[Row] = [("step", "time/step", Ink.TEXT)]
    rows += [(BY_REST.get(part.label, part.label), part.metric, part.ink) for part in PARTS if part.metric]
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


def _bars(scene: Scene, recent_steps: Made, width: int) -> Cells:
    cells = Cells(width, len(recent_steps.parts) + (recent_steps.was_held))
    bar = max(0, min(80, width - 24))
    _shares(cells, scene, recent_steps, 0, cells.height, 12, bar, 12 + bar + 8)
    return cells


def _shares(
    cells: Cells, scene: Scene, recent_steps: Made, y: int, rows: int, x: int, bar: int, end: int | None = None
) -> None:
    """A row for each part from row `y` on: its name, its bar from column `x` on, its share up to column `end`; what
    held the run beside its steps comes last."""
    end = cells.width if end is None else end
    shares = recent_steps.shares
    for (part, _), share, text in list(zip(recent_steps.parts, shares, percents(shares), strict=True))[:rows]:
        cells.put(y, 0, part.label, Ink.DIM if share is not None else Ink.UNKNOWN)
        if share is not None and bar >= 4:
            cells.put(y, x, lying(share, bar, scene.ascii_only), Ink.FAINT if part.label == "other" else part.ink)
        cells.put_right(y, end, text, Ink.TEXT if share is not None else Ink.UNKNOWN)
        y += 1
    if recent_steps.was_held and len(recent_steps.parts) < rows:
        text = spell(recent_steps.held)
        cells.put(y, 0, HELD, Ink.DIM)
        cells.put(y, x, fit("beside the steps, for each", end - x - width_of(text) - 1), Ink.FAINT)
        cells.put_right(y, end, text, Ink.TEXT)


def _mean(recent_steps: Made) -> tuple[str, str]:
    return spell(recent_steps.seconds), f"a step, mean of last {recent_steps.steps:,}"


def _why_no_ranks(scene: Scene, width: int) -> Cells:
    cells = Cells(width, 2)
    cells.put(
        0, 0, fit("the first rank's journal: what is no generating, scoring or probing is update", width), Ink.FAINT
    )
    why = f"what each rank does is known for the present only; {scene.look.live} goes there"
    if not scene.snapshot.ranks:
        why = "its ranks have given no signs of life, so what each one does is not known"
    cells.put(1, 0, fit(why, width), Ink.UNKNOWN)
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
