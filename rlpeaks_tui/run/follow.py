"""Following a run: everything a viewer knows about it, as one immutable snapshot at a time.

Live and replay are the same: a live run is one whose files still grow. Reading is bounded by time, so that
a long run can be shown while it loads, and a snapshot is made of views, so that taking one costs the same
for ten steps as for a million.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from .checkpoints import Manifest, whole_checkpoints
from .columns import Columns, ColumnStore
from .entries import (
    Alert,
    Branch,
    Checkpoint,
    Command,
    Error,
    Line,
    Lost,
    Metrics,
    Note,
    Phase,
    Probe,
    RunState,
    Settings,
    State,
)
from .facts import Exit, Heartbeat, NotARun, RunInfo, read_exit, read_heartbeat, shown_facts
from .journal import JournalReader
from .layers import Layers, layer_steps, read_layers
from .layout import Layout, open_regular
from .liveness import Condition, judge
from .mailbox import Order, waiting
from .marks import CommandMark, marks
from .measured import Evaluation, Reliability, evaluation_of, reliability_of
from .outcomes import Outcomes, recent_outcomes
from .pace import Pace, judge_pace
from .rollouts import RolloutReader, Rollouts
from .signs import RankClock, SignReader
from .text import console_lines

CONSOLE_BYTES = 64 << 10
CONSOLE_LINES = 500
KEPT_ERRORS = 200
WITH_LAYERS = "sparsity"
"""The probe that writes the layers."""


class Snapshot(Struct, frozen=True, dict=True):
    """A run at one moment. Equal `version` means that nothing changed."""

    version: int
    info: RunInfo
    directory: Path
    state: RunState
    activity: str
    activity_age: float
    why: str
    refused: bool
    step: int
    max_steps: int
    speed: float | None
    phases: tuple[Phase, ...]
    columns: Columns
    commands: tuple[CommandMark, ...]
    alerts: tuple[Alert, ...]
    errors: tuple[Error, ...]
    checkpoints: tuple[Checkpoint, ...]
    """Every one that was written."""
    restorable: tuple[Checkpoint, ...]
    """Those that are whole on disk and can be gone back to, oldest first."""
    settings: tuple[Settings, ...]
    """Settings in force, oldest first; the last one says which commands cannot work here."""
    branches: tuple[Branch, ...]
    notes: tuple[Note, ...]
    probes: dict[str, tuple[Probe, ...]]
    """Every result of each probe, oldest first, without what is in `columns` and without its arrays."""
    calibrations: tuple[Reliability, ...]
    evaluations: tuple[Evaluation, ...]
    layer_steps: NDArray[np.int64]
    layer_times: NDArray[np.float64]
    """When the probe of each of `layer_steps` was made, which tells on which branch; NaN where not yet known."""
    rollout_steps: NDArray[np.int64]
    rollout_sizes: NDArray[np.int64]
    """Of each generation: its step, and how many completions it has."""
    exit: Exit | None
    heartbeat_age: float | None
    lost: int
    skipped: int
    console: tuple[str, ...]
    ranks: tuple[RankClock, ...] = ()
    """Each rank's own sign of life; none in runs from before there were any."""

    @property
    def live(self) -> bool:
        return self.state in ("starting", "running", "paused")

    @cached_property
    def pace(self) -> Pace:
        """Whether the run moves, and which rank holds it up."""
        return judge_pace(self.ranks, self.state, self.info.world_size)

    @property
    def eta_s(self) -> float | None:
        """Seconds left at the present speed; of a run that is stuck none can be foretold."""
        moves = self.state in ("running", "paused") and not self.pace.ranks
        return (self.max_steps - self.step) / self.speed if moves and self.speed and self.max_steps else None


class Follower:
    """Reads a run directory again and again. Not thread-safe: one thread polls, anybody may hold a snapshot.

    Args:
        directory: the run.
        clock: seconds since 1970, to tell how old a sign of life is.

    Raises:
        NotARun: there is no run at `directory`, or a newer version wrote it.
    """

    def __init__(self, directory: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._layout = Layout(directory)
        self._clock = clock
        self._info = shown_facts(self._layout)
        self._journal = JournalReader(self._layout.journal)
        self._rollouts = RolloutReader(self._layout.rollouts)
        self._store = ColumnStore()
        self._states: dict[str, State] = {}
        self._last_state: State | None = None
        self._phases: list[Phase] = []
        self._commands: list[Command] = []
        self._alerts: list[Alert] = []
        self._errors: deque[Error] = deque(maxlen=KEPT_ERRORS)
        self._checkpoints: list[Checkpoint] = []
        self._whole: dict[str, Manifest] = {}
        self._settings: list[Settings] = []
        self._branches: list[Branch] = []
        self._notes: list[Note] = []
        self._probes: dict[str, list[Probe]] = {}
        self._calibrations: list[Reliability] = []
        self._evaluations: list[Evaluation] = []
        self._step = 0
        self._seconds: deque[float] = deque(maxlen=20)
        self._lost = 0
        self._layer_steps: NDArray[np.int64] = np.empty(0, np.int64)
        self._layer_times: dict[int, float] = {}
        self._layer_cache: tuple[int, Layers | None] | None = None
        self._rollout_cache: tuple[int, Rollouts | None] | None = None
        self._console: tuple[str, ...] = ()
        self._stamps: dict[Path, tuple[int, int]] = {}
        self._exit: Exit | None = None
        self._beat: Heartbeat | None = None
        self._orders: list[Order] = []
        self._signs = SignReader(self._layout)
        self._version = 0
        self._columns = self._store.columns()
        self._seen: tuple[object, ...] = ()

    @property
    def more(self) -> bool:
        """True while the last poll stopped at its time bound with more left to read."""
        return self._journal.more

    @property
    def launcher_pid(self) -> int | None:
        """The process that will write exit.json, when it said so."""
        said = self._states.get("launcher")
        return None if said is None else said.pid

    def poll(self, seconds: float = 0.05) -> bool:
        """Read what is new for about `seconds` at most; True when anything changed."""
        changed = self._read_journal(seconds)
        changed |= self._rollouts.refresh()
        if self._touched(self._layout.layers):
            self._layer_steps = layer_steps(self._layout.layers)
            # A step that is trained again has another file of the same name.
            self._layer_cache = None
            changed = True
        if self._touched(self._layout.facts):
            # A run.json that is damaged under our eyes is no reason to stop looking at the run.
            with contextlib.suppress(NotARun):
                self._info = shown_facts(self._layout)
            changed = True
        if self._touched(self._layout.exit):
            self._exit = read_exit(self._layout)
            changed = True
        if self._touched(self._layout.console):
            self._console = self.console(CONSOLE_BYTES)[-CONSOLE_LINES:]
            changed = True
        self._beat = read_heartbeat(self._layout)
        self._orders = waiting(self._layout.root)
        at = self._clock()
        changed |= self._signs.refresh(at)
        condition = self._judge(at)
        # What a viewer shows of time moves once a second, and only where something takes longer than that.
        tick = int(at) if condition.state == "running" and self._signs.longest(at) >= 1 else 0
        now = (condition.state, condition.activity, condition.why, [order.id for order in self._orders], tick)
        if now != self._seen:
            self._seen = now
            changed = True
        self._version += changed
        return changed

    def snapshot(self) -> Snapshot:
        now = self._clock()
        condition = self._judge(now)
        seconds = sum(self._seconds)
        speed = len(self._seconds) / seconds if seconds > 0 else None
        ended = condition.state in ("finished", "stopped", "failed")
        return Snapshot(
            version=self._version,
            info=self._info,
            directory=self._layout.root,
            state=condition.state,
            activity=condition.activity,
            activity_age=max(0.0, now - condition.since),
            why=condition.why,
            refused=self._last_state is not None and self._last_state.refused,
            step=self._step,
            max_steps=self._info.max_steps,
            speed=speed,
            phases=tuple(self._phases),
            columns=self._columns,
            commands=marks(self._commands, self._orders, ended),
            alerts=tuple(self._alerts),
            errors=tuple(self._errors),
            checkpoints=tuple(self._checkpoints),
            restorable=self._on_disk(),
            settings=tuple(self._settings),
            branches=tuple(self._branches),
            notes=tuple(self._notes),
            probes={name: tuple(found) for name, found in self._probes.items()},
            calibrations=tuple(self._calibrations),
            evaluations=tuple(self._evaluations),
            layer_steps=self._layer_steps,
            layer_times=np.array([self._layer_times.get(step, np.nan) for step in self._layer_steps.tolist()]),
            rollout_steps=self._rollouts.index["step"],
            rollout_sizes=self._rollouts.index["completions"],
            exit=self._exit,
            heartbeat_age=None if self._beat is None else max(0.0, now - self._beat.t),
            lost=self._lost,
            skipped=self._journal.skipped,
            console=self._console,
            ranks=self._signs.clocks(now, self._info.world_size),
        )

    def layers(self, step: int) -> Layers | None:
        """The update probe at or before `step`."""
        at = int(np.searchsorted(self._layer_steps, step, side="right")) - 1
        if at < 0:
            return None
        found = int(self._layer_steps[at])
        if self._layer_cache is None or self._layer_cache[0] != found:
            self._layer_cache = (found, read_layers(self._layout.layers, found))
        return self._layer_cache[1]

    def generation(self, number: int) -> Rollouts | None:
        """A generation by its place in `Snapshot.rollout_steps`; None where it cannot be read."""
        if self._rollout_cache is None or self._rollout_cache[0] != number:
            self._rollout_cache = (number, self._rollouts.read(number))
        return self._rollout_cache[1]

    def outcomes(self, task: str, numbers: NDArray[np.int64]) -> Outcomes:
        """How the newest completions of a task came out, of the generations `numbers`."""
        return recent_outcomes(self._rollouts, task, numbers)

    def console(self, most: int) -> tuple[str, ...]:
        """The last lines that the training process printed, in at most `most` bytes."""
        try:
            with open_regular(self._layout.console) as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - most))
                raw = file.read(most)
        except OSError:
            return ()
        lines = console_lines(raw)
        # The first line of a tail is most likely the end of one, and the last is empty when the log ends in a newline.
        lines = lines[1:] if size > most else lines
        return tuple(lines[:-1] if lines and not lines[-1] else lines)

    def _read_journal(self, seconds: float) -> bool:
        """Read for about `seconds`, a piece at a time, so that no more than a piece is held as lines."""
        deadline = time.monotonic() + seconds
        changed = False
        while True:
            entries = self._journal.read(seconds=0.0)
            if entries:
                changed = True
                self._take(entries)
            if not self._journal.more or time.monotonic() > deadline:
                break
        if changed:
            self._columns = self._store.columns()
        return changed

    def _take(self, entries: list[Line]) -> None:
        rows: list[Metrics | Probe] = []
        for entry in entries:
            match entry:
                case Metrics():
                    rows.append(entry)
                    self._step = entry.step
                    seconds = entry.v.get("time/step")
                    if seconds is not None:
                        self._seconds.append(seconds)
                case Probe():
                    rows.append(entry)
                    self._probes.setdefault(entry.name, []).append(msgspec.structs.replace(entry, v={}, arrays={}))
                    if entry.name == WITH_LAYERS:
                        self._layer_times[entry.step] = entry.t
                    elif entry.name == "calibration":
                        self._calibrations.extend(reliability_of(entry))
                    elif entry.name == "eval":
                        self._evaluations.extend(evaluation_of(entry))
                case State():
                    self._states[entry.by] = entry
                    if self._last_state is None or entry.t >= self._last_state.t:
                        self._last_state = entry
                case Phase():
                    self._phases.append(entry)
                case Command():
                    self._commands.append(entry)
                case Alert():
                    self._alerts.append(entry)
                case Checkpoint():
                    self._checkpoints.append(entry)
                case Settings():
                    self._settings.append(entry)
                case Branch():
                    self._store.extend(rows)
                    self._store.branch()
                    rows = []
                    self._branches.append(entry)
                    self._step = entry.at
                case Note():
                    self._notes.append(entry)
                case Error():
                    self._errors.append(entry)
                case Lost():
                    self._lost = entry.count
        self._store.extend(rows)

    def _on_disk(self) -> tuple[Checkpoint, ...]:
        """Whole checkpoints on disk; looked for again when the folder was touched."""
        if self._touched(self._layout.checkpoints):
            self._whole = whole_checkpoints(self._layout)
        return tuple(
            Checkpoint(t=manifest.created, step=manifest.step, name=name, bytes=manifest.bytes)
            for name, manifest in self._whole.items()
        )

    def _touched(self, path: Path) -> bool:
        try:
            about = os.stat(path)
        except OSError:
            return False
        stamp = (about.st_mtime_ns, about.st_size)
        if self._stamps.get(path) == stamp:
            return False
        self._stamps[path] = stamp
        return True

    def _judge(self, now: float) -> Condition:
        return judge(self._info, self._last_state, self._states.get("launcher"), self._beat, self._exit, now)
