"""The table of health rules.

Thresholds are relative to the run's own start where they can be, and each says how strong its source is; most of
the field's numbers are folklore.
"""

from __future__ import annotations

from rlpeaks_tui.stats.rule import Rule
from rlpeaks_tui.stats.rules_policy import POLICY
from rlpeaks_tui.stats.rules_training import TRAINING

__all__ = ["RULES", "Rule"]

RULES: tuple[Rule, ...] = (*TRAINING, *POLICY)
"""Every rule, in the order in which findings are given."""
