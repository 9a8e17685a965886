"""What judges are made of. Entry t of each result depends on entries up to t of its arguments, and on few of them.

Each function says how far back it looks, from which a rule's `window` is made up. Sums are taken in an order that
depends on the distance from t alone, never on where an array begins, so that the end of a column judged by itself
gives the same bits as the whole column.
"""

from __future__ import annotations

import numpy as np

from rlpeaks_tui.stats.rule import Flags, Levels, Steps
from rlpeaks_tui.stats.summaries import Floats

RENEWED = 10
"""Evaluations between two renewals of a running median."""

EARLY = 5
"""Steps that where a run began is taken from."""


def mean(x: Floats, window: int) -> Floats:
    """Mean of the last `window` values (of fewer at the start), nan passed over."""
    present = ~np.isnan(x)
    if present.all():
        return total(x, window) / np.minimum(np.arange(1, x.size + 1), window)
    return total(np.where(present, x, 0.0), window) / total(present.astype(np.float64), window)


def total(x: Floats, window: int) -> Floats:
    """Sums of the last `window` values, by doubling. Differences of a running total would be cheaper, but after one
    huge value (k3 can have them) would be off for the rest of the run."""
    result, covered = np.zeros_like(x), 0
    block, size = x, 1  # block[t] is the sum of the last `size` values
    while size <= window:
        if window & size:
            result[covered:] += block[: max(x.size - covered, 0)]
            covered += size
        block = block + np.concatenate((np.zeros(min(size, x.size)), block[: max(x.size - size, 0)]))
        size *= 2
    return result


def ago(x: Floats, lag: int) -> Floats:
    """The value `lag` evaluations earlier, nan where there is none."""
    return np.concatenate((np.full(min(lag, x.size), np.nan), x[: max(x.size - lag, 0)]))


def rising(x: Floats, window: int, margin: float = 1.0) -> Flags:
    """The mean of the last window exceeds that of the window before by more than `margin` standard errors.

    Looks back on 3 * window values.
    """
    level = mean(x, window)
    spread = np.maximum(mean(np.square(x - level), window), 0.0)
    error = np.sqrt((spread + ago(spread, window)) / window)
    return np.greater(level - ago(level, window), margin * error)


def median_before(x: Floats, window: int) -> Floats:
    """Median of the `window` values before t, renewed only every tenth evaluation to stay cheap on long runs.

    Looks back on window + RENEWED values. The evaluations of renewal are counted from the array's beginning.
    """
    anchors = np.arange(0, x.size, RENEWED)
    medians = np.full(anchors.size, np.nan)
    for i, anchor in enumerate(anchors[: window // RENEWED]):
        if anchor:
            medians[i] = np.median(x[:anchor])
    if x.size > window:
        rows = np.lib.stride_tricks.sliding_window_view(x, window)
        full = anchors >= window
        medians[full] = np.median(rows[anchors[full] - window], axis=1)
    return np.repeat(medians, RENEWED)[: x.size]


def concordance(x: Floats, window: int) -> Floats:
    """Kendall's S over the last `window` values: pairs in rising order less pairs in falling order.

    nan where there are fewer values. For six values S >= 11 has probability 0.028 without a trend.
    """
    lagged = [ago(x, lag) for lag in range(window - 1, -1, -1)]  # oldest first
    result = np.zeros_like(x)
    for i, earlier in enumerate(lagged):
        for later in lagged[i + 1 :]:
            result += np.sign(later - earlier)
    return result


def last_reset(steps: Steps, reference: Floats, base: Floats) -> Steps:
    """Step of the last evaluation at which KL to the reference was seen to have fallen and KL to the base not; else 0.

    A fall is to less than 0.3 of the mean of ten evaluations, in the mean of three, since single values of either are
    noisy. It looks back on 14 values; a reset further back than a rule's window need not be found.
    """
    fell = mean(reference, 3) < 0.3 * ago(mean(reference, 10), 3)
    stayed = mean(base, 3) > 0.7 * ago(mean(base, 10), 3)
    seen = fell & stayed
    first = seen & ~np.concatenate((np.zeros(min(1, seen.size), np.bool_), seen[:-1]))
    return np.maximum.accumulate(np.where(first, steps, 0))


def start(steps: Steps, x: Floats, span: int = 20) -> float:
    """Median over the first `span` steps. Every rule that uses it warms up for as long."""
    return float(np.median(x[steps - steps[0] <= span])) if x.size else np.nan


def early(steps: Steps, x: Floats) -> float:
    """The mean of the first EARLY steps; nan where there is none. Of shares those of all parts still add up to 1."""
    first = x[steps - steps[:1] < EARLY]
    return float(first.mean()) if first.size else np.nan


def began(steps: Steps, x: Floats) -> float:
    """Where a metric that is never negative began: the mean of its first EARLY steps, of those of its values there
    that lie within a factor of two of the very first. nan where there is none.

    Only the first value is measured before any update, so that no disaster can be in it; it is noisy, and the others
    help as long as they are of its kind. Every rule that uses it warms up for as long.
    """
    early = x[steps - steps[:1] < EARLY]
    first = early[:1]
    alike = early[np.maximum(early, first) <= 2 * np.minimum(early, first)]
    return float(alike.mean()) if alike.size else np.nan


def best(steps: Steps, x: Floats) -> float:
    """The highest value of the first EARLY steps, which a run that is broken by them cannot pull down."""
    return float(x[steps - steps[0] < EARLY].max()) if x.size else np.nan


def levels(warn: Flags, critical: Flags | None = None) -> Levels:
    """1 where `warn`, 2 where `critical`, else 0."""
    result = warn.astype(np.int8)
    if critical is not None:
        result[critical] = 2
    return result
