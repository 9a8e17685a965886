"""Each rank's sign of life, `ranks/<rank>.json`: what it does now, and how long that takes it as a rule.

heartbeat.json says that the run lives; one rank of many that hangs holds up all others without anybody dying. So
every rank says for itself what it does. The files are replaced whole by the process they speak of, and are as hostile
as anything else in a run that came from elsewhere: what is read here is checked and cleaned.

A rank's own clock may differ from the viewer's. What a rank says of time is therefore only taken as differences, and
how long it has been silent is measured here, from when its file was last seen to change.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Struct, field

from .entries import Step, Whole, clean_decode
from .facts import process_alive
from .layout import Layout, open_regular, replace_file
from .text import clean_line

STACK_SIGNAL = signal.SIGURG
"""Has a rank write its threads' stacks; `instrument/stacks.py` says why this one."""

BIGGEST_SIGN = 64 << 10
MOST_RANKS = 4096
LONGEST_WORD = 120

PHASES = ("generating", "scoring", "updating", "probing", "waiting")
"""What a step is made of, in the order in which it happens; all else is `other`."""
ENDED = "ended"
"""The activity of a rank that has done all that it had to."""

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
LONGEST = 1e10
"""Seconds, some 300 years: whatever is further away is damaged, and would overflow in whoever divides by it."""
Seconds = Annotated[float, msgspec.Meta(ge=0, le=LONGEST)]
Moment = Annotated[float, msgspec.Meta(ge=-LONGEST, le=LONGEST)]


class RankSign(Struct, frozen=True, kw_only=True):
    """What one rank says of itself.

    Attributes:
        t: when it said so, by its own clock; `since` likewise: when it began its present activity.
        born: when its process began, in the kernel's ticks since the machine was started; None where that is not known.
        step: steps that it has finished.
        waiting: the collective in which it waits for the others, as far as that can be seen; empty where it works.
        place: the innermost function of the training thread.
        spans: what it did in the present step so far, in order: activity and seconds, without what it does now.
        typical: for each activity its median seconds a step, over the last `steps` steps in which there was any.
        total: seconds of each activity in the last `steps` steps together.
        stacks: `STACK_SIGNAL` has it write its threads' stacks.
        memory: bytes: `rss`, `peak` of it, and on a GPU `gpu`, `gpu peak`, `gpu total`.
        missed: signs of life that could not be written.
    """

    t: Moment
    rank: Count
    world: Count
    pid: Whole
    host: str
    born: Count | None = None
    step: Step
    activity: str
    since: Moment
    waiting: str = ""
    place: str = ""
    spans: list[tuple[str, Seconds]] = []
    typical: dict[str, Seconds] = {}
    total: dict[str, Seconds] = {}
    steps: Count = 0
    stacks: bool = False
    memory: dict[str, Count] = {}
    missed: Count = 0


class RankClock(Struct, frozen=True):
    """A rank as a viewer sees it now.

    Attributes:
        age: seconds in the present activity.
        quiet: seconds without a sign of life.
        alive: whether its process is there; None where it runs on another machine.

    The others are those of `RankSign`.
    """

    rank: int
    host: str
    pid: int
    step: int
    activity: str
    age: float
    quiet: float = 0.0
    alive: bool | None = None
    waiting: str = ""
    place: str = ""
    spans: tuple[tuple[str, float], ...] = ()
    typical: Mapping[str, float] = field(default_factory=dict)
    total: Mapping[str, float] = field(default_factory=dict)
    steps: int = 0
    stacks: bool = False
    memory: Mapping[str, int] = field(default_factory=dict)
    missed: int = 0


def process_born(pid: int) -> int | None:
    """When a process of this machine began, in ticks since the machine was started; None where that cannot be seen."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        return int(stat.rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def write_sign(layout: Layout, sign: RankSign) -> None:
    """Raises OSError."""
    replace_file(layout.ranks / f"{sign.rank}.json", msgspec.json.encode(sign))


def read_sign(layout: Layout, rank: int) -> RankSign | None:
    """What `rank` said last; None where there is nothing that could be its sign."""
    try:
        with open_regular(layout.ranks / f"{rank}.json") as file:
            raw = file.read(BIGGEST_SIGN + 1)
        sign: RankSign | None = clean_decode(raw, RankSign) if len(raw) <= BIGGEST_SIGN else None
    except (OSError, ValueError, RecursionError):
        return None
    if sign is None or sign.rank != rank or len(sign.spans) + len(sign.typical) + len(sign.total) > 256:
        return None
    words = {
        name: clean_line(getattr(sign, name), limit=LONGEST_WORD) for name in ("host", "activity", "waiting", "place")
    }
    return msgspec.structs.replace(sign, **words)


class SignReader:
    """The signs of life of all ranks of a run, read again where they were replaced. Not thread-safe."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._here = socket.gethostname()
        self._stamps: dict[int, tuple[int, int, int]] = {}
        self._signs: dict[int, tuple[RankSign, float]] = {}

    def refresh(self, now: float) -> bool:
        """Read what is new; True when a rank does something else than before."""
        changed = False
        for rank, path in self._files():
            try:
                about = os.stat(path)
            except OSError:
                continue
            stamp = (about.st_mtime_ns, about.st_size, about.st_ino)
            if self._stamps.get(rank) == stamp:
                continue
            self._stamps[rank] = stamp
            sign = read_sign(self._layout, rank)
            before = self._signs.pop(rank, (None, 0.0))[0]
            if sign is not None:
                self._signs[rank] = (sign, now)
            changed |= _told(sign) != _told(before)
        return changed

    def clocks(self, now: float, world: int | None) -> tuple[RankClock, ...]:
        """The ranks at the viewer's time `now`, in order; none beyond `world`, where an earlier process left more."""
        found = sorted(self._signs.items())
        return tuple(self._clock(sign, heard, now) for rank, (sign, heard) in found if world is None or rank < world)

    def longest(self, now: float) -> float:
        """Seconds that the slowest rank has been in its present activity."""
        return max((self._age(sign, heard, now)[0] for sign, heard in self._signs.values()), default=0.0)

    def _age(self, sign: RankSign, heard: float, now: float) -> tuple[float, float]:
        """Seconds in the present activity, and without a sign of life."""
        quiet = max(0.0, now - (sign.t if sign.host == self._here else heard))
        return max(0.0, sign.t - sign.since) + quiet, quiet

    def _clock(self, sign: RankSign, heard: float, now: float) -> RankClock:
        here = sign.host == self._here
        age, quiet = self._age(sign, heard, now)
        return RankClock(
            rank=sign.rank,
            host=sign.host,
            pid=sign.pid,
            step=sign.step,
            activity=sign.activity,
            age=age,
            quiet=quiet,
            alive=process_alive(sign.pid) and sign.born in (None, process_born(sign.pid)) if here else None,
            waiting=sign.waiting,
            place=sign.place,
            spans=tuple(sign.spans),
            typical=sign.typical,
            total=sign.total,
            steps=sign.steps,
            stacks=sign.stacks,
            memory=sign.memory,
            missed=sign.missed,
        )

    def _files(self) -> list[tuple[int, str]]:
        try:
            with os.scandir(self._layout.ranks) as entries:
                names = [entry.name for entry in islice(entries, 4 * MOST_RANKS) if entry.name.endswith(".json")]
        except OSError:
            return []
        # Plain digits as the writer writes them: no sign, no leading zero, no other script's numerals.
        ranks = [int(stem) for name in names if (stem := name[:-5]).isascii() and stem.isdecimal() and len(stem) < 8]
        return [(rank, str(self._layout.ranks / f"{rank}.json")) for rank in sorted(ranks)[:MOST_RANKS]]


def _told(sign: RankSign | None) -> object:
    """What a viewer would draw differently; that a rank goes on saying the same changes nothing."""
    if sign is None:
        return None
    return sign.pid, sign.host, sign.step, sign.activity, sign.since, bool(sign.waiting), sign.stacks
