"""What a typed filter keeps of a list: one rule for every list of the cockpit.

A filter runs on the screen's thread with every drawing, over text that a policy or a console wrote, so an expression
that could freeze it is looked for as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TypeVar

from rlpeaks_tui.run.literals import compiled, explodes

Item = TypeVar("Item")


def filtered(items: Iterable[Item], wanted: str, text: Callable[[Item], str] = str) -> tuple[list[Item], str]:
    """The items whose text matches the filter, and a note that says so and whether it was read as an expression; a
    leading ! keeps those that do not match."""
    if not wanted:
        return list(items), ""
    typed, turned = wanted.removeprefix("!"), wanted.startswith("!")
    pattern = pattern_of(typed)
    note = f"filter {wanted}" if pattern.pattern == typed else f"filter {wanted} (as text)"
    return [item for item in items if bool(pattern.search(text(item))) != turned], note


@lru_cache(maxsize=8)
def pattern_of(text: str) -> re.Pattern[str]:
    """What was typed as a regular expression, or as it stands where it is none, or one that could freeze the screen."""
    try:
        expression = compiled(text, re.IGNORECASE)
    except ValueError:
        expression = None
    if expression is None or explodes(expression):
        return re.compile(re.escape(text), re.IGNORECASE)
    return expression
