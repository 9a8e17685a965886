"""What is measured of a training, and when: probes on one side, the generation or the weights at hand on
the other.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import torch

from ..config import Probes
from ..run.branches import Node
from ..run.entries import Metrics, Value
from ..stats.drift import features
from ..stats.sparsity import ETA, NOT_FINITE, ModuleSparsity, pool
from ..stats.transfer import Stage
from .alerts import Alerts
from .answering import Answering
from .budget import Budget
from .examination import EXAMS, Examination
from .generation import Generation
from .heldout import HeldOut
from .keeping import Keeper
from .probes.divergence import diverge, forward_kl, js_by_token
from .probes.drift import Drift
from .probes.signs import change_by_outcome, change_sums, split_gradient
from .probes.update import as_layers, as_table, masks_of_update, measure_ranks, measure_update, of_all_ranks
from .probing import Probing
from .ranks import Ranks
from .recorder import Recorder
from .starting_weights import StartingWeights, is_sharded
from .trl_bridge import TrlBridge

GRADIENT_ROWS = 8
ALWAYS = frozenset({"rollouts"})
"""What is never put off: a few milliseconds, whatever the model's size."""


class Measurements:
    """All probes of one training, within their budget.

    Args:
        trainer: a TRL online trainer.
        bridge: the same, as the instruments see it.
        recorder: where results go; on ranks other than the first it takes nothing.
        settings: how closely to look.
        seed: of the instruments' own random state.
        ranks: all of them measure together.
    """

    def __init__(
        self, trainer: Any, bridge: TrlBridge, recorder: Recorder, settings: Probes, seed: int, ranks: Ranks
    ) -> None:
        self._bridge = bridge
        self._recorder = recorder
        self._settings = settings
        self._ranks = ranks
        self._rng = np.random.default_rng(seed)
        self._keeper = Keeper(bridge, recorder, settings, ranks)
        self._first: Generation | None = None
        self._newest: Generation | None = None
        self._alerts = Alerts(str(next(bridge.model.parameters()).dtype).removeprefix("torch."))
        self.base = StartingWeights(bridge.model) if settings.starting_weights else None
        self._drift = Drift(bridge.model, self.base, seed) if self.base else None
        self._sharded = is_sharded(bridge.model)
        # Keeping completions and masks are no probes that could be left out, but they are charged like ones.
        self.budget = Budget(
            settings.budget, {**settings.every(), "rollouts": 1, "masks": 1}, ALWAYS, later=frozenset(EXAMS)
        )
        self._probing = Probing(recorder, self._alerts, ranks, self.budget)
        held_out = HeldOut(
            bridge,
            Answering(trainer, bridge),
            self._keeper.outcome,
            0 if self._sharded or bridge.missing else settings.heldout_prompts,
            settings.heldout_samples,
            ranks,
            seed,
        )
        self._examination = Examination(held_out, self.base, self._probing, recorder, self._rng)

    @property
    def why_not(self) -> dict[str, str]:
        """Why metrics are not measured at all in this run."""
        why: dict[str, str] = {}
        if self._bridge.missing:
            text = f"this version of TRL has no {', '.join(self._bridge.missing)}"
            why |= dict.fromkeys(("kl/base_k1", "kl/base_k3", "kl/base", "calibration/ece"), text)
        if self.base is None:
            text = "probes.starting_weights is off, so there is nothing to compare with"
            why |= dict.fromkeys(("kl/base", "kl/base_k1", "kl/base_k3", "sparsity/bf16", "sparsity/exact"), text)
        why |= self._examination.why_not
        if self.budget.share == 0:
            why |= dict.fromkeys(("kl/base", "sparsity/bf16", "calibration/ece"), "probes.budget is 0")
        return why

    @property
    def entropy(self) -> float:
        """Nats a token of the newest generation that was finished, over all ranks; nan where none was."""
        return self._keeper.entropy

    def before_update(self, generation: Generation) -> None:
        """A generation has just been scored: policy and completions belong together exactly."""
        base = self.base
        due = self._probing.due(("kl", "kl_exact", "gradients"), generation.step)
        if base is not None and "kl" in due:
            self._probing.run("kl", generation.step, lambda: self._look_through_base(generation, base))
        self._run_of(self._on_completions(generation, generation.step), due, generation.step)
        if self._first is None:
            # The policy is the base still: what it writes now is a sample of the base, for the forward divergence.
            self._first = generation

    def after_update(self, step: int, generation: Generation | None) -> None:
        """A training step is over; `generation` is the one it used last, when all its rows have been used."""
        due = self._probing.due(("sparsity", "rank", "after", "features", *self._examination.exams), step)
        works = self._on_weights(step)
        if generation is not None:
            works |= self._on_completions(generation, step)
        self._run_of(works, due, step)
        self._examination.run(due, step, self._keeper.entropy)

    def generating_took(self, seconds: float, completions: int) -> None:
        """This rank generated so many completions in `seconds`."""
        self._examination.expect(seconds, completions)

    def finish(self, generation: Generation) -> tuple[dict[str, float | None], dict[str, str]]:
        """All rows have been through the loss: keep the completions; gives metrics, and why some are None."""
        row: dict[str, float | None] = {}
        self._newest = generation
        if self._probing.allowed("rollouts"):
            self._probing.run("rollouts", generation.step, lambda: row.update(self._keeper.keep(generation)))
        if self._recorder.directory is not None and self._probing.due_here("calibration", generation.step):
            self._probing.run("calibration", generation.step, lambda: self._measure_calibration(generation.step))
        return row, {name: why for name, why in self._keeper.reasons.items() if row.get(name, 0.0) is None}

    def judge(self, row: Metrics) -> None:
        """The step's line is in the journal: see whether it makes any health rule fire or clear."""
        if self._recorder.directory is None or self.budget.share == 0:
            return
        self._alerts.take(row)
        if self._probing.due_here("health", row.step):
            self._probing.run("health", row.step, lambda: self._recorder.write(*self._alerts.judge(row.step)))

    def at_end(self, step: int) -> None:
        """Training is over. The last weights are measured whatever the budget says: they are what people keep.

        They are evaluated where the budget of the whole run still has room for it.
        """
        base = self.base
        if base is None or self._settings.budget == 0:
            return
        if self.budget.last("sparsity") != step and self._probing.allowed("sparsity"):
            self._probing.run("sparsity", step, lambda: self._measure_update(step, base))
        if "eval" in self._examination.exams and self.budget.last("eval") != step:
            room = self._ranks.decide([self.budget.affords("eval")])[0]
            if room and self._probing.allowed("eval"):
                self._examination.run({"eval"}, step, self._keeper.entropy)
        if not self._sharded and self._recorder.directory is not None:
            model = self._bridge.model
            self._probing.run("masks", step, lambda: self._recorder.masks(masks_of_update(model, base, step)))

    def now(self, name: str, step: int) -> dict[str, float | None]:
        """Run a probe because somebody asks for it, all ranks together; gives what it found, on the first rank.

        Raises:
            ValueError: there is no such probe here, or it cannot run now.
            RuntimeError: it failed; the journal has the traceback.
        """
        if name in EXAMS and name not in self._examination.exams:
            raise ValueError(self._examination.why_not.get("eval/pass@1", "the starting weights are not kept"))
        works = self._on_weights(step) | {"calibration": lambda: self._measure_calibration(step)}
        if self._newest is not None:
            works |= self._on_completions(self._newest, step)
        if "kl_exact" in works:
            # As it is called where it is told.
            works["kl"] = works.pop("kl_exact")
        if name not in (*works, *EXAMS):
            raise ValueError(f"there is no probe {name!r} that could run now; there are: {', '.join((*works, *EXAMS))}")
        before = self._probing.told.get(name)
        if name in EXAMS:
            self._examination.run({name}, step, self._keeper.entropy, asked=True)
        else:
            self._probing.run(name, step, works[name], asked=True)
        told = self._probing.told.get(name)
        if self._recorder.directory is not None and told is before:
            raise RuntimeError(f"the {name} measurement failed")
        return {} if told is None else dict(told.v)

    def _on_weights(self, step: int) -> dict[str, Callable[[], None]]:
        """Probes of the weights as they are after `step`, by name."""
        base = self.base
        if base is None:
            return {}
        works = {"sparsity": lambda: self._measure_update(step, base)}
        return works if self._sharded else works | {"rank": lambda: self._measure_ranks(step, base)}

    def _on_completions(self, generation: Generation, step: int) -> dict[str, Callable[[], None]]:
        """Probes of the policy on the completions of a generation, by name, in the order in which they run."""
        base = self.base
        exact = {} if base is None else {"kl_exact": lambda: self._measure_divergence(generation, base)}
        return {
            **exact,
            "gradients": lambda: self._measure_gradients(generation),
            "after": lambda: self._measure_change(generation, step),
            "features": lambda: self._measure_features(generation, step),
        }

    def _run_of(self, works: dict[str, Callable[[], None]], due: set[str], step: int) -> None:
        for name, work in works.items():
            if name in due:
                self._probing.run(name, step, work)

    def stage_begins(self, step: int, name: str, tasks: Collection[str]) -> None:
        """A phase of the curriculum begins after `step`."""
        self._examination.stages.append(Stage(step, name, tuple(tasks)))

    def stage_ends(self, step: int) -> None:
        """A phase of the curriculum ends after `step`: evaluate what it leaves, where there is a held-out set."""
        if "eval" in self._examination.exams and self._probing.allowed("eval"):
            self._examination.run({"eval"}, step, self._keeper.entropy)

    def went_back(self, step: int, phase: str, nodes: Sequence[Node]) -> None:
        """The training goes on from the end of `step` again, in the curriculum's `phase` if it has one.

        `nodes` are the branches of the run, the one that begins now among them.
        """
        self._alerts.went_back(nodes)
        self.budget.went_back(step)
        self._examination.went_back(step, phase)
        self._keeper.went_back()
        if self._drift is not None:
            self._drift.went_back(step)

    def failed(self, name: str, error: Exception) -> None:
        """A part outside of the probes failed."""
        self._probing.failed(name, error)

    # The probes.

    def _look_through_base(self, generation: Generation, base: StartingWeights) -> None:
        generation.base_logps, generation.base_entropies = self._bridge.score(generation, base)
        rows = torch.tensor(generation.traced(self._settings.token_rollouts), device=self._bridge.device)
        if len(rows) and self._recorder.directory is not None and not self._sharded:
            generation.js = js_by_token(
                lambda part, of_base: self._bridge.logits(generation, rows[part], base if of_base else None),
                generation.mask[rows],
                self._bridge.vocabulary,
            )

    def _measure_divergence(self, generation: Generation, base: StartingWeights) -> None:
        if self._recorder.directory is None and not self._sharded:
            return
        began = time.perf_counter()
        bridge, rows, first = self._bridge, self._settings.kl_exact_rollouts, self._first or generation
        found = diverge(
            lambda part, of_base: bridge.logits(generation, part, base if of_base else None),
            generation.mask[:rows],
            bridge.vocabulary,
        )
        forward, forward_error = forward_kl(
            lambda part, of_base: bridge.logits(first, part, base if of_base else None),
            first.mask[:rows],
            bridge.vocabulary,
        )
        values = {
            "kl/base": found.kl,
            "kl/base_se": found.kl_se,
            "kl/base_forward": forward,
            "kl/base_forward_se": forward_error,
            "shift/js": found.js,
            "shift/js_share": found.js_share,
            "shift/argmax": found.argmax,
        }
        moved = [f"{bridge.text(then)!r} to {bridge.text(now)!r}: {times}" for then, now, times in found.moved]
        facts: dict[str, Value] = {
            "tokens": found.tokens,
            "temperature": bridge.temperature,
            "rank": "first",
            "starting weights": base.precision,
            "moved": "; ".join(moved),
        }
        arrays: dict[str, list[float | None]] = {"js_by_position": list(found.js_by_position)}
        self._probing.tell("kl", generation.step, values, n=found.completions, began=began, facts=facts, arrays=arrays)

    def _measure_gradients(self, generation: Generation) -> None:
        if self._sharded or self._recorder.directory is None:
            return
        began = time.perf_counter()
        # Rows of both signs: the first of each, up to half of the sample each.
        half = GRADIENT_ROWS // 2
        positive = torch.nonzero(generation.advantage > 0).flatten()[:half]
        negative = torch.nonzero(generation.advantage < 0).flatten()[:half]
        if not len(positive) or not len(negative):
            reason = "all advantages of this generation are zero"
            names = ("gradient/positive", "gradient/negative", "gradient/cosine")
            self._probing.tell(
                "gradients", generation.step, dict.fromkeys(names), dict.fromkeys(names, reason), began=began
            )
            return
        rows = torch.cat([positive, negative])
        logps = self._bridge.score_with_graph(generation, rows)
        split = split_gradient(self._bridge.model, logps, generation.advantage[rows], generation.mask[rows])
        values = {
            "gradient/positive": split.positive,
            "gradient/negative": split.negative,
            "gradient/cosine": split.cosine,
        }
        facts: dict[str, Value] = {"rank": "first", "positive": len(positive), "negative": len(negative)}
        self._probing.tell("gradients", generation.step, values, n=len(rows), began=began, facts=facts)

    def _measure_update(self, step: int, base: StartingWeights) -> None:
        if self._recorder.directory is None and not self._sharded:
            return
        began = time.perf_counter()
        modules = self._updates(base)
        total = pool(modules)
        values: dict[str, float | None] = {
            "sparsity/exact": total.exact,
            "sparsity/bf16": total.bf16,
            "sparsity/relative": total.relative,
            "sparsity/atol": total.atol,
            "sparsity/null": total.null,
            "update/norm": total.delta_norm / total.weight_norm if total.weight_norm else math.nan,
        }
        reasons: dict[str, str] = {}
        if not total.finite:
            reasons = dict.fromkeys(values, NOT_FINITE)
            values = dict.fromkeys(values)
        if self._drift is not None:
            self._drift.add(step)
            values |= self._drift.metrics()
            reasons |= self._drift.reasons()
        facts: dict[str, Value] = {
            "starting weights": base.precision,
            "relative tolerance": ETA,
            "null sample": total.null_n,
            "of": "the merged update of adapters, whose rank is bounded by construction"
            if hasattr(self._bridge.model, "peft_config")
            else "parameters",
        }
        self._recorder.layers(as_layers(modules, step))
        self._probing.tell("sparsity", step, values, reasons, n=total.n, began=began, facts=facts)

    def _updates(self, base: StartingWeights) -> list[ModuleSparsity]:
        if not self._sharded:
            return measure_update(self._bridge.model, base, self._rng)
        names = list(base.tensors)

        def mine() -> torch.Tensor:
            return as_table(measure_update(self._bridge.model, base, self._rng), names)

        return of_all_ranks(self._ranks.exchange(mine), names)

    def _measure_ranks(self, step: int, base: StartingWeights) -> None:
        if self._recorder.directory is None:
            return
        began = time.perf_counter()
        ranks = measure_ranks(self._bridge.model, base)
        values = {
            f"update/{metric}": float(np.mean([getattr(rank, name) for rank in ranks.values()]))
            for metric, name in (("rank", "fraction"), ("stable_rank", "stable"), ("angle", "angle"), ("nss", "nss"))
        }
        facts: dict[str, Value] = {
            name: f"rank {r.numeric}, stable rank {r.stable:.1f}, angle {r.angle:.2f} degrees"
            for name, r in ranks.items()
        }
        self._probing.tell("rank", step, values, n=len(ranks), began=began, facts=facts)

    def _measure_change(self, generation: Generation, step: int) -> None:
        began = time.perf_counter()
        rows = slice(0, self._settings.kl_exact_rollouts)

        def mine() -> torch.Tensor:
            after, _ = self._bridge.score(generation, rows=rows)
            return change_sums(generation, after, rows)

        values, n = change_by_outcome(self._ranks.exchange(mine))
        self._probing.tell("after", step, values, n=n, began=began, facts={"generation": generation.step})

    def _measure_features(self, generation: Generation, step: int) -> None:
        if self._recorder.directory is None and not self._sharded:
            return
        began = time.perf_counter()
        hidden = self._bridge.features(generation, slice(0, GRADIENT_ROWS)).cpu().numpy()
        found = features(hidden)
        values = {"features/stable_rank": found.stable_rank, "features/dead": found.dead}
        self._probing.tell("features", step, values, n=len(hidden), began=began, facts={"kind": "proxy for plasticity"})

    def _measure_calibration(self, step: int) -> None:
        began = time.perf_counter()
        for told in self._keeper.calibrations(self._rng):
            self._probing.tell(told.name, step, told.values, told.why, told.n, began, told.facts, told.arrays)
