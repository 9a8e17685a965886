"""What is said outside of the screen: the terminal's title, and a bell or a notification when the verdict turns bad.

A person who trains has other windows open. The title tells them the state without a look at the cockpit; a bell is
for what they would want to be called for, so it rings when the verdict turns bad or worse, and not for each finding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from rlpeaks_tui.run.follow import Snapshot
from rlpeaks_tui.run.text import clean_line

from . import verdict
from .cells import fit
from .scene import Health

Notify = Literal["none", "bell", "osc9"]

SAVE, RESTORE = "\x1b[22;0t", "\x1b[23;0t"
"""XTWINOPS: put the title on the terminal's stack, and take it back."""
LONGEST = 120
SILENT = 600.0
"""Seconds in which a verdict that has become as bad again is not announced again."""


def title(snapshot: Snapshot, health: Health) -> str:
    """The run in one line: `quick: running 412/1000, all clear`; a finding comes first and in capitals."""
    stuck = verdict.stuck(snapshot)
    words, _ = verdict.brief(snapshot.state, snapshot.why, health, stuck)
    limit = f"/{snapshot.max_steps}" if snapshot.max_steps else ""
    where = f"{snapshot.state} {snapshot.step}{limit}"
    said = f"{where}: {words}" if snapshot.state in ("failed", "lost") else f"{where}, {words}"
    if (stuck or health.findings) and snapshot.state not in ("failed", "lost"):
        said = f"{words.upper()}, {where}"
    if snapshot.state == "starting":
        said = "starting"
    return _plain(f"{snapshot.info.name}: {said}")


def _plain(text: str) -> str:
    # What a run says is hostile also here, where a control character would end the sequence and begin another.
    return fit("".join(char for char in clean_line(text) if char.isprintable()), LONGEST)


class Herald:
    """Writes through `write` what changed. `notify` is how a person wants to be called."""

    def __init__(self, write: Callable[[str], None], notify: Notify) -> None:
        self._write = write
        self._notify = notify
        self._title: str | None = None
        self._bad: int | None = None
        self._called: dict[int, float] = {}

    def tell(self, snapshot: Snapshot, health: Health, now: float) -> None:
        """The run as it is now; `now` in seconds of any steady clock."""
        text = title(snapshot, health)
        if text != self._title:
            self._write(f"{SAVE if self._title is None else ''}\x1b]2;{text}\x07")
            self._title = text
        bad = _bad(snapshot, health)
        # What was so when it was first looked at is no news, and neither is one finding more.
        worse = self._bad is not None and bad > self._bad
        self._bad = bad
        if worse and self._notify != "none" and now - self._called.get(bad, float("-inf")) >= SILENT:
            self._called[bad] = now
            # Some terminals have commands of their own that begin with 9; and a number.
            self._write("\x07" if self._notify == "bell" else f"\x1b]9;rlpeaks: {text}\x07")

    def forget(self) -> None:
        """Another run is looked at from now on."""
        self._bad = None
        self._called.clear()

    def restore(self) -> None:
        """Give the terminal the title that it had."""
        if self._title is not None:
            self._write(RESTORE)
            self._title = None


def _bad(snapshot: Snapshot, health: Health) -> int:
    """How bad the verdict is: 0 not at all, 1 a finding, 2 a critical one, 3 stuck, 4 dead."""
    if snapshot.state in ("failed", "lost"):
        return 4
    if not snapshot.live:
        return 0
    if snapshot.pace.ranks:
        return 3
    return max((1 + (finding.severity == "critical") for finding in health.findings), default=0)
