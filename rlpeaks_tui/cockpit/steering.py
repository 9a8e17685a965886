"""Commands that were sent from this viewer, and what became of them.

A command is a file in the run's inbox; its answer comes back in the journal like anybody else's. What is kept here is
only which commands were ours, so that the person who pressed the key is told.
"""

from __future__ import annotations

from pathlib import Path

from rlpeaks_tui.run.follow import CommandMark, Snapshot
from rlpeaks_tui.run.mailbox import send
from rlpeaks_tui.run.requests import BadCommand

WAITING = "waiting for the next safe point"


class Steering:
    """Sends commands to the run at `directory`; `readonly` refuses them all."""

    def __init__(self, directory: Path, readonly: bool) -> None:
        self._directory = directory
        self.readonly = readonly
        self._sent: set[str] = set()

    def refusal(self, snapshot: Snapshot | None) -> str:
        """Why nothing can be sent now; empty when it can."""
        if snapshot is not None and not snapshot.live:
            return f"the run is {snapshot.state}; there is no training to steer"
        if self.readonly:
            return "this viewer is read-only; `rlpeaks watch` without --readonly steers the run"
        if snapshot is None:
            return "the run is still being read"
        return ""

    def send(self, verb: str) -> str:
        """Send a command; gives what to tell the person."""
        try:
            self._sent.add(send(self._directory, verb))
        except (BadCommand, OSError) as error:
            return f"{verb} could not be sent: {error}"
        return f"{verb} sent, {WAITING}"

    def answers(self, snapshot: Snapshot) -> list[str]:
        """What to tell about commands of ours that were answered since the last call.

        Empty words stand for a pause or a resume that was applied: the state of the run says it.
        """
        answered = [mark for mark in snapshot.commands if mark.id in self._sent and mark.status != "sent"]
        self._sent -= {mark.id for mark in answered}
        return [_said(mark) for mark in answered]


def _said(mark: CommandMark) -> str:
    if mark.status == "applied" and mark.verb in ("pause", "resume"):
        return ""
    where = f" at step {mark.step:,}" if mark.step is not None else ""
    why = f": {mark.why}" if mark.why else ""
    return f"{mark.verb} {mark.status}{where}{why}"
