"""Long texts in lines of a given width, laid out only as far as somebody has looked.

A completion can be a megabyte. Its lines are made one after the other when they are asked for, and remembered, so
that a screen costs what a screen shows, and reading on costs the next lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Generic, TypeVar

from ..cells import fit, width_of

T = TypeVar("T")

RETURN = "⏎"


class Lazy(Generic[T]):
    """Items of an iterator, remembered; no more of them are made than were asked for."""

    def __init__(self, source: Iterator[T]) -> None:
        self._source = source
        self._made: list[T] = []
        self.whole = False
        """Whether all have been made."""

    def upto(self, count: int) -> Sequence[T]:
        """The first `count` items, or all where there are fewer."""
        while not self.whole and len(self._made) < count:
            try:
                self._made.append(next(self._source))
            except StopIteration:
                self.whole = True
        return self._made[:count]

    def window(self, top: int, room: int) -> tuple[int, Sequence[T], bool]:
        """`room` items from `top` on, or the last ones where that is too far; where they begin; whether more follow."""
        made = self.upto(top + room + 1)
        top = max(0, min(top, len(made) - room))
        return top, made[top : top + room], len(made) > top + room


@lru_cache(maxsize=16)
def lined(text: str, width: int) -> Lazy[str]:
    """Lines of `text`, broken at its own breaks, at spaces, or within a word that is too long."""
    return Lazy(_lines(text, max(1, width)))


def _lines(text: str, width: int) -> Iterator[str]:
    start = 0
    while start <= len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield from _broken(text, start, end, width)
        start = end + 1


def _broken(text: str, begin: int, end: int, width: int) -> Iterator[str]:
    """The stretch of one line from `begin` to `end`."""
    while True:
        # No more than could fit: a character takes a quarter of a cell at least, on average.
        ahead = text[begin : min(end, begin + 4 * width)].replace("\t", " ")
        head = ahead[:width] if ahead.isascii() else fit(ahead, width, more="") or ahead[:1]
        stop = begin + len(head)
        if stop >= end:
            yield head
            return
        space = stop - begin if ahead[len(head) : len(head) + 1] == " " else head.rfind(" ")
        if head[: max(0, space)].strip():
            head, stop = head[:space], begin + space
        yield head
        begin = stop + (text[stop] in " \t")


Piece = tuple[int, str]
"""Which piece, and what of it stands here."""


@lru_cache(maxsize=4)
def flowed(pieces: tuple[str, ...], width: int) -> Lazy[tuple[Piece, ...]]:
    """Rows of pieces that follow each other without a gap; one that is wider than a row is broken.

    A line break is shown as a sign, which belongs to its piece, and ends the row.
    """
    return Lazy(_flow(pieces, max(2, width)))


def _flow(pieces: tuple[str, ...], width: int) -> Iterator[tuple[Piece, ...]]:
    row: list[Piece] = []
    used = 0
    for i, piece in enumerate(pieces):
        for k, part in enumerate(_parts(piece.replace("\t", " "))):
            if k:
                yield tuple(row)
                row, used = [], 0
            need = width_of(part)
            if used and used + need > width:
                yield tuple(row)
                row, used = [], 0
            while need > width:
                head = part[:width] if part.isascii() else fit(part[: 4 * width], width, more="") or part[:1]
                yield (*row, (i, head))
                row = []
                part = part[len(head) :]
                need = width_of(part) if len(part) <= 4 * width else width + 1
            if part or not piece:
                row.append((i, part))
                used += need
    if row:
        yield tuple(row)


def _parts(piece: str) -> Iterator[str]:
    """What of a piece stands in each row, with a sign where it breaks."""
    if "\n" not in piece:
        yield piece
        return
    begin = 0
    while (at := piece.find("\n", begin)) >= 0:
        yield piece[begin:at] + RETURN
        begin = at + 1
    yield piece[begin:]
