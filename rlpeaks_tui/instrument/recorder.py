"""The training process's side of the run directory. Nothing here ever raises into training.

On every rank but the first a recorder has no directory and writes nothing but the rank's sign of life, so that callers
need not ask which rank they are. A failed write is counted, told in the journal, and tried again.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from ..config import Probes
from ..run.entries import Entry, Error, RunState, State
from ..run.facts import Heartbeat, NotARun, RunInfo, read_facts, write_facts, write_heartbeat
from ..run.heldout import HeldOutPrompts, write_held_out
from ..run.journal import JournalWriter
from ..run.layers import Layers, write_layers
from ..run.layout import Layout
from ..run.masks import Masks, write_masks
from ..run.rollouts import Block, RolloutWriter
from ..run.signs import ENDED
from .clock import PAUSED, Clock
from .life import Life

BEAT_SECONDS = 0.5
LONG_SECONDS = 1.0
"""The end of an activity that took as long is told at once. A rank that does something else every few milliseconds
tells twice a second what it does, like any other."""
WAITING_FILES = 16


class Recorder:
    """Writes one run's journal, rollouts, layers and sign of life.

    Args:
        directory: the run, or None on a rank that does not write.
    """

    def __init__(self, directory: Path | None) -> None:
        self.directory = directory
        self.step = 0
        self.clock = Clock()
        self._life: Life | None = None
        self._thread = threading.Thread(target=self._beat, name="rlpeaks-heartbeat", daemon=True)
        self._changed = threading.Event()
        self._lost_files = 0
        self._waiting: deque[Callable[[], object]] = deque()
        self._stop = threading.Event()
        if directory is None:
            return
        self._layout = Layout(directory)
        self._journal = JournalWriter(self._layout.journal, "trainer")
        self._rollouts = RolloutWriter(self._layout.rollouts, _rollout_bytes(self._layout))
        self._thread.start()

    def gives_sign(self, life: Life) -> None:
        """From now on this rank says what it does, whether or not it writes anything else."""
        self._life = life
        self.clock.begin()
        if not self._thread.is_alive() and not self._stop.is_set():
            self._thread.start()

    @property
    def lost(self) -> int:
        """Journal entries and files that could not be written and were given up."""
        return 0 if self.directory is None else self._journal.lost + self._lost_files

    @property
    def activity(self) -> str:
        return self.clock.activity

    def doing(self, activity: str) -> None:
        """What the process does from now on; reaches viewers with the next sign of life."""
        if self.clock.doing(activity) >= LONG_SECONDS:
            self._changed.set()

    def state(self, state: RunState, activity: str = "", why: str = "", refused: bool = False) -> None:
        """The run as a whole enters a state; `refused` when its settings could not be used."""
        self.doing(activity or (PAUSED if state == "paused" else ""))
        if self.directory is not None:
            here = State(
                t=time.time(),
                state=state,
                activity=activity,
                step=self.step,
                why=why,
                pid=os.getpid(),
                host=socket.gethostname(),
                refused=refused,
            )
            self._journal.write(here, sync=True)

    def write(self, *entries: Entry, sync: bool = False) -> None:
        if self.directory is not None:
            self._journal.write(*entries, sync=sync)

    def error(self, where: str, error: BaseException) -> None:
        """A part of the instruments failed; training goes on."""
        text = "".join(traceback.format_exception(error))[-4000:]
        self.write(Error(t=time.time(), where=where, text=text, step=self.step))

    def rollouts(self, block: Block) -> None:
        if self.directory is not None:
            self._file(lambda: self._rollouts.append(block))

    def layers(self, layers: Layers) -> None:
        if self.directory is not None:
            self._file(lambda: write_layers(self._layout.layers, layers))

    def held_out(self, prompts: HeldOutPrompts) -> None:
        if self.directory is not None:
            self._file(lambda: write_held_out(self._layout, prompts))

    def masks(self, masks: Masks) -> None:
        if self.directory is not None:
            self._file(lambda: write_masks(self._layout.layers, masks))

    def facts(self, change: Callable[[RunInfo], RunInfo]) -> None:
        """Complete run.json with what only the training process knows."""
        if self.directory is not None:
            try:
                write_facts(self._layout, change(read_facts(self._layout)))
            except OSError as error:
                self.error("run.json", error)

    def close(self) -> None:
        """Write what waits and end the sign of life."""
        self._stop.set()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2)
        if self._life is not None:
            self.doing(ENDED)
            self._life.end(self.step)
        if self.directory is None:
            return
        self._try_files()
        self._journal.close()

    def _file(self, write: Callable[[], object]) -> None:
        self._waiting.append(write)
        if len(self._waiting) > WAITING_FILES:
            self._waiting.popleft()
            self._lost_files += 1
        self._try_files()

    def _try_files(self) -> None:
        while self._waiting:
            try:
                self._waiting[0]()
            except OSError as error:
                self.error("writing", error)
                return
            self._waiting.popleft()

    def _beat(self) -> None:
        beat = 0
        while True:
            beat += 1
            if self.directory is not None:
                here = Heartbeat(
                    t=time.time(),
                    beat=beat,
                    pid=os.getpid(),
                    host=socket.gethostname(),
                    step=self.step,
                    activity=self.clock.activity,
                    since=self.clock.since,
                )
                # A failed beat needs no other notice: viewers see the age of the last one.
                with contextlib.suppress(OSError):
                    write_heartbeat(self._layout, here)
            if self._life is not None:
                self._life.sign(self.step)
            self._changed.wait(BEAT_SECONDS)
            if self._stop.is_set():
                return
            self._changed.clear()


def _rollout_bytes(layout: Layout) -> int | None:
    """What the run's completions may take on disk; the default where run.json does not say, or says what cannot be."""
    try:
        settings = msgspec.convert(read_facts(layout).config.get("probes", {}), Probes)
    except (NotARun, msgspec.ValidationError):
        settings = Probes()
    return (settings if settings.rollouts_mb >= 0 else Probes()).rollout_bytes()
