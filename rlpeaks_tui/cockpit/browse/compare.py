"""Two texts word by word: what both have, and what only one has.

Bounded, so that two long texts take no longer than a blink.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from functools import lru_cache

from msgspec import Struct

from ..cells import BOLD, UNDERLINE, Cells, Ink, fit
from .texts import flowed

MOST_CHARACTERS = 200_000
"""Of each text that are compared."""
MOST_WORDS = 4000
"""Words of the differing middle of each text that are compared; what begins and ends alike costs nothing."""
PLAIN_WORDS = 400
"""Up to here every word counts; beyond, frequent words are passed over at first, which is what keeps it quick."""

_PART = re.compile(r"\n|[^\S\n]+|\w+|[^\w\s]")
_WORD = re.compile(r"\w+|[^\w\s]")

SAME, ONE, OTHER = " ", "−", "+"


class Difference(Struct, frozen=True):
    """Parts in order, each with where it is: in both, only in the first, or only in the second.

    `left_out` counts the characters of both that were not compared, because there are too many.
    """

    parts: tuple[tuple[str, str], ...]
    left_out: int = 0

    def words(self, where: str) -> int:
        """Words, numbers and signs in the parts of one kind."""
        return sum(len(_WORD.findall(text)) for part, text in self.parts if part == where)


def compare(one: str, other: str) -> Difference:
    """Joined, the parts that are in the first give the first text (as far as it was compared); so for the second."""
    a, b = _PART.findall(one[:MOST_CHARACTERS]), _PART.findall(other[:MOST_CHARACTERS])
    head = 0
    while head < min(len(a), len(b)) and a[head] == b[head]:
        head += 1
    tail = 0
    while tail < min(len(a), len(b)) - head and a[-1 - tail] == b[-1 - tail]:
        tail += 1
    middle_a, middle_b = a[head : len(a) - tail], b[head : len(b) - tail]
    left_out = sum(len("".join(middle[MOST_WORDS:])) for middle in (middle_a, middle_b))
    left_out += sum(max(0, len(text) - MOST_CHARACTERS) for text in (one, other))
    middle_a, middle_b = middle_a[:MOST_WORDS], middle_b[:MOST_WORDS]
    parts: list[tuple[str, str]] = [(SAME, "".join(a[:head]))]
    matcher = SequenceMatcher(None, middle_a, middle_b, autojunk=max(len(middle_a), len(middle_b)) > PLAIN_WORDS)
    for kind, a0, a1, b0, b1 in matcher.get_opcodes():
        if kind == "equal":
            parts.append((SAME, "".join(middle_a[a0:a1])))
        else:
            parts += [(ONE, "".join(middle_a[a0:a1])), (OTHER, "".join(middle_b[b0:b1]))]
    parts.append((SAME, "".join(a[len(a) - tail :])))
    return Difference(tuple((where, text) for where, text in parts if text), left_out)


_WORDS = re.compile(r"\s*\S+\s*|\s+")
_INKS = {SAME: int(Ink.TEXT), ONE: Ink.SERIES_0 | BOLD, OTHER: Ink.SERIES_1 | BOLD | UNDERLINE}
"""Those of two series: which text is the first says nothing about which is right."""


@lru_cache(maxsize=4)
def pieces_of(difference: Difference) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Words in order, those of one text only between [−  −] and {+  +}, as git writes a difference by words; inks."""
    texts: list[str] = []
    inks: list[int] = []
    for where, part in difference.parts:
        words = _WORDS.findall(part)
        if where != SAME and words:
            left, right = ("[−", "−]") if where == ONE else ("{+", "+}")
            words[0] = left + words[0]
            words[-1] += right
        texts += words
        inks += [_INKS[where]] * len(words)
    return tuple(texts), tuple(inks)


def draw(
    difference: Difference | None, names: tuple[str, str], scroll: int, width: int, height: int
) -> tuple[Cells, int]:
    """The screen of a comparison, and the first row that it really shows.

    Args:
        difference: None while it is made.
        names: of the two completions.
        scroll: rows that the text is moved down by.
    """
    cells = Cells(width, height)
    end = cells.put(0, 0, "Difference", Ink.TEXT | BOLD)
    cells.put(0, end + 2, fit("by word", width - end - 2), Ink.FAINT)
    cells.put(1, 0, fit(f"[−only in−]  {names[0]}", width), _INKS[ONE])
    cells.put(2, 0, fit(f"{{+only in+}}  {names[1]}", width), _INKS[OTHER] & ~UNDERLINE)
    if difference is None:
        cells.put(4, 0, "reading, unless one of the two is not kept any more", Ink.UNKNOWN)
        return cells, 0
    only, other, both = (difference.words(where) for where in (ONE, OTHER, SAME))
    told = f"{both:,} words and signs in both, {only:,} only in the first, {other:,} only in the second"
    if not only and not other:
        told = "the two are the same, word for word"
    if difference.left_out:
        told = f"{difference.left_out:,} characters were too many to compare; {told}"
    cells.put(3, 0, fit(told, width), Ink.DIM)
    texts, inks = pieces_of(difference)
    top, rows, more = flowed(texts, width).window(scroll, height - 5)
    for y, row in enumerate(rows, 5):
        x = 0
        for i, text in row:
            x = cells.put(y, x, text, inks[i])
    if more:
        cells.put_right(4, width, "more below", Ink.FAINT)
    return cells, top
