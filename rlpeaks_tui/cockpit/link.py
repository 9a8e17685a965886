"""How fast the terminal takes what is written, and how often to draw because of it.

Textual hands its output to a thread with a queue of thirty writes; once the queue is full, every write blocks the
whole application. Over ssh it hardly ever fills: the system and ssh take hundreds of kilobytes at once, and on a slow
link what a key did would be seen when all of them have gone through. So the terminal is asked after a drawing
where its cursor stands, which nearly every terminal answers: once the answer has come all the way back, the drawing
has gone all the way there. While anything is still on its way longer than the link needs, drawing more would
only age it. This is the one place that looks into Textual's driver.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from textual.driver import Driver
from textual.events import CursorPosition
from textual.message import Message

CALM = 20
"""Drawings in a row that the link took at once, after which it counts as quick again."""
FEW = 8
"""Rows of some 200 bytes: with the frame a third of a second at 10 kB/s."""
ASK = "\x1b[6n"
DRAWING = 100
"""Bytes from which on a write is a drawing; what is shorter goes through at once."""
SLACK = 0.1
"""Seconds that an answer may take longer than the quickest one did."""
LOST = 10.0
"""Seconds after which an answer is taken to be lost, as where another program took it."""
LAST = 2.0
"""Seconds that the end of the cockpit waits for answers at most."""


class Pace:
    """The time between two drawings: doubles when the link is behind, comes back slowly once it keeps up."""

    def __init__(self, rate: float, slowest: float = 0.25) -> None:
        self._fastest = 1.0 / rate
        self._slowest = 1.0 / slowest
        self.interval = self._fastest
        self._free = CALM

    def tick(self, behind: bool) -> bool:
        """Take note of whether the link is behind; True when it is free and drawing makes sense."""
        if behind:
            self.interval = min(self._slowest, 2 * self.interval)
            self._free = 0
            return False
        self._free += 1
        self.interval = max(self._fastest, 0.8 * self.interval)
        return True

    @property
    def rows(self) -> int:
        """Rows of a panel that one drawing may write: few for a while after the link was behind, so that what a key
        brings about never waits behind much that nobody asked for."""
        return sys.maxsize if self._free >= CALM else FEW

    @property
    def slow(self) -> bool:
        """Whether the link makes the cockpit draw less often than it would."""
        return self.interval > 1.5 * self._fastest


class Answers:
    """How long what was drawn has been on its way. Told of drawings in one thread and of answers in another.

    One question is open at a time, so that no terminal can answer two of them as one; what is drawn meanwhile is
    covered by the next.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._asked = 0.0
        """When the open question was asked."""
        self._oldest: float | None = None
        """When the first drawing was written that it covers; None while no question is open."""
        self._next: float | None = None
        """When the first drawing was written that it does not cover."""
        self._quickest: float | None = None
        self._over = threading.Event()
        self._ended = False

    def drawn(self) -> bool:
        """A drawing is written; True where a question goes after it."""
        with self._lock:
            now = self._clock()
            if self._oldest is None or now - self._asked > LOST:
                self._asked, self._oldest, self._next = now, now, None
                return not self._ended
            if self._next is None:
                self._next = now
            return False

    def answered(self) -> bool:
        """The terminal has answered; True where it is asked again."""
        with self._lock:
            if self._oldest is None:
                return False
            now = self._clock()
            took = now - self._asked
            self._quickest = took if self._quickest is None else min(took, self._quickest)
            self._asked, self._oldest, self._next = now, self._next, None
            if self._oldest is None or self._ended:
                self._over.set()
                return False
            return True

    def late(self) -> bool:
        """Whether a drawing is on its way for longer than the link needs; False while that is not known."""
        with self._lock:
            if self._oldest is None or self._quickest is None:
                return False
            now = self._clock()
            return now - self._asked <= LOST and now - self._oldest > self._quickest + SLACK

    def begin(self) -> None:
        """The terminal is the cockpit's."""
        self._oldest, self._next, self._ended = None, None, False

    def end(self) -> None:
        """Ask nothing more, and wait for the answer: a shell would take it for something typed."""
        with self._lock:
            self._ended = True
            waits = self._oldest is not None and self._clock() - self._asked < LOST
            self._over.clear()
        if waits:
            self._over.wait(LAST if self._quickest is not None else LAST / 4)


def asking(kind: type[Driver]) -> type[Driver]:
    """A driver that asks the terminal after its drawings, and keeps the answers to itself."""

    class Asking(kind):  # type: ignore[valid-type, misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.answers = Answers()

        def start_application_mode(self) -> None:
            super().start_application_mode()
            self.answers.begin()
            if self.answers.drawn():
                super().write(ASK)

        def write(self, data: str) -> None:
            asks = len(data) >= DRAWING and self.answers.drawn()
            super().write(data + ASK if asks else data)

        def process_message(self, message: Message) -> None:
            """Called in the thread that reads what the terminal sends."""
            if not isinstance(message, CursorPosition):
                super().process_message(message)
            elif self.answers.answered():
                super().write(ASK)

        def disable_input(self) -> None:
            self.answers.end()
            super().disable_input()

    return Asking


def behind(driver: Driver | None) -> bool:
    """Whether something that was written still waits for the link or is on its way."""
    thread = getattr(driver, "_writer_thread", None)
    if thread is not None and thread._queue.qsize():
        return True
    answers: Answers | None = getattr(driver, "answers", None)
    return answers is not None and answers.late()
