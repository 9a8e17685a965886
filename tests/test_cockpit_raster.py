"""The raster against what a line is: every value lit, nothing lit that the line does not pass, no holes, gaps kept."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpeaks_tui.cockpit.axes import linear
from rlpeaks_tui.cockpit.cells import BLANK, Ink
from rlpeaks_tui.cockpit.chart import Chart, Line, draw
from rlpeaks_tui.cockpit.raster import Frame, Raster, ascii_dots, band_mask, braille, line_mask

COLUMNS, ROWS = 24, 16


@st.composite
def series(draw: st.DrawFn, gaps: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Ascending steps, close or far apart, and values; NaN for gaps."""
    n = draw(st.integers(1, 60))
    strides = draw(st.lists(st.integers(1, 9), min_size=n, max_size=n))
    values = draw(st.lists(st.floats(-2, 3) | (st.just(np.nan) if gaps else st.floats(0, 1)), min_size=n, max_size=n))
    return np.cumsum(strides).astype(np.int64), np.array(values)


def edges(frame: Frame) -> np.ndarray:
    """The borders of the columns of dots, in steps.

    Rounded, because steps are whole: a border that is a step is that step, and not the floating point value below.
    """
    width = (frame.x1 - frame.x0) / (COLUMNS - 1)
    return np.round(frame.x0 + width * (np.arange(COLUMNS + 1) - 0.5), 9)


def path_range(steps: np.ndarray, values: np.ndarray, left: float, right: float) -> tuple[float, float] | None:
    """Lowest and highest y of the line over [left, right], by looking at it very closely; a gap hides nothing."""
    seen = [value for step, value in zip(steps, values, strict=True) if left <= step < right and np.isfinite(value)]
    pairs = zip(zip(steps, values, strict=True), zip(steps[1:], values[1:], strict=True), strict=False)
    for (x0, y0), (x1, y1) in pairs:
        if np.isfinite(y0) and np.isfinite(y1) and x0 < right and x1 > left:
            where = np.linspace(max(x0, left), min(x1, right), 33)
            seen += list(np.interp(where, [x0, x1], [y0, y1]))
    return (min(seen), max(seen)) if seen else None


def test_a_value_on_the_border_of_two_columns_is_where_the_frame_says() -> None:
    steps = np.arange(1, 109)
    frame = Frame(1.0, 109.0, 0.0, 1.0)
    for step in steps.tolist():  # step 55 lies on a border, and its place has no exact floating point value
        mask = line_mask(np.array([step]), np.array([0.5]), frame, COLUMNS, ROWS)
        assert np.flatnonzero(mask.any(axis=0)).tolist() == [frame.column(step, COLUMNS)]


@settings(max_examples=120)
@given(series(), st.floats(-1.5, 0), st.floats(0.5, 2.5))
def test_line_lights_every_value_and_nothing_off_the_line(
    data: tuple[np.ndarray, np.ndarray], y0: float, y1: float
) -> None:
    steps, values = data
    frame = Frame(float(steps[0]), float(steps[-1] + 1), y0, y1)
    mask = line_mask(steps, values, frame, COLUMNS, ROWS)
    for step, value in zip(steps.tolist(), values.tolist(), strict=True):
        if np.isfinite(value) and y0 <= value <= y1:
            row = min(ROWS - 1, int(np.floor((y1 - value) / (y1 - y0) * ROWS)))
            assert mask[row, frame.column(step, COLUMNS)]
    borders = edges(frame)
    for column in range(COLUMNS):
        lit = np.flatnonzero(mask[:, column])
        found = path_range(steps, values, borders[column], borders[column + 1])
        if found is None:
            assert not len(lit)
            continue
        upper, lower = ((y1 - y) / (y1 - y0) * ROWS for y in (found[1], found[0]))
        assert all(row + 1 >= upper - 1e-6 and row <= lower + 1e-6 for row in lit.tolist())


@settings(max_examples=80)
@given(series(gaps=False))
def test_a_line_without_gaps_has_no_holes(data: tuple[np.ndarray, np.ndarray]) -> None:
    steps, values = data
    frame = Frame(float(steps[0]), float(steps[-1]), -2.01, 3.01)
    mask = line_mask(steps, values, frame, COLUMNS, ROWS)
    lit = [np.flatnonzero(mask[:, column]) for column in range(COLUMNS)]
    used = [rows for rows in lit if len(rows)]
    if steps[0] == steps[-1]:
        return
    assert len(used) == COLUMNS
    for rows in used:
        assert len(rows) == rows[-1] - rows[0] + 1
    for before, after in pairwise(used):
        assert before[0] - 1 <= after[-1] and after[0] - 1 <= before[-1]


def test_a_gap_stays_empty() -> None:
    steps = np.array([0, 10, 20, 90, 100])
    values = np.array([1.0, 1.0, np.nan, 1.0, 1.0])
    mask = line_mask(steps, values, Frame(0, 100, 0, 2), 101, 8)
    columns = mask.any(axis=0)
    assert columns[:11].all() and columns[90:].all()
    assert not columns[11:90].any()


def test_a_single_spike_among_many_is_not_lost() -> None:
    steps = np.arange(100_000)
    values = np.zeros(100_000)
    values[54_321] = 1.0
    frame = Frame(0, 99_999, 0, 1)
    mask = line_mask(steps, values, frame, 200, 40)
    assert mask[0].sum() == 1 and mask[0, frame.column(54_321, 200)]


def test_flat_lines_on_either_edge_are_inside() -> None:
    steps = np.arange(10)
    frame = Frame(0, 9, 0.0, 1.0)
    assert line_mask(steps, np.zeros(10), frame, 20, 8)[7].all()
    assert line_mask(steps, np.ones(10), frame, 20, 8)[0].all()


def test_slopes_are_one_dot_thin() -> None:
    steps = np.array([0, 19])
    mask = line_mask(steps, np.array([0.0, 1.0]), Frame(0, 19, 0, 1), 20, 20)
    assert mask.sum(axis=0).max() <= 2
    assert mask.sum() <= 22


def test_a_later_line_hides_an_earlier_one_where_they_meet() -> None:
    steps = np.array([0, 10])
    raster = Raster(10, 4, Frame(0, 10, 0, 1))
    raster.line(steps, np.array([0.0, 1.0]), Ink.KL)
    raster.line(steps, np.array([1.0, 0.0]), Ink.REWARD)
    lit = raster.cells.chars != BLANK
    assert set(raster.cells.inks[lit].tolist()) == {Ink.KL, Ink.REWARD}
    assert raster.cells.inks[0, 0] == Ink.REWARD and raster.cells.inks[-1, 0] == Ink.KL


def test_a_log_axis_is_straight_for_a_power_and_leaves_out_what_is_not_positive() -> None:
    steps = np.arange(4)
    frame = Frame(0, 3, 1e-3, 1.0, log=True)
    rows = [int(np.flatnonzero(line_mask(steps, 10.0 ** -(3 - steps), frame, 4, 30)[:, c])[0]) for c in (0, 1, 2, 3)]
    assert rows[3] == 0 and abs(rows[1] - 20) <= 5 and abs(rows[2] - 10) <= 5
    none = line_mask(steps, np.array([-1.0, 0.0, np.nan, -2.0]), frame, 4, 30)
    assert not none.any()


def test_band_covers_what_lies_between() -> None:
    steps = np.array([0, 9])
    mask = band_mask(steps, np.array([0.25, 0.25]), np.array([0.75, 0.75]), Frame(0, 9, 0, 1), 10, 8)
    assert mask[2:6].all() and not mask[:2].any() and not mask[7:].any()


@given(st.integers(1, 3), st.integers(1, 4), st.randoms())
def test_braille_encodes_each_dot_by_unicode(height: int, width: int, random: object) -> None:
    mask = np.random.default_rng(height * 10 + width).random((4 * height, 2 * width)) < 0.4
    chars = braille(mask)
    bits = {(0, 0): 0, (1, 0): 1, (2, 0): 2, (0, 1): 3, (1, 1): 4, (2, 1): 5, (3, 0): 6, (3, 1): 7}
    for y in range(height):
        for x in range(width):
            code = sum(1 << bit for (dy, dx), bit in bits.items() if mask[4 * y + dy, 2 * x + dx])
            assert chars[y, x] == (0x2800 + code if code else BLANK)


def test_ascii_dots_are_ascii_and_blank_only_without_dots() -> None:
    mask = np.array([[bool(code >> bit & 1) for code in range(8)] for bit in range(3)])
    for heavy in (False, True):
        chars = ascii_dots(mask, heavy)[0]
        assert chars[0] == BLANK and (chars[1:] != BLANK).all() and (chars < 128).all()


@pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0)])
def test_no_room_draws_nothing(size: tuple[int, int]) -> None:
    raster = Raster(*size, Frame(0, 1, 0, 1))
    raster.line(np.array([0, 1]), np.array([0.0, 1.0]), Ink.REWARD)
    assert raster.cells.chars.size == 0


def test_one_step_wide_frames_show_their_step() -> None:
    mask = line_mask(np.array([5]), np.array([0.5]), Frame(5, 5, 0, 1), 6, 8)
    assert mask.sum() == 1


@given(
    st.integers(-30, 30),
    st.integers(1, 40),
    st.integers(3, 60),
    st.integers(2, 9),
    st.booleans(),
)
def test_ticks_of_equal_steps_stand_equally_far_apart_and_beside_what_they_name(
    low: int, span: int, height: int, count: int, ascii_only: bool
) -> None:
    # Tenths are no binary numbers, so that ticks on a border are computed to lie beside it.
    axis = linear(low / 10, (low + span) / 10, count)
    lines = [Line(np.arange(11), np.full(11, tick), Ink.KL) for tick in axis.ticks]
    places = []
    for line, label in zip(lines, axis.labels, strict=True):
        cells = draw(Chart((0, 10), axis, [line], ascii_only=ascii_only), 60, height)
        drawn = np.flatnonzero((cells.inks == Ink.KL).any(axis=1))
        assert len(drawn) == 1
        places.append(int(drawn[0]))
        # Where two ticks share a row the first one's label has it.
        if places.count(places[-1]) == 1:
            assert label.strip() in cells.rows()[places[-1]]
    apart = [above - below for above, below in pairwise(places)]
    assert not apart or max(apart) - min(apart) <= 1


def test_rows_of_a_chart_that_once_jumped() -> None:
    """0.6, 0.4, 0.2 and 0 over 21 rows: their borders were computed as 27.99999999999999 and 56 dots."""
    axis = linear(0.0, 0.6, 5, 0.0)
    rows = draw(Chart((0, 10), axis), 60, 22).rows()
    assert [y for y, row in enumerate(rows[:-1]) if row.strip()] == [0, 7, 14, 20]
