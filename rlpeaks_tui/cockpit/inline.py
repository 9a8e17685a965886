"""`rlpeaks watch --inline`: a run in a few lines of the normal screen, redrawn in place, and left there at the end.

For a corner of a terminal that is needed for other things, or a log that a person scrolls back to. Textual's inline
mode paints a region of its own and takes it away when it ends; here the last state has to stay, and a line that did
not change costs nothing. The colours are the terminal's own, since its background is not ours.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import numpy as np
from msgspec.structs import replace
from rich.color import ColorSystem

from rlpeaks_tui.run.follow import Follower
from rlpeaks_tui.terminal import only_ascii

from . import settings, strips, verdict
from .cells import BLANK, Cells, Ink, fit, in_ascii
from .herald import Herald
from .reader import Reader, Reading, Wanted
from .scene import Look, Scene
from .stretches import SEEN_ON_BLANK, settle, stretches
from .strips import SPARKS
from .theme import PALETTES, Palette


def lines(scene: Scene, width: int, most: int, notice: str = "") -> Cells:
    """The run in three to five rows of `width` cells and one for a notice, at most `most` of them."""
    # That nothing can be steered here needs no words.
    rows = [strips.header(replace(scene, readonly=False), scene.snapshot.step, width), verdict.strip(scene, width, 1)]
    each = 5 if width >= 110 else 3 if width >= 60 else 2
    panels = list(SPARKS)
    for at in range(0, len(panels), each):
        row = Cells(width, 1)
        # A short last row has its curves under those of the row above.
        some = panels[at : at + each]
        row.blit(0, 0, strips.sparks(scene, some, (width + 2) * len(some) // each - 2))
        rows.append(row)
    if notice:
        last = Cells(width, 1)
        last.put(0, 0, fit(notice, width), Ink.FAINT)
        rows.append(last)
    cells = Cells(width, min(len(rows), most))
    for y, row in enumerate(rows[:most]):
        cells.blit(y, 0, row)
    return in_ascii(cells) if scene.ascii_only else cells


class Block:
    """Lines above the cursor of a terminal; gives what to write so that they show other cells."""

    def __init__(self, palette: Palette, system: ColorSystem | None) -> None:
        self._palette = palette
        self._system = system
        self._shown: list[str] = []
        self._width = 0

    def show(self, cells: Cells) -> str:
        """What to write; empty where nothing changed."""
        fresh = self._lines(cells)
        if not self._shown or cells.width < self._width:
            # What got too wide may have been broken into any number of lines: it stays, and a new block begins.
            out = "".join(f"{line}\n" for line in fresh)
        elif cells.width > self._width or len(fresh) != len(self._shown):
            out = f"\x1b[{len(self._shown)}A\r\x1b[J" + "".join(f"{line}\n" for line in fresh)
        else:
            out = "".join(
                f"\x1b[{up}A\r{new}\x1b[K\x1b[{up}B\r"
                for up, new, old in zip(range(len(fresh), 0, -1), fresh, self._shown, strict=True)
                if new != old
            )
        self._shown, self._width = fresh, cells.width
        return out

    def begin_anew(self) -> None:
        """The cursor is no longer where it was left: what stands above it stays."""
        self._shown = []

    def _lines(self, cells: Cells) -> list[str]:
        found = []
        for chars, inks in zip(cells.chars, settle(cells), strict=True):
            seen = np.flatnonzero((chars != BLANK) | (inks & SEEN_ON_BLANK != 0))
            end = int(seen[-1]) + 1 if len(seen) else 0
            parts = stretches(chars[:end], inks[:end])
            found.append(
                "".join(self._palette.style(ink).render(text, color_system=self._system) for text, ink in parts)
            )
        return found


def watch(directory: Path, *, ascii_only: bool = False) -> int:
    """Show the run until it ends, or the person leaves with q or ctrl+c. Gives the exit status.

    Raises:
        NotARun: there is no run at `directory`.
    """
    chosen, mistakes = settings.read(settings.place())
    chosen = settings.over(chosen, os.environ)
    plain = "NO_COLOR" in os.environ
    block = Block(PALETTES["plain" if plain else "sixteen"], ColorSystem.STANDARD)
    look = Look(ascii_only or chosen.ascii or only_ascii(), flat=True)
    reader = Reader(Follower(directory), lambda reading: None)
    herald = Herald(_write, chosen.notify)
    hint = settings.in_short(mistakes) or "q leaves; the training goes on"
    reading: Reading | None = None
    size = os.terminal_size((0, 0))
    with _keys() as typed, _continued(block):
        with contextlib.suppress(KeyboardInterrupt):
            while reading is None or reading.loading or reading.snapshot.live:
                reading = reader.read(Wanted())
                if not reading.loading:
                    herald.tell(reading.snapshot, reading.latest, time.monotonic())
                # While somebody drags the corner of the window nothing is drawn: each size would leave a block behind.
                size, before = os.get_terminal_size(sys.stdout.fileno()), size
                if size == before:
                    _write(block.show(_drawn(reading, look, size, hint)))
                if "q" in typed(0.0 if reading.loading else 1 / chosen.fps):
                    break
        if reading is not None:
            # Without the notice, which has no more to say.
            _write(block.show(_drawn(reading, look, os.get_terminal_size(sys.stdout.fileno()), "")))
        herald.restore()
    settings.tell(mistakes)
    return 0


def _drawn(reading: Reading, look: Look, size: os.terminal_size, hint: str) -> Cells:
    if reading.loading and hint:
        hint = f"reading the journal, step {reading.snapshot.step:,} so far"
    scene = Scene(reading.snapshot, look=look, health=reading.health, readonly=True)
    # One column is left free: a terminal that wraps at the last one would break the count of lines.
    return lines(scene, max(1, size.columns - 1), max(1, size.lines - 1), reading.trouble or hint)


def _write(text: str) -> None:
    if text:
        sys.stdout.write(text)
        sys.stdout.flush()


@contextlib.contextmanager
def _keys() -> Iterator[Callable[[float], str]]:
    """Gives a function that waits so many seconds for keys and tells which came."""
    stdin = sys.stdin.fileno()
    before = termios.tcgetattr(stdin)

    def typed(seconds: float) -> str:
        if not select.select([stdin], [], [], seconds)[0]:
            return ""
        raw = os.read(stdin, 4096)
        # The terminal is gone when there is nothing to read.
        return raw.decode("utf-8", "replace").lower() if raw else "q"

    try:
        tty.setcbreak(stdin, termios.TCSANOW)
        _write("\x1b[?25l")
        yield typed
    finally:
        _write("\x1b[?25h")
        termios.tcsetattr(stdin, termios.TCSANOW, before)


@contextlib.contextmanager
def _continued(block: Block) -> Iterator[None]:
    """After ctrl+z and `fg` the shell has written below the block, and the terminal is as the shell had it.

    An end that is asked for is one as by ctrl+c, so that the terminal is left as it was.
    """

    def again(number: int, frame: FrameType | None) -> None:
        tty.setcbreak(sys.stdin.fileno(), termios.TCSANOW)
        block.begin_anew()

    # Also where it is ignored, as in what a shell started in the background: a person here leaves by ctrl+c.
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    before = signal.signal(signal.SIGCONT, again), signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGCONT, before[0])
        signal.signal(signal.SIGTERM, before[1])
        signal.signal(signal.SIGINT, interrupt)
