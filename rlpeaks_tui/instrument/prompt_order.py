"""The order of prompts, kept so that a run that goes back sees the same ones again.

A data loader only runs forward. What it has delivered is remembered for a while; when the run goes back,
that is delivered again first, and what the loader brings meanwhile waits its turn. So the steps after a
checkpoint have the prompts that they had, and no prompt is lost.
"""

from __future__ import annotations

from collections import deque
from typing import Any

REMEMBERED = 5000
"""Generations whose prompts are remembered."""

Batch = list[dict[str, Any]]


class PromptOrder:
    """Batches of prompts in the order in which the training is to see them."""

    def __init__(self) -> None:
        self._delivered: deque[tuple[int, Batch]] = deque(maxlen=REMEMBERED)
        self._waiting: deque[Batch] = deque()
        self._forgotten_before = 0
        """Of generations before this micro step the prompts may be forgotten."""

    def next(self, micro_step: int, fresh: Batch) -> Batch:
        """The batch for the generation at `micro_step`, when the loader has just brought `fresh`."""
        self._waiting.append(fresh)
        batch = self._waiting.popleft()
        if len(self._delivered) == REMEMBERED:
            self._forgotten_before = max(self._forgotten_before, self._delivered[0][0] + 1)
        self._delivered.append((micro_step, batch))
        return batch

    def go_back(self, micro_step: int) -> bool:
        """Deliver again what was delivered from `micro_step` on; False where that is no longer remembered whole."""
        again = [batch for at, batch in self._delivered if at >= micro_step]
        while self._delivered and self._delivered[-1][0] >= micro_step:
            self._delivered.pop()
        self._waiting.extendleft(reversed(again))
        return micro_step >= self._forgotten_before
