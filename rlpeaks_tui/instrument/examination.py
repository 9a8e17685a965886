"""The dearest measurements: what the policy can do on held-out prompts, beside what its base can, and how
few of the policy's tokens the base needs to do the same.

The base never changes, so it is asked once, at the first evaluation.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

import numpy as np
import torch

from ..run.entries import Value
from ..run.heldout import HeldOutPrompts
from ..stats.exhaustion import exhaustion
from ..stats.heldout import ABLE, against_base, rates, summary
from ..stats.routing import recovery
from ..stats.scaling import fit_sigmoid
from ..stats.summaries import Floats
from ..stats.transfer import Stage, transfer
from .heldout import HeldOut
from .keeping import listed
from .probes.routing import at_random, everywhere, first_token, nowhere, where_gained, where_shifted
from .probing import Probing
from .recorder import Recorder
from .starting_weights import StartingWeights

EXAMS = ("eval", "routing")
BY_TASK = "eval/accuracy/"


class Examination:
    """Evaluates the policy on held-out prompts, all ranks together.

    Args:
        held_out: the prompts.
        base: the starting weights, or None where they are not kept.
        probing: where results are told.
        recorder: keeps the prompts beside their results.
        rng: the instruments' own random state.
    """

    def __init__(
        self,
        held_out: HeldOut,
        base: StartingWeights | None,
        probing: Probing,
        recorder: Recorder,
        rng: np.random.Generator,
    ) -> None:
        self._held_out = held_out
        self._base = base
        self._probing = probing
        self._recorder = recorder
        self._rng = rng
        self._base_outcomes: Floats | None = None  # [P, n]
        self._history: list[tuple[int, float, float, float]] = []
        """Step, pass@1, its standard error and the policy's entropy, of every evaluation."""
        self._by_task: list[tuple[int, dict[str, float]]] = []
        self.stages: list[Stage] = []
        """Phases of the curriculum so far."""

    @property
    def why_not(self) -> dict[str, str]:
        """Why nothing is evaluated in this run."""
        if not self._held_out.why:
            return {}
        return dict.fromkeys(("eval/pass@1", "eval/kept", "eval/gain", "routing/recovery"), self._held_out.why)

    @property
    def exams(self) -> tuple[str, ...]:
        """The probes that this run can have."""
        if self._held_out.why:
            return ()
        return EXAMS if self._base is not None else EXAMS[:1]

    def expect(self, seconds: float, completions: int) -> None:
        """Tell the budget what evaluations will cost, from a generation of training that took `seconds`."""
        if self._held_out.why or not completions:
            return
        one = seconds / completions * len(self._held_out.rows)
        # Policy and base, each sample of each prompt; and six decodings in which both models take every step.
        self._probing.budget.expect("eval", 2 * self._held_out.samples * one)
        self._probing.budget.expect("routing", 12 * one)

    def run(self, due: set[str], step: int, entropy: float, asked: bool = False) -> None:
        """Run what is due after training step `step`, in whose generation the policy had `entropy` nats a token."""
        if "eval" in due:
            self._probing.run("eval", step, lambda: self._evaluate(step, entropy), asked)
        if "routing" in due and self._base is not None:
            base = self._base
            self._probing.run("routing", step, lambda: self._route(step, base), asked)

    def _evaluate(self, step: int, entropy: float) -> None:
        began = time.perf_counter()
        held = self._held_out
        if self._base is not None and self._base_outcomes is None:
            found = held.sampled(self._base, seed=0)
            self._base_outcomes = found if np.isfinite(found).all(axis=1).any() else None
            self._by_task.insert(0, (0, _accuracies(summary(found, held.tasks))))
            self._recorder.held_out(HeldOutPrompts(prompts=held.prompts, tasks=held.tasks))
        now = held.sampled(None, seed=1)
        values = summary(now, held.tasks)
        arrays = {"rate": listed(rates(now))}
        facts: dict[str, Value] = {"samples": held.samples, "prompts": "the trainer's eval_dataset"}
        why: dict[str, str] = {}
        if not math.isfinite(values["eval/pass@1"]):
            why = dict.fromkeys(values, "right and wrong are not known for held-out completions")
        elif self._base_outcomes is None:
            kept = "right and wrong are not known for the base" if self._base else "the starting weights are not kept"
            why["eval/gain"] = kept
        else:
            values |= against_base(now, self._base_outcomes, self._rng)
            arrays["base_rate"] = listed(rates(self._base_outcomes))
            nothing = f"the base solves no held-out prompt in more than {ABLE} of its samples"
            why |= dict.fromkeys(("eval/kept", "eval/kept_se"), nothing)
            self._history.append((step, values["eval/pass@1"], values["eval/pass@1_se"], entropy))
            told, reasons = self._laws(values["eval/base_pass@1"])
            values, why = values | told, why | reasons
        self._by_task.append((step, _accuracies(values)))
        if len(self.stages) > 1:
            # A phase that ends is not over yet when it is measured, so its own stage is the last one here.
            values |= transfer(self._by_task, self.stages).metrics()
            nothing = "every task of the phases so far is still trained"
            why |= dict.fromkeys(("transfer/bwt", "transfer/forgetting"), nothing)
            why["transfer/fwt"] = "no task began after the first phase whose accuracy before that is known"
        known = int(np.isfinite(now).all(axis=1).sum())
        self._probing.tell("eval", step, values, why, n=known, began=began, facts=facts, arrays=arrays)

    def went_back(self, step: int, phase: str) -> None:
        """Forget what was seen after `step`, which the training has gone back to, into the curriculum's `phase`."""
        self._history = [seen for seen in self._history if seen[0] <= step]
        self._by_task = [seen for seen in self._by_task if seen[0] <= step]
        self.stages = [stage for stage in self.stages if stage.step <= step]
        while len(self.stages) > 1 and self.stages[-1].name != phase:
            # A phase that was entered after the checkpoint of this very step.
            self.stages.pop()

    def _laws(self, start: float) -> tuple[dict[str, float], dict[str, str]]:
        """Where held-out accuracy is going: the ceiling of its curve, and what the entropy left can still buy."""
        steps, rates, errors, entropies = np.array(self._history, dtype=np.float64).T
        ceiling = fit_sigmoid(steps, rates, errors, start, self._rng)
        left = exhaustion(entropies, rates)
        ends = {"eval/ceiling": ceiling.asymptote, "eval/ceiling_low": ceiling.low, "eval/ceiling_high": ceiling.high}
        if not ceiling.identified:
            ends = dict.fromkeys(ends, math.nan)
        why = dict.fromkeys(ends, ceiling.why) | dict.fromkeys(left.metrics(), left.why)
        return ends | left.metrics(), why

    def _route(self, step: int, base: StartingWeights) -> None:
        began = time.perf_counter()
        held = self._held_out
        main = held.routed(base, [nowhere, everywhere, where_shifted, first_token])
        # The control has the budget of the rule that it is held against, and the further rule half of all differences.
        generator = torch.Generator().manual_seed(int(self._rng.integers(2**31)))
        rate, middle = float(main.fired[2]), float(np.nan_to_num(main.gain[1]))
        more = held.routed(base, [at_random(rate, generator), where_gained(middle)])
        of_base, of_policy, shifted, first = main.outcomes.T
        hybrids = {"recovery": shifted, "first": first, "random": more.outcomes[:, 0], "half": more.outcomes[:, 1]}
        values = {"routing/argmax": float(main.differing[1]), "routing/tokens": rate}
        why: dict[str, str] = {}
        for name, hybrid in hybrids.items():
            found = recovery(of_base, of_policy, hybrid, self._rng)
            told = {f"routing/{name}": found.value}
            if name == "recovery":
                told |= {"routing/recovery_low": found.low, "routing/recovery_high": found.high}
            values |= told
            why |= dict.fromkeys(told, found.why)
        facts: dict[str, Value] = {
            "decoding": "greedy, the base drives",
            "base accuracy": _accuracy(of_base),
            "policy accuracy": _accuracy(of_policy),
        }
        self._probing.tell("routing", step, values, why, n=len(held.rows), began=began, facts=facts)


def _accuracies(values: Mapping[str, float]) -> dict[str, float]:
    """Of each task, out of the metrics of an evaluation."""
    return {name.removeprefix(BY_TASK): value for name, value in values.items() if name.startswith(BY_TASK)}


def _accuracy(outcomes: Floats) -> float | None:
    known = outcomes[np.isfinite(outcomes)]
    return float(known.mean()) if known.size else None
