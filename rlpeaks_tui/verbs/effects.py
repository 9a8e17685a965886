"""Effects of a run's commands: from its snapshot alone, whether it goes on or has ended."""

from __future__ import annotations

from typing import Any

from msgspec.structs import asdict

from ..run.entries import ENDED
from ..run.follow import Snapshot
from ..run.requests import BadCommand
from ..stats.answered import answered
from ..stats.effect import RULE, Effect, card, effects


def effects_of(snapshot: Snapshot) -> tuple[Effect, ...]:
    return effects(
        snapshot.columns, snapshot.commands, snapshot.branches, snapshot.phases, ended=snapshot.state in ENDED
    )


def effects_told(snapshot: Snapshot, named: str | None = None) -> list[dict[str, Any]]:
    """One object for each command that changed weights or settings; null for a metric that the run does not have."""
    return [
        {
            "id": effect.command.id,
            "verb": effect.command.verb,
            "args": list(effect.command.args),
            "step": effect.step,
            "metrics": {title: asdict(found) if found else None for title, found in effect.metrics.items()},
        }
        for effect in _chosen(snapshot, named)
    ]


def effect_lines(snapshot: Snapshot, named: str | None = None) -> list[str]:
    """The card of one command or of all, as lines."""
    chosen = _chosen(snapshot, named)
    if not chosen:
        return ["no command has changed weights or settings yet"]
    numbers = {mark.id: mark.number for mark in snapshot.commands}
    lines: list[str] = []
    for effect in chosen:
        head, *rest = card(effect)
        alerts = answered(effect, snapshot.alerts, snapshot.commands, live=snapshot.live)
        lines += [f"{numbers[effect.command.id]}  {head}  ({effect.command.id})", *rest]
        lines += [f"  {alerts}"] if alerts else []
    return [*lines, f"({RULE})"]


def _chosen(snapshot: Snapshot, named: str | None) -> tuple[Effect, ...]:
    """All effects, or that of the command with this number or id.

    Raises:
        BadCommand: there is no such command, or it changed nothing.
    """
    found = effects_of(snapshot)
    if named is None:
        return found
    mark = next((m for m in snapshot.commands if named in (m.id, str(m.number))), None)
    if mark is None:
        raise BadCommand(f"there is no command {named!r}; `rlpeaks ctl RUN effects` lists their numbers and ids")
    chosen = tuple(effect for effect in found if effect.command.id == mark.id)
    if not chosen:
        raise BadCommand(
            f"command {mark.number}, {mark.verb}, was {mark.status}: it changed no weights and no settings"
        )
    return chosen
