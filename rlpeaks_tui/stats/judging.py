"""From a rule and its columns to a finding: the parts that judging a whole run and judging its newest rows share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, Protocol

import numpy as np
from msgspec import Struct

from rlpeaks_tui.stats.catalog import called, has_entry
from rlpeaks_tui.stats.rule import IDLE, Flags, Levels, Rule, Severity, Shown, Steps
from rlpeaks_tui.stats.summaries import Floats

State = Literal["ok", "firing", "unknown", "n/a"]

FIRE_AFTER = 3
CLEAR_AFTER = 5
STALE_AFTER = 3
"""A metric is stale when this many of its usual intervals have passed without a value."""

RECENT = 11
"""Values that a metric's usual interval is taken from."""

Number = np.generic | float
Numbers = dict[str, Any]
"""What a judge shows, of one evaluation: numbers, numpy's own among them."""

_SEVERITY: tuple[Severity, Severity] = ("warn", "critical")


class Logged(Protocol):
    """One logged metric, as `run.columns.Series` is: in the order of logging, nan where it was not finite."""

    @property
    def steps(self) -> Steps: ...
    @property
    def values(self) -> Floats: ...


@dataclass(frozen=True)
class Finding:
    """What one rule says at one step.

    Attributes:
        state: "unknown" when it cannot be told, "n/a" when the question does not arise; `evidence` says why.
        severity: of a firing rule, else None.
        since: step of the first of the evaluations that made it fire, else None.
        evidence: one line with numbers; of a firing rule those of the last evaluation that meets its condition, and
            where that is not the newest, the newest as well.
        remedy: the command that would act on it; "" unless firing.
        line: value of the rule's first metric at which it begins to fire, at this step; None where there is no such
            value, or none yet.
        moves: steps and values of that line at each evaluation so far, nan where there was none; None where it does
            not move.
    """

    rule: Rule
    state: State
    severity: Severity | None
    since: int | None
    evidence: str
    remedy: str
    line: float | None = None
    moves: tuple[Steps, Floats] | None = field(default=None, repr=False, compare=False)


class Judged(Struct, frozen=True):
    """One rule's evaluations up to a step, as far as a finding needs them.

    Attributes:
        names: metrics in the order of the judge's arguments.
        recent: for each metric but the members of a family, the steps of its last RECENT values.
        first, last: steps of the first and the last evaluation.
        count: evaluations.
        level: of the last one, hysteresis applied.
        raw: of the last one, as judged.
        since: step of the first of the evaluations that made it fire; None unless `level`.
        shown: numbers of the last one.
        met: numbers of the last one that was judged as grave as `level` says, which may be a few before.
        moves: as in a finding.
    """

    names: tuple[str, ...]
    recent: tuple[Steps, ...]
    first: int
    last: int
    count: int
    level: int
    raw: int
    since: int | None
    shown: Numbers
    met: Numbers
    moves: tuple[Steps, Floats] | None


def silent(rule: Rule, state: State, why: str) -> Finding:
    """A finding of a rule that says nothing of the run."""
    return Finding(rule, state, None, None, why, "")


def out_of_scope(rule: Rule, dtype: str | None) -> Finding | None:
    """What a rule for one dtype of weights says in a run of another."""
    if rule.weights is None or dtype == rule.weights:
        return None
    if dtype is None:
        return silent(rule, "unknown", "the dtype of the weights is not recorded")
    return silent(rule, "n/a", f"weights are {dtype}; this concerns {rule.weights}")


def lacking(rule: Rule, need: str, columns: Mapping[str, Logged], step: int) -> Finding:
    """What a rule says when a need has no value, with the run's own reason where it gives one."""
    why = getattr(columns, "why", None)  # `run.columns.Columns` knows reasons, a plain mapping does not
    names = need.split("|")
    reason = next((text for name in names if why is not None and (text := why(name))), None)
    state: State = rule.absence if reason is not None and need == rule.needs[0] else "unknown"
    if reason is None:
        logged = any(name in columns and len(columns[name].steps) for name in names)
        reason = f"no finite value up to step {step}" if logged else f"no values up to step {step}"
    return silent(rule, state, f"{need.replace('|', ' or ')}: {reason}")


def apart(rule: Rule) -> Finding:
    """What a rule says when its metrics have values, but the first has none since the others began."""
    return silent(rule, "unknown", f"{rule.needs[0]} has no value yet at a step at which all of its metrics are known")


def conclude(rule: Rule, step: int, judged: Judged) -> Finding:
    """The finding at `step`."""
    for name, steps in zip(judged.names, judged.recent, strict=False):
        intervals = np.diff(steps)
        if intervals.size and step - steps[-1] > STALE_AFTER * (usual := float(np.median(intervals))):
            why = f"{name} is stale: last at step {steps[-1]}, usually every {usual:g} steps"
            return silent(rule, "unknown", why)
    if (done := judged.last - judged.first) < rule.warmup:
        return silent(rule, "unknown", f"warming up: {done} of {rule.warmup} steps")
    if judged.count < rule.least:
        return silent(rule, "unknown", f"{judged.count} of the {rule.least} evaluations that it takes")
    text = rule.idle if judged.raw == IDLE else rule.evidence
    evidence, line, moves = _said(rule, judged, text, judged.shown), _line(judged.shown), judged.moves
    if judged.level:
        texts = rule.fires or (rule.evidence,)
        fired = _said(rule, judged, texts[int(judged.met.get("case", 0))], judged.met)
        if judged.raw < judged.level:
            fired = f"{fired}; at step {judged.last:,}: {evidence}"
        severity = _SEVERITY[judged.level - 1]
        return Finding(rule, "firing", severity, judged.since, fired, rule.remedy, line, moves)
    return Finding(rule, "n/a" if judged.raw == IDLE else "ok", None, None, evidence, "", line, moves)


def _said(rule: Rule, judged: Judged, text: str, numbers: Numbers) -> str:
    shown = {key: _shown(rule, judged.names, key, value) for key, value in numbers.items()}
    return text.format(metric=called(judged.names[0]), **shown)


def entry(shown: Shown, at: int) -> Numbers:
    """What a judge shows of one evaluation."""
    return {key: value[at] if isinstance(value, np.ndarray) else value for key, value in shown.items()}


def grave(raw: Levels, level: int) -> int:
    """Which of the evaluations in `raw` is the last that was judged as grave as `level`, the last one where that is 0.

    There is one among the last CLEAR_AFTER, else the rule would have cleared.
    """
    return int(np.flatnonzero(raw >= level)[-1]) if level else raw.size - 1


def _line(numbers: Numbers) -> float | None:
    last = float(numbers.get("line", np.nan))
    return last if np.isfinite(last) else None


def moving_line(shown: Shown) -> Floats | None:
    """Of what a judge shows, the line at which the rule begins to fire, float64[n]; None where it does not move."""
    given = shown.get("line")
    return np.asarray(given, np.float64) if isinstance(given, np.ndarray) else None


class _Unknown:
    """Stands for nan in evidence, whatever the number's format."""

    def __format__(self, spec: str) -> str:
        return "unknown"


def _shown(rule: Rule, names: Sequence[str], key: str, last: Number) -> object:
    if key == "member":
        prefix = rule.needs[-1].partition("<")[0]
        return names[plain_needs(rule) + len(rule.wants) + int(last)].removeprefix(prefix)
    if isinstance(last, np.bool_):
        return "rising" if last else "not rising"
    return _Unknown() if isinstance(last, float) and np.isnan(last) else last


def plain_needs(rule: Rule) -> int:
    """How many of a rule's needs are single metrics and not a family."""
    return len(rule.needs) - ("<" in rule.needs[-1])


def members(rule: Rule, names: Iterable[str]) -> tuple[str, ...]:
    """Those of `names` that belong to the family which a rule needs; () when it needs none.

    What the catalog has an entry for by itself, as `format/entropy`, is no member.
    """
    if plain_needs(rule) == len(rule.needs):
        return ()
    pattern = _family(rule.needs[-1])
    return tuple(name for name in names if pattern.fullmatch(name) and not has_entry(name))


@cache
def _family(need: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"<\w+>", "[^/]+", re.escape(need)))


def align(rule: Rule, series: Sequence[tuple[Steps, Floats]]) -> tuple[Steps, list[Floats]]:
    """Every metric at the steps of the first, from the first step on at which all have a value.

    Args:
        rule: says how many of `series` are single metrics; the rest are members of a family.
        series: (steps, values) of each metric, steps strictly rising; but for the first without nan. One that the
            rule wants and the run lacks is empty.

    Returns:
        (steps [n], one array [n] per metric): its last value at or before, or with `rule.pooled` the mean of its
        values since the step before, where there is any. Before its first value a member of a family is 0, and a
        metric that the rule only wants is nan.
    """
    plain = plain_needs(rule)
    known_to_be_none = plain + len(rule.wants)
    steps, first = series[0]
    begins = [other[0] if other.size else np.iinfo(np.int64).max for other, _ in series[1:plain]]
    start = int(np.searchsorted(steps, max(begins, default=steps[0] if steps.size else 0)))
    aligned = [first[start:]]
    for i, (other_steps, other) in enumerate(series[1:], 1):
        index = np.searchsorted(other_steps, steps, side="right")
        last = np.concatenate(([np.nan if i < known_to_be_none else 0.0], other))[index]
        if rule.pooled and steps.size:
            bounds = np.concatenate(([0], index))
            # reduceat sums from each bound to the next and from the last to the end, which must not be empty.
            sums = np.add.reduceat(np.append(other, 0.0), bounds)[:-1]
            counts = np.diff(bounds)
            last = np.divide(sums, counts, out=last, where=counts > 0)
        aligned.append(last[start:])
    return steps[start:], aligned


def judge(rule: Rule, steps: Steps, values: Sequence[Floats]) -> tuple[Levels, Shown]:
    """Levels without hysteresis, and the numbers to show. During the warm-up it is level 0, and no line that moves."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        raw, shown = rule.judge(steps, *values)
    warm = steps - steps[:1] < rule.warmup
    if (line := moving_line(shown)) is not None:
        shown = shown | {"line": np.where(warm, np.nan, line)}
    return np.where(warm, np.int8(0), raw), shown


def settle(raw: Levels, context: Levels, before: int) -> Levels:
    """Levels with hysteresis: on after FIRE_AFTER in a row, off after CLEAR_AFTER in a row, else as before.

    Args:
        raw: levels as judged, shape [n]; IDLE counts as 0.
        context: the levels as judged of up to CLEAR_AFTER - 1 evaluations just before, all there are of them.
        before: the level with hysteresis of the evaluation just before; 0 when there is none.
    """
    joined = np.concatenate((context, raw))
    firing = _hysteresis(joined >= 1, context.size, before >= 1)
    # A critical level is a firing one as well, so it fires no sooner and clears no later than the rule.
    return firing.astype(np.int8) + _hysteresis(joined >= 2, context.size, before >= 2)


def _hysteresis(raw: Flags, skip: int, before: bool) -> Flags:
    if not before and not raw.any():  # the usual case, and most of the cost on a long run
        return raw[skip:]
    at = np.arange(raw.size)
    trues = at - np.maximum.accumulate(np.where(raw, -1, at))
    falses = at - np.maximum.accumulate(np.where(raw, at, -1))
    decided = np.where(trues >= FIRE_AFTER, 1, np.where(falses >= CLEAR_AFTER, 0, -1))[skip:]
    latest = np.maximum.accumulate(np.where(decided >= 0, at[: decided.size], -1))
    on: Flags = np.where(latest >= 0, decided[latest] == 1, before)
    return on
