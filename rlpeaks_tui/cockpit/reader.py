"""The thread that reads the run, so that a slow file system never delays a key.

It reads when it is asked to and answers with one reading, so a screen that is slow to draw can never be behind
by more than one. Asking again while it reads changes nothing but where to look next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct, field

from rlpeaks_tui.run import present
from rlpeaks_tui.run.facts import NotARun
from rlpeaks_tui.run.follow import Follower, Snapshot
from rlpeaks_tui.run.layers import Layers
from rlpeaks_tui.run.rollouts import Rollouts
from rlpeaks_tui.stats.evaluator import Evaluator
from rlpeaks_tui.stats.preview import task_rate

from . import effects
from .checks import check
from .curriculum import phases_of
from .expected import EVERY, Rates
from .panels import BY_ID
from .scene import Health
from .study import Study
from .worker import Worker

LOADING = 0.25
"""Seconds that are read at once while there is much to read."""


class Wanted(Struct, frozen=True):
    """What the screen needs besides the snapshot.

    Attributes:
        step: the one it shows; None for the newest.
        panel: the one that is enlarged, whose study is wanted; empty when none is.
        rates: how recent completions of each task did.
        effects: commands, by id, of which it is to be told whether they helped.
    """

    step: int | None = None
    panel: str = ""
    rates: bool = False
    effects: tuple[str, ...] = ()


class Reading(Struct, frozen=True):
    """One answer: the run now, and what was written at or before the wanted step. `loading` while more is unread.

    `health` is that of the wanted step, `latest` that of the newest.
    `effects` has the lines for each command asked about, or None where it is too early to tell.
    """

    snapshot: Snapshot
    wanted: Wanted
    layers: Layers | None
    rollouts: Rollouts | None
    health: Health
    latest: Health = field(default_factory=Health)
    study: object = None
    rates: Rates | None = None
    effects: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    loading: bool = False
    trouble: str = ""


class Reader(Worker[Reading]):
    """Follows one run. `deliver` is called in this thread with each reading, or with what ended the thread."""

    def __init__(self, follower: Follower, deliver: Callable[[Reading | Exception], None]) -> None:
        super().__init__("reader", deliver)
        self._follower = follower
        self._wanted = Wanted()
        self._evaluator = Evaluator()
        self._version = -1
        self._judged: dict[int, Health] = {}
        self._studies: dict[str, Study] = {}
        self._studied: tuple[tuple[str, int, int], object] | None = None
        self._rated: tuple[tuple[int, int], Rates] | None = None

    def ask(self, wanted: Wanted) -> None:
        """Read soon, and look at what is wanted now."""
        self._wanted = wanted
        self._asked.set()

    def stop(self) -> None:
        """End the thread and wait until it has."""
        self.let_go()
        if self.is_alive():
            self.join()

    def _serve(self) -> None:
        while True:
            self._asked.wait()
            self._asked.clear()
            if self._stopped:
                return
            reading = self.read(self._wanted)
            while reading.loading and not self._stopped:
                self._deliver(reading)
                # As often as a screen is drawn: what it cannot show in time would only wait and hold memory.
                reading = self.read(self._wanted, LOADING)
            if not self._stopped:
                self._deliver(reading)

    def read(self, wanted: Wanted, seconds: float = 0.05) -> Reading:
        """Poll once and gather what is wanted. What cannot be read is said in the reading; what was known stays."""
        trouble = ""
        try:
            self._follower.poll(seconds)
        except (OSError, NotARun) as error:
            trouble = f"cannot read the run: {error}"
        snapshot = self._follower.snapshot()
        if not snapshot.directory.is_dir():
            trouble = f"{snapshot.directory} is gone; this is what was read of it"
        step = snapshot.step if wanted.step is None else wanted.step
        loading = self._follower.more and not trouble
        # Before the rollouts of the step shown, which the follower then still has at hand the next time.
        rates = self._rates(snapshot) if wanted.rates and not loading else None
        study = None
        if not loading:
            try:
                study = self._study(wanted.panel, snapshot, step)
            except Exception as error:
                # Of a run such as nobody thought of: the other panels go on.
                trouble = trouble or f"{wanted.panel} could not be worked out: {type(error).__name__}: {error}"
        return Reading(
            snapshot=snapshot,
            wanted=wanted,
            layers=present.layers(self._follower, snapshot, step),
            rollouts=present.rollouts(self._follower, snapshot, step),
            health=Health() if loading else self._checked(snapshot, step),
            latest=Health() if loading else self._checked(snapshot, snapshot.step),
            study=study,
            rates=rates,
            effects={} if loading else self._effects(snapshot, wanted.effects),
            loading=loading,
            trouble=trouble,
        )

    def _effects(self, snapshot: Snapshot, wanted: tuple[str, ...]) -> dict[str, tuple[str, ...] | None]:
        found: dict[str, tuple[str, ...] | None] = {}
        for mark in snapshot.commands:
            if mark.id in wanted:
                lines = effects.lines_for(snapshot, mark)
                found[mark.id] = None if lines is None else tuple(lines)
        return found

    def _rates(self, snapshot: Snapshot) -> Rates:
        """How the newest completions of each task of the curriculum did; looked at again every few generations."""
        key = len(snapshot.rollout_steps) // EVERY, len(snapshot.branches)
        if self._rated is None or self._rated[0] != key:
            rates, (numbers, _) = {}, present.generations(snapshot, snapshot.step)
            for task in {task: None for phase in phases_of(snapshot) for task in phase.tasks}:
                found = self._follower.outcomes(task, numbers)
                rate = task_rate(found.step, found.prompt, found.correct)
                if rate is not None:
                    rates[task] = rate
            self._rated = (key, rates)
        return self._rated[1]

    def _checked(self, snapshot: Snapshot, step: int) -> Health:
        if self._version != snapshot.version:
            self._version = snapshot.version
            self._judged.clear()
        if step not in self._judged:
            self._judged[step] = check(self._evaluator, snapshot, step)
        return self._judged[step]

    def _study(self, panel: str, snapshot: Snapshot, step: int) -> object:
        make = BY_ID[panel].study if panel else None
        if make is None:
            return None
        key = (panel, snapshot.version, step)
        if self._studied is None or self._studied[0] != key:
            study = self._studies.setdefault(panel, make())
            self._studied = (key, study(self._follower, snapshot, step))
        return self._studied[1]
