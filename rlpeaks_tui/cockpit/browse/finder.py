"""The thread that looks for completions, so that neither a search nor a slow disk ever delays a key.

It works in slices of a few milliseconds and looks between them whether something else is wanted: what is on screen
goes first (a generation, two texts to compare), then one prompt through time, then the list. Everything that it gives
is immutable, and bounded: no more than LIMIT rows and MOMENTS generations of a prompt, none with its whole text.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from rlpeaks_tui.run.literals import compiled
from rlpeaks_tui.run.rollout_index import RIGHT, task_names
from rlpeaks_tui.run.rollouts import RolloutReader, Rollouts
from rlpeaks_tui.run.search import Hit, Search, Wanted

from ..worker import Worker
from .compare import Difference, compare

LIMIT = 2000
"""Rows of the list."""
MOMENTS = 500
"""Generations of one prompt through time."""
HEAD = 320
"""Characters of a completion that a row keeps."""
BEFORE = 24
"""Of those, characters before the place where the text that was looked for stands."""
SLICE = 0.015
"""Seconds of work between two looks at what is wanted."""
PAUSE = 0.001
TELL = 0.1
"""Seconds between two answers of one search, except that its first and its last go at once."""


class Row(Struct, frozen=True):
    """One completion of the list. `found` is where in `text` the words that were looked for begin and end."""

    step: int
    number: int
    index: int
    group: int
    task: str
    reward: float
    advantage: float
    correct: float
    confidence: float
    format: str
    length: int
    truncated: bool
    text: str
    found: tuple[int, int] = (0, 0)

    @property
    def place(self) -> tuple[int, int]:
        return self.number, self.index


class Found(Struct, frozen=True, eq=False):
    """How far the search for a list is.

    Attributes:
        wanted: what was asked for; another one is answered by another search.
        rows: newest first.
        more: there are more than could be kept.
        done: everything has been looked at, as far as the rows have room.
        step: of the generation looked at last.
        generations: that the run has; `gone` of them were dropped to save disk, `damaged` could not be read.
        tasks: the names that there are.
    """

    wanted: Wanted
    rows: tuple[Row, ...] = ()
    more: bool = False
    done: bool = False
    step: int | None = None
    generations: int = 0
    gone: int = 0
    damaged: int = 0
    blocks: int = 0
    tasks: tuple[str, ...] = ()


class Opened(Struct, frozen=True):
    """A whole generation, or None when it is damaged or not kept any more."""

    number: int
    rollouts: Rollouts | None


class Moment(Struct, frozen=True):
    """One generation in which a prompt was answered: its group, and the completion that earned most."""

    number: int
    step: int
    group: int
    count: int
    reward: float
    right: int
    judged: int
    best: int
    best_reward: float
    text: str


class Through(Struct, frozen=True):
    """One prompt through time, newest first."""

    prompt: str
    moments: tuple[Moment, ...] = ()
    more: bool = False
    done: bool = False
    step: int | None = None


class Compared(Struct, frozen=True):
    """Two texts, word by word."""

    texts: tuple[str, str]
    difference: Difference


Answer = Found | Opened | Through | Compared


class Finder(Worker[Answer]):
    """Looks in the completions at `folder`; `deliver` is called in this thread, with an answer or what ended it."""

    def __init__(self, folder: Path, deliver: Callable[[Answer | Exception], None]) -> None:
        super().__init__("finder", deliver)
        self._reader = RolloutReader(folder)
        self._small: deque[Callable[[], Answer]] = deque()
        # What is asked for and what was begun are told apart by identity, so that nothing has to be taken back.
        self._wanted: Wanted | None = None
        self._listed: Wanted | None = None
        self._prompt: tuple[str | None] = (None,)
        self._traced: tuple[str | None] = self._prompt
        self._follow = False
        self._list: _List | None = None
        self._time: _Time | None = None
        self._told = 0.0

    def ask(self, wanted: Wanted) -> None:
        """List what is wanted, from the newest on, and again for each new object. A search for something else stops."""
        self._wanted = wanted
        self._asked.set()

    def follow(self) -> None:
        """The run has grown: look for what belongs at the top of the list."""
        self._follow = True
        self._asked.set()

    def open(self, number: int) -> None:
        """Read a whole generation."""
        self._do(lambda: Opened(number, self._reader.read(number) if number < len(self._reader.index) else None))

    def compare(self, one: str, other: str) -> None:
        self._do(lambda: Compared((one, other), compare(one, other)))

    def through(self, prompt: str | None) -> None:
        """Look for every generation in which a prompt was answered; None: no more."""
        self._prompt = (prompt,)
        self._asked.set()

    def _serve(self) -> None:
        while not self._stopped:
            # A short rest even where there is work: another thread that wants to draw comes first.
            self._asked.wait(PAUSE if self._busy else None)
            self._asked.clear()
            self._look_up()
            if not self._stopped:
                self._work()

    @property
    def _busy(self) -> bool:
        return bool(self._small) or any(job is not None and not job.done for job in (self._time, self._list))

    def _do(self, small: Callable[[], Answer]) -> None:
        self._small.append(small)
        self._asked.set()

    def _look_up(self) -> None:
        """Begin what was newly asked for."""
        wanted, prompt = self._wanted, self._prompt
        if wanted is not None and wanted is not self._listed:
            self._listed = wanted
            self._reader.refresh()
            self._list = _List(self._reader, wanted)
        elif self._follow:
            self._follow = False
            self._reader.refresh()
            if self._list is not None:
                self._list.grow()
        if prompt is not self._traced:
            self._traced = prompt
            self._reader.refresh()
            self._time = _Time(self._reader, prompt[0]) if prompt[0] is not None else None

    def _work(self) -> None:
        if self._small:
            self._deliver(self._small.popleft()())
        elif self._time is not None and not self._time.done:
            self._slice(self._time)
        elif self._list is not None and not self._list.done:
            self._slice(self._list)

    def _slice(self, job: _List | _Time) -> None:
        first = not job.begun
        job.slice()
        now = time.monotonic()
        if first or job.done or now - self._told >= TELL:
            self._told = now
            self._deliver(job.answer())


class _List:
    """The search for a list, and the one for what came after it."""

    def __init__(self, reader: RolloutReader, wanted: Wanted) -> None:
        self._reader, self._wanted = reader, wanted
        self._pattern = _pattern(wanted)
        # One more than is kept tells whether there are more.
        self._older = Search(reader, wanted, LIMIT + 1)
        self._newer: Search | None = None
        self._known = len(reader.index)
        self._top: list[Row] = []
        self._rows: tuple[Row, ...] = ()
        self._more = False
        self.begun = False

    @property
    def done(self) -> bool:
        return self.begun and self._newer is None and self._older.done

    def grow(self) -> None:
        """Look at the generations that have come. While those before are looked at, they wait."""
        if self._newer is None and self._known < len(self._reader.index):
            newest = replace(self._wanted, since=max(self._wanted.since, self._known))
            self._newer = Search(self._reader, newest, LIMIT + 1)
            self._known = len(self._reader.index)

    def slice(self) -> None:
        self.begun = True
        if self._newer is not None:
            self._top += self._rows_of(self._newer.take(SLICE))
            if self._newer.done:
                self._rows, self._top = (*self._top, *self._rows), []
                self._newer = None
                self.grow()
        else:
            self._rows += tuple(self._rows_of(self._older.take(SLICE)))
        if len(self._rows) > LIMIT:
            self._rows, self._more = self._rows[:LIMIT], True
            self._older.done = True

    def answer(self) -> Found:
        return Found(
            wanted=self._wanted,
            rows=self._rows,
            more=self._more,
            done=self.done,
            step=self._older.step,
            generations=len(self._reader.index),
            gone=len(self._reader.index) - int(np.count_nonzero(self._reader.kept)),
            damaged=self._older.blocks_unreadable,
            blocks=self._older.blocks_read,
            tasks=tuple(task_names(self._reader.folder) or ()) if self.done else (),
        )

    def _rows_of(self, hits: list[Hit]) -> list[Row]:
        return [row_of(hit, self._pattern) for hit in hits]


class _Time:
    """The search for one prompt through time. A group is whole once another generation follows it."""

    def __init__(self, reader: RolloutReader, prompt: str) -> None:
        self.prompt = prompt
        self._search = Search(reader, Wanted(prompt=prompt), 1 << 40)
        self._moments: tuple[Moment, ...] = ()
        self._hits: list[Hit] = []
        self._more = False
        self.begun = False

    @property
    def done(self) -> bool:
        return self.begun and self._search.done

    def slice(self) -> None:
        self.begun = True
        for hit in self._search.take(SLICE):
            if self._hits and (hit.number, hit.group) != (self._hits[0].number, self._hits[0].group):
                self._close()
            self._hits.append(hit)
        if self._search.done:
            self._close()
        if len(self._moments) >= MOMENTS and not self._search.done:
            self._more = self._search.done = True

    def answer(self) -> Through:
        return Through(self.prompt, self._moments, self._more, self.done, self._search.step)

    def _close(self) -> None:
        if self._hits:
            self._moments = (*self._moments, moment_of(self._hits))[:MOMENTS]
            self._hits = []


def row_of(hit: Hit, pattern: re.Pattern[str] | None) -> Row:
    """The row of a hit: its beginning, or the place where what was looked for stands."""
    text, found = excerpt(hit.completion, pattern)
    return Row(
        hit.step,
        hit.number,
        hit.index,
        hit.group,
        hit.task,
        hit.reward,
        hit.advantage,
        hit.correct,
        hit.confidence,
        hit.format,
        hit.length,
        hit.truncated,
        text,
        found,
    )


def excerpt(text: str, pattern: re.Pattern[str] | None) -> tuple[str, tuple[int, int]]:
    """The first words of a text, or those around the first place where `pattern` is found, and where that is."""
    match = pattern.search(text) if pattern is not None else None
    begin = max(0, match.start() - BEFORE) if match else 0
    begin = 0 if begin < BEFORE else begin
    lead = "… " if begin else ""
    shown = lead + shown_in_line(text[begin : begin + HEAD])
    if match is None:
        return shown, (0, 0)
    at = len(lead) + len(shown_in_line(text[begin : match.start()]))
    return shown, (min(at, len(shown)), min(at + len(shown_in_line(match[0][:HEAD])), len(shown)))


def shown_in_line(text: str) -> str:
    """Text in one line, with its line breaks as signs."""
    return text.replace("\n", "⏎").replace("\t", " ")


def moment_of(hits: list[Hit]) -> Moment:
    """What one group amounts to."""
    rewards = np.array([hit.reward for hit in hits])
    known = rewards[~np.isnan(rewards)]
    best = hits[int(np.argmax(np.where(np.isnan(rewards), -np.inf, rewards)))]
    judged = [hit.correct for hit in hits if hit.correct == hit.correct]
    return Moment(
        number=hits[0].number,
        step=hits[0].step,
        group=hits[0].group,
        count=len(hits),
        reward=float(known.mean()) if len(known) else float("nan"),
        right=sum(value >= RIGHT for value in judged),
        judged=len(judged),
        best=best.index,
        best_reward=best.reward,
        text=shown_in_line(best.completion[:HEAD]),
    )


def _pattern(wanted: Wanted) -> re.Pattern[str] | None:
    if wanted.regex is not None:
        return compiled(wanted.regex)
    return re.compile(re.escape(wanted.text), re.IGNORECASE) if wanted.text else None
