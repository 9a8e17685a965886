"""Where a rank stands: the Python stack that was asked for last, the innermost calls marked."""

from __future__ import annotations

import time

from rlpeaks_tui.run.endings import foreign
from rlpeaks_tui.run.stacks import NoStack, Thread

from ..cells import BOLD, Cells, Ink, fit, width_of, wrap
from ..scene import Scene
from .page import lay
from .parts import heading, nothing


def stack(scene: Scene, width: int, height: int) -> Cells:
    cells = Cells(width, height)
    found = scene.stack
    if isinstance(found, NoStack):
        heading(cells, scene, "", "", "Stack", Ink.UNKNOWN, "", "cannot be told")
        for y, line in enumerate(wrap(str(found), width, max(0, height - 2)), 2):
            cells.put(y, 0, line, Ink.TEXT)
        return cells
    if found is None:
        heading(cells, scene, "", "", "Stack", Ink.UNKNOWN)
        said = (
            f"{scene.look.stack} asks a rank where it stands"
            if not scene.readonly
            else "this viewer is read-only and asks nobody"
        )
        return nothing(cells, said)
    when = time.strftime("%H:%M:%S", time.localtime(found.t))
    note = f"at {when}, told by {found.way}"
    heading(cells, scene, "", "", f"Stack of rank {found.rank}", Ink.TEXT, "", note, "innermost call first")
    lay(cells, scene, [_thread(scene, thread, width) for thread in found.threads])
    return cells


def _thread(scene: Scene, thread: Thread, width: int) -> Cells:
    cells = Cells(width, 1 + max(1, len(thread.frames)))
    main = thread.name == "training thread"
    cells.put(0, 0, fit(thread.name, width), Ink.TEXT | BOLD if main else Ink.DIM)
    if not thread.frames:
        cells.put(1, 2, "no Python code", Ink.UNKNOWN)
    names = min(width // 2, max((width_of(frame.function) for frame in thread.frames), default=0) + 2)
    for y, frame in enumerate(thread.frames, 1):
        ink: int = Ink.DIM if not main or foreign(frame.file) else Ink.TEXT
        if y == 1 and main:
            ink = Ink.ACCENT | BOLD
        if y == 1:
            cells.put(y, 0, ">" if scene.ascii_only else "▸", Ink.ACCENT | BOLD if main else Ink.DIM)
        cells.put(y, 2, fit(frame.function, names - 1), ink)
        cells.put(y, 2 + names, _end(f"{frame.file}:{frame.line}", width - names - 2), ink)
    return cells


def _end(path: str, width: int) -> str:
    """The end of a path, which tells most, in `width` cells."""
    if width_of(path) <= width:
        return path
    while path and width_of(path) > width - 1:
        path = path[1:]
    return f"…{path}" if width > 0 else ""
