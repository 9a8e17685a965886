"""The learning rate of a run: what it is now, what it began with, and one to try where it is to be doubted.

It is the one setting that a schedule changes from step to step without anybody saying so: what is journaled as a
setting is the value of that moment, which under a warm-up begins at 0.
"""

from __future__ import annotations

from collections.abc import Mapping

from . import present
from .bounds import RATE, bounds_of
from .follow import Snapshot

CUT = 10
"""What a learning rate that broke a run is divided by: half of it would break it again."""


def in_force(snapshot: Snapshot) -> float | None:
    """The learning rate at the newest step; None where the run has not said."""
    said = snapshot.settings[-1] if snapshot.settings else None
    value = _rate(said.v) if said is not None else None
    series = present.series(snapshot, RATE)
    if len(series) and (said is None or value is None or series.steps[-1] > said.step):
        return float(series.values[-1])
    return value


def configured(snapshot: Snapshot) -> float | None:
    """The learning rate of the run file, or else of the first settings; None where it is unknown, as in a warm-up."""
    section = snapshot.info.config.get(str(snapshot.info.config.get("trainer")))
    found = _rate(section) if isinstance(section, dict) else None
    if found is None and snapshot.settings:
        found = _rate(snapshot.settings[0].v)
    return found or None


def lower(now: float, first: float | None, part: float) -> float | None:
    """One to try instead of `now`: the `first` of the run where `now` is far above it, else a `part` of it; None where
    neither is of any use."""
    bounds = bounds_of(RATE)
    if first is not None and now > part * first and (bounds is None or bounds.hold(first)):
        return first
    return now / part if bounds is None or bounds.hold(now) else None


def _rate(values: Mapping[str, object]) -> float | None:
    value = values.get(RATE)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
