"""The catalog of metrics and the table of health rules as pages to read, from the same entries as every screen.

`docs/metrics.md` and `docs/health-rules.md` are what these give, so that the pages cannot fall behind the program.
"""

from __future__ import annotations

import re

from ..stats.catalog import CATALOG, Metric

_PLACEHOLDER = re.compile(r"\{(\w+)[^}]*\}")


def metrics_page() -> str:
    """Every metric of the catalog, by panel, in Markdown."""
    parts = [
        "# Metrics\n\n"
        f"The {len(CATALOG)} metrics and families of the catalog; `rlpeaks explain NAME` tells the same in a terminal, "
        "and this page is what `rlpeaks explain --markdown` prints. `<k>`, `<task>`, `<name>` and the like stand for "
        "any text.\n"
    ]
    for panel in dict.fromkeys(metric.panel for metric in CATALOG):
        parts.append(f"## {panel.capitalize()}\n")
        parts += [_metric(metric) for metric in CATALOG if metric.panel == panel]
    return "\n".join(parts)


def rules_page() -> str:
    """Every health rule, in the order in which findings are given, in Markdown."""
    from ..stats.judging import CLEAR_AFTER, FIRE_AFTER
    from ..stats.rules import RULES

    parts = [
        "# Health rules\n\n"
        f"The {len(RULES)} rules that are judged inside the training process and by every viewer; this page is what "
        f"`rlpeaks explain --rules` prints. A rule fires after {FIRE_AFTER} evaluations in a row and clears after "
        f"{CLEAR_AFTER}. Its evidence is of the last evaluation that met its condition, with the newest beside it "
        "where that no longer does. It is unknown, and never in order, while a metric that it reads is missing or "
        "stale or while it warms up. A threshold is published (measured in a paper), folklore (common practice) or "
        "ours. Windows are in evaluations: one for each value of the first metric that the rule reads. Words in "
        "capitals in a remedy are for you to fill in.\n"
    ]
    for rule in RULES:
        fields = [
            ("gravest", rule.severity),
            ("reads", _names(rule.needs)),
            ("reads where there is", _names(rule.wants)),
            ("says", _shown(rule.evidence)),
            ("where it fires", "; or: ".join(_shown(text) for text in rule.fires)),
            ("threshold", f"{rule.strength}: {_plain(rule.source)}"),
            ("window", f"{rule.window} evaluation{'s' * (rule.window != 1)}, after {rule.warmup} steps of warming up"),
            ("least", f"{rule.least} evaluations" if rule.least > 1 else ""),
            ("only with", f"weights in {rule.weights}" if rule.weights else ""),
            ("does not apply", _shown(rule.idle)),
            ("remedy", f"`{rule.remedy}`"),
        ]
        parts.append(f"## {_plain(rule.title)}\n\n`{rule.id}`\n\n{_bullets(fields)}")
    return "\n".join(parts)


def _metric(metric: Metric) -> str:
    fields = [
        ("unit", metric.unit),
        ("formula", f"`{metric.formula}`"),
        ("estimator", _plain(metric.estimator)),
        ("source", _plain(metric.source)),
        ("healthy", _plain(metric.healthy)),
        ("misleads", _plain(metric.misleads)),
    ]
    return f"### {_plain(metric.title)}\n\n`{metric.name}`\n\n{_bullets(fields)}"


def _names(needs: tuple[str, ...]) -> str:
    return ", ".join(" or ".join(f"`{name}`" for name in need.split("|")) for need in needs)


def _shown(text: str) -> str:
    """A text with the names of the numbers that stand in it."""
    return _PLACEHOLDER.sub(r"`\1`", _plain(text))


def _bullets(fields: list[tuple[str, str]]) -> str:
    return "".join(f"- {label}: {text}\n" for label, text in fields if text)


def _plain(text: str) -> str:
    """Text that Markdown leaves as it is."""
    return text.replace("*", r"\*").replace("<", r"\<")
