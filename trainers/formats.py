"""How a solution is written down, and how it is read again.

A base model that knows several ways to write the same solution is what makes format collapse visible (Echo
Chamber, arXiv 2504.07912): reinforcement learning then has something to choose between. So every solution of the
arithmetic tasks is in one of three formats, and its first character says which:

    direct   `D91?8`                         the answer at once
    program  `Padd(34,57):91?7`              a call, then its value
    column   `C4+7=11,3+5+1=9:91?9`          worked from the right, the carry written down

After the answer comes `?` and one digit of stated confidence, then the end token `$`. Reading is total: any text
has a format (perhaps "other"), and an answer or None, because completions are whatever a policy cares to produce.
"""

from __future__ import annotations

import re
from typing import Literal

Format = Literal["direct", "program", "column"]

FORMATS: tuple[Format, ...] = ("direct", "program", "column")
END = "$"
ALPHABET = "0123456789+*=,:?()DPCadlmu" + END
"""Every character that a prompt or a solution can hold."""

_OPENING = re.compile(r"(?:(D)[0-9]|(P)[a-z]|(C)[0-9])")
_SOLUTION = re.compile(r"(?:D|P[^:?]+:|C[^:?]+:)(?P<answer>[0-9]{1,9})(?:\?(?P<confidence>[0-9]?))?")

_NUMBER = re.compile(r"(?<![0-9])[-\u2212]?(?:[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?|\.[0-9]+)")
_STATED = re.compile(
    r"(?i:=|\b(?:is|equals|answer|boxed))[\s:`$\\({\[\"']*"  # what announces a result
    rf"((?>{_NUMBER.pattern}))"
    r"(?![ \t]*[-+*/x\u00d7][ \t]*[0-9])"  # what would make it the start of another sum
)


def format_of(completion: str) -> Literal["direct", "program", "column", "other"]:
    """Name the format by how the completion opens: a solution cut short has chosen its format all the same."""
    opening = _OPENING.match(completion)
    return "other" if opening is None else FORMATS[(opening.lastindex or 0) - 1]


def answer_of(completion: str) -> str | None:
    """Return the digits of the answer, or None where the text up to the end token is not one whole solution.

    The stated confidence may be missing; nothing may follow it, so that a policy cannot offer two answers.
    """
    solution = _SOLUTION.fullmatch(completion.partition(END)[0])
    return None if solution is None else solution["answer"]


def confidence_of(completion: str) -> float | None:
    """Return the stated probability of being right, or None where none is stated.

    The digit d stands for (d + 0.5) / 10, the middle of its tenth: a value on the edge between two calibration
    bins would be counted in one by some implementations and in the other by the rest.
    """
    solution = _SOLUTION.fullmatch(completion.partition(END)[0])
    if solution is None or not solution["confidence"]:
        return None
    return (int(solution["confidence"]) + 0.5) / 10


def score(completion: str, answer: str) -> float:
    """Verify a solution of an arithmetic task: 1.0 where its answer is `answer` digit for digit, else 0.0."""
    return float(answer_of(completion) == answer)


def score_prose(completion: str, answer: str) -> float:
    """Verify a free-text reply to a question whose answer is one whole number: 1.0 where the reply commits to it.

    The number taken is the last one stated as a result ("= 7", "the answer is **7**", `\\boxed{7}`); where none is, the
    only number in the text. So listing many numbers does not pay, nor does repeating the question, which holds its
    own answer whenever the other operand is 0.
    """
    text = completion.replace("**", "")
    stated = _STATED.findall(text)
    numbers = stated[-1:] or _NUMBER.findall(text)
    return float(len(numbers) == 1 and numbers[0].replace(",", "") == answer)


def write(fmt: Format, operator: str, operands: tuple[int, ...], answer: str, confidence: int) -> str:
    """Write the solution of `operands` joined by `operator` ("+", or "*" by one digit) that ends in `answer`.

    The working is always right; `answer` is taken as given, so that label noise is a wrong answer below it.
    `confidence` is a digit.
    """
    match fmt:
        case "direct":
            work = "D"
        case "program":
            name = "add" if operator == "+" else "mul"
            work = f"P{name}({','.join(map(str, operands))}):"
        case "column":
            work = f"C{_columns(operator, operands)}:"
    return f"{work}{answer}?{confidence}{END}"


def _columns(operator: str, operands: tuple[int, ...]) -> str:
    if operator == "+":
        ones, tens = (operator.join(str(n // place % 10) for n in operands) for place in (1, 10))
        low, high = sum(n % 10 for n in operands), sum(n // 10 for n in operands)
    else:
        number, digit = operands
        ones, tens = f"{number % 10}*{digit}", f"{number // 10}*{digit}"
        low, high = number % 10 * digit, number // 10 * digit
    carry = low // 10
    return f"{ones}={low},{tens}+{carry}={high + carry}"
