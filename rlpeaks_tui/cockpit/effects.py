"""Whether a command helped: the seam between the cockpit and the statistics that tell."""

from __future__ import annotations

from rlpeaks_tui.run.follow import CommandMark, Snapshot
from rlpeaks_tui.stats.effect import card, effects


def lines_for(snapshot: Snapshot, mark: CommandMark) -> list[str] | None:
    """What changed between the steps before a command and those after it, in lines for a person.

    None while there are too few steps after it to tell anything. Called by the reader in its thread.
    """
    for effect in effects(snapshot.columns, snapshot.commands, snapshot.branches, snapshot.phases):
        if effect.command.id == mark.id:
            known = [found for found in effect.metrics.values() if found is not None]
            if any(found.verdict != "not enough steps yet" for found in known):
                return [line.strip() for line in card(effect)[1:]]
    return None
