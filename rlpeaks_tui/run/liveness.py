"""What state a run is in, from what its processes said and whether they still live.

The training process may die without a word, its launcher too, and a viewer may sit on another machine: the
answer is drawn from the last state in the journal, the launcher's exit.json, and signs of life, in this
order of trust.
"""

from __future__ import annotations

import socket

from msgspec import Struct

from .entries import ENDED, RunState, State
from .facts import Exit, Heartbeat, RunInfo, process_alive

SILENCE = 60.0
"""Seconds without a sign of life after which a run on another machine counts as lost."""


class Condition(Struct, frozen=True):
    """The state of a run now: what it does, since when (writer's clock), and why it is so."""

    state: RunState
    activity: str
    since: float
    why: str


def judge(
    info: RunInfo, last: State | None, launcher: State | None, beat: Heartbeat | None, ended: Exit | None, now: float
) -> Condition:
    """The condition of a run.

    Args:
        info: run.json.
        last: the newest state entry of any writer.
        launcher: the newest state entry of the launcher, which carries its pid.
        beat: the training process's sign of life.
        ended: exit.json, when the launcher wrote one.
        now: seconds since 1970 by the viewer's clock.
    """
    state: RunState = last.state if last else "starting"
    since = last.t if last else info.created
    why = last.why if last else ""
    if ended is not None:
        return _after(state, why, ended)
    if state in ENDED:
        return Condition(state, "", since, why)
    activity = last.activity if last else "starting"
    if beat is not None and beat.activity and beat.since >= since:
        activity, since = beat.activity, beat.since
    gone = _gone(info, launcher, beat, now)
    if gone:
        return Condition(gone[0], activity, since, gone[1])
    return Condition(state, activity, since, why)


def _after(state: RunState, why: str, ended: Exit) -> Condition:
    if ended.signal:
        return Condition("failed", "", ended.t, f"killed by {ended.signal}")
    if ended.code not in (0, None):
        return Condition("failed", "", ended.t, why or f"exit status {ended.code}")
    return Condition(state if state in ENDED else "finished", "", ended.t, why)


def _gone(info: RunInfo, launcher: State | None, beat: Heartbeat | None, now: float) -> tuple[RunState, str] | None:
    here = socket.gethostname()
    pids = [(beat.host, beat.pid)] if beat else []
    if launcher is not None and launcher.pid is not None:
        pids.append((launcher.host, launcher.pid))
    elif info.launcher_pid is not None:
        pids.append((info.host, info.launcher_pid))
    if not beat and info.pid is not None:
        pids.append((info.host, info.pid))
    if not pids:
        # Nobody has said a word yet: whoever made the directory is about to start the launcher.
        return ("lost", "no process ever reported for this run") if now - info.created > SILENCE else None
    if all(host == here for host, _ in pids):
        if not any(process_alive(pid) for _, pid in pids):
            return "failed", "its processes are gone and left no exit status (killed, or the machine went down)"
        return None
    host, heard = (beat.host, beat.t) if beat else (pids[0][0], max(info.created, launcher.t if launcher else 0.0))
    if now - heard > SILENCE:
        return "lost", f"no sign of life from {host or 'its machine'} for {now - heard:.0f} s"
    return None
