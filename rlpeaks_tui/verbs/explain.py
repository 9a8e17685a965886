"""`rlpeaks explain`: a metric as the catalog tells it."""

from __future__ import annotations

import difflib
import sys
import textwrap

from ..stats.catalog import CATALOG, Metric, lookup

WIDTH = 96


def explain(name: str | None) -> int:
    """Print one metric, or the list of all; gives 2 for a name that the catalog does not know."""
    if name is None:
        width = max(len(metric.name) for metric in CATALOG)
        for panel in dict.fromkeys(metric.panel for metric in CATALOG):
            print(panel)
            for metric in CATALOG:
                if metric.panel == panel:
                    unit = f" ({metric.unit})" if metric.unit else ""
                    print(f"  {metric.name:<{width}}  {metric.title}{unit}")
        return 0
    found = lookup(name)
    if found is None:
        close = difflib.get_close_matches(name, [m.name for m in CATALOG], n=3, cutoff=0.4)
        hint = f"; close to it: {', '.join(close)}" if close else "; `rlpeaks explain` lists them"
        print(f"rlpeaks: no metric is called {name!r}{hint}", file=sys.stderr)
        return 2
    print(card(found))
    return 0


def card(metric: Metric) -> str:
    """One metric in full, as lines of plain text."""
    fields = (
        ("unit", metric.unit or "none"),
        ("formula", metric.formula),
        ("estimator", metric.estimator),
        ("source", metric.source),
        ("healthy", metric.healthy),
        ("misleads", metric.misleads),
    )
    lines = [f"{metric.name}  {metric.title}"]
    for label, text in fields:
        lines += textwrap.wrap(text, WIDTH, initial_indent=f"  {label:<10} ", subsequent_indent=" " * 13)
    return "\n".join(lines)
