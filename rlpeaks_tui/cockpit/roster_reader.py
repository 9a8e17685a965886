"""The thread that reads the runs of a folder for the list of them, a little at a time.

A folder may hold hundreds of runs with journals of gigabytes. So only what is on screen is read at all, in slices of
a twentieth of a second, the run that had the fewest first: short runs are there at once, long ones do not hold them
up. A run that has ended is read once and let go.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from rlpeaks_tui.run.entries import ENDED
from rlpeaks_tui.run.facts import read_exit, read_heartbeat
from rlpeaks_tui.run.follow import Follower
from rlpeaks_tui.run.layout import Layout
from rlpeaks_tui.run.liveness import judge
from rlpeaks_tui.run.registry import Found, runs
from rlpeaks_tui.run.text import clean_line
from rlpeaks_tui.stats.evaluator import Evaluator

from .checks import check
from .roster import Line, glance, line_of
from .worker import Worker

SLICE = 0.05
"""Seconds of reading at a time."""
AGAIN = 1.0
"""Seconds between two looks at a run that is not over."""
LISTED = 3.0
"""Seconds between two looks at the folder."""
TOLD = 0.2
"""Seconds between two deliveries at least."""


class _Watched:
    """One run and how far it was read."""

    def __init__(self, found: Found) -> None:
        self.path = found.path
        self.follower: Follower | None = None
        self.evaluator = Evaluator()
        self.slices = 0
        self.due = 0.0
        self.over = found.info is None
        try:
            self.line = self._first(found)
        except Exception as error:
            self._give_up(error)

    def _first(self, found: Found) -> Line:
        if found.info is None:
            return Line(found.path, "unreadable", found.trouble)
        layout = Layout(found.path)
        beat = read_heartbeat(layout)
        condition = judge(found.info, None, None, beat, read_exit(layout), time.time())
        state = "running" if condition.state == "starting" and beat is not None and beat.step else condition.state
        return glance(found.path, found.info, state, condition.why, beat.step if beat else 0)

    def read(self, now: float) -> None:
        """One slice; once there is nothing more, the line says all."""
        self.slices += 1
        try:
            self._read(now)
        except Exception as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        """Whatever is wrong with one run, the others are to be seen."""
        self.line = Line(self.path, "unreadable", clean_line(str(error)) or type(error).__name__)
        self.over, self.follower = True, None

    def _read(self, now: float) -> None:
        follower = self.follower = self.follower or Follower(self.path)
        follower.poll(SLICE)
        if follower.more:
            return
        self.due = now + AGAIN
        snapshot = follower.snapshot()
        self.line = line_of(self.path, snapshot, check(self.evaluator, snapshot, snapshot.step))
        if snapshot.state in ENDED:
            self.over, self.follower = True, None


class RosterReader(Worker[list[Line]]):
    """Reads the runs of `folder`. `deliver` is called in this thread with all lines when any changed, or with what
    ended the thread."""

    def __init__(self, folder: Path, deliver: Callable[[list[Line] | Exception], None]) -> None:
        super().__init__("roster", deliver)
        self._folder = folder
        self._visible: tuple[Path, ...] = ()
        self._watched: dict[Path, _Watched] = {}
        self._told: list[Line] | None = None

    def look_at(self, visible: tuple[Path, ...]) -> None:
        """These are on screen: read them, and no others."""
        if visible != self._visible:
            self._visible = visible
            self._asked.set()

    def _serve(self) -> None:
        listed = told = float("-inf")
        while not self._stopped:
            now = time.monotonic()
            if now - listed >= LISTED:
                self._list()
                listed = now
            due = self._next(now)
            if due is not None:
                due.read(now)
            if now - told >= TOLD or due is None:
                told = now
                self._tell()
            if due is None:
                self._asked.wait(TOLD)
                self._asked.clear()

    def _list(self) -> None:
        found = {one.path: one for one in runs(self._folder)}
        for path, one in found.items():
            known = self._watched.get(path)
            # One that could not be read may have been looked at while it was being written.
            if known is None or (known.line.state == "unreadable" and one.info is not None):
                self._watched[path] = _Watched(one)
        for path in self._watched.keys() - found.keys():
            del self._watched[path]

    def _next(self, now: float) -> _Watched | None:
        """What is to be read now: never read before something that only may have gone on."""
        seen = [self._watched[path] for path in self._visible if path in self._watched]
        due = [watched for watched in seen if not watched.over and watched.due <= now]
        return min(due, key=lambda watched: (watched.line.read, watched.slices), default=None)

    def _tell(self) -> None:
        lines = [watched.line for watched in self._watched.values()]
        if lines != self._told and not self._stopped:
            self._told = lines
            self._deliver(lines)
