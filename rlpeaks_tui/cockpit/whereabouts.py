"""Asking a rank where it stands, from the cockpit: in a thread of its own, because a rank that hangs answers late."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.message import Message

from rlpeaks_tui.run.follow import Follower, Snapshot
from rlpeaks_tui.run.stacks import NoStack, Stack, ask
from rlpeaks_tui.run.text import clean_line

from . import walk
from .panels import STACK
from .screens.enlarged import Enlarged

if TYPE_CHECKING:
    from .app import Cockpit

Asker = Callable[..., Stack]


class Answered(Message):
    """A rank has said where it stands, or could not be asked; `follower` tells of which run."""

    def __init__(self, answer: Stack | NoStack, follower: Follower) -> None:
        super().__init__()
        self.answer, self.follower = answer, follower


class Whereabouts:
    """What came of asking last. `ask` is called in another thread, which hands its answer to `deliver`.

    Attributes:
        answer: the stack, or why there is none.
        rank: the one that was asked.
    """

    def __init__(self, deliver: Callable[[Stack | NoStack], object], ask: Asker = ask) -> None:
        self.answer: Stack | NoStack | None = None
        self.rank: int | None = None
        self._deliver = deliver
        self._ask = ask
        self._asked: threading.Thread | None = None

    def next(self, snapshot: Snapshot, again: bool) -> int:
        """The rank to ask: the one that is stuck, else the first; `again`: the one after that which was asked."""
        ranks = [rank.rank for rank in snapshot.ranks]
        if again and self.rank in ranks:
            return ranks[(ranks.index(self.rank) + 1) % len(ranks)]
        stuck = [rank.rank for rank in snapshot.pace.ranks if rank.rank in ranks]
        return (stuck or ranks)[0]

    def ask(self, snapshot: Snapshot, rank: int) -> bool:
        """Ask a rank; False while another one is still being asked."""
        if self._asked is not None and self._asked.is_alive():
            return False
        self.rank = rank

        def work() -> None:
            try:
                answer: Stack | NoStack = self._ask(snapshot.directory, rank)
            except NoStack as why:
                answer = why
            except Exception as error:
                # A thread that ends without a word would leave a person waiting.
                answer = NoStack(f"rank {rank} cannot be asked: {clean_line(str(error)) or type(error).__name__}")
            self._deliver(answer)

        self._asked = threading.Thread(target=work, name="rlpeaks-whereabouts", daemon=True)
        self._asked.start()
        return True


def show(app: Cockpit) -> None:
    """Ask the rank that matters most, and show its stack when it answers; pressed again there, the next rank's."""
    snapshot = app.snapshot
    if snapshot is None:
        return
    here = _here(app)
    rank = app.whereabouts.next(snapshot, again=here)
    if not app.whereabouts.ask(snapshot, rank):
        app.say("a rank is being asked already")
        return
    if not here:
        app.chosen = True
        if not (isinstance(app.stage, Enlarged) and app.stage.panel == "cost"):
            walk.open_panel(app, "cost")
        app.look_at(story=STACK, scroll=0)
    app.say(f"asking rank {rank} where it stands")


def take(app: Cockpit, answer: Stack | NoStack) -> None:
    """Show what came of asking: in full where stacks are shown, and why there is none wherever the person is by now."""
    app.whereabouts.answer = answer
    app.look_at(scroll=0)
    if isinstance(answer, NoStack) and not _here(app):
        app.say(str(answer))


def _here(app: Cockpit) -> bool:
    return isinstance(app.stage, Enlarged) and app.stage.panel == "cost" and app.view.story == STACK


def refusal(app: Cockpit) -> str:
    """Why no rank can be asked now; empty when one can."""
    snapshot = app.snapshot
    if app.steering.readonly:
        return "this viewer is read-only and asks nobody; `rlpeaks ctl RUN stack` does"
    if snapshot is None:
        return "the run is still being read"
    if not snapshot.live:
        return f"the run is {snapshot.state}; there is nobody to ask"
    return "" if snapshot.ranks else "its ranks have given no sign of life yet, so where they run is not known"
