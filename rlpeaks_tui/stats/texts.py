"""What completions look like as text: loops, repeated answers, skipped work, lengths, and which format wins.

Samples that are too hard can teach a policy to repeat an answer or to leave out the working (2605.28388), and
reinforcement learning tends to make one format of several win (2504.07912). Both show in the text alone, at no cost
to the model. The definitions and thresholds of repetition are ours.

Completions are whatever a policy cares to produce. Everything here is total on any text, and bounded: only the last
LIMIT characters are looked at, because loops and final answers stand at the end, so that a completion of a megabyte
costs no more than one of 16,384 characters, a few milliseconds.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from msgspec import Struct, field
from numpy.typing import ArrayLike, NDArray

from rlpeaks_tui.stats.summaries import Floats

LIMIT = 16_384
"""Characters of a completion, counted from its end, that are looked at."""

MIN_BYTES = 128
"""Below this many bytes no ratio is given: zlib's own 20 bytes would hold a loop of 20 characters above 0.25."""

MIN_WORDS = 16
"""Below this many words (nine 8-grams) no share of repeated 8-grams is given."""

NGRAM = 8
RATIO = 0.25
REPEATED = 0.2
STATED = 3
"""A completion is repetitive below RATIO or above REPEATED, and repeats its answer when stated STATED times."""

SKIP_QUANTILE = 0.1
SKIP_SAMPLE = 256
SKIP_LEAST = 30
"""Successes of a task that its baseline takes in at most, and needs at least before it says anything."""

# A run of letters and digits is a word; any other mark is one by itself, and so is each character of the scripts
# that put no space between words.
_WORD = re.compile(r"[^\W\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+|\S")
_ANSWER = re.compile(
    r"(?:=|\b(?:is|are|equals|answer|boxed)\b)[\s:*$`\\({\[\"']{0,8}"  # what announces a result
    r"(-?[0-9]{1,40}(?:,[0-9]{3}){0,12}(?:\.[0-9]{1,40})?)"
    r"(?![0-9.]*[ \t]{0,2}[-+*/^\u00d7\u00f7][ \t]{0,2}[0-9])"  # what makes it the start of another sum
)
_HASH = np.uint64(0x9E3779B97F4A7C15)


class Repetition(Struct, frozen=True):
    """Repetition within each of n completions. Arrays have shape [n], nan where a completion is too short to tell.

    Attributes:
        ratio: compressed / raw bytes under zlib. It falls with length even for good prose: about 0.6 at 500
            bytes, 0.45 at 4,000.
        ngrams: share of 8-grams of words that occurred before in the completion.
        stated: how often the most repeated answer is stated.
    """

    ratio: Floats
    ngrams: Floats
    stated: Floats

    @property
    def repeated(self) -> float:
        """Share of completions with a ratio below 0.25 or more than 0.2 of their 8-grams repeated.

        Of all completions, but nan when every one of them is too short to tell.
        """
        if not (np.isfinite(self.ratio) | np.isfinite(self.ngrams)).any():
            return math.nan
        with np.errstate(invalid="ignore"):
            return float(((self.ratio < RATIO) | (self.ngrams > REPEATED)).mean())

    @property
    def answer_repeated(self) -> float:
        """Share of completions that state one and the same answer three times or more; nan for no completions."""
        return float((self.stated >= STATED).mean()) if self.stated.size else math.nan

    def metrics(self) -> dict[str, float]:
        """Values under the names they are journaled by."""
        return {"texts/repeated": self.repeated, "texts/answer_repeated": self.answer_repeated}


def labels(texts: Sequence[str]) -> NDArray[np.int64]:
    """A number for each of n texts, shape [n]: the same for the same text as long as this process lives, and no other.

    Two texts share one with a chance of 2^-64.
    """
    return np.array([hash(text) for text in texts], np.int64)


def answers(text: str) -> list[str]:
    """The numbers that a text states as results, in order: after "=", "is", "answer", in `\\boxed{}` and the like.

    Every number of the text would be too many: a sum done by hand names its digits again and again. A number
    that goes on as a further sum is passed over. Thousands separators are dropped. Bounded to the last LIMIT
    characters.
    """
    return [found.replace(",", "") for found in _ANSWER.findall(text[-LIMIT:])]


def repetition(completions: Sequence[str], extract: Callable[[str], Sequence[str]] = answers) -> Repetition:
    """How much each completion repeats itself.

    Args:
        completions: n texts.
        extract: gives the answers that a text states; it is called with at most its last LIMIT characters.
    """
    tails = [text[-LIMIT:] for text in completions]
    stated = [max(Counter(extract(tail)).values(), default=0) for tail in tails]
    return Repetition(
        ratio=np.array([zlib_ratio(tail) for tail in tails], np.float64),
        ngrams=np.array([repeated_ngrams(tail) for tail in tails], np.float64),
        stated=np.array(stated, np.float64),
    )


def zlib_ratio(text: str) -> float:
    """Compressed / raw bytes of the last LIMIT characters in UTF-8, nan below MIN_BYTES bytes."""
    raw = text[-LIMIT:].encode("utf-8", "surrogatepass")
    return len(zlib.compress(raw)) / len(raw) if len(raw) >= MIN_BYTES else math.nan


def repeated_ngrams(text: str) -> float:
    """Share of 8-grams of words that occurred before, 1 - distinct / all; nan below MIN_WORDS words.

    Of words and not of characters: eight characters are one or two words, and plain prose repeats a tenth of
    those, source code more than a third, while eight words in a row are hardly ever said twice in order.
    Bounded to the last LIMIT characters.
    """
    words = _WORD.findall(text[-LIMIT:])
    if len(words) < MIN_WORDS:
        return math.nan
    key = np.fromiter(map(hash, words), np.int64, len(words)).view(np.uint64)
    count = len(words) - NGRAM + 1
    rolled = np.zeros(count, np.uint64)
    for i in range(NGRAM):  # Horner's rule modulo 2^64: equal 8-grams are equal, others all but certainly differ
        rolled = rolled * _HASH + key[i : i + count]
    return 1 - np.unique(rolled).size / count


class SkipBaseline(Struct, frozen=True):
    """How long the first successes of each task were, against which later ones count as leaving out work.

    To be learnt from the first generations only, while the policy is still about the base. By construction about
    a tenth of the base's own successes count as skipping, fewer where lengths tie.

    Attributes:
        lengths: by task, the lengths of its first successes in tokens, at most SKIP_SAMPLE of them.
    """

    lengths: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def learn(self, task: Sequence[str], length: ArrayLike, correct: ArrayLike) -> SkipBaseline:
        """This baseline with the successes of one more generation; a task that has enough takes no more.

        Args:
            task: of each rollout, length n.
            length: of each completion in tokens, shape [n].
            correct: shape [n], 1 for a success; everything else, nan included, is passed over.

        Raises:
            ValueError: the lengths differ.
        """
        tokens, right = _successes(task, length, correct)
        taken = {name: list(found) for name, found in self.lengths.items()}
        for name, value, success in zip(task, tokens.tolist(), right.tolist(), strict=True):
            if success and len(found := taken.setdefault(name, [])) < SKIP_SAMPLE:
                found.append(value)
        return SkipBaseline({name: tuple(found) for name, found in taken.items()})

    def threshold(self, task: str) -> float:
        """The tenth percentile of the task's first successes, in tokens; nan below SKIP_LEAST of them."""
        found = self.lengths.get(task, ())
        return float(np.quantile(found, SKIP_QUANTILE)) if len(found) >= SKIP_LEAST else math.nan

    def skipped(self, task: Sequence[str], length: ArrayLike, correct: ArrayLike) -> Floats:
        """Which successes are shorter than the tenth percentile of the base's on the same task.

        Arguments as in `learn`.

        Returns:
            Shape [n]: 1 for a success that is, 0 for one that is not, nan for a rollout that did not succeed or
            whose task has no baseline. `mean_se` of it is the share of successes that skip.
        """
        tokens, right = _successes(task, length, correct)
        least = {name: self.threshold(name) for name in set(task)}
        bound = np.array([least[name] for name in task], np.float64)
        return np.where(right & ~np.isnan(bound), (tokens < bound).astype(np.float64), np.nan)


def length_quantiles(length: ArrayLike, at: Sequence[float] = (0.05, 0.25, 0.5, 0.75, 0.95)) -> Floats:
    """Quantiles of the lengths of completions, linear between values; nan entries are passed over.

    Returns:
        Shape [len(at)], nan when there is no length.
    """
    x = np.asarray(length, np.float64).ravel()
    x = x[~np.isnan(x)]
    return np.quantile(x, at) if x.size else np.full(len(at), np.nan)


class Replicator(Struct, frozen=True):
    """How much of a change of format shares selection explains: change_f = rate * s_f * (a_f - mean of a).

    Attributes:
        rate: least-squares speed of selection per step compared; nan when no format had an advantage over another.
        residual: share of the squared change that is left, in [0, 1]: 0 is pure selection, 1 is none; nan when
            nothing changed. Shares of few rollouts change by chance, which counts as residual.
    """

    rate: float
    residual: float


def replicator(before: Mapping[str, float], advantage: Mapping[str, float], after: Mapping[str, float]) -> Replicator:
    """Compare a change of format shares with the replicator equation (after the mixture argument of 2504.07912).

    Args:
        before: share of each format at one step.
        advantage: mean advantage of each format at that step; one without a finite advantage is left out.
        after: shares at a later step; a format that is missing has 0.
    """
    names = [name for name in before if math.isfinite(advantage.get(name, math.nan))]
    s = np.array([before[name] for name in names], np.float64)
    a = np.array([advantage[name] for name in names], np.float64)
    change = np.array([after.get(name, 0.0) for name in names], np.float64) - s
    moved = float(change @ change)
    if not moved > 0:
        return Replicator(math.nan, math.nan)
    selected = s * (a - (s @ a) / s.sum()) if s.sum() > 0 else np.zeros(s.size)
    force = float(selected @ selected)
    if not force > 0:
        return Replicator(math.nan, 1.0)
    rate = float(selected @ change) / force
    left = change - rate * selected
    return Replicator(rate, min(float(left @ left) / moved, 1.0))


def _successes(task: Sequence[str], length: ArrayLike, correct: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    tokens = np.asarray(length, np.float64).ravel()
    outcome = np.asarray(correct, np.float64).ravel()
    if not len(task) == tokens.size == outcome.size:
        raise ValueError(f"{len(task)} tasks, {tokens.size} lengths and {outcome.size} outcomes do not fit together")
    return tokens, outcome == 1
