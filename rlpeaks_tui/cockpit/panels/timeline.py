"""The run as one line: its phases, checkpoints, notes and commands, and the branches that it left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from rlpeaks_tui.run.branches import on_the_way
from rlpeaks_tui.run.entries import Phase
from rlpeaks_tui.run.marks import CommandMark

from ..cells import BOLD, TINT, Cells, Ink, Plot, fit, text_of, width_of, wrap
from ..chart import clusters
from ..curriculum import mix, phases_of
from ..filtering import filtered
from ..raster import Frame
from ..scene import Scene
from ..words import asked, outcome
from .parts import heading, nothing
from .picking import first_shown, picked, raise_row

STATUS_INK: Mapping[str, int] = {
    "applied": Ink.GOOD,
    "sent": Ink.ACCENT,
    "refused": Ink.WARN,
    "failed": Ink.BAD,
    "too late": Ink.WARN,
}
MOST_BRANCHES = 6
WHOLE, LONGEST = 3, 1000
"""Rows for every word of the picked event, and the columns that the longest one takes."""


def overview(scene: Scene, width: int, height: int) -> Cells:
    """The line with its phases, then what was done and found last, as much as there is room for."""
    cells = Cells(width, height)
    if not scene.snapshot.max_steps and not scene.snapshot.step:
        heading(cells, scene, "timeline", "8", "Timeline", Ink.UNKNOWN)
        return nothing(cells, "no step has ended yet")
    commands = scene.snapshot.commands
    count = len(commands)
    note = f"{count} command{'' if count == 1 else 's'}" if count else "no commands"
    here = scene.nodes[-1]
    branch = f"{here.name}, from step {here.at:,} of {here.parent.name}" if here.parent is not None else ""
    y = 0
    if height >= 4:
        heading(cells, scene, "timeline", "8", "Timeline", Ink.TEXT, branch, note, _mixed(scene))
        y = 1
    cells.blit(y, 0, line(scene, width))
    room = height - y - 2
    for row, event in enumerate(_events(scene, width, brief=True)[: max(0, room)], y + 2):
        cells.blit(row, 0, event())
    return cells


def enlarged(scene: Scene, width: int, height: int) -> Cells:
    """Adds the branches as a tree, and everything that happened: commands with their sender and the values before and
    after, checkpoints, notes, phases, alerts; of the picked one every word."""
    cells = Cells(width, height)
    wanted = scene.view.filter
    both = list(zip(_events(scene, width - 2), _events(scene, LONGEST), strict=True))
    rows, note = filtered(both, wanted, lambda pair: text_of(pair[1]().chars[0]))
    heading(
        cells,
        scene,
        "",
        "",
        "Timeline",
        Ink.TEXT,
        f"step {scene.snapshot.step:,}",
        note,
        "○ checkpoint, ◇ note, # command",
    )
    cells.blit(2, 0, line(scene, width))
    shown = tree(scene, width)
    cells.blit(5, 0, shown)
    top_row = 6 + shown.height if shown.height else 6
    if not rows:
        return nothing(cells, "no event matches" if wanted else "nothing has happened but steps")
    at = picked(cells, scene, len(rows))
    whole = WHOLE if height - top_row >= 2 * WHOLE else 0
    room = height - top_row - whole - bool(whole)
    top = first_shown(at, len(rows), room)
    for y, (row, _) in enumerate(rows[top : top + max(0, room)], top_row):
        cells.blit(y, 2, row())
    if room > 0:
        raise_row(cells, top_row + at - top, 0, width)
    for y, words in enumerate(wrap(text_of(rows[at][1]().chars[0]), width - 2, whole), height - whole):
        cells.put(y, 2, words, Ink.TEXT)
    return cells


def _mixed(scene: Scene) -> str:
    """What the phase at the step shown draws from."""
    now = [phase.name for phase in scene.phases if phase.step <= scene.step]
    known = {phase.name: phase for phase in phases_of(scene.snapshot)}
    return f"{now[-1]}: {mix(known[now[-1]])}" if now and now[-1] in known else ""


def line(scene: Scene, width: int) -> Cells:
    """Two rows: the run so far with its commands, checkpoints, notes and the place shown, and the names of its phases
    below. What lies beyond the newest step was left by a rollback."""
    cells = Cells(width, 2)
    frame = _frame(scene)
    snapshot = scene.snapshot
    cells.plots.append(Plot(0, 0, width, 2, frame.x0, frame.x1))
    now = min(width - 1, frame.column(snapshot.step, width))
    plain = scene.ascii_only
    cells.fill(0, 0, width, "." if plain else "·", Ink.FAINT)
    furthest = max([snapshot.step, *(branch.step for branch in snapshot.branches)])
    if furthest > snapshot.step:
        cells.fill(0, now, frame.column(furthest, width) - now + 1, "~" if plain else "╌", Ink.DIM)
    cells.fill(0, 0, now, "-" if plain else "─", Ink.DIM)
    for step, t, sign in (
        *((saved.step, saved.t, "o" if plain else "○") for saved in snapshot.checkpoints),
        *((note.step, note.t, "*" if plain else "◇") for note in snapshot.notes),
    ):
        cells.put(0, frame.column(step, width), sign, Ink.DIM if on_the_way(scene.nodes, t, step) else Ink.FAINT)
    marks = [(frame.column(mark.step, width), mark.number) for mark in scene.marks]
    for start, text in clusters(marks, width):
        if start <= now < start + len(text):
            # A number that the sign of the present would cut reads as another: it stands beside the sign.
            start = now + 1 if now + 1 + len(text) <= width else now - len(text)
        cells.put(0, start, text, Ink.MARK | BOLD)
    cells.put(0, now, "@" if plain else "●", Ink.ACCENT | BOLD)
    if scene.view.cursor is not None:
        cells.put(0, frame.column(scene.view.cursor, width), "|" if plain else "┃", Ink.CURSOR | BOLD)
    starts = [(frame.column(phase.step, width), phase.name) for phase in scene.phases]
    for i, (start, name) in enumerate(starts):
        stop = starts[i + 1][0] if i + 1 < len(starts) else max(now + 1, start + 1)
        if i % 2:
            cells.fill(1, start, stop - start, " ", Ink.FORMAT | TINT)
        room = (starts[i + 1][0] if i + 1 < len(starts) else width) - start - 2
        cells.put(1, start, "|" if plain else "▏", Ink.FORMAT | (TINT if i % 2 else 0))
        # Of several names the beginnings may be alike; their numbers are not.
        label = name if width_of(name) <= room else fit(str(scene.phases[i].index + 1), room)
        for j, char in enumerate(label):
            cells.put(1, start + 1 + j, char, Ink.FORMAT | (TINT if i % 2 and start + 1 + j < stop else 0))
    last = f"{frame.x1:,.0f}"
    # Neither the last phase's name nor its ground runs into the number.
    taken = max([now + 2, *(start + width_of(name) + 3 for start, name in starts[-1:])])
    if taken <= width - len(last):
        cells.put_right(1, width, last, Ink.DIM)
    return cells


def tree(scene: Scene, width: int) -> Cells:
    """A row for each branch, the newest ones, under the line: where it begins and ends, its name, where it comes from.
    Nothing for a run that never went back."""
    if not scene.snapshot.branches:
        return Cells(width, 0)
    shown = scene.nodes[-MOST_BRANCHES:]
    hidden = len(scene.nodes) - len(shown)
    cells = Cells(width, len(shown) + bool(hidden))
    frame, plain = _frame(scene), scene.ascii_only
    for y, node in enumerate(shown):
        present = node.end is None
        start = frame.column(max(0, node.at), width)
        end = min(width - 1, frame.column(node.end if node.end is not None else scene.snapshot.step, width))
        ink = Ink.TEXT if present else Ink.DIM
        bar = ("-" if plain else "─") if present else ("~" if plain else "╌")
        cells.fill(y, start, end - start, bar, ink)
        if node.parent is not None:
            cells.put(y, start, "`" if plain else "└", ink)
        cells.put(y, end, ("@" if plain else "●") if present else "x", Ink.ACCENT | BOLD if present else ink)
        words = node.name
        if node.parent is not None:
            words += f"  from step {node.at:,} of {node.parent.name}"
        if not present:
            words += f"  left at {node.end:,}"
        # Right of its bar, else left of it, else over it.
        if width - end - 3 >= width_of(words):
            cells.put(y, end + 2, words, ink)
        elif start - 2 >= width_of(words):
            cells.put_right(y, start - 1, words, ink)
        else:
            cells.put(y, start + 3, f" {fit(words, width - start - 6)} ", ink)
    if hidden:
        cells.put(len(shown), 0, f"and {hidden} older", Ink.FAINT)
    return cells


def command_row(scene: Scene, command: CommandMark, width: int) -> Cells:
    """One command: number, step, what was asked, what became of it."""
    cells = Cells(width, 1)
    cells.put_right(0, 3, f"#{command.number}", Ink.MARK | BOLD)
    step = f"step {command.step:>7,}" if command.step is not None else "  waiting   "
    end = cells.put(0, 5, step, Ink.DIM)
    end = cells.put(0, end + 2, fit(asked(command), max(12, width // 3)), Ink.TEXT | BOLD)
    end = cells.put(0, end + 2, command.status, STATUS_INK.get(command.status, Ink.DIM))
    said = outcome(command)
    if said:
        end = cells.put(0, end + 2, fit(said, width - end - 2), Ink.TEXT)
    who = command.who
    if who and end + 2 + len(who) <= width:
        cells.put_right(0, width, who, Ink.FAINT)
    return cells


def _frame(scene: Scene) -> Frame:
    return Frame(0, max(1, scene.snapshot.max_steps or scene.x[1], scene.snapshot.step), 0.0, 1.0)


def _events(scene: Scene, width: int, brief: bool = False) -> list[Callable[[], Cells]]:
    """What draws the row of everything that happened up to the step shown, the newest first, so that only rows that are
    seen are drawn; `brief` leaves out what only the clock or a rule of the run brought about."""
    snapshot, plain = scene.snapshot, scene.ascii_only
    cursor = scene.view.cursor
    rows: list[tuple[float, Callable[[], Cells]]] = []

    def add(t: float, step: int | None, draw: Callable[..., Cells], *args: object) -> None:
        if cursor is None or step is None or step <= cursor:
            rows.append((t, partial(draw, *args)))

    for note in snapshot.notes:
        add(note.t, note.step, _row, "◇", note.step, note.text, Ink.TEXT, width, note.who)
    said = {note.text for note in snapshot.notes}
    for command in snapshot.commands:
        # A note that came as a command has its row already.
        if command.verb != "note" or " ".join(command.args) not in said:
            add(command.t, command.step, command_row, scene, command, width)
    for alert in snapshot.alerts:
        if alert.on or not brief:
            ink = (Ink.BAD if alert.severity == "critical" else Ink.WARN) if alert.on else Ink.DIM
            text = alert.text or alert.rule
            sign, words = ("!", f"alert: {text}") if alert.on else ("·", f"alert over: {text}")
            add(alert.t, alert.step, _row, sign, alert.step, words, ink, width)
    there = {kept.name for kept in snapshot.restorable}
    for saved in snapshot.checkpoints if not brief else ():
        gone = "" if saved.name in there else "  not on disk any more"
        add(saved.t, saved.step, _row, "○", saved.step, f"checkpoint {saved.name}{gone}", Ink.DIM, width)
    for branch, node in zip(snapshot.branches, scene.nodes[1:], strict=True) if not brief else ():
        of = f" of {node.parent.name}" if node.parent is not None else ""
        text = (
            f"{branch.name} begins at step {branch.at:,}{of}, checkpoint {branch.checkpoint}; {branch.parent} is left"
        )
        add(branch.t, branch.step, _row, "`" if plain else "└", branch.step, text, Ink.MARK, width)
    for phase in snapshot.phases if not brief else ():
        add(phase.t, phase.step, _phase, phase, width)
    return [draw for _, draw in sorted(rows, key=lambda pair: -pair[0])]


def _phase(phase: Phase, width: int) -> Cells:
    text = f"phase {phase.index + 1} of {phase.of}  {phase.name}" if phase.of else f"phase  {phase.name}"
    row = _row("▸", phase.step, text, Ink.FORMAT, width)
    end = 19 + width_of(text)
    row.put(0, end + 2, fit(phase.why, width - end - 2), Ink.DIM)
    return row


def _row(sign: str, step: int, text: str, ink: int, width: int, who: str = "") -> Cells:
    """One thing that happened: its sign, its step, what it was."""
    row = Cells(width, 1)
    row.put_right(0, 3, sign, ink)
    end = row.put(0, 5, f"step {step:>7,}", Ink.DIM)
    end = row.put(0, end + 2, fit(text, width - end - 2), ink)
    if who and end + 2 + len(who) <= width:
        row.put_right(0, width, who, Ink.FAINT)
    return row
