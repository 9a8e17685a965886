"""The curriculum: which phase is in force, what ends it, and which problem each prompt is.

A prompt's number and the seed decide its problem; the phase in force when its generation is made decides the mix of
tasks that the problem is drawn from. Problems are made at that moment and not when the data loader, which is a batch
ahead, fetches a row, so a switch counts from the next generation on and a label is never older than its prompt. Every
rank holds the same state and so makes the same prompts without talking.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from ..phases import ENTROPY_STEPS, Phase

Draw = Callable[[str, np.random.Generator], dict[str, Any]]
"""Makes one problem of a task: its prompt, and whatever the reward functions want beside it."""

BY_HAND = "by hand"


class PhaseChange(msgspec.Struct, frozen=True, kw_only=True):
    """A phase was entered after training step `step`, or a person took or gave back the wheel.

    Attributes:
        name, index, of: the phase that is in force now, and how many there are.
        step: the training step after which it happened.
        by_hand: whether only commands switch from now on.
        why: what brought it about, in a few words.
        settings: what to put in force.
    """

    name: str
    index: int
    of: int
    step: int
    by_hand: bool
    why: str
    settings: dict[str, float]


class _State(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a checkpoint keeps; `rewards` and `entropies` are those that the rules of the phase still look back at."""

    index: int
    entered: int
    by_hand: bool
    why: str
    prompt: int
    rewards: list[float]
    entropies: list[float]


class Curriculum:
    """Phases in order. Each rank has one, in the same state; what the rules look at only the first rank knows.

    Args:
        phases: at least one; the run begins in the first.
        seed: of the problems.
        draw: see `Draw`; the generator that it is given depends on the seed and the prompt's number alone.
        prompts_per_generation: prompts (groups) over all ranks.
        own: what the run has without a phase's settings, at least for each key that some phase sets.
    """

    def __init__(
        self,
        phases: Sequence[Phase],
        seed: int,
        draw: Draw,
        prompts_per_generation: int,
        own: Mapping[str, float] | None = None,
    ) -> None:
        self.phases = list(phases)
        self._seed = seed
        self._draw = draw
        self._prompts_per_generation = prompts_per_generation
        self._own = dict(own or {})
        self.why = ""
        """Why the phase is in force; empty for the first one."""
        self._by_hand = False
        self._prompt = 0
        """The number of the next generation's first prompt."""
        self._put(0, 0)

    @property
    def phase(self) -> Phase:
        """The phase in force for the next generation."""
        return self.phases[self.index]

    @property
    def by_hand(self) -> bool:
        """Whether a person has taken the wheel: no rule advances until `switch("auto")`."""
        return self._by_hand

    @property
    def advances(self) -> bool:
        """Whether some rule can end the present phase; the same on every rank."""
        return not self._by_hand and self.index + 1 < len(self.phases) and bool(self.phase.ends())

    def switch(self, to: str, step: int) -> PhaseChange:
        """Obey a command after training step `step`; every rank does it.

        A person who names a phase, or says next or prev, has the wheel until they say auto.

        Args:
            to: the name of a phase, or next, prev or auto.
            step: the step that has just been done.

        Raises:
            ValueError: there is no such phase; the message says so to a person, and nothing has changed.
        """
        if to == "auto":
            self._by_hand = False
            ends = " or ".join(self.phase.ends()) if self.index + 1 < len(self.phases) else ""
            why = f"{BY_HAND}: the rules advance it again" + (f" ({ends})" if ends else ", but no rule ends this phase")
            return self._told(step, why, {})
        names = [phase.name for phase in self.phases]
        index = {"next": self.index + 1, "prev": self.index - 1}.get(to)
        if index is None:
            if to not in names:
                raise ValueError(f"there is no phase {to!r}; there are: {', '.join(names)}")
            index = names.index(to)
        if not 0 <= index < len(names):
            end, side = ("last", "after") if to == "next" else ("first", "before")
            raise ValueError(f"{self.phase.name!r} is the {end} phase: there is none {side} it")
        self._by_hand = True
        return self._enter(index, step, BY_HAND)

    def advance(self, step: int, reward: float | None, entropy: float | None) -> PhaseChange | None:
        """Whether the rules end the phase after training step `step`; called on the first rank after each step.

        Args:
            step: the step that has just been done.
            reward: mean reward of a generation of this phase that the step finished, None where it finished none.
            entropy: its entropy in nats a token, likewise.
        """
        for value, last in ((reward, self._rewards), (entropy, self._entropies)):
            if value is not None and math.isfinite(value):
                last.append(value)
        why = self._ended(step) if self.advances else ""
        return self._enter(self.index + 1, step, why) if why else None

    def follow(self, change: PhaseChange) -> None:
        """Do on this rank what `advance` did on the first."""
        self._by_hand = change.by_hand
        self._enter(change.index, change.step, change.why)

    def state(self) -> dict[str, Any]:
        """What a checkpoint has to keep, as plain JSON."""
        kept = _State(
            index=self.index,
            entered=self._entered,
            by_hand=self._by_hand,
            why=self.why,
            prompt=self._prompt,
            rewards=list(self._rewards),
            entropies=list(self._entropies),
        )
        plain: dict[str, Any] = msgspec.to_builtins(kept)
        return plain

    def restore(self, state: Mapping[str, Any]) -> dict[str, float]:
        """Go on from `state`, prompts included: the next ones are those that came after it the first time.

        Gives the settings to put in force for the phase, as a switch to it would.

        Raises:
            ValueError: it is no state of a curriculum with these phases; nothing has changed.
        """
        try:
            kept = msgspec.convert(dict(state), _State)
        except msgspec.ValidationError as error:
            raise ValueError(f"no state of a curriculum: {error}") from None
        if not 0 <= kept.index < len(self.phases) or kept.prompt < 0:
            raise ValueError(f"phase {kept.index}, prompt {kept.prompt}: no state of these {len(self.phases)} phases")
        settings = self._settings(self.phase, self.phases[kept.index])
        self._put(kept.index, kept.entered)
        self._by_hand, self.why, self._prompt = kept.by_hand, kept.why, kept.prompt
        self._rewards.extend(kept.rewards)
        self._entropies.extend(kept.entropies)
        return settings

    def rows(self, inputs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The rows of a generation in place of `inputs`, this rank's rows of the dataset.

        Of an input only `number` counts, and of that only its place in a generation: which generation it is the
        curriculum knows itself, so that going back needs nothing of the data loader.
        """
        first, size = self._prompt, self._prompts_per_generation
        self._prompt += size
        made: dict[int, dict[str, Any]] = {}
        for row in inputs:
            place = row["number"] % size
            if place not in made:
                made[place] = self._problem(first + place)
        return [dict(made[row["number"] % size]) for row in inputs]

    def _problem(self, number: int) -> dict[str, Any]:
        tasks = self.phase.tasks
        rng = np.random.default_rng([self._seed, number])
        weights = np.array(list(tasks.values()), dtype=np.float64)
        task = list(tasks)[int(rng.choice(len(weights), p=weights / weights.sum()))]
        return {**self._draw(task, rng), "task": task, "phase": self.phase.name}

    def _ended(self, step: int) -> str:
        """Which rule ends the phase, in words; empty for none."""
        phase = self.phase
        if (level := phase.until.reward) is not None and len(self._rewards) == level.steps:
            mean = math.fsum(self._rewards) / level.steps
            if mean >= level.at_least:
                return f"reward {mean:.3g} over the last {_steps(level.steps)}, at least {level.at_least:g}"
        if (floor := phase.until.entropy_below) is not None and len(self._entropies) == ENTROPY_STEPS:
            mean = math.fsum(self._entropies) / ENTROPY_STEPS
            if mean < floor:
                return f"entropy {mean:.3g} over the last {_steps(ENTROPY_STEPS)}, below {floor:g}"
        if phase.steps is not None and step - self._entered >= phase.steps:
            return f"{_steps(phase.steps)} done"
        return ""

    def _enter(self, index: int, step: int, why: str) -> PhaseChange:
        settings = self._settings(self.phase, self.phases[index])
        if index != self.index:
            self._put(index, step)
            self.why = why
        return self._told(step, why, settings)

    def _put(self, index: int, step: int) -> None:
        """Let phase `index` begin after `step`, with nothing for its rules to look back at."""
        self.index = index
        self._entered = step
        level = self.phases[index].until.reward
        self._rewards: deque[float] = deque(maxlen=level.steps if level else 0)
        self._entropies: deque[float] = deque(
            maxlen=0 if self.phases[index].until.entropy_below is None else ENTROPY_STEPS
        )

    def _settings(self, before: Phase, after: Phase) -> dict[str, float]:
        keys = dict.fromkeys([*before.settings, *after.settings])
        return {key: after.settings[key] if key in after.settings else self._own[key] for key in keys}

    def _told(self, step: int, why: str, settings: dict[str, float]) -> PhaseChange:
        return PhaseChange(
            name=self.phase.name,
            index=self.index,
            of=len(self.phases),
            step=step,
            by_hand=self._by_hand,
            why=why,
            settings=settings,
        )


def _steps(count: int) -> str:
    return "1 step" if count == 1 else f"{count} steps"
