"""Axes, charts, bars, sparklines, heatmaps: what stands where."""

from __future__ import annotations

import math
import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpeaks_tui.cockpit import axes, bars
from rlpeaks_tui.cockpit.cells import HEAT, TINT, Cells, Ink, width_of
from rlpeaks_tui.cockpit.chart import Chart, Line, Mark, Points, Tag, clusters, draw, spread
from rlpeaks_tui.cockpit.heatmap import SHADES, half_blocks, levels, shaded
from rlpeaks_tui.cockpit.spark import spark


def column_of(x: tuple[int, int], step: int, width: int) -> int:
    """The cell of a step in a plot of `width` cells, two dots each."""
    return round((step - x[0]) / (x[1] - x[0]) * (2 * width - 1)) // 2


numbers = st.floats(-1e6, 1e6, allow_nan=False)


@given(numbers, st.floats(1e-6, 1e6), st.integers(2, 8))
def test_a_linear_axis_holds_its_data_and_wastes_little(low: float, span: float, count: int) -> None:
    axis = axes.linear(low, low + span, count)
    slack = 1e-6 * max(1.0, abs(low) + span)
    assert axis.low <= low + slack and axis.high >= low + span - slack
    if span > 1e-6 * abs(low):
        assert axis.high - axis.low <= 1.85 * span + slack
    assert len(axis.ticks) <= count
    assert all(axis.low - slack <= tick <= axis.high + slack for tick in axis.ticks)
    assert len({width_of(label) for label in axis.labels}) <= 1


@given(st.floats(0, 1), st.floats(0, 1), st.integers(2, 6))
def test_an_axis_never_leaves_the_bounds_of_its_quantity(a: float, b: float, count: int) -> None:
    axis = axes.linear(min(a, b), max(a, b), count, floor=0.0, ceiling=1.0)
    assert -1e-9 <= axis.low < axis.high <= 1.0 + 1e-9


@pytest.mark.parametrize(
    ("low", "high", "count", "labels"),
    [
        (0.0, 1.0, 3, ("0.0", "0.5", "1.0")),
        (0.0, 0.25, 4, ("0.0", "0.1", "0.2")),
        (0.0, 412.0, 3, ("  0", "200", "400")),
        (-0.3, 0.3, 3, ("−0.4", " 0.4")),
        (-0.3, 0.3, 5, ("−0.4", "−0.2", " 0.0", " 0.2", " 0.4")),
        (0.0, 3e-5, 3, ("      0", "2.0e−05")),
    ],
)
def test_labels_are_round_and_equally_wide(low: float, high: float, count: int, labels: tuple[str, ...]) -> None:
    assert axes.linear(low, high, count).labels == labels


@given(st.floats(1e-8, 1e3), st.floats(1.1, 1e6), st.integers(2, 6))
def test_a_log_axis_ends_on_named_values_around_its_data(low: float, factor: float, count: int) -> None:
    axis = axes.logarithmic(low, low * factor, count)
    assert axis.log and axis.low <= low * (1 + 1e-9) and axis.high >= low * factor * (1 - 1e-9)
    assert 1 <= len(axis.ticks) <= count and axis.low <= axis.ticks[0] and axis.ticks[-1] <= axis.high
    for tick in (*axis.ticks, axis.low, axis.high):
        assert round(tick / 10 ** math.floor(math.log10(tick) + 1e-9), 6) in (1.0, 2.0, 5.0)


@given(st.integers(2, 24), st.integers(1, 9), st.floats(1e-6, 1e3), st.floats(1.1, 1e6))
def test_a_log_axis_says_so_at_every_height(height: int, count: int, low: float, factor: float) -> None:
    axis = axes.logarithmic(low, low * factor, count)
    rows = draw(Chart((0, 100), axis), 40, height).rows()
    assert sum("log" in row for row in rows) == 1
    assert all(label in "".join(rows) for label in axis.labels[:1]) or height < 4
    assert "log" not in "".join(draw(Chart((0, 100), axes.linear(low, low * factor, count)), 40, height).rows())


@given(st.integers(1, 10_000_000), st.none() | st.integers(1, 10_000_000))
def test_the_steps_shown_hold_the_run_and_change_seldom(last: int, limit: int | None) -> None:
    first, end = axes.extent(0, last, limit)
    assert first == 0 and end >= last and end > 0
    assert end <= max(20, 1.4 * last) or end == limit
    ends = {axes.extent(0, step, limit)[1] for step in range(max(1, last - 200), last + 1)}
    assert len(ends) <= 3 or last < 1000


@given(st.integers(20, 10_000_000))
def test_little_of_a_time_axis_stays_empty(last: int) -> None:
    assert axes.extent(0, last, None)[1] <= 1.13 * last
    assert axes.extent(0, last, last)[1] == last


@pytest.mark.parametrize("count", [20, 60, 150, 199, 396, 5000])
@pytest.mark.parametrize("spikes", [1, 2])
def test_a_spike_flattens_a_chart_of_no_length(count: int, spikes: int) -> None:
    values = 0.05 + 0.02 * np.sin(np.arange(count))
    values[count // 3 : count // 3 + spikes] = 2.0
    span = axes.span_without_spikes(values)
    assert span is not None and span[1] < 0.12 and span[0] >= 0.03
    chart = Chart((0, count), axes.linear(0.0, span[1], 3), [Line(np.arange(count), values, Ink.KL)])
    assert "▲" in draw(chart, 57, 10).rows()[0]


def test_what_is_no_spike_keeps_its_place_on_the_axis() -> None:
    rising = np.exp(np.arange(30) / 6)
    assert axes.span_without_spikes(rising) == (rising[0], rising[-1])
    assert axes.span_without_spikes(np.array([0.0] * 40 + [0.5, 0.5])) == (0.0, 0.5)
    assert axes.span_without_spikes(np.array([0.1, 2.0, 0.1])) == (0.1, 2.0)


def test_a_chart_puts_ends_marks_and_cursor_on_one_row_without_touching() -> None:
    steps = np.arange(413)
    chart = Chart(
        x=(0, 500),
        y=axes.linear(0, 1, 3),
        lines=[Line(steps, steps / 412, Ink.REWARD)],
        marks=[Mark(1, 118), Mark(2, 120), Mark(3, 301)],
        cursor=250,
    )
    cells = draw(chart, 60, 10)
    words = cells.rows()[-1].split()
    assert words == ["0", "#1-2", "250", "#3", "500"]
    column = 6 + column_of((0, 500), 301, 54)
    assert chr(cells.chars[-1, column]) == "#"
    assert chr(cells.chars[0, column]) == "┆" and cells.inks[0, column] == Ink.MARK
    at_cursor = 6 + column_of((0, 500), 250, 54)
    assert (cells.inks[:-1, at_cursor] & 63 == Ink.CURSOR).all()
    assert [row[:5].strip() for row in cells.rows()[:-1] if row[:5].strip()] == ["1.0", "0.5", "0.0"]


@pytest.mark.parametrize("size", [(0, 0), (5, 3), (9, 1), (40, 2), (200, 60)])
def test_a_chart_takes_any_size(size: tuple[int, int]) -> None:
    chart = Chart(x=(0, 10), y=axes.linear(0, 1, 3), lines=[Line(np.arange(11), np.linspace(0, 1, 11), 0)], labels=4)
    cells = draw(chart, *size)
    assert (cells.width, cells.height) == size


def test_points_carry_their_interval() -> None:
    chart = Chart(
        x=(0, 10),
        y=axes.linear(0, 1, 3),
        points=[Points(np.array([5]), np.array([0.5]), Ink.KL, "◆", np.array([0.1]), np.array([0.9]))],
    )
    cells = draw(chart, 27, 11)
    column = 6 + column_of((0, 10), 5, 21)
    drawn = "".join(chr(code) for code in cells.chars[:-1, column].tolist())
    assert drawn.count("◆") == 1 and drawn.strip(" ").startswith("│") and drawn.strip(" ").endswith("│")


def test_a_line_is_named_beside_its_end_and_names_never_overlap() -> None:
    steps = np.arange(2)
    lines = [Line(steps, np.array([i / 4, 0.5 + i / 1000]), Ink.SERIES_0 + i, f"name{i}") for i in range(4)]
    cells = draw(Chart(x=(0, 1), y=axes.linear(0, 1, 3), lines=lines, labels=8), 40, 9)
    named = [row[33:].strip() for row in cells.rows()]
    assert sorted(name for name in named if name) == ["name0", "name1", "name2", "name3"]


def test_a_curve_that_cannot_be_seen_has_no_name() -> None:
    steps, values = np.arange(101), np.linspace(0.0, 1.0, 101)
    lines = [Line(steps, values, Ink.SERIES_1, "under"), Line(steps, values, Ink.KL, "over", heavy=True)]
    words = "".join(draw(Chart(x=(0, 100), y=axes.linear(0, 1, 3), lines=lines, labels=8), 60, 9).rows())
    assert "over" in words and "under" not in words


@given(st.lists(st.integers(0, 9), max_size=14).map(sorted), st.integers(1, 10))
def test_spread_keeps_order_and_room(rows: list[int], height: int) -> None:
    placed = spread(rows, height)
    assert len(placed) == min(len(rows), height)
    assert all(b > a for a, b in pairwise(placed))
    assert all(row < height for row in placed)


@given(st.lists(st.tuples(st.integers(-5, 60), st.integers(1, 40)), max_size=20))
def test_command_numbers_never_touch(marks: list[tuple[int, int]]) -> None:
    placed = clusters(marks, 50)
    for (start, text), (following, _) in pairwise(placed):
        assert start + len(text) < following
    assert all(start >= 0 and start + len(text) <= 50 for start, text in placed)


@given(st.lists(st.tuples(st.integers(0, 49), st.integers(1, 40)), min_size=1, max_size=12))
def test_command_numbers_stand_under_their_lines_and_name_no_other(marks: list[tuple[int, int]]) -> None:
    numbers = {number for _, number in marks}
    for start, text in clusters(marks, 50):
        columns = [column for column, number in marks if start <= column < start + len(text)]
        assert columns and (start in columns or start + len(text) == 50)
        for part in text.rstrip("…").split():
            first, _, last = part.removeprefix("#").partition("-")
            assert set(range(int(first), int(last or first) + 1)) <= numbers


@pytest.mark.parametrize(
    ("marks", "width", "placed"),
    [
        ([(5, 2), (6, 3), (7, 4)], 40, [(5, "#2-4")]),
        ([(5, 4), (6, 5), (7, 10)], 40, [(5, "#4-5 #10")]),
        ([(5, 4), (6, 5), (7, 10), (12, 11)], 40, [(5, "#4…"), (12, "#11")]),
        ([(5, 2), (6, 5)], 40, [(5, "#2 #5")]),
        ([(38, 2), (39, 5)], 40, [(35, "#2 #5")]),
        ([(34, 1), (38, 2), (39, 5)], 40, [(34, "#1"), (37, "#2…")]),
    ],
)
def test_a_range_names_only_commands_that_stand_there(
    marks: list[tuple[int, int]], width: int, placed: list[tuple[int, str]]
) -> None:
    assert clusters(marks, width) == placed


@given(st.floats(0, 1), st.integers(1, 30))
def test_a_bar_is_as_long_as_its_share(share: float, width: int) -> None:
    bar = bars.lying(share, width)
    assert len(bar) == width
    length = sum(8 if char == "█" else bars.LYING.index(char) for char in bar if char != " ")
    assert abs(length / 8 - share * width) <= (0.0625 if share * width >= 0.125 else 0.125)
    assert (length == 0) == (share == 0)


def test_standing_bars_grow_from_their_base() -> None:
    cells = Cells(3, 4)
    bars.stand(cells, 1, 1, 3, 4, 0.625, Ink.CALIBRATION)
    assert [row[1] for row in cells.rows()] == [" ", "▄", "█", "█"]


def test_a_sparkline_is_one_row_over_the_same_steps_as_the_charts() -> None:
    steps = np.arange(51)
    cells = spark(steps, np.linspace(0, 1, 51), (0, 100), 20, Ink.KL)
    row = cells.rows()[0]
    assert cells.height == 1 and row[11:].strip() == "" and "⣀" in row[:11] and "⠉" in row[:11]
    assert spark(steps, np.full(51, np.nan), (0, 100), 20, 0).rows() == [" " * 20]
    assert spark(steps, np.ones(51), (0, 100), 0, 0).width == 0


def test_heat_levels_span_the_scale_and_know_what_is_missing() -> None:
    found = levels(np.array([-1.0, 0.0, 0.5, 0.999, 1.0, 7.0, np.nan]), 0.0, 1.0).tolist()
    assert found == [0, 0, 8, 15, 15, 15, -1]


def test_a_shaded_entry_always_carries_its_number() -> None:
    cells = Cells(9, 3)
    shaded(cells, 0, 0, 0.5, 3)
    shaded(cells, 1, 0, np.nan, 3)
    shaded(cells, 2, 0, 9.997, 3, top=12.0)
    assert [row.rstrip() for row in cells.rows()] == ["▒▒▒ 0.50", "       -", "███ 10.0"]


def test_half_blocks_hold_two_values_a_cell() -> None:
    values = np.array([[0.0, 1.0, np.nan], [1.0, 1.0, 0.0], [0.5, np.nan, np.nan]])
    cells = half_blocks(values, 0.0, 1.0)
    assert cells.rows() == ["▀█▄", "▀  "]
    ink = int(cells.inks[0, 0])
    assert ink & HEAT and ink & 15 == 0 and ink >> 4 & 15 == 15 and ink & TINT
    nothing = half_blocks(np.zeros((2, 3)), 0.0, 1.0, flat=True)
    assert nothing.rows() == ["···"], "nothing at all is not nothing known"
    assert half_blocks(np.full((2, 3), np.nan), 0.0, 1.0, flat=True).rows() == ["   "]
    flat = half_blocks(values, 0.0, 1.0, flat=True)
    assert flat.rows()[0][1] == SHADES[-1] and not (flat.inks & HEAT).any()


def test_a_chart_over_another_quantity_labels_it_at_both_ends() -> None:
    across = axes.linear(0.0, 0.2, 5, floor=0.0)
    cells = draw(Chart(x=(0, 9), y=axes.linear(0, 1, 3), across=across), 60, 8)
    labels = cells.rows()[-1].split()
    assert labels[0] == "0.00" and labels[-1] == "0.20"


@pytest.mark.parametrize(("x", "left"), [(0.2, False), (1.0, True)])
def test_words_on_a_plot_stand_beside_their_place_and_inside(x: float, left: bool) -> None:
    place = Points(np.array([x]), np.array([0.5]), Ink.TEXT, "o")
    chart = Chart(
        x=(0, 1),
        y=axes.linear(0, 1, 3),
        across=axes.linear(0.0, 1.0, 3),
        points=[place],
        tags=[Tag(x, 0.5, "here", Ink.MARK)],
    )
    row = next(row for row in draw(chart, 50, 9).rows() if "here" in row)
    assert ("here o" in row) is left and ("o here" in row) is not left


def test_words_on_a_plot_never_cover_data() -> None:
    steps = np.arange(100)
    full = [Line(steps, np.where(steps % 2, 1.0, 0.0), Ink.REWARD)]
    chart = Chart(x=(0, 99), y=axes.linear(0, 1, 3), lines=full)
    with_words = Chart(x=(0, 99), y=axes.linear(0, 1, 3), lines=full, tags=[Tag(50, 0.5, "hidden", Ink.MARK)])
    assert draw(chart, 50, 9) == draw(with_words, 50, 9)
    assert draw(Chart(x=(0, 9), y=axes.linear(0, 1, 3), tags=[Tag(5, 7.0, "outside", Ink.MARK)]), 50, 9) == draw(
        Chart(x=(0, 9), y=axes.linear(0, 1, 3)), 50, 9
    )


def test_very_many_points_take_a_sign_a_cell_and_an_interval_a_column() -> None:
    steps = np.repeat(np.arange(11), 10_000)
    values = np.tile(np.linspace(0.3, 0.7, 10_000), 11)
    points = Points(steps, values, Ink.KL, "◆", values - 0.2, values + 0.1)
    began = time.process_time()
    cells = draw(Chart((0, 10), axes.linear(0, 1, 2), points=[points]), 17, 11)
    assert time.process_time() - began < 0.25
    assert {row[6:] for row in cells.rows()[2:4]} == {"│" * 11, "◆" * 11}
    column = "".join(chr(code) for code in cells.chars[:-1, 6].tolist())
    assert column.strip(" ").strip("│") == column.count("◆") * "◆" and column.count("│") == 3
    assert (cells.chars[:-1, 6:] == cells.chars[:-1, 6:7]).all()
