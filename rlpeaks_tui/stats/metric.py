"""What there is to say about a metric, so that no screen shows a number without it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Metric(Struct, frozen=True, kw_only=True):
    """One metric, or a family of them.

    Attributes:
        name: as journaled; `<function>`, `<task>`, `<name>` or `<k>` stands for any text.
        title: a few words for the head of a panel.
        unit: "nats/token", "fraction" (in [0, 1]), "%" (a fraction, shown in percent), "tokens", "s", "bytes",
            "count", "degrees", or "" for a number without one.
        panel: reward, entropy, kl, calibration, sparsity, format, peaks, completions, optimizer or cost.
        formula: what is computed, in ASCII.
        estimator: from what and when, with how much it can be trusted.
        source: where the definition comes from, with its arXiv id where there is one.
        healthy: what a run in order looks like.
        misleads: how the number deceives.
        digits: significant digits shown; decimals for a fraction.
        better: the direction that is better by itself, or None where neither is.
        bounds: least and greatest possible value, None where there is none.
    """

    name: str
    title: str
    unit: str
    panel: str
    formula: str
    estimator: str
    source: str
    healthy: str
    misleads: str
    digits: int = 3
    better: Literal["higher", "lower"] | None = None
    bounds: tuple[float | None, float | None] = (None, None)
