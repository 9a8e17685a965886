"""What the policy wrote: one compressed block a generation, and an index of fixed-size records beside it.

A block holds all completions of one generation with what they earned, column by column, and for a sample of
them arrays by token. The index is small enough to read whole, so that a step is found without touching
blocks. A block is on disk before its record, and a reader takes only whole records whose block has the
recorded checksum, so a kill in between costs one block at most and never shows a wrong one.
"""

from __future__ import annotations

import errno
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from .entries import Whole
from .layout import open_regular
from .text import clean, clean_line, clean_tree

PACK_BYTES = 64 << 20
BIGGEST_BLOCK = 256 << 20

RECORD = np.dtype(
    [
        ("step", "<i8"),
        ("pack", "<i4"),
        ("length", "<i4"),
        ("offset", "<i8"),
        ("checksum", "<u4"),
        ("completions", "<i4"),
        ("reward", "<f8"),
    ]
)


class TokenBlock(msgspec.Struct, frozen=True, kw_only=True):
    """One completion by token: arrays are little-endian float32, as long as `pieces`; nats."""

    index: int
    pieces: list[str]
    logp: bytes
    base_logp: bytes = b""
    entropy: bytes = b""


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """One generation as it lies on disk, column by column; n completions in len(prompts) groups.

    `logp`, `base_logp`, `entropy` and `k3` are sums over the tokens of each completion, in nats, from which the step's
    means can be computed again: for example kl/base_k1 = sum(logp - base_logp) / sum(length).
    """

    step: Whole
    phase: str
    prompts: list[str]
    group: list[int]
    completions: list[str]
    rewards: dict[str, list[float | None]]
    reward: list[float | None]
    advantage: list[float | None]
    length: list[int]
    truncated: list[bool]
    task: list[str] = []
    format: list[str | None] = []
    confidence: list[float | None] = []
    correct: list[float | None] = []
    logp: list[float | None] = []
    base_logp: list[float | None] = []
    entropy: list[float | None] = []
    k3: list[float | None] = []
    tokens: list[TokenBlock] = []


@dataclass(frozen=True)
class TokenTrace:
    """One completion by token: T pieces of text and float32[T] arrays in nats (empty where not measured)."""

    index: int
    pieces: tuple[str, ...]
    logp: NDArray[np.float32]
    base_logp: NDArray[np.float32]
    entropy: NDArray[np.float32]


@dataclass(frozen=True)
class Rollouts:
    """One generation, checked and cleaned; n completions. NaN or None where a thing is not known."""

    step: int
    phase: str
    prompts: tuple[str, ...]
    group: NDArray[np.int64]
    completions: tuple[str, ...]
    rewards: dict[str, NDArray[np.float64]]
    reward: NDArray[np.float64]
    advantage: NDArray[np.float64]
    length: NDArray[np.int64]
    truncated: NDArray[np.bool_]
    task: tuple[str, ...]
    format: tuple[str | None, ...]
    confidence: NDArray[np.float64]
    correct: NDArray[np.float64]
    logp: NDArray[np.float64]
    base_logp: NDArray[np.float64]
    entropy: NDArray[np.float64]
    k3: NDArray[np.float64]
    tokens: tuple[TokenTrace, ...]


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Block)


class RolloutWriter:
    """Appends blocks. Raises OSError when the disk refuses; the store stays readable and the writer usable."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        packs = [int(p.stem) for p in folder.glob("*.pack") if p.stem.isdecimal()]
        self._pack = max(packs, default=0) + 1

    def append(self, block: Block) -> int:
        """Write `block`; gives the bytes it took on disk."""
        try:
            raw = _encode(block)
        except UnicodeEncodeError:
            # Half a surrogate pair, from a data set's JSON for example.
            raw = _encode(clean_tree(msgspec.to_builtins(block, builtin_types=(bytes,))))
        data = zlib.compress(raw, 3)
        pack = self._folder / f"{self._pack:06d}.pack"
        with pack.open("ab") as file:
            offset = file.tell()
            file.write(data)
        record = np.zeros(1, RECORD)
        known = [r for r in block.reward if r is not None]
        mean = sum(known) / len(known) if known else float("nan")
        record[0] = (block.step, self._pack, len(data), offset, zlib.crc32(data), len(block.completions), mean)
        index = os.open(self._folder / "index.bin", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            # A torn record would shift all that follow: cut the index back to whole records before adding one.
            size = os.fstat(index).st_size
            if size % RECORD.itemsize:
                os.ftruncate(index, size - size % RECORD.itemsize)
            if os.write(index, record.tobytes()) < RECORD.itemsize:
                raise OSError(errno.ENOSPC, "the disk took only part of what was written")
        finally:
            os.close(index)
        if offset + len(data) > PACK_BYTES:
            self._pack += 1
        return len(data)


class RolloutReader:
    """Finds and reads generations of one run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.index: NDArray[np.void] = np.empty(0, RECORD)
        """One record a generation, in the order written: step, completions, mean reward, where it lies."""

    def refresh(self) -> bool:
        """Read records added since; True when there were any."""
        path = self._folder / "index.bin"
        try:
            whole = path.stat().st_size // RECORD.itemsize
            if whole <= len(self.index):
                return False
            with open_regular(path) as file:
                file.seek(self.index.nbytes)
                raw = file.read((whole - len(self.index)) * RECORD.itemsize)
        except OSError:
            return False
        fresh = np.frombuffer(raw[: len(raw) - len(raw) % RECORD.itemsize], RECORD)
        self.index = np.concatenate([self.index, fresh])
        return len(fresh) > 0

    def at(self, step: int) -> Rollouts | None:
        """The newest generation at or before `step`, or None when there is none or it cannot be read."""
        before = np.flatnonzero(self.index["step"] <= step)
        return self.read(int(before[-1])) if len(before) else None

    def read(self, number: int) -> Rollouts | None:
        """Generation `number` of the index, or None when its block is damaged or missing."""
        record = self.index[number]
        length, offset = int(record["length"]), int(record["offset"])
        if not 0 < length <= BIGGEST_BLOCK or offset < 0:
            return None
        try:
            with open_regular(self._folder / f"{int(record['pack']):06d}.pack") as file:
                file.seek(offset)
                data = file.read(length)
            if zlib.crc32(data) != int(record["checksum"]):
                return None
            inflate = zlib.decompressobj()
            raw = inflate.decompress(data, BIGGEST_BLOCK)
            return None if inflate.unconsumed_tail else _checked(_decoder.decode(raw))
        except (OSError, zlib.error, ValueError, OverflowError, RecursionError, MemoryError):
            return None


def _numbers(values: list[float | None], n: int) -> NDArray[np.float64]:
    """float64[n]; all NaN when the column was not recorded."""
    if not values:
        return np.full(n, np.nan)
    if len(values) != n:
        raise ValueError("a column of a rollout block has the wrong length")
    return np.array(values, dtype=np.float64)


def _array(raw: bytes, n: int) -> NDArray[np.float32]:
    array = np.frombuffer(raw, "<f4")
    if len(array) not in (0, n):
        raise ValueError("a token array of a rollout block has the wrong length")
    return array


def _checked(block: Block) -> Rollouts:
    n = len(block.completions)
    group = np.array(block.group, dtype=np.int64)
    if len(group) != n or len(block.length) != n or len(block.truncated) != n:
        raise ValueError("a column of a rollout block has the wrong length")
    if n and not 0 <= int(group.min()) <= int(group.max()) < len(block.prompts):
        raise ValueError("a rollout names a prompt that is not there")
    tokens = tuple(
        TokenTrace(
            t.index,
            tuple(clean(piece) for piece in t.pieces),
            _array(t.logp, len(t.pieces)),
            _array(t.base_logp, len(t.pieces)),
            _array(t.entropy, len(t.pieces)),
        )
        for t in block.tokens
        if 0 <= t.index < n
    )
    return Rollouts(
        step=block.step,
        phase=clean_line(block.phase),
        prompts=tuple(clean(p) for p in block.prompts),
        group=group,
        completions=tuple(clean(c) for c in block.completions),
        rewards={clean_line(name): _numbers(column, n) for name, column in block.rewards.items()},
        reward=_numbers(block.reward, n),
        advantage=_numbers(block.advantage, n),
        length=np.array(block.length, dtype=np.int64),
        truncated=np.array(block.truncated, dtype=np.bool_),
        task=tuple(map(clean_line, block.task)) if len(block.task) == n else ("",) * n,
        format=tuple(f and clean_line(f) for f in block.format) if len(block.format) == n else (None,) * n,
        confidence=_numbers(block.confidence, n),
        correct=_numbers(block.correct, n),
        logp=_numbers(block.logp, n),
        base_logp=_numbers(block.base_logp, n),
        entropy=_numbers(block.entropy, n),
        k3=_numbers(block.k3, n),
        tokens=tokens,
    )
