"""What became of the alerts that a command answered: whether those that stood when it was given have cleared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from rlpeaks_tui.stats.effect import COMPARED, Effect
from rlpeaks_tui.stats.steered import CHANGING, WINDOW, Sent

SPOKEN_OF: dict[str, tuple[str, tuple[str, ...]]] = {"format-lock-in": ("formats in use", ("format/effective",))}
"""Metrics that are compared too where an alert that stood speaks of them: by rule, as in `effect.COMPARED`."""


class Alarm(Protocol):
    """A rule fires or clears, as `run.entries.Alert` says."""

    @property
    def rule(self) -> str: ...
    @property
    def on(self) -> bool: ...
    @property
    def step(self) -> int: ...
    @property
    def t(self) -> float: ...
    @property
    def text(self) -> str: ...


def answered(effect: Effect, alarms: Sequence[Alarm], commands: Sequence[Sent], *, live: bool) -> str:
    """In one line, what became of the alerts that stood when a command was given; empty where none did.

    It is told up to the next change of the training: what clears after that may have cleared because of it.

    Args:
        alarms, commands: of the run, in the order of the journal.
        live: the run goes on.
    """
    began = effect.command.t
    stood = standing(alarms, began)
    own = {effect.command.id, *(other.id for other in effect.others)}
    later = [c.t for c in commands if _changes(c) and c.t > began and c.id not in own]
    until = min(later, default=math.inf)
    ends = {rule: end for rule in stood if (end := _end(alarms, rule, began, until)) is not None}
    cleared = {rule: end.step for rule, end in ends.items()}
    left = [_title(alarm) for rule, alarm in stood.items() if rule not in cleared]
    if not stood:
        return ""
    if len(stood) == 1:
        (alarm,) = stood.values()
        became = f"cleared at step {next(iter(cleared.values())):,}" if cleared else _stands(live, until)
        return f"alert: {_title(alarm)}: {became}"
    # The steps of what cleared after the run went back are lower: the last in time is the last.
    last = max(cleared, key=lambda rule: ends[rule].t, default="")
    when = f", the last at step {cleared[last]:,}" if last else ""
    rest = f"; {_stands(live, until)}: {', '.join(left)}" if left else ""
    return f"alerts: {len(cleared)} of {len(stood)} cleared{when}{rest}"


def standing(alarms: Sequence[Alarm], at: float) -> dict[str, Alarm]:
    """The alerts that stood at a time, by rule."""
    return {rule: alarm for rule, alarm in _newest(alarms, -math.inf, at).items() if alarm.on}


def compared(alarms: Sequence[Alarm], at: float) -> dict[str, tuple[str, ...]]:
    """What is compared of a command: what always is, and what the alerts that stood speak of."""
    return {**COMPARED, **dict(SPOKEN_OF[rule] for rule in standing(alarms, at) if rule in SPOKEN_OF)}


def _newest(alarms: Sequence[Alarm], after: float, until: float) -> dict[str, Alarm]:
    """The last word of each rule in a stretch of time."""
    return {alarm.rule: alarm for alarm in alarms if after < alarm.t <= until}


def _end(alarms: Sequence[Alarm], rule: str, after: float, until: float) -> Alarm | None:
    """Where a rule cleared for good in a stretch of time: what fires again soon has not cleared, and what fires again
    long after is another alert."""
    told = [alarm for alarm in alarms if alarm.rule == rule and after < alarm.t <= until]
    for end, following in zip(told, [*told[1:], None], strict=False):
        if not end.on and (following is None or not 0 <= following.step - end.step <= WINDOW):
            return end
    return None


def _stands(live: bool, until: float) -> str:
    if until < math.inf:
        return "not cleared by the next change"
    return "still firing" if live else "not cleared"


def _title(alarm: Alarm) -> str:
    return alarm.text.partition(":")[0] or alarm.rule


def _changes(command: Sent) -> bool:
    return command.verb in CHANGING and command.status == "applied"
