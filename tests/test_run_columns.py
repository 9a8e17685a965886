"""Columns against a dict of lists: the same numbers, and snapshots that nothing done later can change."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpeaks_tui.run.columns import Columns, ColumnStore, Series, _Column
from rlpeaks_tui.run.entries import Metrics, Probe


def test_numbers_beyond_all_reason_are_cut_so_that_their_differences_are_finite() -> None:
    store = ColumnStore()
    store.extend([Metrics(t=0.0, step=i, v={"x": x}) for i, x in enumerate([1e308, -1e308, 0.5, None])])
    values = store.columns()["x"].values
    assert np.isfinite(np.square(np.diff(values[:3]))).all() and values[2] == 0.5 and np.isnan(values[3])


def test_where_a_run_stands_lately_counts_what_was_done_again_once() -> None:
    steps = [*range(1, 31), *range(21, 26)]
    values = [1.0] * 20 + [100.0] * 10 + [2.0] * 5
    store = ColumnStore()
    store.extend([Metrics(t=0.0, step=step, v={"x": x}) for step, x in zip(steps, values, strict=True)])
    # Of the steps 6 to 25: those from 21 on as they were the second time.
    assert store.columns()["x"].lately() == (15 * 1.0 + 5 * 2.0) / 20
    store.extend([Metrics(t=0.0, step=26, v={"x": None})])
    assert store.columns()["x"].lately() == 1.25 and store.columns().get_series("y").lately() is None


NAMES = ("reward", "kl", "entropy", "sparsity/bf16", "time/step")
Points = dict[str, list[tuple[int, float]]]


@st.composite
def rows(draw: st.DrawFn) -> list[Metrics | Probe]:
    """Stretches of rows with the same keys; steps mostly grow and sometimes go back; values may be missing."""
    found: list[Metrics | Probe] = []
    step = 0
    for _ in range(draw(st.integers(0, 6))):
        keys = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=4))
        for _ in range(draw(st.integers(1, 5))):
            step = max(0, step + draw(st.sampled_from([0, 1, 1, 1, 2, 10, -5])))
            values = {key: draw(st.one_of(st.none(), st.integers(-9, 9).map(float))) for key in keys}
            absent = draw(st.sets(st.sampled_from(NAMES), max_size=1)) - set(keys)
            why = {key: f"{key} at {step}" for key, value in values.items() if value is None or key in absent}
            why |= {key: f"{key} does not apply" for key in absent}
            if draw(st.booleans()):
                found.append(Metrics(t=0.0, step=step, v=values, why=why))
            else:
                found.append(Probe(t=0.0, name="probe", step=step, v=values, why=why))
    return found


def oracle(rows: list[Metrics | Probe]) -> tuple[Points, dict[str, str]]:
    points: Points = {}
    why: dict[str, str] = {}
    for row in rows:
        why |= row.why
        for name, value in row.v.items():
            points.setdefault(name, []).append((row.step, math.nan if value is None else value))
            if value is not None:
                why.pop(name, None)
    return points, why


def last_finite(points: list[tuple[int, float]], step: float = math.inf) -> tuple[int, float] | None:
    return next(((s, v) for s, v in reversed(points) if s <= step and math.isfinite(v)), None)


def check(columns: Columns, points: Points, why: dict[str, str]) -> None:
    assert columns.names() == list(columns) == list(points)
    assert len(columns) == len(points)
    for name, expected in points.items():
        series = columns[name]
        assert series.steps.tolist() == [s for s, _ in expected]
        np.testing.assert_array_equal(series.values, [v for _, v in expected])
        assert series.ordered == (sorted(s for s, _ in expected) == [s for s, _ in expected])
        assert columns.last(name) == last_finite(expected)
        steps = np.arange(-1, max(s for s, _ in expected) + 2)
        for step, each in zip(steps.tolist(), series.at_each(steps).tolist(), strict=True):
            found = last_finite(expected, step)
            assert columns.at(name, step) == series.at(step) == (None if found is None else found[1])
            assert each == found[1] if found else math.isnan(each)
    for name in NAMES:
        assert columns.why(name) == why.get(name)


@given(rows(), st.data())
@settings(max_examples=60)
def test_columns_are_what_a_dict_of_lists_would_be(rows: list[Metrics | Probe], data: Any) -> None:
    store = ColumnStore()
    taken = 0
    snapshots: list[tuple[Columns, int]] = []
    while taken < len(rows):
        more = data.draw(st.integers(1, len(rows) - taken))
        store.extend(rows[taken : taken + more])
        taken += more
        snapshots.append((store.columns(), taken))
        check(store.columns(), *oracle(rows[:taken]))
    for columns, size in snapshots:
        check(columns, *oracle(rows[:size]))


def test_snapshots_keep_their_values_when_columns_grow_out_of_their_arrays() -> None:
    store = ColumnStore()
    snapshots = []
    for step in range(1000):
        store.extend([Metrics(t=0.0, step=step, v={"reward": float(step), "kl": None if step % 3 else -1.0})])
        snapshots.append(store.columns())
    for size, columns in enumerate(snapshots, 1):
        assert len(columns["reward"]) == len(columns["kl"]) == size
        np.testing.assert_array_equal(columns["reward"].values, np.arange(size))
        assert columns.last("reward") == (size - 1, float(size - 1))


def test_a_snapshot_of_a_long_run_is_views_and_no_copies() -> None:
    store = ColumnStore()
    store.extend([Metrics(t=0.0, step=step, v={"reward": 1.0}) for step in range(10_000)])
    first, second = store.columns()["reward"], store.columns()["reward"]
    assert np.shares_memory(first.values, second.values) and np.shares_memory(first.steps, second.steps)


def test_a_batch_is_stored_a_column_at_a_time_whatever_its_rows_report(monkeypatch: pytest.MonkeyPatch) -> None:
    stored: list[int] = []
    extend = _Column.extend
    monkeypatch.setattr(_Column, "extend", lambda self, steps, x: (stored.append(len(x)), extend(self, steps, x)))
    store = ColumnStore()
    store.extend([Metrics(t=0.0, step=i, v=dict.fromkeys(NAMES[: 1 + i % 5], float(i))) for i in range(1_000)])
    assert len(stored) == len(NAMES) and sum(stored) == 3_000


def test_the_last_value_is_found_however_long_ago_it_was() -> None:
    store = ColumnStore()
    store.extend([Probe(t=0.0, name="p", step=1, v={"kl": 2.0})])
    store.extend([Metrics(t=0.0, step=step, v={"kl": None}) for step in range(2, 10_000)])
    columns = store.columns()
    assert columns.last("kl") == (1, 2.0)
    assert columns.at("kl", 9_000) == 2.0
    assert columns.at("kl", 0) is None


def test_after_going_back_to_a_checkpoint_the_later_branch_is_shown() -> None:
    store = ColumnStore()
    for step, value in ((1, 1.0), (2, 2.0), (3, 3.0), (2, 20.0)):
        store.extend([Metrics(t=0.0, step=step, v={"reward": value})])
    columns = store.columns()
    assert not columns["reward"].ordered
    assert [columns.at("reward", step) for step in (0, 1, 2, 3, 9)] == [None, 1.0, 20.0, 20.0, 20.0]
    assert columns.last("reward") == (2, 20.0)


def test_a_reason_goes_when_the_value_comes_also_within_one_batch() -> None:
    store = ColumnStore()
    missing = Metrics(t=0.0, step=1, v={"kl": None}, why={"kl": "not yet"})
    present = Metrics(t=0.0, step=2, v={"kl": 1.0})
    store.extend([missing])
    assert store.columns().why("kl") == "not yet"
    store.extend([missing, present])
    assert store.columns().why("kl") is None
    store.extend([present, missing])
    assert store.columns().why("kl") == "not yet"


def test_a_metric_that_was_never_there_is_empty_and_nothing_raises() -> None:
    columns = ColumnStore().columns()
    assert len(columns) == 0 and columns.last("reward") is None and columns.at("reward", 1) is None
    empty = columns.get_series("reward")
    assert isinstance(empty, Series) and len(empty) == 0 and empty.at(5) is None
