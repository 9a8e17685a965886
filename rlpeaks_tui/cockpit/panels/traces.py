"""The tokens of recent completions, for what only single tokens can tell.

A run keeps a few completions of each generation token by token, so this is a sample: of the recent past, and of those
completions. Panels that use it say how many.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Generic, TypeVar

import numpy as np
from msgspec import Struct

from rlpeaks_tui.run.follow import Follower, Snapshot
from rlpeaks_tui.run.rollouts import Rollouts

from ..axes import Floats
from ..generations import Generations
from ..raster import Ints

Made = TypeVar("Made")

GENERATIONS = 40
"""How far back the sample reaches."""
NOTHING_KEPT = "no completion is kept token by token up to this step (probes.token_rollouts)"
MOST_TOKENS = 40_000
"""Older generations are left out beyond these."""


class Kept(Struct, frozen=True, eq=False):
    """The tokens of one generation that were kept, in order.

    Arrays have shape [T], nan where not measured: nats, and the advantage of the completion. `place` is where in its
    completion a token stands, from 0 to below 1.
    """

    step: int
    completions: int
    of: int
    pieces: tuple[str, ...]
    logp: Floats
    base_logp: Floats
    entropy: Floats
    js: Floats
    advantage: Floats
    place: Floats
    completion: Ints


class Sample(Kept, frozen=True, eq=False):
    """Those of several generations, oldest first: from the one at `first` to that at `step`."""

    first: int = 0
    generations: int = 0

    @property
    def says(self) -> str:
        """What the sample is, in words."""
        steps = f"steps {self.first:,} to {self.step:,}" if self.first != self.step else f"step {self.step:,}"
        return f"a sample: {len(self.pieces):,} tokens of {self.completions:,} of {self.of:,} completions, {steps}"


class Recent:
    """Reads the recent generations up to a step, each once; the same ones give the same sample again."""

    def __init__(self) -> None:
        self._generations = Generations(kept_of)
        self._parts: tuple[Kept, ...] = ()
        self._sample: Sample | None = None

    def __call__(self, follower: Follower, snapshot: Snapshot, step: int) -> Sample | None:
        """None where no token is kept."""
        parts = tuple(islice(self._generations.newest_first(follower, snapshot, step), GENERATIONS))[::-1]
        if parts != self._parts:
            self._parts, self._sample = parts, joined(list(parts))
        return self._sample


class OfTokens(Generic[Made]):
    """A study of recent tokens: what `make` gives for them, worked out again only when they are others, or the reason
    why there is nothing.
    """

    def __init__(self, make: Callable[[Sample], Made | str]) -> None:
        self._make = make
        self._recent = Recent()
        self._last: tuple[Sample | None, Made | str] = (None, NOTHING_KEPT)

    def __call__(self, follower: Follower, snapshot: Snapshot, step: int) -> Made | str:
        sample = self._recent(follower, snapshot, step)
        if sample is not self._last[0]:
            self._last = sample, NOTHING_KEPT if sample is None else self._make(sample)
        return self._last[1]


def kept_of(rollouts: Rollouts) -> Kept:
    """The tokens of one generation that are on record."""
    traces = rollouts.tokens
    lengths = [len(trace.pieces) for trace in traces]

    def column(name: str) -> Floats:
        parts = []
        for trace, length in zip(traces, lengths, strict=True):
            values = getattr(trace, name)
            parts.append(values.astype(np.float64) if len(values) == length else np.full(length, np.nan))
        return np.concatenate([np.empty(0), *parts])

    return Kept(
        step=rollouts.step,
        completions=len(traces),
        of=len(rollouts.completions),
        pieces=tuple(piece for trace in traces for piece in trace.pieces),
        logp=column("logp"),
        base_logp=column("base_logp"),
        entropy=column("entropy"),
        js=column("js"),
        advantage=np.repeat(rollouts.advantage[[trace.index for trace in traces]], lengths),
        place=np.concatenate([np.empty(0), *(np.arange(length) / max(1, length) for length in lengths)]),
        completion=np.repeat(np.arange(len(traces)), lengths),
    )


def joined(parts: list[Kept]) -> Sample | None:
    """One sample of several generations, oldest first: as many of the newest as hold MOST_TOKENS, one at least."""
    parts = [part for part in parts if part.pieces]
    while len(parts) > 1 and sum(len(part.pieces) for part in parts) > MOST_TOKENS:
        parts = parts[1:]
    if not parts:
        return None
    before = np.cumsum([0, *(part.completions for part in parts)])
    return Sample(
        step=parts[-1].step,
        completions=int(before[-1]),
        of=sum(part.of for part in parts),
        pieces=tuple(piece for part in parts for piece in part.pieces),
        logp=np.concatenate([part.logp for part in parts]),
        base_logp=np.concatenate([part.base_logp for part in parts]),
        entropy=np.concatenate([part.entropy for part in parts]),
        js=np.concatenate([part.js for part in parts]),
        advantage=np.concatenate([part.advantage for part in parts]),
        place=np.concatenate([part.place for part in parts]),
        completion=np.concatenate([part.completion + at for part, at in zip(parts, before[:-1].tolist(), strict=True)]),
        first=parts[0].step,
        generations=len(parts),
    )
