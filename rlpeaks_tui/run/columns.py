"""Metrics as columns that only grow, so that a snapshot of a long run costs nothing.

A snapshot is a set of views into the arrays as they were; appending writes beyond their end, and growing moves
to a new array, so nobody ever sees a view change. Rows are taken in batches, and a batch is sorted by column as one
array, since hardly two steps of a real run report the same metrics: 100,000 of them are not six million appends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from .entries import BIGGEST, Metrics, Probe

Steps = NDArray[np.int64]
Values = NDArray[np.float64]

MOST_SHAPES = 10_000
"""Sets of names that are kept at hand: an honest run has hundreds."""
MOST_BRANCHES = 1000
"""Branches whose first rows are kept: a person goes back some ten times."""
LATELY = 20
"""Steps over which a run's newest values are averaged where one number stands for it: a single step is mostly noise."""


class Series(Struct, frozen=True):
    """One metric: `steps` int64[n] and `values` float64[n], NaN where there was none. Views: do not write.

    Steps grow except where a run went back to a checkpoint; `ordered` tells whether it ever did. `began` has the row
    that came first after each time that it did, where that is on record.
    """

    steps: Steps
    values: Values
    ordered: bool = True
    began: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.steps)

    def at(self, step: int) -> float | None:
        """The last finite value recorded at or before `step`."""
        if self.ordered:
            end = int(np.searchsorted(self.steps, step, side="right"))
            found = _last_finite(self.values[:end])
        else:
            known = np.flatnonzero((self.steps <= step) & np.isfinite(self.values))
            found = int(known[-1]) if len(known) else None
        return None if found is None else float(self.values[found])

    def at_each(self, steps: Steps) -> Values:
        """`at` of each of `steps`, float64[n]; NaN where there is none."""
        rows = np.flatnonzero(np.isfinite(self.values))
        if not self.ordered:
            rows = rows[np.argsort(self.steps[rows], kind="stable")]
        # Of what was done again the last time counts.
        values = np.append(np.nan, self.values[np.maximum.accumulate(rows)])
        return np.asarray(values[np.searchsorted(self.steps[rows], steps, side="right")])

    def lately(self) -> float | None:
        """The mean of the last LATELY finite values; of steps that were done again only the last time counts."""
        known = np.isfinite(self.values)
        if not self.ordered:
            known[:-1] &= self.steps[:-1] < np.minimum.accumulate(self.steps[::-1])[::-1][1:]
        values = self.values[known][-LATELY:]
        return float(values.mean()) if len(values) else None


def _last_finite(values: Values) -> int | None:
    """Index of the last finite one of `values`."""
    # It is almost always near the end, so look at a short tail before looking at everything.
    for start in (max(0, len(values) - 64), 0):
        known = np.flatnonzero(np.isfinite(values[start:]))
        if len(known):
            return start + int(known[-1])
    return None


EMPTY = Series(np.empty(0, np.int64), np.empty(0, np.float64))


class _Column:
    def __init__(self, began: int) -> None:
        """Of a metric that was not there yet when the run had gone back `began` times."""
        self.steps = np.empty(64, np.int64)
        self.values = np.empty(64, np.float64)
        self.n = 0
        self.ordered = True
        self.began = [0] * began

    def extend(self, steps: Steps, values: Values) -> None:
        end = self.n + len(steps)
        if end > len(self.steps):
            # A quarter more and not twice as much: there are a hundred columns, and a long run fills them slowly.
            room = max(end, len(self.steps) + len(self.steps) // 4)
            self.steps = np.concatenate([self.steps[: self.n], np.empty(room - self.n, np.int64)])
            self.values = np.concatenate([self.values[: self.n], np.empty(room - self.n, np.float64)])
        if self.ordered and len(steps):
            back = len(steps) > 1 and bool((steps[1:] < steps[:-1]).any())
            self.ordered = not back and (self.n == 0 or int(steps[0]) >= int(self.steps[self.n - 1]))
        self.steps[self.n : end] = steps
        self.values[self.n : end] = values
        self.n = end

    def view(self) -> Series:
        return Series(self.steps[: self.n], self.values[: self.n], self.ordered, tuple(self.began))


class Columns(Mapping[str, Series]):
    """All metrics of a run at one moment, by name, in the order in which they first appeared."""

    def __init__(self, series: Mapping[str, Series], why: Mapping[str, str]) -> None:
        self._series = series
        self._why = why

    def __getitem__(self, name: str) -> Series:
        return self._series[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._series)

    def __len__(self) -> int:
        return len(self._series)

    def names(self) -> list[str]:
        return list(self._series)

    def get_series(self, name: str) -> Series:
        """The series of `name`, empty when the run has none."""
        return self._series.get(name, EMPTY)

    def last(self, name: str) -> tuple[int, float] | None:
        """Step and value of the newest finite value."""
        series = self._series.get(name)
        if series is None:
            return None
        at = _last_finite(series.values)
        return None if at is None else (int(series.steps[at]), float(series.values[at]))

    def at(self, name: str, step: int) -> float | None:
        series = self._series.get(name)
        return None if series is None else series.at(step)

    def each(self, change: Callable[[Series], Series]) -> Columns:
        """The same metrics, with something done to each series."""
        return Columns({name: change(series) for name, series in self._series.items()}, self._why)

    def why(self, name: str) -> str | None:
        """Why the latest value of `name` is missing, or why the metric does not apply to this run."""
        return self._why.get(name)


class ColumnStore:
    """Takes journal rows in, gives `Columns` out."""

    def __init__(self) -> None:
        self._names: dict[str, int] = {}
        self._columns: list[_Column] = []
        self._branches = 0
        self._shapes: dict[tuple[str, ...], NDArray[np.int32]] = {}
        """Of each set of names that a row had, the numbers of its columns."""
        self._why: dict[str, str] = {}

    def extend(self, rows: Sequence[Metrics | Probe]) -> None:
        shapes = [self._shape(tuple(row.v)) for row in rows]
        if not any(map(len, shapes)):
            self._explain(rows, {})
            return
        # All values one after another: [E] the value, its column, its row.
        column = np.concatenate(shapes)
        values = _values(rows, len(column))
        np.clip(values, -BIGGEST, BIGGEST, out=values)
        row = np.repeat(np.arange(len(rows)), [len(shape) for shape in shapes])
        order = np.argsort(column.astype(_smallest(len(self._columns))), kind="stable")
        values, row = values[order], row[order]
        steps = np.fromiter((row.step for row in rows), np.int64, len(rows))[row]
        ends = np.cumsum(np.bincount(column, minlength=len(self._columns)))
        last: dict[str, int] = {}
        for (name, number), start, end in zip(self._names.items(), [0, *ends[:-1]], ends, strict=True):
            if end > start:
                self._columns[number].extend(steps[start:end], values[start:end])
                if np.isfinite(values[end - 1]):
                    last[name] = int(row[end - 1])
        self._explain(rows, last)

    def branch(self) -> None:
        """The run goes back here: all rows from now on are of another branch than those so far."""
        self._branches += 1
        if self._branches <= MOST_BRANCHES:
            for column in self._columns:
                column.began.append(column.n)

    def _shape(self, names: tuple[str, ...]) -> NDArray[np.int32]:
        found = self._shapes.get(names)
        if found is None:
            for name in names:
                if name not in self._names:
                    self._names[name] = len(self._columns)
                    self._columns.append(_Column(min(self._branches, MOST_BRANCHES)))
            found = np.array([self._names[name] for name in names], np.int32)
            if len(self._shapes) < MOST_SHAPES:
                self._shapes[names] = found
        return found

    def _explain(self, rows: Sequence[Metrics | Probe], last: dict[str, int]) -> None:
        """Take the reasons from `rows`; `last` is the row of each metric whose newest value is finite."""
        said = {name: i for i, row in enumerate(rows) if row.why for name in row.why}
        for name, i in said.items():
            self._why[name] = rows[i].why[name]
        if self._why:
            for name, i in last.items():
                if i >= said.get(name, 0):
                    self._why.pop(name, None)

    def columns(self) -> Columns:
        return Columns({name: self._columns[i].view() for name, i in self._names.items()}, dict(self._why))


def _values(rows: Sequence[Metrics | Probe], count: int) -> Values:
    """All `count` values of `rows`, NaN for each that is missing."""
    try:
        # Three times as fast, where no value is missing.
        return np.fromiter(chain.from_iterable(row.v.values() for row in rows), np.float64, count)
    except TypeError:
        return np.array([value for row in rows for value in row.v.values()], np.float64)


def _smallest(numbers: int) -> type[np.unsignedinteger]:
    """The smallest type for so many numbers; numpy sorts small ones in linear time."""
    return np.uint8 if numbers <= 1 << 8 else np.uint16 if numbers <= 1 << 16 else np.uint32
