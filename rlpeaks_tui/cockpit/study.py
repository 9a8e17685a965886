"""What one enlarged panel needs beyond the snapshot: read and computed in the reader's thread, while it is open.

A panel names the maker of its study; the reader keeps one study for each panel that was opened, so that a study can
remember what it read before, and asks it again only when the run or the step shown has changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from rlpeaks_tui.run.follow import Follower, Snapshot


class Study(Protocol):
    """Gives an immutable answer for the run at `step`; the panel that asked knows its type."""

    def __call__(self, follower: Follower, snapshot: Snapshot, step: int) -> object: ...


MakeStudy = Callable[[], Study]
