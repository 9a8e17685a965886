"""The curriculum of a run as its run file has it: phases, and the mix of tasks of each."""

from __future__ import annotations

import msgspec

from rlpeaks_tui.phases import Phase
from rlpeaks_tui.run import present
from rlpeaks_tui.run.follow import Snapshot

from .words import percent

TURNS = ("phase", "rollback", "undo")
"""Commands that say in which phase the run is."""


def phases_of(snapshot: Snapshot) -> list[Phase]:
    """The phases of the curriculum; none where there is none that can be read."""
    try:
        phases: list[Phase] = msgspec.convert(snapshot.info.config.get("phases", []), list[Phase])
    except msgspec.ValidationError:
        return []
    return phases


def weights(phase: Phase) -> dict[str, float]:
    """The tasks that a phase draws from, with their weights."""
    return {task: weight for task, weight in phase.tasks.items() if weight > 0}


def mix(phase: Phase) -> str:
    """The tasks of a phase and their shares, in words."""
    shares = weights(phase)
    total = sum(shares.values())
    return ", ".join(f"{task} {percent(weight / total)}" for task, weight in shares.items())


def coming(snapshot: Snapshot) -> str:
    """The phase that a command has switched to, while the run has not generated from it yet; empty where none waits
    or nothing comes any more."""
    turns = [mark for mark in snapshot.commands if mark.status == "applied" and mark.verb in TURNS]
    if not snapshot.live or not turns or turns[-1].verb != "phase":
        return ""
    to = turns[-1].after.get("phase")
    entered = any(phase.t >= turns[-1].t for phase in snapshot.phases)
    return to if isinstance(to, str) and not entered and to != present.phase(snapshot) else ""
