"""The journal: append-only segments of JSON lines, written by one process a name and read by many.

A writer hands each batch of whole lines to the kernel in one append, so that a kill at any moment leaves at
most one torn line at the end, and it never raises: what cannot be written waits in memory, is tried again
with the next entry, and past a bound is counted as lost. A reader takes only lines that end; the rest is
not there yet.
"""

from __future__ import annotations

import errno
import os
import re
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct, field

from .entries import Entry, Line, Lost, clean_decode, decoder, encoder
from .layout import open_regular
from .text import is_plain

SEGMENT_BYTES = 16 << 20
WAITING_ENTRIES = 10_000
LONGEST_LINE = 16 << 20

_SEGMENT = re.compile(r"(.+)-([0-9]{6,18})\.jsonl")


def segment_path(journal: Path, writer: str, number: int) -> Path:
    return journal / f"{writer}-{number:06d}.jsonl"


def segments(journal: Path) -> dict[str, list[int]]:
    """Numbers of the segments that are there, ascending, by writer."""
    found: dict[str, list[int]] = {}
    try:
        names = sorted(os.listdir(journal))
    except OSError:
        return {}
    for name in names:
        segment = _SEGMENT.fullmatch(name)
        if segment:
            found.setdefault(segment[1], []).append(int(segment[2]))
    return {writer: sorted(numbers) for writer, numbers in found.items()}


class JournalWriter:
    """Appends entries for one writer, and survives a full disk.

    Args:
        journal: the run's journal folder; it must exist.
        writer: the name of this writer, such as `trainer`; nobody else may use it at the same time.
        clock: seconds since 1970.
    """

    def __init__(self, journal: Path, writer: str, *, clock: Callable[[], float] = time.time) -> None:
        self._journal = journal
        self._writer = writer
        self._clock = clock
        # A process never continues the segment of a dead one: its last line may be torn.
        self._number = max(segments(journal).get(writer, [0])) + 1
        self._file: int | None = None
        self._written = 0
        self._torn = False
        self._waiting: deque[bytes] = deque()
        self._lost_told = 0
        self.lost = 0
        """Entries given up because the disk refused them for too long, or because they are no JSON."""
        self.trouble = ""
        """Why the last write failed, or empty."""

    def now(self) -> float:
        return self._clock()

    def write(self, *entries: Entry, sync: bool = False) -> bool:
        """Append `entries`; True when they and all that waited are written. `sync` waits for the disk itself."""
        self.trouble = ""
        for entry in entries:
            self._enqueue(entry)
        try:
            self._flush()
            if sync and self._file is not None:
                os.fsync(self._file)
        except OSError as error:
            self.trouble = f"{error.strerror or error} ({self._journal})"
            while len(self._waiting) > WAITING_ENTRIES:
                self._waiting.popleft()
                self.lost += 1
        return not self.trouble

    def _enqueue(self, entry: Entry) -> None:
        try:
            line = encoder.encode(entry) + b"\n"
            if len(line) > LONGEST_LINE:
                raise ValueError(f"{len(line)} bytes are more than a line may have")
        except (TypeError, ValueError, RecursionError) as error:
            self.trouble = f"an entry of kind {type(entry).__name__} cannot be written: {error}"
            self.lost += 1
        else:
            self._waiting.append(line)

    def _flush(self) -> None:
        while self._waiting or self.lost > self._lost_told:
            if self._file is None or self._written > SEGMENT_BYTES:
                self._open_next()
            self._append()

    def _append(self) -> None:
        """Send all that waits in one write, and forget exactly the lines that arrived whole."""
        assert self._file is not None
        # A torn line is closed off first and sent again. The sign makes it no JSON even when only its newline was
        # missing, for else it would be read twice.
        closing = b"~\n" if self._torn else b""
        telling = self.lost > self._lost_told
        lost = [encoder.encode(Lost(t=self._clock(), count=self.lost)) + b"\n"] if telling else []
        lines = [*lost, *self._waiting]
        sent = os.write(self._file, closing + b"".join(lines))
        self._written += sent
        left, whole = sent - len(closing), 0
        if left >= 0:
            while whole < len(lines) and left >= len(lines[whole]):
                left -= len(lines[whole])
                whole += 1
            self._torn = left > 0
        if telling and whole:
            self._lost_told = self.lost
        for _ in range(whole - telling):
            self._waiting.popleft()
        if whole < len(lines):
            raise OSError(errno.ENOSPC, "the disk took only part of what was written")

    def _open_next(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
            self._number += 1
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
        self._file = os.open(segment_path(self._journal, self._writer, self._number), flags, 0o600)
        self._written = 0
        self._torn = False

    def close(self) -> None:
        self.write()
        if self._file is not None:
            os.close(self._file)
            self._file = None
            self._number += 1


class _Tail(Struct):
    """How far one writer's segments have been read."""

    number: int
    offset: int = 0
    passing: bool = False
    """Within a line that is longer than any, on the way to its end."""


class JournalReader(Struct):
    """Reads what has been added to a journal since the last look, in bounded pieces."""

    journal: Path
    skipped: int = 0
    """Whole lines that were no valid entry of a known kind."""
    more: bool = False
    """True when the last read stopped at its bound with more to come."""
    _tails: dict[str, _Tail] = field(default_factory=dict)

    def read(self, *, seconds: float = 0.05, piece: int = 1 << 20) -> list[Line]:
        """New entries of all writers; stops after about `seconds`, or `piece` bytes at the earliest."""
        deadline = time.monotonic() + seconds
        entries: list[Line] = []
        self.more = False
        # A segment that is not the newest of this list was complete before the list was made.
        for writer, numbers in segments(self.journal).items():
            tail = self._tails.setdefault(writer, _Tail(numbers[0]))
            while True:
                before = tail.offset
                entries.extend(self._decode(self._piece(writer, tail, piece)))
                if tail.offset > before:
                    if time.monotonic() > deadline:
                        self.more = True
                        return entries
                elif numbers[-1] > tail.number:
                    tail = self._tails[writer] = _Tail(numbers[bisect_right(numbers, tail.number)])
                else:
                    break
        return entries

    def _piece(self, writer: str, tail: _Tail, size: int) -> bytes:
        """The next whole lines of `tail`'s segment, about `size` bytes of them; moves `tail` past what was read."""
        try:
            with open_regular(segment_path(self.journal, writer, tail.number)) as file:
                file.seek(tail.offset)
                data = file.read(size)
                while b"\n" not in data and len(data) == size <= LONGEST_LINE:
                    more = min(3 * size, LONGEST_LINE + 1 - size)
                    data += file.read(more)
                    size += more
        except OSError:
            return b""
        end = data.rfind(b"\n") + 1
        start = 0
        if tail.passing:
            start = data.find(b"\n") + 1
            tail.passing = start == 0
            end = end or len(data)
        elif end == 0 and len(data) > LONGEST_LINE:
            # No honest writer makes such a line: pass over it rather than read it for ever.
            self.skipped += 1
            tail.passing = True
            start = end = len(data)
        tail.offset += end
        return data[start:end] if not tail.passing else b""

    def _decode(self, data: bytes) -> list[Line]:
        entries: list[Line] = []
        decode, plain = decoder.decode, is_plain(data)
        for line in data.split(b"\n"):
            if not line:
                continue
            try:
                if len(line) >= LONGEST_LINE:
                    raise ValueError("longer than a line may be")
                entries.append(decode(line) if plain or is_plain(line) else clean_decode(line, Line))
            except (ValueError, RecursionError):
                self.skipped += 1
        return entries
