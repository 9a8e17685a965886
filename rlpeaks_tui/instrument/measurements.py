"""What is measured of a training, and when: the probes on one side, the generation or the weights at hand
on the other.

A probe that raises is journaled with its traceback and, after three times, switched off; training goes on.
"""

from __future__ import annotations

import math
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather

from ..config import Probes
from ..run.entries import Probe, Value, finite
from ..run.rollouts import Block, TokenBlock
from ..stats.sparsity import ETA, pool
from .budget import Budget
from .generation import Generation
from .probes.confidence import ConfidenceWindow
from .probes.kl import exact_kl
from .probes.texts import format_shares, reward_by_task
from .probes.update import as_layers, measure_update
from .recorder import Recorder
from .starting_weights import StartingWeights
from .trl_bridge import TrlBridge

STRIKES = 3


class Measurements:
    """All probes of one training, within their budget.

    Args:
        bridge: the trainer.
        recorder: where results go; on ranks other than the first it takes nothing.
        settings: how closely to look.
        seed: of the instruments' own random state.
        world: number of ranks; all of them measure together.
    """

    def __init__(self, bridge: TrlBridge, recorder: Recorder, settings: Probes, seed: int, world: int) -> None:
        self._bridge = bridge
        self._recorder = recorder
        self._settings = settings
        self._world = world
        self._rng = np.random.default_rng(seed)
        self._window = ConfidenceWindow(settings.calibration_window)
        self._strikes: dict[str, int] = defaultdict(int)
        self._formats: set[str] = set()
        self.base = StartingWeights(bridge.model)
        self.budget = Budget(settings.budget, settings.every())

    def before_update(self, generation: Generation) -> None:
        """A generation has just been scored: policy and completions belong together exactly."""
        if self._agree("kl", generation.step):
            self._run("kl", generation.step, lambda: self._look_through_base(generation))
        if self._agree("kl_exact", generation.step):
            self._run("kl_exact", generation.step, lambda: self._measure_kl(generation))

    def after_update(self, step: int) -> None:
        """A training step is over."""
        if self._agree("sparsity", step):
            self._run("sparsity", step, lambda: self._measure_update(step))

    def at_end(self, step: int) -> None:
        """Training is over. Whatever the budget says, the last weights are measured: they are what people keep."""
        if self._settings.budget > 0 and self.budget.last("sparsity") != step:
            self._run("sparsity", step, lambda: self._measure_update(step))

    def finish(self, generation: Generation) -> dict[str, float | None]:
        """All rows have been through the loss: keep the completions; gives what this step's line should have."""
        row: dict[str, float | None] = {}
        self._guard("rollouts", lambda: row.update(self._keep(generation)))
        return row

    def _run(self, name: str, step: int, work: Callable[[], None]) -> None:
        self._recorder.doing("probing")
        with self.budget.running(name, step):
            self._guard(name, work)

    def _guard(self, name: str, work: Callable[[], None]) -> None:
        """Run a part of the instruments; what it raises is journaled, and after three times the part is off."""
        if self._strikes[name] >= STRIKES:
            return
        try:
            work()
        except Exception as error:
            self._strikes[name] += 1
            self._recorder.error(f"probe {name}", error)
            if self._strikes[name] == STRIKES:
                print(f"rlpeaks: the {name} measurement failed {STRIKES} times and is off now", file=sys.stderr)

    def _agree(self, name: str, step: int) -> bool:
        """Whether a probe runs now, as the first rank decides it."""
        due = self._strikes[name] < STRIKES and self.budget.due(name, step)
        if self._world == 1:
            return due
        flag = torch.tensor([int(due)], device=self._bridge.device)
        torch.distributed.broadcast(flag, src=0)
        return bool(flag.item())

    def _look_through_base(self, generation: Generation) -> None:
        generation.base_logps = self._bridge.base_logps(generation, self.base)

    def _measure_kl(self, generation: Generation) -> None:
        began = time.perf_counter()
        rows = min(len(generation.mask), self._settings.kl_exact_rollouts)
        mean, error, n, tokens = exact_kl(
            lambda part, of_base: self._bridge.logits(generation, part, self.base if of_base else None),
            generation.mask[:rows],
            self._bridge.vocabulary,
        )
        facts: dict[str, Value] = {"tokens": tokens, "temperature": self._bridge.temperature, "rank": "first"}
        self._tell("kl", generation.step, {"kl/base": mean, "kl/base_se": error}, n=n, began=began, facts=facts)

    def _measure_update(self, step: int) -> None:
        if self._recorder.directory is None:
            return
        began = time.perf_counter()
        modules = measure_update(self._bridge.model, self.base, self._rng)
        total = pool(modules)
        values = {
            "sparsity/exact": total.exact,
            "sparsity/bf16": total.bf16,
            "sparsity/relative": total.relative,
            "sparsity/null": total.null,
            "update/norm": total.delta_norm / total.weight_norm if total.weight_norm else math.nan,
        }
        facts: dict[str, Value] = {"dtype": self.base.precision, "relative tolerance": ETA, "null sample": total.null_n}
        self._recorder.layers(as_layers(modules, step))
        self._tell("sparsity", step, values, n=total.n, began=began, facts=facts)

    def _measure_calibration(self, step: int) -> None:
        began = time.perf_counter()
        found = self._window.calibrate(self._rng)
        reasons = {f"calibration/{name}": why for name, why in found.why.items()}
        arrays: dict[str, list[float | None]] = {}
        if found.reliability is not None:
            names = ("edges", "count", "confidence", "accuracy")
            columns = [np.asarray(getattr(found.reliability, name), np.float64) for name in names]
            arrays = dict(zip(names, map(_listed, columns), strict=True))
        facts: dict[str, Value] = {
            "calibration/source": self._window.source,
            "prompts": found.clusters,
            "missing": found.missing,
        }
        self._tell("calibration", step, found.metrics(), reasons, found.n, began, facts, arrays)

    def _tell(
        self,
        name: str,
        step: int,
        measured: Mapping[str, float | None],
        reasons: Mapping[str, str] | None = None,
        n: int = 0,
        began: float = 0.0,
        facts: dict[str, Value] | None = None,
        arrays: dict[str, list[float | None]] | None = None,
    ) -> None:
        values, why = finite(measured, reasons or {})
        self._recorder.write(
            Probe(
                t=time.time(),
                name=name,
                step=step,
                v=values,
                why=why,
                n=n,
                seconds=time.perf_counter() - began,
                facts=facts or {},
                arrays=arrays or {},
            )
        )

    def _keep(self, generation: Generation) -> dict[str, float | None]:
        """Write the completions; gives the metrics that follow from them."""
        row: dict[str, float | None] = {}
        sums = gather(generation.sums())  # [N, 6]
        length, truncated, logp, base_logp, entropy, k3 = sums.double().cpu().numpy().T
        tokens = float(length.sum())
        if tokens and np.isfinite(base_logp).all():
            row["kl/base_k1"] = float((logp - base_logp).sum()) / tokens
            row["kl/base_k3"] = float(k3.sum()) / tokens
        if self._recorder.directory is None:
            return row
        n = len(length)
        columns = generation.columns
        tasks = [str(task) for task in columns.get("task", [])]
        if len(tasks) == n:
            row |= reward_by_task(tasks, generation.reward)
        formats = [str(name) if name is not None else "other" for name in columns.get("format", [])]
        if len(formats) == n:
            row |= format_shares(formats, self._formats)
        stated, correct = columns.get("confidence") or [None] * n, columns.get("correct") or [None] * n
        self._recorder.rollouts(
            Block(
                step=generation.step,
                phase=generation.phase,
                prompts=generation.prompts[:: generation.group_size],
                group=[i // generation.group_size for i in range(n)],
                completions=generation.completions,
                rewards=generation.rewards,
                reward=generation.reward,
                advantage=[float(a) for a in generation.advantages],
                length=length.astype(int).tolist(),
                truncated=truncated.astype(bool).tolist(),
                task=tasks,
                format=list(formats),
                confidence=stated,
                correct=correct,
                logp=_listed(logp),
                base_logp=_listed(base_logp),
                entropy=_listed(entropy),
                k3=_listed(k3),
                tokens=self._traces(generation),
            )
        )
        self._window.add(stated, correct, generation.group_size, _listed(logp), length.astype(int).tolist())
        if self.budget.due("calibration", generation.step):
            self._run("calibration", generation.step, lambda: self._measure_calibration(generation.step))
        return row

    def _traces(self, generation: Generation) -> list[TokenBlock]:
        if generation.logps is None or generation.entropies is None:
            return []
        traces = []
        count = min(self._settings.token_rollouts, len(generation.mask))
        # One completion of each of the first groups rather than the first group whole.
        for row in [i * generation.group_size % len(generation.mask) for i in range(count)]:
            keep = generation.mask[row].bool()
            base = generation.base_logps
            traces.append(
                TokenBlock(
                    index=row,
                    pieces=self._bridge.pieces(generation, row),
                    logp=_bytes(generation.logps[row][keep]),
                    base_logp=b"" if base is None else _bytes(base[row][keep]),
                    entropy=_bytes(generation.entropies[row][keep]),
                )
            )
        return traces


def _listed(values: np.ndarray[Any, np.dtype[np.float64]]) -> list[float | None]:
    return [None if v != v else v for v in values.tolist()]


def _bytes(values: torch.Tensor) -> bytes:
    return values.detach().to("cpu", torch.float32).numpy().astype("<f4").tobytes()
