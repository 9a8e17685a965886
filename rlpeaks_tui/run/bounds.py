"""What a setting may be, and which change of one may be a slip of the hand.

Whoever sends a command asks here before it is sent, so that a mistake is answered while somebody still looks; the run
file is held to the same bounds, and the training process, which knows the value in force, has the last word.
"""

from __future__ import annotations

from msgspec import Struct

from .requests import BadCommand, Request, Set

FAR = 5.0
"""A change by more than this factor, up or down, is asked about: a digit too many or too few in an exponent is 10."""

# What is just so much is not more because of rounding.
_FARTHER = FAR * (1 + 1e-9)

RATE = "learning_rate"

REWARD_WEIGHT = "reward_weights."


class Bounds(Struct, frozen=True):
    """The least and the greatest value of a setting, both allowed; `whole`: only whole numbers."""

    low: float
    high: float
    whole: bool = False

    def hold(self, value: float) -> bool:
        return self.low <= value <= self.high and (not self.whole or value == int(value))

    def __str__(self) -> str:
        return f"{'a whole number ' if self.whole else ''}between {self.low:g} and {self.high:,.10g}"


_BOUNDS = {
    RATE: Bounds(1e-12, 1.0),
    "beta": Bounds(0.0, 100.0),
    "temperature": Bounds(0.01, 10.0),
    "epsilon": Bounds(0.0, 10.0),
    "epsilon_high": Bounds(0.0, 10.0),
    "entropy_coef": Bounds(-1.0, 1.0),
    "max_completion_length": Bounds(1, 1_000_000, whole=True),
    "probes.budget": Bounds(0.0, 1.0),
}
_WEIGHT = Bounds(-1000.0, 1000.0)


def bounds_of(name: str) -> Bounds | None:
    """What a setting may be; None where only the training process knows."""
    return _WEIGHT if name.startswith(REWARD_WEIGHT) else _BOUNDS.get(name)


def beyond(name: str, value: float) -> str:
    """What is wrong with a value whatever is in force; empty when nothing is."""
    bounds = bounds_of(name)
    return "" if bounds is None or bounds.hold(value) else f"{name} must be {bounds}; got {value:g}"


def far(name: str, now: float | None, value: float) -> str:
    """That a value is far from the present one, or of the other sign; empty where it is not, and to or from 0."""
    if not now or not value or 1 / _FARTHER <= value / now <= _FARTHER:
        return ""
    return f"{name} is {now:g} now, far from {value:g}"


def check(asked: Request) -> None:
    """Refuse a request that no training could meet.

    Raises:
        BadCommand: a value is out of its bounds.
    """
    if isinstance(asked, Set) and (wrong := beyond(asked.key, asked.value)):
        raise BadCommand(wrong)
