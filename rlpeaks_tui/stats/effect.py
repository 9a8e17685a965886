"""Did a command help? What was logged before it beside what was logged after it.

Two figures answer, and a verdict needs both. The difference of means alone calls an old trend an effect: a rising
reward rises anyway. The distance from where a straight continuation of the old trend would have led, alone, calls
the flattening of every learning curve one. Both have intervals that allow for autocorrelation; where they do not
agree on a direction nothing is claimed. So an effect against a trend (a rise that was stopped) shows in the two
figures long before it shows in the verdict.

A trend is continued over no more rows than it was seen: what eight rows do says nothing about the fiftieth after them.

Of simulated AR(1) series with autocorrelation 0 to 0.8 the 95 % intervals hold the truth in 87 to 96 %
from 20 rows a side on (78 to 93 % with 8 rows), and a verdict claims an effect where there is none in 1 to 6 %.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from msgspec import Struct

from rlpeaks_tui.stats.catalog import called, format_value, lookup
from rlpeaks_tui.stats.judging import Logged
from rlpeaks_tui.stats.longrun import freedom, long_run_variance, persistence
from rlpeaks_tui.stats.metric import Metric
from rlpeaks_tui.stats.rule import Steps
from rlpeaks_tui.stats.steered import (
    Entered,
    Place,
    Returned,
    Rows,
    Sent,
    branch_starts,
    places,
    windows,
)
from rlpeaks_tui.stats.student import student95
from rlpeaks_tui.stats.summaries import Floats

Verdict = Literal["rose", "fell", "no detectable effect", "not enough steps yet", "not enough steps"]
"""The last one where there never will be enough: the run has ended, or was changed again too soon."""

UNDECIDED: tuple[Verdict, ...] = ("no detectable effect", "not enough steps yet", "not enough steps")

LEAST = 8
"""Rows on each side that a figure needs."""

SHORT = 20
"""Rows before a command from which on a trend is more than a guess; fewer are said to be few."""

COMPARED: dict[str, tuple[str, ...]] = {
    "reward": ("reward",),
    "entropy": ("entropy",),
    "KL": ("kl/base_k3", "kl/base", "kl"),
    "length": ("completions/mean_length",),
    "calibration": ("calibration/ece",),
    "entropy slope": ("entropy",),
}
"""What is compared, and the metric it is read from: the first that has a value."""

UNCLEAR = "no clear effect"

RULE = "intervals are of 95 %; rose or fell: those of the difference and of the distance from the trend exclude 0"
"""Of a verdict, in words; that on a slope rests on the difference of slopes alone."""


class Compared(Struct, frozen=True):
    """One metric before and after a command. Without LEAST rows on each side every number is None.

    Attributes:
        metric: as journaled.
        rows_before, rows_after: finite values that were compared.
        before, after: means; for a slope, change a step.
        difference: after - before, with its 95 % interval.
        expected: what the trend before would have given on average in the first `continued` rows after the command, the
            nearest possible value where it leads beyond those; None for a slope.
        beyond: the mean of those rows - expected, with its 95 % interval; None for a slope.
        cut: sides on which another change of the training left fewer rows than were logged.
    """

    metric: str
    verdict: Verdict
    rows_before: int
    rows_after: int
    before: float | None = None
    after: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    expected: float | None = None
    beyond: float | None = None
    beyond_low: float | None = None
    beyond_high: float | None = None
    cut: tuple[Literal["before", "after"], ...] = ()

    @property
    def short(self) -> bool:
        """Whether the trend that is continued rests on few rows."""
        return self.expected is not None and self.rows_before < SHORT

    @property
    def continued(self) -> int:
        """Rows after the command over which the trend is continued: as many as it was seen for, at most."""
        return min(self.rows_before, self.rows_after)


def thought(found: Compared) -> str:
    """What the figures amount to, as one thought: the effect, or why none is clear though a figure differs."""
    if found.expected is None or found.beyond is None:
        return found.verdict if found.verdict not in UNDECIDED else UNCLEAR
    trend = f"the trend of {found.rows_before} values" if found.short else "the trend before"
    known = lookup(found.metric)
    to = format_value(known, found.expected) + _bound(known, found.expected)
    if found.verdict not in UNDECIDED:
        return f"{found.verdict}; {trend} led to {to}{_until(found)}"
    moved, apart = _sign(found.low, found.high), _sign(found.beyond_low, found.beyond_high)
    if not moved and not apart:
        return UNCLEAR
    is_now = {1: "higher", -1: "lower", 0: "as before"}[moved]
    if not apart:
        return f"{UNCLEAR}: {is_now}, but {trend} led to {to}{_until(found)}"
    return f"{UNCLEAR}: {is_now}, yet {'above' if apart > 0 else 'below'} {to}, where {trend} led{_until(found)}"


def shown(title: str, found: Compared) -> list[str]:
    """The figures as a person reads them: before, after, the difference with its sign, and the interval's two ends.

    A slope is told in 100 steps: a change a step is a small number in which nobody thinks.
    """
    slope = title == "entropy slope"
    known = None if slope else lookup(found.metric)
    values = (found.before, found.after, found.difference, found.low, found.high)
    figures = [format_value(known, None if value is None else (100 if slope else 1) * value) for value in values]
    figures[2] = f"{'' if figures[2].startswith('-') else '+'}{figures[2]}"
    return figures


IN_STEPS = "in 100 steps"
"""The unit of a slope."""


def shortage(found: Compared) -> str:
    """Which side has too few rows, and whether that can change."""
    if found.rows_before < LEAST:
        return f"{found.rows_before} of {LEAST} values before it: it can never be told"
    if found.verdict == "not enough steps yet":
        return f"{found.rows_after} of {LEAST} values after it so far: it will be told"
    return f"{found.rows_after} of {LEAST} values after it, and there will be no more"


class Effect(Struct, frozen=True):
    """What became of the metrics that are compared with one command; None for one that the run does not have.

    Attributes:
        others: commands that nothing was trained between, so that only what they did together can be told.
    """

    command: Sent
    step: int
    metrics: dict[str, Compared | None]
    others: tuple[Sent, ...] = ()


def together(effect: Effect) -> str:
    """That the effect is that of several commands; empty where it is not."""
    if not effect.others:
        return ""
    names = ", ".join(_asked(command) for command in effect.others)
    return f"with {names}: no step between them, so they are told as one"


def effects(
    columns: Mapping[str, Logged],
    commands: Sequence[Sent],
    branches: Sequence[Returned] = (),
    phases: Sequence[Entered] = (),
    *,
    ended: bool = False,
    compared: Mapping[str, tuple[str, ...]] = COMPARED,
) -> tuple[Effect, ...]:
    """The effect of every applied command that changed weights or settings, in the order of the journal.

    Commands with no step between them are told apart by nothing that was logged: each has the effect of all of them.

    Args:
        columns: logged values by metric, in the order of logging.
        commands, branches, phases: of the run, in the order of the journal. Phases that were entered without a command
            cut windows as commands do.
        ended: nothing more will be logged.
        compared: what is compared, as in COMPARED.
    """
    told, everywhere = places(commands, branches, phases)
    if not told:
        return ()
    series = {title: _serving(columns, names, branches) for title, names in compared.items()}
    return tuple(
        Effect(
            command,
            command.step if command.step is not None else place.step,
            {
                title: _compared(title, found, place, everywhere, ended) if found else None
                for title, found in series.items()
            },
            tuple(other for other, at in told if at == place and other.id != command.id),
        )
        for command, place in told
    )


def card(effect: Effect) -> list[str]:
    """An effect as short lines of plain text: the command, then a line for each metric that the run has."""
    return [
        _head(effect),
        *(f"  {line}" for line in (together(effect),) if line),
        *(f"  {_line(named(title, found), found)}" for title, found in effect.metrics.items() if found),
    ]


def brief(effect: Effect) -> str:
    """An effect as one line of plain text: its verdicts."""
    calls: dict[Verdict, list[str]] = {}
    for title, found in effect.metrics.items():
        if found:
            calls.setdefault(found.verdict, []).append(named(title, found))
    parts = [f"{', '.join(calls[verdict])} {verdict}" for verdict in ("rose", "fell") if verdict in calls]
    parts += [f"{verdict}: {', '.join(calls[verdict])}" for verdict in UNDECIDED if verdict in calls]
    return f"{_head(effect)}: {'; '.join(parts) or 'nothing that it could be told by'}"


def named(title: str, found: Compared) -> str:
    """What was compared, for a person: with KL, which."""
    return called(found.metric) if title == "KL" else title


def _head(effect: Effect) -> str:
    return f"{_asked(effect.command)} at step {effect.step}"


def _asked(command: Sent) -> str:
    return " ".join((command.verb, *command.args))


class _Series(Struct, frozen=True):
    name: str
    steps: Steps
    values: Floats
    starts: list[int]


def _serving(columns: Mapping[str, Logged], names: Sequence[str], branches: Sequence[Returned]) -> _Series | None:
    for name in names:
        logged = columns.get(name)
        if logged is not None and (known := np.isfinite(logged.values)).any():
            steps = logged.steps[known]
            return _Series(name, steps, logged.values[known], branch_starts(steps, branches))
    return None


def _compared(title: str, series: _Series, place: Place, everywhere: Sequence[Place], ended: bool) -> Compared:
    before, after = windows(series.steps, series.starts, place, everywhere)
    sides: tuple[tuple[Literal["before", "after"], Rows], ...] = (("before", before), ("after", after))
    cut = tuple(name for name, rows in sides if rows.cut)
    n, m = before.stop - before.start, after.stop - after.start
    if min(n, m) < LEAST:
        never = ended or n < LEAST or after.cut
        return Compared(series.name, "not enough steps" if never else "not enough steps yet", n, m, cut=cut)
    took = _elapsed(series.steps[before.start : after.stop], after.start - before.start if place.back else None)
    x, y = took[:n], took[after.start - before.start :]
    u, v = series.values[before.start : before.stop], series.values[after.start : after.stop]
    means, beyond, slopes = _figures(x, u, y, v, _bounds(series.name))
    if title == "entropy slope":
        return Compared(series.name, _verdict(slopes), n, m, _slope(x, u), _slope(y, v), *slopes, cut=cut)
    return Compared(
        series.name,
        _verdict(means, beyond),
        n,
        m,
        float(u.mean()),
        float(v.mean()),
        *means,
        float(v[:n].mean()) - beyond[0],
        *beyond,
        cut=cut,
    )


_Interval = tuple[float, float, float]
"""Estimate, low, high."""


def _verdict(*figures: _Interval) -> Verdict:
    if all(low > 0 for _, low, _ in figures):
        return "rose"
    return "fell" if all(high < 0 for _, _, high in figures) else "no detectable effect"


def _elapsed(steps: Steps, back: int | None) -> Floats:
    """Training steps done since the first row, shape [n].

    Where the run went back, between the row `back` and the one before it, its usual stride is taken: what an undo goes
    back to may have a higher step, which is no distance that was trained.
    """
    stride = np.diff(steps)
    apart = stride <= 0
    if back is not None:
        apart[back - 1 : back] = True
    stride = np.where(apart, np.median(stride[~apart]) if not apart.all() else 1, stride)
    return np.concatenate([[0.0], np.cumsum(stride, dtype=np.float64)])


def _figures(
    x: Floats, u: Floats, y: Floats, v: Floats, bounds: tuple[float, float]
) -> tuple[_Interval, _Interval, _Interval]:
    """Difference of means, distance from the trend before, and difference of slopes.

    Args:
        x, u: training steps done and values before, shape [n].
        y, v: after, shape [m].
        bounds: least and greatest value that is possible.
    """
    # A line on each side: a trend is no noise, and would otherwise hide the largest jump behind its own variance.
    before, after = _detrended(x, u), _detrended(y, v)
    rho = persistence(before, after)
    noise, noise_after = (long_run_variance(residuals, rho) for residuals in (before, after))
    quantile = student95(freedom(u.size + v.size, 4, rho))

    def interval(estimate: float, weight: float, weight_after: float, scale: float) -> _Interval:
        # Weights are sums of squares of what the values weigh. That changes slowly from row to row, so the variance of
        # a side's part is its weight times its long-run variance; what the sides have in common is left out, which
        # errs on the side of caution. A difference that rounding can make is none.
        half = max(quantile * math.sqrt(weight * noise + weight_after * noise_after), 1e-12 * scale)
        return estimate, estimate - half, estimate + half

    # A line of few rows says less of a far row than its interval tells, which takes for granted that it is one.
    near, there = y[: x.size], v[: x.size]
    distance = float(near.mean() - x.mean())
    # A line leads anywhere. Taken back to what is possible it is nearer to what came, so less is claimed.
    expected = min(max(float(u.mean()) + _slope(x, u) * distance, bounds[0]), bounds[1])
    size = float(max(np.abs(u).max(), np.abs(v).max(), abs(expected)))
    return (
        interval(float(v.mean() - u.mean()), 1 / u.size, 1 / v.size, size),
        interval(float(there.mean()) - expected, 1 / u.size + distance**2 / _spread(x), 1 / there.size, size),
        interval(_slope(y, v) - _slope(x, u), 1 / _spread(x), 1 / _spread(y), size),
    )


def _spread(x: Floats) -> float:
    return float(np.square(x - x.mean()).sum())


def _slope(x: Floats, y: Floats) -> float:
    return float((x - x.mean()) @ y) / _spread(x)


def _detrended(x: Floats, y: Floats) -> Floats:
    return np.asarray(y - y.mean() - _slope(x, y) * (x - x.mean()))


def _bounds(name: str) -> tuple[float, float]:
    known = lookup(name)
    low, high = known.bounds if known else (None, None)
    return -math.inf if low is None else low, math.inf if high is None else high


def _bound(known: Metric | None, value: float) -> str:
    """A word for a value that could not be any lower or higher."""
    if known is None or value not in known.bounds:
        return ""
    return " (its least)" if value == known.bounds[0] else " (its most)"


def _until(found: Compared) -> str:
    """How far the trend was continued, where that is not as far as there are steps."""
    return f" in the next {found.continued}" if found.continued < found.rows_after else ""


def _sign(low: float | None, high: float | None) -> int:
    """The direction that an interval tells; 0 where it holds 0."""
    return 0 if low is None or high is None or low <= 0 <= high else 1 if low > 0 else -1


def _line(title: str, found: Compared) -> str:
    if found.difference is None:
        return f"{title}: {found.verdict} ({shortage(found)}{_cut(found)})"
    before, after, difference, low, high = shown(title, found)
    line = f"{title} {before} -> {after}{f' {IN_STEPS}' if title == 'entropy slope' else ''}"
    line += f"  {difference} ({low} to {high})  {thought(found)}"
    return f"{line}; {found.rows_before} values before, {found.rows_after} after{_cut(found)}"


def _cut(found: Compared) -> str:
    return f"; cut at another change {' and '.join(found.cut)}" if found.cut else ""
