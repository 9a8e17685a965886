"""Obeying commands: read by the first rank, applied by all at the same safe point, answered in the journal.

While the run is held the ranks keep meeting each other every fraction of a second, so that no collective
times out however long the pause. A command is applied at most once: an id that was answered is never taken
again. Commands of a run that is being repeated come from its run.json, at the steps at which they came then.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import msgspec

from ..run.entries import Command, Error, Note, Settings, Value
from ..run.facts import PlannedCommand, read_facts
from ..run.layout import Layout
from ..run.mailbox import Order, forget, take
from ..run.requests import BadCommand, Pause, Request, Resume, Step, Stop, request
from .ranks import Ranks
from .recorder import Recorder
from .steering import Answer, Steering

HOLD_SECONDS = 0.1
REPEATED = "repeated-"
"""Begins the id of a command that was read from run.json and not from the inbox."""


class Controls:
    """Keeps whether the run is held, and applies what comes in.

    Args:
        recorder: where answers go; its directory has the inbox.
        ranks: all of them call `poll` and `safe_point` together.
        steering: applies what changes weights or settings.
        step: the step that the training has finished; a command may change it.
        sleep: waits that many seconds.
    """

    def __init__(
        self,
        recorder: Recorder,
        ranks: Ranks,
        steering: Steering,
        step: Callable[[], int],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._recorder = recorder
        self._ranks = ranks
        self._steering = steering
        self._step = step
        self._sleep = sleep
        self._answered: set[str] = set()
        self._orders: list[Order] = []
        self._repeated = _to_repeat(recorder)
        self.held = False
        self.stopping = False
        self._said_paused = False
        self._steps_left: int | None = None

    def poll(self) -> bool:
        """Look for commands (all ranks together); True when the coming safe point has something to do."""
        self._orders += self._shared(self._due() + self._read())
        if self._steps_left is not None:
            self._steps_left -= 1
            if self._steps_left <= 0:
                self._steps_left = None
                self.held = True
        return bool(self._orders) or self.held

    def safe_point(self) -> float:
        """Apply what waits, and wait here while the run is held; gives the seconds that no training was done."""
        began = time.perf_counter()
        if self.held:
            self._say_paused("the steps asked for are done")
        self._apply_all()
        while self.held and not self.stopping:
            self._sleep(HOLD_SECONDS)
            self._orders += self._shared(self._read())
            self._apply_all()
        # Also where it was let go before it was ever held: whoever reads the journal was told that it is paused.
        if self._said_paused and not self.stopping:
            self._said_paused = False
            self._recorder.state("running")
        return time.perf_counter() - began

    def _say_paused(self, why: str) -> None:
        self._said_paused = True
        self._recorder.state("paused", why=why)

    def refuse_rest(self) -> None:
        """After the last step: answer what came too late."""
        for order in [*self._orders, *self._read()]:
            self._answer(order, Answer("refused", "the run has ended"))

    def tell_settings(self) -> None:
        """Journal the settings in force, and what cannot be done in this run."""
        values: dict[str, Value] = {**self._steering.settings}
        self._recorder.write(Settings(t=time.time(), step=self._step(), v=values, cannot=self._steering.cannot))

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

    def _due(self) -> list[Order]:
        """Commands of the run that is being repeated that came at this step."""
        found = []
        while self._repeated and self._repeated[0].step == self._step():
            planned = self._repeated.popleft()
            # Whoever sent it then was asked whether it was meant.
            args = [*planned.args, *(["--yes"] if planned.verb == "set" else [])]
            ident = f"{REPEATED}{len(self._repeated):06d}"
            found.append(Order(id=ident, verb=planned.verb, args=args, who="--commands", sent=time.time()))
        return found

    def _shared(self, orders: list[Order]) -> list[Order]:
        told = self._ranks.share(msgspec.json.encode(orders) if orders else b"")
        return msgspec.json.decode(told, type=list[Order]) if told else []

    def _apply_all(self) -> None:
        while self._orders:
            order = self._orders.pop(0)
            step = self._step()
            self._answer(order, self._apply(order, request(order.verb, order.args), step), step)
            self._steering.settle(self._step())
            # A command that went back makes those due that came at the step it went back to.
            self._orders += self._shared(self._due())

    def _apply(self, order: Order, asked: Request, step: int) -> Answer:
        match asked:
            case Pause():
                if self.held:
                    return Answer("refused", "the run is paused already")
                self.held, self._steps_left = True, None
                self._say_paused(f"by {order.who}" if order.who else "")
                return Answer(before={"state": "running"}, after={"state": "paused"})
            case Resume():
                if not self.held and self._steps_left is None:
                    return Answer("refused", "the run is not paused")
                before = "paused" if self.held else "running"
                self.held, self._steps_left = False, None
                return Answer(before={"state": before}, after={"state": "running"})
            case Step(steps):
                before = "paused" if self.held else "running"
                self.held, self._steps_left = False, steps
                return Answer(before={"state": before}, after={"state": "running", "steps": steps})
            case Stop():
                self.stopping = True
                return Answer(before={"state": "paused" if self.held else "running"}, after={"state": "stopped"})
        self._recorder.doing(f"applying {order.verb}")
        answer = self._steering.apply(asked, step)
        self._recorder.doing("paused" if self.held else "")
        return answer

    def _answer(self, order: Order, answer: Answer, step: int | None = None) -> None:
        self._answered.add(order.id)
        directory = self._recorder.directory
        if directory is None:
            return
        now = time.time()
        entry = Command(
            t=now,
            id=order.id,
            verb=order.verb,
            args=order.args,
            status=answer.status,
            step=self._step() if step is None else step,
            who=order.who,
            sent=order.sent,
            why=answer.why,
            before=answer.before,
            after=answer.after,
        )
        self._recorder.write(entry, sync=True)
        if order.verb == "note" and answer.status == "applied":
            self._recorder.write(Note(t=now, step=entry.step, text=" ".join(order.args), who=order.who))
        if answer.status == "applied" and (answer.before or answer.after):
            self.tell_settings()
        forget(directory, order.id)


def _to_repeat(recorder: Recorder) -> deque[PlannedCommand]:
    """Commands of an earlier run that this one repeats, oldest first, on the first rank."""
    directory = recorder.directory
    if directory is None:
        return deque()
    planned: deque[PlannedCommand] = deque()
    for command in read_facts(Layout(directory)).commands:
        try:
            request(command.verb, command.args)
        except BadCommand as error:
            recorder.error("commands to repeat", error)
            break
        planned.append(command)
    return planned
