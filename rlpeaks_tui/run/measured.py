"""What a probe measured that is more than numbers of a step: a reliability diagram, held-out prompts one by one.

Read from the arrays of its record, which a damaged or foreign journal may have filled with anything: what cannot be
such a measurement is none.
"""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from .entries import Probe

MOST_SAMPLES, MOST_PROMPTS = 1_000_000, 10_000
"""Of an evaluation: one that claims more is damaged, and would cost a viewer dearly."""


class Reliability(Struct, frozen=True):
    """Calibration by bin of confidence, as it was journaled at one step.

    Edges are float64[b+1], the others [b], NaN for an empty bin. `size` is how many independent rollouts each bin is
    worth, `half` the half-width of the 95 % interval of mean confidence less share right; None and NaN where the run
    did not count by prompt.
    """

    step: int
    edges: NDArray[np.float64]
    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    source: str
    t: float
    """Tells on which branch it was made."""
    first: int | None = None
    """Step of the first generation that it was counted over, up to that of `step`; None where the run does not say."""
    size: NDArray[np.float64] | None = None
    half: float = math.nan


class Evaluation(Struct, frozen=True, eq=False):
    """One evaluation, by held-out prompt: shares right of `samples` completions, float64[P], NaN where not known.

    `base_rate` is that of the starting weights on the same prompts. `t` tells on which branch it was made.
    """

    step: int
    t: float
    samples: int
    rate: NDArray[np.float64]
    base_rate: NDArray[np.float64]


def reliability_of(probe: Probe) -> list[Reliability]:
    """The diagram of a probe of calibration; none where it has none, or one that cannot be."""
    # Plain Python: a long run has ten thousands of these small tables, and an array of ten numbers is slow to ask.
    names = ("edges", "count", "confidence", "accuracy", "size")
    edges, count, confidence, accuracy, size = (probe.arrays.get(name, []) for name in names)
    if not len(count) == len(confidence) == len(accuracy) == len(edges) - 1:
        return []
    if not all(map(_is_share, edges)) or not all(x is None or _is_share(x) for x in (*confidence, *accuracy)):
        return []
    whole = [0 if x is None else int(min(max(x, 0.0), 2**53)) for x in count]
    source = str(probe.facts.get("calibration/source", ""))
    first = probe.facts.get("first step")
    known = first if isinstance(first, int) and not isinstance(first, bool) else None
    fits = len(size) == len(count) and all(x is not None and 0 <= x <= n for x, n in zip(size, whole, strict=True))
    given = probe.facts.get("overclaim_half")
    half = float(given) if isinstance(given, (int, float)) and given >= 0 else math.nan
    return [
        Reliability(
            probe.step,
            _floats(edges),
            np.array(whole, np.int64),
            _floats(confidence),
            _floats(accuracy),
            source,
            probe.t,
            known,
            _floats(size) if fits else None,
            half,
        )
    ]


def _is_share(value: float | None) -> bool:
    """Whether it lies in [0, 1], but for what single precision makes of a 1."""
    return value is not None and 0 <= value < 1 + 1e-6


def _floats(values: list[float | None]) -> NDArray[np.float64]:
    """NaN where there is none."""
    return np.array(values, np.float64)


def evaluation_of(probe: Probe) -> list[Evaluation]:
    """What a probe of held-out prompts found; nothing where it is no such record."""
    rate, base = (_floats(probe.arrays.get(name, [])) for name in ("rate", "base_rate"))
    if ((rate < 0) | (rate > 1)).any():
        return []
    base = np.where((base >= 0) & (base <= 1), base, np.nan)
    samples = probe.facts.get("samples")
    if isinstance(samples, bool) or not isinstance(samples, int) or not 1 <= samples <= MOST_SAMPLES:
        return []
    if not 1 <= len(rate) <= MOST_PROMPTS:
        return []
    base = base if len(base) == len(rate) else np.full(len(rate), np.nan)
    return [Evaluation(probe.step, probe.t, samples, rate, base)]
