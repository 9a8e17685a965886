"""How fast the terminal takes what is written, and how often to draw because of it.

Textual hands its output to a thread with a queue of thirty writes; once the queue is full, every write blocks
the whole application. So the queue is looked at before each drawing: while anything waits there, drawing more
would only age it. This is the one place that looks into Textual's driver.
"""

from __future__ import annotations

import sys
from typing import Any

CALM = 20
"""Drawings in a row that the link took at once, after which it counts as quick again."""
FEW = 8
"""Rows of some 200 bytes: with the frame a third of a second at 10 kB/s."""


class Pace:
    """The time between two drawings: doubles when the link is behind, comes back slowly once it keeps up."""

    def __init__(self, rate: float, slowest: float = 0.25) -> None:
        self._fastest = 1.0 / rate
        self._slowest = 1.0 / slowest
        self.interval = self._fastest
        self._free = CALM

    def tick(self, waiting: int) -> bool:
        """Take note of the writes that wait on the link; True when it is free and drawing makes sense."""
        if waiting:
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


def waiting(driver: Any) -> int:
    """Writes that the terminal has not taken yet; 0 where the driver has no such queue."""
    queue = getattr(getattr(driver, "_writer_thread", None), "_queue", None)
    return queue.qsize() if queue is not None else 0
