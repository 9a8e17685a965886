"""The verdict on a run that grows, at a cost that depends on what is new and not on how long the run is.

Of each column it is remembered which rows count, and of each rule the level of every evaluation, one byte each with
hysteresis and one without. When rows arrive a rule judges them together with the `window` evaluations before them
and those of its warm-up, which is all that a level may depend on; the judge is the same vectorised function that
judges a whole run, and gives the same bits. A row that belongs further back (a run that went back to a
checkpoint, a probe that was written late) takes back the evaluations from its step on and no more.

The same memory answers for any earlier step, since only the evidence has to be judged again: a scrubbed cursor costs
no more than a live one.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rlpeaks_tui.stats.causal import RENEWED
from rlpeaks_tui.stats.judging import (
    CLEAR_AFTER,
    FIRE_AFTER,
    RECENT,
    Finding,
    Judged,
    Logged,
    Numbers,
    align,
    apart,
    conclude,
    entry,
    grave,
    judge,
    lacking,
    members,
    moving_line,
    out_of_scope,
    plain_needs,
    settle,
)
from rlpeaks_tui.stats.rule import Levels, Rule, Steps
from rlpeaks_tui.stats.rules import RULES
from rlpeaks_tui.stats.summaries import Floats

_FROM_THE_START = -(1 << 63)


class Evaluator:
    """Answers as `health.evaluate` does, for one run, remembering what it has judged.

    Args:
        rules: the rules to judge by, in the order of the findings.
    """

    def __init__(self, rules: tuple[Rule, ...] = RULES) -> None:
        self._rules = rules
        self._columns: dict[str, _Column] = {}
        self._tracks: dict[tuple[str, tuple[str, ...]], _Track] = {}
        self._names: tuple[str, ...] = ()
        self._way = 0
        self._members: dict[str, tuple[str, ...]] = {}

    def evaluate(
        self, columns: Mapping[str, Logged], step: int, *, dtype: str | None = None, way: int = 0
    ) -> tuple[Finding, ...]:
        """What every rule says at `step`, in the order of the rules; arguments as for `health.evaluate`.

        Columns are expected to be those of the last call with rows added at their ends. Others are judged as well,
        but from the start; with another `way` than before all are, though they may look as if they went on.
        """
        if way != self._way:
            self._way, self._columns, self._tracks = way, {}, {}
            self._names = ()
        self._take(columns)
        return tuple(self._finding(rule, columns, step, dtype) for rule in self._rules)

    def _take(self, columns: Mapping[str, Logged]) -> None:
        """Note the new rows of every column that some rule looks at."""
        if len(columns) != len(self._names) or tuple(columns) != self._names:
            self._names = tuple(columns)
            self._members = {rule.id: members(rule, self._names) for rule in self._rules}
            wanted = {name for rule in self._rules for need in rule.needs + rule.wants for name in need.split("|")}
            wanted.update(name for family in self._members.values() for name in family)
            self._columns = {name: self._columns.get(name) or _Column() for name in self._names if name in wanted}
            self._tracks = {
                key: track
                for key, track in self._tracks.items()
                if all(name in self._columns for name in track.names if name)
            }
        for name, column in self._columns.items():
            if not column.continued_by(columns[name]):
                column = self._columns[name] = _Column()
                self._tracks = {key: track for key, track in self._tracks.items() if name not in track.names}
            lowest = column.take(columns[name])
            for track in self._tracks.values():
                if lowest is not None and name in track.names:
                    track.taken_back_to(lowest)

    def _finding(self, rule: Rule, columns: Mapping[str, Logged], step: int, dtype: str | None) -> Finding:
        if found := out_of_scope(rule, dtype):
            return found
        names: list[str] = []
        for i, need in enumerate(rule.needs[: plain_needs(rule)]):
            names.append(self._serving(need, step, rule.finite or i > 0))
            if not names[-1]:
                return lacking(rule, need, columns, step)
        names += [self._serving(want, step, True) for want in rule.wants]
        family = self._members[rule.id]
        if plain_needs(rule) < len(rule.needs) and not any(
            self._columns[name].before(step, True, or_at=True) for name in family
        ):
            return lacking(rule, rule.needs[-1], columns, step)
        key = rule.id, (*names, *family)
        if key not in self._tracks:
            self._tracks[key] = _Track(rule, key[1], [self._columns.get(name) or _Column() for name in key[1]])
        judged = self._tracks[key].at(step)
        return apart(rule) if judged is None else conclude(rule, step, judged)

    def _serving(self, need: str, step: int, finite: bool) -> str:
        """The first metric of "a|b" that has a value up to `step`, "" when none has."""
        for name in need.split("|"):
            if name in self._columns and self._columns[name].before(step, finite, or_at=True):
                return name
        return ""


class _Rows:
    """Positions of the rows that count, rising. Nothing is stored while they are simply the first ones."""

    def __init__(self) -> None:
        self.size = 0
        self._index: array[int] | None = None

    def cut(self, size: int) -> None:
        """Keep the first `size` only."""
        self.size = size
        if self._index is not None:
            del self._index[size:]

    def extend(self, positions: NDArray[np.int64]) -> None:
        if self._index is None and positions.size and positions[-1] != self.size + positions.size - 1:
            self._index = array("q", range(self.size))
        if self._index is not None:
            self._index.frombytes(positions.tobytes())
        self.size += positions.size

    def part(self, begin: int, end: int) -> slice | NDArray[np.int64]:
        """What picks rows `begin` to `end` out of the column: a view of it, or a copy where rows were left out."""
        if self._index is None:
            return slice(begin, end)
        return np.frombuffer(self._index[begin:end], np.int64)

    def before(self, steps: Steps, step: int, *, or_at: bool) -> int:
        """How many of the rows have a step below `step`, or at it."""
        if self._index is None:
            return int(np.searchsorted(steps[: self.size], step, side="right" if or_at else "left"))
        find = bisect_right if or_at else bisect_left
        return find(self._index, step, key=lambda row: int(steps[row]))


class _Column:
    """One metric: which of its rows are of the run's present branch, and which of those are finite."""

    def __init__(self) -> None:
        self._steps: Steps = np.empty(0, np.int64)
        self._values: Floats = np.empty(0)
        self._newest = b""
        self._rows = {False: _Rows(), True: _Rows()}  # by whether only finite values count

    def continued_by(self, series: Logged) -> bool:
        """Whether `series` begins with the rows taken so far, as far as its length and the last of them tell."""
        seen = len(self._steps)
        return len(series.steps) >= seen and _row(series, seen - 1) == self._newest

    def take(self, series: Logged) -> int | None:
        """Note the rows that are new; gives the lowest step among them, None when there are none."""
        seen = len(self._steps)
        self._steps, self._values = series.steps, series.values
        new = series.steps[seen:]
        if not new.size:
            return None
        self._newest = _row(series, len(series.steps) - 1)
        later = np.minimum.accumulate(new[::-1])[::-1]
        kept = seen + np.flatnonzero(np.append(new[:-1] < later[1:], True))
        lowest = int(later[0])
        for finite, rows in self._rows.items():
            rows.cut(rows.before(self._steps, lowest, or_at=False))
            rows.extend(kept[np.isfinite(self._values[kept])] if finite else kept)
        return lowest

    def size(self, finite: bool) -> int:
        return self._rows[finite].size

    def before(self, step: int, finite: bool, *, or_at: bool = False) -> int:
        """How many rows have a step below `step`, or at it."""
        return self._rows[finite].before(self._steps, step, or_at=or_at)

    def part(self, begin: int, end: int, finite: bool) -> tuple[Steps, Floats]:
        """Steps and values of rows `begin` to `end`."""
        rows = self._rows[finite].part(begin, end)
        return self._steps[rows], self._values[rows]


def _row(series: Logged, row: int) -> bytes:
    return series.steps[row : row + 1].tobytes() + series.values[row : row + 1].tobytes() if row >= 0 else b""


class _Line:
    """A line that moves: its step and its value at each evaluation. What it gives is a view that stays as it was."""

    def __init__(self) -> None:
        self._steps: Steps = np.empty(0, np.int64)
        self._values: Floats = np.empty(0)
        self._size = 0

    def __bool__(self) -> bool:
        return self._size > 0

    def first(self, count: int) -> tuple[Steps, Floats]:
        """Of the first `count` evaluations."""
        return self._steps[:count], self._values[:count]

    def cut(self, count: int) -> None:
        """Keep the first `count` only."""
        if count < self._size:
            self._steps, self._values = self._steps[:count].copy(), self._values[:count].copy()
            self._size = count

    def extend(self, steps: Steps, values: Floats) -> None:
        end = self._size + len(steps)
        if end > len(self._steps):
            more = max(end, 2 * self._size) - self._size
            self._steps = np.append(self._steps[: self._size], np.empty(more, np.int64))
            self._values = np.append(self._values[: self._size], np.empty(more))
        self._steps[self._size : end], self._values[self._size : end] = steps, values
        self._size = end


class _Track:
    """The evaluations of one rule on one choice of metrics.

    Evaluation e stands at row `start` + e of the first metric. Both bytearrays hold one level each: as judged, and
    with hysteresis.
    """

    def __init__(self, rule: Rule, names: tuple[str, ...], columns: list[_Column]) -> None:
        self.names = names
        self._rule = rule
        self._columns = columns
        self._raw = bytearray()
        self._levels = bytearray()
        self._start = 0
        self._stale_from: int | None = _FROM_THE_START
        self._line = _Line()
        self._newest: dict[int, Numbers] = {}  # of the last CLEAR_AFTER evaluations, as far as they were judged

    def taken_back_to(self, step: int) -> None:
        """What was judged from `step` on no longer holds, or is yet to be judged."""
        self._stale_from = step if self._stale_from is None else min(self._stale_from, step)

    def at(self, step: int) -> Judged | None:
        """The state of the evaluations at or before `step`; None when there are none."""
        if self._stale_from is not None:
            self._advance(self._stale_from)
            self._stale_from = None
        rule, first = self._rule, self._columns[0]
        count = first.before(step, rule.finite, or_at=True) - self._start
        if count <= 0:
            return None
        level = self._levels[count - 1]
        raw = _levels(self._raw, max(count - CLEAR_AFTER, 0), count)
        shown, met = self._numbers(count - 1), count - raw.size + grave(raw, level)
        quiet = self._levels.rfind(0, 0, count)  # never -1: firing takes FIRE_AFTER evaluations
        return Judged(
            names=self.names,
            recent=tuple(self._recent(i, step) for i in range(plain_needs(rule))),
            first=self._step(0),
            last=self._step(count - 1),
            count=count,
            level=level,
            raw=int(raw[-1]),
            since=self._step(quiet + 2 - FIRE_AFTER) if level else None,
            shown=shown,
            met=shown if met == count - 1 else self._numbers(met),
            moves=self._line.first(count) if self._line else None,
        )

    def _advance(self, stale_from: int) -> None:
        """Judge what is new, and again what stood at or after the step `stale_from`."""
        rule, first = self._rule, self._columns[0]
        others = self._columns[1 : plain_needs(rule)]
        begin = max((int(column.part(0, 1, True)[0][0]) for column in others), default=_FROM_THE_START)
        start = first.before(begin, rule.finite)
        # A row that moves the first evaluation stands at or before it, so that nothing is kept then.
        kept = min(max(first.before(stale_from, rule.finite) - start, 0), len(self._raw))
        self._start = start
        del self._raw[kept:], self._levels[kept:]
        self._line.cut(kept)
        count = first.size(rule.finite) - start
        self._newest = {at: numbers for at, numbers in self._newest.items() if count - CLEAR_AFTER <= at < kept}
        if count <= kept:
            return
        steps, values = self._with_context(kept, count)
        raw, shown = judge(rule, steps, values)
        raw = raw[kept - count :]
        self._newest |= {at: entry(shown, at - count) for at in range(max(kept, count - CLEAR_AFTER), count)}
        if (line := moving_line(shown)) is not None:
            self._line.extend(steps[kept - count :], line[kept - count :])
        context = _levels(self._raw, max(kept - CLEAR_AFTER + 1, 0), kept)
        self._levels += settle(raw, context, self._levels[-1] if kept else 0).astype(np.int8).tobytes()
        self._raw += raw.tobytes()

    def _numbers(self, at: int) -> Numbers:
        """What the judge shows of one evaluation; of older ones, and of those to which the run went back, it is judged
        again."""
        found = self._newest.get(at)
        if found is None:
            found = entry(judge(self._rule, *self._with_context(at, at + 1))[1], -1)
            if at >= len(self._raw) - CLEAR_AFTER:
                self._newest[at] = found
        return found

    def _with_context(self, begin: int, end: int) -> tuple[Steps, list[Floats]]:
        """The evaluations `begin` to `end`, last in what is given, and before them all that they depend on."""
        rule, first = self._rule, self._columns[0]
        warm = first.before(self._step(0) + rule.warmup, rule.finite, or_at=True) - self._start
        left = begin - rule.window + 1
        if left <= warm:
            return self._aligned(0, end)
        # Running medians are renewed at every tenth evaluation, so the cut must keep their places.
        left -= (left - warm) % RENEWED
        steps, values = self._aligned(0, warm)
        more_steps, more = self._aligned(left, end)
        return np.concatenate((steps, more_steps)), [np.concatenate(pair) for pair in zip(values, more, strict=True)]

    def _aligned(self, begin: int, end: int) -> tuple[Steps, list[Floats]]:
        rule = self._rule
        row = max(self._start + begin - 1, 0)  # one more, since means are taken from the evaluation before
        series = [self._columns[0].part(row, self._start + end, rule.finite)]
        steps = series[0][0]
        for column in self._columns[1:]:
            known = column.before(int(steps[0]), True, or_at=True) if row else 0
            series.append(column.part(max(known - 1, 0), column.before(int(steps[-1]), True, or_at=True), True))
        steps, values = align(rule, series)
        return steps[begin - end :], [value[begin - end :] for value in values]

    def _recent(self, i: int, step: int) -> Steps:
        finite = self._rule.finite or i > 0
        end = self._columns[i].before(step, finite, or_at=True)
        return self._columns[i].part(max(end - RECENT, 0), end, finite)[0]

    def _step(self, evaluation: int) -> int:
        row = self._start + evaluation
        return int(self._columns[0].part(row, row + 1, self._rule.finite)[0][0])


def _levels(stored: bytearray, begin: int, end: int) -> Levels:
    return np.frombuffer(bytes(stored[begin:end]), np.int8)
