"""Time: the cursor that every panel shows, and the places in a run that are worth going to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from rlpeaks_tui.run.branches import on_the_way

from .scene import Scene
from .words import asked

if TYPE_CHECKING:
    from .app import Cockpit
    from .reader import Reading

KINDS = ("command", "alert", "phase", "checkpoint", "evaluation", "note")


class Stop(Struct, frozen=True, order=True):
    """Something that happened at a step, of one of `KINDS`, in words."""

    step: int
    kind: str
    text: str


def stops(scene: Scene, kind: str = "") -> list[Stop]:
    """What happened on the way to the present, in order of steps; only what is of `kind` where one is given."""
    snapshot = scene.snapshot
    numbered = {mark.number: mark.step for mark in scene.marks}
    found = [
        Stop(numbered[command.number], "command", f"command {command.number}: {asked(command)}")
        for command in snapshot.commands
        if command.number in numbered
    ]
    happened = [("alert", alert.t, alert.step, alert.text or alert.rule) for alert in snapshot.alerts if alert.on]
    happened += [("checkpoint", saved.t, saved.step, saved.name) for saved in snapshot.checkpoints]
    happened += [("note", note.t, note.step, note.text) for note in snapshot.notes]
    happened += [("phase", phase.t, phase.step, phase.name) for phase in snapshot.phases]
    found += [Stop(step, what, text) for what, t, step, text in happened if on_the_way(scene.nodes, t, step)]
    found += [Stop(step, "evaluation", "held-out problems") for step in evaluated(scene)]
    return sorted(stop for stop in found if stop.kind == (kind or stop.kind))


def evaluated(scene: Scene) -> list[int]:
    """The steps at which held-out problems were answered."""
    series = scene.series("eval/pass@1")
    steps: list[int] = np.unique(series.steps[np.isfinite(series.values)]).tolist()
    return steps


def scrub(app: Cockpit, share: float) -> None:
    """Move the cursor by a share of the run so far, at least one step."""
    snapshot = app.snapshot
    if snapshot is None or not snapshot.step:
        app.say("there is no step to go to yet")
        return
    size = max(1, round(abs(share) * snapshot.step))
    app.go_to(app.step + (size if share > 0 else -size))


def come_back(app: Cockpit, shown: Reading) -> None:
    """A cursor that is ahead of a run which went back shows nothing that is: look at the newest step."""
    at = app.view.cursor
    if at is not None and not shown.loading and at > shown.snapshot.step:
        app.view = replace(app.view, cursor=None)
        app.notice = f"the run went back before step {at:,}: this is its newest step, {shown.snapshot.step:,}"
        app.look_again()


def jump(app: Cockpit, forward: bool, kind: str = "") -> None:
    """To the next or the last thing that happened, and say what it is."""
    scene = app.scene
    if scene is None:
        return
    here, what = app.step, kind or "event"
    there = [stop.step for stop in stops(scene, kind) if (stop.step > here if forward else stop.step < here)]
    if not there:
        app.say(f"there is no {what} {'after' if forward else 'before'} step {here:,}")
        return
    step = min(there) if forward else max(there)
    app.go_to(step)
    told = "; ".join(
        f"{stop.kind}{':' if stop.kind == 'alert' else ''} {stop.text}" if stop.kind != "command" else stop.text
        for stop in stops(scene, kind)
        if stop.step == step
    )
    app.say(f"step {step:,}: {told}")
