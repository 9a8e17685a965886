"""Whether a command helped: the seam between the cockpit and the statistics that tell."""

from __future__ import annotations

from rlpeaks_tui.run.follow import CommandMark, Snapshot


def lines_for(snapshot: Snapshot, mark: CommandMark) -> list[str] | None:
    """What changed between the steps before a command and those after it, in lines for a person.

    None while there are too few steps after it to tell. Called by the reader in its thread.
    """
    return None
