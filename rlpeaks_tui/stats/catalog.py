"""The one catalog of metrics: what each is called, how it is written, and how it misleads.

Every screen, `rlpeaks explain` and the docs read it here, so that a metric is described once. No numpy: quick
commands use it.
"""

from __future__ import annotations

import math
import re
from functools import cache

from msgspec.structs import replace

from rlpeaks_tui.stats.metric import Metric
from rlpeaks_tui.stats.metrics_drift import DRIFT
from rlpeaks_tui.stats.metrics_eval import EVAL
from rlpeaks_tui.stats.metrics_probes import PROBES
from rlpeaks_tui.stats.metrics_signal import SIGNAL
from rlpeaks_tui.stats.metrics_training import TRAINING
from rlpeaks_tui.stats.metrics_update import UPDATE

__all__ = ["CATALOG", "Metric", "called", "format_value", "has_entry", "lookup"]

CATALOG: tuple[Metric, ...] = (*TRAINING, *EVAL, *PROBES, *UPDATE, *SIGNAL, *DRIFT)
"""Every metric and family, training first; names are unique."""

KINDS_OF_KL = {
    "kl/base": "KL exact",
    "kl/base_k1": "KL k1",
    "kl/base_k3": "KL k3",
    "kl/base_forward": "KL fwd",
    "kl/ref": "KL ref",
    "kl": "KL loss",
}
"""Short names: the estimates of the drift differ, so one is never shown without which it is."""

MISSING = "-"
"""What stands for a value that is not there."""

_EXACT = {metric.name: metric for metric in CATALOG if "<" not in metric.name}
_PATTERNS = [
    (re.compile(re.sub(r"<\w+>", "(.+)", re.escape(metric.name))), metric) for metric in CATALOG if "<" in metric.name
]
_COUNTS = {"count", "tokens"}


def has_entry(name: str) -> bool:
    """Whether the catalog has an entry of exactly this name: `format/entropy` is no format, whatever its family."""
    return name in _EXACT


def called(name: str) -> str:
    """A metric where there is room for a word or two."""
    return KINDS_OF_KL.get(name, name)


@cache
def lookup(name: str) -> Metric | None:
    """The entry of a journaled metric, or None when the catalog does not know it.

    A member of a family comes back under its own name and with its own title: `rewards/exact/mean` is
    "Reward by function: exact". A leading `eval_`, which TRL puts before what it measures on held-out prompts,
    is understood.
    """
    if metric := _EXACT.get(name):
        return metric
    for pattern, metric in _PATTERNS:
        if name == metric.name:
            return metric
        if match := pattern.fullmatch(name):
            of_k = metric.title.endswith("pass@k")
            member = f"{metric.title[:-1]}{match[1]}" if of_k else f"{metric.title}: {match[1]}"
            return replace(metric, name=name, title=member)
    if name.startswith("eval_") and (metric := lookup(name.removeprefix("eval_"))):
        return replace(metric, name=name, title=f"{metric.title}, held out")
    return None


def format_value(metric: Metric | None, value: float | None) -> str:
    """A value as a person reads it, in a width that does not jump from step to step.

    A fraction has `digits` decimals; any other number `digits` significant digits, with thousands separated,
    and an exponent below 0.001 and from a million on. Seconds, bytes, percent and large counts carry their
    unit, since it scales with the value; every other unit is left to the head of the panel (`metric.unit`).
    None and nan are "-". A metric of None is written with three significant digits.
    """
    if value is None or math.isnan(value):
        return MISSING
    if abs(value) > 1e300:  # infinite, or about to be once scaled
        return "inf" if value > 0 else "-inf"
    if metric is None:
        return _significant(value, 3)
    match metric.unit:
        case "fraction":
            return f"{value:.{metric.digits}f}"
        case "%":
            return f"{_significant(100 * value, metric.digits)} %"
        case "s":
            return f"{_significant(value, metric.digits)} s"
        case "bytes":
            return _scaled(value, ("B", "kB", "MB", "GB", "TB"), metric.digits)
        case unit if unit in _COUNTS and abs(value) >= 999_999.5:
            return _scaled(value / 1e6, ("M", "G", "T"), metric.digits)
        case unit if unit in _COUNTS and float(value).is_integer():
            return f"{value:,.0f}"
    return _significant(value, metric.digits)


def _significant(value: float, digits: int) -> str:
    if value == 0:
        return f"{0:.{digits - 1}f}"
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    power = int(exponent)  # taken after rounding, so that 9.996 is "10.0" and not "10.00"
    if power < -3 or power >= 6:
        return f"{mantissa}e{power}"
    return f"{value:,.{max(0, digits - 1 - power)}f}"


def _scaled(value: float, units: tuple[str, ...], digits: int) -> str:
    power = int(f"{abs(value):.{digits - 1}e}".partition("e")[2])
    index = min(max(power // 3, 0), len(units) - 1)
    return f"{_significant(value / 1000**index, digits)} {units[index]}"
