"""The held-out prompts of a run, written once, so that a row of an evaluation can be told what it is of."""

from __future__ import annotations

import msgspec

from .entries import clean_decode
from .layout import Layout, open_regular, replace_file

BIGGEST = 16 << 20


class HeldOutPrompts(msgspec.Struct, frozen=True, kw_only=True):
    """`prompts` and `tasks` in the order of the arrays of an `eval` probe; a task is empty where none is named."""

    prompts: list[str]
    tasks: list[str]


def write_held_out(layout: Layout, held_out: HeldOutPrompts) -> None:
    """Put the prompts into the run.

    Raises:
        OSError: they cannot be written.
    """
    replace_file(layout.held_out, msgspec.json.encode(held_out))


def read_held_out(layout: Layout) -> HeldOutPrompts | None:
    """The prompts, or None where there are none or the file is no such thing."""
    try:
        with open_regular(layout.held_out) as file:
            raw = file.read(BIGGEST + 1)
        if len(raw) > BIGGEST:
            return None
        found: HeldOutPrompts = clean_decode(raw, HeldOutPrompts)
    except (OSError, ValueError, RecursionError):
        return None
    return found if len(found.prompts) == len(found.tasks) else None
