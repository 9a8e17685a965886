"""Health rules: is the run in order, and if not, since when, on what evidence, and what would act on it?

A rule looks at logged metrics only and at nothing after the step it is asked about, so that live, replay and a
scrubbed cursor give the same verdict. It fires after 3 evaluations in a row and clears after 5, so that one noisy
step neither raises nor silences it. A rule whose metric is missing, stale or still warming up is "unknown" and
never "ok".

`evaluate` judges the whole run each time it is asked, which takes longer the longer the run is; it is the
definition. `evaluator.Evaluator` says the same of a run that grows, at a cost that depends on what is new.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rlpeaks_tui.stats.judging import (
    CLEAR_AFTER,
    FIRE_AFTER,
    RECENT,
    Finding,
    Judged,
    Logged,
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

__all__ = ["CLEAR_AFTER", "FIRE_AFTER", "RULES", "Finding", "Logged", "Rule", "evaluate", "history"]

_Named = list[tuple[str, tuple[Steps, Floats]]]


def evaluate(columns: Mapping[str, Logged], step: int, *, dtype: str | None = None) -> tuple[Finding, ...]:
    """What every rule says at `step`, in the order of RULES.

    Args:
        columns: logged values by metric. Nothing after `step` is looked at, nor what was logged on a branch
            that the run has left by going back to a checkpoint. Where it has a method `why`, as
            `run.columns.Columns` has, that gives the reason why a metric is missing.
        step: the step asked about.
        dtype: of the trained weights as in run.json ("float32", "bfloat16"), None when it is not known.
    """
    return tuple(_finding(rule, columns, step, dtype) for rule in RULES)


def history(rule: Rule, columns: Mapping[str, Logged]) -> tuple[Steps, Levels]:
    """The level of a rule at each of its evaluations over the whole run, hysteresis applied.

    Returns:
        (steps, levels): 0 not firing, 1 warn, 2 critical. Entry i is what `evaluate` says at steps[i] unless
        that is "unknown" or "n/a", for which it is 0. Both are empty when a metric is missing.
    """
    chosen = _choose(rule, columns, None)
    if isinstance(chosen, str):
        return np.empty(0, np.int64), np.empty(0, np.int8)
    steps, values = align(rule, [series for _, series in chosen])
    if not steps.size:
        return steps, np.empty(0, np.int8)
    return steps, settle(judge(rule, steps, values)[0], np.empty(0, np.int8), 0)


def _finding(rule: Rule, columns: Mapping[str, Logged], step: int, dtype: str | None) -> Finding:
    if found := out_of_scope(rule, dtype):
        return found
    chosen = _choose(rule, columns, step)
    if isinstance(chosen, str):
        return lacking(rule, chosen, columns, step)
    steps, values = align(rule, [series for _, series in chosen])
    if not steps.size:
        return apart(rule)
    raw, shown = judge(rule, steps, values)
    levels = settle(raw, np.empty(0, np.int8), 0)
    quiet = np.flatnonzero(levels == 0)  # never empty: firing takes FIRE_AFTER evaluations
    judged = Judged(
        names=tuple(name for name, _ in chosen),
        recent=tuple(own[-RECENT:] for _, (own, _) in chosen[: plain_needs(rule)]),
        first=int(steps[0]),
        last=int(steps[-1]),
        count=steps.size,
        level=int(levels[-1]),
        raw=int(raw[-1]),
        since=int(steps[quiet[-1] + 2 - FIRE_AFTER]) if levels[-1] else None,
        shown=entry(shown, -1),
        met=entry(shown, grave(raw, int(levels[-1]))),
        moves=None if (line := moving_line(shown)) is None else (steps, line),
    )
    return conclude(rule, step, judged)


def _choose(rule: Rule, columns: Mapping[str, Logged], step: int | None) -> _Named | str:
    """The metric that serves each need and each want, up to `step`; or the first need that none serves."""
    chosen: _Named = []
    for i, need in enumerate(rule.needs[: plain_needs(rule)]):
        found = _serving(need, columns, step, finite=rule.finite or i > 0)
        if not found[1][0].size:
            return need
        chosen.append(found)
    chosen += [_serving(want, columns, step) for want in rule.wants]
    family = [(name, _values(columns[name], step)) for name in members(rule, columns)]
    if plain_needs(rule) < len(rule.needs) and not any(steps.size for _, (steps, _) in family):
        return rule.needs[-1]
    return chosen + family


def _serving(
    need: str, columns: Mapping[str, Logged], step: int | None, *, finite: bool = True
) -> tuple[str, tuple[Steps, Floats]]:
    """The first metric of "a|b" that has a value, by name; ("", nothing) when none has."""
    for name in need.split("|"):
        if name in columns and (found := _values(columns[name], step, finite=finite))[0].size:
            return name, found
    return "", (np.empty(0, np.int64), np.empty(0))


def _values(series: Logged, step: int | None, *, finite: bool = True) -> tuple[Steps, Floats]:
    """The series up to `step`, strictly rising: what a later row of the same or a lower step replaced is left out."""
    steps, values = series.steps, series.values
    if steps.size > 1 and not (steps[1:] > steps[:-1]).all():
        later = np.minimum.accumulate(steps[::-1])[::-1]
        kept = np.append(steps[:-1] < later[1:], True)
        steps, values = steps[kept], values[kept]
    end = None if step is None else int(np.searchsorted(steps, step, side="right"))
    steps, values = steps[:end], values[:end]
    if finite and not (known := np.isfinite(values)).all():
        return steps[known], values[known]
    return steps, values
