"""`rlpeaks ctl RUN stack [RANK]`: where a rank is, as its Python stack."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from msgspec.structs import asdict

from ..run.requests import BadCommand
from ..run.stacks import NoStack, Stack, ask
from .headless import print_json, read_all


def stack(directory: Path, options: argparse.Namespace) -> int:
    """Print the stack of a rank: of the one that is stuck, else of the first, where none is named.

    Gives 0, or 1 where it cannot be had.
    """
    match options.args:
        case []:
            pace = read_all(directory).pace
            rank = pace.ranks[0].rank if pace.ranks else 0
        case [word] if word.isascii() and word.isdecimal() and len(word) < 8:
            rank = int(word)
        case _:
            raise BadCommand("stack takes the number of one rank, or nothing for the one that is stuck")
    try:
        found = ask(directory, rank)
    except NoStack as problem:
        if options.json:
            print_json({"rank": rank, "why": str(problem), "threads": []})
        else:
            print(f"rlpeaks: {problem}", file=sys.stderr)
        return 1
    if options.json:
        print_json({"why": "", **asdict(found)})
    else:
        print("\n".join(lines(found)))
    return 0


def lines(found: Stack) -> list[str]:
    """A stack as text, the innermost call of each thread first."""
    when = time.strftime("%H:%M:%S", time.localtime(found.t))
    shown = [f"rank {found.rank} at {when}, as {found.way} tells it; the innermost call comes first"]
    for thread in found.threads:
        shown += ["", thread.name]
        shown += [f"  {frame.function}  {frame.file}:{frame.line}" for frame in thread.frames] or ["  no Python code"]
    return shown
