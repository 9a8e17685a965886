"""What every generation gives for nothing: the completions themselves, and the metrics that follow from
them.

No forward pass happens here. What needs tokens is reduced to a few sums on each rank and added up over all
of them in one exchange, so that a mean is a mean over all ranks; what needs texts is computed where the
texts are, on the first.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from msgspec import Struct, field
from numpy.typing import NDArray

from ..config import Probes
from ..run.entries import Value
from ..run.rollouts import Block, TokenBlock
from ..stats.confidence import METRIC, SOURCES, STATED, confidence_by_source
from ..stats.groups import groups
from ..stats.texts import SkipBaseline, labels, length_quantiles, repetition
from .generation import Generation
from .probes.confidence import ConfidenceWindow
from .probes.outcome import Outcome
from .probes.texts import Selection, by_format, format_shares, mean_by_task
from .probes.tokens import token_metrics, token_sums
from .ranks import Ranks
from .recorder import Recorder
from .trl_bridge import TrlBridge

LEARNING_STEPS = 10
"""Steps in which the policy still counts as the base, for what its successes look like."""


class Told(Struct, frozen=True):
    """One calibration as it goes to the journal."""

    name: str
    values: dict[str, float | None]
    why: dict[str, str]
    n: int
    facts: dict[str, Value]
    arrays: dict[str, list[float | None]] = field(default_factory=dict)


class Keeper:
    """Writes each generation and remembers what later ones are compared with."""

    def __init__(self, bridge: TrlBridge, recorder: Recorder, settings: Probes, ranks: Ranks) -> None:
        self._bridge = bridge
        self._ranks = ranks
        self._recorder = recorder
        self._settings = settings
        self.outcome = Outcome()
        self.entropy = math.nan
        """Nats a token of the newest generation, over all ranks."""
        self._skips = SkipBaseline()
        self._formats: set[str] = set()
        self._selection = Selection()
        size = settings.calibration_window
        self._windows = {source: ConfidenceWindow(size) for source in SOURCES}

    @property
    def reasons(self) -> dict[str, str]:
        """Why a metric of `keep` can be without a value."""
        unknown = self.outcome.why or "no group has an outcome that is known"
        return {
            "groups/rare_success": "no group of 8 or more with a success and a known outcome",
            "groups/expected_zero_variance": unknown,
            "groups/all_right": unknown,
            "groups/all_wrong": unknown,
            "texts/repeated": "every completion is too short to tell",
            "format/selection_rate": "no format was paid more than another",
            "format/selection_residual": "the shares of formats did not change",
        }

    def keep(self, generation: Generation) -> dict[str, float | None]:
        """Write the completions; gives the step's metrics. All ranks call it together."""
        completions = len(generation.mask)

        def mine() -> torch.Tensor:
            return torch.cat([generation.sums().double().flatten(), token_sums(generation)])

        parts = self._ranks.exchange(mine).cpu().numpy()  # [ranks, 6 B + k]
        sums = parts[:, : 6 * completions].reshape(-1, 6)  # [N, 6]
        length, _, logp, base_logp, entropy, k3 = sums.T
        row: dict[str, float | None] = token_metrics(parts[:, 6 * completions :])
        total = float(length.sum())
        self.entropy = float(entropy.sum()) / total if total else math.nan
        if total and np.isfinite(base_logp).all():
            row["kl/base_k1"] = float((logp - base_logp).sum()) / total
            row["kl/base_k3"] = float(k3.sum()) / total
        # On every rank, since each judges its own share of the held-out prompts by what this has seen.
        correct = self.outcome.of(generation)
        if self._recorder.directory is None:
            return row
        n = len(length)
        tasks = [str(task) for task in generation.columns.get("task", [])] or [""] * n
        formats = [str(name) if name is not None else "other" for name in generation.columns.get("format", [])]
        if any(tasks):
            row |= mean_by_task("reward", tasks, _array(generation.reward))
            row |= mean_by_task("entropy", tasks, entropy, weights=length)
        if formats:
            row |= format_shares(formats, self._formats)
            row |= by_format(formats, generation.advantages)
            row |= {
                n: None if math.isnan(v) else v for n, v in self._selection.add(formats, generation.advantages).items()
            }
        found = groups(
            _array(generation.reward),
            np.arange(n) // generation.group_size,
            _array(correct),
            np.array(generation.advantages, dtype=np.float64),
        )
        row |= _known(found.metrics())
        row |= _known(repetition(generation.completions).metrics())
        skipped = self._skipped(generation.step, tasks, length, _array(correct))
        if skipped is not None:
            row["texts/skipped"] = skipped
        row["completions/median_length"], row["completions/p95_length"] = length_quantiles(length, (0.5, 0.95)).tolist()
        self._recorder.rollouts(self._block(generation, sums, tasks, formats, correct))
        self._remember(generation, correct, logp, length)
        return row

    def calibrations(self, rng: np.random.Generator) -> list[Told]:
        """Calibration by each source of confidence that there is; the best of them under the plain names."""
        filled = [source for source in SOURCES if self._windows[source].first is not None]
        main = filled[0] if filled else STATED
        found = self._windows[main].calibrate(rng)
        first = self._windows[main].first
        reasons = {f"calibration/{name}": why for name, why in found.why.items()}
        if self.outcome.why:
            reasons = dict.fromkeys(found.metrics(), self.outcome.why)
        facts: dict[str, Value] = {
            "calibration/source": main,
            "outcome": self.outcome.source,
            "prompts": found.clusters,
            "missing": found.missing,
        }
        if math.isfinite(found.gap.half):
            facts["overclaim_half"] = found.gap.half
        if first is not None:
            facts["first step"] = first
        arrays: dict[str, list[float | None]] = {}
        if found.reliability is not None:
            names = ("edges", "count", "size", "confidence", "accuracy", "low", "high")
            columns = [np.asarray(getattr(found.reliability, name), np.float64) for name in names]
            arrays = dict(zip(names, map(listed, columns), strict=True))
        told = [Told("calibration", found.metrics(), reasons, found.n, facts, arrays)]
        others: dict[str, float | None] = {}
        for source, name in METRIC.items():
            if source in filled and source != main:
                others[name] = self._windows[source].calibrate(rng).ece
        if others:
            told.append(Told("calibration_sources", others, {}, found.n, {}))
        return told

    def went_back(self) -> None:
        """What the policy wrote on the branch that is left says nothing of the one that begins."""
        for window in self._windows.values():
            window.clear()

    def _remember(
        self,
        generation: Generation,
        correct: list[float | None],
        logp: NDArray[np.float64],
        length: NDArray[np.float64],
    ) -> None:
        n, size = len(correct), generation.group_size
        stated = generation.columns.get("confidence") or [None] * n
        group = np.arange(n) // size
        # Of all ranks, and by text: a prompt of an earlier generation or of another rank is the same prompt.
        prompt = labels(generation.prompts[::size])[group]
        found = confidence_by_source(stated, logp, length, generation.completions, group)
        for source, values in found.items():
            window = self._windows[source]
            # A source that has fallen silent goes on: what it said long ago is no measure of the policy of now.
            if window.first is not None or np.isfinite(values).any():
                window.add(generation.step, values, _array(correct), prompt)

    def _skipped(
        self, step: int, tasks: list[str], length: NDArray[np.float64], correct: NDArray[np.float64]
    ) -> float | None:
        """Share of the judged successes that are shorter than the base's; None while those are still being learnt."""
        if step <= LEARNING_STEPS:
            self._skips = self._skips.learn(tasks, length, correct)
            return None
        judged = self._skips.skipped(tasks, length, correct)
        known = judged[np.isfinite(judged)]
        return float(known.mean()) if known.size else None

    def _block(
        self,
        generation: Generation,
        sums: NDArray[np.float64],
        tasks: list[str],
        formats: list[str],
        correct: list[float | None],
    ) -> Block:
        n = len(sums)
        length, truncated, logp, base_logp, entropy, k3 = sums.T
        return Block(
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
            confidence=generation.columns.get("confidence") or [],
            correct=correct,
            logp=listed(logp),
            base_logp=listed(base_logp),
            entropy=listed(entropy),
            k3=listed(k3),
            tokens=self._traces(generation),
        )

    def _traces(self, generation: Generation) -> list[TokenBlock]:
        if generation.logps is None or generation.entropies is None:
            return []
        traces = []
        base, js = generation.base_logps, generation.js
        for i, row in enumerate(generation.traced(self._settings.token_rollouts)):
            keep = generation.mask[row].bool()
            traces.append(
                TokenBlock(
                    index=row,
                    pieces=self._bridge.pieces(generation, row),
                    logp=_bytes(generation.logps[row][keep]),
                    base_logp=b"" if base is None else _bytes(base[row][keep]),
                    entropy=_bytes(generation.entropies[row][keep]),
                    js=b"" if js is None else _bytes(js[i][keep]),
                )
            )
        return traces


def _array(values: list[float | None]) -> NDArray[np.float64]:
    return np.array(values, dtype=np.float64)


def _known(values: dict[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def listed(values: NDArray[np.float64]) -> list[float | None]:
    """Numbers for the journal: NaN becomes None."""
    return [None if not math.isfinite(v) else v for v in values.tolist()]


def _bytes(values: torch.Tensor) -> bytes:
    return values.detach().to("cpu", torch.float32).numpy().astype("<f4").tobytes()
