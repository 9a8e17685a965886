"""How fast the terminal takes what is written, and how often to draw because of it.

Textual hands its output to a thread with a queue of thirty writes; once the queue is full, every write blocks the
whole application. Over ssh it hardly ever fills: the system and ssh take a hundred kilobytes and more at once, and on
a slow link what a key did would be seen when all of them have gone through. So the terminal is asked after a drawing
where its cursor stands, which nearly every terminal answers: once the answer has come all the way back, the drawing
has gone all the way there. While anything is still on its way longer than the link needs, drawing more would only age
it. tmux, screen and mosh answer themselves, and care for slow links themselves.

This is the one place that looks into Textual's driver.
"""

from __future__ import annotations

import errno
import signal
import sys
import termios
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

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
"""Seconds that a drawing may be on its way longer than the link needs."""
RECENT = 20
"""Answers of which the quickest tells what the link needs: it may change, and one answer may be a stray one."""
START, LEAST = 256 << 10, 2 << 10
"""Bytes that may be on their way: until anything is known, and on the slowest link."""
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

    def tick(self, busy: bool) -> bool:
        """Take note of whether the link is busy; True when it is free and drawing makes sense."""
        if busy:
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
    """How much of what was drawn is on its way, and since when. Told of drawings in one thread, of answers in another.

    One question is open at a time, so that no terminal can answer two of them as one; what is drawn meanwhile is
    covered by the next. How many bytes may be on their way follows from what went through how quickly, as in TCP Vegas
    (Brakmo and Peterson, 1995).
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # A signal that suspends the cockpit ends it in the thread that may be in here.
        self._lock = threading.RLock()
        self._over = threading.Event()
        self.begin()

    def begin(self) -> None:
        """The terminal is the cockpit's."""
        with self._lock:
            self._ended = False
            self._asked = 0.0
            """When the open question was asked."""
            self._alone = False
            """Whether nothing else was on its way then."""
            self._covered: _Sent | None = None
            """What it covers; None while no question is open."""
            self._after: _Sent | None = None
            """What was drawn after it."""
            self._window = START
            """Bytes that may be on their way."""
            self._took: deque[float] = deque(maxlen=RECENT)
            """Seconds that the last drawings took that were alone on their way: others tell of what they waited for."""

    def drawn(self, size: int) -> bool:
        """A drawing of `size` bytes is written; True where a question goes after it."""
        with self._lock:
            now = self._clock()
            if self._ended:
                return False
            if self._covered is not None and now - self._asked > LOST:
                # Nobody answers any more: what is known of the link no longer holds.
                self.begin()
            if self._covered is None:
                self._asked, self._alone, self._covered = now, True, _Sent(now, size)
                return True
            self._after = _Sent(now, size) if self._after is None else _Sent(self._after.at, self._after.size + size)
            return False

    def answered(self) -> bool:
        """The terminal has answered; True where it is asked again."""
        with self._lock:
            if self._covered is None:
                return False
            now = self._clock()
            took, size = now - self._asked, self._covered.size
            if self._alone:
                self._took.append(took)
            if self._took:
                enough = min(self._took) + SLACK
                # An answer covers what was drawn in one way there and back; as much again may wait for the next.
                # Of what took too long, so much as would have gone through in time.
                self._window = max(self._window, 3 * size) if took <= enough else max(LEAST, int(size * enough / took))
            self._asked, self._alone = now, False
            self._covered, self._after = None if self._ended else self._after, None
            if self._covered is None:
                self._over.set()
            return self._covered is not None

    @property
    def silent(self) -> bool:
        """Whether no question is open. Only whoever draws opens one where none is."""
        with self._lock:
            return self._covered is None

    @property
    def known(self) -> bool:
        """Whether the terminal answers, as far as is known."""
        with self._lock:
            return bool(self._took) and (self._covered is None or self._clock() - self._asked <= LOST)

    def late(self) -> bool:
        """Whether more is on its way than the link takes at once, or for longer; False while that is not known."""
        with self._lock:
            now = self._clock()
            if self._covered is None or not self.known:
                return False
            size = self._covered.size + (self._after.size if self._after else 0)
            # A drawing may first have to wait for the answer to the question before it.
            return size > self._window or now - self._covered.at > 2 * min(self._took) + SLACK

    def end(self) -> None:
        """Ask nothing more, and wait for the answer: a shell would take it for something typed."""
        with self._lock:
            waits = not self._ended and self._covered is not None and self._clock() - self._asked <= LOST
            self._ended = True
            self._over.clear()
        if waits:
            # On a link that is slower still the answer does come to the shell; nobody would wait longer to leave.
            self._over.wait(LAST if self._took else LAST / 4)


class _Sent(NamedTuple):
    at: float
    """When the first of it was written."""
    size: int


def asking(kind: type[Driver]) -> type[Driver]:
    """A driver that asks the terminal after its drawings, and keeps the answers to itself."""

    class Asking(kind):  # type: ignore[valid-type, misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.answers = Answers()

        def start_application_mode(self) -> None:
            super().start_application_mode()
            self.answers.begin()
            if self.answers.drawn(len(ASK)):
                super().write(ASK)

        def write(self, data: str) -> None:
            drawing = len(data) >= DRAWING
            asks = drawing and self.answers.silent and self.answers.drawn(len(data))
            super().write(data + ASK if asks else data)
            # Told of once it is on its way: an answer that comes meanwhile is of what was written before.
            if drawing and not asks and self.answers.drawn(len(data)):
                super().write(ASK)

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
    """Whether more was written than the link takes at once."""
    answers: Answers | None = getattr(driver, "answers", None)
    if answers is not None and answers.known:
        return answers.late()
    # Of a terminal that answers nothing only this is known; on a quick one a write waits there for a moment, too.
    thread = getattr(driver, "_writer_thread", None)
    return thread is not None and thread._queue.qsize() > 0


def leave_if_gone(driver: Driver | None) -> None:
    """End as a closed window ends a program, also where its signal is ignored, as under nohup.

    Nobody sees what would be drawn, and reading keys from what is no more takes a whole core.
    """
    terminal: int | None = getattr(driver, "fileno", None)
    if terminal is None:
        return
    try:
        termios.tcgetattr(terminal)
    except termios.error as error:
        if error.args[0] == errno.EIO:
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            signal.raise_signal(signal.SIGHUP)
