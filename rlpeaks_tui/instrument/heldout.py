"""Prompts that training never sees: answered by the policy and by its starting weights, and judged as
training judges.

They are the trainer's own `eval_dataset`, so that somebody's script needs nothing new to have them. Every
rank answers its share of the prompts. The random state of generation and of reward functions is set apart:
an evaluation leaves training exactly as it found it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from msgspec import Struct
from numpy.typing import NDArray

from ..stats.summaries import Floats
from .answering import Answering, Row
from .generation import as_text
from .probes.outcome import Outcome
from .probes.routing import Decoded, Rule, decode
from .ranks import Ranks
from .starting_weights import StartingWeights, looking
from .trl_bridge import TrlBridge

_COUNTS = 4


class Routed(Struct, frozen=True):
    """What came of routing by each of R rules, over all ranks.

    Attributes:
        outcomes: [P, R], 1 right, 0 wrong, nan unknown.
        fired: [R], share of tokens at which the rule took the policy's.
        differing: [R], share of tokens at which the two models' likeliest tokens differ.
        gain: [R], middle change of log-probability of the policy's token where they differ (with several ranks the mean
            of their middles), nats.
    """

    outcomes: Floats
    fired: Floats
    differing: Floats
    gain: Floats


class HeldOut:
    """The held-out prompts of one training.

    Args:
        bridge: the trainer.
        answering: the same; the prompts are its evaluation set.
        outcome: tells right from wrong.
        limit: prompts at most, taken evenly from the whole of the set.
        samples: completions of each when they are sampled.
        ranks: who shares the work.
        seed: of what is sampled.
    """

    def __init__(
        self,
        bridge: TrlBridge,
        answering: Answering,
        outcome: Outcome,
        limit: int,
        samples: int,
        ranks: Ranks,
        seed: int,
    ) -> None:
        self._bridge = bridge
        self._answering = answering
        self._outcome = outcome
        self._ranks = ranks
        self._seed = seed
        self.samples = samples
        self.why, self.rows = answering.rows(limit)
        """Why there are none, or empty; and the rows of the set, each with its prompt."""
        self._mine = list(range(ranks.mine, len(self.rows), ranks.world))
        self._prompts: list[list[int]] | None = None

    @property
    def tasks(self) -> list[str]:
        """The task of each prompt, empty where the set names none."""
        return [str(row.get("task") or "") for row in self.rows]

    @property
    def prompts(self) -> list[str]:
        return [as_text(row["prompt"]) for row in self.rows]

    def sampled(self, base: StartingWeights | None, seed: int) -> Floats:
        """[P, n] outcomes of sampled completions, 1 right, 0 wrong, nan unknown; all ranks call it together.

        Under the starting weights when `base` is given, else under the policy as it is now.
        """

        def mine() -> torch.Tensor:
            numbers = [number for number in self._mine for _ in range(self.samples)]
            with looking(self._bridge.model), base.lent_to(self._bridge.model) if base else nullcontext():
                # Ranks must not draw the same completions.
                torch.manual_seed(self._seed + 1_000_003 * seed + self._ranks.mine)
                ids = self._answering.sample([self._tokenized[number] for number in numbers])
            return self._spread(self._judge(numbers, ids).reshape(-1, self.samples))

        return self._gathered(mine)

    def routed(self, base: StartingWeights, rules: Sequence[Rule]) -> Routed:
        """Greedy completions with the policy stepping in where a rule says; all ranks call it together."""

        def mine() -> torch.Tensor:
            table = np.zeros((len(self.rows) + _COUNTS, len(rules)))
            ids = [self._tokenized[number] for number in self._mine]
            with looking(self._bridge.model), base.beside(self._bridge.model) as use_base:
                for i, rule in enumerate(rules if ids else ()):
                    step = self._answering.lock_step(ids, use_base)
                    found = decode(step, rule, self._answering.longest, self._answering.stops)
                    table[self._mine, i] = self._judge(self._mine, _as_lists(found))
                    gains = found.gain[~found.gain.isnan()]
                    middle = float(gains.median()) if len(gains) else 0.0
                    counts = (found.live.sum(), found.routed.sum(), len(gains), middle * len(gains))
                    table[len(self.rows) :, i] = [float(count) for count in counts]
            return torch.from_numpy(table)

        table = self._gathered(mine)
        live, fired, differing, middles = table[len(self.rows) :]
        with np.errstate(divide="ignore", invalid="ignore"):
            return Routed(table[: len(self.rows)], fired / live, differing / live, middles / differing)

    @property
    def _tokenized(self) -> list[list[int]]:
        if self._prompts is None:
            self._prompts = self._bridge.tokenize([row["prompt"] for row in self.rows])
        return self._prompts

    def _judge(self, numbers: list[int], ids: list[list[int]]) -> Floats:
        """[len(numbers)] outcomes of completions of the prompts `numbers`."""
        rows: list[Row] = [self.rows[number] for number in numbers]
        with _own_random_state():
            logged, rewards = self._answering.rewards(rows, ids)
        outcomes = self._outcome.judge(logged, rewards, len(rows))
        return np.array(outcomes, dtype=np.float64)

    def _spread(self, mine: NDArray[np.float64]) -> torch.Tensor:
        """[P, k] with this rank's rows in their places and zeros elsewhere, to be added over ranks."""
        table = np.zeros((len(self.rows), mine.shape[1]))
        table[self._mine] = mine
        return torch.from_numpy(table)

    def _gathered(self, compute: Callable[[], torch.Tensor]) -> Floats:
        found: Floats = self._ranks.exchange(compute).sum(0).cpu().numpy()
        return found


def _as_lists(found: Decoded) -> list[list[int]]:
    return [row[keep].tolist() for row, keep in zip(found.tokens.cpu(), found.live.bool().cpu(), strict=True)]


@contextmanager
def _own_random_state() -> Iterator[None]:
    """Within, the global random state of Python, numpy and PyTorch may be used; afterwards it is as before."""
    plain, array = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            yield
    finally:
        random.setstate(plain)
        np.random.set_state(array)
