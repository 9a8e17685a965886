"""Reward functions of the bundled tasks, in the form in which TRL calls them.

`correct` also tells the instruments, through TRL's own door (`log_extra`), which format each completion
used, which confidence it stated and whether it was right: what calibration and the format panel are made
of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trainers.tasks import TASKS, confidence_of, format_of

RewardFunction = Callable[..., list[float]]


def _text(completion: Any) -> str:
    return completion if isinstance(completion, str) else str(completion[-1].get("content", ""))


def correct(completions: list[Any], task: list[str], answer: list[str], log_extra: Any = None, **_: Any) -> list[float]:
    """1 for the right answer, 0 for a wrong or missing one."""
    texts = [_text(completion) for completion in completions]
    scores = [TASKS[t].score(text, a) for text, t, a in zip(texts, task, answer, strict=True)]
    if log_extra is not None:
        plain = [not TASKS[t].chat for t in task]
        log_extra("correct", list(scores))
        log_extra("format", [format_of(text) if p else "chat" for text, p in zip(texts, plain, strict=True)])
        log_extra("confidence", [confidence_of(text) if p else None for text, p in zip(texts, plain, strict=True)])
    return scores


def calibrated(completions: list[Any], task: list[str], answer: list[str], **_: Any) -> list[float]:
    """1 - (q - c)^2 for a stated confidence q and outcome c, 0 without one: a proper score (2507.16806, section 3)."""
    texts = [_text(completion) for completion in completions]
    found = []
    for text, name, right in zip(texts, task, answer, strict=True):
        stated = confidence_of(text)
        found.append(0.0 if stated is None else 1 - (stated - TASKS[name].score(text, right)) ** 2)
    return found


REWARDS: dict[str, RewardFunction] = {"correct": correct, "calibrated": calibrated}
