"""What a health rule is made of.

A judge is a vectorised function of whole columns, so that a long run is judged without a loop over its steps. What
it may look at is bounded and declared (`warmup`, `window`), so that a run that still grows can be judged from its
end alone, with the very same function and the very same result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Steps = NDArray[np.int64]
Levels = NDArray[np.int8]
Flags = NDArray[np.bool_]
Severity = Literal["warn", "critical"]
Shown = dict[str, NDArray[np.generic] | float]

IDLE = -1
"""A judge's level where the question does not arise; `Rule.idle` says why."""


class Rule(Struct, frozen=True):
    """One rule.

    Attributes:
        id: stable name, for records and settings.
        title: the verdict in words, when it fires.
        severity: the gravest that it can become.
        needs: metrics; "a|b" means a, or b where a has no value; "format/<name>", which may only come last, means
            every metric of that form without an entry of its own, 0 where it has no value. The first sets the
            pace: one evaluation for each of its values, from the first on at which all others have one.
        window: evaluations, the present one included, that its level depends on.
        warmup: steps from the first evaluation on during which the rule is unknown. Levels may depend on them
            ever after, as on what is normal for this run.
        source: where the threshold comes from.
        strength: "published" (measured in a paper), "folklore" (common practice) or "ours".
        remedy: a steering command; words in capitals are for the person to fill in.
        evidence: what is measured, and where it would fire, with the numbers that `judge` shows. A number called
            `member` is shown as the name of that member of the family.
        fires: the same where it fires, with the condition that the numbers meet; the number called `case` says which
            of the texts, the first where there is none. () where `evidence` serves for both.
        judge: (steps [n], one array [n] per metric, those it wants after those it needs, a family last) ->
            (levels [n]: 0, 1 warn, 2 critical, IDLE; numbers to show). Entry t must depend on the last `window` entries
            up to t and on those of the warm-up only. A number called `line` is the value of the first metric at which
            the rule begins to fire.
        least: evaluations that it takes to say anything.
        wants: metrics as in `needs` that it can do without, nan where they have no value.
        weights: the rule applies only when weights are of this dtype.
        finite: values of the first metric that are not finite are passed over; otherwise the judge sees them.
        pooled: other metrics enter with the mean of their values since the evaluation before, not with the last.
        absence: the state when the first metric is missing and the run says why. "n/a" where the only reason is
            that there is nothing to measure.
        idle: as `evidence`, where the judge finds that the question does not arise.
        cause: other findings follow from this one, so that it is told before those that are as grave.
    """

    id: str
    title: str
    severity: Severity
    needs: tuple[str, ...]
    window: int
    warmup: int
    source: str
    strength: Literal["published", "folklore", "ours"]
    remedy: str
    evidence: str
    judge: Callable[..., tuple[Levels, Shown]]
    least: int = 1
    wants: tuple[str, ...] = ()
    weights: str | None = None
    finite: bool = True
    pooled: bool = False
    absence: Literal["unknown", "n/a"] = "unknown"
    idle: str = ""
    fires: tuple[str, ...] = ()
    cause: bool = False
