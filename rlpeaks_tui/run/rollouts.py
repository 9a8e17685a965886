"""What the policy wrote: one compressed block a generation, and an index of fixed-size records beside it.

A block holds all completions of one generation with what they earned, column by column, and for a sample of
them arrays by token. The index is small enough to read whole, so that a step is found without touching
blocks. A block is on disk before its record, and a reader takes only whole records whose block has the
recorded checksum, so a kill in between costs one block at most and never shows a wrong one.

Blocks lie in packs, so that a bound on disk use is kept by deleting the oldest pack: one step that either happened
or did not, which leaves the index and a reader who has that pack open alone. What is below the oldest pack on disk
is not kept any more; nothing needs to be written down about it.
"""

from __future__ import annotations

import errno
import os
import zlib
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from . import text_filter
from .entries import BIGGEST, Step
from .layout import open_regular
from .rollout_index import RECORD, Tasks, figures
from .text import clean, clean_line, clean_tree

PACK_BYTES = 64 << 20
BIGGEST_BLOCK = 256 << 20
MOST_PACKS = 10**9
PACKS_IN_BOUND = 8
"""Dropping the oldest pack gives up at most about this part of what is kept."""


class TokenBlock(Struct, frozen=True, kw_only=True):
    """One completion by token: arrays are little-endian float32, as long as `pieces`; nats.

    `js` is the Jensen-Shannon divergence between policy and starting weights at each token.
    """

    index: int
    pieces: list[str]
    logp: bytes
    base_logp: bytes = b""
    entropy: bytes = b""
    js: bytes = b""


class Block(Struct, frozen=True, kw_only=True):
    """One generation as it lies on disk, column by column; n completions in len(prompts) groups.

    `logp`, `base_logp`, `entropy` and `k3` are sums over the tokens of each completion, in nats, from which the step's
    means can be computed again: for example kl/base_k1 = sum(logp - base_logp) / sum(length).
    """

    step: Step
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


class TokenTrace(Struct, frozen=True):
    """One completion by token: T pieces of text and float32[T] arrays in nats (empty where not measured)."""

    index: int
    pieces: tuple[str, ...]
    logp: NDArray[np.float32]
    base_logp: NDArray[np.float32]
    entropy: NDArray[np.float32]
    js: NDArray[np.float32]


class Rollouts(Struct, frozen=True):
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
    """Appends blocks. Raises OSError when the disk refuses; the store stays readable and the writer usable.

    Args:
        folder: where packs, filters and index lie; one writer at a time.
        limit_bytes: what the folder may take on disk. The oldest packs go before a block is written that would exceed
            it; the index and the newest pack stay, so the bound holds to within one pack. None keeps everything.
    """

    def __init__(self, folder: Path, limit_bytes: int | None = None) -> None:
        self._folder = folder
        self._limit = limit_bytes
        self._index = folder / "index.bin"
        reader = RolloutReader(folder)
        reader.refresh()
        self._index_bytes = reader.index.nbytes
        self._sizes: dict[int, int] = {}
        """Bytes of each pack on disk with its filters."""
        for kind in ("pack", "filter"):
            for number, path in _numbered(folder, kind):
                self._sizes[number] = self._sizes.get(number, 0) + path.stat().st_size
        # Also when all packs were deleted, a number that records name is not used again.
        named = reader.index["pack"][-1:].clip(0, MOST_PACKS).tolist()
        self._pack = max([0, *named, *self._sizes]) + 1
        self._pack_bytes = PACK_BYTES if limit_bytes is None else min(PACK_BYTES, limit_bytes // PACKS_IN_BOUND)
        self._tasks = Tasks(folder, reader.index)

    def append(self, block: Block) -> int:
        """Write `block`; gives the bytes it took on disk."""
        try:
            raw = _encode(block)
        except UnicodeEncodeError:
            # Half a surrogate pair, from a data set's JSON for example.
            raw = _encode(clean_tree(msgspec.to_builtins(block, builtin_types=(bytes,))))
        data = zlib.compress(raw, 3)
        sieve = text_filter.build([*block.prompts, *block.completions])
        n, taken = len(block.completions), len(data) + len(sieve) + RECORD.itemsize
        tasks = set(block.task) if len(block.task) == n else {""}
        bits = self._tasks.bits(tasks if n else set())
        self._make_room(taken)
        record = np.zeros(1, RECORD)
        known = figures(block.reward, block.correct) | {
            "step": block.step,
            "pack": self._pack,
            "length": len(data),
            "checksum": zlib.crc32(data),
            "completions": n,
            "tasks": bits,
            "filter_length": len(sieve),
            "filter_checksum": zlib.crc32(sieve),
        }
        for name, value in known.items():
            record[name] = value
        record["offset"] = offset = self._put(_path(self._folder, self._pack, "pack"), data)
        record["filter_offset"] = self._put(_path(self._folder, self._pack, "filter"), sieve)
        self._index_bytes = _append(self._index, record.tobytes(), whole=RECORD.itemsize) + RECORD.itemsize
        if offset + len(data) > self._pack_bytes:
            self._pack += 1
        return taken

    def _put(self, path: Path, data: bytes) -> int:
        offset = _append(path, data)
        self._sizes[self._pack] = self._sizes.get(self._pack, 0) + len(data)
        return offset

    def _make_room(self, coming: int) -> None:
        """Drop the oldest packs, except the newest, until `coming` more bytes stay within the bound."""
        if self._limit is None:
            return
        for number in sorted(self._sizes)[:-1]:
            beside = self._index_bytes + self._tasks.size
            if beside + sum(self._sizes.values()) + coming <= self._limit:
                return
            try:
                # The pack first: without it nobody asks for its filters.
                for kind in ("pack", "filter"):
                    _path(self._folder, number, kind).unlink(missing_ok=True)
            except OSError:
                # It is tried again with the next block; a pack that cannot be deleted is no reason to lose a new one.
                return
            del self._sizes[number]


class RolloutReader:
    """Finds and reads generations of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.index: NDArray[np.void] = np.empty(0, RECORD)
        """One record a generation, in the order written: step, completions, rewards, tasks, where it lies."""
        self._oldest_pack = 0

    def refresh(self) -> bool:
        """Read records added since; True when there were any."""
        path = self.folder / "index.bin"
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
        self._oldest_pack = min((number for number, _ in _numbered(self.folder, "pack")), default=0)
        return len(fresh) > 0

    @property
    def kept(self) -> NDArray[np.bool_]:
        """bool[generations]: False where the completions were dropped to stay within the bound on disk use."""
        return np.asarray(self.index["pack"] >= self._oldest_pack)

    def at(self, step: int) -> Rollouts | None:
        """The newest generation at or before `step`, or None when there is none or it cannot be read."""
        before = np.flatnonzero(self.index["step"] <= step)
        return self.read(int(before[-1])) if len(before) else None

    def read(self, number: int) -> Rollouts | None:
        """Generation `number` of the index, or None when its block is not kept any more, damaged or missing."""
        record = self.index[number]
        length, offset = int(record["length"]), int(record["offset"])
        if not 0 < length <= BIGGEST_BLOCK or offset < 0:
            return None
        try:
            with open_regular(_path(self.folder, int(record["pack"]), "pack")) as file:
                file.seek(offset)
                data = file.read(length)
            if zlib.crc32(data) != int(record["checksum"]):
                return None
            inflate = zlib.decompressobj()
            raw = inflate.decompress(data, BIGGEST_BLOCK)
            return None if inflate.unconsumed_tail else _checked(_decoder.decode(raw))
        except (OSError, zlib.error, ValueError, OverflowError, RecursionError, MemoryError):
            return None


def _path(folder: Path, number: int, kind: str) -> Path:
    return folder / f"{number:06d}.{kind}"


def _numbered(folder: Path, kind: str) -> list[tuple[int, Path]]:
    """Packs or filters on disk."""
    try:
        named = [p for p in folder.glob(f"*.{kind}") if p.stem.isascii() and p.stem.isdecimal()]
    except OSError:
        return []
    return [(int(p.stem), p) for p in named if int(p.stem) < MOST_PACKS]


def _append(path: Path, data: bytes, whole: int = 1) -> int:
    """Add `data` to the file; gives where it begins, which is a multiple of `whole`.

    Raises:
        OSError: the disk refused, or took only a part.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        begin = os.fstat(handle).st_size
        if begin % whole:
            # A torn record would shift all that follow.
            begin -= begin % whole
            os.ftruncate(handle, begin)
        if os.write(handle, data) < len(data):
            os.ftruncate(handle, begin)
            raise OSError(errno.ENOSPC, "the disk took only part of what was written", str(path))
    finally:
        os.close(handle)
    return begin


def _numbers(values: list[float | None], n: int) -> NDArray[np.float64]:
    """float64[n]; all NaN when the column was not recorded."""
    if not values:
        return np.full(n, np.nan)
    if len(values) != n:
        raise ValueError("a column of a rollout block has the wrong length")
    return np.clip(np.array(values, dtype=np.float64), -BIGGEST, BIGGEST)


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
            _array(t.js, len(t.pieces)),
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
