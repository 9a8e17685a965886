"""`rlpeaks find`: completions by what they say and what they earned, for a person or for a program.

A person gets a paragraph a completion. Its texts are indented, so that no completion can pass for the line that says
what another one earned. A program gets everything that was kept, one object a line.
"""

from __future__ import annotations

import argparse
import functools
import math
import re
import shutil
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from ..run.layout import Layout
from ..run.registry import resolve, runs_folder
from ..run.rollout_index import RIGHT, task_names
from ..run.rollouts import RolloutReader, Rollouts, TokenTrace
from ..run.search import Search, search
from ..run.text import clean_line

WRONG = 2
INDENT = 12
NARROWEST = 40
ARRAYS = ("logp", "base_logp", "entropy", "js")


def find(options: argparse.Namespace) -> int:
    """Print what is found; gives 2 for a request that cannot be met, with one line that says why."""
    try:
        reward = span("--reward", options.reward)
        steps = span("--steps", options.steps)
        if options.limit < 0:
            raise ValueError(f"--limit {options.limit}: give the number of completions at most, or 0 for all")
    except ValueError as problem:
        return _wrong(str(problem))
    reader = RolloutReader(Layout(resolve(options.run, runs_folder(options.runs))).rollouts)
    reader.refresh()
    limit = options.limit or sys.maxsize
    try:
        found = search(
            reader,
            text=options.text,
            regex=options.regex,
            task=options.task,
            reward=reward,
            steps=steps,
            right=options.right,
            # One more tells whether the limit left any out.
            limit=limit + 1,
        )
    except ValueError as problem:
        return _wrong(f"--regex: {problem}")
    shown = _show(reader, found, limit, options)
    # What was found goes first also where both streams end in one file.
    print(end="", flush=True)
    print(_closing(reader, found, shown, options), file=sys.stderr)
    return 0


def span(option: str, said: str | None) -> tuple[float, float] | None:
    """Both ends of `LOW..HIGH`, within; an end that is left out is open, and one number alone is both.

    Raises:
        ValueError: it is no such range; the message says how `option` is written.
    """
    if said is None:
        return None
    low, dots, high = said.partition("..")
    try:
        ends = float(low or -math.inf), float((high if dots else low) or math.inf)
    except ValueError:
        ends = math.nan, math.nan
    if not ends[0] <= ends[1] or said in ("", ".."):
        raise ValueError(f"{option} {said}: write it as {option} 0..5, {option} 5.. or {option} ..5, lowest first")
    return ends


def _wrong(problem: str) -> int:
    print(f"rlpeaks: {clean_line(problem)}", file=sys.stderr)
    return WRONG


def _show(reader: RolloutReader, found: Search, limit: int, options: argparse.Namespace) -> int:
    """Print hits as they are found, `limit` at most; gives how many."""
    read = functools.lru_cache(maxsize=1)(reader.read)
    shown = 0
    for hit in found:
        if shown == limit:
            break
        block = read(hit.number)
        if block is None:
            # A run that goes on can drop its oldest generations between the two looks.
            continue
        shown += 1
        if options.json:
            print(msgspec.json.encode(facts(block, hit.number, hit.index, options.tokens)).decode())
            continue
        width = max(NARROWEST, shutil.get_terminal_size().columns)
        if shown > 1:
            print()
        for line in paragraph(block, hit.index, width, options.tokens):
            print(line)
    return shown


def facts(block: Rollouts, number: int, index: int, tokens: bool = False) -> dict[str, Any]:
    """The object of `find --json`; its keys are stable. Null where a thing is not known.

    `generation` and `index` name the completion within its run; `group` counts the prompts of its generation from 0.
    Log-probabilities, entropy and k3 are sums over the completion's tokens, in nats; `tokens` adds those of each token.
    """
    trace = _trace(block, index)
    known: dict[str, Any] = {
        "step": block.step,
        "generation": number,
        "group": int(block.group[index]),
        "index": index,
        "phase": block.phase or None,
        "task": block.task[index] or None,
        "prompt": block.prompts[block.group[index]],
        "completion": block.completions[index],
        "reward": float(block.reward[index]),
        "rewards": {name: float(column[index]) for name, column in block.rewards.items()},
        "advantage": float(block.advantage[index]),
        "correct": float(block.correct[index]),
        "confidence": float(block.confidence[index]),
        "format": block.format[index],
        "length": int(block.length[index]),
        "truncated": bool(block.truncated[index]),
        **{name: float(getattr(block, name)[index]) for name in ("logp", "base_logp", "entropy", "k3")},
    }
    if tokens:
        arrays = {name: getattr(trace, name).tolist() or None for name in ARRAYS} if trace else {}
        known["tokens"] = {"pieces": trace.pieces, **arrays} if trace else None
    return known


def paragraph(block: Rollouts, index: int, width: int, tokens: bool = False) -> Iterator[str]:
    """One completion for people, in lines of at most `width` cells; only the first is not indented or labelled."""
    for i, line in enumerate(_wrapped("  ".join(_told(block, index)), width - 2)):
        yield f"  {line}" if i else line
    for label, text in (("prompt", block.prompts[block.group[index]]), ("completion", block.completions[index])):
        for i, line in enumerate(_wrapped(text, width - INDENT)):
            yield f"{'' if i else label:<{INDENT}}{line}".rstrip()
    if tokens:
        yield from _tokens(_trace(block, index), width)


def _told(block: Rollouts, index: int) -> Iterator[str]:
    yield f"step {block.step}"
    if block.task[index]:
        yield f"task {block.task[index]}"
    yield f"group {int(block.group[index]) + 1} of {len(block.prompts)}"
    for name in ("reward", "advantage"):
        value = float(getattr(block, name)[index])
        if not math.isnan(value):
            yield f"{name} {value:{'+' if name == 'advantage' else ''}.4g}"
    if not math.isnan(block.correct[index]):
        yield "right" if block.correct[index] >= RIGHT else "wrong"
    if block.truncated[index]:
        yield f"cut off after {int(block.length[index])} tokens"


def _tokens(trace: TokenTrace | None, width: int) -> Iterator[str]:
    from ..cockpit.cells import fit

    if trace is None:
        yield f"{'tokens':<{INDENT}}were not kept for this one"
        return
    measured = [(name, getattr(trace, name)) for name in ARRAYS if len(getattr(trace, name))]
    yield fit(f"{'tokens':<{INDENT}}{''.join(f'{name:>11}' for name, _ in measured)}  in nats", width)
    for i, piece in enumerate(trace.pieces):
        values = "".join(f"{float(array[i]):>11.3f}" for _, array in measured)
        yield fit(f"{'':<{INDENT}}{values}  {piece!r}", width)


def _trace(block: Rollouts, index: int) -> TokenTrace | None:
    return next((trace for trace in block.tokens if trace.index == index), None)


def _wrapped(text: str, width: int) -> Iterator[str]:
    """`text` line by line, each broken at spaces, or within a word that is too long, to at most `width` cells."""
    from ..cockpit.cells import fit

    for line in text.expandtabs(4).split("\n"):
        begin = 0
        while True:
            # No more than could fit: a character takes a quarter of a cell at least, on average.
            head = fit(line[begin : begin + 4 * width], width, more="")
            end = begin + len(head)
            if end >= len(line):
                yield head
                break
            space = end if line[end] == " " else begin + head.rfind(" ")
            if line[begin:space].strip():
                end = space
            yield line[begin:end]
            begin = end + (line[end] == " ")


def _closing(reader: RolloutReader, found: Search, shown: int, options: argparse.Namespace) -> str:
    """What was looked at, so that nothing found is not taken for nothing there."""
    kept = int(np.count_nonzero(reader.kept))
    gone = len(reader.index) - kept
    parts = [f"{shown} {'completion' if shown == 1 else 'completions'}"]
    if options.limit and found.found > options.limit:
        parts[0] += f", older ones left out by --limit {options.limit}"
    parts.append(f"{found.blocks_read} of {kept} generations read")
    if found.blocks_unreadable:
        parts.append(f"{found.blocks_unreadable} of them damaged")
    if gone:
        parts.append(f"{gone} older ones not kept any more")
    names = task_names(reader.folder)
    if options.task is not None and not shown and names and options.task not in names:
        parts.append(f"no task is called {options.task!r}; there are: {', '.join(map(repr, names[:6]))}")
    if not shown and re.match(r"(task|step|reward|correct)s?[:=<>]", options.text or ""):
        parts.append(
            f"{options.text!r} was looked for as text; filters are options here, such as --reward 0.5.. --wrong"
        )
    return clean_line("; ".join(parts))
