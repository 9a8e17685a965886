"""Rollouts: what was written comes back; what is damaged, cut, missing or hostile comes back as None."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import zlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpeaks_tui.run import rollouts
from rlpeaks_tui.run.rollouts import RECORD, Block, RolloutReader, Rollouts, RolloutWriter, TokenBlock
from tests.run_fakes import NASTY, is_safe, texts

numbers = st.one_of(st.none(), st.floats(-100, 100))


@st.composite
def blocks(draw: st.DrawFn, text: st.SearchStrategy[str] | None = None) -> Block:
    """Any generation that a trainer could record."""
    if text is None:
        text = st.text(alphabet=st.characters(exclude_categories=["C", "Z"]), max_size=12)
    n = draw(st.integers(0, 6))
    prompts = draw(st.lists(text, min_size=1, max_size=3))

    def column(values: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(values, min_size=n, max_size=n))

    def maybe(values: st.SearchStrategy[Any]) -> list[Any]:
        return column(values) if draw(st.booleans()) else []

    tokens = []
    for index in draw(st.sets(st.integers(0, max(0, n - 1)), max_size=2)) if n else []:
        pieces = draw(st.lists(text, max_size=4))
        logp = np.array(draw(st.lists(st.floats(-9, 0, width=32), min_size=len(pieces), max_size=len(pieces))), "<f4")
        entropy, js = (-logp).tobytes(), (logp / -9).astype("<f4").tobytes()
        tokens.append(TokenBlock(index=index, pieces=pieces, logp=logp.tobytes(), entropy=entropy, js=js))
    return Block(
        step=draw(st.integers(0, 50)),
        phase=draw(text),
        prompts=prompts,
        group=column(st.integers(0, len(prompts) - 1)),
        completions=column(text),
        rewards={name: column(numbers) for name in draw(st.sets(text, max_size=2))},
        reward=column(numbers),
        advantage=column(numbers),
        length=column(st.integers(0, 1000)),
        truncated=column(st.booleans()),
        task=maybe(text),
        format=maybe(st.one_of(st.none(), text)),
        confidence=maybe(numbers),
        correct=maybe(numbers),
        logp=maybe(numbers),
        base_logp=maybe(numbers),
        entropy=maybe(numbers),
        k3=maybe(numbers),
        tokens=tokens,
    )


def floats(values: list[float | None], n: int) -> list[float]:
    return [np.nan if v is None else v for v in values] or [np.nan] * n


def check(found: Rollouts | None, block: Block) -> None:
    """Field by field against what was given to the writer."""
    assert found is not None
    n = len(block.completions)
    assert (found.step, found.phase) == (block.step, block.phase)
    assert (found.prompts, found.completions) == (tuple(block.prompts), tuple(block.completions))
    assert found.group.tolist() == block.group and found.length.tolist() == block.length
    assert found.truncated.tolist() == block.truncated
    assert set(found.rewards) == set(block.rewards)
    for name, column in block.rewards.items():
        np.testing.assert_array_equal(found.rewards[name], floats(column, n))
    for name in ("reward", "advantage", "confidence", "correct", "logp", "base_logp", "entropy", "k3"):
        np.testing.assert_array_equal(getattr(found, name), floats(getattr(block, name), n), err_msg=name)
    assert found.task == (tuple(block.task) or ("",) * n)
    assert found.format == (tuple(block.format) or (None,) * n)
    assert [t.index for t in found.tokens] == [t.index for t in block.tokens]
    for trace, given_ in zip(found.tokens, block.tokens, strict=True):
        assert trace.pieces == tuple(given_.pieces)
        assert trace.logp.tobytes() == given_.logp and trace.entropy.tobytes() == given_.entropy
        assert trace.js.tobytes() == given_.js
        assert len(trace.base_logp) == 0


def opened(folder: Path) -> RolloutReader:
    reader = RolloutReader(folder)
    reader.refresh()
    return reader


@given(st.lists(blocks(), max_size=5), st.integers(1, 4000))
@settings(max_examples=25)
def test_what_was_written_is_read_and_found_by_step(written: list[Block], pack_bytes: int) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        patch.setattr(rollouts, "PACK_BYTES", pack_bytes)
        writer, follower = RolloutWriter(folder), RolloutReader(folder)
        assert not follower.refresh()
        for i, block in enumerate(written):
            if i % 3 == 2:
                writer = RolloutWriter(folder)
            assert writer.append(block) > 0
            assert follower.refresh() and not follower.refresh()
        for reader in (follower, opened(folder)):
            assert reader.index["step"].tolist() == [b.step for b in written]
            assert reader.index["completions"].tolist() == [len(b.completions) for b in written]
            for i, block in enumerate(written):
                check(reader.read(i), block)
                known = [r for r in block.reward if r is not None]
                np.testing.assert_allclose(reader.index["reward"][i], np.mean(known) if known else np.nan)
                assert_equal = np.testing.assert_array_equal
                assert_equal(reader.index["reward_low"][i], min(known, default=np.nan))
                assert_equal(reader.index["reward_high"][i], max(known, default=np.nan))
                outcomes = [c for c in block.correct if c is not None]
                right = sum(c >= 0.5 for c in outcomes)
                assert (reader.index["right"][i], reader.index["wrong"][i]) == (right, len(outcomes) - right)
            for step in range(-1, 52):
                newest = next((b for b in reversed(written) if b.step <= step), None)
                found = reader.at(step)
                assert (found is None) == (newest is None)
                if newest is not None:
                    check(found, newest)


BLOCK = Block(
    step=3,
    phase="p",
    prompts=["1+1=", "2+2="],
    group=[0, 1, 1],
    completions=["2", "4", "5"],
    rewards={"correct": [1.0, 1.0, None]},
    reward=[1.0, 1.0, 0.0],
    advantage=[0.0, 0.5, -0.5],
    length=[1, 1, 1],
    truncated=[False, False, True],
    tokens=[TokenBlock(index=2, pieces=["5"], logp=np.array([-1], "<f4").tobytes())],
)


@pytest.fixture
def three(tmp_path: Path) -> Path:
    writer = RolloutWriter(tmp_path)
    for step in (1, 2, 3):
        writer.append(msgspec.structs.replace(BLOCK, step=step))
    return tmp_path


def test_any_flipped_byte_of_a_block_costs_that_block_and_no_other(three: Path) -> None:
    pack = three / "000001.pack"
    good = pack.read_bytes()
    second = opened(three).index[1]
    begin, end = int(second["offset"]), int(second["offset"] + second["length"])
    for at in range(begin, end):
        pack.write_bytes(good[:at] + bytes([good[at] ^ 0x10]) + good[at + 1 :])
        reader = opened(three)
        assert [reader.read(i) is not None for i in range(3)] == [True, False, True]


def test_any_flipped_byte_of_the_index_raises_nothing(three: Path) -> None:
    index = three / "index.bin"
    good = index.read_bytes()
    for at in range(RECORD.itemsize, 2 * RECORD.itemsize):
        for bit in (0x01, 0x80):
            index.write_bytes(good[:at] + bytes([good[at] ^ bit]) + good[at + 1 :])
            reader = opened(three)
            assert reader.read(0) is not None and reader.read(2) is not None
            reader.read(1)
            reader.at(2)


def test_an_index_cut_anywhere_has_its_whole_records_and_goes_on_with_the_next(three: Path) -> None:
    good = (three / "index.bin").read_bytes()
    for size in range(0, len(good) + 1, 4):
        (three / "index.bin").write_bytes(good[:size])
        reader = opened(three)
        assert len(reader.index) == size // RECORD.itemsize
        assert all(reader.read(i) is not None for i in range(len(reader.index)))
        RolloutWriter(three).append(msgspec.structs.replace(BLOCK, step=9))
        assert reader.refresh()
        assert len(reader.index) == size // RECORD.itemsize + 1
        check(reader.read(len(reader.index) - 1), msgspec.structs.replace(BLOCK, step=9))


@pytest.mark.parametrize("size", [0, 1, 50])
def test_a_pack_that_was_cut_or_is_missing_gives_none(three: Path, size: int) -> None:
    pack = three / "000001.pack"
    pack.write_bytes(pack.read_bytes()[:size])
    assert [opened(three).read(i) for i in range(3)] == [None] * 3
    pack.unlink()
    assert opened(three).at(3) is None
    os.mkfifo(pack)
    assert opened(three).at(3) is None
    pack.unlink()
    pack.mkdir()
    assert opened(three).at(3) is None


def test_an_index_that_is_no_file_is_empty(tmp_path: Path) -> None:
    assert len(opened(tmp_path / "nowhere").index) == 0
    (tmp_path / "index.bin").mkdir()
    assert len(opened(tmp_path).index) == 0


def test_files_of_other_people_in_the_folder_do_not_disturb_a_writer(three: Path) -> None:
    shutil.copy(three / "000001.pack", three / "000001 copy.pack")
    (three / "1x.pack").touch()
    RolloutWriter(three).append(BLOCK)
    assert (three / "000002.pack").exists()
    check(opened(three).at(9), BLOCK)


def test_a_record_that_the_disk_took_only_part_of_is_told_and_can_be_sent_again(three: Path) -> None:
    writer, real = RolloutWriter(three), os.write
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", lambda handle, data: real(handle, data[:10]))
        with pytest.raises(OSError, match="only part"):
            writer.append(msgspec.structs.replace(BLOCK, step=4))
        assert opened(three).index["step"].tolist() == [1, 2, 3]
        # The block is whole, its record is not.
        short = [False, False, True]
        patch.setattr(os, "write", lambda handle, data: real(handle, data[: 10 if short.pop(0) else None]))
        with pytest.raises(OSError, match="only part"):
            writer.append(msgspec.structs.replace(BLOCK, step=4))
    assert opened(three).index["step"].tolist() == [1, 2, 3]
    writer.append(msgspec.structs.replace(BLOCK, step=4))
    reader = opened(three)
    assert reader.index["step"].tolist() == [1, 2, 3, 4]
    assert all(reader.read(i) is not None for i in range(4))


def on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def numbered(step: int, size: int = 300) -> Block:
    """A block that takes about `size` bytes, whose texts say which it is."""
    noise = np.random.default_rng(step).bytes(size // 2).hex()
    return msgspec.structs.replace(BLOCK, step=step, completions=[f"{step}", noise, "5"], task=[f"t{step % 3}"] * 3)


LIMIT = 40_000


def test_a_bound_drops_the_oldest_texts_and_keeps_every_record(tmp_path: Path) -> None:
    writer, early = RolloutWriter(tmp_path, LIMIT), opened(tmp_path)
    for step in range(1, 121):
        writer.append(numbered(step))
        assert on_disk(tmp_path) <= LIMIT
        if step == 5:
            early.refresh()
            assert early.kept.all()
    reader = opened(tmp_path)
    assert reader.index["step"].tolist() == list(range(1, 121))
    kept = reader.kept.tolist()
    assert kept == sorted(kept) and not kept[0] and kept[-1]
    for number in range(120):
        if kept[number]:
            check(reader.read(number), numbered(number + 1))
        else:
            assert reader.read(number) is None
    # No more is given up than one pack is large, beside what the index takes.
    assert on_disk(tmp_path) > LIMIT - 2 * (LIMIT // rollouts.PACKS_IN_BOUND)
    assert early.read(0) is None and early.refresh() and not early.kept[0]
    # What began without a bound is brought within one by the next writer that has it.
    RolloutWriter(tmp_path, LIMIT // 2).append(numbered(121))
    assert on_disk(tmp_path) <= LIMIT // 2
    assert opened(tmp_path).index["step"].tolist() == list(range(1, 122))


def test_the_newest_pack_is_never_dropped(tmp_path: Path) -> None:
    writer = RolloutWriter(tmp_path, 100)
    for step in range(1, 6):
        writer.append(numbered(step))
        reader = opened(tmp_path)
        check(reader.read(step - 1), numbered(step))
        assert int(reader.kept.sum()) <= 2


def test_a_pack_that_cannot_be_deleted_does_not_cost_the_new_block(tmp_path: Path) -> None:
    writer, real = RolloutWriter(tmp_path, 3000), os.unlink

    def refuse(path: object, **how: Any) -> None:
        raise PermissionError(1, "not allowed", str(path))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "unlink", refuse)
        for step in range(1, 31):
            writer.append(numbered(step))
        assert opened(tmp_path).kept.all() and on_disk(tmp_path) > 3000
    assert os.unlink is real
    writer.append(numbered(31))
    kept = opened(tmp_path).kept
    assert kept[-1] and not kept[0]


def test_a_pack_number_is_not_used_again_after_all_packs_were_deleted(three: Path) -> None:
    (three / "000001.pack").unlink()
    RolloutWriter(three).append(msgspec.structs.replace(BLOCK, step=4))
    reader = opened(three)
    assert [reader.read(i) is not None for i in range(4)] == [False, False, False, True]
    assert reader.kept.tolist() == [False, False, False, True]


def test_an_index_that_names_an_impossible_pack_does_not_stop_a_writer(three: Path) -> None:
    one = np.zeros(1, RECORD)
    one["pack"] = 2**31 - 1
    (three / "index.bin").write_bytes(one.tobytes())
    RolloutWriter(three).append(BLOCK)
    check(opened(three).read(1), BLOCK)


class Killed(BaseException):
    """The process ended here."""


def killed_at(point: int, patch: pytest.MonkeyPatch, part: float) -> None:
    """Let the process end at its `point`-th effect on the disk; a write has then done `part` of its work."""
    left = [point]
    # The signs of life of a training that another test has made go on in a thread of their own.
    here = threading.get_ident()

    def before(real: Any) -> Any:
        def call(*args: Any, **how: Any) -> Any:
            left[0] -= threading.get_ident() == here
            if left[0] >= 0 or threading.get_ident() != here:
                return real(*args, **how)
            if real is write and left[0] == -1:
                real(args[0], args[1][: int(part * len(args[1]))])
            raise Killed

        return call

    write = os.write
    for name in ("write", "unlink", "replace", "ftruncate"):
        patch.setattr(os, name, before(getattr(os, name)))


@given(st.integers(0, 130), st.floats(0, 1), st.sampled_from([None, 2500, 6000]))
@settings(max_examples=60)
def test_a_kill_at_any_moment_loses_nothing_that_was_acknowledged(point: int, part: float, limit: int | None) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        follower, acknowledged = RolloutReader(folder), 0
        with pytest.MonkeyPatch.context() as patch:
            killed_at(point, patch, part)
            try:
                writer = RolloutWriter(folder, limit)
                for step in range(1, 31):
                    writer.append(numbered(step))
                    acknowledged = step
                    follower.refresh()
            except Killed:
                pass
        for _ in range(2):
            follower.refresh()
            reader = opened(folder)
            steps = reader.index["step"].tolist()
            assert steps == list(range(1, len(steps) + 1)) and len(steps) >= acknowledged
            np.testing.assert_array_equal(follower.index, reader.index)
            kept = reader.kept.tolist()
            assert kept == sorted(kept) and (limit is not None or all(kept))
            for number, step in enumerate(steps):
                if kept[number]:
                    check(reader.read(number), numbered(step))
                else:
                    assert reader.read(number) is None
            assert not steps or kept[-1]
            RolloutWriter(folder, limit).append(numbered(len(steps) + 1))
            acknowledged = len(steps) + 1
            assert limit is None or on_disk(folder) <= limit + 2 * 800


def plant(folder: Path, data: bytes, **record: int) -> Rollouts | None:
    """What a reader makes of bytes that a stranger put into a pack, with an index that vouches for them."""
    (folder / "000001.pack").write_bytes(data)
    fields = {"step": 1, "pack": 1, "length": len(data), "offset": 0, "checksum": zlib.crc32(data), **record}
    one = np.zeros(1, RECORD)
    for name, value in fields.items():
        one[name] = value
    (folder / "index.bin").write_bytes(one.tobytes())
    return opened(folder).at(1)


def packed(tree: Any) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(tree), 1)


PLAIN: dict[str, Any] = msgspec.to_builtins(BLOCK, builtin_types=(bytes,))

anything = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(),
        st.text(max_size=5),
        st.binary(max_size=9),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*PLAIN, "invented"]), anything, min_size=1, max_size=3))
@settings(max_examples=150)
def test_a_hostile_block_is_none_or_consistent(changes: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as name:
        found = plant(Path(name), packed({**PLAIN, **changes}))
    if found is not None:
        n = len(found.completions)
        columns = (found.reward, found.advantage, found.length, found.truncated, found.logp, *found.rewards.values())
        assert {len(column) for column in (*columns, found.task, found.format)} <= {n}
        assert all(0 <= g < len(found.prompts) for g in found.group)
        assert all(0 <= t.index < n and len(t.logp) in (0, len(t.pieces)) for t in found.tokens)
        assert all(is_safe(text) for text in texts(found))


@pytest.mark.parametrize(
    "changes",
    [
        {"group": [0, 1]},
        {"group": [0, 1, 2]},
        {"group": [0, 1, -1]},
        {"group": [0, 1, 2**64 - 1]},
        {"length": [1, 1, 2**64 - 1]},
        {"step": 2**64 - 1},
        {"reward": [1.0]},
        {"rewards": {"correct": [1.0]}},
        {"truncated": [True]},
        {"completions": ["2", 4, "5"]},
        {"tokens": [{"index": 0, "pieces": ["5"], "logp": b"12345"}]},
        {"tokens": [{"index": 0, "pieces": ["5", "6"], "logp": b"1234"}]},
        {"tokens": [{"index": 0, "pieces": ["5"], "logp": b"1234", "js": b"12345678"}]},
        {"step": None},
    ],
    ids=str,
)
def test_wrong_lengths_types_and_sizes_are_none(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert plant(tmp_path, packed(PLAIN)) is not None
    assert plant(tmp_path, packed({**PLAIN, **changes})) is None


def test_nesting_bombs_and_nonsense_are_none(tmp_path: Path) -> None:
    deep = msgspec.msgpack.encode(PLAIN)
    deep = bytes([deep[0] + 1]) + deep[1:] + b"\xa1x" + b"\x91" * 200_000 + b"\xc0"
    assert plant(tmp_path, zlib.compress(deep)) is None
    assert plant(tmp_path, b"no zlib at all") is None
    assert plant(tmp_path, zlib.compress(b"no msgpack")) is None
    # A list that claims 4 billion entries
    assert plant(tmp_path, zlib.compress(b"\xdd\xff\xff\xff\xff")) is None
    assert plant(tmp_path, packed(PLAIN)[:-20]) is None
    for wrong in (
        {"length": 0},
        {"length": -5},
        {"length": 2**31 - 1},
        {"offset": -1},
        {"offset": 2**62},
        {"pack": -1},
        {"checksum": 1},
    ):
        assert plant(tmp_path, packed(PLAIN), **wrong) is None


def test_a_block_that_unpacks_to_more_than_any_generation_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollouts, "BIGGEST_BLOCK", 1 << 20)
    bomb = {**PLAIN, "completions": ["0" * (2 << 20), "", ""]}
    assert len(packed(bomb)) < 1 << 20
    assert plant(tmp_path, packed(bomb)) is None
    assert plant(tmp_path, packed({**PLAIN, "completions": ["0" * (1 << 19), "", ""]})) is not None


@given(blocks(text=st.one_of(st.sampled_from(NASTY), st.text(alphabet=st.characters(), max_size=5))))
@settings(max_examples=60)
def test_escapes_are_gone_from_every_text(block: Block) -> None:
    with tempfile.TemporaryDirectory() as name:
        RolloutWriter(Path(name)).append(block)
        found = opened(Path(name)).read(0)
    assert found is not None
    assert all(is_safe(text) for text in texts(found))
    assert len(found.completions) == len(block.completions)
