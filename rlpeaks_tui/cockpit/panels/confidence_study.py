"""Calibration taken apart: by where confidence comes from, and by how hard the prompt is.

The run journals one reliability diagram, of its best source. The completions that it keeps hold what the others need,
so they are computed here from the same window of rollouts.

How hard a prompt is must not be told from the completion that is judged by it: sorting completions by their own
outcome would make every hard one overconfident by construction. So each is sorted by the others of its group.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from rlpeaks_tui.run import present
from rlpeaks_tui.run.branches import Ints
from rlpeaks_tui.run.follow import Follower, Snapshot
from rlpeaks_tui.run.measured import Reliability
from rlpeaks_tui.run.rollouts import Rollouts
from rlpeaks_tui.stats.calibration import Calibration, calibrate, ece_parts
from rlpeaks_tui.stats.confidence import SOURCES, STATED, confidence_by_source
from rlpeaks_tui.stats.summaries import Estimate, Floats, clustered_mean
from rlpeaks_tui.stats.texts import labels

from ..generations import Generations

WINDOW = 512
"""Rollouts, where the run does not say how many it looks at."""
MOST = 4096
HARD, EASY = 0.25, 0.75
"""Share right of the other completions of the group up to which a prompt is hard, and from which on it is easy."""


class Part(Struct, frozen=True):
    """The calibration of some rollouts: all with one source of confidence, or those of one difficulty.

    `said` is the mean confidence of those whose outcome is known, with its error between prompts.
    """

    name: str
    found: Calibration
    said: Estimate


class Parts(Struct, frozen=True):
    """What the stories show. Steps of the first and the last generation in the window; by difficulty: `source` only.

    `closest` names the source whose error is clearly the least, and is empty where none is.
    """

    first: int
    last: int
    source: str
    by_source: tuple[Part, ...]
    by_difficulty: tuple[Part, ...]
    closest: str


class Kept(Struct, frozen=True):
    """Of one generation of n completions, shape [n] each: confidence by source, outcome, group, and prompt.

    A group is of this generation; `prompt` is a label that is the same in every generation.
    """

    step: int
    confidence: dict[str, Floats]
    correct: Floats
    group: Ints
    prompt: Ints


def kept_of(rollouts: Rollouts) -> Kept:
    """The confidence of each completion by every source, nan where there is none."""
    group = rollouts.group
    sources = confidence_by_source(rollouts.confidence, rollouts.logp, rollouts.length, rollouts.completions, group)
    confidence = {name: np.where((values >= 0) & (values <= 1), values, np.nan) for name, values in sources.items()}
    known = (rollouts.correct == 0) | (rollouts.correct == 1)
    correct = np.where(known, rollouts.correct, np.nan)
    return Kept(rollouts.step, confidence, correct, group, labels(rollouts.prompts)[group])


class Confidence:
    """The study of the panel of calibration; computed anew when the diagram is, not with every step."""

    def __init__(self) -> None:
        self._generations = Generations(kept_of)
        self._made: tuple[tuple[int, str, int], Parts | None] | None = None

    def __call__(self, follower: Follower, snapshot: Snapshot, step: int) -> object:
        diagram = present.reliability(snapshot, step)
        if diagram is None:
            return None
        key = diagram.step, diagram.source, len(snapshot.branches)
        if self._made is None or self._made[0] != key:
            self._made = key, self._make(follower, snapshot, diagram)
        return self._made[1]

    def _make(self, follower: Follower, snapshot: Snapshot, diagram: Reliability) -> Parts | None:
        numbers = window(snapshot, diagram)
        if not len(numbers):
            return None
        first, found = int(snapshot.rollout_steps[numbers[0]]), list[Kept]()
        for kept in self._generations.newest_first(follower, snapshot, diagram.step):
            if kept.step < first or sum(len(one.correct) for one in found) >= MOST:
                break
            found.insert(0, kept)
        size = MOST if diagram.first is not None else size_of(snapshot)
        return parts_of(found, size, diagram.source) if found else None


def window(snapshot: Snapshot, diagram: Reliability) -> Ints:
    """Numbers int64[n] of the generations that a diagram was counted over, ascending."""
    numbers, steps = present.generations(snapshot, diagram.step)
    if diagram.first is not None:
        return numbers[steps >= diagram.first]
    # The run does not say: the newest that hold as many rollouts together as it looks at.
    sizes = snapshot.rollout_sizes[numbers].astype(np.int64)
    newer = np.cumsum(sizes[::-1])[::-1] - sizes
    return numbers[newer < size_of(snapshot)]


def size_of(snapshot: Snapshot) -> int:
    """How many rollouts the run's own diagram rests on."""
    probes = snapshot.info.config.get("probes")
    given = probes.get("calibration_window") if isinstance(probes, dict) else None
    if isinstance(given, bool) or not isinstance(given, int):
        return WINDOW
    return min(MOST, max(1, given))


def parts_of(found: Sequence[Kept], size: int, source: str) -> Parts:
    """The newest `size` rollouts of `found`, which is in the order of training, taken apart."""
    correct = np.concatenate([kept.correct for kept in found])[-size:]
    prompts = np.concatenate([kept.prompt for kept in found])[-size:]
    confidence = {name: np.concatenate([kept.confidence[name] for kept in found])[-size:] for name in SOURCES}
    source = source if source in SOURCES else STATED
    others = np.concatenate([rate_of_others(kept.correct, kept.group) for kept in found])[-size:]
    sorts = (("hard", others <= HARD), ("medium", (others > HARD) & (others < EASY)), ("easy", others >= EASY))
    by_source = tuple(_part(name, confidence[name], correct, prompts) for name in SOURCES)
    return Parts(
        found[0].step,
        found[-1].step,
        source,
        by_source,
        tuple(_part(name, confidence[source][of], correct[of], prompts[of]) for name, of in sorts),
        _closest(by_source, confidence, correct, prompts),
    )


def _closest(by_source: Sequence[Part], confidence: dict[str, Floats], correct: Floats, prompts: Ints) -> str:
    """The source with the least error, if it is clearly less than that of each other; else nothing.

    Its interval has to lie below theirs, which allows for what a finite sample adds to each error, and the paired
    difference over the same rollouts has to be clear, which allows for errors that are made in opposite directions.
    """
    known = sorted((part for part in by_source if part.found.ece is not None), key=lambda part: part.found.ece or 0.0)
    if len(known) < 2 or (end := known[0].found.ece_high) is None:
        return ""
    best = known[0].name
    for other in known[1:]:
        if other.found.ece_low is None or other.found.ece_low <= end:
            return ""
        both = np.isfinite(confidence[best] + confidence[other.name] + correct)
        mine, its = (ece_parts(confidence[name][both], correct[both]) for name in (best, other.name))
        if clustered_mean(its - mine, prompts[both]).sign(len(known) - 1) <= 0:
            return ""
    return best


def rate_of_others(correct: Floats, group: Ints) -> Floats:
    """float64[n]: share right among the other completions of the same group whose outcome is known; nan without any."""
    _, index = np.unique(group, return_inverse=True)
    known = np.isfinite(correct)
    right = np.bincount(index[known], correct[known], index.max(initial=-1) + 1)[index] - np.where(known, correct, 0)
    count = np.bincount(index[known], minlength=index.max(initial=-1) + 1)[index] - known
    result: Floats = np.divide(right, count, out=np.full(len(correct), np.nan), where=count > 0)
    return result


def _part(name: str, confidence: Floats, correct: Floats, prompts: Ints) -> Part:
    # The same seed each time: an interval that trembled from look to look would say that something happened.
    found = calibrate(confidence, correct, prompts, np.random.default_rng(0))
    judged = np.where(np.isfinite(correct), confidence, np.nan)
    return Part(name, found, clustered_mean(judged, prompts))
