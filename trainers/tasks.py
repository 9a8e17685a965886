"""Task families of rising difficulty, small enough for a laptop and exact enough to verify.

The quick start has to show the whole course of reinforcement learning from verifiable rewards in a minute, on a CPU:
tasks that the base model solves sometimes, at different rates, so that groups have both right and wrong completions,
a curriculum has an order to choose, and pass@k has somewhere to go. Which problems are held out is a property of the
operands alone, never of a random state: no seed can leak a held-out problem into training.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

import numpy as np

from trainers.formats import (
    FORMATS,
    Format,
    answer_of,
    confidence_of,
    format_of,
    score,
    score_prose,
    write,
)

__all__ = [
    "FORMATS",
    "NOISE",
    "TASKS",
    "Format",
    "Problem",
    "Task",
    "answer_of",
    "confidence_of",
    "format_of",
    "is_heldout",
    "score",
    "score_prose",
    "solve",
]

Split = Literal["train", "heldout"]
Message = dict[str, str]

NOISE: dict[Format, float] = {"direct": 0.45, "program": 0.30, "column": 0.12}
"""Share of wrong answers in the pretraining text, by format: the reason why formats differ in accuracy."""

_HELDOUT_ONE_IN = 8


@dataclass(frozen=True, slots=True)
class Problem:
    """One question: the prompt as the trainer takes it (text, or chat messages) and the only right answer."""

    task: str
    prompt: str | list[Message]
    answer: str
    operands: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """A family of problems over small operands, with its verifier.

    `ranges` has one (lowest, highest + 1) pair for each operand.
    """

    name: str
    title: str
    operator: Literal["+", "*"]
    ranges: tuple[tuple[int, int], ...]
    score: Callable[[str, str], float] = score
    chat: bool = False

    def sample(self, rng: np.random.Generator, n: int, split: Split = "train") -> list[Problem]:
        """Draw n problems of one split, with replacement, each problem of the split alike."""
        low, high = np.array(self.ranges).T
        drawn: list[Problem] = []
        while len(drawn) < n:
            rows = rng.integers(low, high, size=(n, len(self.ranges))).tolist()
            drawn += [self.problem(tuple(row)) for row in rows if is_heldout(tuple(row)) == (split == "heldout")]
        return drawn[:n]

    def heldout(self, n: int) -> list[Problem]:
        """Return the first n different problems of the held-out split, in an order that never changes.

        Fewer come back where the family has fewer: the caller reports how many it used.
        """
        rng = np.random.default_rng(0)
        low, high = np.array(self.ranges).T
        found: dict[tuple[int, ...], Problem] = {}
        for _ in range(200 * n):
            operands = tuple(rng.integers(low, high).tolist())
            if is_heldout(operands):
                found.setdefault(operands, self.problem(operands))
            if len(found) == n:
                break
        return list(found.values())

    def problem(self, operands: tuple[int, ...]) -> Problem:
        """Put the question for these operands."""
        answer = sum(operands) if self.operator == "+" else math.prod(operands)
        prompt: str | list[Message]
        if self.chat:
            sum_in_words = f" {self.operator} ".join(map(str, operands))
            prompt = [{"role": "user", "content": f"What is {sum_in_words}? Answer with the number only."}]
        else:
            prompt = self.operator.join(map(str, operands)) + "="
        return Problem(self.name, prompt, str(answer), operands)


def is_heldout(operands: tuple[int, ...]) -> bool:
    """Say whether these operands are held out, in whatever order: 3+5 must not teach the answer to a held-out 5+3."""
    key = ",".join(map(str, sorted(operands))).encode()
    return blake2b(key, digest_size=1).digest()[0] % _HELDOUT_ONE_IN == 0


def solve(problem: Problem, fmt: Format, rng: np.random.Generator, noise: float) -> str:
    """Write a solution to pretrain on, end token included.

    With probability `noise` one digit of its answer is wrong. The stated confidence is a digit drawn around
    1 - noise, so that the base model's confidence follows the format and not the problem.
    """
    answer = problem.answer
    if rng.random() < noise:
        place = int(rng.integers(len(answer)))
        other = str((int(answer[place]) + int(rng.integers(1, 10))) % 10)
        answer = answer[:place] + other + answer[place + 1 :]
    confidence = int(np.clip(np.rint(rng.normal(10 * (1 - noise) - 0.5, 1.0)), 0, 9))
    operator: Literal["+", "*"] = TASKS[problem.task].operator
    return write(fmt, operator, problem.operands, answer, confidence)


_TWO_DIGITS, _DIGIT = (0, 100), (0, 10)

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("two_operands", "a + b, both below 100", "+", (_TWO_DIGITS,) * 2),
        Task("three_operands", "a + b + c, each below 100", "+", (_TWO_DIGITS,) * 3),
        Task("times_digit", "two digits times one digit", "*", ((10, 100), (2, 10))),
        Task(
            "chat_sums",
            "one-digit sums asked as chat, for a language model",
            "+",
            (_DIGIT,) * 2,
            score_prose,
            True,
        ),
    )
}
