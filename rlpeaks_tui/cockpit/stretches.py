"""Rows of cells as stretches of text in one ink, which is what a terminal is written with.

Blanks take the ink of what stands left of them: a blank has no colour to see, and every change of style costs some
forty bytes on a slow link.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from .cells import BLANK, HEAT, RAISED, REVERSE, TINT, UNDERLINE, Cells, Chars, Inks, text_of

SEEN_ON_BLANK = HEAT | REVERSE | TINT | RAISED | UNDERLINE


def settle(cells: Cells) -> Inks:
    """The inks of `cells` with each plain blank in the ink of its left neighbour, as long as no ground differs."""
    inks = cells.inks
    if not inks.size:
        return inks
    plain = (cells.chars == BLANK) & (inks & SEEN_ON_BLANK == 0)
    columns = np.arange(inks.shape[1])
    source = np.maximum.accumulate(np.where(plain, 0, columns), axis=1)
    taken = np.take_along_axis(inks, source, axis=1)
    return np.where(plain & (taken & SEEN_ON_BLANK == 0), taken, inks)


def stretches(chars: Chars, inks: Inks) -> Iterator[tuple[str, int]]:
    """One row: each stretch of text with its ink."""
    cuts = np.flatnonzero(inks[1:] != inks[:-1]) + 1
    for start, end in pairwise([0, *cuts.tolist(), len(inks)]):
        if end > start:
            yield text_of(chars[start:end]), int(inks[start])
