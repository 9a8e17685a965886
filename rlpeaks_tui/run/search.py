"""Finding completions by step, task, reward, outcome and text, newest first, in pieces small enough for a viewer.

The index says which generations can match at all; the filters of their texts are read a chunk at a time and only for
those; a block is opened only when neither rules it out. What is found is checked against the block itself, so a
damaged index can hide a generation but never shows a wrong hit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from .layout import open_regular
from .literals import ANYTHING, AllOf, Need, OneOf, compiled, needs
from .rollout_index import RIGHT, task_bits, task_names
from .rollouts import RolloutReader, Rollouts
from .text_filter import GRAM, Filters, fold

CHUNK = 1024
"""Generations whose filters are read at once: about a megabyte, a few milliseconds."""

BIGGEST_READ = 256 << 20

SIEVED = 200
"""Characters of a prompt that its filter is asked for; more would cost time and rule out little."""

Range = tuple[float, float]


class Hit(Struct, frozen=True):
    """One completion that was found.

    `number` is its generation in the reader's index, `index` its place in it. NaN where a number is not known, and an
    empty task or format where none was recorded.
    """

    step: int
    number: int
    index: int
    group: int
    prompt: str
    completion: str
    reward: float
    advantage: float
    task: str
    format: str
    length: int
    truncated: bool
    correct: float
    confidence: float


class Wanted(Struct, frozen=True):
    """What is looked for; None is no limit. Ranges hold both ends.

    Attributes:
        text: occurs in the prompt or in the completion, whatever its case.
        regex: is found in the prompt or in the completion (with `text`: in the same of the two).
        prompt: is the whole prompt.
        task, format: is the name.
        reward, advantage, confidence, length, steps: lowest and highest.
        right: True for those known to be right, False for those known to be wrong.
        judged: whether it is known to be one of the two.
        generations: lowest and highest number in the index.
        cut: whether it ended because there was no more room.
        traced: whether it was kept by token.
        group: its number within the generation, from 0.
        since: generations before this number of the index are passed over.
    """

    text: str | None = None
    regex: str | None = None
    task: str | None = None
    reward: Range | None = None
    steps: Range | None = None
    right: bool | None = None
    judged: bool | None = None
    generations: Range | None = None
    prompt: str | None = None
    format: str | None = None
    advantage: Range | None = None
    confidence: Range | None = None
    length: Range | None = None
    cut: bool | None = None
    traced: bool | None = None
    group: int | None = None
    since: int = 0


class Search(Iterator[Hit]):
    """A search under way. Iterate over it, or ask again and again for what a short while finds.

    It looks at the generations that the reader knew when it began. It may run in another thread than the reader.
    """

    def __init__(self, reader: RolloutReader, wanted: Wanted, limit: int) -> None:
        self._reader, self._wanted, self._limit = reader, wanted, limit
        self._index = reader.index
        self._folded = fold(wanted.text) if wanted.text else None
        self._regex = compiled(wanted.regex) if wanted.regex is not None else None
        of_text: Need = self._folded if self._folded and len(self._folded) >= GRAM else ANYTHING
        of_regex = needs(self._regex) if self._regex else ANYTHING
        start = fold((wanted.prompt or "")[:SIEVED])
        of_prompt: Need = start if len(start) >= GRAM else ANYTHING
        self._need = AllOf(tuple(need for need in (of_text, of_regex, of_prompt) if need != ANYTHING))
        self._candidates = np.flatnonzero(self._possible())[::-1]
        self._work = self._pieces()
        self.blocks_read = 0
        self.blocks_unreadable = 0
        self.generations_left = len(self._candidates)
        self.step: int | None = None
        """The step of the generation that was looked at last."""
        self.found = 0
        self.done = False

    def __next__(self) -> Hit:
        while not self.done:
            hit = self._step()
            if hit is not None:
                return hit
        raise StopIteration

    def take(
        self, seconds: float = math.inf, blocks: float = math.inf, clock: Callable[[], float] = time.monotonic
    ) -> list[Hit]:
        """Hits found in about `seconds` or `blocks` read, whichever is first; call again until `done`."""
        until, most, hits = clock() + seconds, self.blocks_read + blocks, []
        while not self.done:
            hit = self._step()
            if hit is not None:
                hits.append(hit)
            elif clock() >= until or self.blocks_read >= most:
                break
        return hits

    def _step(self) -> Hit | None:
        """One piece of work: a hit, or None when it found nothing."""
        if self.found >= self._limit:
            self.done = True
            return None
        try:
            hit = next(self._work)
        except StopIteration:
            self.done = True
            return None
        self.found += hit is not None
        return hit

    def _possible(self) -> NDArray[np.bool_]:
        """bool[generations]: those that the index does not rule out."""
        index, wanted = self._index, self._wanted
        possible = self._reader.kept[: len(index)] & (index["completions"] > 0)
        if wanted.steps is not None:
            possible &= (index["step"] >= wanted.steps[0]) & (index["step"] <= wanted.steps[1])
        if wanted.reward is not None:
            possible &= (index["reward_high"] >= wanted.reward[0]) & (index["reward_low"] <= wanted.reward[1])
        if wanted.right is not None:
            possible &= index["right" if wanted.right else "wrong"] > 0
        if wanted.task is not None:
            bits = task_bits(wanted.task, task_names(self._reader.folder), index)
            possible &= (index["tasks"] & np.uint64(bits)) != 0
        if wanted.generations is not None:
            number = np.arange(len(index))
            possible &= (number >= wanted.generations[0]) & (number <= wanted.generations[1])
        possible[: wanted.since] = False
        return np.asarray(possible)

    def _pieces(self) -> Iterator[Hit | None]:
        for begin in range(0, len(self._candidates), CHUNK):
            chunk = self._candidates[begin : begin + CHUNK]
            self.generations_left = len(self._candidates) - begin
            self.step = int(self._index["step"][chunk[0]])
            places = np.arange(len(chunk))
            if self._need.parts:
                places = np.flatnonzero(self._may_match(chunk))
                yield None
            for place in places.tolist():
                number = int(chunk[place])
                block = self._reader.read(number)
                self.blocks_read += 1
                self.generations_left = len(self._candidates) - begin - place - 1
                self.step = int(self._index["step"][number])
                if block is not None:
                    yield from self._hits(number, block)
                else:
                    self.blocks_unreadable += 1
                yield None
        self.generations_left = 0

    def _may_match(self, chunk: NDArray[np.intp]) -> NDArray[np.bool_]:
        """bool[chunk]: generations whose texts can hold what is needed, by their filters."""
        possible = np.ones(len(chunk), np.bool_)
        records = self._index[chunk]
        for pack in np.unique(records["pack"]).tolist():
            here = np.flatnonzero(records["pack"] == pack)
            possible[here] = _met(self._need, self._filters(pack, records[here]))
        return possible

    def _filters(self, pack: int, records: NDArray[np.void]) -> Filters:
        begin = records["filter_offset"]
        length = records["filter_length"].astype(np.int64)
        first, last = int(begin.min()), int((begin + length).max())
        data = b""
        if 0 <= first <= last <= first + BIGGEST_READ:
            try:
                with open_regular(self._reader.folder / f"{pack:06d}.filter") as file:
                    file.seek(first)
                    data = file.read(last - first)
            except OSError:
                pass
        return Filters(data, begin - first, length, records["filter_checksum"])

    def _hits(self, number: int, block: Rollouts) -> Iterator[Hit]:
        wanted = self._wanted
        fit = np.ones(len(block.completions), np.bool_)
        for span, column in (
            (wanted.reward, block.reward),
            (wanted.advantage, block.advantage),
            (wanted.confidence, block.confidence),
            (wanted.length, block.length),
        ):
            if span is not None:
                fit &= (column >= span[0]) & (column <= span[1])
        if wanted.right is not None:
            fit &= block.correct >= RIGHT if wanted.right else block.correct < RIGHT
        if wanted.judged is not None:
            fit &= np.isfinite(block.correct) == wanted.judged
        if wanted.task is not None:
            fit &= np.array([task == wanted.task for task in block.task], np.bool_)
        if wanted.format is not None:
            fit &= np.array([name == wanted.format for name in block.format], np.bool_)
        if wanted.cut is not None:
            fit &= block.truncated == wanted.cut
        if wanted.traced is not None:
            traced = [trace.index for trace in block.tokens]
            fit &= np.isin(np.arange(len(fit)), traced) == wanted.traced
        if wanted.group is not None:
            fit &= block.group == wanted.group
        if wanted.prompt is not None:
            fit &= np.isin(block.group, [i for i, prompt in enumerate(block.prompts) if prompt == wanted.prompt])
        matching: dict[int, bool] = {}
        for i in np.flatnonzero(fit).tolist():
            group = int(block.group[i])
            if group not in matching:
                matching[group] = self._matches(block.prompts[group])
            if matching[group] or self._matches(block.completions[i]):
                yield Hit(
                    step=block.step,
                    number=number,
                    index=i,
                    group=group,
                    prompt=block.prompts[group],
                    completion=block.completions[i],
                    reward=float(block.reward[i]),
                    advantage=float(block.advantage[i]),
                    task=block.task[i],
                    format=block.format[i] or "",
                    length=int(block.length[i]),
                    truncated=bool(block.truncated[i]),
                    correct=float(block.correct[i]),
                    confidence=float(block.confidence[i]),
                )

    def _matches(self, text: str) -> bool:
        if self._folded is not None and self._folded not in fold(text):
            return False
        return self._regex is None or self._regex.search(text) is not None


def search(
    reader: RolloutReader,
    *,
    text: str | None = None,
    regex: str | None = None,
    task: str | None = None,
    reward: Range | None = None,
    steps: Range | None = None,
    right: bool | None = None,
    limit: int = 500,
) -> Search:
    """Completions that meet every given limit, newest generation first, lazily.

    Args:
        reader: what is looked at is what it knew at its last refresh.
        text: occurs in the prompt or in the completion, whatever its case.
        regex: is found in the prompt or in the completion (with `text`: in the same of the two). Case counts unless it
            begins with (?i).
        task: is the task's name.
        reward, steps: lowest and highest, both within.
        right: True for those known to be right, False for those known to be wrong.
        limit: hits at most.

    Raises:
        ValueError: `regex` is no regular expression.
    """
    return Search(reader, Wanted(text, regex, task, reward, steps, right), limit)


def _met(need: Need, filters: Filters) -> NDArray[np.bool_]:
    """bool[filters]: where the need can be met."""
    match need:
        case str():
            return filters.may_hold(need)
        case AllOf(parts):
            met = np.ones(len(filters), np.bool_)
            for part in parts:
                met &= _met(part, filters)
            return met
        case OneOf(parts):
            met = np.zeros(len(filters), np.bool_)
            for part in parts:
                met |= _met(part, filters)
            return met
