"""The tasks and the reading of solutions, against Python's own arithmetic."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.formats import ALPHABET, FORMATS, Format, write
from trainers.tasks import (
    NOISE,
    TASKS,
    Problem,
    Task,
    answer_of,
    confidence_of,
    format_of,
    is_heldout,
    score,
    score_prose,
    solve,
)

ARITHMETIC = [task for task in TASKS.values() if not task.chat]
TEXTS = st.text() | st.text(alphabet=ALPHABET, max_size=40)

tasks = pytest.mark.parametrize("task", ARITHMETIC, ids=lambda task: task.name)
formats = pytest.mark.parametrize("fmt", FORMATS)


def problems(task: Task) -> st.SearchStrategy[Problem]:
    return st.tuples(*(st.integers(low, high - 1) for low, high in task.ranges)).map(task.problem)


def any_problem() -> st.SearchStrategy[Problem]:
    return st.sampled_from(ARITHMETIC).flatmap(problems)


def by_python(expression: str) -> int:
    return int(eval(expression, {"add": lambda *n: sum(n), "mul": lambda a, b: a * b}))


def prompt_of(problem: Problem) -> str:
    assert isinstance(problem.prompt, str)
    return problem.prompt


@given(any_problem())
def test_the_answer_is_what_python_makes_of_the_prompt(problem: Problem) -> None:
    assert problem.answer == str(by_python(prompt_of(problem).removesuffix("=")))


@given(any_problem(), st.sampled_from(FORMATS), st.integers(0, 2**32))
def test_a_solution_without_noise_is_right_reads_back_and_fits(problem: Problem, fmt: Format, seed: int) -> None:
    text = solve(problem, fmt, np.random.default_rng(seed), noise=0.0)
    assert set(text) <= set(ALPHABET)
    assert len(text) <= 32
    for read in (text, text.removesuffix("$")):
        assert format_of(read) == fmt
        assert answer_of(read) == str(by_python(prompt_of(problem).removesuffix("=")))
        assert score(read, problem.answer) == 1.0
        assert confidence_of(read) is not None


@given(any_problem())
def test_the_working_of_a_solution_is_true_arithmetic(problem: Problem) -> None:
    operator = TASKS[problem.task].operator
    call = write("program", operator, problem.operands, problem.answer, 7)[1:].partition(":")[0]
    assert str(by_python(call)) == problem.answer

    column = write("column", operator, problem.operands, problem.answer, 7)[1:].partition(":")[0]
    (_, low), (_, high) = equations = [equation.split("=") for equation in column.split(",")]
    for left, right in equations:
        assert by_python(left) == int(right)
    assert 10 * int(high) + int(low) % 10 == int(problem.answer)


@formats
def test_label_noise_is_as_frequent_as_said_and_always_wrong(fmt: Format) -> None:
    rng = np.random.default_rng(7)
    n, noise = 2000, NOISE[fmt]
    drawn = TASKS["two_operands"].sample(rng, n)
    right = np.mean([score(solve(problem, fmt, rng, noise), problem.answer) for problem in drawn])
    assert abs((1 - right) - noise) < 4 * np.sqrt(noise * (1 - noise) / n)
    assert not any(score(solve(problem, fmt, rng, 1.0), problem.answer) for problem in drawn)


@formats
def test_stated_confidence_is_drawn_around_how_often_the_format_is_right(fmt: Format) -> None:
    rng = np.random.default_rng(7)
    drawn = TASKS["three_operands"].sample(rng, 2000)
    stated = [confidence_of(solve(problem, fmt, rng, NOISE[fmt])) for problem in drawn]
    assert np.mean([c for c in stated if c is not None]) == pytest.approx(1 - NOISE[fmt], abs=0.02)
    assert len(Counter(stated)) >= 3


@given(TEXTS, st.integers(0, 999).map(str))
def test_reading_is_total(text: str, answer: str) -> None:
    assert format_of(text) in (*FORMATS, "other")
    confidence = confidence_of(text)
    assert confidence is None or 0 < confidence < 1
    found = answer_of(text)
    assert found is None or found.isdecimal()
    assert score(text, answer) == (1.0 if found == answer else 0.0)
    assert score_prose(text, answer) in (0.0, 1.0)


@given(any_problem(), st.sampled_from(FORMATS), st.integers(0, 99999).map(str))
def test_any_other_answer_below_the_same_working_is_wrong(problem: Problem, fmt: Format, other: str) -> None:
    text = write(fmt, TASKS[problem.task].operator, problem.operands, other, 5)
    assert score(text, problem.answer) == float(int(other) == int(problem.answer))


@pytest.mark.parametrize(
    ("text", "fmt", "answer", "confidence"),
    [
        ("D91?8$", "direct", "91", 0.85),
        ("D91?0", "direct", "91", 0.05),
        ("D91", "direct", "91", None),
        ("D91?", "direct", "91", None),
        ("D91?88", "direct", None, None),
        ("D91?8$D17?9", "direct", "91", 0.85),
        ("D91?8D17?9", "direct", None, None),
        ("D9,91?8", "direct", None, None),
        ("D\u0669\u0661?8", "other", None, None),
        ("Padd(34,57):91?7$", "program", "91", 0.75),
        ("Padd(34,57)", "program", None, None),
        ("Padd(34,57):91:17?7", "program", None, None),
        ("C4+7=11,3+5+1=9:91?9$", "column", "91", 0.95),
        ("C4+7=11,3+5", "column", None, None),
        ("91?8", "other", None, None),
        ("", "other", None, None),
    ],
)
def test_parsing_of(text: str, fmt: str, answer: str | None, confidence: float | None) -> None:
    assert (format_of(text), answer_of(text), confidence_of(text)) == (fmt, answer, confidence)


@tasks
def test_no_training_problem_is_held_out_whatever_the_seed(task: Task) -> None:
    training = {tuple(sorted(p.operands)) for p in task.sample(np.random.default_rng(1), 3000)}
    heldout = {tuple(sorted(p.operands)) for p in task.sample(np.random.default_rng(2), 3000, split="heldout")}
    fixed = {tuple(sorted(p.operands)) for p in task.heldout(128)}
    assert not training & (heldout | fixed)
    if len(task.ranges) == 2:
        assert fixed <= heldout


@tasks
def test_one_in_eight_is_held_out_in_whatever_order(task: Task) -> None:
    rng = np.random.default_rng(3)
    low, high = np.array(task.ranges).T
    drawn = [tuple(row) for row in rng.integers(low, high, size=(4000, len(low))).tolist()]
    assert 0.09 < np.mean([is_heldout(operands) for operands in drawn]) < 0.16
    for operands in drawn[:200]:
        assert len({is_heldout(order) for order in itertools.permutations(operands)}) == 1


def test_the_held_out_set_never_changes() -> None:
    first = {task.name: [p.prompt for p in task.heldout(3)] for task in ARITHMETIC}
    assert first == {
        "two_operands": ["76+72=", "8+29=", "76+38="],
        "three_operands": ["7+1+17=", "86+2+54=", "42+48+71="],
        "times_digit": ["86*7=", "60*9=", "17*4="],
    }


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_held_out_problems_differ_and_a_longer_list_begins_with_the_shorter(task: Task) -> None:
    long = [p.operands for p in task.heldout(128)]
    assert len(set(long)) == len(long) <= 128
    assert [p.operands for p in task.heldout(8)] == long[:8]


@tasks
def test_sampling_follows_the_generator_alone(task: Task) -> None:
    again = [task.sample(np.random.default_rng(5), 50) for _ in range(2)]
    assert again[0] == again[1] != task.sample(np.random.default_rng(6), 50)
    assert len(again[0]) == 50


def test_chat_sums_are_chat_messages_with_their_sum() -> None:
    for problem in TASKS["chat_sums"].sample(np.random.default_rng(0), 50):
        assert isinstance(problem.prompt, list)
        [message] = problem.prompt
        assert message["role"] == "user"
        question = message["content"].removeprefix("What is ").partition("?")[0]
        assert problem.answer == str(by_python(question))


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ("7", True),
        ("The answer is **7**.", True),
        ("3 + 4 = 7. Ask me for 2 more.", True),
        ("What is 13 + 4? It is 7", True),
        ("Step 1: 3 + 4 = 7\nStep 2: done", True),
        ("= **7**\n- 2 apples", True),
        (r"so \(3 + 4 = 7\), or \boxed{7}", True),
        ("Answer: 7 (as 3 and 4 make it)", True),
        ("somewhere in 3-7", False),
        ("1 2 3 4 5 6 7 8 9", False),
        ("It is 7. No, it is 8.", False),
        ("What is 73 + 4?", False),
        ("17", False),
        ("7.5", False),
        ("-7", False),
        ("1,007", False),
        ("seven", False),
        ("9" * 10_000, False),
    ],
)
def test_a_reply_in_prose_is_held_to_the_number_it_commits_to(reply: str, right: bool) -> None:
    assert score_prose(reply, "7") == float(right)


def test_tasks_stand_without_torch() -> None:
    program = "import sys, trainers.tasks; print(sorted({'torch', 'transformers', 'trl'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
