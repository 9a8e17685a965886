"""The strip that says how the run is: first whether it lives, then whether it is healthy.

Advice about a run that has died is noise, so the state comes first and alone where it is bad. Health is said in
words, with since when, on what evidence, and with which checks could not be made; "all clear" is only said
about checks that passed.
"""

from __future__ import annotations

from collections.abc import Sequence

from rlpeaks_tui.run import endings
from rlpeaks_tui.run.follow import Snapshot
from rlpeaks_tui.run.pace import named_ranks

from .advice import Answer, after_what, answer, in_words
from .cells import BOLD, REVERSE, Cells, Ink, fit, width_of, wrap
from .scene import Health, Scene
from .steering import LONGEST, WAITING
from .words import asked, clock, duration, plural

WHY_ROWS = 2
ONE_ROW = 118
"""Columns in which one row is enough."""
LEAST = 14
"""Cells of a text that is cut which still tell something."""
BRIEF = 80
"""Cells of a verdict in a few words, where there is no less room."""
ROOMY = 48
"""Cells of it from which on there is room for how two things hang together."""


def rows(scene: Scene, width: int) -> int:
    """How many rows the strip needs: two where one is too short for a finding, its evidence and its remedy, and more to
    say why a run failed.

    It is the same for all numbers that the evidence may have, since what stands below would move with it.
    """
    snapshot = scene.snapshot
    if snapshot.state in ("failed", "lost"):
        return len(_failure(scene, width))
    long = width < ONE_ROW or snapshot.pace.ranks or scene.health.findings or not scene.health.passed
    return 2 if snapshot.step and long else 1


def strip(scene: Scene, width: int, height: int) -> Cells:
    """The verdict in width x height cells."""
    cells = Cells(width, height)
    state, snapshot = scene.snapshot.state, scene.snapshot
    if state in ("failed", "lost"):
        x = _badge(cells, 0, state.upper(), Ink.BAD) + 1
        if height == 1:
            why = endings.why(snapshot)
            cells.put(0, x, fit(brief(state, why, scene.health, "", width - x)[0], width - x), Ink.TEXT)
            return cells
        for y, (row, ink) in enumerate(_failure(scene, width)[:height]):
            cells.put(y, 0 if y else x, fit(row, width if y else width - x), ink)
        return cells
    x = 0
    for text, ink in _state(scene):
        x = cells.put(0, x, fit(text, width - x), ink) + 2
    if state == "starting" or x >= width:
        return cells
    pace = snapshot.pace
    if pace.ranks:
        _stuck(cells, x, scene)
        return cells
    when = f"at step {scene.step:,}" if scene.view.cursor is not None else ""
    _health(cells, x, scene, when)
    return cells


def stuck(snapshot: Snapshot) -> str:
    """Who holds up the run, in words that do not age; empty when nobody does."""
    ranks = [rank.rank for rank in snapshot.pace.ranks]
    return f"{named_ranks(ranks)} stuck" if ranks else ""


def brief(state: str, why: str, health: Health, held: str, room: int = BRIEF) -> tuple[str, int]:
    """The verdict in a few words, for a list or a title, and its ink; `held` says who is stuck.

    What the checks had found of a run that failed is said within `room` cells: why it failed is cut for it, by two
    thirds at most.
    """
    if state in ("failed", "lost"):
        why = why or "it is not known why"
        if not health.findings:
            return why, Ink.BAD
        before = f"; {'before that ' if room >= ROOMY else ''}{_found(health)}"
        return fit(why, max(room - width_of(before), room // 3)) + before, Ink.BAD
    if held:
        return held, Ink.BAD
    if health.findings:
        return _found(health), Ink.BAD if health.findings[0].severity == "critical" else Ink.WARN
    if not health.passed:
        return "no verdict yet", Ink.UNKNOWN
    return ("all clear", Ink.GOOD) if enough(health) else ("nothing found so far", Ink.TEXT)


def _found(health: Health) -> str:
    worst, more = health.findings[0], len(health.findings) - 1
    return f"{worst.text} and {more} more" if more else worst.text


def enough(health: Health) -> bool:
    """Whether so many checks were made that finding nothing means that all is clear: more than could not be."""
    return health.passed > len(health.unknown)


def _state(scene: Scene) -> list[tuple[str, int]]:
    snapshot, doing = scene.snapshot, scene.snapshot.activity
    waiting = [command for command in snapshot.commands if command.status == "sent"]
    parts: list[tuple[str, int]] = []
    match snapshot.state:
        case "starting":
            parts = [("STARTING", Ink.ACCENT | BOLD), (doing or "waiting for the first sign of life", Ink.TEXT)]
            parts.append((f"for {duration(snapshot.activity_age)}", Ink.DIM))
        case "paused":
            since = f"at step {snapshot.step:,} since {clock(_since(scene))}"
            parts = [("PAUSED", Ink.WARN | BOLD), (since, Ink.TEXT)]
            if not scene.readonly:
                parts.append((f"[{scene.look.pause}] resumes", Ink.ACCENT))
        case "finished" | "stopped":
            done = f"after {plural(snapshot.step, 'step')}"
            parts = [(snapshot.state.upper(), STATE[snapshot.state] | BOLD), (done, Ink.TEXT)]
    if waiting:
        parts.append((f"{fit(asked(waiting[-1]), LONGEST)} sent, {WAITING}", Ink.ACCENT | BOLD))
    # What is known to be as usual needs no warning, and what is known to be stuck gets a stronger one.
    if snapshot.pace.state == "unknown" and snapshot.state == "running" and snapshot.activity_age > 20 and doing:
        parts.append((f"{doing} for {duration(snapshot.activity_age)}", Ink.WARN))
    return parts


def _stuck(cells: Cells, x: int, scene: Scene) -> None:
    """Who holds up the run, on what evidence, and the key that shows where it stands; advice can wait."""
    said = stuck(scene.snapshot)
    evidence = scene.snapshot.pace.evidence.removeprefix(f"{said.removesuffix(' stuck')} ")
    x = _badge(cells, x, said.upper(), Ink.BAD) + 1
    key = "" if scene.readonly else f"[{scene.look.stack}] its stack"
    room = cells.width - x - (width_of(key) + 2 if key else 0)
    if width_of(evidence) > room and cells.height > 1:
        cells.put(0, x, fit(key, cells.width - x), Ink.ACCENT)
        cells.put(1, 0, fit(evidence, cells.width), Ink.TEXT)
        return
    x = cells.put(0, x, fit(evidence, room), Ink.TEXT) + 2
    cells.put(0, x, fit(key, cells.width - x), Ink.ACCENT)


def speaks_of(snapshot: Snapshot, health: Health) -> str:
    """The panel that shows what the verdict is about; empty where it finds nothing."""
    if snapshot.pace.ranks:
        return "cost"
    return health.findings[0].panel if health.findings else ""


STATE = {"finished": Ink.GOOD, "stopped": Ink.DIM}


def _since(scene: Scene) -> float:
    """When the run paused, by the wall clock: a time that stands still, unlike an age, costs no redraw."""
    for command in reversed(scene.snapshot.commands):
        if command.verb in ("pause", "step") and command.status == "applied":
            return command.t
    return scene.snapshot.info.created


def _health(cells: Cells, x: int, scene: Scene, when: str) -> None:
    """What the checks say from column `x` on; `when` names the step where that is not the newest.

    A remedy is only for a run that can still take it, and its key for a viewer that may steer.
    """
    width, health, live = cells.width, scene.health, scene.snapshot.live
    key = "" if scene.readonly else f"[{scene.look.act}] "
    if health.findings:
        worst = health.findings[0]
        ink = Ink.BAD if worst.severity == "critical" else Ink.WARN
        x = _badge(cells, x, worst.text.upper(), ink) + 1
        others = len(health.findings) - 1
        more = f"and {others} more [{scene.look.checks}]" if others else ""
        what = answer(scene.snapshot, health.findings) if live else Answer()
        since = f"since {worst.since:,}" if worst.since is not None else ""
        evidence = "; ".join(text for text in (after_what(scene.snapshot, worst), worst.evidence) if text)
        # The key comes before the evidence: who reads no further still knows what to press. What comes and goes with
        # other findings stands behind it, so that it keeps its place.
        parts = [
            (when, Ink.CURSOR),
            (since, Ink.TEXT),
            (f"{key}try {in_words(scene.snapshot, what.advised)}" if what.advised else "", Ink.ACCENT),
            (f"waiting for the effect of {what.awaited}" if what.awaited else "", Ink.TEXT),
            (what.hindered, Ink.DIM),
            (more, Ink.WARN),
            (evidence, Ink.DIM),
        ]
        _flow(cells, 0, x, parts)
        return
    if health.passed:
        clear, ink = ("ALL CLEAR", Ink.GOOD) if enough(health) else ("NOTHING FOUND SO FAR", Ink.TEXT)
        x = cells.put(0, x, clear, ink | BOLD) + 2
        x = cells.put(0, x, when, Ink.CURSOR) + 2 if when else x
        # How many, and not which: what could not be looked at is no alarm, and its name would read as one.
        counts = {"n/a": health.not_applying, "unknown": len(health.unknown)}
        said = [
            f"{plural(health.passed, 'check')} ok",
            *(f"{count} {state}" for state, count in counts.items() if count),
        ]
        _flow(cells, 0, x, [(", ".join(said), Ink.TEXT), (f"[{scene.look.checks}] each", Ink.ACCENT)])
        return
    unknown = health.unknown
    text = f"NO VERDICT YET  {plural(len(unknown), 'check')} unknown" if unknown else "NO VERDICT YET"
    x = cells.put(0, x, fit(text, width - x), Ink.UNKNOWN | BOLD) + 2
    reasons = "; ".join(dict.fromkeys(why for _, why in unknown))
    _flow(cells, 0, x, [(f"({reasons})" if reasons else "", Ink.UNKNOWN)])


def _badge(cells: Cells, x: int, text: str, ink: int) -> int:
    """Words on a ground of their colour: no curve looks like that, whatever its hue."""
    return cells.put(0, x, fit(f" {text} ", cells.width - x), ink | BOLD | REVERSE)


def _flow(cells: Cells, y: int, x: int, parts: Sequence[tuple[str, int]]) -> None:
    """Put parts one after the other, the next row taking on what does not fit.

    A part is cut only in the last row, and left out where too little of it would be seen.
    """
    for text, ink in parts:
        if text and x and x + width_of(text) > cells.width and y + 1 < cells.height:
            y, x = y + 1, 0
        if text and (x + width_of(text) <= cells.width or x + LEAST <= cells.width):
            x = cells.put(y, x, fit(text, cells.width - x), ink) + 2


def _failure(scene: Scene, width: int) -> list[tuple[str, int]]:
    """Why it failed, what the checks had found, where in the person's own code, how to go on, and the key for the rest:
    rows with inks."""
    snapshot = scene.snapshot
    badge = width_of(f" {snapshot.state.upper()} ") + 1
    # The badge stands before the first row, so that row is shorter.
    first, *more = wrap(endings.why(snapshot), max(1, width - badge), WHY_ROWS) or [""]
    rows = [(first, int(Ink.TEXT)), *((row, int(Ink.TEXT)) for row in more)]
    rows += _before(scene, width)
    if snapshot.state == "failed":
        rows += [(row, int(Ink.WARN)) for row in wrap(endings.suspect(snapshot), width, 2)]
        where, (told, typed) = endings.place(snapshot), endings.onward(snapshot)
        # The end of a path tells most.
        where = where if width_of(where) <= width else f"…{where[1 - width :]}"
        rows += [(where, int(Ink.TEXT | BOLD))] if where else []
        rows += [(row, int(Ink.DIM)) for row in wrap(told, width, 2)]
        rows += [(row, int(Ink.ACCENT)) for row in wrap(typed, width, 3)]
    return [*rows, (f"[{scene.look.console}] all that it printed", int(Ink.DIM))]


def _before(scene: Scene, width: int) -> list[tuple[str, int]]:
    """What the checks say of a run that has failed: what killed it often began long before it died."""
    health = scene.health
    if not health.findings:
        return []
    worst, more = health.findings[0], len(health.findings) - 1
    when = "before that" if scene.view.cursor is None else f"at step {scene.step:,}"
    since = f" since {worst.since:,}" if worst.since is not None else ""
    others = f" and {more} more" if more else ""
    ink = int(Ink.BAD if worst.severity == "critical" else Ink.WARN) | BOLD
    said = f"{when} {worst.text.upper()}{since}{others} [{scene.look.checks}]"
    return [(row, ink) for row in wrap(said, width, 2)]
