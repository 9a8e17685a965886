"""What stories with a picked row share: which row that is, which rows are on screen with it, and how it is marked.

Scrolling such a list moves the pick, and the list follows it. Where a drawing shows the picked thing a second time,
it stands on the same ground there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from ..cells import RAISED, Cells, Ink
from ..scene import Scene

Item = TypeVar("Item")

PICK = "▸"
LONGEST_PROMPT = 200


def pick(scene: Scene, found: Sequence[Item]) -> Item | None:
    """The picked one of a list; None where it is empty."""
    return found[min(scene.view.scroll, len(found) - 1)] if found else None


def picked(cells: Cells, scene: Scene, total: int) -> int:
    """The picked one of `total` rows, -1 where there is none; tells how far it can still go down."""
    at = min(scene.view.scroll, total - 1)
    cells.below = max(0, total - 1 - at)
    return at


def first_shown(at: int, total: int, room: int) -> int:
    """The first of the rows that `room` of them show, so that row `at` is among them, in their middle if it can be."""
    return max(0, min(at - room // 2, total - room))


def raise_row(cells: Cells, y: int, x: int, width: int) -> None:
    """Mark row `y` from column `x` on as the picked one; its first column is for the sign."""
    cells.put(y, x, PICK, Ink.CURSOR)
    cells.inks[max(0, y) : y + 1, max(0, x) : max(0, x + width)] |= RAISED


def quoted(name: str, text: str) -> str:
    """A filter of the browser's query. It knows no escapes, so of a text with quotes the longest part without stays."""
    parts = [" ".join(part.split()) for line in text.splitlines() for part in line.split('"')]
    longest = max(parts, key=len, default="")[:LONGEST_PROMPT]
    return f'{name}:"{longest}"' if longest else ""


def of_prompt(prompt: str) -> str:
    """The query for the completions of a prompt: by the whole prompt where a query can hold it, else by text in it."""
    part = quoted("prompt", prompt)
    return part if part == f'prompt:"{prompt}"' else part.removeprefix("prompt:")


def between(first: int, last: int) -> str:
    """The filter for steps."""
    return f"step:{first}-{last}"
