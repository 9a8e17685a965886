"""A phase of the curriculum as the run file says it: a mix of tasks, settings of its own, and what ends it.

Apart from the rest of the run file, because viewers show phases too, and the training process follows them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

PHASE_WORDS = ("next", "prev", "auto")
"""What the command `phase` takes beside the name of a phase."""

ENTROPY_STEPS = 10
"""Steps of a phase over which `entropy_below` looks at the mean: one step's entropy says little."""

PHASE_SETTINGS: dict[str, tuple[float, float]] = {
    "temperature": (0.01, 10.0),
    "beta": (0.0, 10.0),
    "learning_rate": (0.0, 1.0),
    "max_completion_length": (1, 1_000_000),
    "epsilon": (0.0001, 1.0),
    # CISPO clips weights at an epsilon_high of 5, which is no share like the others.
    "epsilon_high": (0.0001, 100.0),
    "entropy_coef": (0.0, 10.0),
}
"""Settings that a phase may change, by TRL's names, with the lowest and the highest value."""


class RewardLevel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A reward that is good enough: its mean over `steps` steps of the phase is at least `at_least`."""

    at_least: float
    steps: int = msgspec.field(name="for")


class Until(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ends a phase beside its number of steps: the first that holds, or nothing but a command."""

    reward: RewardLevel | None = None
    entropy_below: float | None = None
    """Nats a token, the mean of the last steps."""
    hand: bool = False
    """No rule ends the phase: it goes on until a person switches."""


class Phase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One phase of the curriculum: a mix of tasks, with settings of its own, and what ends it."""

    name: str
    tasks: dict[str, float]
    settings: dict[str, float] = {}
    """In force during this phase; afterwards what the run file says under `grpo` is in force again."""
    until: Until = Until()
    steps: int | None = None

    def ends(self) -> list[str]:
        """What ends the phase, each in words: the first that holds does."""
        found = []
        if self.until.reward is not None:
            found.append(f"reward of at least {self.until.reward.at_least:g} over {self.until.reward.steps} steps")
        if self.until.entropy_below is not None:
            found.append(f"entropy below {self.until.entropy_below:g} over {ENTROPY_STEPS} steps")
        if self.steps is not None:
            found.append(f"{self.steps} steps")
        return found


def check_phase(phase: Phase, at: str, grpo: Mapping[str, Any], last: bool, refuse: Callable[[str, str], None]) -> None:
    """Check the settings and the end of one phase.

    Args:
        phase: as it was read.
        at: its dotted path in the run file.
        grpo: what the run file says about TRL's settings.
        last: whether no phase follows.
        refuse: called with the dotted path and the reason; raises.
    """
    _check_settings(phase.settings, grpo, f"{at}.settings", refuse)
    _check_end(phase, at, last, refuse)


def _check_settings(
    settings: Mapping[str, float], grpo: Mapping[str, Any], at: str, refuse: Callable[[str, str], None]
) -> None:
    """The settings of one phase."""
    for key, value in settings.items():
        if key not in PHASE_SETTINGS:
            refuse(f"{at}.{key}", f"no setting of a phase; a phase can change: {', '.join(PHASE_SETTINGS)}")
        low, high = PHASE_SETTINGS[key]
        if not low <= value <= high:
            refuse(f"{at}.{key}", f"must lie between {low:g} and {high:,.10g}; got {value:g}")
        if key == "max_completion_length":
            if value != int(value):
                refuse(f"{at}.{key}", f"expected a whole number of tokens, got {value:g}")
            if grpo.get(key, 1) is None:
                refuse(f"{at}.{key}", f"needs a number at grpo.{key}, to go back to after the phase")


def _check_end(phase: Phase, at: str, last: bool, refuse: Callable[[str, str], None]) -> None:
    """What ends one phase."""
    until = phase.until
    if phase.steps is not None and phase.steps < 1:
        refuse(f"{at}.steps", "must be at least 1")
    if until.reward is not None:
        if until.reward.steps < 1:
            refuse(f"{at}.until.reward.for", "must be at least 1 step")
        if not math.isfinite(until.reward.at_least):
            refuse(f"{at}.until.reward.at_least", "a reward to reach is a finite number")
    if until.entropy_below is not None and not 0 < until.entropy_below < math.inf:
        refuse(f"{at}.until.entropy_below", "an entropy to fall below is a number above 0, in nats a token")
    if until.hand and phase.ends():
        refuse(f"{at}.until.hand", f"says that only a command ends the phase, but so does: {', '.join(phase.ends())}")
    if not last and not until.hand and not phase.ends():
        refuse(
            f"{at}.steps",
            "every phase but the last needs an end: `steps: N`, or `until:` with `reward: {at_least: X, for: N}` or "
            "`entropy_below: X`, or with `hand: true` where only a command shall end it",
        )
