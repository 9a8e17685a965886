"""Commands as a viewer numbers them: those that were answered, then those that still wait in the inbox."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, field

from .entries import Command
from .mailbox import Order


class CommandMark(Struct, frozen=True):
    """A command as a viewer shows it: sent and waiting, or answered."""

    number: int
    id: str
    verb: str
    args: tuple[str, ...]
    who: str
    t: float
    step: int | None
    status: str
    why: str = ""
    before: dict[str, float | int | str | bool | None] = field(default_factory=dict)
    after: dict[str, float | int | str | bool | None] = field(default_factory=dict)

    @property
    def effective(self) -> int | None:
        """The step from which on it holds: of one that went back, where it went to."""
        to = self.after.get("step") if self.verb in ("rollback", "undo") else None
        return to if isinstance(to, int) else self.step


def marks(answered: Sequence[Command], orders: Sequence[Order], ended: bool) -> tuple[CommandMark, ...]:
    """Numbered from 1, in the order of the answers; what waits for a run that has `ended` came too late."""
    found = [
        CommandMark(i, c.id, c.verb, tuple(c.args), c.who, c.t, c.step, c.status, c.why, c.before, c.after)
        for i, c in enumerate(answered, 1)
    ]
    known = {c.id for c in answered}
    status = "too late" if ended else "sent"
    for order in orders:
        if order.id not in known:
            args = tuple(order.args)
            found.append(CommandMark(len(found) + 1, order.id, order.verb, args, order.who, order.sent, None, status))
    return tuple(found)
