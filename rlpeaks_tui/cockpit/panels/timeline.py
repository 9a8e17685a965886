"""The run as one line: its phases, the commands that steered it, and what each command changed."""

from __future__ import annotations

from collections.abc import Mapping

from rlpeaks_tui.run.follow import CommandMark

from ..cells import BOLD, TINT, Cells, Ink, fit
from ..chart import clusters
from ..raster import Frame
from ..scene import Scene
from ..words import number
from .parts import heading, nothing, scrolled

STATUS_INK: Mapping[str, int] = {
    "applied": Ink.GOOD,
    "sent": Ink.ACCENT,
    "refused": Ink.WARN,
    "failed": Ink.BAD,
    "too late": Ink.WARN,
}


def overview(scene: Scene, width: int, height: int) -> Cells:
    """The line with its phases, then the newest commands, as many as there is room for."""
    cells = Cells(width, height)
    if not scene.snapshot.max_steps and not scene.snapshot.step:
        heading(cells, scene, "timeline", "8", "Timeline", Ink.UNKNOWN)
        return nothing(cells, "no step has ended yet")
    commands = scene.snapshot.commands
    count = len(commands)
    note = f"{count} command{'' if count == 1 else 's'}" if count else "no commands"
    y = 0
    if height >= 4:
        heading(cells, scene, "timeline", "8", "Timeline", Ink.TEXT, "", note)
        y = 1
    cells.blit(y, 0, line(scene, width))
    for row, command in enumerate(reversed(commands[-max(0, height - y - 2) :] if height - y > 2 else ()), y + 2):
        cells.blit(row, 0, command_row(scene, command, width))
    return cells


def enlarged(scene: Scene, width: int, height: int) -> Cells:
    """Adds every command with its sender, the values before and after, and the alerts and checkpoints between them."""
    cells = Cells(width, height)
    heading(
        cells, scene, "", "", "Timeline", Ink.TEXT, f"step {scene.snapshot.step:,}", "", "phases, commands, checkpoints"
    )
    cells.blit(2, 0, line(scene, width))
    rows: list[tuple[float, Cells]] = []
    for command in scene.snapshot.commands:
        rows.append((command.t, command_row(scene, command, width)))
    for saved in scene.snapshot.checkpoints:
        row = Cells(width, 1)
        row.put_right(0, 3, "○" if not scene.ascii_only else "o", Ink.DIM)
        row.put(0, 5, f"step {saved.step:>7,}  checkpoint {saved.name}", Ink.DIM)
        rows.append((saved.t, row))
    for phase in scene.snapshot.phases:
        row = Cells(width, 1)
        row.put_right(0, 3, "▸" if not scene.ascii_only else ">", Ink.FORMAT)
        of = f"  phase {phase.index + 1} of {phase.of}" if phase.of else "  phase"
        end = row.put(0, 5, f"step {phase.step:>7,}{of}  {phase.name}", Ink.FORMAT)
        row.put(0, end + 2, fit(phase.why, width - end - 2), Ink.DIM)
        rows.append((phase.t, row))
    for alert in scene.snapshot.alerts:
        row = Cells(width, 1)
        bad = Ink.BAD if alert.severity == "critical" else Ink.WARN
        row.put_right(0, 3, "!" if alert.on else "·", bad if alert.on else Ink.DIM)
        said = alert.text or alert.rule
        row.put(
            0,
            5,
            fit(f"step {alert.step:>7,}  {said if alert.on else 'over: ' + said}", width - 5),
            bad if alert.on else Ink.DIM,
        )
        rows.append((alert.t, row))
    rows.sort(key=lambda pair: -pair[0])
    room = height - 7
    top = scrolled(cells, len(rows), room, scene.view.scroll)
    for y, (_, row) in enumerate(rows[top : top + room], 6):
        cells.blit(y, 0, row)
    if not rows:
        nothing(cells, "nothing has happened but steps")
    return cells


def line(scene: Scene, width: int) -> Cells:
    """Two rows: the run so far with its command numbers and the place shown, and the names of its phases below."""
    cells = Cells(width, 2)
    end = max(1, scene.snapshot.max_steps or scene.x[1], scene.snapshot.step)
    frame = Frame(0, end, 0.0, 1.0)
    now = min(width - 1, frame.column(scene.snapshot.step, width))
    plain = scene.ascii_only
    cells.fill(0, 0, width, "." if plain else "·", Ink.FAINT)
    cells.fill(0, 0, now, "-" if plain else "─", Ink.DIM)
    marks = [(frame.column(mark.step, width), mark.number) for mark in scene.marks]
    for column, text in clusters(marks, width):
        cells.put(0, min(column, width - len(text)), text, Ink.MARK | BOLD)
    cells.put(0, now, "o" if plain else "●", Ink.ACCENT | BOLD)
    if scene.view.cursor is not None:
        cells.put(0, frame.column(scene.view.cursor, width), "|" if plain else "┃", Ink.CURSOR | BOLD)
    starts = [(frame.column(phase.step, width), phase.name) for phase in scene.snapshot.phases]
    for i, (start, name) in enumerate(starts):
        stop = starts[i + 1][0] if i + 1 < len(starts) else max(now + 1, start + 1)
        if i % 2:
            cells.fill(1, start, stop - start, " ", Ink.FORMAT | TINT)
        room = (starts[i + 1][0] if i + 1 < len(starts) else width) - start - 2
        cells.put(1, start, "|" if plain else "▏", Ink.FORMAT | (TINT if i % 2 else 0))
        label = fit(name, room)
        for j, char in enumerate(label):
            cells.put(1, start + 1 + j, char, Ink.FORMAT | (TINT if i % 2 and start + 1 + j < stop else 0))
    last = f"{end:,}"
    if not starts or starts[-1][0] + len(starts[-1][1]) + 3 < width - len(last):
        cells.put_right(1, width, last, Ink.DIM)
    return cells


def command_row(scene: Scene, command: CommandMark, width: int) -> Cells:
    """One command: number, step, what was asked, what became of it."""
    cells = Cells(width, 1)
    cells.put_right(0, 3, str(command.number), Ink.MARK | BOLD)
    step = f"step {command.step:>7,}" if command.step is not None else "  waiting   "
    end = cells.put(0, 5, step, Ink.DIM)
    asked = " ".join((command.verb, *command.args))
    end = cells.put(0, end + 2, fit(asked, max(12, width // 4)), Ink.TEXT | BOLD)
    end = cells.put(0, end + 2, command.status, STATUS_INK.get(command.status, Ink.DIM))
    said = outcome(command)
    if said:
        end = cells.put(0, end + 2, fit(said, width - end - 2), Ink.TEXT)
    who = command.who
    if who and end + 2 + len(who) <= width:
        cells.put_right(0, width, who, Ink.FAINT)
    return cells


def outcome(command: CommandMark) -> str:
    """The values that a command changed, or why it did not."""
    if command.why and command.status != "applied":
        return command.why
    changes = []
    for name, after in command.after.items():
        before = command.before.get(name)
        if before != after:
            changes.append(
                f"{name} {_value(before)} → {_value(after)}" if name in command.before else f"{name} {_value(after)}"
            )
    return ", ".join(changes) or command.why


def _value(value: float | int | str | bool | None) -> str:
    if isinstance(value, float):
        return number(value)
    return "none" if value is None else str(value)
