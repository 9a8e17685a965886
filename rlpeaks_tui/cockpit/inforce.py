"""The settings in force at a step: what each is, what it was before, since when, and what changed it.

The training process journals all settings when it starts and after whatever changed any. A learning rate that only
follows its schedule was changed by nobody, so its present value is taken from the step's own line.
"""

from __future__ import annotations

from itertools import pairwise

from msgspec import Struct

from rlpeaks_tui.run import present
from rlpeaks_tui.run.bounds import RATE
from rlpeaks_tui.run.entries import Settings, Value

from .scene import Scene


class Change(Struct, frozen=True):
    """A setting was `before` until the end of `step`; `by` names a command or a phase, and is empty where unknown."""

    step: int
    before: Value
    by: str


class Setting(Struct, frozen=True):
    """A setting at the step shown; `changes` newest first."""

    name: str
    value: Value
    changes: tuple[Change, ...]


def in_force(scene: Scene) -> list[Setting]:
    """The settings at the step shown, in the run's own order; none where the run does not tell them."""
    told = present.upto(scene.snapshot, scene.snapshot.settings, scene.step)
    if not told:
        return []
    changes: dict[str, list[Change]] = {name: [] for name in told[-1].v}
    for before, after in pairwise(told):
        for name in changes:
            if name in before.v and name in after.v and before.v[name] != after.v[name]:
                by = _by(scene, name, before, after)
                if name != RATE or by:
                    changes[name].append(Change(after.step, before.v[name], by))
    rate = scene.value(RATE)
    values = {**told[-1].v, **({RATE: rate} if rate is not None and RATE in told[-1].v else {})}
    return [Setting(name, value, tuple(reversed(changes[name]))) for name, value in values.items()]


def _by(scene: Scene, name: str, before: Settings, after: Settings) -> str:
    """What came between two tellings and changes settings: the command, or the phase that began."""
    for mark in reversed(scene.snapshot.commands):
        # An answer and the settings that follow from it have the same time.
        if mark.status == "applied" and before.t < mark.t <= after.t and (name in mark.after or name != RATE):
            return f"command {mark.number}"
    if name != RATE or _phase_sets_it(scene, after):
        for phase in scene.phases:
            if phase.step in (after.step, after.step + 1) and phase.index:
                return f"phase {phase.name}"
    return ""


def _phase_sets_it(scene: Scene, after: Settings) -> bool:
    phases = scene.snapshot.info.config.get("phases")
    begun = {phase.name for phase in scene.phases if phase.step in (after.step, after.step + 1)}
    found = [phase for phase in phases if isinstance(phase, dict)] if isinstance(phases, list) else []
    return any(
        phase.get("name") in begun and isinstance(phase.get("settings"), dict) and RATE in phase["settings"]
        for phase in found
    )
