"""Obeying commands: read by the first rank, applied by all at the same safe point, answered in the journal.

While the run is held the ranks keep meeting each other every fraction of a second, so that no collective
times out however long the pause. A command is applied at most once: an id that was answered is never taken
again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ..run.entries import Command, Error, Value
from ..run.mailbox import Order, forget, take
from .recorder import Recorder

HOLD_SECONDS = 0.1

Share = Callable[[list[Order]], list[Order]]
"""Gives every rank the first rank's orders; the same list back where there is one rank."""


@dataclass
class Answer:
    """What became of a command."""

    status: str
    why: str = ""
    before: dict[str, Value] | None = None
    after: dict[str, Value] | None = None


class Controls:
    """Keeps whether the run is held, and applies what comes in.

    Args:
        recorder: where answers go; its directory has the inbox.
        share: see `Share`.
        sleep: waits that many seconds.
    """

    def __init__(self, recorder: Recorder, share: Share, sleep: Callable[[float], None] = time.sleep) -> None:
        self._recorder = recorder
        self._share = share
        self._sleep = sleep
        self._answered: set[str] = set()
        self._orders: list[Order] = []
        self.held = False
        self.stopping = False
        self._steps_left: int | None = None

    def poll(self) -> bool:
        """Look for commands (all ranks together); True when the coming safe point has something to do."""
        self._orders += self._share(self._read())
        if self._steps_left is not None:
            self._steps_left -= 1
            if self._steps_left <= 0:
                self._steps_left = None
                self.held = True
        return bool(self._orders) or self.held

    def safe_point(self, step: int) -> float:
        """Apply what waits, and wait here while the run is held; gives the seconds spent waiting."""
        began = time.perf_counter()
        if self.held:
            self._recorder.state("paused", why="the steps asked for are done")
        self._apply_all(step)
        waited = False
        while self.held and not self.stopping:
            waited = True
            self._sleep(HOLD_SECONDS)
            self._orders += self._share(self._read())
            self._apply_all(step)
        if waited and not self.stopping:
            self._recorder.state("running")
        return time.perf_counter() - began if waited else 0.0

    def refuse_rest(self, step: int) -> None:
        """After the last step: answer what came too late."""
        for order in self._read():
            self._answer(order, step, Answer("refused", "the run has ended"))

    def _read(self) -> list[Order]:
        directory = self._recorder.directory
        if directory is None:
            return []
        orders, aside = take(directory)
        for found in aside:
            text = f"{found.name} in the inbox {found.why}; it was set aside in inbox/rejected"
            self._recorder.write(Error(t=time.time(), where="inbox", text=text, step=self._recorder.step))
        waiting = {order.id for order in self._orders}
        fresh = [order for order in orders if order.id not in self._answered | waiting]
        for order in orders:
            if order.id in self._answered:
                forget(directory, order.id)
        return fresh

    def _apply_all(self, step: int) -> None:
        orders, self._orders = self._orders, []
        for order in orders:
            self._answer(order, step, self._apply(order))

    def _apply(self, order: Order) -> Answer:
        match order.verb:
            case "pause":
                if self.held:
                    return Answer("refused", "the run is paused already")
                self.held = True
                self._recorder.state("paused", why=f"by {order.who}" if order.who else "")
                return Answer("applied", before={"state": "running"}, after={"state": "paused"})
            case "resume":
                if not self.held:
                    return Answer("refused", "the run is not paused")
                self.held = False
                return Answer("applied", before={"state": "paused"}, after={"state": "running"})
            case "step":
                before = "paused" if self.held else "running"
                steps = int(order.args[0]) if order.args else 1
                self.held, self._steps_left = False, steps
                return Answer("applied", before={"state": before}, after={"state": "running", "steps": steps})
            case "stop":
                self.stopping = True
                return Answer(
                    "applied", before={"state": "paused" if self.held else "running"}, after={"state": "stopped"}
                )
        return Answer("refused", f"this training process does not know {order.verb!r}")

    def _answer(self, order: Order, step: int, answer: Answer) -> None:
        self._answered.add(order.id)
        directory = self._recorder.directory
        if directory is None:
            return
        entry = Command(
            t=time.time(),
            id=order.id,
            verb=order.verb,
            args=order.args,
            status="refused" if answer.status == "refused" else "applied",
            step=step,
            who=order.who,
            sent=order.sent,
            why=answer.why,
            before=answer.before or {},
            after=answer.after or {},
        )
        self._recorder.write(entry, sync=True)
        forget(directory, order.id)
