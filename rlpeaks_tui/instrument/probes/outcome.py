"""Which completions are right, when nobody says so.

The bundled tasks log it. Somebody's own script has reward functions only: one whose every value so far was
0 or 1 is a verifier in all but name, and is taken as the outcome, named with every figure that rests on it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ..generation import Generation

LOGGED = "logged by the reward function"


def as_outcome(value: object) -> float | None:
    """What a reward function logged as `correct`, as a number; None where it is none."""
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


class Outcome:
    """Right or wrong by completion, from the best source there is."""

    def __init__(self) -> None:
        self._binary: list[str] | None = None
        self.source = ""

    @property
    def why(self) -> str:
        """Why outcomes are not known, or empty."""
        if self.source or self._binary is None:
            return ""
        return "no reward function gives only 0 and 1, and none logs `correct`: right and wrong are not known"

    def of(self, generation: Generation) -> list[float | None]:
        """[n] 1 right, 0 wrong, None unknown."""
        logged = generation.columns.get("correct")
        if logged:
            self.source = LOGGED
        else:
            binary = [
                name
                for name, values in generation.rewards.items()
                if all(value is None or value in (0.0, 1.0) for value in values)
            ]
            self._binary = binary if self._binary is None else [name for name in self._binary if name in binary]
            self.source = f"reward function {self._binary[0]}" if self._binary else ""
        return self.judge(logged, generation.rewards, len(generation.completions))

    def judge(
        self, logged: Sequence[float | None] | None, rewards: Mapping[str, Sequence[float | None]], n: int
    ) -> list[float | None]:
        """[n] outcomes of other completions, by the source that training has shown to be one.

        Args:
            logged: what the reward functions logged as `correct`, if they did.
            rewards: values by reward function.
            n: how many completions there are.
        """
        if logged:
            return [as_outcome(value) for value in logged]
        return list(rewards[self._binary[0]]) if self._binary else [None] * n
