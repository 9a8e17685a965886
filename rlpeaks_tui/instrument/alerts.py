"""Health rules inside the training process, so that an alert is in the journal whether or not anybody
watches.

The verdict at a step is a function of the rows up to that step alone, so a viewer that judges the same rows
later comes to the same answer.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..run.branches import Node, along
from ..run.columns import ColumnStore
from ..run.entries import Alert, Metrics, Probe
from ..stats.evaluator import Evaluator


class Alerts:
    """Judges rows as they come, and tells what begins and what ends."""

    def __init__(self, dtype: str) -> None:
        self._store = ColumnStore()
        self._rows: list[Metrics | Probe] = []
        self._evaluator = Evaluator()
        self._dtype = dtype
        self._raised: set[str] = set()
        self._nodes: Sequence[Node] = ()

    def take(self, row: Metrics | Probe) -> None:
        """Note a row of the journal, to be judged with the next ones."""
        self._rows.append(row)

    def went_back(self, nodes: Sequence[Node]) -> None:
        """The run goes on from a checkpoint; `nodes` are its branches now."""
        if len(nodes) > len(self._nodes):
            # What came before was of another branch, also of metrics that are measured seldom.
            self._gather()
            self._store.branch()
        self._nodes = nodes

    def judge(self, step: int) -> list[Alert]:
        """Alerts that begin or end with the rows taken since the last call."""
        self._gather()
        told = []
        columns = along(self._store.columns(), self._nodes)
        for finding in self._evaluator.evaluate(columns, step, dtype=self._dtype, way=len(self._nodes)):
            rule, fires = finding.rule, finding.state == "firing"
            if fires == (rule.id in self._raised):
                continue
            (self._raised.add if fires else self._raised.discard)(rule.id)
            told.append(
                Alert(
                    t=time.time(),
                    rule=rule.id,
                    on=fires,
                    step=step,
                    severity="critical" if finding.severity == "critical" else "warn",
                    text=f"{rule.title}: {finding.evidence}" if fires else rule.title,
                    remedy=finding.remedy,
                )
            )
        return told

    def _gather(self) -> None:
        self._store.extend(self._rows)
        self._rows.clear()
