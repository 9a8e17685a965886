"""The health rules' findings in the form that the screen shows: worst first, each with the panel to look at."""

from __future__ import annotations

from rlpeaks_tui.run import present
from rlpeaks_tui.run.branches import along
from rlpeaks_tui.run.follow import Snapshot
from rlpeaks_tui.run.requests import VERBS
from rlpeaks_tui.stats.catalog import lookup
from rlpeaks_tui.stats.evaluator import Evaluator
from rlpeaks_tui.stats.health import Finding as Judged

from .panels import BY_ID
from .scene import Finding, Health

_PANEL = {"format": "formats", "completions": "completion", "optimizer": "metrics"}
_BY_PROMPT = ("eval/kept", "eval/gain_high")
"""What these say of all held-out prompts together is seen prompt by prompt."""


def check(evaluator: Evaluator, snapshot: Snapshot, step: int) -> Health:
    """What the rules say at `step`; `evaluator` belongs to the run and remembers what it has judged."""
    tree = present.nodes(snapshot)
    columns = along(snapshot.columns, tree)
    judged = evaluator.evaluate(columns, step, dtype=snapshot.info.dtype or None, way=len(tree))
    firing = [finding for finding in judged if finding.state == "firing"]
    firing.sort(key=lambda found: (found.severity != "critical", not found.rule.cause, found.since or 0))
    return Health(
        findings=tuple(_shown(finding) for finding in firing),
        passed=sum(finding.state == "ok" for finding in judged),
        not_applying=sum(finding.state == "n/a" for finding in judged),
        unknown=tuple((finding.rule.id, finding.evidence) for finding in judged if finding.state == "unknown"),
        judged=judged,
    )


def _shown(finding: Judged) -> Finding:
    name = finding.rule.needs[0].split("|")[0]
    metric = lookup(name)
    panel = "prompts" if name in _BY_PROMPT else _PANEL.get(metric.panel, metric.panel) if metric else ""
    return Finding(
        rule=finding.rule.id,
        text=finding.rule.title,
        severity=finding.severity or "warn",
        since=finding.since,
        evidence=finding.evidence,
        # Only what the training process answers is offered.
        remedy=finding.remedy if finding.remedy.split(" ")[0] in VERBS else "",
        panel=panel if panel in BY_ID else "metrics",
    )
