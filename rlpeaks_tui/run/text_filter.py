"""Which texts a block can hold, in a few hundred bytes, so that a search passes over the blocks that cannot match.

A Bloom filter (Bloom 1970) over the trigrams of the folded texts. Its size follows the number of different
trigrams: eight bits each, and four probes, which takes a trigram that is not there for present in 2.4 % of cases.
It never misses one that is there. A text of L characters is looked for by all its L - 2 trigrams.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

GRAM = 3
BITS_EACH = 8
PROBES = 4
BIGGEST_FILTER = 64 << 10
"""Bytes. Beyond 65,536 different trigrams a block's filter grows no more, and passes over less."""

_REPLACED = "\ufffd"
_SLOT_BITS = 16
_WEIGHTS = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)


def fold(text: str) -> str:
    """`text` without regard to case, character by character, so that a part of a text folds to a part of the fold.

    Dotted and dotless i count as i, as they do for a regular expression that ignores case.
    """
    if text.isascii():
        return text.casefold()
    return text.replace("\u0130", "i").replace("\u0131", "i").casefold()


def trigrams(texts: Iterable[str]) -> NDArray[np.uint32]:
    """Different hashes of all runs of three characters within one text: uint32[g]."""
    # What cleaning replaced stands for anything, so it separates texts and is in no trigram.
    joined = fold(_REPLACED.join(texts))
    c = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), "<u4")  # [characters]
    if len(c) < GRAM:
        return np.empty(0, np.uint32)
    a, b, d = (np.uint32(w) for w in _WEIGHTS)
    mixed = c[:-2] * a
    mixed += c[1:-1] * b
    mixed += c[2:] * d
    mixed ^= mixed >> np.uint32(15)
    mixed *= b
    apart = c == ord(_REPLACED)
    if apart.any():
        mixed = mixed[~(apart[:-2] | apart[1:-1] | apart[2:])]
    return _different(mixed)


def _different(values: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """`values` without repetitions. A table takes out nearly all of them, which sorting would be slow at."""
    if len(values) < 4096:
        ordered = np.sort(values)
        return ordered[np.flatnonzero(np.diff(ordered, prepend=~ordered[:1]))]
    slot, used = np.zeros(1 << _SLOT_BITS, np.uint32), np.zeros(1 << _SLOT_BITS, np.bool_)
    at = (values >> np.uint32(32 - _SLOT_BITS)).astype(np.intp)
    slot[at], used[at] = values, True
    return np.concatenate([slot[used], np.unique(values[slot[at] != values])])


def _probes(grams: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """uint64[g, PROBES], each below 2**32: where a trigram is marked, as a share of the filter's bits."""
    first = (grams ^ (grams >> np.uint32(16))) * np.uint32(0x7FEB352D)
    first ^= first >> np.uint32(15)
    stride = (grams * np.uint32(0x846CA68B)) ^ (first >> np.uint32(13)) | np.uint32(1)
    times = np.arange(PROBES, dtype=np.uint32)
    return (first[:, None] + stride[:, None] * times).astype(np.uint64)


def build(texts: Iterable[str]) -> bytes:
    """The filter of `texts`: a multiple of eight bytes, at most BIGGEST_FILTER."""
    grams = trigrams(texts)
    size = min(BIGGEST_FILTER, 8 * max(1, -(-len(grams) * BITS_EACH // 64)))
    marked = np.zeros(size * 8, np.bool_)
    marked[(_probes(grams) * np.uint64(size * 8)) >> np.uint64(32)] = True
    return np.packbits(marked, bitorder="little").tobytes()


class Filters:
    """The filters of some blocks, as read from disk.

    Args:
        data: the bytes that hold them.
        begin, length: int64[n], where each lies in `data`.
        checksum: uint32[n], its CRC-32.

    A filter that is damaged or not there rules nothing out.
    """

    def __init__(
        self, data: bytes, begin: NDArray[np.int64], length: NDArray[np.int64], checksum: NDArray[np.uint32]
    ) -> None:
        self._data = np.frombuffer(data, np.uint8)
        self._begin, self._length = begin, length
        view = memoryview(data)
        inside = (begin >= 0) & (length > 0) & (length <= BIGGEST_FILTER) & (begin <= len(data) - length)
        rows = zip(begin.tolist(), length.tolist(), checksum.tolist(), inside.tolist(), strict=True)
        self._whole = np.array([ok and zlib.crc32(view[at : at + n]) == want for at, n, want, ok in rows], np.bool_)

    def __len__(self) -> int:
        return len(self._begin)

    def may_hold(self, text: str) -> NDArray[np.bool_]:
        """bool[n]: False where no text of the block contains `text`, whatever its case."""
        possible = np.ones(len(self), np.bool_)
        probes = _probes(trigrams([text]))
        left = np.flatnonzero(self._whole)
        for gram in probes:
            bit = (gram * (self._length[left, None] * 8).astype(np.uint64)) >> np.uint64(32)  # [left, PROBES]
            byte = self._data[self._begin[left, None] + (bit >> np.uint64(3)).astype(np.int64)]
            there = ((byte >> (bit & np.uint64(7)).astype(np.uint8)) & 1).all(axis=1)
            possible[left[~there]] = False
            left = left[there]
        return possible
