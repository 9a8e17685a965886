"""What one tick of the cockpit shows: a snapshot of the run, and where in it the viewer looks.

Every panel is a function of a scene and a size, and of nothing else. That makes a panel testable without a
terminal, and makes time travel free: a scene at an older step is the same scene with another cursor.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from msgspec import Struct

from rlpeaks_tui.run import present
from rlpeaks_tui.run.branches import Node, on_the_way, split
from rlpeaks_tui.run.columns import Series
from rlpeaks_tui.run.entries import Phase, Probe
from rlpeaks_tui.run.follow import Snapshot
from rlpeaks_tui.run.layers import Layers
from rlpeaks_tui.run.measured import Reliability
from rlpeaks_tui.run.rollouts import Rollouts
from rlpeaks_tui.run.stacks import NoStack, Stack
from rlpeaks_tui.stats.judging import RECENT, STALE_AFTER
from rlpeaks_tui.stats.judging import Finding as Judged
from rlpeaks_tui.stats.summaries import smooth

from .axes import Floats, extent
from .chart import Behind, Mark


class View(Struct, frozen=True):
    """Where a person looks.

    Attributes:
        panel: the one in focus.
        cursor: the step that everything shows, or None for the newest.
        held: the newest data are not shown until released; the run goes on.
        scroll: lines that a long list is moved down by, in the enlarged panel.
        log: charts whose values are positive have a logarithmic axis.
        filter: a regular expression that names what a list shows; a leading ! turns it around.
        story: which of its stories the enlarged panel tells, counted on and on.
    """

    panel: str = "reward"
    cursor: int | None = None
    held: bool = False
    scroll: int = 0
    log: bool = False
    filter: str = ""
    story: int = 0


class Look(Struct, frozen=True):
    """What the terminal can show, and which keys a drawing may name.

    Attributes:
        ascii_only: no braille and no blocks.
        flat: no colours for heat.
        act, story, checks, stack, live, clock, hold, effect, open, pause, console: keys in force that do what the
            verdict advises, go on to the next story, list every check, show where a rank is, go to the newest step,
            show the clock, hold the view or let it go on, show whether a command helped, open what is picked, pause or
            resume the training, and show what it printed.
    """

    ascii_only: bool = False
    flat: bool = False
    act: str = "a"
    story: str = "v"
    checks: str = "x"
    stack: str = "T"
    live: str = "g"
    clock: str = "t"
    hold: str = "space"
    effect: str = "d"
    open: str = "enter"
    pause: str = "p"
    console: str = "9"


class Finding(Struct, frozen=True):
    """Something that a person should know about the run, with the panel that shows it."""

    rule: str
    text: str
    severity: str
    since: int | None = None
    evidence: str = ""
    remedy: str = ""
    panel: str = ""


class Health(Struct, frozen=True):
    """What the checks of a run's health say.

    Attributes:
        findings: worst first.
        passed, not_applying: how many checks.
        unknown: checks that could not be made, by name and why.
        judged: what every check says, in the order of the rules.
    """

    findings: tuple[Finding, ...] = ()
    passed: int = 0
    not_applying: int = 0
    unknown: tuple[tuple[str, str], ...] = ()
    judged: tuple[Judged, ...] = ()


class Scene(Struct, frozen=True, eq=False, dict=True):
    """A snapshot seen from `view`; `layers` and `rollouts` are those at the step shown.

    `study` is what the enlarged panel asked for, None until it is there; `stack` is that of the rank asked last, or
    why it cannot be told.
    """

    snapshot: Snapshot
    view: View = View()
    look: Look = Look()
    layers: Layers | None = None
    rollouts: Rollouts | None = None
    study: object = None
    health: Health = Health()
    readonly: bool = False
    stack: Stack | NoStack | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """Equal keys: every panel draws the same."""
        probed = None if self.layers is None else self.layers.step
        written = None if self.rollouts is None else self.rollouts.step
        run = self.snapshot.directory, self.snapshot.version
        given = id(self.study), id(self.stack), id(self.health)
        return run, self.view, self.look, probed, written, *given

    @property
    def step(self) -> int:
        """The step that is shown."""
        return self.snapshot.step if self.view.cursor is None else self.view.cursor

    @property
    def ascii_only(self) -> bool:
        return self.look.ascii_only

    @cached_property
    def x(self) -> tuple[int, int]:
        """First and last step of every chart; nothing comes after the last one of a run that is over."""
        furthest = max([self.snapshot.step, *(branch.step for branch in self.snapshot.branches)])
        return extent(0, furthest, (self.snapshot.max_steps or None) if self.snapshot.live else furthest)

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The branches of the run; the last one is the present."""
        return present.nodes(self.snapshot)

    @cached_property
    def marks(self) -> tuple[Mark, ...]:
        """The commands that took effect on the way to the present, for the charts; one that went back stands where it
        went back to. A note is none: it changes nothing, and has a sign of its own."""
        found = []
        for command in self.snapshot.commands:
            step = command.effective
            if step is None or command.status != "applied" or command.verb == "note":
                continue
            if on_the_way(self.nodes, command.t, step):
                found.append(Mark(command.number, step))
        return tuple(found)

    @cached_property
    def phases(self) -> tuple[Phase, ...]:
        """The phases that led to where the run is now."""
        return tuple(phase for phase in self.snapshot.phases if on_the_way(self.nodes, phase.t, phase.step))

    @cached_property
    def reliability(self) -> Reliability | None:
        """The newest calibration diagram that led to the step shown."""
        return present.reliability(self.snapshot, self.step)

    def series(self, name: str) -> Series:
        """A metric along the present branch and those that it came from: its steps never decrease."""
        if name not in self._series:
            self._series[name] = present.series(self.snapshot, name)
        return self._series[name]

    @cached_property
    def _series(self) -> dict[str, Series]:
        return {}

    def behind(self, name: str, smoothed: bool = False) -> tuple[Behind, ...]:
        """What a metric was on the branches that the run has left."""
        series = self.snapshot.columns.get_series(name)
        if series.ordered and not self.snapshot.branches:
            return ()
        found = []
        for left in split(series.steps, self.nodes, series.began)[1]:
            values = series.values[left.rows]
            values = self._smooth(values) if smoothed else values
            found.append(Behind(series.steps[left.rows[left.start :]], values[left.start :], left.name))
        return tuple(found)

    def probe(self, name: str) -> Probe | None:
        """The newest result of a probe that led to the step shown."""
        return present.probe(self.snapshot, name, self.step)

    def value(self, name: str) -> float | None:
        """The value at the step shown: the last one recorded at or before it."""
        return self.series(name).at(self.step)

    def start(self, name: str) -> float | None:
        """The first finite value that was recorded."""
        series = self.series(name)
        for i in range(min(len(series), 1000)):
            if series.values[i] == series.values[i]:
                return float(series.values[i])
        return None

    def stale(self, name: str) -> int | None:
        """The step of the value at the step shown, where more were missed since than the checks forgive; else None."""
        series = self.series(name)
        upto = int(np.searchsorted(series.steps, self.step, side="right"))
        known = series.steps[:upto][np.isfinite(series.values[:upto])][-RECENT:]
        if len(known) < 2 or self.step - known[-1] <= STALE_AFTER * float(np.median(np.diff(known))):
            return None
        return int(known[-1])

    def why(self, name: str) -> str:
        """Why there is no value: the reason the run gave, or what is known without one."""
        said = self.snapshot.columns.why(name)
        if said:
            return said
        if len(self.series(name)):
            return f"no value at or before step {self.step:,}"
        if not self.snapshot.step:
            return "no step has ended yet" if self.snapshot.live else "the run ended before its first step"
        return "this run does not record it"

    @cached_property
    def half_life(self) -> float:
        """Values after which the weight of one in a smoothed line has halved; moves with the axis, in jumps."""
        return max(2.0, (self.x[1] - self.x[0]) / 80)

    def smoothed(self, name: str) -> Floats:
        """The values of a metric, smoothed over the past only, so that nothing drawn moves later."""
        if name not in self._smoothed:
            self._smoothed[name] = self._smooth(self.series(name).values)
        return self._smoothed[name]

    def _smooth(self, values: Floats) -> Floats:
        """On a log axis without what lies below every positive value: after a last zero a mean falls without end there,
        to heights that nobody recorded."""
        found = smooth(values, self.half_life)
        positive = values[values > 0] if self.view.log else values[:0]
        return np.where(found < positive.min(), np.nan, found) if len(positive) else found

    @cached_property
    def _smoothed(self) -> dict[str, Floats]:
        return {}
