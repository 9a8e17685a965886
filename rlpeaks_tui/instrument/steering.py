"""Commands that change weights or settings, or look at something, applied by all ranks at the same safe
point.

Each gives an answer with the values before and after; none raises. How a change is made on all ranks or on
none, and how it is undone, is `history`'s business.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from msgspec import Struct, field

from ..run.bounds import RATE
from ..run.entries import Value
from ..run.requests import (
    BASE,
    Evaluate,
    Measure,
    Note,
    Request,
    Reset,
    RollBack,
    Save,
    Set,
    SwitchPhase,
    SyncReference,
    Undo,
)
from .checkpoints import CheckpointRefused
from .curriculum import Curriculum
from .history import History, PutBack, Refused, Way
from .measurements import Measurements
from .policy import fresh_optimizer, matching, put_weights, tensors_of
from .recorder import Recorder
from .settings import SettingRefused, Settings
from .starting_weights import StartingWeights
from .trl_bridge import TrlBridge


class Answer(Struct):
    """What became of a command: `status` is applied, refused or failed."""

    status: Literal["applied", "refused", "failed"] = "applied"
    why: str = ""
    before: dict[str, Value] = field(default_factory=dict)
    after: dict[str, Value] = field(default_factory=dict)


class Steering:
    """Applies requests to one training.

    Args:
        trainer: a TRL online trainer.
        bridge: the same, as the instruments see it.
        recorder: where what goes wrong is journaled.
        history: the way back.
        settings: what can be set.
        base: the starting weights, or None where they are not kept.
        curriculum: None where the trainer has none.
        measurements: looks at things when it is asked to.
    """

    def __init__(
        self,
        trainer: Any,
        bridge: TrlBridge,
        recorder: Recorder,
        history: History,
        settings: Settings,
        base: StartingWeights | None,
        curriculum: Curriculum | None,
        measurements: Measurements,
    ) -> None:
        self._trainer = trainer
        self._bridge = bridge
        self._recorder = recorder
        self._history = history
        self._settings = settings
        self._base = base
        self._curriculum = curriculum
        self._measurements = measurements
        self._stage_ended = False

    @property
    def cannot(self) -> dict[str, str]:
        """Commands that cannot work in this run, and why; `set KEY` for a setting."""
        found: dict[str, str] = {}
        if self._history.sharded:
            found |= dict.fromkeys(("checkpoint", "reset", "rollback", "sync-ref"), self._history.sharded)
        if why := self._no_reference():
            found["sync-ref"] = why
        if self._curriculum is None:
            found["phase"] = "this training has no curriculum: its prompts come from a data set of its own"
        return found | {f"set {name}": why for name, why in self._settings.cannot.items()}

    @property
    def settings(self) -> dict[str, float]:
        """Settings in force."""
        return self._settings.values

    def apply(self, request: Request, step: int) -> Answer:
        """Do what is asked for, all ranks together; nothing is raised."""
        try:
            return self._apply(request, step)
        except (Refused, CheckpointRefused, SettingRefused) as refusal:
            return Answer("refused", str(refusal))
        except PutBack as error:
            self._recorder.error("command", error)
            return Answer("failed", str(error))
        except Exception as error:
            self._recorder.error("command", error)
            return Answer("failed", f"{type(error).__name__}: {error}; nothing was changed")

    def settle(self, step: int) -> None:
        """Do what an answer need not wait for: where a phase has ended, measure what it leaves behind."""
        if self._stage_ended and self._curriculum is not None:
            self._measurements.stage_ends(step)
            self._measurements.stage_begins(step, self._curriculum.phase.name, self._curriculum.phase.tasks)
        self._stage_ended = False

    def _apply(self, request: Request, step: int) -> Answer:
        match request:
            case Save(name):
                saved = self._history.save(name, "hand", step)
                return Answer(after={"checkpoint": saved.name, "bytes": saved.bytes})
            case Reset():
                return self._reset(request, step)
            case SyncReference():
                return self._sync_reference(step)
            case RollBack(checkpoint):
                return self._go_back("rollback", checkpoint, step)
            case SwitchPhase(to):
                return self._switch(to, step)
            case Set(key, value, sure):
                return self._set(key, value, sure)
            case Evaluate():
                return self._look("eval", step)
            case Measure(probe):
                return self._look(probe, step)
            case Note(text):
                return Answer(after={"text": text})
            case Undo():
                return self._undo(step)
        raise Refused("this training process does not know this command")

    def _reset(self, asked: Reset, step: int) -> Answer:
        weights: dict[str, torch.Tensor] = {}

        def prepare() -> None:
            nonlocal weights
            if asked.to == BASE and self._base is None:
                raise Refused("probes.starting_weights is off, so there are no starting weights to go back to")
            weights = self._base.tensors if asked.to == BASE and self._base else self._history.weights(asked.to)
            if not matching(weights, asked.layers):
                example = next(iter(weights), "none")
                raise Refused(f"no trained parameter is called {asked.layers!r}; one is called {example}")

        def change() -> None:
            moved = put_weights(self._bridge.model, weights, asked.blend, asked.layers)
            if not asked.keep_optimizer:
                fresh_optimizer(self._trainer.optimizer, moved)
            self._bridge.forget_rollouts()

        before = self._distance()
        self._history.change("reset", prepare, change, step)
        optimizer = "as it was" if asked.keep_optimizer else "fresh"
        return Answer(before=before, after={**self._distance(), "to": asked.to, "optimizer": optimizer})

    def _sync_reference(self, step: int) -> Answer:
        def prepare() -> None:
            if why := self._no_reference():
                raise Refused(why)

        def change() -> None:
            model, reference = self._bridge.model, self._bridge.reference
            assert reference is not None
            put_weights(reference, tensors_of(model))
            fresh_optimizer(self._trainer.optimizer, list(model.parameters()))
            self._history.reference_moved = True
            # Log-probabilities under the old reference are no use to the next update.
            self._bridge.forget_rollouts()

        self._history.change("sync-ref", prepare, change, step)
        return Answer(after={"reference": f"the policy of step {step}", "optimizer": "fresh"})

    def _go_back(self, verb: str, name: str, step: int) -> Answer:
        at, branch = self._history.go_back(verb, name, step)
        phase = self._curriculum.phase.name if self._curriculum else ""
        self._measurements.went_back(at, phase, self._history.nodes)
        why = []
        if not self._bridge.prompts_again:
            why.append("its prompts are no longer remembered: the next steps have others")
        if not self._bridge.at_a_generation:
            why.append("the checkpoint lies within a generation, which is made anew, so steps do not repeat exactly")
        if self._curriculum is None and at < step:
            why.append("the data loader goes on from where it is, so training ends when its data does")
        return Answer(
            why="; ".join(why), before={"step": step}, after={"step": at, "checkpoint": name, "branch": branch}
        )

    def _switch(self, to: str, step: int) -> Answer:
        if self._curriculum is None:
            raise Refused(self.cannot["phase"])
        state = self._curriculum.state()
        try:
            change = self._curriculum.switch(to, step)
        except ValueError as error:
            raise Refused(str(error)) from None
        try:
            before = self._history.put(change.settings)
        except Exception:
            self._curriculum.restore(state)
            raise
        self._history.remember(Way("phase", settings=before, curriculum=state))
        self._stage_ended = self._stage_ended or change.index != state["index"]
        was = self._curriculum.phases[state["index"]].name
        after: dict[str, Value] = {"phase": change.name, **change.settings}
        return Answer(why=change.why, before={"phase": was, **before}, after=after)

    def _set(self, key: str, value: float, sure: bool) -> Answer:
        self._settings.check(key, value, sure)
        before = self._history.put({key: value})
        factor = before[key] / self._settings.values[key] if key == RATE else 1.0
        self._history.remember(Way("set", settings=before, rate_factor=factor))
        why = ""
        if key.startswith("epsilon") and self._bridge.ratio_is_one:
            why = "the ratio is 1 here, since each generation is used for one update: the clip range changes nothing"
        return Answer(why=why, before=dict(before), after={key: self._settings.values[key]})

    def _look(self, probe: str, step: int) -> Answer:
        try:
            found = self._measurements.now(probe, step)
        except ValueError as error:
            raise Refused(str(error)) from None
        return Answer(after={name: value for name, value in found.items() if not name.startswith("probes/")})

    def _undo(self, step: int) -> Answer:
        ways = self._history.ways
        if not ways:
            raise Refused("there is nothing to undo: no command has changed weights or settings")
        way = ways[-1]
        if way.checkpoint:
            answer = self._go_back("undo", way.checkpoint, step)
            # Going back left a way of its own on top of the one that was taken.
            del ways[-2:]
        else:
            settings = dict(way.settings)
            if way.verb == "set" and RATE in settings:
                # The schedule has gone on meanwhile: what is undone is the factor.
                settings[RATE] = self._settings.values[RATE] * way.rate_factor
            before = self._history.put(settings)
            ways.pop()
            if way.curriculum is not None and self._curriculum is not None:
                self._stage_ended = self._stage_ended or way.curriculum["index"] != self._curriculum.index
                # Prompts go on: those since the switch are not asked again.
                self._curriculum.restore({**way.curriculum, "prompt": self._curriculum.state()["prompt"]})
            answer = Answer(before=dict(before), after=dict(settings))
        answer.after = {"undone": way.verb, **answer.after}
        return answer

    def _distance(self) -> dict[str, Value]:
        """How far the policy is from its starting weights, relative to their norm."""
        if self._base is None or self._history.sharded:
            return {}
        moved = start = 0.0
        for name, parameter in self._bridge.model.named_parameters():
            if name in self._base.tensors:
                base = self._base.tensors[name].to(parameter.device, torch.float32)
                moved += float((parameter.detach().float() - base).square().sum())
                start += float(base.square().sum())
        return {"distance from the start": round((moved / start) ** 0.5, 8) if start else 0.0}

    def _no_reference(self) -> str:
        """Why the reference cannot become the policy, or empty."""
        if hasattr(self._bridge.model, "peft_config"):
            return "with an adapter the reference is the model without it, which cannot become the policy"
        if self._bridge.reference is None:
            return "beta is 0, so there is no reference to synchronize; set beta above 0 first"
        return ""
