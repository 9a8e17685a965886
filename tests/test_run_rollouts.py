"""Rollouts: what was written comes back; what is damaged, cut, missing or hostile comes back as None."""

from __future__ import annotations

import os
import shutil
import tempfile
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
        tokens.append(TokenBlock(index=index, pieces=pieces, logp=logp.tobytes(), entropy=(-logp).tobytes()))
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
    for size in range(len(good) + 1):
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
    writer.append(msgspec.structs.replace(BLOCK, step=4))
    reader = opened(three)
    assert reader.index["step"].tolist() == [1, 2, 3, 4]
    assert all(reader.read(i) is not None for i in range(4))


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
