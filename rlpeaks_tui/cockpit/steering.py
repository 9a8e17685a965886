"""Commands that were sent from this viewer, and what became of them.

A command is a file in the run's inbox; its answer comes back in the journal like anybody else's. What is kept here is
only which commands were ours, so that the person who pressed the key is told.
"""

from __future__ import annotations

from pathlib import Path

from rlpeaks_tui.run.follow import Snapshot
from rlpeaks_tui.run.mailbox import send
from rlpeaks_tui.run.marks import CommandMark
from rlpeaks_tui.run.requests import BadCommand

from .cells import fit
from .words import asked, outcome

STILL_READ = "the run is still being read"
WAITING = "waiting for the next safe point"
LONGEST = 40
"""Cells of a command in what is told about it: the rest of the sentence must still be seen."""


class Steering:
    """Sends commands to the run at `directory`; `readonly` refuses them all."""

    def __init__(self, directory: Path, readonly: bool) -> None:
        self._directory = directory
        self.readonly = readonly
        self._sent: set[str] = set()

    def refusal(self, snapshot: Snapshot | None, verb: str) -> str:
        """Why `verb` cannot be sent now; empty when it can."""
        if snapshot is not None and not snapshot.live:
            return f"the run is {snapshot.state}; there is no training to steer"
        if self.readonly:
            return "this viewer is read-only; `rlpeaks watch` without --readonly steers the run"
        if snapshot is None:
            return STILL_READ
        why = snapshot.settings[-1].cannot.get(verb) if snapshot.settings else None
        return f"{verb} cannot work in this run: {why}" if why is not None else ""

    def send(self, verb: str, *args: str) -> str:
        """Send a command; gives what to tell the person."""
        words = fit(" ".join((verb, *args)), LONGEST)
        try:
            self._sent.add(send(self._directory, verb, *args))
        except (BadCommand, OSError) as error:
            return f"{words} could not be sent: {error}"
        return f"{words} sent, {WAITING}"

    def answers(self, snapshot: Snapshot) -> list[CommandMark]:
        """Commands of ours that were answered since the last call."""
        answered = [mark for mark in snapshot.commands if mark.id in self._sent and mark.status != "sent"]
        self._sent -= {mark.id for mark in answered}
        return answered


def said(mark: CommandMark) -> str:
    """What to tell about an answer; nothing for a pause or a resume that was applied: the state of the run says it."""
    if mark.status == "applied" and mark.verb in ("pause", "resume"):
        return ""
    where = f" at step {mark.step:,}" if mark.step is not None else ""
    became = outcome(mark)
    if became and mark.status == "applied" and mark.verb == "phase":
        became += ", from the next generation on"
    return f"{fit(asked(mark), LONGEST)} {mark.status}{where}" + (f": {became}" if became else "")


def doubted(mark: CommandMark) -> bool:
    """Whether the run asks back: the value is possible, but far from the present one."""
    return mark.verb == "set" and mark.status == "refused" and "far from" in mark.why and "--yes" not in mark.args
